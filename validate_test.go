package callparams_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"example.com/callparams"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// problemListOLD returns the problems of err, none for nil.
func problemListOLD(t testing.TB, err error) []*callparams.Problem {
	t.Helper()
	if err == nil {
		return nil
	}
	var e *callparams.Error
	require.ErrorAs(t, err, &e)
	require.NotEmpty(t, e.Problems)
	assert.Equal(t, e.Problems[0].Code, e.Code())
	return e.Problems
}

// spans lists the problems of err as "Param rule offset+length", in order.
func spans(t testing.TB, err error) []string {
	t.Helper()
	var list []string
	for _, p := range problemListOLD(t, err) {
		assert.Contains(t, p.Rule.Codes(), p.Code)
		assert.ErrorIs(t, err, p.Rule)
		assert.ErrorIs(t, err, p.Code)
		list = append(list, strings.TrimSpace(fmt.Sprintf("%s %s %d+%d", p.Param, p.Rule, p.Offset, p.Len)))
	}
	return list
}

func TestParseFromAccepts(t *testing.T) {
	long := strings.Repeat("a", 256)
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
		{"client:" + long, callparams.KindClient, long},
		{"alice", callparams.KindUser, "alice"},
		{"8001", callparams.KindUser, "8001"},
		{"Front-Desk", callparams.KindUser, "Front-Desk"},
		{"a+b_c.d", callparams.KindUser, "a+b_c.d"},
		{long, callparams.KindUser, long},
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

func TestParseFromRefuses(t *testing.T) {
	const none = ""
	for _, test := range []struct{ in, want, fix string }{
		{"", "from.required 0+0", none},
		{"sip:+1234@mydomain.sip.twilio.com", "from.user 9+24", "+1234"},
		{"sip:alice", "from.user 0+4", none},
		{"SIPS:bob@h", "from.user 8+2", "bob"},
		{"alice@example.com", "from.user 5+12", "alice"},
		{"+1234@x", "from.user 5+2", "+1234"},
		{"client:a@b", "from.user 8+2", none},
		{"sip:al ice@b", "from.user 10+2", none},
		{"bob:secret@b", "from.user 10+2", none},
		{"sip:client:bob@b", "from.user 14+2", none},
		{" sip:x", "user.char 0+1", none},
		{"a＠b", "user.char 1+3", none},
		{"two words", "user.char 3+1", none},
		{" 14155552671", "user.char 0+1", "+14155552671"},
		{strings.Repeat("a", 257), "user.length 256+1", none},
		{"tel:+14155552671", "scheme.unknown 0+4", "+14155552671"},
		{"whatsapp:+14155552671", "scheme.unknown 0+9", none},
		{"app:x", "scheme.unknown 0+4", none},
		{"x:y", "scheme.unknown 0+2", none},
		{":y", "user.char 0+1", none},
		{"sim:x", "scheme.unknown 0+4", none},
		{"+", "phone.length 1+0", none},
		{"+1", "phone.length 1+1", none},
		{"+1234567890123456", "phone.length 1+16", none},
		{"+07487723751", "phone.zero 1+1", none},
		{"+1415555CALL", "phone.char 8+4", none},
		{"+1 (415) 555-2671", "phone.char 2+2", "+14155552671"},
		{"+44 (0)20 7183 8750", "phone.char 3+2", none}, // whether 0 is dialled is not to be guessed
		{"+1415555２671", "phone.char 8+3", none},
		{"+14155552671\n", "phone.char 12+1", none},
		{"client:", "client.length 7+0", none},
		{"client:" + strings.Repeat("a", 257), "client.length 263+1", none},
		{"client:alice )", "client.char 12+1", none},
		{"client:zoë", "client.char 9+2", none},
		{"client:alice?k=v", "client.params 12+4", none},
		{"client:a&b", "client.char 8+1", none},
	} {
		t.Run(test.in, func(t *testing.T) {
			from, err := callparams.ParseFrom(test.in)
			assert.Equal(t, []string{"From " + test.want}, spans(t, err))
			assert.Zero(t, from)
			fix, ok := problemListOLD(t, err)[0].Fix()
			assert.Equal(t, test.fix, fix)
			assert.Equal(t, test.fix != none, ok)
			if errors.Is(err, callparams.RuleFromUser) {
				assert.ErrorIs(t, err, callparams.CodeInvalidFrom)
				assert.Contains(t, err.Error(), "the caller address is not a user name")
			}
		})
	}
}

func TestParseToPhone(t *testing.T) {
	const ok = ""
	for _, test := range []struct{ in, shape, possible, assigned, fix string }{
		{"+14155552671", ok, ok, ok, ""},
		{"+15005550001", ok, ok, ok, ""}, // to 9: the vendor's test numbers
		{"+15005550002", ok, ok, ok, ""},
		{"+15005550003", ok, ok, ok, ""},
		{"+15005550004", ok, ok, ok, ""},
		{"+15005550005", ok, ok, ok, ""},
		{"+15005550006", ok, ok, ok, ""},
		{"+15005550007", ok, ok, ok, ""},
		{"+15005550008", ok, ok, ok, ""},
		{"+15005550009", ok, ok, ok, ""},
		{"+390612345678", ok, ok, ok, ""}, // in Italy the 0 belongs to the number
		{"+15555550100", ok, ok, "phone.assigned 0+12", ""},
		{"+123456789", ok, "phone.length 1+9", "phone.length 1+9", ""},
		{"+1234", ok, "phone.length 1+4", "phone.length 1+4", ""},
		{"+1911", ok, "phone.length 1+4", "phone.length 1+4", ""},
		{"+33112", ok, "phone.length 1+5", "phone.length 1+5", ""},
		{"+15550100", ok, "phone.length 1+8", "phone.length 1+8", ""}, // possible locally only
		{"+44", ok, "phone.length 1+2", "phone.length 1+2", ""},
		{"+999123456789", ok, "phone.country 1+3", "phone.country 1+3", ""},
		{"+2101234567", ok, "phone.country 1+3", "phone.country 1+3", ""},
		{"+99", ok, "phone.country 1+2", "phone.country 1+2", ""},
		{"+4402071838750", ok, "phone.trunk 3+1", "phone.trunk 3+1", "+442071838750"},
		{"+440", ok, "phone.length 1+3", "phone.length 1+3", ""},
		{"+266696687", "phone.withheld 0+10", "phone.withheld 0+10", "phone.withheld 0+10", ""},
		{"+7378742833", "phone.withheld 0+11", "phone.withheld 0+11", "phone.withheld 0+11", ""},
		{"+2562533", "phone.withheld 0+8", "phone.withheld 0+8", "phone.withheld 0+8", ""},
		{"+8656696", "phone.withheld 0+8", "phone.withheld 0+8", "phone.withheld 0+8", ""},
		{"+86282452253", "phone.withheld 0+12", "phone.withheld 0+12", "phone.withheld 0+12", ""},
		{"+4915123456789012", "phone.length 1+16", "phone.length 1+16", "phone.length 1+16", ""}, // possible, but not E.164
		{"14155552671", "phone.plus 0+0", "phone.plus 0+0", "phone.plus 0+0", ""},
		{" 14155552671", "phone.plus 0+1", "phone.plus 0+1", "phone.plus 0+1", "+14155552671"},
		{" 1", "phone.plus 0+1", "phone.plus 0+1", "phone.plus 0+1", ""},
		{" ", "phone.plus 0+0", "phone.plus 0+0", "phone.plus 0+0", ""},
		{"gdygadba", "phone.plus 0+0", "phone.plus 0+0", "phone.plus 0+0", ""},
		{"Call me at +14155552671 now", "phone.plus 0+0", "phone.plus 0+0", "phone.plus 0+0", ""},
		{"+1 (415) 555-2671", "phone.char 2+2", "phone.char 2+2", "phone.char 2+2", "+14155552671"},
		{"+14155552671;ext=5", "phone.char 12+5", "phone.char 12+5", "phone.char 12+5", ""},
	} {
		t.Run(test.in, func(t *testing.T) {
			for level, want := range map[callparams.NumberCheck]string{
				callparams.Shape: test.shape, callparams.Possible: test.possible, callparams.Assigned: test.assigned,
			} {
				p := callparams.Parser{Numbers: level}
				to, err := p.ParseTo(test.in)
				if want == ok {
					require.NoError(t, err, level)
					assert.Equal(t, callparams.KindPhone, to.Kind())
					continue
				}
				assert.Equal(t, []string{"To " + want}, spans(t, err), level)
				assert.ErrorIs(t, err, callparams.CodeInvalidTo)
				fix, _ := problemListOLD(t, err)[0].Fix()
				assert.Equal(t, test.fix, fix, level)
			}
		})
	}
}

func TestParseToClient(t *testing.T) {
	for _, test := range []struct {
		in, want string
		name     string
		params   []callparams.Field
	}{
		{"client:alice", "", "alice", nil},
		{"Client:alice@example.com", "", "alice@example.com", nil},
		{"client:alice?k=v&q=a%20b+c&k=&e=x=y?", "", "alice",
			[]callparams.Field{{Name: "k", Value: "v"}, {Name: "q", Value: "a b+c"}, {Name: "k"}, {Name: "e", Value: "x=y?"}}},
		{"client:alice?", "client.params 13+0", "", nil},
		{"client:alice?k", "client.params 14+0", "", nil},
		{"client:alice?=v", "client.params 13+0", "", nil},
		{"client:alice?k=v&", "client.params 17+0", "", nil},
		{"client:alice?k=%zz", "client.params 15+1", "", nil},
		{"client:alice?k=a b", "client.params 16+1", "", nil},
		{"client:?k=v", "client.length 7+0", "", nil},
		{"client:a b?k=v", "client.char 8+1", "", nil},
		{"client:" + strings.Repeat("a", 257), "client.length 263+1", "", nil},
	} {
		t.Run(test.in, func(t *testing.T) {
			to, err := callparams.ParseTo(test.in)
			name, params, ok := to.Client()
			assert.Equal(t, test.want == "", ok)
			assert.Equal(t, test.name, name)
			assert.Equal(t, test.params, params)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			assert.Equal(t, []string{"To " + test.want}, spans(t, err))
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
		{"8001", "+14155552671", []string{"From from.phone 0+4"}},
		{"+123456789", "+14155552671", []string{"From phone.length 1+9"}},
		{"+266696687", "+14155552671", []string{"From phone.withheld 0+10"}},
		{"+266696687", "sip:bob@example.com", nil},
		{"+14155552671", "+14155552671", []string{"To same.party 0+12"}},
		{"alice", "sip:alice", nil},
		{"client:alice", "+1234", []string{"To phone.length 1+4", "From from.phone 0+12"}},
		{"client:alice", "gdygadba", []string{"To phone.plus 0+0"}},
		{"client:alice", "+1234@x", []string{"To scheme.missing 0+0"}},
		{"a b", "+14155552671", []string{"From user.char 1+1"}},
		{"", "", []string{"To to.required 0+0", "From from.required 0+0"}},
		{"", "sip:bob@10.0.0.1;transport=sctp?X-A=a%0d%0ab&Subject=x", []string{
			"To sip.private 8+8", "To sip.transport 27+4", "To header.value 37+6", "To header.allowed 45+7",
			"From from.required 0+0",
		}},
	} {
		t.Run(test.from+" "+test.to, func(t *testing.T) {
			r := callparams.Request{From: test.from, To: test.to}
			call, err := r.Parse()
			assert.Equal(t, test.want, spans(t, err))
			assert.Equal(t, err == nil, call.IsValid())
			assert.Equal(t, err == nil, r.Validate() == nil)
			if err == nil {
				assert.Equal(t, test.from, call.From().String())
				assert.Equal(t, test.to, call.To().String())
			}
		})
	}
}

func TestRequestLevel(t *testing.T) {
	r := callparams.Request{From: "+15555550100", To: "+14155552671"}
	_, err := callparams.Parser{Numbers: callparams.Assigned}.Parse(r)
	assert.Equal(t, []string{"From phone.assigned 0+12"}, spans(t, err))
	_, err = callparams.Parser{Numbers: callparams.Shape}.Parse(callparams.Request{From: "+1234", To: "+12345"})
	assert.NoError(t, err)
}

func TestMoveSourceDomain(t *testing.T) {
	const from = "sip:+1234@mydomain.sip.twilio.com"
	const moved = "X-Source-Domain=mydomain.sip.twilio.com"
	for _, test := range []struct{ from, to, wantFrom, wantTo string }{
		{from, "sip:destination@host", "+1234", "sip:destination@host?" + moved},
		{from, "sip:d%20@host;lr?X-A=%42", "+1234", "sip:d%20@host;lr?X-A=%42&" + moved},
		{"SIPS:alice:pw@h:5061;lr?a=b", "sip:d@host", "alice", "sip:d@host?X-Source-Domain=h"},
		{"+1234", "sip:d@host", "+1234", "sip:d@host"},
		{"alice@example.com", "+1", "alice@example.com", "+1"},
		{"", "", "", ""},
	} {
		t.Run(test.from+" "+test.to, func(t *testing.T) {
			got, err := callparams.Request{From: test.from, To: test.to}.MoveSourceDomain()
			require.NoError(t, err)
			assert.Equal(t, callparams.Request{From: test.wantFrom, To: test.wantTo}, got)
		})
	}
	for _, test := range []struct{ from, to, want, why string }{
		{from, "+14155552671", "From source.domain 0+33", "only a SIP URI carries headers"},
		{from, "client:bob", "From source.domain 0+33", "only a SIP URI carries headers"},
		{from, "sip:d@host?x-source-domain=other", "From source.domain 0+33", "already"},
		{from, "sip:d@host?X-%53ource-Domain=other", "From source.domain 0+33", "already"},
		{from, "sip:d@host?X-A=" + strings.Repeat("a", 1000), "From source.domain 0+33", "too long"},
		{from, "sip:d@10.0.0.1", "To sip.private 6+8", "private"},
		{"sip:mydomain.sip.twilio.com", "sip:d@host", "From source.domain 0+27", "user"},
		{"sip:a%20b@h", "sip:d@host", "From source.domain 0+11", "user"},
		{"sip:client%3Aalice@h", "sip:d@host", "From source.domain 0+20", "user"},
		{"sip:alice@", "sip:d@host", "From source.domain 0+10", "malformed"},
	} {
		t.Run(test.from+" "+test.to, func(t *testing.T) {
			got, err := callparams.Request{From: test.from, To: test.to}.MoveSourceDomain()
			assert.Equal(t, []string{test.want}, spans(t, err))
			assert.ErrorContains(t, err, test.why)
			assert.Zero(t, got)
			_, ok := problemListOLD(t, err)[0].Fix()
			assert.False(t, ok)
		})
	}
}

// TestFixInPair holds that a fix suits the other value too.
func TestFixInPair(t *testing.T) {
	for _, r := range []callparams.Request{
		{From: "+14155552671", To: "+1 (415) 555-2671"},
		{From: "+1 (415) 555-2671", To: "+14155552671"},
		{From: "+1 (234)", To: "+14155552671"},
	} {
		_, ok := problemListOLD(t, r.Validate())[0].Fix()
		assert.False(t, ok, r)
	}
	fix, _ := problemListOLD(t, callparams.Request{From: "+1 (415) 555-0100", To: "+14155552671"}.Validate())[0].Fix()
	assert.Equal(t, "+14155550100", fix)
}

// TestFixChangesNothing holds that asking for a fix leaves what the parser remembers of a calling code as it is.
func TestFixChangesNothing(t *testing.T) {
	_, err := callparams.ParseTo("+0491701234567")
	_, ok := problemListOLD(t, err)[0].Fix()
	assert.False(t, ok)
	_, err = callparams.ParseTo("+491234567890123")
	assert.NoError(t, err)
}

// TestSixteenProblems holds the cap: 17 headers are wrong, the first 16 are reported.
func TestSixteenProblems(t *testing.T) {
	_, err := callparams.ParseTo("sip:a@h?" + strings.Repeat("A=1&", 16) + "A=1")
	list := problemListOLD(t, err)
	assert.Len(t, list, 16)
	assert.Equal(t, len("sip:a@h?")+15*len("A=1&"), list[15].Offset)
}

// TestUnreadTail holds that a refusal is the same, whatever follows what is read of a value.
func TestUnreadTail(t *testing.T) {
	tail := strings.Repeat("1", 1<<20)
	for in, want := range map[string]string{
		"+1":                "phone.length",
		"sip:":              "sip.length",
		"sip:a@h?X-A=%00&X": "header.length",
		"sip:a@h?X-A":       "header.length",
		"client:":           "client.length",
		"alice":             "phone.plus",
		"alice@":            "scheme.missing",
		"tel:":              "scheme.unknown",
	} {
		_, err := callparams.ParseTo(in + tail)
		if list := problemListOLD(t, err); assert.Len(t, list, 1) {
			assert.Equal(t, want, string(list[0].Rule))
			assert.LessOrEqual(t, list[0].Offset+list[0].Len, len(in+tail))
		}
	}
}

func TestErrorText(t *testing.T) {
	err := callparams.Request{To: "sip:a@[::1]5"}.Validate()
	assert.EqualError(t, err, "callparams: To: found a digit in the host, want a DNS name or an IP address (21211, byte 11); "+
		"From: From is empty, want a phone number, a client identity or a user name (21213, byte 0)")
}

func TestZeroValues(t *testing.T) {
	var (
		from callparams.From
		to   callparams.To
		call callparams.Call
		p    callparams.Problem
		e    callparams.Error
	)
	assert.False(t, from.IsValid() || to.IsValid() || call.IsValid())
	assert.Equal(t, callparams.KindInvalid, from.Kind())
	assert.Equal(t, callparams.KindInvalid, to.Kind())
	assert.Empty(t, from.String()+from.User()+from.Redacted()+to.String()+to.Redacted())
	_, isSIP := to.SIPURI()
	_, _, isClient := to.Client()
	assert.False(t, isSIP || isClient)
	assert.Empty(t, p.Value()+p.Redacted())
	_, fixed := p.Fix()
	assert.False(t, fixed)
	assert.Zero(t, e.Code())
	assert.NotPanics(t, func() { _ = fmt.Sprintf("%v %#v %v %#v %v", call, from, to, &e, &p) })
	for _, text := range []string{fmt.Sprint(callparams.Kind(99)), fmt.Sprint(callparams.Kind(0))} {
		assert.Equal(t, "invalid", text)
	}
	assert.Equal(t, "shape possible assigned", fmt.Sprint(callparams.Shape, callparams.Possible, callparams.Assigned))
	assert.Equal(t, "unknown", callparams.Rule("no.such").Basis().String())
	assert.Empty(t, callparams.Rule("no.such").Codes())
	assert.Empty(t, callparams.Rule("no.such").Summary())
}

func TestMustParsePanics(t *testing.T) {
	assert.Panics(t, func() { callparams.MustParseFrom("") })
	assert.Panics(t, func() { callparams.MustParseTo("") })
}

func TestText(t *testing.T) {
	type pair struct {
		From callparams.From
		To   callparams.To
	}
	in := pair{callparams.MustParseFrom("client:alice"), callparams.MustParseTo("sip:bob@example.com?X-A=%22")}
	text, err := json.Marshal(in)
	require.NoError(t, err)
	assert.JSONEq(t, `{"From": "client:alice", "To": "sip:bob@example.com?X-A=%22"}`, string(text))
	var out pair
	require.NoError(t, json.Unmarshal(text, &out))
	assert.Equal(t, in, out)

	assert.Error(t, json.Unmarshal([]byte(`{"From": "a@b"}`), &out))
	assert.Error(t, json.Unmarshal([]byte(`{"To": "bob"}`), &out))
	assert.Equal(t, in, out, "a failed UnmarshalText changes nothing")
	require.NoError(t, json.Unmarshal([]byte(`{"From": "", "To": ""}`), &out))
	assert.Zero(t, out)

	b, err := in.From.AppendText([]byte("From="))
	require.NoError(t, err)
	assert.Equal(t, "From=client:alice", string(b))
	b, err = in.To.AppendText(nil)
	require.NoError(t, err)
	assert.Equal(t, in.To.String(), string(b))
}

// TestErrorJSON holds the vendor's error body, which its Go SDK reads into Code, Message, MoreInfo and Status.
func TestErrorJSON(t *testing.T) {
	err := callparams.Request{From: "sip:+1234@x", To: "+14155552671"}.Validate()
	text, jsonErr := json.Marshal(err)
	require.NoError(t, jsonErr)
	assert.JSONEq(t, `{
		"code": 21212,
		"message": "callparams: From: the caller address is not a user name (21212, byte 9)",
		"more_info": "https://www.twilio.com/docs/errors/21212",
		"status": 400,
		"problems": [{
			"param": "From", "rule": "from.user", "code": 21212, "offset": 9, "length": 2,
			"message": "the caller address is not a user name", "basis": "documented",
			"more_info": "https://www.twilio.com/docs/errors/21212"
		}]
	}`, string(text))
}

func TestRedacted(t *testing.T) {
	for in, want := range map[string]string{
		"+14155552671":                         "+*********71",
		"+1234":                                "+****",
		"+1 (415) 555-2671":                    "+* (***) ***-****",
		"14155552671":                          "***********",
		"alice.smith":                          "***********",
		"client:alice?k=v":                     "client:*****?*=*",
		"sip:+14155552671":                     "sip:************",
		"sip:alice":                            "sip:*****",
		"sip:example.com":                      "sip:example.com",
		"sip:4155552671.example.com":           "sip:**********.example.com",
		"SIPS:a:pw@Example.com:5061":           "SIPS:****@Example.com:5061",
		"+1234567":                             "+*****67",
		"+123456":                              "+******",
		"sip:a@h.example:65535;!lr":            "sip:*@h.example:65535;***",
		"sip:a@h:14155552671":                  "sip:*@h:***********",
		"sip:a@[2001:db8::1]:5060;lr":          "sip:*@[2001:db8::1]:5060;lr",
		"sip:a@[2001:db8":                      "sip:*@*********",
		"sip:a@203.0.113.9;a=b?X-Id=7":         "sip:*@203.0.113.9;a=*?X-Id=*",
		"sip:a@h?X-A=Smith&Jones=1&X-1234567=": "sip:*@h?X-A=*****&*****=*&X-*******=",
		"sip:a@h?X-A=1?X-Smith&X-Jones":        "sip:*@h?X-A=*?*******&*******",
		"sip:a@h?X-A=1;X-Smith":                "sip:*@h?X-A=*;*******",
		"sip:a@h.example;x=tom&jerry;lr":       "sip:*@h.example;x=***&*****;lr",
		"sip:a@h.example:41555-52671":          "sip:*@h.example:***********",
		"sip:a@b@c":                            "sip:*@***",
		"alice@example.com":                    "*****@example.com",
		"tel:+14155552671":                     "****************",
		"zoë\n":                                "*****",
		"":                                     "",
	} {
		_, err := callparams.ParseFrom(in + "\x00")
		p := problemListOLD(t, err)[0]
		assert.Equal(t, in+"\x00", p.Value())
		assert.Len(t, p.Redacted(), len(in)+1)
		r := callparams.Request{From: in}
		assert.Equal(t, "From "+want+" To ", r.String(), in)
		assert.Equal(t, r.String(), fmt.Sprintf("%#v", r))
	}
}

// TestRules holds that each rule has what its users are promised, and that the README's table is theirs.
func TestRules(t *testing.T) {
	var table strings.Builder
	table.WriteString("| rule | codes | basis | refused is |\n|---|---|---|---|\n")
	var names []string
	for rule := range callparams.Rules() {
		names = append(names, rule.Error())
		assert.NotEmpty(t, rule.Codes(), rule)
		assert.NotEqual(t, "unknown", rule.Basis().String(), rule)
		codes := make([]string, 0, 2)
		for _, c := range slices.Compact(rule.Codes()) {
			codes = append(codes, fmt.Sprintf("[%d](%s)", int(c), c.DocsURL()))
		}
		summary := strings.NewReplacer("|", `\|`, "&", "&amp;", "<", "&lt;").Replace(rule.Summary())
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", rule, strings.Join(codes, " "), rule.Basis(), summary)
	}
	slices.Sort(names)
	assert.Len(t, slices.Compact(names), 38)
	for rule := range callparams.Rules() { // a loop may end early
		assert.Equal(t, callparams.RuleFromRequired, rule)
		break
	}
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	assert.Contains(t, string(readme), table.String(), "the README's table is to be:\n%s", table.String())
}

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file of testdata, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(got), 0o644))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "go test -run '^%s$' . -update writes %s anew", t.Name(), name)
}

