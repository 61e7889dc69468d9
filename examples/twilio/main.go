// Twilio places a call with twilio-go. It checks From and To first. If one is wrong, it does not
// send the request:
//
//	go -C examples/twilio run . -from sip:+1234@mydomain.sip.twilio.com -to sip:destination@host
//
// If both are accepted, it places a real call from the account in TWILIO_ACCOUNT_SID, with the
// token in TWILIO_AUTH_TOKEN. The exit code is 0 if the call was placed, 1 if it was refused or the
// request failed, and 2 for wrong usage.
//
// To add the check to your own service, copy client.go and wrap the client of your
// twilio.RestClient:
//
//	rest.Client = checkedClient{rest.Client}
//
// The wrapper checks only Create Call and sends all other requests as they are. Code that handles
// twilio-go's errors with errors.As keeps working and sees the same codes. A type assertion such as
// err.(*client.TwilioRestError) panics, because it does not unwrap the error.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"example.com/callparams"
	"github.com/twilio/twilio-go"
	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

func main() {
	from := flag.String("from", "", "the caller: a phone number, client:NAME or a user name")
	to := flag.String("to", "", "the destination: a phone number, client:NAME or a SIP URI")
	voice := flag.String("url", "http://demo.twilio.com/docs/voice.xml",
		"the `URL` of the TwiML for the call")
	flag.Usage = usage
	flag.Parse()

	rest := twilio.NewRestClient()
	rest.Client = checkedClient{rest.Client}
	params := new(api.CreateCallParams).SetFrom(*from).SetTo(*to).SetUrl(*voice)
	if _, err := rest.Api.CreateCall(params); err != nil {
		fmt.Fprintln(os.Stderr, explain(err))
		os.Exit(1)
	}
	fmt.Println("the call was placed")
}

func usage() {
	fmt.Fprint(flag.CommandLine.Output(), `usage: twilio -from FROM -to TO [-url URL]

Twilio places a call with twilio-go. It checks From and To first. If one is
wrong, it does not send the request.

If both are accepted, it places a real call from the account in
TWILIO_ACCOUNT_SID, with the token in TWILIO_AUTH_TOKEN.

Exit codes:

  0  the call was placed
  1  the call was refused, or the request failed
  2  wrong usage

To add the check to your own service, copy client.go and wrap the client of your
twilio.RestClient:

  rest.Client = checkedClient{rest.Client}

The wrapper checks only Create Call and sends all other requests as they are.
Code that handles twilio-go's errors with errors.As keeps working and sees the
same codes. A type assertion such as err.(*client.TwilioRestError) panics,
because it does not unwrap the error.

Flags:

`)
	flag.PrintDefaults()
}

// explain says why a call was not placed, for the user of a terminal. The text contains fixes,
// which are personal data, so a service must not log it.
func explain(err error) string {
	var found *callparams.Error
	var answered *client.TwilioRestError
	switch {
	case errors.As(err, &found):
		text := "the call was not sent"
		for _, p := range found.Problems {
			text += "\n" + p.Error()
			if fix, ok := p.Fix(); ok {
				text += "\n\twrite " + fix + " instead"
			}
		}
		return text
	case errors.As(err, &answered):
		return fmt.Sprintf("Twilio refused the call: %s (%d)", answered.Message, answered.Code)
	}
	return err.Error()
}
