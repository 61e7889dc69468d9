// Gateway is an HTTP service that checks calls on their way to Twilio's API. Services in any
// language can send their calls to it. It forwards a call to Twilio only if From and To are
// accepted.
//
//	go run ./examples/gateway -addr 127.0.0.1:8080 -upstream https://api.twilio.com
//	curl http://127.0.0.1:8080/2010-04-01/Accounts/AC0/Calls.json \
//		-d From=alice@example.com -d To=client:bob
//
// Gateway serves only Create Call: a form that is posted to the same path as Twilio's. It answers a
// refused call with status 400 and an error body like Twilio's, which lists every problem in
// "details". It forwards the form and the Authorization of an accepted call unchanged and returns
// Twilio's answer. /healthz answers 200 while the service runs.
//
// Gateway also reports its own errors in Twilio's form, with the HTTP status as the code. They
// cannot be mistaken for Twilio's errors, whose codes have five digits. Only a request that package
// net/http cannot read, whose header is longer than 1 MiB or that expects something unknown gets an
// answer of net/http itself, which is not logged.
//
// Gateway never sends a call twice, and it does not pass on a redirect. The message of a 502 or 504
// says whether the call was not placed or may have been placed. In the second case, check with
// Twilio before you place the call again. If a client closes the connection before its form is
// forwarded, the call is not placed. If it does so later, the log says "client_gone". To close only
// the sending side counts as to close the connection.
//
// The log goes to standard error as JSON. It has one line per request, except for /healthz, with
// the status, the duration, the sid of the call and the problems. It does not contain phone
// numbers, users or header values. A call never waits for the log. If nobody reads it, lines are
// lost; the log says how many.
//
// SIGINT and SIGTERM stop the service after it has answered all calls in progress. A second signal
// stops it at once. The exit code is 0 if it stopped after a signal with all calls answered, 1 if
// it could not start or failed, and 2 for wrong usage.
//
// twilio-go does not have an option for the address of the API. To send its calls to the gateway,
// give it an http.Client whose Transport sets URL.Scheme and URL.Host.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/callparams"
	"example.com/callparams/examples/transport"
)

const (
	maxHeader = 16 << 10 // bytes in the header of a request, and of an answer from Twilio
	maxAnswer = 1 << 20  // bytes in an answer from Twilio; a call is about 2 KiB of JSON
	maxLines  = 1024     // lines of the log that wait to be written

	readTimeout     = 5 * time.Second // for a request to arrive
	upstreamTimeout = 8 * time.Second // for Twilio's answer; twilio-go gives up after 10 s
	idleTimeout     = time.Minute
	upstreamIdle    = 30 * time.Second // shorter than Twilio's, which would break a call
	logTimeout      = time.Second      // for the log to be written at the end

	// settleTime is how long a call waits before it is sent. Package net/http looks whether the
	// client has gone only when the form is read, on a goroutine of its own.
	settleTime = 10 * time.Millisecond

	// writeTimeout starts at the end of the request's header, so it includes reading the form,
	// waiting for Twilio and writing the answer.
	writeTimeout = readTimeout + upstreamTimeout + readTimeout
)