// TestAPI holds that no exported declaration changes unseen.
func TestAPI(t *testing.T) {
	var api []string
	files := token.NewFileSet()
	for _, name := range []string{"validate.go", "sipuri.go", "errors.go"} {
		file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.FileExports(file)
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				f.Body = nil
			}
			if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
				continue
			}
			var text strings.Builder
			require.NoError(t, printer.Fprint(&text, files, decl))
			api = append(api, text.String()+"\n")
		}
	}
	golden(t, "api.txt", strings.Join(api, ""))
}

// TestReadmeCode holds that the README's Go code is that of the examples, word for word.
func TestReadmeCode(t *testing.T) {
	var code strings.Builder
	for _, name := range []string{"sipuri_test.go", "examples/twilio/readme_test.go"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		code.Write(text)
	}
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	blocks := strings.Split(string(readme), "```go\n")[1:]
	require.Len(t, blocks, 2)
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		indented := "\t" + strings.ReplaceAll(strings.TrimSpace(block), "\n", "\n\t")
		assert.Contains(t, code.String(), indented+"\n")
	}
}

// TestConcurrent asks for the lengths of calling codes that nobody asked for before from many goroutines; the race
// detector watches.
func TestConcurrent(*testing.T) {
	var group sync.WaitGroup
	for range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			for code := 1; code < 1000; code++ {
				_, _ = callparams.ParseTo(fmt.Sprintf("+%d123456789", code))
			}
		}()
	}
	group.Wait()
}

