package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"example.com/callparams"
	"example.com/callparams/examples/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	account     = "https://api.twilio.com/2010-04-01/Accounts/AC0"
	calls       = account + "/Calls.json"
	participant = account + "/Conferences/CF0/Participants.json"

	form      = "application/x-www-form-urlencoded"
	right     = "From=%2B14155550100&To=%2B14155552671"
	wrongFrom = "From=alice%40example.com&To=client:bob"

	application = "app:AP0123456789abcdef0123456789ABCDEF"
)

// A recorder answers every request as Twilio answers an accepted call, and keeps it.
type recorder struct {
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
}

func (b *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	var text []byte
	if r.Body != nil {
		text, _ = io.ReadAll(r.Body)
		_ = r.Body.Close()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = append(b.requests, r)
	b.bodies = append(b.bodies, string(text))
	answer := httptest.NewRecorder()
	answer.WriteHeader(http.StatusCreated)
	return answer.Result(), nil
}

// A countedBody is a body that counts how often it is closed.
type countedBody struct {
	io.Reader
	closed atomic.Int32
}

func (b *countedBody) Close() error {
	b.closed.Add(1)
	return nil
}

// post returns a POST of text to address, as http.Client.Post makes it, and its body.
func post(t *testing.T, address, text string) (*http.Request, *countedBody) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, address, strings.NewReader(text))
	require.NoError(t, err)
	r.Header.Set("Content-Type", form)
	body := &countedBody{Reader: r.Body}
	r.Body = body
	return r, body
}

// send sends r through p and returns the answer and what reached Base.
func send(t *testing.T, p callparams.Parser, r *http.Request) (*http.Response, *recorder) {
	t.Helper()
	base := new(recorder)
	res, err := transport.Transport{Base: base, Parser: p}.RoundTrip(r)
	require.NoError(t, err)
	return res, base
}

// A failure is Twilio's error body.
type failure struct {
	Code     int
	Message  string
	MoreInfo string `json:"more_info"`
	Status   int
	Details  struct{ Problems []*callparams.Problem }
}

// refused sends r, checks that it is answered without being sent, and returns the error body. Forms
// of the tests use these names and numbers, which no answer may hold.
func refused(t *testing.T, p callparams.Parser, r *http.Request) failure {
	t.Helper()
	res, base := send(t, p, r)
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
	assert.Equal(t, "application/json", res.Header.Get("Content-Type"))
	assert.Empty(t, base.requests)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	for _, personal := range []string{"alice", "bob", "4155550100", "4155552671"} {
		assert.NotContains(t, string(text), personal)
	}
	var f failure
	require.NoError(t, json.Unmarshal(text, &f), string(text))
	assert.Equal(t, http.StatusBadRequest, f.Status)
	assert.NotEmpty(t, f.Message)
	assert.Equal(t, callparams.Code(f.Code).DocsURL(), f.MoreInfo)
	return f
}

// ---- What is sent ----

func TestAcceptedIsSentAsGiven(t *testing.T) {
	const sip = "To=sip:bob%40example.com%3FX-A%3D4%25202"
	for _, test := range []struct{ address, text string }{
		{calls, right},
		{account + "/Calls", right},
		{"https://api.dublin.ie1.twilio.com/2010-04-01/Accounts/AC0/Calls.json", right},
		{calls + "?Verbose=1", right},
		{calls, "Url=https%3A%2F%2Fexample.com%2Fa%3Fb&" + sip + "&From=Front-Desk"},
		{calls, "%46rom=alice&T%6f=client:bob"},
		{calls, "From=alice&To=client:bob&Fromage=a&Tom=b&Fro=c&StatusCallbackEvent=a" +
			"&StatusCallbackEvent=b&&Twiml=" + strings.Repeat("x", 4000)},
		{calls, "From=alice&To=client:bob&CallerId=alice%40example.com&CallerId=x"},
		{calls, right + "&Twiml=" + strings.Repeat("x", 64<<10-len(right)-len("&Twiml="))},
		{participant, right},
		{account + "/Conferences/CF0/Participants", right},
		{account + "/Conferences/My%20Room/Participants.json", right},
		{participant, right + "&CallerId=%2B14155550100"},
		{participant, "From=alice&CallerId=8001&" + sip},
		{participant, "From=alice&To=client:bob%3Fa%3Db&CallerId=client:alice"},
		{participant, "From=alice&To=" + application},
		{participant, "From=client:alice&CallerId=%2B14155550100&To=" + application},
		{participant, "From=alice&To=" + url.QueryEscape(application+"?a=1&b=%26")},
	} {
		t.Run(test.address+" "+test.text[:min(len(test.text), 60)], func(t *testing.T) {
			r, body := post(t, test.address, test.text)
			r.Header.Set("X-Other", "kept")
			res, base := send(t, callparams.Parser{}, r)
			require.Equal(t, http.StatusCreated, res.StatusCode)
			require.Len(t, base.requests, 1)
			sent := base.requests[0]
			assert.Equal(t, test.text, base.bodies[0])
			assert.Equal(t, r.Header, sent.Header)
			assert.Equal(t, r.URL, sent.URL)
			assert.Equal(t, http.MethodPost, sent.Method)
			assert.EqualValues(t, len(test.text), sent.ContentLength)
			assert.Nil(t, sent.GetBody)
			assert.EqualValues(t, 1, body.closed.Load())
		})
	}
}

