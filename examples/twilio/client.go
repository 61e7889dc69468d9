package main

import (
	"errors"
	"net/http"
	"net/url"
	"path"

	"example.com/callparams"
	"github.com/twilio/twilio-go/client"
)

// A checkedClient sends requests through the client inside it. It does not send a Create Call whose
// From or To is wrong.
type checkedClient struct {
	client.BaseClient
}

// SendRequest returns a refusal for a Create Call whose From or To is wrong. It sends any other
// request.
func (c checkedClient) SendRequest(
	method, rawURL string, data url.Values, headers map[string]interface{}, body ...byte,
) (*http.Response, error) {
	if isCreateCall(method, rawURL) {
		request := callparams.Request{From: data.Get("From"), To: data.Get("To")}
		var found *callparams.Error
		if errors.As(request.Validate(), &found) {
			return nil, refusal{found}
		}
	}
	return c.BaseClient.SendRequest(method, rawURL, data, headers, body...)
}

// isCreateCall reports whether a request is a Create Call. It ignores the host, which depends on
// the region and the edge.
func isCreateCall(method, rawURL string) bool {
	u, err := url.Parse(rawURL)
	if err != nil || method != http.MethodPost {
		return false
	}
	matched, _ := path.Match("/2010-04-01/Accounts/*/Calls.json", u.Path)
	return matched
}

// A refusal is the error for a call that was not sent. It wraps the *callparams.Error. For code
// that knows only twilio-go's errors, it also wraps a *client.TwilioRestError, as if Twilio had
// refused the call.
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