var (
	//go:embed gateway.go
	source string // for usage

	// callPath leaves nothing to decode or to clean, so that everybody reads a path alike.
	callPath = regexp.MustCompile(`^/2010-04-01/Accounts/[0-9A-Za-z]+/Calls\.json$`)
	callSid  = regexp.MustCompile(`^CA[0-9A-Za-z]{1,32}$`) // so that the log stays clean
	override = regexp.MustCompile(`(?i)method[-_]?override|override[-_]?method|` +
		`^x[-_](http[-_])?method$|^x[-_](original|rewrite)[-_]ur[il]$`)

	// hopByHop matches what a proxy would leave out if the header Connection named it.
	hopByHop = regexp.MustCompile(`(?i)\b(authorization|content-[a-z]+)\b`)
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "listen on `address`")
	upstream := flag.String("upstream", "https://api.twilio.com", "send accepted calls to `URL`")
	var parser callparams.Parser
	flag.TextVar(&parser.Numbers, "numbers", callparams.Possible,
		"check phone numbers at this `level`: shape, possible or assigned")
	flag.BoolVar(&parser.Emergency, "emergency", false, "accept emergency numbers")
	flag.TextVar(&parser.Destinations, "destinations", callparams.Destinations{},
		"let To start with these `prefixes` only, such as \"+1 !+1900\"; + is every number")
	flag.Usage = usage
	flag.Parse()
	target, err := url.Parse(*upstream)
	if err != nil || target.Hostname() == "" || target.User != nil || target.RawQuery != "" ||
		target.Scheme != "http" && target.Scheme != "https" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "gateway: -upstream must be an http or https URL with a host, "+
			"and without a user and a query; arguments besides flags are not allowed\n"+
			"Run gateway -h for help.")
		os.Exit(2)
	}

	signal.Ignore(syscall.SIGPIPE) // standard error may lose its reader
	lines := newLineWriter(os.Stderr)
	logger := slog.New(slog.NewJSONHandler(lines, nil))
	log.SetOutput(wordless{logger})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	server := newServer(&gateway{target, parser, upstreamTimeout, newBase(), logger})
	exit := func() { os.Exit(0) }
	if err := run(ctx, *addr, server, logger); err != nil {
		logger.Error("failed", "error", err)
		exit = func() { os.Exit(1) }
	} else {
		logger.Info("stopped")
	}
	time.AfterFunc(logTimeout, exit)
	lines.queue <- exit // when the log is written
	select {}
}

// usage prints the comment of this package, and the flags.
func usage() {
	comment, _, _ := strings.Cut(source, "package main\n")
	comment = regexp.MustCompile(`(?m)^// ?`).ReplaceAllString(comment, "")
	fmt.Fprint(flag.CommandLine.Output(), "usage: gateway [flags]\n\n", comment, "\nFlags:\n\n")
	flag.PrintDefaults()
}

func newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:                      h,
		DisableGeneralOptionsHandler: true, // h answers everything
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
	}
}

// run serves at addr until ctx is done. It then waits until all requests in progress are answered.
func run(ctx context.Context, addr string, server *http.Server, logger *slog.Logger) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	logger.Info("listening", "addr", listener.Addr().String())
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		logger.Info("stopping")
		// A request ends at the latest when its read timeout and its write timeout are over.
		drain, cancel := context.WithTimeout(context.Background(), readTimeout+writeTimeout)
		defer cancel()
		stopped <- server.Shutdown(drain)
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// A lineWriter writes to out in the background. It drops lines while maxLines others wait.
type lineWriter struct {
	out   io.Writer
	queue chan func()
	lost  atomic.Int64
}

func newLineWriter(out io.Writer) *lineWriter {
	w := &lineWriter{out: out, queue: make(chan func(), maxLines)}
	go func() {
		for write := range w.queue {
			write()
		}
	}()
	return w
}

func (w *lineWriter) Write(p []byte) (int, error) {
	line := bytes.Clone(p)
	write := func() {
		_, _ = w.out.Write(line) // fails if nobody reads the log any more
		if n := w.lost.Swap(0); n > 0 {
			slog.New(slog.NewJSONHandler(w.out, nil)).Warn("lines of the log were lost", "lines", n)
		}
	}
	select {
	case w.queue <- write:
	default:
		w.lost.Add(1)
	}
	return len(p), nil
}

// A wordless writer logs that net/http printed something, but not what: it prints bytes of its
// peers, which may be personal data.
type wordless struct{ *slog.Logger }

func (w wordless) Write(p []byte) (int, error) {
	w.Warn("net/http reported a problem; its text may have personal data, so it is left out")
	return len(p), nil
}

// A gateway is the HTTP handler of the service.
type gateway struct {
	upstream *url.URL
	parser   callparams.Parser
	timeout  time.Duration // for the complete answer from upstream
	base     http.RoundTripper
	log      *slog.Logger
}

