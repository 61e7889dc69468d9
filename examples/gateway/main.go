// Gateway is an HTTP service that stands between the callers of Twilio ("the vendor") and its API, whatever
// they are written in, and lets only calls through whose From and To can be placed.
//
//	go run ./examples/gateway -addr 127.0.0.1:8080 -upstream https://api.twilio.com
//	curl http://127.0.0.1:8080/2010-04-01/Accounts/AC0/Calls.json -d From=alice@example.com -d To=client:bob
//
// It takes Create Call alone, as a form at the vendor's own path. A refused call is answered with the
// vendor's error body, status 400 and its code, and every problem beside them in "problems"; the upstream
// never hears of it. An accepted one goes to the upstream as it came, with its Authorization, and the
// answer comes back as it is. /healthz answers 200 while the service runs.
//
// What goes wrong between the two is answered in the vendor's form too, with the HTTP status as its code: the
// vendor's own codes have five digits. No call is sent twice. The message of a 502 or 504 says whether the call
// was certainly not placed, or may have been: look before placing it again.
//
// The log, JSON on standard error, has a line for each request but those for /healthz: what was answered, how
// long it took, and the problems. It holds no number, user or header. SIGINT and SIGTERM stop the service once
// every call under way is answered.
//
// twilio-go has no option for its address: give its http.Client a Transport that sets URL.Scheme and URL.Host.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	maxHeader = 16 << 10 // bytes of a request's header
	maxBody   = 64 << 10 // bytes of a form: the longest parameter, Twiml, has 4,000 characters
	maxAnswer = 1 << 20  // bytes of an upstream's answer: a call is some 2 KiB of JSON

	readTimeout     = 5 * time.Second                             // for a request to arrive
	upstreamTimeout = 8 * time.Second                             // for its answer to arrive: twilio-go gives up after 10 s
	writeTimeout    = readTimeout + upstreamTimeout + readTimeout // for all of it, from the end of the header on
	idleTimeout     = time.Minute
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on")
	upstream := flag.String("upstream", "https://api.twilio.com", "`URL` that accepted calls are sent to")
	flag.Parse()
	target, err := parseUpstream(*upstream)
	if err != nil || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "gateway: want -upstream http://host or https://host, and no arguments")
		flag.Usage()
		os.Exit(2)
	}

	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, *addr, newServer(newGateway(target, upstreamTimeout, log), log), log); err != nil {
		log.Error("failed", "error", err)
		os.Exit(1)
	}
}

func parseUpstream(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("no http or https URL")
	}
	return u, nil
}

func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:        h,
		ReadTimeout:    readTimeout,
		WriteTimeout:   writeTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// run serves at addr until ctx is done, and then until every request under way is answered.
func run(ctx context.Context, addr string, server *http.Server, log *slog.Logger) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	log.Info("listening", "addr", listener.Addr().String())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping")
	// No request takes longer than its read and its write.
	drain, cancel := context.WithTimeout(context.Background(), readTimeout+writeTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}
