// Twilio places a call with twilio-go and ../transport, which checks From and To first. If one is
// wrong, the request is not sent:
//
//	go -C examples/twilio run . -from sip:+1234@mydomain.sip.twilio.com -to sip:destination@host
//
// It needs the environment variables TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN. If From and To are
// accepted, it places a real call from that account and prints the Sid of the call.
//
// The exit code is 0 if the call was placed, 1 if it was refused or the request failed, and 2 if
// the usage is wrong or a variable is missing.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"example.com/callparams"
	"example.com/callparams/examples/transport"
	"github.com/twilio/twilio-go"
	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

const (
	envSid   = "TWILIO_ACCOUNT_SID"
	envToken = "TWILIO_AUTH_TOKEN"
)

func main() {
	from := flag.String("from", "", "the caller: a phone number, client:NAME or a user name")
	to := flag.String("to", "", "the destination: a phone number, client:NAME or a SIP URI")
	voice := flag.String("url", "http://demo.twilio.com/docs/voice.xml",
		"the `URL` of the TwiML for the call")
	flag.Usage = usage
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "twilio: arguments besides flags are not allowed")
		flag.Usage()
		os.Exit(2)
	}
	sid, token := os.Getenv(envSid), os.Getenv(envToken)
	if text := missing(sid, token); text != "" {
		fmt.Fprintln(os.Stderr, text)
		os.Exit(2)
	}

	rest := newClient(sid, token, transport.Transport{})
	params := new(api.CreateCallParams).SetFrom(*from).SetTo(*to).SetUrl(*voice)
	call, err := rest.Api.CreateCall(params)
	if err == nil && call.Sid == nil {
		err = errors.New("the answer has no Sid")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, explain(err, callparams.Request{From: *from, To: *to}))
		os.Exit(1)
	}
	fmt.Println(*call.Sid)
}

func usage() {
	fmt.Fprint(flag.CommandLine.Output(), `usage: twilio -from FROM -to TO [-url URL]

Twilio places a call with twilio-go and ../transport, which checks From and To
first. If one is wrong, the request is not sent:

  go -C examples/twilio run . -from sip:+1234@mydomain.sip.twilio.com -to sip:bob@host

It needs the environment variables TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN. If
From and To are accepted, it places a real call from that account and prints the
Sid of the call.

The exit code is 0 if the call was placed, 1 if it was refused or the request failed,
and 2 if the usage is wrong or a variable is missing.

`)
	flag.PrintDefaults()
}

// missing says which of the two environment variables must be set, and returns "" if both are.
func missing(sid, token string) string {
	switch {
	case sid == "" && token == "":
		return envSid + " and " + envToken + " are not set; nothing was sent"
	case sid == "":
		return envSid + " is not set; nothing was sent"
	case token == "":
		return envToken + " is not set; nothing was sent"
	}
	return ""
}

// newClient returns a twilio-go client that sends its requests through t. Its timeout is that of
// twilio-go's own http.Client.
func newClient(sid, token string, t http.RoundTripper) *twilio.RestClient {
	account := &client.Client{
		Credentials: client.NewCredentials(sid, token),
		HTTPClient:  &http.Client{Transport: t, Timeout: 10 * time.Second},
	}
	account.SetAccountSid(sid)
	return twilio.NewRestClientWithParams(twilio.ClientParams{Client: account})
}

// explain says why a call was not placed, without personal data. Twilio's errors and those of
// net/http may quote the call, so its parameters are masked there.
func explain(err error, call callparams.Request) string {
	var answered *client.TwilioRestError
	if !errors.As(err, &answered) {
		return "the request failed, but the call may have been placed: " + call.Redact(err.Error())
	}
	if found, ok := problems(answered); ok {
		text := "the call was not sent"
		for _, p := range found.Problems {
			text += "\n" + p.Error()
		}
		return text
	}
	return fmt.Sprintf("the call was refused: %s (%d)",
		call.Redact(answered.Message), answered.Code)
}

// problems returns the problems that the transport found. An error of Twilio's own has none.
func problems(answered *client.TwilioRestError) (callparams.Error, bool) {
	var found callparams.Error
	body, _ := json.Marshal(answered) // cannot fail for what was read as JSON
	err := json.Unmarshal(body, &found)
	return found, err == nil
}
