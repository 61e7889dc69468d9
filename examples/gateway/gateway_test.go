package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const callsPath = "/2010-04-01/Accounts/AC0/Calls.json"

// runAsGateway is the environment variable that makes the test binary run the program itself.
const runAsGateway = "GATEWAY_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runAsGateway) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A twilioServer is a fake Twilio API. It answers every call with 201 and records what it receives.
type twilioServer struct {
	mu      sync.Mutex
	forms   []string
	headers []http.Header
	paths   []string
}

func (s *twilioServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	form, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.forms = append(s.forms, string(form))
	s.headers = append(s.headers, r.Header)
	s.paths = append(s.paths, r.URL.RequestURI())
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Twilio-Request-Id", "RQ0")
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprintf(w, `{"echo":%q}`, form)
}

// gatewayTo starts a gateway to upstream and returns its address. The function end stops the
// gateway and returns its log.
func gatewayTo(
	t *testing.T, upstream string, timeout time.Duration,
) (address string, end func() string) {
	t.Helper()
	target, err := parseUpstream(upstream)
	require.NoError(t, err)
	var log bytes.Buffer
	handler := newGateway(target, timeout, slog.New(slog.NewJSONHandler(&log, nil)))
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL, func() string {
		server.Close() // waits until every request is answered and logged
		return log.String()
	}
}

// twilioError is Twilio's error body.
type twilioError struct {
	Code     int
	Message  string
	MoreInfo string `json:"more_info"`
	Status   int
	Details  struct {
		Problems []struct{ Param, Rule string }
	}
}

// read returns the complete body of an answer.
func read(t *testing.T, res *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return string(body)
}

// readError reads an answer that is an error in Twilio's form.
func readError(t *testing.T, res *http.Response) twilioError {
	t.Helper()
	var body twilioError
	require.NoError(t, json.Unmarshal([]byte(read(t, res)), &body))
	assert.Equal(t, "application/json", res.Header.Get("Content-Type"))
	assert.Equal(t, res.StatusCode, body.Status)
	assert.NotEmpty(t, body.Message)
	assert.NotEmpty(t, body.MoreInfo)
	return body
}

func form(from, to string) url.Values {
	return url.Values{"From": {from}, "To": {to}, "Url": {"https://example.com/voice.xml"}}
}

func TestAcceptedIsForwardedAsItCame(t *testing.T) {
	var upstream twilioServer
	server := httptest.NewServer(&upstream)
	defer server.Close()
	gateway, _ := gatewayTo(t, server.URL+"/base", upstreamTimeout)

	// A form encoder would sort the parameters, write the escape in upper case and escape : and @.
	const sent = "To=sip:bob@example.com%3fX-Account%3D4%25202&From=alice&Url=https://example.com/"
	req, err := http.NewRequest(http.MethodPost, gateway+callsPath, strings.NewReader(sent))
	require.NoError(t, err)
	req.SetBasicAuth("AC0", "secret")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Connection", "X-Hop")
	req.Header.Set("X-Hop", "not for Twilio")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	assert.Equal(t, http.StatusCreated, res.StatusCode)
	assert.Equal(t, "RQ0", res.Header.Get("Twilio-Request-Id"))
	assert.Equal(t, fmt.Sprintf(`{"echo":%q}`, sent), read(t, res))
	assert.Equal(t, []string{sent}, upstream.forms)
	assert.Equal(t, []string{"/base" + callsPath}, upstream.paths)
	header := upstream.headers[0]
	assert.Equal(t, req.Header.Get("Authorization"), header.Get("Authorization"))
	assert.Equal(t, "application/x-www-form-urlencoded; charset=utf-8", header.Get("Content-Type"))
	assert.Equal(t, "application/json", header.Get("Accept"))
	assert.Empty(t, header.Values("X-Hop"))
}

