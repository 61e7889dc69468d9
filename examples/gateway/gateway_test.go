package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/binary"
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
	"sync/atomic"
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
	values, _ := url.ParseQuery(string(form))
	_, _ = fmt.Fprintf(w, `{"sid":%q,"echo":%q}`, values.Get("To"), form)
}

// gatewayTo starts a gateway to upstream and returns its address. The function end stops the
// gateway and returns its log.
func gatewayTo(
	t *testing.T, upstream string, timeout time.Duration,
) (address string, end func() string) {
	t.Helper()
	var log bytes.Buffer
	g := newGateway(t, upstream, &log)
	g.timeout = timeout
	server := start(t, g)
	return server.URL, func() string {
		server.Close() // waits until every request is answered and logged
		return log.String()
	}
}

// newGateway returns a handler whose log goes to out.
func newGateway(t *testing.T, upstream string, out io.Writer) *gateway {
	t.Helper()
	target, err := url.Parse(upstream)
	require.NoError(t, err)
	return &gateway{
		upstream: target,
		timeout:  upstreamTimeout,
		base:     newBase(),
		log:      slog.New(slog.NewJSONHandler(out, nil)),
	}
}

// start serves h as the program does.
func start(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config = newServer(h)
	server.Start()
	t.Cleanup(server.Close)
	return server
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
	req.Header.Set("Connection", "X-Hop, Upgrade")
	req.Header.Set("Upgrade", "websocket")
	req.Header.Set("Expect", "100-continue")
	req.Header.Set("X-Forwarded-For", "192.0.2.1")
	req.Header.Set("X-Hop", "not for Twilio")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	assert.Equal(t, http.StatusCreated, res.StatusCode)
	assert.Equal(t, "RQ0", res.Header.Get("Twilio-Request-Id"))
	assert.Contains(t, read(t, res), fmt.Sprintf(`"echo":%q}`, sent))
	assert.Equal(t, []string{sent}, upstream.forms)
	assert.Equal(t, []string{"/base" + callsPath}, upstream.paths)
	header := upstream.headers[0]
	for _, name := range []string{"Expect", "X-Forwarded-For", "X-Forwarded-Host", "Upgrade"} {
		assert.Empty(t, header.Values(name), name)
	}
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
	right := form("alice", "client:bob").Encode()
	for _, test := range []struct {
		name, method, path, kind, body string
		header                         string // this one has the value x
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
		{name: "an empty query", path: callsPath + "?", body: right, status: 400, code: 400},
		{name: "a bad query", path: callsPath + "?To=%zz;", body: right, status: 400, code: 400},
		{name: "JSON", kind: "application/json", body: `{"From":"alice","To":"client:bob"}`,
			status: 400, code: 400},
		{name: "another Content-Type", header: "Content-Type", body: right, status: 400, code: 400},
		{name: "too large", body: "From=alice&To=client:bob&Twiml=" + strings.Repeat("x", 64<<10),
			status: 400, code: 400},
		{name: "a large header", header: strings.Repeat("X", maxHeader), body: right,
			status: 431, code: 431},
		{name: "an override", header: "X-HTTP-Method-Override", body: right,
			status: 400, code: 400},
		{name: "a short override", header: "x_http_method", body: right, status: 400, code: 400},
		{name: "an old override", header: "X-Method-Override", body: right, status: 400, code: 400},
		{name: "an override without X", header: "HTTP-Method-Override", body: right,
			status: 400, code: 400},
		{name: "another URL", header: "X-Original-URL", body: right, status: 400, code: 400},
		{name: "an array of overrides", body: right + "&_method[]=PUT", status: 400, code: 400},
		{name: "an override in the form", body: right + "&+_Method=PUT", status: 400, code: 400},
		{name: "an override in the URL", path: callsPath + "?_method=PUT", body: right,
			status: 400, code: 400},
		{name: "an escape in the Sid", path: "/2010-04-01/Accounts/%41C0/Calls.json", body: right,
			status: 404, code: 404},
		{name: "an escaped slash", path: "/2010-04-01/Accounts/AC0%2fCalls.json", body: right,
			status: 404, code: 404},
		{name: "a slash at the end", path: callsPath + "/", body: right, status: 404, code: 404},
		{name: "without .json", path: "/2010-04-01/Accounts/AC0/Calls", body: right,
			status: 404, code: 404},
		{name: "two slashes", path: "/" + callsPath, body: right, status: 404, code: 404},
		{name: "dots", path: "/x/.." + callsPath, body: right, status: 404, code: 404},
		{name: "dots at the end", path: callsPath + "/CA0/..", body: right,
			status: 404, code: 404},
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
			gateway, end := gatewayTo(t, server.URL, upstreamTimeout)
			method, path := cmp.Or(test.method, http.MethodPost), cmp.Or(test.path, callsPath)
			req, err := http.NewRequest(method, gateway+path, strings.NewReader(test.body))
			require.NoError(t, err)
			req.Header.Set("Content-Type", cmp.Or(test.kind, "application/x-www-form-urlencoded"))
			if test.header != "" {
				req.Header[test.header] = append(req.Header[test.header], "x")
			}
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
			log := end()
			assert.Equal(t, 1, strings.Count(log, "\n"))
			assert.Contains(t, log, fmt.Sprintf(`"status":%d`, test.status))
			assert.NotContains(t, log, "AC0")
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
		notPlaced = "it was not placed"
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
		{"switches protocols and stays", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			conn, _, _ := w.(http.Hijacker).Hijack()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n"+
				"Connection: Upgrade\r\nUpgrade: x\r\n\r\n")
			<-r.Context().Done()
			_ = conn.Close()
		}, 502, perhaps},
		{"is elsewhere", raw(constant("HTTP/1.1 307 Temporary Redirect\r\n" +
			"Location: /\r\nContent-Length: 0\r\n\r\n")), 502, perhaps},
		{"has a long header", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeader))
		}, 502, perhaps},
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
			assert.Contains(t, log, `"level":"ERROR","msg":"request"`)
			assert.Contains(t, log, fmt.Sprintf(`"status":%d`, test.status))
			assert.NotContains(t, log, "client_gone")
			assert.Equal(t, test.answer == nil, strings.Contains(log, "connection refused"))
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
					assert.Contains(t, string(body), fmt.Sprintf(`"echo":%q}`, f.Encode()))
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
	assert.NotContains(t, log, `"sid"`) // the upstream answers with the To as the sid
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
	server := newServer(newGateway(t, behind.URL, io.Discard))
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