// TestRequestIsNotModified checks what the contract of http.RoundTripper asks for.
func TestRequestIsNotModified(t *testing.T) {
	for _, text := range []string{right, wrongFrom} {
		r, body := post(t, calls, text)
		r.Header.Set("Idempotency-Key", "1")
		r.Header["x-idempotency-key"] = []string{"2"}
		r.TransferEncoding = []string{"chunked"}
		before := r.Clone(r.Context())
		_, base := send(t, callparams.Parser{}, r)
		assert.Same(t, body, r.Body)
		assert.NotNil(t, r.GetBody)
		r.GetBody, before.GetBody = nil, nil // functions are never equal
		assert.Equal(t, before, r)
		for _, sent := range base.requests {
			assert.NotSame(t, r, sent)
			assert.Equal(t, http.Header{"Content-Type": {form}}, sent.Header)
			assert.Empty(t, sent.TransferEncoding)
		}
	}
}

// TestOthersPassUntouched checks that Base gets other requests themselves, not copies.
func TestOthersPassUntouched(t *testing.T) {
	for _, test := range []struct{ method, address string }{
		{"GET", calls},
		{"", calls},
		{"DELETE", calls},
		{"GET", calls + "?From=alice&To=bob"},
		{"POST", account + "/Calls/CA0.json"},
		{"POST", account + "/Calls/CA0"},
		{"POST", account + "/Calls/CA0/Recordings.json"},
		{"POST", account + "/Conferences/CF0.json"},
		{"POST", account + "/Conferences/CF0/Participants/CA0.json"},
		{"POST", account + "/Conferences/CF0/Participants/+14155552671.json"},
		{"POST", account + "/Conferences/Calls.json"},
		{"POST", account + "/Messages.json"},
		{"POST", account + "/CallsX.json"},
		{"POST", "https://api.twilio.com/2010-04-01/Accounts.json"},
		{"POST", "https://api.twilio.com/2010-04-01/Accounts/Calls.json"},
		{"POST", "https://example.com/other/2010-04-01/Accounts/AC0/Calls.json"},
		{"POST", "https://example.com"},
	} {
		t.Run(test.method+" "+test.address, func(t *testing.T) {
			r, _ := post(t, test.address, wrongFrom)
			r.Method = test.method
			r.Header.Set("Idempotency-Key", "1")
			_, base := send(t, callparams.Parser{}, r)
			require.Len(t, base.requests, 1)
			assert.Same(t, r, base.requests[0])
			assert.Equal(t, wrongFrom, base.bodies[0])
			assert.NotNil(t, r.GetBody)
		})
	}
	_, err := transport.Transport{}.RoundTrip(&http.Request{Method: http.MethodPost})
	assert.ErrorContains(t, err, "nil Request.URL")
}

// TestMethodInAnyCase checks that no spelling of POST avoids the check.
func TestMethodInAnyCase(t *testing.T) {
	r, _ := post(t, calls, wrongFrom)
	r.Method = "post"
	assert.Equal(t, 21212, refused(t, callparams.Parser{}, r).Code)
	r, _ = post(t, calls, right)
	r.Method = "post"
	_, base := send(t, callparams.Parser{}, r)
	require.Len(t, base.requests, 1)
	assert.Equal(t, "post", base.requests[0].Method)
}

type baseFunc func(*http.Request) (*http.Response, error)

