package transport_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"example.com/callparams"
	"example.com/callparams/examples/transport"
)

func Example() {
	twilio := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
	}))
	defer twilio.Close()
	address := twilio.URL + "/2010-04-01/Accounts/AC0/Calls.json"

	client := &http.Client{Transport: transport.Transport{}}
	for _, from := range []string{"+14155550100", "client:alice"} {
		res, err := client.PostForm(address, url.Values{"From": {from}, "To": {"+14155552671"}})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(res.Status)
		var refused callparams.Error
		if err := json.NewDecoder(res.Body).Decode(&refused); err == nil {
			fmt.Println(&refused)
		}
		_ = res.Body.Close()
	}
	// Output:
	// 201 Created
	// 400 Bad Request
	// callparams: From: To is a phone number but From is not; use one here too (21212, byte 0)
}
