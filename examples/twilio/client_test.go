package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"example.com/callparams"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twilio/twilio-go"
	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

// runAsProgram is the environment variable that makes the test binary run the program itself.
const runAsProgram = "TWILIO_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runAsProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

const callsPath = "/2010-04-01/Accounts/AC0/Calls.json"

// notVerified is a From that the fake Twilio API refuses, as if the account did not own it.
const notVerified = "+14155550123"

// A twilioServer is a fake Twilio API. It records the method, path and form of every request.
type twilioServer struct {
	lines []string
	forms []url.Values
}

func (s *twilioServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	s.lines = append(s.lines, r.Method+" "+r.URL.Path)
	s.forms = append(s.forms, r.PostForm)
	user, password, _ := r.BasicAuth()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case user != "AC0" || password != "token":
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprint(w, `{"code":20003,"message":"Authenticate",`+
			`"more_info":"https://www.twilio.com/docs/errors/20003","status":401}`)
	case r.PostForm.Get("From") == notVerified:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `{"code":21210,"message":"not verified",`+
			`"more_info":"https://www.twilio.com/docs/errors/21210","status":400}`)
	case r.Method == http.MethodGet:
		_, _ = fmt.Fprint(w, `{"calls":[]}`)
	default:
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]string{
			"sid":    "CA0",
			"from":   r.PostForm.Get("From"),
			"to":     r.PostForm.Get("To"),
			"status": "queued",
		})
	}
}

// An origin sends every request to its own scheme and host.
type origin url.URL

func (o *origin) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = o.Scheme, o.Host, ""
	return http.DefaultTransport.RoundTrip(r)
}

// restClient returns a twilio-go client that sends its requests to address.
func restClient(t *testing.T, address string) *twilio.RestClient {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	base := &client.Client{
		Credentials: client.NewCredentials("AC0", "token"),
		HTTPClient:  &http.Client{Transport: (*origin)(u)},
	}
	base.SetAccountSid("AC0")
	return twilio.NewRestClientWithParams(twilio.ClientParams{Client: base})
}

// checked returns a fake Twilio API and a twilio-go client that checks the calls it sends there.
func checked(t *testing.T) (*twilioServer, *twilio.RestClient) {
	t.Helper()
	fake := new(twilioServer)
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	rest := restClient(t, server.URL)
	rest.Client = checkedClient{rest.Client}
	return fake, rest
}

func params(from, to string) *api.CreateCallParams {
	return new(api.CreateCallParams).SetFrom(from).SetTo(to).SetUrl("https://example.com/voice.xml")
}

func TestAcceptedArrivesAsGiven(t *testing.T) {
	for _, test := range []struct{ from, to string }{
		{"+14155550100", "+14155552671"},
		{"client:alice", "client:bob?k=a%26b"},
		{"+123456789", "sip:destination@host?X-Source-Domain=mydomain.sip.twilio.com"},
		{"Front-Desk", "sips:bob@example.com;transport=tls" +
			"?X-Account=4%202%26+%25&User-to-User=a%3Bencoding%3Dhex"},
	} {
		t.Run(test.to, func(t *testing.T) {
			fake, rest := checked(t)
			call, err := rest.Api.CreateCall(params(test.from, test.to))
			require.NoError(t, err)
			assert.Equal(t, "CA0", *call.Sid)
			assert.Equal(t, []string{"POST " + callsPath}, fake.lines)
			assert.Equal(t, []url.Values{{
				"From": {test.from}, "To": {test.to}, "Url": {"https://example.com/voice.xml"},
			}}, fake.forms)
		})
	}
}