func TestTwilioErrorIsRelayed(t *testing.T) {
	const body = `{"code":21210,"message":"not verified",` +
		`"more_info":"https://www.twilio.com/docs/errors/21210","status":400}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	gateway, _ := gatewayTo(t, server.URL, upstreamTimeout)
	res, err := http.PostForm(gateway+callsPath, form("+14155550100", "+14155552671"))
	require.NoError(t, err)
	assert.Equal(t, http.StatusBadRequest, res.StatusCode)
	assert.Equal(t, body, read(t, res))
}

func TestRefusedIsNotForwarded(t *testing.T) {
	for _, test := range []struct {
		name, method, path, kind, body string
		status, code                   int
		rules                          []string
	}{
		{name: "sip From",
			body:   form("sip:+1234@mydomain.sip.twilio.com", "sip:bob@example.com").Encode(),
			status: 400, code: 21212, rules: []string{"from.user"}},
		{name: "both", body: form("", "sip:bob@10.0.0.1?Subject=x").Encode(),
			status: 400, code: 13254,
			rules: []string{"sip.private", "header.allowed", "from.required"}},
		{name: "no parameters",
			status: 400, code: 21201, rules: []string{"to.required", "from.required"}},
		{name: "a + that is not escaped", body: "From=alice&To=+14155552671",
			status: 400, code: 21211, rules: []string{"phone.plus"}},
		{name: "two To", body: "From=alice&To=client:bob&To=client:eve", status: 400, code: 400},
		{name: "two From", body: "From=alice&From=eve&To=client:bob", status: 400, code: 400},
		{name: "a bad escape", body: "From=alice&To=client:bob%", status: 400, code: 400},
		{name: "a semicolon", body: "From=alice;To=client:bob", status: 400, code: 400},
		{name: "in the URL", path: callsPath + "?To=client:eve", body: "From=alice&To=client:bob",
			status: 400, code: 400},
		{name: "JSON", kind: "application/json", body: `{"From":"alice","To":"client:bob"}`,
			status: 415, code: 415},
		{name: "too large", body: "From=alice&To=client:bob&Twiml=" + strings.Repeat("x", maxBody),
			status: 413, code: 413},
		{name: "another method", method: http.MethodGet, status: 405, code: 405},
		{name: "another resource", path: "/2010-04-01/Accounts/AC0/Messages.json",
			status: 404, code: 404},
		{name: "an existing call", path: "/2010-04-01/Accounts/AC0/Calls/CA0.json",
			status: 404, code: 404},
	} {
		t.Run(test.name, func(t *testing.T) {
			var upstream twilioServer
			server := httptest.NewServer(&upstream)
			defer server.Close()
			gateway, _ := gatewayTo(t, server.URL, upstreamTimeout)
			method, path := cmp.Or(test.method, http.MethodPost), cmp.Or(test.path, callsPath)
			req, err := http.NewRequest(method, gateway+path, strings.NewReader(test.body))
			require.NoError(t, err)
			req.Header.Set("Content-Type", cmp.Or(test.kind, "application/x-www-form-urlencoded"))
			res, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			body := readError(t, res)
			assert.Equal(t, test.status, res.StatusCode)
			assert.Equal(t, test.code, body.Code)
			var rules []string
			for _, p := range body.Details.Problems {
				rules = append(rules, p.Rule)
			}
			assert.Equal(t, test.rules, rules)
			assert.Empty(t, upstream.forms)
			wrongMethod := test.status == http.StatusMethodNotAllowed
			assert.Equal(t, wrongMethod, res.Header.Get("Allow") == "POST")
		})
	}
}

func TestHealth(t *testing.T) {
	gateway, end := gatewayTo(t, "http://127.0.0.1:1", upstreamTimeout)
	res, err := http.Get(gateway + "/healthz")
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, res.StatusCode)
	assert.Equal(t, "ok\n", read(t, res))
	assert.Empty(t, end())
}

// hang does not answer. It returns when the gateway hangs up.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // a server notices a hang-up only after reading the body
	<-r.Context().Done()
}

// raw returns a handler that writes the result of answer to the connection as it is, then closes
// it.
func raw(answer func(form string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		form, _ := io.ReadAll(r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, answer(string(form)))
		_ = conn.Close()
	}
}

func constant(s string) func(string) string { return func(string) string { return s } }

func TestFailingUpstream(t *testing.T) {
	const (
		notPlaced = "the call was not placed"
		perhaps   = "the call may have been placed"
	)
	for _, test := range []struct {
		name    string
		answer  http.HandlerFunc // nil if the upstream does not listen
		status  int
		message string
	}{
		{"absent", nil, 502, notPlaced},
		{"silent", hang, 504, perhaps},
		{"stops in the body", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"sid":`)
			_ = http.NewResponseController(w).Flush()
			hang(w, r)
		}, 504, perhaps},
		{"hangs up", raw(constant("")), 502, perhaps},
		{"does not speak HTTP", raw(func(form string) string {
			return form + "\r\n\r\n"
		}), 502, perhaps},
		{"cuts the body short", raw(constant("HTTP/1.1 201 Created\r\n" +
			"Content-Length: 100\r\n\r\n{}")), 502, perhaps},
		{"answers without end", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.CopyN(w, zeros{}, maxAnswer+1)
		}, 502, perhaps},
		{"switches protocols", raw(constant("HTTP/1.1 101 Switching Protocols\r\n\r\n")),
			502, perhaps},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(test.answer)
			defer server.Close()
			// The rows that must time out do so soon. The others have all the time that they need.
			timeout := upstreamTimeout
			if test.status == http.StatusGatewayTimeout {
				timeout = 500 * time.Millisecond
			}
			if test.answer == nil {
				server.Close()
			}
			gateway, end := gatewayTo(t, server.URL, timeout)
			res, err := http.PostForm(gateway+callsPath, form("+14155550100", "+14155552671"))
			require.NoError(t, err)
			body := readError(t, res)
			assert.Equal(t, test.status, res.StatusCode)
			assert.Equal(t, test.status, body.Code)
			assert.Contains(t, body.Message, test.message)
			timedOut := test.status == http.StatusGatewayTimeout
			assert.Equal(t, timedOut, strings.Contains(body.Message, "in time"))
			log := end()
			assert.Contains(t, log, fmt.Sprintf(`"level":"ERROR","msg":"request",`+
				`"route":"/2010-04-01/Accounts/{sid}/Calls.json","status":%d`, test.status))
			assert.Contains(t, log, body.Message)
			assert.NotContains(t, log, "4155552671")
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestNothingIsSentTwice checks that the gateway does not send a call again if the upstream closes
// a reused connection without an answer. http.Transport would repeat a POST with an idempotency
// key.
func TestNothingIsSentTwice(t *testing.T) {
	var upstream twilioServer
	broken := raw(constant(""))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		form, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(form))
		upstream.ServeHTTP(httptest.NewRecorder(), r)
		if strings.Contains(string(form), "eve") {
			broken(w, r)
		}
	}))
	defer server.Close()
	gateway, _ := gatewayTo(t, server.URL, upstreamTimeout)
	for _, from := range []string{"alice", "eve"} {
		body := strings.NewReader(form(from, "client:bob").Encode())
		req, err := http.NewRequest(http.MethodPost, gateway+callsPath, body)
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Idempotency-Key", "1")
		req.Header.Set("X-Idempotency-Key", "1")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		assert.Equal(t, from == "eve", res.StatusCode == http.StatusBadGateway)
		_ = res.Body.Close()
	}
	want := []string{form("alice", "client:bob").Encode(), form("eve", "client:bob").Encode()}
	assert.Equal(t, want, upstream.forms)
}