func Example() {
	// Before the request is sent:
	r := callparams.Request{From: "sip:+1234@mydomain.sip.twilio.com", To: "sip:bob@example.com?Subject=hello"}
	var e *callparams.Error
	if err := r.Validate(); errors.As(err, &e) {
		for _, p := range e.Problems {
			fmt.Println(p)
			if fix, ok := p.Fix(); ok {
				fmt.Println("  fix:", fix)
			}
		}
	}
	// Output:
	// To: the vendor leaves this header out, want X-... (not X-Twilio...), User-to-User, Remote-Party-ID, P-Preferred-Identity or P-Called-Party-ID (32113, byte 20)
	// From: the caller address is not a user name (21212, byte 9)
	//   fix: +1234
}

func ExampleParseFrom() {
	from, err := callparams.ParseFrom("client:alice")
	fmt.Println(from.Kind(), from.User(), err)
	_, err = callparams.ParseFrom("alice@example.com")
	fmt.Println(err)
	// Output:
	// client alice <nil>
	// callparams: From: the caller address is not a user name (21212, byte 5)
}

func ExampleParseTo() {
	for _, s := range []string{"+14155552671", "client:bob", "sip:bob@example.com", "bob"} {
		to, err := callparams.ParseTo(s)
		fmt.Println(to.Kind(), err)
	}
	// Output:
	// phone <nil>
	// client <nil>
	// sip <nil>
	// invalid callparams: To: a phone number needs + and its calling code in front; a name needs client: or sip: (21211, byte 0)
}

