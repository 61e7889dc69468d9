// Package transport checks the From and To of every call that an http.Client sends to Twilio. It
// answers a wrong call itself, as Twilio would have answered, so that the error handling of your
// client stays as it is. Every Go client of Twilio's API takes an http.Client:
//
//	checked := &http.Client{Transport: transport.Transport{}, Timeout: 10 * time.Second}
//
// With twilio-go, for example:
//
//	account := &client.Client{Credentials: client.NewCredentials(sid, token), HTTPClient: checked}
//	account.SetAccountSid(sid)
//	rest := twilio.NewRestClientWithParams(twilio.ClientParams{Client: account})
//
// # What is checked
//
// A call is a POST to one of these paths, at any host, with .json at the end or without:
//
//	/2010-04-01/Accounts/{Sid}/Calls
//	/2010-04-01/Accounts/{Sid}/Conferences/{Sid}/Participants
//
// Every other request passes untouched. A path that some servers may read as one of these, such as
// /2010-04-01/Accounts/{Sid}/calls.json/, is refused.
//
// Twilio requires From and To for both. For a participant, To may also be an application: app:AP
// and 32 hex digits, which "?" and parameters may follow. Its From is then checked alone. CallerId
// of a participant may be missing. If it is there, it is checked like From.
//
// The form must be one that everybody reads in the same way: in UTF-8, without a Content-Encoding,
// at most 64 KiB long, and with each of these parameters once. Nothing says that Twilio ignores
// from or FROM, so such a spelling is refused. So is a parameter of these in the query of the URL.
//
// # What a refusal is
//
// The answer has the status 400 and Twilio's error body: JSON, or XML if the path does not end
// with .json. The JSON lists the problems in "details", as [callparams.Error] reads and writes
// them. If the request as a whole is wrong, the code is 400, Twilio's code for a bad request, and
// there are no details. No answer holds personal data.
//
// # No call is sent twice
//
// By itself, net/http sends a POST again in some cases: over HTTP/2, if the server resets the
// stream or says that it closes the connection; over HTTP/1, if the connection breaks and the
// request has an Idempotency-Key; and if the answer is a redirect (307 or 308). Each copy may place
// a call. Transport prevents this, so that such a call fails: with an error or, for a redirect,
// with a refusal. A call can also fail because the server has closed an idle connection, where
// net/http would have tried another one.
//
// After an error, the call may have been placed. Check with Twilio before you place it again.
package transport

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync"

	"example.com/callparams"
)

const (
	maxForm = 64 << 10 // bytes; Twiml, the longest parameter, has up to 4,000 characters

	paramCallerID = "CallerId" // for a participant, what the user of the From header is
)

var (
	// callPath matches the paths of calls as Twilio documents them. A conference can have a name in
	// place of a Sid, so any text may stand there.
	callPath = regexp.MustCompile(
		`^/2010-04-01/Accounts/[^/]+/(Calls|Conferences/[^/]+/Participants)(\.json)?$`)

	// callPathAlike also matches what a server may read as such a path: any case, another suffix,
	// matrix parameters (;a=b), and a suffix after a slash.
	callPathAlike = regexp.MustCompile(`(?i)^/2010-04-01\b[^/]*/accounts\b[^/]*/[^/]+/` +
		`(calls|conferences\b[^/]*/[^/]+/participants)\b[^/]*(/[.;][^/]*)?$`)

	callWord = regexp.MustCompile(`(?i)/(calls|participants)\b`)
	jsonPath = regexp.MustCompile(`(?i)/(calls|participants)\b.*\.json`)
	ignored  = regexp.MustCompile(`\s|;[^/]*`) // by some servers: white space and ;a=b in a path

	applicationSid = regexp.MustCompile(`^app:AP[0-9A-Fa-f]{32}$`)
)

// A Transport is an http.RoundTripper that checks every call before it sends it. The zero Transport
// uses http.DefaultTransport and the zero Parser. A Transport is safe for concurrent use if Base
// is.
type Transport struct {
	Base   http.RoundTripper // sends the requests; nil means http.DefaultTransport
	Parser callparams.Parser // checks From, To and CallerId
}

