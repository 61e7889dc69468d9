package main

import (
	"errors"
	"net/http"
	"net/url"
	"path"

	"example.com/callparams"
	"github.com/twilio/twilio-go/client"
)

// A checkedClient sends what the client inside it would send, but for a Create Call whose From or To is
// wrong: it returns an error and sends nothing.
type checkedClient struct {
	client.BaseClient
}

// SendRequest sends a request unless it is a Create Call to refuse.
func (c checkedClient) SendRequest(method, rawURL string, data url.Values, headers map[string]interface{}, body ...byte) (*http.Response, error) {
	if isCreateCall(method, rawURL) {
		request := callparams.Request{From: data.Get("From"), To: data.Get("To")}
		var found *callparams.Error
		if errors.As(request.Validate(), &found) {
			return nil, refusal{found}
		}
	}
	return c.BaseClient.SendRequest(method, rawURL, data, headers, body...)
}

// isCreateCall goes by the path alone: the host differs by region and edge.
func isCreateCall(method, rawURL string) bool {
	u, err := url.Parse(rawURL)
	if err != nil || method != http.MethodPost {
		return false
	}
	matched, _ := path.Match("/2010-04-01/Accounts/*/Calls.json", u.Path)
	return matched
}

// A refusal is the error of a call that was not sent. In it, errors.As finds what was found and, for code that
// knows twilio-go's errors only, the one that the vendor's answer would have become.
type refusal struct {
	found *callparams.Error
}

func (r refusal) Error() string { return "call not sent: " + r.found.Error() }

func (r refusal) Unwrap() []error {
	return []error{r.found, &client.TwilioRestError{
		Code:     int(r.found.Code()),
		Message:  r.found.Error(),
		MoreInfo: r.found.Code().DocsURL(),
		Status:   http.StatusBadRequest,
	}}
}