func ExampleTo_Client() {
	name, params, ok := callparams.MustParseTo("client:alice?account=42&note=a%20b").Client()
	fmt.Printf("%s %d %q %v\n", name, len(params), params[1].Value, ok)
	// Output: alice 2 "a b" true
}

func ExampleTo_SIPURI() {
	uri, ok := callparams.MustParseTo("sip:bob@example.com:5061;transport=tls?X-Note=a%20b").SIPURI()
	fmt.Println(uri.User, uri.Host, uri.Port, uri.Params[0].Value, uri.Headers[0].Value, ok)
	// Output: bob example.com 5061 tls a b true
}

func ExampleFrom_LogValue() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	log.Info("calling", "from", callparams.MustParseFrom("+14155552671"), "to", callparams.MustParseTo("sip:bob@example.com"))
	// Output: level=INFO msg=calling from=+*********71 to=sip:***@example.com
}

func ExampleRequest_Parse() {
	call, err := callparams.Request{From: "+14155550100", To: "sip:bob@example.com"}.Parse()
	fmt.Println(call, err)
	fmt.Println(call.From().User(), call.To())
	// Output:
	// From +*********00 To sip:***@example.com <nil>
	// +14155550100 sip:bob@example.com
}

func ExampleRequest_MoveSourceDomain() {
	r, err := callparams.Request{From: "sip:+1234@mydomain.sip.twilio.com", To: "sip:destination@host"}.MoveSourceDomain()
	fmt.Printf("%s\n%s\n%v\n", r.From, r.To, err)
	// Output:
	// +1234
	// sip:destination@host?X-Source-Domain=mydomain.sip.twilio.com
	// <nil>
}