// TestLoad sends many calls at once. The upstream answers some of them and fails on the others in
// different ways. Every call must get its own answer. Every accepted call must arrive exactly once,
// and a refused call must not arrive.
func TestLoad(t *testing.T) {
	const workers, calls = 32, 40
	var upstream twilioServer
	behaviour := map[string]http.HandlerFunc{
		"good":   upstream.ServeHTTP,
		"slow":   hang,
		"broken": raw(constant("")),
		"noise":  raw(constant("noise\n")),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		form, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(form))
		values, _ := url.ParseQuery(string(form))
		kind := values.Get("Kind")
		if kind != "good" {
			upstream.ServeHTTP(httptest.NewRecorder(), r)
		}
		behaviour[kind](w, r)
	}))
	defer server.Close()
	// A good answer takes milliseconds. A slow answer never comes.
	gateway, end := gatewayTo(t, server.URL, 3*time.Second)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}
	defer client.CloseIdleConnections()

	statuses := map[string]int{
		"good": 201, "refused": 400, "slow": 504, "broken": 502, "noise": 502,
	}
	var want []string
	var wg sync.WaitGroup
	for worker := range workers {
		var mine []url.Values
		for call := range calls {
			kind := []string{"good", "refused", "broken", "noise"}[call%4]
			if call == 0 && worker%8 == 0 {
				kind = "slow"
			}
			f := form("alice", "client:bob")
			if kind == "refused" {
				f.Set("From", "alice@example.com")
			}
			f.Set("Kind", kind)
			f.Set("Number", fmt.Sprintf("%d-%d", worker, call))
			mine = append(mine, f)
			if kind != "refused" {
				want = append(want, f.Encode())
			}
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			for _, f := range mine {
				res, err := client.PostForm(gateway+callsPath, f)
				if !assert.NoError(t, err) {
					return
				}
				body, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				assert.NoError(t, err)
				status := statuses[f.Get("Kind")]
				assert.Equal(t, status, res.StatusCode, "%s: %s", f.Get("Kind"), body)
				if status == http.StatusCreated {
					assert.Equal(t, fmt.Sprintf(`{"echo":%q}`, f.Encode()), string(body))
				}
			}
		}()
	}
	wg.Wait()
	assert.ElementsMatch(t, want, upstream.forms)
	assert.Equal(t, workers*calls, strings.Count(end(), "\n"))
}

