package callparams_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"example.com/callparams"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// found lists the problems of err as "Param rule offset+length", in order.
func found(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var e *callparams.Error
	require.ErrorAs(t, err, &e)
	require.NotEmpty(t, e.Problems)
	list := make([]string, 0, len(e.Problems))
	for _, p := range e.Problems {
		assert.Contains(t, p.Rule.Codes(), p.Code)
		assert.ErrorIs(t, err, p.Rule)
		assert.ErrorIs(t, err, p.Code)
		list = append(list, p.Param+" "+string(p.Rule)+" "+span(p))
	}
	return list
}

func TestParseFromAccepts(t *testing.T) {
	for _, test := range []struct {
		in   string
		kind callparams.Kind
		user string
	}{
		{"+14155552671", callparams.KindPhone, "+14155552671"},
		{"+123456789", callparams.KindPhone, "+123456789"},
		{"+12", callparams.KindPhone, "+12"},
		{"+123456789012345", callparams.KindPhone, "+123456789012345"},
		{"+266696687", callparams.KindPhone, "+266696687"},
		{"client:alice", callparams.KindClient, "alice"},
		{"CLIENT:Tom_O'Neil.7", callparams.KindClient, "Tom_O'Neil.7"},
		{"client:" + strings.Repeat("a", 256), callparams.KindClient, strings.Repeat("a", 256)},
		{"alice", callparams.KindUser, "alice"},
		{"8001", callparams.KindUser, "8001"},
		{"Front-Desk", callparams.KindUser, "Front-Desk"},
		{"a+b_c.d", callparams.KindUser, "a+b_c.d"},
		{strings.Repeat("a", 256), callparams.KindUser, strings.Repeat("a", 256)},
	} {
		t.Run(test.in, func(t *testing.T) {
			from, err := callparams.ParseFrom(test.in)
			require.NoError(t, err)
			assert.Equal(t, test.kind, from.Kind())
			assert.Equal(t, test.user, from.User())
			assert.Equal(t, test.in, from.String())
			assert.True(t, from.IsValid())
		})
	}
}

func TestRequest(t *testing.T) {
	for _, test := range []struct {
		from, to string
		want     []string
	}{
		{"+123456789", "sip:bob@example.com", nil},
		{"client:alice", "sip:bob@example.com", nil},
		{"alice", "client:bob?k=v", nil},
		{"+14155550100", "+14155552671", nil},
		{"client:alice", "+14155552671", []string{"From from.phone 0+12"}},
		{"+123456789", "+14155552671", []string{"From phone.length 0+10"}},
		{"+14155552671", "+14155552671", []string{"To same.party 0+12"}},
		{"", "", []string{"To to.required 0+0", "From from.required 0+0"}},
		{"", "sip:bob@10.0.0.1;transport=sctp?X-A=a%0d%0ab&Subject=x", []string{
			"To sip.private 8+8", "To sip.transport 27+4", "To header.value 37+6", "To header.allowed 45+7",
			"From from.required 0+0",
		}},
	} {
		t.Run(test.from+" "+test.to, func(t *testing.T) {
			r := callparams.Request{From: test.from, To: test.to}
			call, err := r.Parse()
			assert.Equal(t, test.want, found(t, err))
			assert.Equal(t, err == nil, call.IsValid())
			assert.Equal(t, err == nil, errors.Is(r.Validate(), nil))
		})
	}
}

// span writes where p is as "offset+length".
func span(p *callparams.Problem) string { return fmt.Sprintf("%d+%d", p.Offset, p.Len) }