func ExampleParser() {
	r := callparams.Request{From: "+14155552671", To: "+15555550100"} // a number reserved for fiction
	for _, level := range []callparams.NumberCheck{callparams.Shape, callparams.Possible, callparams.Assigned} {
		_, err := callparams.Parser{Numbers: level}.Parse(r)
		fmt.Println(level, err)
	}
	// Output:
	// shape <nil>
	// possible <nil>
	// assigned callparams: To: the number is in no assigned range of its calling code (21211, byte 0)
}

func ExampleError() {
	err := callparams.Request{From: "client:alice", To: "+14155552671"}.Validate()
	fmt.Println(errors.Is(err, callparams.RuleFromPhone), errors.Is(err, callparams.CodeInvalidFrom))
	var e *callparams.Error
	if errors.As(err, &e) {
		fmt.Println(int(e.Code()), e.Code().DocsURL())
	}
	// Output:
	// true true
	// 21212 https://www.twilio.com/docs/errors/21212
}

func ExampleProblem_Redacted() {
	_, err := callparams.ParseTo("sip:bob@example.com&transport=tls")
	var e *callparams.Error
	if errors.As(err, &e) {
		p := e.Problems[0]
		fix, _ := p.Fix()
		fmt.Println(p.Redacted())
		fmt.Println(strings.Repeat(" ", p.Offset) + strings.Repeat("^", p.Len))
		fmt.Println(fix)
	}
	// Output:
	// sip:***@*************************
	//                    ^
	// sip:bob@example.com;transport=tls
}