func (f baseFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestBaseAnswers checks that what Base returns is returned, whatever it is, and that a pointer to
// a Transport works as well as a Transport.
func TestBaseAnswers(t *testing.T) {
	want, broken := new(http.Response), errors.New("broken")
	base := baseFunc(func(*http.Request) (*http.Response, error) { return want, broken })
	for _, rt := range []http.RoundTripper{
		transport.Transport{Base: base}, &transport.Transport{Base: base},
	} {
		r, _ := post(t, calls, right)
		res, err := rt.RoundTrip(r)
		assert.Same(t, want, res)
		assert.Equal(t, broken, err)
	}
}

// ---- What is refused ----

func TestWrongValuesAreRefused(t *testing.T) {
	sender := "From=alice&To=client:bob"
	for _, test := range []struct {
		address, text string
		parser        callparams.Parser
		code          callparams.Code
		problems      []string // each as param, rule, offset and length
	}{
		{address: calls, text: wrongFrom, code: 21212, problems: []string{"From from.user 5 12"}},
		{address: account + "/Calls.json", text: "From=client:alice&To=%2B14155552671", code: 21212,
			problems: []string{"From from.phone 0 12"}},
		{address: calls, text: "From=alice%40x&To=bob", code: 21211,
			problems: []string{"To phone.plus 0 0", "From from.user 5 2"}},
		{address: calls, text: "Url=x", code: 21201,
			problems: []string{"To to.required 0 0", "From from.required 0 0"}},
		{address: calls, text: "To=client:bob", code: 21213,
			problems: []string{"From from.required 0 0"}},
		{address: calls, text: "From&To=client:bob", code: 21213,
			problems: []string{"From from.required 0 0"}},
		{address: calls, text: "From=+14155550100&To=%2B14155552671", code: 21212,
			problems: []string{"From phone.plus 0 1"}},
		{address: calls, text: "From=alice%00&To=client:bob", code: 21212,
			problems: []string{"From user.char 5 1"}},
		{address: calls, text: "From=alice&To=" + application, code: 21211,
			problems: []string{"To scheme.unknown 0 4"}},
		{address: calls, text: right, code: 21215,
			parser:   callparams.Parser{Destinations: must(callparams.ParseDestinations("+44"))},
			problems: []string{"To phone.destination 0 12"}},

		{address: participant, text: "To=client:bob", code: 21213,
			problems: []string{"From from.required 0 0"}},
		{address: participant, text: "CallerId=alice", code: 21201,
			problems: []string{"To to.required 0 0", "From from.required 0 0"}},
		{address: participant, text: right + "&CallerId=client:alice", code: 21212,
			problems: []string{"CallerId from.phone 0 12"}},
		{address: participant, text: sender + "&CallerId=", code: 21213,
			problems: []string{"CallerId from.required 0 0"}},
		{address: participant, text: sender + "&CallerId=sip:alice%40x", code: 21212,
			problems: []string{"CallerId from.user 9 2"}},
		{address: participant, text: "From=alice%40x&To=bob&CallerId=bob%40x", code: 21211,
			problems: []string{
				"To phone.plus 0 0", "From from.user 5 2", "CallerId from.user 3 2"}},
		{address: participant, text: right + "&CallerId=%2B14155552671", code: 21211,
			problems: []string{"To same.party 0 12"}},
		{address: participant, text: "To=" + application, code: 21213,
			problems: []string{"From from.required 0 0"}},
		{address: participant, text: "From=a%40b&CallerId=a+b&To=" + application, code: 21212,
			problems: []string{"From from.user 1 2", "CallerId user.char 1 1"}},
		{address: participant, text: "From=alice&To=" + application[:37], code: 21211,
			problems: []string{"To scheme.unknown 0 4"}},
		{address: participant, text: "From=alice&To=" + application + "0", code: 21211,
			problems: []string{"To scheme.unknown 0 4"}},
		{address: participant, text: "From=alice&To=" + application + "%0A", code: 21211,
			problems: []string{"To value.wrapped 38 1"}},
		{address: participant, text: "From=alice&To=" + application + "%3Fa", code: 21211,
			problems: []string{"To client.params 40 0"}},
		{address: participant, text: "From=alice&To=tel:%2B14155552671", code: 21211,
			problems: []string{"To scheme.unknown 0 4"}},
		{address: participant, text: right, code: 21215,
			parser:   callparams.Parser{Destinations: must(callparams.ParseDestinations("+44"))},
			problems: []string{"To phone.destination 0 12"}},
	} {
		t.Run(test.address+" "+test.text, func(t *testing.T) {
			r, body := post(t, test.address, test.text)
			f := refused(t, test.parser, r)
			assert.EqualValues(t, test.code, f.Code)
			var problems []string
			for _, p := range f.Details.Problems {
				problems = append(problems,
					fmt.Sprint(p.Param, " ", p.Rule, " ", p.Offset, " ", p.Len))
				assert.Contains(t, f.Message, p.Message)
			}
			assert.Equal(t, test.problems, problems)
			assert.EqualValues(t, 1, body.closed.Load())
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestMessagesNameCallerID checks that the messages speak of the parameter that was sent, and that
// they do not send an application elsewhere.
func TestMessagesNameCallerID(t *testing.T) {
	for text, message := range map[string]string{
		right + "&CallerId=alice": "CallerId: To is a phone number but CallerId is not; " +
			"use one here too (21212, byte 0)",
		right + "&CallerId=%2B14155552671": "To: this is the same phone number as CallerId; " +
			"call another number (21211, byte 0)",
		"From=alice&To=APP:AP0": "To: an application is app:AP and 32 hex digits (21211, byte 0)",
		"From=alice&To=" + application + "%3F": "To: the parameters of an application must be " +
			"name=value, joined with & and percent-encoded (21211, byte 39)",
	} {
		r, _ := post(t, participant, text)
		f := refused(t, callparams.Parser{}, r)
		assert.Equal(t, "callparams: "+message, f.Message)
	}
	r, _ := post(t, participant, right+"&CallerId=alice")
	problems := refused(t, callparams.Parser{}, r).Details.Problems
	assert.Equal(t, callparams.Assumed, problems[0].Basis)
}

// TestParserIsUsed checks a call that only the options of the parser let through.
func TestParserIsUsed(t *testing.T) {
	for _, address := range []string{calls, participant} {
		r, _ := post(t, address, "From=%2B14155550100&To=911")
		assert.Equal(t, 21211, refused(t, callparams.Parser{}, r).Code)
		r, _ = post(t, address, "From=%2B14155550100&To=911")
		_, base := send(t, callparams.Parser{Emergency: true}, r)
		assert.Len(t, base.requests, 1)
	}
}

// TestRefusalIsBounded checks that the answer does not grow with what is refused.
func TestRefusalIsBounded(t *testing.T) {
	r, _ := post(t, participant, url.Values{
		"To":       {"sip:bob@example.com?" + strings.Repeat("x&", 500)},
		"From":     {strings.Repeat("alice@", 1000)},
		"CallerId": {strings.Repeat("alice@", 1000)},
	}.Encode())
	assert.Len(t, refused(t, callparams.Parser{}, r).Details.Problems, 16+1+1)
}

func TestWrongFormsAreRefused(t *testing.T) {
	set := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = values }
	}
	long := right + "&Twiml=" + strings.Repeat("x", 64<<10)
	for _, test := range []struct {
		name, address, text string
		change              func(*http.Request)
		message             string
	}{
		{"From twice", calls, right + "&From=alice", nil, "From more than once"},
		{"From twice, the same", calls, right + "&From=%2B14155550100", nil, "From more than once"},
		{"To twice", calls, "To=client:bob&" + right, nil, "To more than once"},
		{"To twice, once escaped", calls, right + "&T%6F=client:bob", nil, "To more than once"},
		{"from", calls, "from=alice&To=client:bob", nil, "in another case"},
		{"From and FROM", calls, right + "&FROM=alice", nil, "in another case"},
		{"tO", calls, right + "&tO=client:bob", nil, "in another case"},
		{"an array", calls, right + "&To[]=client:bob", nil, "To more than once"},
		{"an item of an array", calls, right + "&From%5B0%5D=alice", nil, "From more than once"},
		{"NUL behind the name", calls, right + "&From%00=alice", nil, "From more than once"},
		{"byte order mark", calls, right + "&%EF%BB%BFTo=client:bob", nil, "To more than once"},
		{"a space in the name", calls, right + "&+To=client:bob", nil, "other characters in its"},
		{"CallerId twice", participant, right + "&CallerId=%2B14155550100&CallerId=alice", nil,
			"CallerId more than once"},
		{"CallerID", participant, right + "&CallerID=alice", nil, "CallerId more than once"},
		{"participant, From twice", participant, right + "&From=alice", nil, "From more than once"},
		{"semicolon", calls, "From=alice;To=client:bob", nil, "not encoded correctly"},
		{"percent", calls, right + "&Twiml=alice%zz", nil, "not encoded correctly"},
		{"JSON", calls, `{"From":"alice","To":"client:bob"}`,
			set("Content-Type", "application/json"),
			"another Content-Type"},
		{"no Content-Type", calls, right, set("Content-Type"), "another Content-Type"},
		{"two Content-Types", calls, right, set("Content-Type", form, form), "two of them"},
		{"two spellings", calls, right, set("content-type", form), "two of them"},
		{"multipart", calls, right, set("Content-Type", "multipart/form-data; boundary=x"),
			"another Content-Type"},
		{"text", calls, right, set("Content-Type", "text/plain"), "another Content-Type"},
		{"malformed Content-Type", calls, right, set("Content-Type", form+"; charset"),
			"another Content-Type"},
		{"charset", calls, right, set("Content-Type", form+"; charset=utf-16"), "charset"},
		{"gzip", calls, right, set("Content-Encoding", "gzip"), "a Content-Encoding"},
		{"gzip, another case", calls, right, set("content-encoding", "gzip"), "a Content-Encoding"},
		{"identity and gzip", calls, right, set("Content-Encoding", "identity", "gzip"),
			"a Content-Encoding"},
		{"long", calls, long, nil, "longer than 65536 bytes"},
		{"long, of unknown length", calls, long, func(r *http.Request) { r.ContentLength = -1 },
			"longer than 65536 bytes"},
		{"cut", calls, right, func(r *http.Request) { r.ContentLength++ }, "ContentLength"},
		{"overflowing", calls, right, func(r *http.Request) { r.ContentLength-- }, "ContentLength"},
		{"From in the URL", calls + "?From=alice", right, nil, "From in its query"},
		{"to in the URL", calls + "?a=b&%74o=bob", right, nil, "To in its query"},
		{"CallerId in the URL", participant + "?CallerId", right, nil, "CallerId in its query"},
		{"semicolon in the URL", calls + "?a;From=alice", right, nil,
			"query of the URL is not encoded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, body := post(t, test.address, test.text)
			if test.change != nil {
				test.change(r)
			}
			f := refused(t, callparams.Parser{}, r)
			assert.Equal(t, 400, f.Code)
			assert.Contains(t, f.Message, test.message)
			assert.Empty(t, f.Details.Problems)
			assert.EqualValues(t, 1, body.closed.Load())
		})
	}
}

func TestHeadersOfAForm(t *testing.T) {
	for _, header := range []http.Header{
		{"Content-Type": {form + "; charset=UTF-8"}},
		{"Content-Type": {strings.ToUpper(form) + `;charset="utf-8"`}},
		{"content-type": {form}},
		{"Content-Type": {form}, "Content-Encoding": {"Identity"}},
	} {
		r, _ := post(t, calls, right)
		r.Header = header
		_, base := send(t, callparams.Parser{}, r)
		require.Len(t, base.requests, 1, header)
		assert.Equal(t, header, base.requests[0].Header)
	}
}

// TestNoForm checks that a call without a form gets Twilio's answer to one without To and From.
func TestNoForm(t *testing.T) {
	for _, body := range []io.Reader{nil, http.NoBody, strings.NewReader("")} {
		r, err := http.NewRequest(http.MethodPost, calls, body)
		require.NoError(t, err)
		assert.Equal(t, 21201, refused(t, callparams.Parser{}, r).Code)
	}
}

// TestUnusualPaths checks that a path that some server may read as that of a call is refused, even
// with a right form, and never sent unchecked.
func TestUnusualPaths(t *testing.T) {
	const host = "https://api.twilio.com"
	for _, address := range []string{
		calls + "/",
		calls + "//",
		calls + "/.",
		account + "/Calls/",
		account + "//Calls.json",
		account + "/./Calls.json",
		account + "/x/../Calls.json",
		account + "/%2e/Calls.json",
		account + "%2FCalls.json",
		account + "%2fx/..%2fCalls.json",
		account + "%5CCalls.json",
		account + "/x/..;/Calls.json",
		account + "/.;/Calls.json",
		account + "/%20Calls.json",
		host + "/.;/2010-04-01/Accounts/AC0/Calls.json",
		account + "/calls.json",
		account + "/CALLS.JSON",
		account + "/%43alls.json",
		account + "/Calls%2Ejson",
		account + "/Calls.xml",
		account + "/Calls.csv",
		account + "/Calls.json.json",
		account + "/Calls;a=b",
		account + "/Calls.json;a=b?c",
		account + "/Calls.json%00",
		account + "/Calls%20",
		account + "/Calls.json%3FFrom=alice",
		account + "/Calls/.json",
		account + "/Calls.json/?a=b",
		host + "//2010-04-01/Accounts/AC0/Calls.json",
		host + "/./2010-04-01/Accounts/AC0/Calls.json",
		host + "/x/../2010-04-01/Accounts/AC0/Calls.json",
		host + "/2010-04-01/accounts/AC0/Calls.json",
		host + "/2010-04-01;a=b/Accounts;c=d/AC0/Calls.json",
		host + "/2010-04-01/Accounts/A%2FC/Calls.json",
		host + "/2010-04-01/Accounts/../Calls.json",
		host + "/%32010-04-01/Accounts/AC0/Calls.json",
		participant + "/",
		account + "/Conferences/CF0/participants.json",
		account + "/conferences/CF0/Participants.json",
		account + "/Conferences/a%2Fb/Participants.json",
		account + "/Conferences/../Participants.json",
		account + "/Conferences//CF0/Participants.json",
	} {
		t.Run(address, func(t *testing.T) {
			r, body := post(t, address, right)
			res, base := send(t, callparams.Parser{}, r)
			assert.Equal(t, http.StatusBadRequest, res.StatusCode)
			assert.Empty(t, base.requests)
			text, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			assert.Contains(t, string(text), "the path is written in an unusual way")
			assert.EqualValues(t, 1, body.closed.Load())
		})
	}
}

// TestUnusualSids checks that the Sids may be written in any way that leaves one segment.
func TestUnusualSids(t *testing.T) {
	for _, address := range []string{
		strings.Replace(calls, "AC0", "AC%30", 1),
		strings.Replace(calls, "AC0", "a;b", 1),
		strings.Replace(participant, "CF0", "R%C3%A4um%20%3F1", 1),
	} {
		r, _ := post(t, address, right)
		_, base := send(t, callparams.Parser{}, r)
		require.Len(t, base.requests, 1, address)
		assert.Equal(t, address, base.requests[0].URL.String())
		r, _ = post(t, address, wrongFrom)
		assert.Equal(t, 21212, refused(t, callparams.Parser{}, r).Code)
	}
}

// TestOpaqueURL checks a URL whose path stands in Opaque, as some clients write it to keep escapes.
func TestOpaqueURL(t *testing.T) {
	for _, opaque := range []string{
		"/2010-04-01/Accounts/AC0/Calls.json",
		"//api.twilio.com/2010-04-01/Accounts/AC0/Calls.json",
	} {
		r, _ := post(t, "https://api.twilio.com", wrongFrom)
		r.URL.Opaque = opaque
		assert.Equal(t, 21212, refused(t, callparams.Parser{}, r).Code)
	}
	// Nobody knows how a server reads these.
	for _, opaque := range []string{
		"//h:bad/2010-04-01/Accounts/AC0/Calls.json",
		"2010-04-01/Accounts/AC0/Calls.json",
		"/2010-04-01/Accounts/AC0/Calls.json%zz",
		"/2010-04-01/Accounts/AC0/Calls.json HTTP/1.0",
	} {
		r, _ := post(t, "https://api.twilio.com", right)
		r.URL.Opaque = opaque
		assert.Equal(t, 400, refused(t, callparams.Parser{}, r).Code, opaque)
	}
	r, _ := post(t, "https://api.twilio.com", right)
	r.URL.Opaque = "/2010-04-01/Accounts/AC0/Messages.json%zz"
	_, base := send(t, callparams.Parser{}, r)
	assert.Len(t, base.requests, 1)
}

// ---- The answer ----

// TestXML checks the answer for a path without .json, in the form of Twilio's XML.
func TestXML(t *testing.T) {
	for text, want := range map[string]string{
		wrongFrom: "<Code>21212</Code><Message>callparams: From: the caller address is not a " +
			"user name (21212, byte 5)</Message>" +
			"<MoreInfo>https://www.twilio.com/docs/errors/21212</MoreInfo>",
		right + "&From=alice": "<Code>400</Code><Message>callparams: the form has From more than " +
			"once, or in another case or with other characters in its name; send it once, as " +
			"From</Message>" +
			"<MoreInfo>https://www.twilio.com/docs/errors/400</MoreInfo>",
	} {
		for _, address := range []string{
			account + "/Calls", account + "/Conferences/a.json/Participants",
		} {
			r, _ := post(t, address, text)
			res, base := send(t, callparams.Parser{}, r)
			assert.Empty(t, base.requests)
			assert.Equal(t, http.StatusBadRequest, res.StatusCode)
			assert.Equal(t, "application/xml", res.Header.Get("Content-Type"))
			got, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			assert.Equal(t, xml.Header+"<TwilioResponse><RestException>"+want+
				"<Status>400</Status></RestException></TwilioResponse>", string(got))
		}
	}
}

// TestAnswerIsComplete checks that the answer can be written and read like one of a server.
func TestAnswerIsComplete(t *testing.T) {
	for _, address := range []string{calls, account + "/Calls"} {
		r, _ := post(t, address, wrongFrom)
		res, _ := send(t, callparams.Parser{}, r)
		assert.Same(t, r, res.Request)
		dump, err := httputil.DumpResponse(res, true)
		require.NoError(t, err)
		read, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(dump)), r)
		require.NoError(t, err)
		assert.Equal(t, "400 Bad Request", read.Status)
		assert.Equal(t, "HTTP/1.1", read.Proto)
		assert.Equal(t, res.ContentLength, read.ContentLength)
		text, err := io.ReadAll(read.Body)
		require.NoError(t, err)
		assert.EqualValues(t, res.ContentLength, len(text))
	}
}