// TestRawRequests sends requests that http.Client cannot send. The gateway answers and logs each.
func TestRawRequests(t *testing.T) {
	for _, test := range []struct {
		line   string
		status int
	}{
		{"CONNECT api.twilio.com:443 HTTP/1.1", 404},
		{"CONNECT " + callsPath + " HTTP/1.1", 405},
		{"OPTIONS * HTTP/1.1", 404},
		{"POST http://api.twilio.com/%2e%2e" + callsPath + " HTTP/1.1", 404},
		{"POST http://api.twilio.com" + callsPath + " HTTP/1.1", 400},
		{"post " + callsPath + " HTTP/1.1", 405},
		{"POST //api.twilio.com" + callsPath + " HTTP/1.1", 404},
		{"POST /2010-04-01/../2010-04-01/Accounts/AC0/Calls.json HTTP/1.1", 404},
		{"POST /2010-04-01/Accounts/../Calls.json HTTP/1.1", 404},
		{"POST " + callsPath + ";a=b HTTP/1.1", 404},
		{"POST /healthz/.." + callsPath + " HTTP/1.0", 404},
	} {
		gateway, end := gatewayTo(t, "http://127.0.0.1:1", upstreamTimeout)
		conn, err := net.Dial("tcp", strings.TrimPrefix(gateway, "http://"))
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "%s\r\nHost: zaphod\r\n\r\n", test.line)
		require.NoError(t, err)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		assert.Equal(t, test.status, res.StatusCode, test.line)
		readError(t, res)
		require.NoError(t, conn.Close())
		assert.Contains(t, end(), fmt.Sprintf(`"status":%d`, test.status))
	}
}

