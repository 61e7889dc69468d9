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
	"example.com/callparams/examples/transport"
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
		_, _ = fmt.Fprint(w, `{"code":21210,"message":"`+notVerified+` is not verified",`+
			`"more_info":"https://www.twilio.com/docs/errors/21210","status":400}`)
	case r.Method == http.MethodGet:
		_, _ = fmt.Fprint(w, `{"calls":[]}`)
	default:
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]string{
			"sid":    "CA0",   // of a call
			"label":  "agent", // of a participant
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

func originOf(t *testing.T, address string) *origin {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	return (*origin)(u)
}

// checked returns a fake Twilio API and a twilio-go client that checks the calls it sends there.
func checked(t *testing.T) (*twilioServer, *twilio.RestClient) {
	t.Helper()
	fake := new(twilioServer)
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return fake, newClient("AC0", "token", transport.Transport{Base: originOf(t, server.URL)})
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

			var answered *client.TwilioRestError
			require.IsType(t, answered, err) // many programs do not use errors.As
			require.ErrorAs(t, err, &answered)
			assert.Equal(t, int(test.code), answered.Code)
			assert.Equal(t, http.StatusBadRequest, answered.Status)
			assert.Equal(t, test.code.DocsURL(), answered.MoreInfo)
			assert.Len(t, answered.Details["problems"], len(test.rules))
			found, ok := problems(answered)
			require.True(t, ok)
			assert.Equal(t, found.Error(), answered.Message)
			var rules []callparams.Rule
			for _, p := range found.Problems {
				rules = append(rules, p.Rule)
			}
			assert.Equal(t, test.rules, rules)

			_, err = rest.Api.CreateCallWithMetadata(test.params)
			assert.ErrorAs(t, err, &answered)
			assert.Empty(t, fake.lines)
		})
	}
}

// TestParticipants checks the other way to place a call.
func TestParticipants(t *testing.T) {
	const app = "app:AP0123456789abcdef0123456789abcdef"
	right := new(api.CreateParticipantParams).SetFrom("alice").SetTo(app).SetCallerId("8001")
	fake, rest := checked(t)
	added, err := rest.Api.CreateParticipant("My%20Room", right)
	require.NoError(t, err)
	assert.Equal(t, "agent", *added.Label)
	assert.Equal(t, []string{
		"POST /2010-04-01/Accounts/AC0/Conferences/My Room/Participants.json",
	}, fake.lines)
	form := url.Values{"From": {"alice"}, "To": {app}, "CallerId": {"8001"}}
	assert.Equal(t, []url.Values{form}, fake.forms)

	wrong := new(api.CreateParticipantParams).SetFrom("+14155550100").SetTo("+14155552671").
		SetCallerId("client:alice")
	_, err = rest.Api.CreateParticipant("CF0", wrong)
	var answered *client.TwilioRestError
	require.ErrorAs(t, err, &answered)
	assert.Equal(t, 21212, answered.Code)
	found, ok := problems(answered)
	require.True(t, ok)
	assert.Equal(t, "CallerId", found.Problems[0].Param)
	assert.Len(t, fake.lines, 1)
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
		{"POST " + conference + "/Participants/CA0.json", func(s *api.ApiService) error {
			_, err := s.UpdateParticipant("CF0", "CA0",
				new(api.UpdateParticipantParams).SetMuted(true))
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

// TestTwilioErrorPasses checks that Twilio's own errors pass the transport unchanged.
func TestTwilioErrorPasses(t *testing.T) {
	fake, rest := checked(t)
	_, err := rest.Api.CreateCall(params(notVerified, "+14155552671"))
	var answered *client.TwilioRestError
	require.ErrorAs(t, err, &answered)
	assert.Equal(t, &client.TwilioRestError{
		Code:     21210,
		Message:  notVerified + " is not verified",
		MoreInfo: "https://www.twilio.com/docs/errors/21210",
		Status:   http.StatusBadRequest,
	}, answered)
	assert.Len(t, fake.lines, 1)
	assert.Equal(t, "the call was refused: +*********23 is not verified (21210)",
		explain(err, callparams.Request{From: notVerified, To: "+14155552671"}))
}

// TestRedirectIsNotFollowed checks that a redirect does not send the call a second time.
func TestRedirectIsNotFollowed(t *testing.T) {
	posts := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		posts++
		http.Redirect(w, r, callsPath, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	rest := newClient("AC0", "token", transport.Transport{Base: originOf(t, server.URL)})
	_, err := rest.Api.CreateCall(params("alice", "client:bob"))
	var answered *client.TwilioRestError
	require.ErrorAs(t, err, &answered)
	assert.Contains(t, explain(err, callparams.Request{}), "a call is not sent twice")
	assert.Equal(t, 1, posts)
}

func TestExplainAnyError(t *testing.T) {
	call := callparams.Request{From: "alice", To: "client:bob"}
	assert.Equal(t, "the request failed, but the call may have been placed: no ***** here",
		explain(errors.New("no alice here"), call))
}

// TestProgram runs the program. Nothing listens at the address of the proxy, so the output would
// differ if the program sent a request.
func TestProgram(t *testing.T) {
	right := []string{"-from", "alice", "-to", "client:bob"}
	wrong := []string{"-from", "sip:+1234@mydomain.sip.twilio.com", "-to", "sip:destination@host"}
	for _, test := range []struct {
		args       []string
		sid, token string
		code       int
		output     string
	}{
		{wrong, "AC0", "0", 1, "the call was not sent\n" +
			"From: the caller address is not a user name (21212, byte 9)\n"},
		{nil, "AC0", "0", 1, "the call was not sent\n" +
			"To: the value is empty; use a phone number, a client identity or a SIP URI " +
			"(21201, byte 0)\nFrom: the value is empty; use a phone number, a client identity " +
			"or a user name (21213, byte 0)\n"},
		{right, "", "0", 2, "TWILIO_ACCOUNT_SID is not set; nothing was sent\n"},
		{right, "AC0", "", 2, "TWILIO_AUTH_TOKEN is not set; nothing was sent\n"},
		{wrong, "", "", 2,
			"TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are not set; nothing was sent\n"},
	} {
		out, code := run(t, test.sid, test.token, test.args...)
		assert.Equal(t, test.code, code, test)
		assert.Equal(t, test.output, out)
	}

	out, code := run(t, "AC0", "0", right...)
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "the request failed")
	assert.Contains(t, out, "proxyconnect")

	out, code = run(t, "AC0", "0", "alice")
	assert.Equal(t, 2, code)
	assert.Contains(t, out, "arguments besides flags are not allowed")

	out, code = run(t, "", "", "-h")
	assert.Equal(t, 0, code)
	assert.Contains(t, out, "and 2 if the usage is wrong or a variable is missing")
}

// run runs the program and returns its output and exit code.
func run(t *testing.T, sid, token string, args ...string) (string, int) {
	t.Helper()
	program := exec.Command(os.Args[0], args...)
	program.Env = append(os.Environ(), runAsProgram+"=1", "HTTPS_PROXY=http://127.0.0.1:1",
		envSid+"="+sid, envToken+"="+token)
	out, err := program.CombinedOutput()
	var exit *exec.ExitError
	if err != nil {
		require.ErrorAs(t, err, &exit)
	}
	return string(out), program.ProcessState.ExitCode()
}

// TestGateway sends calls from a twilio-go client without the check through ../gateway.
func TestGateway(t *testing.T) {
	fake := new(twilioServer)
	upstream := httptest.NewServer(fake)
	defer upstream.Close()
	rest := newClient("AC0", "token", originOf(t, startGateway(t, upstream.URL)))

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