func TestRefusedIsNotSent(t *testing.T) {
	for _, test := range []struct {
		name   string
		params *api.CreateCallParams
		code   callparams.Code
		rules  []callparams.Rule
	}{
		{"sip From", params("sip:+1234@mydomain.sip.twilio.com", "sip:destination@host"),
			callparams.CodeInvalidFrom, []callparams.Rule{callparams.RuleFromUser}},
		{"client to phone", params("client:alice", "+14155552671"),
			callparams.CodeInvalidFrom, []callparams.Rule{callparams.RuleFromPhone}},
		{"both", params("alice@example.com", "bob"),
			callparams.CodeInvalidTo,
			[]callparams.Rule{callparams.RulePhonePlus, callparams.RuleFromUser}},
		{"an application instead of a URL",
			new(api.CreateCallParams).SetTo("bob@example.com").SetApplicationSid("AP0"),
			callparams.CodeInvalidTo,
			[]callparams.Rule{callparams.RuleSchemeMissing, callparams.RuleFromRequired}},
		{"another account", params("alice", "").SetPathAccountSid("AC1"),
			callparams.CodeToRequired, []callparams.Rule{callparams.RuleToRequired}},
		{"no parameters", nil,
			callparams.CodeToRequired,
			[]callparams.Rule{callparams.RuleToRequired, callparams.RuleFromRequired}},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake, rest := checked(t)
			rest.SetRegion("ie1")
			rest.SetEdge("dublin")
			call, err := rest.Api.CreateCall(test.params)
			assert.Nil(t, call)
			assert.Empty(t, fake.lines)

			var found *callparams.Error
			require.ErrorAs(t, err, &found)
			assert.Equal(t, test.code, found.Code())
			var rules []callparams.Rule
			for _, p := range found.Problems {
				rules = append(rules, p.Rule)
			}
			assert.Equal(t, test.rules, rules)
			assert.ErrorIs(t, err, test.code)

			var answered *client.TwilioRestError
			require.ErrorAs(t, err, &answered)
			assert.Equal(t, &client.TwilioRestError{
				Code:     int(test.code),
				Message:  found.Error(),
				MoreInfo: test.code.DocsURL(),
				Status:   http.StatusBadRequest,
			}, answered)
			assert.ErrorContains(t, err, found.Error())

			_, err = rest.Api.CreateCallWithMetadata(test.params)
			assert.ErrorIs(t, err, test.code)
			assert.Empty(t, fake.lines)
		})
	}
}

// TestOthersPass checks that the client sends other requests, whatever their From and To are.
func TestOthersPass(t *testing.T) {
	const from, to = "alice@example.com", "bob@example.com"
	const conference = "/2010-04-01/Accounts/AC0/Conferences/CF0"
	for _, test := range []struct {
		line string
		send func(*api.ApiService) error
	}{
		{"GET " + callsPath, func(s *api.ApiService) error {
			_, err := s.ListCall(new(api.ListCallParams).SetFrom(from).SetTo(to))
			return err
		}},
		{"GET /2010-04-01/Accounts/AC0/Calls/CA0.json", func(s *api.ApiService) error {
			_, err := s.FetchCall("CA0", nil)
			return err
		}},
		{"POST /2010-04-01/Accounts/AC0/Calls/CA0.json", func(s *api.ApiService) error {
			_, err := s.UpdateCall("CA0", new(api.UpdateCallParams).SetStatus("completed"))
			return err
		}},
		{"POST /2010-04-01/Accounts/AC0/Messages.json", func(s *api.ApiService) error {
			_, err := s.CreateMessage(new(api.CreateMessageParams).SetFrom(from).SetTo(to))
			return err
		}},
		{"POST " + conference + "/Participants.json", func(s *api.ApiService) error {
			params := new(api.CreateParticipantParams).SetFrom(from).SetTo(to)
			_, err := s.CreateParticipant("CF0", params)
			return err
		}},
	} {
		t.Run(test.line, func(t *testing.T) {
			fake, rest := checked(t)
			require.NoError(t, test.send(rest.Api))
			assert.Equal(t, []string{test.line}, fake.lines)
			if form := fake.forms[0]; form.Has("To") {
				assert.Equal(t, url.Values{"From": {from}, "To": {to}}, form)
			}
		})
	}
}

