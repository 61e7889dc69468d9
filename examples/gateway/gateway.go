package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"example.com/callparams"
)

// A gateway checks calls and forwards those that pass.
type gateway struct {
	upstream  *url.URL
	timeout   time.Duration // for the whole answer of the upstream
	transport *http.Transport
	log       *slog.Logger
}

// newGateway returns the handler of the service.
func newGateway(upstream *url.URL, timeout time.Duration, log *slog.Logger) http.Handler {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// All connections go to one host, for which the default keeps 2 idle: under load, nearly every call
	// would open its own.
	transport.MaxIdleConnsPerHost = transport.MaxIdleConns
	g := &gateway{upstream, timeout, transport, log}
	mux := http.NewServeMux()
	mux.HandleFunc("/2010-04-01/Accounts/{sid}/Calls.json", g.handle(g.createCall))
	mux.HandleFunc("/", g.handle(notFound))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	return mux
}

// An answer is what a client gets.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// handle answers a request with what h returns, an error in the vendor's form, and logs it. The log knows
// the pattern of the path and neither the path nor the method, which a client may write anything in.
func (g *gateway) handle(h func(*http.Request) (answer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		a, err := h(r)
		if err != nil {
			a = refuse(err)
		}
		for name, values := range a.header {
			w.Header()[name] = values
		}
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body) // who has gone needs no answer

		level, attrs := slog.LevelInfo, []slog.Attr{
			slog.String("route", r.Pattern),
			slog.Int("status", a.status),
			slog.Duration("took_ns", time.Since(start)),
		}
		if a.status >= 500 {
			level = slog.LevelError
		}
		if err != nil {
			attrs = append(attrs, slog.Any("error", err))
		}
		g.log.LogAttrs(context.Background(), level, "request", attrs...)
	}
}

// createCall forwards a call whose From and To pass.
func (g *gateway) createCall(r *http.Request) (answer, error) {
	form, err := readForm(r)
	if err != nil {
		return answer{}, err
	}
	request, err := parseRequest(form)
	if err != nil {
		return answer{}, err
	}
	if err := request.Validate(); err != nil {
		return answer{}, err
	}
	return g.forward(r, form)
}

func notFound(*http.Request) (answer, error) {
	return answer{}, fail(http.StatusNotFound, "only POST /2010-04-01/Accounts/{Sid}/Calls.json and /healthz are here")
}

// readForm returns the form that r carries, still encoded.
func readForm(r *http.Request) ([]byte, error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Method != http.MethodPost:
		return nil, fail(http.StatusMethodNotAllowed, "only POST is served here")
	case kind != "application/x-www-form-urlencoded":
		return nil, fail(http.StatusUnsupportedMediaType, "want Content-Type: application/x-www-form-urlencoded")
	case r.URL.RawQuery != "":
		return nil, fail(http.StatusBadRequest, "found parameters in the URL, want all of them in the form")
	}
	form, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, fail(http.StatusRequestEntityTooLarge, fmt.Sprintf("the form has more than %d bytes", maxBody))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fail(http.StatusRequestTimeout, "the form did not arrive in time")
	case err != nil:
		return nil, fail(http.StatusBadRequest, "the form did not arrive whole")
	}
	return form, nil
}

// parseRequest returns the From and To of a form. Nobody can say which of two the vendor would take.
func parseRequest(form []byte) (callparams.Request, error) {
	values, err := url.ParseQuery(string(form))
	switch {
	case err != nil: // its text quotes the form
		return callparams.Request{}, fail(http.StatusBadRequest, "the form is malformed: found a ; or a % without two hex digits")
	case len(values["From"]) > 1 || len(values["To"]) > 1:
		return callparams.Request{}, fail(http.StatusBadRequest, "found From or To more than once, want each once")
	}
	return callparams.Request{From: values.Get("From"), To: values.Get("To")}, nil
}

// forward sends the form to the upstream and returns the whole answer. That the client hangs up does not take a call
// back: the answer is awaited all the same, and logged.
func (g *gateway) forward(r *http.Request, form []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), g.timeout)
	defer cancel()
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	target := g.upstream.JoinPath(r.URL.EscapedPath()).String()
	out, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(form))
	if err != nil {
		return answer{}, unanswered(err, false)
	}
	out.Header = endToEnd(r.Header)
	res, err := g.transport.RoundTrip(out)
	if err != nil {
		return answer{}, unanswered(err, connected.Load())
	}
	defer func() { _ = res.Body.Close() }() // it was read; nothing is left to fail
	body, err := io.ReadAll(http.MaxBytesReader(nil, res.Body, maxAnswer))
	if err != nil || res.StatusCode < http.StatusOK {
		return answer{}, unanswered(err, true)
	}
	return answer{res.StatusCode, endToEnd(res.Header), body}, nil
}

// endToEnd returns a copy of h without what belongs to one connection alone: RFC 9110, section 7.6.1. It
// drops the idempotency keys too, which would let http.Transport send a call twice.
func endToEnd(h http.Header) http.Header {
	h = h.Clone()
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range []string{
		"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect",
		"Idempotency-Key", "X-Idempotency-Key",
	} {
		h.Del(name)
	}
	return h
}

// A failure is an error of the gateway's own.
type failure struct {
	status  int
	message string
	cause   error // for the log; it has no personal data
}

func fail(status int, message string) error { return failure{status: status, message: message} }

func (f failure) Error() string { return f.message }

func (f failure) Unwrap() error { return f.cause }

// MarshalJSON returns the vendor's error body, with the status as code.
func (f failure) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Code     int    `json:"code"`
		Message  string `json:"message"`
		MoreInfo string `json:"more_info"`
		Status   int    `json:"status"`
	}{f.status, f.message, "https://httpwg.org/specs/rfc9110.html#status." + strconv.Itoa(f.status), f.status})
}

// LogValue returns the message and, if there is one, the cause.
func (f failure) LogValue() slog.Value {
	if f.cause == nil {
		return slog.StringValue(f.message)
	}
	return slog.StringValue(f.message + ": " + f.cause.Error())
}

// unanswered returns the failure of a call that the upstream did not answer because of err. Once it was connected,
// err may quote what the upstream sent, which may quote the call: it is not kept.
func unanswered(err error, connected bool) failure {
	f := failure{http.StatusBadGateway, "the upstream could not be reached; the call was not placed", err}
	if connected {
		f.message, f.cause = "the upstream gave no proper answer; the call may have been placed", nil
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		f.status = http.StatusGatewayTimeout
		f.message = strings.Replace(f.message, "; ", " in time; ", 1)
	}
	return f
}

// refuse returns the answer for err: one of the package's errors, which are the client's, or a failure.
func refuse(err error) answer {
	status := http.StatusBadRequest
	var f failure
	if errors.As(err, &f) {
		status = f.status
	}
	body, _ := json.Marshal(err) // of both, the fields can be written
	header := http.Header{"Content-Type": {"application/json"}}
	if status == http.StatusMethodNotAllowed {
		header.Set("Allow", http.MethodPost)
	}
	return answer{status, header, append(body, '\n')}
}