// TestErrorReadsTheAnswer checks that the JSON is that of the *callparams.Error itself.
func TestErrorReadsTheAnswer(t *testing.T) {
	r, _ := post(t, calls, wrongFrom)
	res, _ := send(t, callparams.Parser{}, r)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	call := callparams.Request{From: "alice@example.com", To: "client:bob"}
	want, err := json.Marshal(call.Validate())
	require.NoError(t, err)
	assert.JSONEq(t, string(want), string(text))
	var found callparams.Error
	require.NoError(t, json.Unmarshal(text, &found))
	assert.ErrorIs(t, &found, callparams.RuleFromUser)
}

// ---- The body ----

func TestBodyFails(t *testing.T) {
	broken := errors.New("broken")
	r, _ := post(t, calls, "")
	body := &countedBody{Reader: io.MultiReader(strings.NewReader(right), iotest.ErrReader(broken))}
	r.Body, r.ContentLength = body, -1
	base := new(recorder)
	res, err := transport.Transport{Base: base}.RoundTrip(r)
	assert.Nil(t, res)
	assert.Equal(t, broken, err)
	assert.Empty(t, base.requests)
	assert.EqualValues(t, 1, body.closed.Load())
}

// TestLongBodyIsNotRead checks that no more of a body is read than decides.
func TestLongBodyIsNotRead(t *testing.T) {
	r, _ := post(t, calls, "")
	rest := strings.NewReader(strings.Repeat("x", 1<<20))
	r.Body, r.ContentLength = &countedBody{Reader: rest}, -1
	assert.Equal(t, 400, refused(t, callparams.Parser{}, r).Code)
	assert.GreaterOrEqual(t, rest.Len(), 1<<20-(64<<10+1))
}