func TestTwilioErrorSurfaces(t *testing.T) {
	fake, rest := checked(t)
	_, err := rest.Api.CreateCall(params(notVerified, "+14155552671"))
	var answered *client.TwilioRestError
	require.ErrorAs(t, err, &answered)
	assert.Equal(t, 21210, answered.Code)
	var found *callparams.Error
	assert.False(t, errors.As(err, &found))
	assert.Len(t, fake.lines, 1)
	assert.Equal(t, "Twilio refused the call: not verified (21210)", explain(err))
}

func TestExplainAnyError(t *testing.T) {
	assert.Equal(t, "no network", explain(errors.New("no network")))
}

// TestProgram runs the command of the package comment. Nothing listens at the address of the proxy,
// so the output would differ if the program sent a request.
func TestProgram(t *testing.T) {
	program := exec.Command(os.Args[0],
		"-from", "sip:+1234@mydomain.sip.twilio.com", "-to", "sip:destination@host")
	program.Env = append(os.Environ(), runAsProgram+"=1", "HTTPS_PROXY=http://127.0.0.1:1")
	out, err := program.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 1, exit.ExitCode())
	assert.Equal(t, "the call was not sent\n"+
		"From: the caller address is not a user name (21212, byte 9)\n"+
		"\twrite +1234 instead\n", string(out))
}

// TestGateway sends calls from a twilio-go client without the check through ../gateway.
func TestGateway(t *testing.T) {
	fake := new(twilioServer)
	upstream := httptest.NewServer(fake)
	defer upstream.Close()
	rest := restClient(t, startGateway(t, upstream.URL))

	call, err := rest.Api.CreateCall(params("+123456789", "sip:bob@example.com?X-Account=4%202"))
	require.NoError(t, err)
	assert.Equal(t, "CA0", *call.Sid)
	assert.Equal(t, "sip:bob@example.com?X-Account=4%202", fake.forms[0].Get("To"))

	wrong := params("sip:+1234@mydomain.sip.twilio.com", "sip:destination@host")
	_, err = rest.Api.CreateCall(wrong)
	var answered *client.TwilioRestError
	require.ErrorAs(t, err, &answered)
	assert.Equal(t, 21212, answered.Code)
	assert.Equal(t, http.StatusBadRequest, answered.Status)
	assert.Equal(t, "https://www.twilio.com/docs/errors/21212", answered.MoreInfo)
	assert.Contains(t, answered.Message, "From: the caller address is not a user name")
	body, err := json.Marshal(answered)
	require.NoError(t, err)
	var found callparams.Error
	require.NoError(t, json.Unmarshal(body, &found), "twilio-go keeps the problems")
	assert.ErrorIs(t, &found, callparams.RuleFromUser)

	_, err = rest.Api.CreateCall(params(notVerified, "+14155552671"))
	require.ErrorAs(t, err, &answered)
	assert.Equal(t, 21210, answered.Code)
	assert.Len(t, fake.lines, 2)

	upstream.Close()
	_, err = rest.Api.CreateCall(params("alice", "client:bob"))
	require.ErrorAs(t, err, &answered)
	assert.Equal(t, http.StatusBadGateway, answered.Code)
	assert.NotEmpty(t, answered.Message)
}

// startGateway builds and starts the gateway and returns its address.
func startGateway(t *testing.T, upstream string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "gateway")
	build := exec.Command("go", "build", "-o", binary)
	build.Dir = filepath.Join("..", "gateway") // in another module
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	program := exec.Command(binary, "-addr", "127.0.0.1:0", "-upstream", upstream)
	stderr, err := program.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	t.Cleanup(func() {
		_ = program.Process.Signal(os.Interrupt)
		assert.NoError(t, program.Wait())
	})
	line, err := bufio.NewReader(stderr).ReadBytes('\n')
	require.NoError(t, err)
	var listening struct{ Addr string }
	require.NoError(t, json.Unmarshal(line, &listening))
	return "http://" + listening.Addr
}
