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
	timeout   time.Duration // for the complete answer from upstream
	transport *http.Transport
	log       *slog.Logger
}

// newGateway returns the HTTP handler of the service. It sends accepted calls to upstream.
func newGateway(upstream *url.URL, timeout time.Duration, log *slog.Logger) http.Handler {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// By default, a Transport keeps only 2 idle connections per host. All calls go to one host, so
	// under load nearly every call would open a new connection.
	transport.MaxIdleConnsPerHost = transport.MaxIdleConns
	g := &gateway{upstream, timeout, transport, log}
	mux := http.NewServeMux()
	mux.HandleFunc("/2010-04-01/Accounts/{sid}/Calls.json", g.handle(g.createCall))
	mux.HandleFunc("/", g.handle(notFound))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	return mux
}

// An answer is the response that a client gets.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// handle answers a request with the result of h and logs the request. It sends an error in Twilio's
// form. It logs the pattern of the path, but not the path or the method, because a client may write
// personal data into them.
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
		_, _ = w.Write(a.body) // fails only if the client has gone

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

// createCall checks the From and To of a call. If they pass, it forwards the call.
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
	return answer{}, fail(http.StatusNotFound, "the gateway does not serve this path; "+
		"use /2010-04-01/Accounts/{Sid}/Calls.json or /healthz")
}

// readForm returns the form in the body of r, still encoded.
func readForm(r *http.Request) ([]byte, error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Method != http.MethodPost:
		return nil, fail(http.StatusMethodNotAllowed, "the method must be POST")
	case kind != "application/x-www-form-urlencoded":
		return nil, fail(http.StatusUnsupportedMediaType,
			"the Content-Type must be application/x-www-form-urlencoded")
	case r.URL.RawQuery != "":
		return nil, fail(http.StatusBadRequest, "the URL has parameters; send them in the form")
	}
	form, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, fail(http.StatusRequestEntityTooLarge,
			fmt.Sprintf("the form must not be longer than %d bytes", maxBody))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fail(http.StatusRequestTimeout,
			"the form did not arrive in time; the call was not placed")
	case err != nil:
		return nil, fail(http.StatusBadRequest,
			"the form did not arrive completely; the call was not placed")
	}
	return form, nil
}

// parseRequest returns the From and To of a form. Each must appear only once, because nobody can
// tell which of two values Twilio would use.
func parseRequest(form []byte) (callparams.Request, error) {
	values, err := url.ParseQuery(string(form))
	switch {
	case err != nil: // err is not passed on, because its text quotes the form
		return callparams.Request{}, fail(http.StatusBadRequest,
			"the form is not encoded correctly (it has a ; or a % without two hex digits); "+
				"separate parameters with & and percent-encode their values")
	case len(values["From"]) > 1 || len(values["To"]) > 1:
		return callparams.Request{}, fail(http.StatusBadRequest,
			"the form has From or To more than once; send each only once")
	}
	return callparams.Request{From: values.Get("From"), To: values.Get("To")}, nil
}

// forward sends the form to the upstream and returns the complete answer. It waits for the answer
// even if the client hangs up: the call may be placed all the same, and the log must show it.
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
	defer func() { _ = res.Body.Close() }() // the body is read, so an error does not matter
	body, err := io.ReadAll(http.MaxBytesReader(nil, res.Body, maxAnswer))
	if err != nil || res.StatusCode < http.StatusOK {
		return answer{}, unanswered(err, true)
	}
	return answer{res.StatusCode, endToEnd(res.Header), body}, nil
}

// endToEnd returns a copy of h without the fields that are meant for a single connection (RFC 9110,
// section 7.6.1). It also drops idempotency keys, because http.Transport may send a call with
// such a key twice.
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

// A failure is an error of the gateway itself.
type failure struct {
	status  int
	message string
	cause   error // for the log only; it does not contain personal data
}

func fail(status int, message string) error { return failure{status: status, message: message} }

func (f failure) Error() string { return f.message }

func (f failure) Unwrap() error { return f.cause }

// MarshalJSON returns an error body in Twilio's form, with the HTTP status as the code.
func (f failure) MarshalJSON() ([]byte, error) {
	moreInfo := "https://httpwg.org/specs/rfc9110.html#status." + strconv.Itoa(f.status)
	return json.Marshal(struct {
		Code     int    `json:"code"`
		Message  string `json:"message"`
		MoreInfo string `json:"more_info"`
		Status   int    `json:"status"`
	}{f.status, f.message, moreInfo, f.status})
}

// LogValue returns the message, followed by the cause if it is set.
func (f failure) LogValue() slog.Value {
	if f.cause == nil {
		return slog.StringValue(f.message)
	}
	return slog.StringValue(f.message + ": " + f.cause.Error())
}

// unanswered returns the failure of a call that the upstream did not answer because of err. If the
// gateway was connected to the upstream, unanswered drops err: it may quote the upstream's answer,
// which may contain the call's From and To.
func unanswered(err error, connected bool) failure {
	f := failure{
		status:  http.StatusBadGateway,
		message: "the gateway could not reach Twilio; the call was not placed",
		cause:   err,
	}
	if connected {
		f.message = "the gateway did not get a valid answer from Twilio; " +
			"the call may have been placed, so check before you place it again"
		f.cause = nil
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		f.status = http.StatusGatewayTimeout
		f.message = strings.Replace(f.message, "; ", " in time; ", 1)
	}
	return f
}

// refuse returns the answer for err. An error that is not a failure comes from package callparams
// and gets the status 400.
func refuse(err error) answer {
	status := http.StatusBadRequest
	var f failure
	if errors.As(err, &f) {
		status = f.status
	}
	body, _ := json.Marshal(err) // cannot fail for these two types
	header := http.Header{"Content-Type": {"application/json"}}
	if status == http.StatusMethodNotAllowed {
		header.Set("Allow", http.MethodPost)
	}
	return answer{status, header, append(body, '\n')}
}