func ExampleRules() {
	for rule := range callparams.Rules() {
		fmt.Println(rule, rule.Codes(), rule.Basis(), rule.Summary())
		break
	}
	// Output: from.required [Twilio error 21213] documented From is empty
}

func BenchmarkPhone(b *testing.B) {
	for _, bench := range []struct {
		name  string
		parse func() error
	}{
		{"ParseFrom", func() error { _, err := callparams.ParseFrom("+14155552671"); return err }},
		{"ParseTo", func() error { _, err := callparams.ParseTo("+14155552671"); return err }},
		{"Request", callparams.Request{From: "+14155550100", To: "+14155552671"}.Validate},
		{"LeadingZero", func() error { _, err := callparams.ParseTo("+390612345678"); return err }},
		{"Assigned", func() error {
			_, err := callparams.Parser{Numbers: callparams.Assigned}.ParseTo("+14155552671")
			return err
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			require.NoError(b, bench.parse())
			b.ReportAllocs()
			for b.Loop() {
				_ = bench.parse()
			}
		})
	}
}

func BenchmarkRefusal(b *testing.B) {
	for name, to := range map[string]string{
		"Phone":    "+1415555CALL",
		"Word":     "gdygadba",
		"Client":   "client:alice )",
		"Header":   "sip:bob@example.com?Subject=hello",
		"TwiML":    "sip:bob@example.com?X-A=1&amp;X-B=2",
		"Sixteen":  "sip:a@h?" + strings.Repeat("A=1&", 16) + "A=1",
		"Params":   "sip:a@h" + strings.Repeat(";a", 120),
		"Megabyte": "sip:a@h?X-A=" + strings.Repeat("a", 1<<20),
		"Digits":   "+" + strings.Repeat("1", 1<<20),
		"Letters":  strings.Repeat("a", 1<<20),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := callparams.ParseTo(to); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

// A corpus is what testdata/vectors holds; the README.md there describes the format.
type corpus struct {
	from    []vector[vectorText, vectorFrom]
	to      []vector[vectorText, vectorTo]
	request []requestVector
	sipuri  []vector[vectorText, vectorURI]
}

// A vector is one case: what a parser makes of an input at every level, or at each.
type vector[In comparable, Out any] struct {
	ID      string `json:"id"`
	Comment string `json:"comment"`
	Source  string `json:"source"`
	Input   In     `json:"input"`
	verdict[Out]
	Levels *struct {
		Shape    verdict[Out] `json:"shape"`
		Possible verdict[Out] `json:"possible"`
		Assigned verdict[Out] `json:"assigned"`
	} `json:"levels"`
}

// A requestVector also says what MoveSourceDomain makes of its input, where that is of interest.
type requestVector struct {
	vector[vectorRequest, vectorCall]
	Moved *verdict[vectorRequest] `json:"moved"`
}

// A verdict is either the parts of what is accepted or the problems of what is refused.
type verdict[Out any] struct {
	Accept   *Out      `json:"accept"`
	Problems []vectorProblem `json:"problems"`
}

type vectorProblem struct {
	Param  string          `json:"param"`
	Rule   callparams.Rule `json:"rule"`
	Code   callparams.Code `json:"code"`
	Basis  string          `json:"basis"`
	Offset int             `json:"offset"`
	Length int             `json:"length"`
	Fix    *vectorText           `json:"fix"`
}

type (
	vectorRequest struct {
		From vectorText `json:"from"`
		To   vectorText `json:"to"`
	}
	vectorFrom struct {
		Kind string `json:"kind"`
		User vectorText   `json:"user"`
	}
	vectorTo struct {
		Kind   string       `json:"kind"`
		Client *vectorClient `json:"client"`
		SIP    *vectorURI    `json:"sip"`
	}
	vectorCall struct {
		From vectorFrom `json:"from"`
		To   vectorTo   `json:"to"`
	}
	vectorClient struct {
		Name   vectorText        `json:"name"`
		Params []vectorField `json:"params"`
	}
	vectorURI struct {
		Secure   bool        `json:"secure"`
		User     vectorText        `json:"user"`
		Password vectorText        `json:"password"`
		Host     vectorText        `json:"host"`
		Port     uint16      `json:"port"`
		Params   []vectorField `json:"params"`
		Headers  []vectorField `json:"headers"`
	}
	vectorField struct {
		Name  vectorText `json:"name"`
		Value vectorText `json:"value"`
	}
)

// A vectorText is a string; {"hex": "ff"} in JSON if it is no valid UTF-8.
type vectorText string

func (s *vectorText) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return json.Unmarshal(data, (*string)(s))
	}
	var encoded struct {
		Hex string `json:"hex"`
	}
	if err := unmarshalStrict(data, &encoded); err != nil {
		return err
	}
	raw, err := hex.DecodeString(encoded.Hex)
	if err == nil && utf8.Valid(raw) {
		err = errors.New("hex stands for valid UTF-8, want a string")
	}
	*s = vectorText(raw)
	return err
}

// unmarshalStrict is json.Unmarshal, but refuses unknown fields.
func unmarshalStrict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one JSON value")
	}
	return nil
}

// vectors returns the corpus, for tests and as seeds of fuzz targets.
func vectors(t testing.TB) corpus {
	t.Helper()
	c, err := loadVectors(os.DirFS("testdata/vectors"))
	require.NoError(t, err)
	return c
}

// loadVectors reads a corpus and refuses one whose cases are malformed, repeat each other or leave out a
// rule or a form.
func loadVectors(fsys fs.FS) (corpus, error) {
	var c corpus
	seen := coverage{ids: map[string]bool{}, forms: map[string]bool{}, refused: map[refusal]bool{}}
	err := errors.Join(
		loadFile(fsys, "from", &c.from),
		loadFile(fsys, "to", &c.to),
		loadFile(fsys, "request", &c.request),
		loadFile(fsys, "sipuri", &c.sipuri),
	)
	if err != nil {
		return c, err
	}
	return c, errors.Join(
		cover(&seen, c.from, func(p vectorFrom) string { return "From " + p.Kind }),
		cover(&seen, c.to, func(p vectorTo) string { return "To " + p.Kind }),
		cover(&seen, c.pairs(), func(p vectorCall) string { return p.From.Kind + " calls " + p.To.Kind }),
		cover(&seen, c.moves(), func(vectorRequest) string { return "moved" }),
		cover(&seen, c.sipuri, func(vectorURI) string { return "SIPURI" }),
		seen.missing(),
	)
}

