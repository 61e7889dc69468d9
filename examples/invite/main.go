// Invite shows what the receiving side of a call to a SIP address sees.
//
//	go -C examples/invite run .
//
// It starts from a request whose From is a SIP URI, which Twilio refuses with error 21212. It
// moves the domain of From into a header of To and checks the result. Then it places the call on
// the loopback interface as Twilio would, and prints the INVITE that arrives.
//
// It uses the loopback interface alone. The exit code is 0 if the call is answered, 1 if something
// fails, and 2 if the usage is wrong.
//
// For a service of your own, start from receiver.go. The code in twilio.go plays the part of
// Twilio.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"example.com/callparams"
)

// ownDomains are your Twilio SIP domains.
var ownDomains = []string{"mydomain.sip.twilio.com", "branch.sip.twilio.com"}

const help = `usage: invite

Invite shows what the receiving side of a call to a SIP address sees. It starts from a
request whose From is a SIP URI, which Twilio refuses with error 21212. It moves the
domain of From into a header of To and checks the result. Then it places the call on the
loopback interface as Twilio would, and prints the INVITE that arrives.

It uses the loopback interface alone. The exit code is 0 if the call is answered, 1 if
something fails, and 2 if the usage is wrong.

For a service of your own, start from receiver.go. The code in twilio.go plays the part
of Twilio.
`

func main() {
	flag.Usage = func() { fmt.Fprint(flag.CommandLine.Output(), help) }
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "invite: there must be no arguments; run invite -h for help")
		os.Exit(2)
	}
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(out io.Writer) error {
	request, err := callparams.Request{
		From: "sip:+123456789@" + ownDomains[0],
		To:   "sip:destination@host?X-Account=Smith%20%26%20Sons",
	}.MoveSourceDomain()
	if err != nil {
		return err
	}
	call, err := request.Parse()
	if err != nil {
		return err
	}

	answered := make(chan incoming, 1)
	receiver, err := listen(ownDomains, func(in incoming) { answered <- in })
	if err != nil {
		return err
	}
	defer receiver.close()

	// A call on the loopback interface takes milliseconds, so 10 seconds are enough.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var in incoming
	err = place(ctx, call, "sip.us1.twilio.com", receiver.Addr, func() { in = <-answered })
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%sanswered 200 OK: caller %s, source domain %s\n",
		in.Invite, in.Caller, in.SourceDomain)
	return err
}