// TestConnectionNamesTheForm checks that no client can make the proxy leave out what the call
// needs.
func TestConnectionNamesTheForm(t *testing.T) {
	for _, name := range []string{"Authorization", "close, content-type", "Content-Length"} {
		var upstream twilioServer
		g := newGateway(t, start(t, &upstream).URL, io.Discard)
		r := httptest.NewRequest(http.MethodPost, callsPath,
			strings.NewReader(form("alice", "client:bob").Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Connection", name)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		assert.Equal(t, http.StatusBadRequest, w.Code, name)
		assert.Empty(t, upstream.forms)
	}
}

// A blockedLog blocks every line until the test receives it.
type blockedLog chan string

func (l blockedLog) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// TestAnswerComesBeforeTheLog checks that a client has the complete answer before the line of the
// log is written.
func TestAnswerComesBeforeTheLog(t *testing.T) {
	for _, size := range []int{0, 100, 3000, 100_000} { // below and above the buffers of net/http
		upstream := httptest.NewServer(http.HandlerFunc(
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Trailer", "X-Trailer")
				_, _ = io.CopyN(w, zeros{}, int64(size))
				w.Header().Set("X-Trailer", "x")
			}))
		log := make(blockedLog)
		gateway := start(t, newGateway(t, upstream.URL, log))
		for _, test := range []struct {
			path, to string
			status   int
		}{
			{callsPath, "client:bob", 200},
			{callsPath, "bob", 400},
			{"/", "", 404},
		} {
			res, err := http.PostForm(gateway.URL+test.path, form("alice", test.to))
			require.NoError(t, err)
			body := read(t, res) // complete
			assert.Equal(t, test.status, res.StatusCode)
			if test.status == 200 {
				assert.Len(t, body, size)
			}
			assert.Contains(t, <-log, fmt.Sprintf(`"status":%d`, test.status))
		}
		upstream.Close()
	}
}

// vanish sends a call to h over a connection of its own. It closes the connection when leave is
// closed, and closes gone when the server has noticed.
func vanish(t *testing.T, h http.Handler, leave <-chan struct{}, gone chan<- struct{}) {
	t.Helper()
	server := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		context.AfterFunc(r.Context(), func() { close(gone) })
		h.ServeHTTP(w, r)
	}))
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	body := form("alice", "client:bob").Encode()
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: gateway\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: %d\r\n\r\n%s", callsPath, len(body), body)
	require.NoError(t, err)
	<-leave
	require.NoError(t, conn.Close())
	server.Close() // waits until the request is logged
}

// TestClientGoneBefore checks that no form is sent if the client goes while the gateway connects to
// the upstream.
func TestClientGoneBefore(t *testing.T) {
	for _, isHTTP2 := range []bool{false, true} {
		var upstream twilioServer
		server := httptest.NewUnstartedServer(&upstream)
		server.EnableHTTP2 = isHTTP2
		server.StartTLS()
		dialed, gone := make(chan struct{}), make(chan struct{})
		base := server.Client().Transport.(*http.Transport).Clone()
		dial := base.DialContext
		base.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			close(dialed)
			<-gone
			if dial == nil {
				return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
			}
			return dial(ctx, network, address)
		}
		var log bytes.Buffer
		g := newGateway(t, server.URL, &log)
		g.base = base
		vanish(t, g, dialed, gone)
		base.CloseIdleConnections()
		server.Close()
		upstream.mu.Lock() // a handler may still run
		for _, form := range upstream.forms {
			assert.Empty(t, form) // over HTTP/2, the header may arrive
		}
		upstream.mu.Unlock()
		assert.Contains(t, log.String(), `"client_gone":true`)
		assert.Contains(t, log.String(), "it was not placed")
		assert.NotContains(t, log.String(), "sid")
	}
}