// A stuckBody blocks every Read. Close ends them if it is a release, and else waits for them.
type stuckBody struct {
	reading, closing, released chan struct{}
	isRelease                  bool
}

func (b *stuckBody) Read([]byte) (int, error) {
	close(b.reading)
	<-b.released
	return 0, io.EOF
}

func (b *stuckBody) Close() error {
	close(b.closing) // a second call panics
	if b.isRelease {
		close(b.released)
	}
	<-b.released
	return nil
}

// TestCancelWhileTheBodyBlocks checks that RoundTrip waits neither for Read nor for Close, and that
// it closes the body.
func TestCancelWhileTheBodyBlocks(t *testing.T) {
	for _, isRelease := range []bool{true, false} {
		body := &stuckBody{make(chan struct{}), make(chan struct{}), make(chan struct{}), isRelease}
		ctx, cancel := context.WithCancel(context.Background())
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, calls, body)
		require.NoError(t, err)
		go func() {
			<-body.reading
			cancel()
		}()
		base := new(recorder)
		res, err := transport.Transport{Base: base}.RoundTrip(r)
		assert.Nil(t, res)
		assert.Equal(t, context.Canceled, err)
		<-body.closing
		if !isRelease {
			close(body.released)
		}
		assert.Empty(t, base.requests)
	}
}

