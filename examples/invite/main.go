// Invite shows what the receiving side of a call to a SIP address sees. It takes the request that the vendor
// refuses with error 21212, since its From is a SIP URI, moves the domain into a header of To, checks it, and
// places the call on the loopback interface as the vendor would. It prints the INVITE that arrives.
//
// In a service of your own, start from receiver.go; vendor.go stands in for the vendor.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"example.com/callparams"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(out io.Writer) error {
	request, err := callparams.Request{
		From: "sip:+123456789@mydomain.sip.twilio.com",
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
	receiver, err := listen(func(in incoming) { answered <- in })
	if err != nil {
		return err
	}
	defer receiver.close()

	// 10 seconds are plenty: on the loopback interface, a call takes milliseconds.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var in incoming
	err = place(ctx, call, "sip.us1.twilio.com", receiver.Addr, func() { in = <-answered })
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%sanswered 200 OK: %s calls for %s\n", in.Invite, in.Caller, in.SourceDomain)
	return err
}
