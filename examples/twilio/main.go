// Twilio places a call with twilio-go through a client that checks From and To first. A wrong pair costs no
// request, and no call to the wrong number:
//
//	go -C examples/twilio run . -from sip:+1234@mydomain.sip.twilio.com -to sip:destination@host
//
// An accepted pair is a real call, from the account of TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN.
//
// To have the check in a service, copy client.go and put it around the client of a twilio.RestClient, however
// that was made:
//
//	rest.Client = checkedClient{rest.Client}
//
// Create Call alone is checked: another resource goes its way. Code that handles twilio-go's errors with
// errors.As goes on working, with the same codes; a bare type assertion, as in err.(*client.TwilioRestError),
// does not see through the error, and panics.
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
	from := flag.String("from", "", "who calls: a phone number, client:NAME or a user name")
	to := flag.String("to", "", "who is called: a phone number, client:NAME or a SIP URI")
	voice := flag.String("url", "http://demo.twilio.com/docs/voice.xml", "`URL` of the TwiML that the call hears")
	flag.Parse()

	rest := twilio.NewRestClient()
	rest.Client = checkedClient{rest.Client}
	params := new(api.CreateCallParams).SetFrom(*from).SetTo(*to).SetUrl(*voice)
	if _, err := rest.Api.CreateCall(params); err != nil {
		fmt.Fprintln(os.Stderr, explain(err))
		os.Exit(1)
	}
	fmt.Println("placed")
}

// explain says for the user of a terminal why a call was not placed. A fix is personal data: a service would
// not log it.
func explain(err error) string {
	var found *callparams.Error
	var answered *client.TwilioRestError
	switch {
	case errors.As(err, &found):
		text := "not sent"
		for _, p := range found.Problems {
			text += "\n" + p.Error()
			if fix, ok := p.Fix(); ok {
				text += "\n\twrite " + fix
			}
		}
		return text
	case errors.As(err, &answered):
		return fmt.Sprintf("refused by Twilio: %s (%d)", answered.Message, answered.Code)
	}
	return err.Error()
}