// TestClientTimeout checks that the Timeout of an http.Client ends the wait for a body.
func TestClientTimeout(t *testing.T) {
	body := &stuckBody{make(chan struct{}), make(chan struct{}), make(chan struct{}), true}
	client := &http.Client{Transport: transport.Transport{}, Timeout: 10 * time.Millisecond}
	_, err := client.Post(calls, form, body)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	assert.True(t, timeout.Timeout())
	<-body.closing
}

// ---- With a server ----

// A twilioServer is a fake Twilio API over HTTP/1. It keeps the forms that it gets.
type twilioServer struct {
	*httptest.Server
	mu     sync.Mutex
	forms  []string
	header http.Header // of the last request
	length int64       // its ContentLength
}

// serve starts a twilioServer that answers with h once the form is read.
func serve(t *testing.T, h http.HandlerFunc) *twilioServer {
	t.Helper()
	s := new(twilioServer)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		if r.Method == http.MethodPost {
			s.forms = append(s.forms, string(text))
		}
		s.header, s.length = r.Header, r.ContentLength
		s.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *twilioServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.forms)
}

func created(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, `{"sid":"CA0"}`)
}

const callsPath = "/2010-04-01/Accounts/AC0/Calls.json"

func TestHTTPClient(t *testing.T) {
	s := serve(t, created)
	client := &http.Client{Transport: transport.Transport{}}
	form := url.Values{"From": {"alice"}, "To": {"client:bob"}}
	res, err := client.PostForm(s.URL+callsPath, form)
	require.NoError(t, err)
	assert.Equal(t, http.StatusCreated, res.StatusCode)
	_ = res.Body.Close()
	assert.Equal(t, []string{"From=alice&To=client%3Abob"}, s.forms)

	res, err = client.PostForm(s.URL+callsPath, url.Values{"From": {"alice"}, "To": {"bob"}})
	require.NoError(t, err)
	assert.Equal(t, http.StatusBadRequest, res.StatusCode)
	_ = res.Body.Close()
	assert.Len(t, s.forms, 1)
}

// TestLengthIsKnown checks that a body of unknown length, or one that waits for the server's
// consent, arrives whole and with its length.
func TestLengthIsKnown(t *testing.T) {
	for _, expect := range []string{"", "100-continue"} {
		s := serve(t, created)
		r, err := http.NewRequest(http.MethodPost, s.URL+callsPath,
			iotest.OneByteReader(strings.NewReader(right)))
		require.NoError(t, err)
		r.Header.Set("Content-Type", form)
		r.Header.Set("Expect", expect)
		r.TransferEncoding = []string{"chunked"}
		client := &http.Client{Transport: transport.Transport{Base: &http.Transport{
			ExpectContinueTimeout: time.Minute,
		}}}
		res, err := client.Do(r)
		require.NoError(t, err)
		_ = res.Body.Close()
		assert.Equal(t, http.StatusCreated, res.StatusCode)
		assert.Equal(t, []string{right}, s.forms)
		assert.EqualValues(t, len(right), s.length)
		client.CloseIdleConnections()
	}
}

