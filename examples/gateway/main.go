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
// "details". It does not send a refused call to Twilio. It forwards the form and the Authorization
// of an accepted call unchanged and returns Twilio's answer. /healthz answers 200 while the service
// runs.
//
// Gateway also reports its own errors in Twilio's form, with the HTTP status as the code. They
// cannot be mistaken for Twilio's errors, whose codes have five digits.
//
// Gateway never sends a call twice. The message of a 502 or 504 says whether the call was not
// placed or may have been placed. In the second case, check with Twilio before you place the call
// again.
//
// The log goes to standard error as JSON. It has one line per request, except for /healthz, with
// the status, the duration and the problems. It does not contain phone numbers, users or header
// values.
//
// SIGINT and SIGTERM stop the service after it has answered all calls in progress. A second signal
// stops it at once. The exit code is 0 if it stopped after a signal with all calls answered, 1 if
// it could not start or failed, and 2 for wrong usage.
//
// twilio-go does not have an option for the address of the API. To send its calls to the gateway,
// give it an http.Client whose Transport sets URL.Scheme and URL.Host.
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
	maxHeader = 16 << 10 // bytes in the header of a request
	maxBody   = 64 << 10 // bytes in a form; Twiml, its longest field, has up to 4,000 characters
	maxAnswer = 1 << 20  // bytes in an answer from Twilio; a call is about 2 KiB of JSON

	readTimeout     = 5 * time.Second // for a request to arrive
	upstreamTimeout = 8 * time.Second // for Twilio's answer; twilio-go gives up after 10 s
	idleTimeout     = time.Minute

	// writeTimeout starts at the end of the request's header, so it includes reading the form,
	// waiting for Twilio and writing the answer.
	writeTimeout = readTimeout + upstreamTimeout + readTimeout
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "listen on `address`")
	upstream := flag.String("upstream", "https://api.twilio.com", "send accepted calls to `URL`")
	flag.Usage = usage
	flag.Parse()
	target, err := parseUpstream(*upstream)
	if err != nil || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "gateway: -upstream must be an http or https URL with a host; "+
			"arguments besides flags are not allowed")
		flag.Usage()
		os.Exit(2)
	}

	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	server := newServer(newGateway(target, upstreamTimeout, log), log)
	if err := run(ctx, *addr, server, log); err != nil {
		log.Error("failed", "error", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprint(flag.CommandLine.Output(), `usage: gateway [-addr ADDRESS] [-upstream URL]

Gateway is an HTTP service that checks calls on their way to Twilio's API.
Services in any language can send their calls to it. It forwards a call to
Twilio only if From and To are accepted.

Gateway serves only Create Call: a form that is posted to the same path as
Twilio's, /2010-04-01/Accounts/{Sid}/Calls.json. It answers a refused call with
status 400 and an error body like Twilio's, which lists every problem in
"details". It does not send a refused call to Twilio. It forwards the form and
the Authorization of an accepted call unchanged and returns Twilio's answer.
/healthz answers 200 while the service runs.

Gateway also reports its own errors in Twilio's form, with the HTTP status as
the code. They cannot be mistaken for Twilio's errors, whose codes have five
digits.

Gateway never sends a call twice. The message of a 502 or 504 says whether the
call was not placed or may have been placed. In the second case, check with
Twilio before you place the call again.

The log goes to standard error as JSON. It has one line per request, except for
/healthz, with the status, the duration and the problems. It does not contain
phone numbers, users or header values.

SIGINT and SIGTERM stop the service after it has answered all calls in progress.
A second signal stops it at once.

Exit codes:

  0  the service stopped after a signal, with all calls answered
  1  the service could not start or failed
  2  wrong usage

twilio-go does not have an option for the address of the API. To send its calls
to the gateway, give it an http.Client whose Transport sets URL.Scheme and
URL.Host.

Flags:

`)
	flag.PrintDefaults()
}

func parseUpstream(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the upstream must be an http or https URL with a host")
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

// run serves at addr until ctx is done. It then waits until all requests in progress are answered.
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
	// A request ends at the latest when its read timeout and its write timeout are over.
	drain, cancel := context.WithTimeout(context.Background(), readTimeout+writeTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}