// newBase returns what sends the accepted calls.
func newBase() *http.Transport {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.IdleConnTimeout = upstreamIdle
	base.MaxResponseHeaderBytes = maxHeader
	base.MaxIdleConnsPerHost = base.MaxIdleConns // by default 2, but all calls go to one host
	return base
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		_, _ = io.WriteString(w, "ok\n") // fails only if the client has gone
		return
	}
	c := &call{gateway: g, client: http.NewResponseController(w), start: time.Now()}
	defer c.end() // ReverseProxy panics if the client has gone
	if err := checkRequest(r); err != nil {
		c.fail(w, r, err)
		return
	}
	for _, name := range []string{"Expect", "Upgrade", "Accept-Encoding"} {
		r.Header.Del(name) // net/http handles Expect, and decodes the encoding that it asks for
	}
	proxy := httputil.ReverseProxy{
		Rewrite:        func(*httputil.ProxyRequest) {}, // RoundTrip does it, after the checks
		Transport:      transport.Transport{Base: c, Parser: g.parser},
		ModifyResponse: c.note,
		ErrorHandler:   c.fail,
	}
	proxy.ServeHTTP(w, r)
}

// checkRequest returns why the gateway does not serve r. The transport checks the form.
func checkRequest(r *http.Request) error {
	length, overrides := 0, false
	for name, values := range r.Header {
		length += len(name) + len(strings.Join(values, name))
		overrides = overrides || override.MatchString(name)
	}
	switch {
	case length > maxHeader:
		return failure{431, fmt.Sprintf("the header has more than %d bytes; shorten it", maxHeader)}
	case !callPath.MatchString(r.URL.EscapedPath()):
		return failure{404, "the gateway does not serve this path; " +
			"use /2010-04-01/Accounts/{Sid}/Calls.json or /healthz"}
	case r.Method != http.MethodPost:
		return failure{405, "the method must be POST"}
	case overrides:
		return failure{400, "a header overrides the method or the URL; send it without one"}
	case hopByHop.MatchString(strings.Join(r.Header["Connection"], ",")):
		return failure{400, "the header Connection names a header of the call; leave it out there"}
	case r.URL.RawQuery != "" || r.URL.ForceQuery:
		return failure{400, "the URL has a query; send the parameters in the form"}
	}
	return nil
}

// A call is one request on its way through the gateway, and what the log says about it.
type call struct {
	*gateway
	client   *http.ResponseController
	start    time.Time
	answered bool // by the upstream
	gone     bool // the client, before it was answered
	status   int
	attrs    []slog.Attr
}