func TestLogHasNoPersonalData(t *testing.T) {
	var upstream twilioServer
	server := httptest.NewServer(&upstream)
	defer server.Close()
	gateway, end := gatewayTo(t, server.URL, upstreamTimeout)
	for _, body := range []string{
		form("zaphod", "sip:trillian@example.com?X-Account=heartofgold").Encode(),
		form("zaphod@example.com", "sip:trillian@10.0.0.1?X-Account=heart%0dofgold").Encode(),
		form("+14155550100", "+14155552671").Encode(),
		form("+14155550100", "+999123456789").Encode(),
		form("client:zaphod", "4155552671").Encode(),
		"From=zaphod&To=trillian%zz",
		"From=zaphod&From=trillian&To=heartofgold",
	} {
		for _, path := range []string{callsPath, "/zaphod/4155552671", callsPath + "?trillian"} {
			req, err := http.NewRequest(http.MethodPost, gateway+path, strings.NewReader(body))
			require.NoError(t, err)
			req.SetBasicAuth("zaphod", "heartofgold")
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("User-Agent", "zaphod")
			res, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			_ = res.Body.Close()
		}
	}
	log := end()
	assert.Equal(t, 7*3, strings.Count(log, "\n"))
	for line := range strings.Lines(log) {
		assert.True(t, json.Valid([]byte(line)), line)
	}
	assert.Contains(t, log, `"rule":"from.user"`)
	for _, secret := range []string{
		"zaphod", "trillian", "heart", "4155550100", "4155552671", "999123456789", "Basic",
	} {
		assert.NotContains(t, log, secret)
	}
}

func TestSlowClient(t *testing.T) {
	var upstream twilioServer
	behind := httptest.NewServer(&upstream)
	defer behind.Close()
	target, err := parseUpstream(behind.URL)
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	server := newServer(newGateway(target, upstreamTimeout, log), log)
	assert.Positive(t, server.ReadTimeout)
	assert.Greater(t, server.WriteTimeout, upstreamTimeout)
	server.ReadTimeout = 50 * time.Millisecond
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })

	conn, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: gateway\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: 100\r\n\r\nFrom=", callsPath)
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusRequestTimeout, readError(t, res).Code)
	assert.Empty(t, upstream.forms)
}

// TestProgram runs the program itself and stops it with a signal while a call is in progress. The
// program must still answer the call.
func TestProgram(t *testing.T) {
	for _, stop := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(stop.String(), func(t *testing.T) {
			arrived, answer := make(chan struct{}), make(chan struct{})
			var upstream twilioServer
			handler := func(w http.ResponseWriter, r *http.Request) {
				close(arrived)
				<-answer
				upstream.ServeHTTP(w, r)
			}
			server := httptest.NewServer(http.HandlerFunc(handler))
			defer server.Close()

			program := exec.Command(os.Args[0], "-addr", "127.0.0.1:0", "-upstream", server.URL)
			program.Env = append(os.Environ(), runAsGateway+"=1")
			stderr, err := program.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, program.Start())
			defer func() { _ = program.Process.Kill() }()
			lines := bufio.NewScanner(stderr)
			line := func() map[string]any {
				var fields map[string]any
				require.True(t, lines.Scan(), "the log ended")
				require.NoError(t, json.Unmarshal(lines.Bytes(), &fields))
				return fields
			}
			listening := line()
			require.Equal(t, "listening", listening["msg"])
			address := fmt.Sprint("http://", listening["addr"])

			status := make(chan int, 1)
			go func() {
				res, err := http.PostForm(address+callsPath, form("alice", "client:bob"))
				if !assert.NoError(t, err) {
					close(status)
					return
				}
				_ = res.Body.Close()
				status <- res.StatusCode
			}()
			<-arrived
			require.NoError(t, program.Process.Signal(stop))
			assert.Equal(t, "stopping", line()["msg"])
			close(answer)
			assert.Equal(t, http.StatusCreated, <-status)
			assert.Equal(t, "request", line()["msg"])
			assert.Equal(t, "stopped", line()["msg"])
			assert.False(t, lines.Scan())
			assert.NoError(t, program.Wait())
		})
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"-upstream", "api.twilio.com"},
		{"-upstream", "ftp://example.com"},
		{"-upstream", "http://%"},
		{"extra"},
		{"-nonsense"},
	} {
		program := exec.Command(os.Args[0], args...)
		program.Env = append(os.Environ(), runAsGateway+"=1")
		out, err := program.CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		assert.Equal(t, 2, exit.ExitCode())
		assert.Contains(t, string(out), "-upstream")
	}
}

func TestAddressInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	log := slog.New(slog.DiscardHandler)
	err = run(context.Background(), listener.Addr().String(), newServer(nil, log), log)
	assert.ErrorIs(t, err, syscall.EADDRINUSE)
}