func loadFile[V any](fsys fs.FS, name string, cases *[]V) error {
	data, err := fs.ReadFile(fsys, name+".json")
	if err != nil {
		return err
	}
	file := struct {
		Schema string `json:"$schema"`
		Parses string `json:"parses"`
		Cases  *[]V   `json:"cases"`
	}{Cases: cases}
	if err := unmarshalStrict(data, &file); err != nil {
		return fmt.Errorf("%s.json: %w", name, err)
	}
	if file.Parses != name {
		return fmt.Errorf("%s.json: parses %q", name, file.Parses)
	}
	return nil
}

// pairs returns the cases of request.json as those of Parser.Parse.
func (c corpus) pairs() []vector[vectorRequest, vectorCall] {
	var cases []vector[vectorRequest, vectorCall]
	for _, v := range c.request {
		cases = append(cases, v.vector)
	}
	return cases
}

// moves returns those cases of request.json that say so as cases of MoveSourceDomain.
func (c corpus) moves() []vector[vectorRequest, vectorRequest] {
	var cases []vector[vectorRequest, vectorRequest]
	for _, v := range c.request {
		if v.Moved != nil {
			cases = append(cases, vector[vectorRequest, vectorRequest]{
				ID: v.ID + "/moved", Comment: v.Comment, Source: v.Source, Input: v.Input, verdict: *v.Moved,
			})
		}
	}
	return cases
}

// A coverage is what the cases read so far have shown.
type coverage struct {
	ids     map[string]bool
	forms   map[string]bool
	refused map[refusal]bool
}

type refusal struct {
	rule callparams.Rule
	code callparams.Code
}

