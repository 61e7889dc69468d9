package main

import (
	"fmt"

	"example.com/callparams"
	"github.com/twilio/twilio-go"
	twilioApi "github.com/twilio/twilio-go/rest/api/v2010"
)

// placeCall is the code in README.md, word for word.
func placeCall(client *twilio.RestClient, from, to string) error {
	call, err := callparams.Request{From: from, To: to}.Parse()
	if err != nil {
		return err // the problems, with Twilio's codes and no personal data; nothing was sent
	}
	params := &twilioApi.CreateCallParams{}
	params.SetFrom(call.From().String())
	params.SetTo(call.To().String())
	params.SetUrl("https://example.com/answer.xml")
	_, err = client.Api.CreateCall(params)
	return err
}

func Example() {
	account := twilio.ClientParams{Username: "AC0", Password: "token"}
	client := twilio.NewRestClientWithParams(account)
	fmt.Println(placeCall(client, "client:alice", "+14155552671"))
	// Output:
	// callparams: From: To is a phone number but From is not; use one here too (21212, byte 0)
}
