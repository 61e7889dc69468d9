package main

import (
	"strings"
	"testing"

	"example.com/callparams"
	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const twilioHost = "sip.us1.twilio.com"

// dial places the call through a receiver and returns the call that the receiver answered.
func dial(t *testing.T, from, fromHost string, to callparams.To) (in incoming, err error) {
	t.Helper()
	call, err := callparams.Request{From: from, To: to.String()}.Parse()
	require.NoError(t, err)
	answered := make(chan incoming, 1)
	receiver, err := listen(ownDomains, func(in incoming) { answered <- in })
	require.NoError(t, err)
	defer receiver.close()
	err = place(t.Context(), call, fromHost, receiver.Addr, func() { in = <-answered })
	return in, err
}

// headers returns the headers of the INVITE, except those that every INVITE has.
func headers(invite *sip.Request) []callparams.Field {
	var fields []callparams.Field
	for _, h := range invite.Headers() {
		switch h.Name() {
		case "Via", "To", "From", "Call-ID", "CSeq", "Max-Forwards", "Contact", "Content-Length":
		default:
			fields = append(fields, callparams.Field{Name: h.Name(), Value: h.Value()})
		}
	}
	return fields
}

// TestArticle uses the values in Twilio's support article about the From domain.
func TestArticle(t *testing.T) {
	to := callparams.MustParseTo("sip:destination@host?X-Source-Domain=mydomain.sip.twilio.com")
	in, err := dial(t, "+123456789", twilioHost, to)
	require.NoError(t, err)
	assert.Equal(t, "INVITE sip:destination@host SIP/2.0", in.Invite.StartLine())
	assert.Equal(t, "sip:+123456789@sip.us1.twilio.com", in.Invite.From().Address.String())
	assert.Equal(t, "sip:destination@host", in.Invite.To().Address.String())
	assert.Equal(t, []callparams.Field{
		{Name: "X-Source-Domain", Value: "mydomain.sip.twilio.com"},
	}, headers(in.Invite))
	assert.Equal(t, "+123456789", in.Caller)
	assert.Equal(t, "mydomain.sip.twilio.com", in.SourceDomain)
}

// TestEveryPrintableByte puts each byte between < and >, because white space at either end is not
// part of a header's value (RFC 3261, section 7.3.1).
func TestEveryPrintableByte(t *testing.T) {
	var all strings.Builder
	for c := byte(' '); c <= '~'; c++ {
		all.WriteByte(c)
		roundTrip(t, "<"+string(c)+">")
	}
	roundTrip(t, "<"+all.String()+">")
}

func roundTrip(t *testing.T, value string) {
	t.Helper()
	to, err := callparams.SIPURI{User: "bob", Host: "example.com"}.WithHeader("X-Value", value).To()
	require.NoError(t, err)
	in, err := dial(t, "alice", twilioHost, to)
	require.NoError(t, err)
	assert.Equal(t, "sip:bob@example.com", in.Invite.Recipient.String())
	assert.Equal(t, []callparams.Field{{Name: "X-Value", Value: value}}, headers(in.Invite))
}

func TestOrderAndRepeats(t *testing.T) {
	want := []callparams.Field{
		{Name: "X-B", Value: "1"},
		{Name: "x-a", Value: ""},
		{Name: "X-B", Value: "2, 3"},
		{Name: "User-to-User", Value: "00FF;encoding=hex"},
		{Name: "Remote-Party-ID", Value: `"Alice" <sip:alice@example.com>;privacy=full`},
		{Name: "P-Preferred-Identity", Value: "<sip:alice@example.com>"},
		{Name: "P-Called-Party-ID", Value: "<sip:bob@example.com>"},
		{Name: "X-*!%_+`'~.", Value: "a name may have these"},
	}
	uri := callparams.SIPURI{User: "a/b?c", Host: "example.com", Port: 5070, Headers: want}
	to, err := uri.WithParam("transport", "udp").To()
	require.NoError(t, err)
	in, err := dial(t, "client:Tom_O'Neil;7", twilioHost, to)
	require.NoError(t, err)
	assert.Equal(t, "sip:a%2Fb%3Fc@example.com:5070;transport=udp", in.Invite.Recipient.String())
	assert.Equal(t, "Tom_O'Neil;7", in.Caller)
	assert.Empty(t, in.SourceDomain)
	assert.Equal(t, want, headers(in.Invite))
}

// TestOwnDomain calls a user who is registered at a domain of the receiver.
func TestOwnDomain(t *testing.T) {
	to := callparams.MustParseTo("sip:bob@" + ownDomains[0])
	for _, host := range []string{
		"mydomain.sip.twilio.com", "MyDomain.SIP.Twilio.COM", "mydomain.sip.twilio.com.",
		"branch.sip.twilio.com",
	} {
		in, err := dial(t, "alice", host, to)
		require.NoError(t, err, host)
		assert.Equal(t, host, in.Invite.From().Address.Host)
		assert.Equal(t, "alice", in.Caller)
		assert.Empty(t, in.SourceDomain)
	}
}

func TestStrangerIsForbidden(t *testing.T) {
	to := callparams.MustParseTo("sip:destination@host?X-Source-Domain=mydomain.sip.twilio.com")
	for _, host := range []string{
		"example.com", "sip.us1.twilio.com.example.com",
		"other.sip.twilio.com", "xmydomain.sip.twilio.com", "x.mydomain.sip.twilio.com",
		"mydomain.sip.twilio.com.evil.example", "mydomain.sip.twilio.com..",
		"mydomain.\u017fip.twilio.com", // U+017F folds to s
		"pstn.twilio.com",              // Elastic SIP Trunking
	} {
		in, err := dial(t, "alice", host, to)
		assert.Zero(t, in, host)
		var refused *sipgo.ErrDialogResponse
		require.ErrorAs(t, err, &refused, host)
		assert.Equal(t, sip.StatusForbidden, refused.Res.StatusCode, host)
	}
}

func TestPlaceNeedsSIP(t *testing.T) {
	call, err := callparams.Request{From: "alice", To: "client:bob"}.Parse()
	require.NoError(t, err)
	err = place(t.Context(), call, twilioHost, "127.0.0.1:9", t.FailNow)
	assert.ErrorContains(t, err, "To must be a SIP URI")
}

func TestRun(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(&out))
	assert.Contains(t, out.String(), "INVITE sip:destination@host SIP/2.0\r\n")
	assert.Contains(t, out.String(), "\r\nX-Account: Smith & Sons\r\n")
	assert.Contains(t, out.String(),
		"\nanswered 200 OK: caller +123456789, source domain mydomain.sip.twilio.com\n")
}