// TestClientGoneBeforeItIsRead checks that no call is placed for a client that has closed its
// connection before the gateway reads the form, even if a connection to Twilio is ready.
func TestClientGoneBeforeItIsRead(t *testing.T) {
	var upstream twilioServer
	var log bytes.Buffer
	g := newGateway(t, start(t, &upstream).URL, &log)
	warm, err := http.PostForm(start(t, g).URL+callsPath, form("alice", "client:bob"))
	require.NoError(t, err)
	read(t, warm)

	gone := make(chan struct{})
	server := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-gone
		g.ServeHTTP(w, r)
	}))
	text := form("alice", "client:eve").Encode()
	for range 5 {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: gateway\r\n"+
			"Content-Type: application/x-www-form-urlencoded\r\n"+
			"Content-Length: %d\r\n\r\n%s", callsPath, len(text), text)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		gone <- struct{}{}
	}
	server.Close() // waits for the handlers
	upstream.mu.Lock()
	defer upstream.mu.Unlock()
	assert.Len(t, upstream.forms, 1)
	assert.Equal(t, 5, strings.Count(log.String(), "was not placed"))
}

// A stuckBase connects until the request is canceled.
type stuckBase chan struct{}

func (b stuckBase) RoundTrip(r *http.Request) (*http.Response, error) {
	close(b)
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestClientGoneEndsTheDial checks that the gateway does not go on connecting for nobody.
func TestClientGoneEndsTheDial(t *testing.T) {
	var log bytes.Buffer
	g := newGateway(t, "http://127.0.0.1:1", &log)
	base := make(stuckBase)
	g.base = base
	vanish(t, g, base, make(chan struct{}))
	assert.Contains(t, log.String(), `"client_gone":true`)
	assert.NotContains(t, log.String(), "in time")
}

// TestWithdraw checks that a form can be read or withdrawn, but not both.
func TestWithdraw(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	open := func() *formBody {
		return &formBody{ReadCloser: io.NopCloser(strings.NewReader("From=alice")), client: ctx}
	}
	sent, withdrawn, late := open(), open(), open()
	assert.True(t, withdrawn.withdraw())
	_, err := withdrawn.Read(make([]byte, 4))
	assert.Error(t, err)
	assert.True(t, withdrawn.withdraw())

	_, err = sent.Read(make([]byte, 4))
	require.NoError(t, err)
	cancel()
	assert.False(t, sent.withdraw())
	rest, err := io.ReadAll(sent)
	require.NoError(t, err)
	assert.Equal(t, "=alice", string(rest))

	_, err = late.Read(make([]byte, 4)) // the client has gone
	assert.Error(t, err)
	assert.True(t, late.withdraw())
}

// TestClientGoneAfter checks that the gateway waits for the answer if the client goes while the
// upstream has the form, and logs the sid of the call.
func TestClientGoneAfter(t *testing.T) {
	arrived, gone := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			close(arrived)
			<-gone
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"from":"alice","sid":"CA0123456789abcdef"}`)
		}))
	defer upstream.Close()
	var log bytes.Buffer
	vanish(t, newGateway(t, upstream.URL, &log), arrived, gone)
	for _, field := range []string{
		`"level":"WARN"`, `"sid":"CA0123456789abcdef"`, `"client_gone":true`, `"status":201`,
	} {
		assert.Contains(t, log.String(), field)
	}
	assert.NotContains(t, log.String(), "alice")
}

// TestSlowAnswer checks that a client does not look gone when the time for its request is over
// while the upstream works. It also checks that a compressed answer is read.
func TestSlowAnswer(t *testing.T) {
	canceled := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-canceled:
			case <-time.After(200 * time.Millisecond):
			}
			w.Header().Set("Content-Encoding", r.Header.Get("Accept-Encoding"))
			packed := gzip.NewWriter(w)
			_, _ = io.WriteString(packed, `{"sid":"CA0"}`)
			_ = packed.Close()
		}))
	defer upstream.Close()
	var log bytes.Buffer
	g := newGateway(t, upstream.URL, &log)
	server := httptest.NewUnstartedServer(nil)
	server.Config = newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer context.AfterFunc(r.Context(), func() { close(canceled) })()
		g.ServeHTTP(w, r)
	}))
	server.Config.ReadTimeout = 50 * time.Millisecond
	server.Start()
	body := strings.NewReader(form("alice", "client:bob").Encode())
	req, err := http.NewRequest(http.MethodPost, server.URL+callsPath, body)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept-Encoding", "gzip, deflate")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	assert.Equal(t, `{"sid":"CA0"}`, read(t, res))
	server.Close()
	assert.Contains(t, log.String(), `"sid":"CA0"`)
	assert.NotContains(t, log.String(), "client_gone")
}

// TestRedirect checks that neither the gateway nor its client sends the call and the credentials to
// where a redirect says.
func TestRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		var other twilioServer
		elsewhere := httptest.NewServer(&other)
		upstream := httptest.NewServer(http.RedirectHandler(elsewhere.URL+callsPath, status))
		gateway, _ := gatewayTo(t, upstream.URL, upstreamTimeout)
		body := strings.NewReader(form("alice", "client:bob").Encode())
		req, err := http.NewRequest(http.MethodPost, gateway+callsPath, body)
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("AC0", "secret")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		assert.Equal(t, http.StatusBadGateway, readError(t, res).Code)
		upstream.Close()
		elsewhere.Close()
		assert.Empty(t, other.headers)
	}
}

// TestHTTP2IsNotRepeated checks that the gateway sends one form at most if an upstream ends the
// stream of a call so that http.Transport would send another. The upstream writes raw frames.
func TestHTTP2IsNotRepeated(t *testing.T) {
	const data, headers, settings = 0, 1, 4
	for name, end := range map[string]func(stream uint32) []byte{
		"REFUSED_STREAM": func(stream uint32) []byte {
			return binary.BigEndian.AppendUint32(frame(3, stream, 4), 7)
		},
		"GOAWAY": func(uint32) []byte { return append(frame(7, 0, 8), make([]byte, 8)...) },
	} {
		for _, on := range []byte{headers, data} {
			var streams, forms atomic.Int32
			serve := func(conn io.ReadWriter) {
				_, _ = io.CopyN(io.Discard, conn, 24) // the preface
				_, _ = conn.Write(frame(settings, 0, 0))
				var header [9]byte
				for {
					if _, err := io.ReadFull(conn, header[:]); err != nil {
						return
					}
					length := int64(header[0])<<16 | int64(header[1])<<8 | int64(header[2])
					_, _ = io.CopyN(io.Discard, conn, length)
					kind, stream := header[3], binary.BigEndian.Uint32(header[5:])
					switch {
					case kind == headers:
						streams.Add(1)
					case kind == data && length > 0:
						forms.Add(1)
					}
					if kind == on && stream > 0 {
						_, _ = conn.Write(end(stream))
					}
				}
			}
			upstream := httptest.NewUnstartedServer(nil)
			upstream.EnableHTTP2 = true
			upstream.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
				"h2": func(_ *http.Server, conn *tls.Conn, _ http.Handler) { serve(conn) },
			}
			upstream.StartTLS()
			g := newGateway(t, upstream.URL, io.Discard)
			base := newBase()
			base.TLSClientConfig = upstream.Client().Transport.(*http.Transport).TLSClientConfig
			g.base = base
			gateway := start(t, g)
			res, err := http.PostForm(gateway.URL+callsPath, form("alice", "client:bob"))
			require.NoError(t, err)
			message := readError(t, res).Message
			assert.Equal(t, http.StatusBadGateway, res.StatusCode)
			assert.EqualValues(t, 1, streams.Load(), name)
			assert.LessOrEqual(t, forms.Load(), int32(1), name)
			if forms.Load() > 0 {
				assert.Contains(t, message, "may have been placed")
			}
			base.CloseIdleConnections()
			upstream.Close()
		}
	}
}

// frame returns the header of a frame of HTTP/2 without flags (RFC 9113, section 4.1).
func frame(kind byte, stream uint32, length byte) []byte {
	return binary.BigEndian.AppendUint32([]byte{0, 0, length, kind, 0}, stream)
}

// TestIdleConnections checks that the gateway closes idle connections before servers commonly do,
// after 60 s or more.
func TestIdleConnections(t *testing.T) {
	assert.Equal(t, 30*time.Second, newBase().IdleConnTimeout)
	assert.True(t, newBase().ForceAttemptHTTP2)
}

// A program is the gateway in a process of its own.
type program struct {
	*exec.Cmd
	address string
	lines   *bufio.Scanner // of standard error
}

// startProgram starts the program with its standard error going to out, and waits until it listens.
func startProgram(t *testing.T, out *os.File, lines io.Reader, args ...string) program {
	t.Helper()
	args = append([]string{"-addr", "127.0.0.1:0"}, args...)
	p := program{exec.Command(os.Args[0], args...), "", bufio.NewScanner(lines)}
	p.Env = append(os.Environ(), runAsGateway+"=1")
	p.Stderr = out
	require.NoError(t, p.Start())
	t.Cleanup(func() { _ = p.Process.Kill() })
	require.NoError(t, out.Close())
	listening := p.line(t)
	require.Equal(t, "listening", listening["msg"])
	p.address = fmt.Sprint("http://", listening["addr"])
	return p
}

// line returns the next line of the log.
func (p program) line(t *testing.T) map[string]any {
	t.Helper()
	var fields map[string]any
	require.True(t, p.lines.Scan(), "the log ended")
	require.NoError(t, json.Unmarshal(p.lines.Bytes(), &fields), p.lines.Text())
	return fields
}

// pipe returns the two ends of a pipe. The test must close the second.
func pipe(t *testing.T) (in, out *os.File) {
	t.Helper()
	in, out, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = in.Close() })
	return in, out
}

// TestProgram stops the program with a signal while a call is in progress. The program must still
// answer the call.
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
			in, out := pipe(t)
			p := startProgram(t, out, in, "-upstream", server.URL)
			status := make(chan int, 1)
			go func() {
				res, err := http.PostForm(p.address+callsPath, form("alice", "client:bob"))
				if !assert.NoError(t, err) {
					close(status)
					return
				}
				_ = res.Body.Close()
				status <- res.StatusCode
			}()
			<-arrived
			require.NoError(t, p.Process.Signal(stop))
			assert.Equal(t, "stopping", p.line(t)["msg"])
			close(answer)
			assert.Equal(t, http.StatusCreated, <-status)
			assert.Equal(t, "request", p.line(t)["msg"])
			assert.Equal(t, "stopped", p.line(t)["msg"])
			assert.False(t, p.lines.Scan())
			assert.NoError(t, p.Wait())
		})
	}
}

// TestLogHasNoReader checks that the program answers calls and stops in order if the reader of its
// log has gone, and if the reader does not read while more lines come than the program keeps.
func TestLogHasNoReader(t *testing.T) {
	var upstream twilioServer
	server := httptest.NewServer(&upstream)
	defer server.Close()
	call := func(p program) {
		t.Helper()
		res, err := http.PostForm(p.address+callsPath, form("alice", "client:bob"))
		require.NoError(t, err)
		assert.Equal(t, http.StatusCreated, res.StatusCode)
		_ = read(t, res)
	}
	t.Run("gone", func(t *testing.T) {
		in, out := pipe(t)
		p := startProgram(t, out, in, "-upstream", server.URL)
		require.NoError(t, in.Close())
		for range 3 {
			call(p)
		}
		require.NoError(t, p.Process.Signal(syscall.SIGTERM))
		assert.NoError(t, p.Wait())
	})
	t.Run("blocked", func(t *testing.T) {
		const most = 64 << 10 / 200 // lines that a pipe holds
		in, out := pipe(t)
		p := startProgram(t, out, in, "-upstream", server.URL)
		for range maxLines + most + 100 {
			res, err := http.Get(p.address)
			require.NoError(t, err)
			_ = read(t, res)
		}
		call(p)
		require.NoError(t, p.Process.Signal(syscall.SIGTERM))
		assert.NoError(t, p.Wait())
	})
}

// TestLostLinesAreCounted checks that the log says how many lines it lacks.
func TestLostLinesAreCounted(t *testing.T) {
	in, out := io.Pipe()
	w := newLineWriter(out)
	for range maxLines + 10 { // one more may be on its way
		_, err := io.WriteString(w, "{}\n")
		require.NoError(t, err)
	}
	lines := bufio.NewScanner(in)
	lost, written := 0, 0
	for written+lost < maxLines+10 && lines.Scan() {
		var line struct{ Lines *int }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line))
		if line.Lines != nil {
			lost += *line.Lines
		} else {
			written++
		}
	}
	assert.Contains(t, []int{maxLines, maxLines + 1}, written)
	assert.Equal(t, maxLines+10, written+lost)
}

// TestStandardErrorIsClean checks that all lines are JSON without personal data if net/http prints
// what it gets: here the start of an answer that nobody asked for.
func TestStandardErrorIsClean(t *testing.T) {
	server := httptest.NewServer(raw(func(form string) string {
		return "HTTP/1.1 201 Created\r\nContent-Length: 13\r\n\r\n" + `{"sid":"CA0"}` + form
	}))
	defer server.Close()
	in, out := pipe(t)
	p := startProgram(t, out, in, "-upstream", server.URL)
	for range 3 {
		res, err := http.PostForm(p.address+callsPath, form("zaphod", "client:trillian"))
		require.NoError(t, err)
		assert.Equal(t, `{"sid":"CA0"}`, read(t, res))
	}
	var seen []any
	for range 6 {
		seen = append(seen, p.line(t)["msg"])
		assert.NotContains(t, p.lines.Text(), "zaphod")
		assert.NotContains(t, p.lines.Text(), "trillian")
	}
	assert.Contains(t, seen, any("request"))
	assert.Contains(t, fmt.Sprint(seen), "net/http reported a problem")
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	for p.lines.Scan() {
		assert.True(t, json.Valid(p.lines.Bytes()))
	}
	assert.NoError(t, p.Wait())
}

// TestFlags checks that the flags set the parser.
func TestFlags(t *testing.T) {
	var upstream twilioServer
	server := httptest.NewServer(&upstream)
	defer server.Close()
	in, out := pipe(t)
	p := startProgram(t, out, in, "-upstream", server.URL,
		"-numbers", "assigned", "-emergency", "-destinations", "+1 !+1900")
	for _, test := range []struct {
		to     string
		status int
		rule   string
	}{
		{"+14155552671", 201, ""},
		{"+12005552671", 400, "phone.assigned"},
		{"+911", 400, ""},
		{"911", 201, ""},
		{"+19005552671", 400, "phone.destination"},
		{"+442079460018", 400, "phone.destination"},
	} {
		res, err := http.PostForm(p.address+callsPath, form("+14155552672", test.to))
		require.NoError(t, err)
		assert.Equal(t, test.status, res.StatusCode, test.to)
		assert.Contains(t, read(t, res), test.rule)
	}
}

// TestHelp checks that the help says all that the comment of the package says.
func TestHelp(t *testing.T) {
	p := exec.Command(os.Args[0], "-h")
	p.Env = append(os.Environ(), runAsGateway+"=1")
	help, err := p.CombinedOutput()
	require.NoError(t, err)
	text, err := os.ReadFile("gateway.go")
	require.NoError(t, err)
	comment, _, found := strings.Cut(string(text), "\npackage main\n")
	require.True(t, found)
	for line := range strings.Lines(comment) {
		assert.Contains(t, string(help), strings.TrimSpace(strings.TrimPrefix(line, "//")))
	}
	for _, name := range []string{"addr", "upstream", "numbers", "emergency", "destinations"} {
		assert.Contains(t, string(help), "\n  -"+name)
	}
	assert.NotContains(t, string(help), "//\n")
	assert.NotContains(t, string(help), "import")
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"-upstream", "api.twilio.com"},
		{"-upstream", "ftp://example.com"},
		{"-upstream", "https://u:p@example.com"},
		{"-upstream", "https://example.com?a=b"},
		{"-upstream", "https://:443"},
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
	err = run(context.Background(), listener.Addr().String(), newServer(nil), log)
	assert.ErrorIs(t, err, syscall.EADDRINUSE)
}