var (
	idPattern     = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*(/moved)?$`)
	sourcePattern = regexp.MustCompile(`^(RFC [0-9]+ §|E\.164 §|vendor: |libphonenumber$|observed$|assumed$)`)
)

// cover notes what cases show, and refuses those that are malformed or repeat another.
func cover[In comparable, Out any](seen *coverage, cases []vector[In, Out], form func(Out) string) error {
	inputs := map[In]string{}
	for _, v := range cases {
		switch other, again := inputs[v.Input]; {
		case !idPattern.MatchString(v.ID):
			return fmt.Errorf("%q is no id", v.ID)
		case seen.ids[v.ID]:
			return fmt.Errorf("two cases have the id %s", v.ID)
		case again:
			return fmt.Errorf("%s has the input of %s", v.ID, other)
		case v.Comment == "":
			return fmt.Errorf("%s has no comment", v.ID)
		case !sourcePattern.MatchString(v.Source):
			return fmt.Errorf("%s has no source that the README.md knows", v.ID)
		case v.Levels != nil && (v.Accept != nil || v.Problems != nil):
			return fmt.Errorf("%s has a verdict beside its levels", v.ID)
		case v.Levels != nil && reflect.DeepEqual(v.Levels.Shape, v.Levels.Possible) &&
			reflect.DeepEqual(v.Levels.Possible, v.Levels.Assigned):
			return fmt.Errorf("%s has levels that do not differ", v.ID)
		}
		seen.ids[v.ID] = true
		inputs[v.Input] = v.ID
		for _, level := range allLevels {
			want := v.at(level)
			if (want.Accept == nil) == (len(want.Problems) == 0) {
				return fmt.Errorf("%s: %v neither accepts nor refuses, or both", v.ID, level)
			}
			if want.Accept != nil {
				seen.forms[form(*want.Accept)] = true
			}
			for _, p := range want.Problems {
				seen.refused[refusal{p.Rule, p.Code}] = true
			}
		}
	}
	return nil
}

// missing refuses a corpus without a refusal for each code of each rule, or without each form accepted.
func (seen coverage) missing() error {
	for rule := range callparams.Rules() {
		for _, code := range rule.Codes() {
			if !seen.refused[refusal{rule, code}] {
				return fmt.Errorf("no case is refused by %s with code %d", string(rule), int(code))
			}
		}
	}
	for _, form := range []string{
		"From phone", "From client", "From user", "To phone", "To client", "To sip",
		"phone calls phone", "phone calls client", "phone calls sip",
		"client calls client", "client calls sip", "user calls client", "user calls sip",
		"moved", "SIPURI",
	} {
		if !seen.forms[form] {
			return fmt.Errorf("no case accepts %s", form)
		}
	}
	return nil
}

// at returns what v wants at level.
func (v vector[In, Out]) at(level callparams.NumberCheck) verdict[Out] {
	switch {
	case v.Levels == nil:
		return v.verdict
	case level == callparams.Shape:
		return v.Levels.Shape
	case level == callparams.Possible:
		return v.Levels.Possible
	}
	return v.Levels.Assigned
}

// The parsers of the four files, and MoveSourceDomain: each returns the parts of what was accepted.

func runFrom(p callparams.Parser, in vectorText) (vectorFrom, error) {
	from, err := p.ParseFrom(string(in))
	return fromVector(from), err
}

func runTo(p callparams.Parser, in vectorText) (vectorTo, error) {
	to, err := p.ParseTo(string(in))
	return toVector(to), err
}

func runRequest(p callparams.Parser, in vectorRequest) (vectorCall, error) {
	call, err := p.Parse(callparams.Request{From: string(in.From), To: string(in.To)})
	return vectorCall{fromVector(call.From()), toVector(call.To())}, err
}

func runMove(_ callparams.Parser, in vectorRequest) (vectorRequest, error) {
	r, err := callparams.Request{From: string(in.From), To: string(in.To)}.MoveSourceDomain()
	return vectorRequest{vectorText(r.From), vectorText(r.To)}, err
}

func runURI(_ callparams.Parser, in vectorText) (vectorURI, error) {
	uri, err := callparams.ParseSIPURI(string(in))
	return uriVector(uri), err
}

func fromVector(from callparams.From) vectorFrom {
	return vectorFrom{from.Kind().String(), vectorText(from.User())}
}

func toVector(to callparams.To) vectorTo {
	parts := vectorTo{Kind: to.Kind().String()}
	if name, params, ok := to.Client(); ok {
		parts.Client = &vectorClient{vectorText(name), vectorFields(params)}
	}
	if uri, ok := to.SIPURI(); ok {
		split := uriVector(uri)
		parts.SIP = &split
	}
	return parts
}

func uriVector(u callparams.SIPURI) vectorURI {
	return vectorURI{
		u.Secure, vectorText(u.User), vectorText(u.Password), vectorText(u.Host), u.Port, vectorFields(u.Params), vectorFields(u.Headers),
	}
}

func vectorFields(fields []callparams.Field) []vectorField {
	var list []vectorField
	for _, f := range fields {
		list = append(list, vectorField{vectorText(f.Name), vectorText(f.Value)})
	}
	return list
}

// vectorProblems returns what a case says of the problems of err.
func vectorProblems(t *testing.T, err error) []vectorProblem {
	t.Helper()
	var e *callparams.Error
	require.ErrorAs(t, err, &e)
	var list []vectorProblem
	for _, p := range e.Problems {
		found := vectorProblem{p.Param, p.Rule, p.Code, p.Basis().String(), p.Offset, p.Len, nil}
		if fix, ok := p.Fix(); ok {
			found.Fix = (*vectorText)(&fix)
		}
		list = append(list, found)
	}
	return list
}

func TestVectors(t *testing.T) {
	c := vectors(t)
	runVectors(t, c.from, runFrom)
	runVectors(t, c.to, runTo)
	runVectors(t, c.pairs(), runRequest)
	runVectors(t, c.moves(), runMove)
	runVectors(t, c.sipuri, runURI)
}

// runVectors runs each case as a subtest, named by its id, at every level.
func runVectors[In comparable, Out any](
	t *testing.T, cases []vector[In, Out], parse func(callparams.Parser, In) (Out, error),
) {
	for _, v := range cases {
		t.Run(v.ID, func(t *testing.T) {
			for _, level := range allLevels {
				want := v.at(level)
				got, err := parse(callparams.Parser{Numbers: level}, v.Input)
				if want.Accept == nil {
					assert.Equal(t, want.Problems, vectorProblems(t, err), level)
				} else if assert.NoError(t, err, level) {
					assert.Equal(t, *want.Accept, got, level)
				}
			}
		})
	}
}

// TestMessages compares every message that the vectors bring up, beside its rule, with the golden file.
func TestMessages(t *testing.T) {
	c := vectors(t)
	lines := map[string]bool{}
	addMessages(lines, c.from, runFrom)
	addMessages(lines, c.to, runTo)
	addMessages(lines, c.pairs(), runRequest)
	addMessages(lines, c.moves(), runMove)
	addMessages(lines, c.sipuri, runURI)
	golden(t, "messages.golden", strings.Join(slices.Sorted(maps.Keys(lines)), ""))
}

// addMessages adds a line for each rule and message that cases bring up.
func addMessages[In comparable, Out any](
	lines map[string]bool, cases []vector[In, Out], parse func(callparams.Parser, In) (Out, error),
) {
	for _, v := range cases {
		for _, level := range allLevels {
			_, err := parse(callparams.Parser{Numbers: level}, v.Input)
			var e *callparams.Error
			if errors.As(err, &e) {
				for _, p := range e.Problems {
					lines[string(p.Rule)+"\t"+p.Message+"\n"] = true
				}
			}
		}
	}
}

func TestLoadVectorsRefuses(t *testing.T) {
	const accept = `"accept": {"kind": "phone", "user": "+12"}`
	const lower = `"shape": {` + accept + `}, "possible": {` + accept + `}`
	for _, test := range []struct{ name, file, old, new, want string }{
		{"unknown field", "from", `"comment"`, `"coment"`, "unknown field"},
		{"unknown field of a text", "from", `{"hex"`, `{"hax"`, "unknown field"},
		{"unknown field of a problem", "to", `"offset"`, `"ofset"`, "unknown field"},
		{"field of another file", "from", accept, accept + `, "moved": {}`, "unknown field"},
		{"hex of UTF-8", "from", `"2b31343135ff35353532363731"`, `"61"`, "valid UTF-8"},
		{"hex that is none", "from", `"2b31343135ff35353532363731"`, `"fg"`, "invalid byte"},
		{"text behind the cases", "from", "\n}\n", "\n}\n{}", "more than one"},
		{"cases of another file", "from", `"parses": "from"`, `"parses": "to"`, "parses"},
		{"id with a space", "from", `"from-phone"`, `"from phone"`, "is no id"},
		{"id twice", "from", `"from-phone-article"`, `"from-phone"`, "two cases have the id from-phone"},
		{"id of another file", "to", `"to-empty"`, `"from-empty"`, "two cases have the id from-empty"},
		{"input twice", "from", `"input": "+123456789"`, `"input": "+14155552671"`, "has the input of from-phone"},
		{"no comment", "from", `"nothing is given"`, `""`, "has no comment"},
		{"unknown source", "from", `"assumed"`, `"guessed"`, "has no source"},
		{"no verdict", "from", accept, `"problems": []`, "neither accepts nor refuses"},
		{"both verdicts", "from", accept, accept + `, "problems": [{}]`, "neither accepts nor refuses, or both"},
		{"verdict beside levels", "from", accept, accept + `, "levels": {}`, "beside its levels"},
		{"levels that agree", "from", accept, `"levels": {` + lower + `, "assigned": {` + accept + `}}`, "do not differ"},
		{"level left out", "from", accept, `"levels": {` + lower + `}`, "assigned neither"},
		{"rule without a case", "from", `"rule": "user.length"`, `"rule": "user.char"`, "user.length with code 21212"},
		{"form without a case", "from", `"kind": "user"`, `"kind": "phone"`, "no case accepts From user"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for _, name := range []string{"from", "to", "request", "sipuri"} {
				data, err := os.ReadFile("testdata/vectors/" + name + ".json")
				require.NoError(t, err)
				if name == test.file {
					require.Contains(t, string(data), test.old)
					data = []byte(strings.ReplaceAll(string(data), test.old, test.new))
				}
				fsys[name+".json"] = &fstest.MapFile{Data: data}
			}
			_, err := loadVectors(fsys)
			assert.ErrorContains(t, err, test.want)
		})
	}
}