func TestConcurrentUse(t *testing.T) {
	s := serve(t, created)
	client := &http.Client{Transport: &transport.Transport{}}
	var group sync.WaitGroup
	for i := range 16 {
		group.Add(1)
		go func() {
			defer group.Done()
			text, want := right, http.StatusCreated
			if i%2 == 1 {
				text, want = wrongFrom, http.StatusBadRequest
			}
			res, err := client.Post(s.URL+callsPath, form, strings.NewReader(text))
			if assert.NoError(t, err) {
				assert.Equal(t, want, res.StatusCode)
				_ = res.Body.Close()
			}
		}()
	}
	group.Wait()
	assert.Equal(t, 8, s.count())
}

// ---- No call is sent twice ----

// TestRedirectIsNotFollowed checks that http.Client does not repeat a call for a 307 or a 308. It
// does so without the transport.
func TestRedirectIsNotFollowed(t *testing.T) {
	for _, status := range []int{http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		for _, test := range []struct {
			client *http.Client
			target string
			forms  int
			status int
		}{
			{new(http.Client), callsPath, 2, http.StatusOK},
			{&http.Client{Transport: transport.Transport{}}, callsPath, 1, http.StatusBadRequest},
			{&http.Client{Transport: transport.Transport{}}, "/place", 1, http.StatusBadRequest},
		} {
			redirect := func(w http.ResponseWriter, r *http.Request) {
				if r.URL.RawQuery == "" {
					http.Redirect(w, r, test.target+"?again=1", status)
				}
			}
			s := serve(t, redirect)
			res, err := test.client.Post(s.URL+callsPath, form, strings.NewReader(right))
			require.NoError(t, err)
			text, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			_ = res.Body.Close()
			assert.Equal(t, test.status, res.StatusCode)
			assert.Len(t, s.forms, test.forms)
			assert.Equal(t, test.forms == 1, strings.Contains(string(text), "with a redirect"))
		}
	}
}

// TestCopiesHaveNoFramingOfTheCaller checks that no header in an unusual case can tell the server
// to read the form in another way: net/http sends it as it is.
func TestCopiesHaveNoFramingOfTheCaller(t *testing.T) {
	r, _ := post(t, calls, right)
	r.Header["transfer-encoding"] = []string{"chunked"}
	r.Header["content-length"] = []string{"3"}
	_, base := send(t, callparams.Parser{}, r)
	require.Len(t, base.requests, 1)
	assert.NotContains(t, base.requests[0].Header, "transfer-encoding")
	assert.NotContains(t, base.requests[0].Header, "content-length")
}

// TestDoneContext checks that nothing is sent for a context that is done already.
func TestDoneContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	base := new(recorder)
	for range 100 {
		r, _ := post(t, calls, right)
		_, err := transport.Transport{Base: base}.RoundTrip(r.WithContext(ctx))
		require.ErrorIs(t, err, context.Canceled)
	}
	assert.Empty(t, base.requests)
}

// closer is a Base that counts how often its idle connections are closed.
type closer struct {
	http.RoundTripper
	closed int
}

func (c *closer) CloseIdleConnections() { c.closed++ }

func TestCloseIdleConnections(t *testing.T) {
	base := new(closer)
	(&http.Client{Transport: transport.Transport{Base: base}}).CloseIdleConnections()
	assert.Equal(t, 1, base.closed)
	(&http.Client{Transport: transport.Transport{Base: new(recorder)}}).CloseIdleConnections()
	(&http.Client{Transport: transport.Transport{}}).CloseIdleConnections()
}

// TestIdempotencyKeyIsNotSent checks that http.Transport does not repeat a call over HTTP/1 if the
// connection, which has served another request before, ends without an answer. It does so for a
// request with a key, without the transport.
func TestIdempotencyKeyIsNotSent(t *testing.T) {
	for _, test := range []struct {
		wrap  func(http.RoundTripper) http.RoundTripper
		forms int
	}{
		{func(base http.RoundTripper) http.RoundTripper { return base }, 2},
		{func(base http.RoundTripper) http.RoundTripper {
			return transport.Transport{Base: base}
		}, 1},
	} {
		var s *twilioServer
		s = serve(t, func(_ http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && s.count() == 1 {
				panic(http.ErrAbortHandler) // closes the connection
			}
		})
		client := &http.Client{Transport: test.wrap(new(http.Transport))}
		res, err := client.Get(s.URL)
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()

		r, _ := post(t, s.URL+callsPath, right)
		r.Header.Set("Idempotency-Key", "1")
		res, err = client.Do(r)
		if err == nil {
			_ = res.Body.Close()
		}
		assert.Equal(t, test.forms == 1, err != nil)
		assert.Equal(t, test.forms, s.count())
		assert.Equal(t, test.forms == 2, s.header.Get("Idempotency-Key") != "")
		client.CloseIdleConnections()
	}
}

// The frames, flags and codes of HTTP/2 (RFC 9113, sections 6 and 7) that the tests need.
const (
	frameData     = 0
	frameHeaders  = 1
	frameReset    = 3
	frameSettings = 4
	frameGoAway   = 7

	flagAck, flagEndStream, flagEndHeaders = 1, 1, 4

	noError, protocolError, refusedStream = 0, 1, 7

	prefaceLen, headerLen = 24, 9
)