// RoundTrip sends r through Base. If r is a call, it first reads the form and checks it. It answers
// a wrong call itself, with the status 400 and Twilio's error body, and does not send it.
//
// An accepted call is sent as it is, but at most once: Base gets a copy of r without GetBody and
// without idempotency keys. RoundTrip returns an error if the form cannot be read or if the context
// of r is done before that, and otherwise what Base returns.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	target := callTarget(r)
	if target == nil {
		target = repeatedCall(r)
	}
	if target == nil {
		return base.RoundTrip(r)
	}
	form, err := readForm(r)
	if err != nil {
		return nil, err
	}
	if err := t.check(r, target, form); err != nil {
		return answer(r, target, err), nil
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return base.RoundTrip(once(r, form))
}

// CloseIdleConnections closes the idle connections of Base, if it can: http.Client asks for it.
func (t Transport) CloseIdleConnections() {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	if closer, ok := base.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// repeatedCall returns the URL of the call whose form r sends again because of a redirect, wherever
// that leads to. It returns nil if r is no such request.
func repeatedCall(r *http.Request) *url.URL {
	if !strings.EqualFold(r.Method, http.MethodPost) {
		return nil
	}
	for res := r.Response; res != nil && res.Request != nil; res = res.Request.Response {
		if target := callTarget(res.Request); target != nil {
			return target
		}
	}
	return nil
}

// callTarget returns the URL to which r sends a call, without the host. It returns nil if r is not
// a call.
func callTarget(r *http.Request) *url.URL {
	if r.URL == nil || !strings.EqualFold(r.Method, http.MethodPost) {
		return nil
	}
	// This is what the server gets, also if r.URL.Opaque is set.
	text := r.URL.RequestURI()
	target, err := url.ParseRequestURI(text)
	if err != nil || strings.Contains(text, " ") {
		target = &url.URL{Path: text} // nobody knows how a server reads it
		if !callWord.MatchString(text) {
			return nil
		}
		return target
	}
	if !callPathAlike.MatchString(target.EscapedPath()) &&
		!callPathAlike.MatchString(cleanPath(ignored.ReplaceAllString(target.Path, ""))) {
		return nil
	}
	return target
}

// cleanPath returns a decoded path without empty segments, dot segments and a slash at the end.
func cleanPath(text string) string { return path.Clean(strings.ReplaceAll(text, `\`, "/")) }

// isDocumented reports whether everybody reads the path of u in the same way, as one of calls.
func isDocumented(u *url.URL) bool {
	return callPath.MatchString(u.EscapedPath()) && callPath.MatchString(u.Path) &&
		cleanPath(u.Path) == u.Path
}

// readForm returns the body of r, cut after maxForm and one more byte, and closes it. If the
// context is done, readForm does not wait for the body: it may never come.
func readForm(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	type result struct {
		form []byte
		err  error
	}
	body, done := r.Body, make(chan result, 1)
	closeBody := sync.OnceFunc(func() { _ = body.Close() }) // the form is read or of no use
	go func() {
		form, err := io.ReadAll(io.LimitReader(body, maxForm+1))
		closeBody()
		done <- result{form, err}
	}()
	select {
	case read := <-done:
		return read.form, read.err
	case <-r.Context().Done():
		// Close may end the Read, or wait for it. RoundTrippers may call it while Read runs.
		go closeBody()
		return nil, r.Context().Err()
	}
}

// check returns why the call r to target must not be sent: a *callparams.Error, or an error that
// says what is wrong with the request as a whole. It returns nil if the call may be sent.
func (t Transport) check(r *http.Request, target *url.URL, form []byte) error {
	if err := checkRequest(r, target, len(form)); err != nil {
		return err
	}
	names := []string{callparams.ParamFrom, callparams.ParamTo}
	isParticipant := strings.HasSuffix(strings.TrimSuffix(target.Path, ".json"), "/Participants")
	if isParticipant {
		names = append(names, paramCallerID)
	}
	values, err := parseForm(form, target.RawQuery, names)
	if err != nil {
		return err
	}
	call := callparams.Request{
		From: values.Get(callparams.ParamFrom),
		To:   values.Get(callparams.ParamTo),
	}
	if !isParticipant {
		_, err := t.Parser.Parse(call)
		return err
	}
	problems := t.checkParticipant(call)
	if values.Has(paramCallerID) {
		call.From = values.Get(paramCallerID)
		problems = append(problems, aboutCallerID(t.checkParticipant(call))...)
	}
	if problems == nil {
		return nil
	}
	return &callparams.Error{Problems: problems}
}

// checkRequest checks everything but the content of the form, which has n bytes.
func checkRequest(r *http.Request, target *url.URL, n int) error {
	encoding := strings.Join(valuesOf(r.Header, "Content-Encoding"), ",")
	switch {
	case !isDocumented(target):
		return errors.New("the path is written in an unusual way; write " +
			"/2010-04-01/Accounts/{Sid}/Calls.json or " +
			"/2010-04-01/Accounts/{Sid}/Conferences/{Sid}/Participants.json")
	case r.Response != nil: // http.Client sets it if it follows a redirect
		return errors.New("the server answered with a redirect, and a call is not sent twice; " +
			"check with Twilio whether it was placed, and use the right address")
	case n > maxForm:
		return fmt.Errorf("the form is longer than %d bytes; shorten it", maxForm)
	case r.ContentLength > 0 && r.ContentLength != int64(n):
		return errors.New("the form does not have the length that ContentLength says; " +
			"send all of it")
	case n > 0 && !isForm(r.Header): // an empty form lacks more than its type
		return errors.New("the form has another Content-Type, two of them or none; " +
			"use application/x-www-form-urlencoded, with no charset but UTF-8")
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
		return errors.New("the form has a Content-Encoding; send it without one")
	}
	return nil
}

// isForm reports whether h says that the body is a form in UTF-8.
func isForm(h http.Header) bool {
	types := valuesOf(h, "Content-Type")
	if len(types) != 1 {
		return false
	}
	kind, params, err := mime.ParseMediaType(types[0])
	charset, ok := params["charset"]
	return err == nil && kind == "application/x-www-form-urlencoded" &&
		(!ok || strings.EqualFold(charset, "utf-8"))
}

// valuesOf returns the values that h has for name. The keys of h may be in any case, because
// http.Transport sends them as they are.
func valuesOf(h http.Header, name string) []string {
	var values []string
	for key, list := range h {
		if strings.EqualFold(key, name) {
			values = append(values, list...)
		}
	}
	return values
}

// parseForm returns the parameters of a form. It fails if the form or the query of the URL is
// malformed, or if one of names is not in the form alone, once and in this spelling: nobody can
// tell which of two values Twilio would use. The errors of url.ParseQuery quote their input.
func parseForm(form []byte, query string, names []string) (url.Values, error) {
	inURL, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("the query of the URL is not encoded correctly; " +
			"send the parameters in the form")
	}
	values, err := url.ParseQuery(string(form))
	if err != nil {
		return nil, errors.New("the form is not encoded correctly (it has a ; or a % without two " +
			"hex digits); separate parameters with & and percent-encode their values")
	}
	for _, name := range names {
		for key := range inURL {
			if isAlike(key, name) {
				return nil, errors.New("the URL has " + name + " in its query; send it in the form")
			}
		}
		for key, list := range values {
			if isAlike(key, name) && (key != name || len(list) > 1) {
				return nil, errors.New("the form has " + name + " more than once, or in " +
					"another case or with other characters in its name; send it once, as " + name)
			}
		}
	}
	return values, nil
}

// isAlike reports whether a server may read key as name. To some, From[] is an array of that name.
func isAlike(key, name string) bool {
	return strings.EqualFold(notLetters.ReplaceAllString(key, ""), name)
}

var notLetters = regexp.MustCompile(`[^A-Za-z]`)

// checkParticipant returns the problems of a call to a participant, those of To first.
func (t Transport) checkParticipant(call callparams.Request) []*callparams.Problem {
	sid, _, _ := strings.Cut(call.To, "?")
	if !applicationSid.MatchString(sid) {
		problems := problemsOf(t.Parser.Parse(call))
		for _, p := range problems {
			if p.Rule == callparams.RuleSchemeUnknown && p.Param == callparams.ParamTo &&
				strings.EqualFold(call.To[:p.Offset+p.Len], "app:") {
				p.Message = "an application is app:AP and 32 hex digits"
			}
		}
		return problems
	}
	// Twilio documents the same custom parameters for a client and for an application.
	const client = "client:app"
	problems := problemsOf(t.Parser.ParseTo(client + call.To[len(sid):]))
	for _, p := range problems {
		p.Offset += len(sid) - len(client)
		if p.Rule == callparams.RuleClientParams {
			p.Message = "the parameters of an application must be name=value, joined with & and " +
				"percent-encoded"
		}
	}
	return append(problems, problemsOf(t.Parser.ParseFrom(call.From))...)
}

// problemsOf returns the problems of err, which comes from a callparams.Parser.
func problemsOf[T any](_ T, err error) []*callparams.Problem {
	var found *callparams.Error
	if !errors.As(err, &found) {
		return nil
	}
	return found.Problems
}

// aboutCallerID returns those of problems that are about CallerId, which was checked in the place
// of From. Twilio documents what a CallerId must be, but not the codes.
func aboutCallerID(problems []*callparams.Problem) []*callparams.Problem {
	var about []*callparams.Problem
	for _, p := range problems {
		switch {
		case p.Param == callparams.ParamFrom:
			p.Param = paramCallerID
		case p.Rule != callparams.RuleSameParty:
			continue
		}
		p.Basis = callparams.Assumed
		p.Message = strings.ReplaceAll(p.Message, callparams.ParamFrom, paramCallerID)
		about = append(about, p)
	}
	return about
}

// once returns the request that is sent for r. Package net/http sends it at most once: it repeats
// a POST only with GetBody, with an idempotency key, or before it has read the body.
func once(r *http.Request, form []byte) *http.Request {
	sent := r.Clone(r.Context())
	sent.Body = io.NopCloser(bytes.NewReader(form))
	sent.GetBody = nil
	sent.ContentLength = int64(len(form))
	sent.TransferEncoding = nil
	for name := range sent.Header {
		switch http.CanonicalHeaderKey(name) {
		case "Idempotency-Key", "X-Idempotency-Key":
			delete(sent.Header, name)
		case "Content-Length", "Trailer", "Transfer-Encoding": // net/http writes its own
			delete(sent.Header, name)
		}
	}
	return sent
}

// A body is Twilio's error body.
type body struct {
	XMLName  xml.Name       `json:"-" xml:"TwilioResponse"`
	Code     int            `json:"code" xml:"RestException>Code"`
	Message  string         `json:"message" xml:"RestException>Message"`
	MoreInfo string         `json:"more_info" xml:"RestException>MoreInfo"`
	Status   int            `json:"status" xml:"RestException>Status"`
	Details  map[string]any `json:"details,omitempty" xml:"-"`
}

// answer returns the answer to r, a call to target that is not sent because of err.
func answer(r *http.Request, target *url.URL, err error) *http.Response {
	const status = http.StatusBadRequest
	code := callparams.Code(status)
	fields := body{Message: "callparams: " + err.Error(), Status: status}
	var found *callparams.Error
	if errors.As(err, &found) {
		code = found.Code()
		fields.Message = found.Error()
		fields.Details = map[string]any{"problems": found.Problems}
	}
	fields.Code, fields.MoreInfo = int(code), code.DocsURL()

	kind := "application/json"
	text, _ := json.Marshal(fields) // cannot fail, nor can xml.Marshal
	if !jsonPath.MatchString(target.Path) {
		kind = "application/xml"
		text, _ = xml.Marshal(fields)
		text = append([]byte(xml.Header), text...)
	}
	return &http.Response{
		Status:        "400 Bad Request",
		StatusCode:    status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        http.Header{"Content-Type": {kind}},
		Body:          io.NopCloser(bytes.NewReader(text)),
		ContentLength: int64(len(text)),
		Request:       r,
	}
}