// RoundTrip sends an accepted call and returns the complete answer. Once the form is on its way, it
// waits for the answer even if the client goes: the call may be placed all the same, and the log
// must show it. A redirect is an error, because the client would send the call and its credentials
// again, to any host.
func (c *call) RoundTrip(r *http.Request) (*http.Response, error) {
	text, _ := io.ReadAll(r.Body) // the transport has read and parsed it
	values, _ := url.ParseQuery(string(text))
	for name := range values {
		if strings.HasPrefix(strings.ToLower(strings.TrimSpace(name)), "_method") {
			return nil, failure{400, "_method overrides the method; leave it out"}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	sent := &formBody{ReadCloser: io.NopCloser(bytes.NewReader(text)), client: r.Context()}
	defer context.AfterFunc(r.Context(), func() {
		if sent.withdraw() {
			cancel()
		}
	})()
	select {
	case <-r.Context().Done():
		return nil, c.unanswered(r.Context().Err(), sent)
	case <-time.After(settleTime):
	}
	out := r.Clone(ctx)
	out.Body = sent
	(&httputil.ProxyRequest{Out: out}).SetURL(c.upstream)
	res, err := c.base.RoundTrip(out)
	if err != nil {
		return nil, c.unanswered(err, sent)
	}
	defer res.Body.Close()
	c.attrs = append(c.attrs, slog.Int("upstream_status", res.StatusCode))
	if res.StatusCode < 200 || res.StatusCode/100 == 3 {
		return nil, c.unanswered(nil, sent) // the body of a 101 may never end
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, res.Body, maxAnswer))
	if err != nil {
		return nil, c.unanswered(err, sent)
	}
	var created struct{ Sid string }
	_ = json.Unmarshal(body, &created) // only a placed call has a sid
	if callSid.MatchString(created.Sid) {
		c.attrs = append(c.attrs, slog.String("sid", created.Sid))
	}
	c.answered, c.gone = true, r.Context().Err() != nil
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return res, nil
}

// A formBody is the form of a call. The call is not placed before something reads it.
type formBody struct {
	io.ReadCloser
	client    context.Context
	once      sync.Once
	withdrawn bool
}

func (f *formBody) Read(p []byte) (int, error) {
	f.once.Do(func() { f.withdrawn = f.client.Err() != nil })
	if f.withdrawn {
		return 0, context.Canceled
	}
	return f.ReadCloser.Read(p)
}

// withdraw reports whether nothing has read the form. Nothing can read it from then on.
func (f *formBody) withdraw() bool {
	f.once.Do(func() { f.withdrawn = true })
	return f.withdrawn
}

// unanswered returns the failure of a call without a valid answer. It logs the errors of the
// network and of certificates. Others may quote the answer, which may have personal data.
func (c *call) unanswered(err error, sent *formBody) error {
	var network *net.OpError
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &network) || errors.As(err, &certificate) {
		c.attrs = append(c.attrs, slog.String("cause", err.Error()))
	}
	status, in := 502, ""
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		status, in = 504, " in time"
	}
	if sent.withdraw() {
		return failure{status, "the gateway could not send the call" + in + "; it was not placed"}
	}
	return failure{status, "the gateway did not get a valid answer from Twilio" + in + "; " +
		"the call may have been placed, so check with Twilio before you place it again"}
}

// note remembers an answer of the upstream or of the transport.
func (c *call) note(res *http.Response) error {
	c.status = res.StatusCode
	if !c.answered {
		body, _ := io.ReadAll(res.Body) // from memory
		res.Body = io.NopCloser(bytes.NewReader(body))
		c.attrs = append(c.attrs, slog.Any("error", json.RawMessage(body)))
	}
	// With it, the client has the complete answer before the handler returns.
	res.Header.Set("Content-Length", strconv.FormatInt(res.ContentLength, 10))
	return nil
}

// fail answers with err. An error that is not a failure comes from reading the form.
func (c *call) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := failure{400, "the form is not complete or malformed; the call was not placed"}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.Canceled) {
		f = failure{408, "the form did not arrive; the call was not placed"}
	}
	_ = errors.As(err, &f)
	body, _ := json.Marshal(map[string]any{ // cannot fail
		"code":      f.status,
		"message":   f.message,
		"more_info": "https://httpwg.org/specs/rfc9110.html#status." + strconv.Itoa(f.status),
		"status":    f.status,
	})
	// A client that is late may still be there, although net/http has ended the context.
	c.status, c.gone = f.status, f.status != http.StatusRequestTimeout && r.Context().Err() != nil
	c.attrs = append(c.attrs, slog.Any("error", json.RawMessage(body)))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if f.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	w.WriteHeader(f.status)
	_, _ = w.Write(body) // fails only if the client has gone
}

// end sends the answer to the client, then logs it. It logs neither the path nor the method,
// because a client may write personal data into them.
func (c *call) end() {
	level := slog.LevelInfo
	if c.gone || c.status != 0 && c.client.Flush() != nil {
		level = slog.LevelWarn
		c.attrs = append(c.attrs, slog.Bool("client_gone", true))
	}
	if c.status == 0 || c.status >= 500 { // 0 after a panic
		level = slog.LevelError
	}
	c.attrs = append(c.attrs,
		slog.Int("status", c.status), slog.Duration("took_ns", time.Since(c.start)))
	c.log.LogAttrs(context.Background(), level, "request", c.attrs...)
}

// A failure is an error of the gateway itself.
type failure struct {
	status  int
	message string
}

func (f failure) Error() string { return f.message }