// frame returns a frame of HTTP/2 whose payload is a list of 32-bit numbers.
func frame(kind byte, stream uint32, payload ...uint32) []byte {
	b := []byte{0, 0, byte(4 * len(payload)), kind, 0}
	b = binary.BigEndian.AppendUint32(b, stream)
	for _, n := range payload {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

// ok returns the frame that answers a stream with ":status: 200", the entry 8 of HPACK's table.
func ok(stream uint32) []byte {
	b := []byte{0, 0, 1, frameHeaders, flagEndStream | flagEndHeaders}
	return append(binary.BigEndian.AppendUint32(b, stream), 0x80|8)
}

// An http2Server is a server whose streams end as a test wants. It counts the streams that start
// and the forms that arrive, over all connections.
type http2Server struct {
	*httptest.Server
	onHeaders, onForm func(stream uint32) []byte // return frames to write; nil does nothing
	onRepeat          func()                     // is called for each stream but the first
	streams, forms    atomic.Int32
}

func (s *http2Server) start(t *testing.T) {
	t.Helper()
	s.Server = httptest.NewUnstartedServer(nil)
	s.EnableHTTP2 = true
	s.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(_ *http.Server, conn *tls.Conn, _ http.Handler) { s.serveConn(conn) },
	}
	s.StartTLS()
	t.Cleanup(s.Close)
}

// serveConn reads frames until the client closes the connection.
func (s *http2Server) serveConn(conn io.ReadWriter) {
	_, err := io.CopyN(io.Discard, conn, prefaceLen)
	_, _ = conn.Write(frame(frameSettings, 0))
	var header [headerLen]byte
	for err == nil {
		if _, err = io.ReadFull(conn, header[:]); err != nil {
			return
		}
		n := int64(header[0])<<16 | int64(header[1])<<8 | int64(header[2])
		_, err = io.CopyN(io.Discard, conn, n)
		kind, flags, stream := header[3], header[4], binary.BigEndian.Uint32(header[5:])
		var answer []byte
		switch {
		case kind == frameSettings && flags&flagAck == 0:
			answer = frame(frameSettings, 0)
			answer[4] = flagAck
		case kind == frameHeaders:
			if s.streams.Add(1) > 1 && s.onRepeat != nil {
				s.onRepeat()
			}
			if s.onHeaders != nil {
				answer = s.onHeaders(stream)
			}
		case kind == frameData && flags&flagEndStream != 0:
			s.forms.Add(1)
			if s.onForm != nil {
				answer = s.onForm(stream)
			}
		}
		_, _ = conn.Write(answer)
	}
}

// TestHTTP2IsNotRepeated checks that a call starts one stream and sends one form at most, however
// the server ends the stream (golang.org/issue/52459). Without the transport, net/http starts
// another stream in all cases but one.
func TestHTTP2IsNotRepeated(t *testing.T) {
	reset := func(code uint32) func(uint32) []byte {
		return func(stream uint32) []byte { return frame(frameReset, stream, code) }
	}
	goAway := func(code uint32) func(uint32) []byte { // no stream was processed
		return func(uint32) []byte { return frame(frameGoAway, 0, 0, code) }
	}
	for _, test := range []struct {
		name              string
		onHeaders, onForm func(uint32) []byte
		without           int32 // streams without the transport, which is stopped at the second
	}{
		{"PROTOCOL_ERROR after the form", nil, reset(protocolError), 2},
		{"REFUSED_STREAM after the form", nil, reset(refusedStream), 2},
		{"GOAWAY after the form", nil, goAway(noError), 2},
		{"GOAWAY with an error after the form", nil, goAway(protocolError), 1},
		{"PROTOCOL_ERROR before the form", reset(protocolError), nil, 2},
		{"REFUSED_STREAM before the form", reset(refusedStream), nil, 2},
		{"GOAWAY before the form", goAway(noError), nil, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			call := func(wrap func(http.RoundTripper) http.RoundTripper) *http2Server {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				s := &http2Server{onHeaders: test.onHeaders, onForm: test.onForm, onRepeat: cancel}
				s.start(t)
				r, _ := post(t, s.URL+callsPath, right)
				_, err := wrap(s.Client().Transport).RoundTrip(r.WithContext(ctx))
				assert.Error(t, err)
				return s
			}
			s := call(func(base http.RoundTripper) http.RoundTripper { return base })
			assert.GreaterOrEqual(t, s.streams.Load(), test.without, "net/http has changed")

			s = call(func(base http.RoundTripper) http.RoundTripper {
				return transport.Transport{Base: base}
			})
			assert.EqualValues(t, 1, s.streams.Load())
			if test.onForm != nil {
				assert.EqualValues(t, 1, s.forms.Load())
			} else {
				assert.LessOrEqual(t, s.forms.Load(), int32(1))
			}
		})
	}
}

// TestHTTP2GoAwayBefore checks that a call after the end of a connection goes over a new one.
func TestHTTP2GoAwayBefore(t *testing.T) {
	s := &http2Server{onForm: func(stream uint32) []byte {
		return append(frame(frameGoAway, 0, stream, noError), ok(stream)...)
	}}
	s.start(t)
	client := &http.Client{Transport: transport.Transport{Base: s.Client().Transport}}
	for n := range 3 {
		res, err := client.Post(s.URL+callsPath, form, strings.NewReader(right))
		require.NoError(t, err)
		_ = res.Body.Close()
		assert.Equal(t, "HTTP/2.0", res.Proto)
		assert.EqualValues(t, n+1, s.forms.Load())
	}
}
