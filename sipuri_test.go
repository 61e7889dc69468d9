package callparams_test

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"example.com/callparams"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type field = callparams.Field

func TestParseSIPURI(t *testing.T) {
	for _, test := range []struct {
		in   string
		want callparams.SIPURI
	}{
		{"sip:example.com", callparams.SIPURI{Host: "example.com"}},
		{"SIPS:a@h", callparams.SIPURI{Secure: true, User: "a", Host: "h"}},
		{"sip:a:@h.", callparams.SIPURI{User: "a", Host: "h."}},
		{"sip:%61%00%ff+:p%3A&=+$,@a-b.c1:0005060", callparams.SIPURI{
			User: "a\x00\xff+", Password: "p:&=+$,", Host: "a-b.c1", Port: 5060}},
		{"sip:&=+$,;?/@h", callparams.SIPURI{User: "&=+$,;?/", Host: "h"}},
		{"sip:host?to=alice@example.com", callparams.SIPURI{User: "host?to=alice", Host: "example.com"}},
		{"sip:[2001:db8::1]:65535;lr;A=b?x=&x=%26", callparams.SIPURI{
			Host: "2001:db8::1", Port: 65535, Params: []field{{Name: "lr"}, {Name: "A", Value: "b"}},
			Headers: []field{{Name: "x"}, {Name: "x", Value: "&"}}}},
		{"sip:192.0.2.1;[]/:&+$=[]/:&+$?[]/?:+$=[]/?:+$", callparams.SIPURI{
			Host: "192.0.2.1", Params: []field{{Name: "[]/:&+$", Value: "[]/:&+$"}},
			Headers: []field{{Name: "[]/?:+$", Value: "[]/?:+$"}}}},
	} {
		t.Run(test.in, func(t *testing.T) {
			got, err := callparams.ParseSIPURI(test.in)
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
			again, err := callparams.ParseSIPURI(got.String())
			require.NoError(t, err)
			assert.Equal(t, got, again)
		})
	}
}

func TestParseSIPURIRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "scheme.missing 0+0",
		"bob@example.com":            "scheme.missing 0+0",
		"http://example.com":         "scheme.unknown 0+5",
		"sip:":                       "sip.host 4+0",
		"sip:@h":                     "sip.user 4+0",
		"sip:a@":                     "sip.host 6+0",
		"sip:a b@h":                  "sip.user 5+1",
		"sip:a%4@h":                  "sip.user 5+1",
		"sip:a:p\"@h":                "sip.password 7+1",
		"sip:a@b@c":                  "sip.host 7+1",
		"sip:a@h_x":                  "sip.host 7+1",
		"sip:a@-h":                   "sip.host 6+2",
		"sip:a@h-.x":                 "sip.host 6+4",
		"sip:a@a..b":                 "sip.host 6+4",
		"sip:a@.":                    "sip.host 6+1",
		"sip:a@b..":                  "sip.host 6+3",
		"sip:a@1.2.3":                "sip.host 6+5",
		"sip:a@1.2.3.256":            "sip.host 6+9",
		"sip:a@1.2.3.4.":             "sip.host 6+8",
		"sip:a@[::1":                 "sip.host 6+4",
		"sip:a@[::1]5":               "sip.host 11+1",
		"sip:a@[1.2.3.4]":            "sip.host 6+9",
		"sip:a@[fe80::1%25eth0]":     "sip.host 6+16",
		"sip:a@h:":                   "sip.port 8+0",
		"sip:a@h:0":                  "sip.port 8+1",
		"sip:a@h:65536":              "sip.port 8+5",
		"sip:a@h:+1":                 "sip.port 8+2",
		"sip:a@2001:db8::1":          "sip.host 6+4",
		"sip:a@h;":                   "sip.param 8+0",
		"sip:a@h;=v":                 "sip.param 8+0",
		"sip:a@h;p=":                 "sip.param 10+0",
		"sip:a@h;p=v=w":              "sip.param 11+1",
		"sip:a@h;transport=%":        "sip.param 18+1",
		"sip:a@h;user=`":             "sip.param 13+1",
		"sip:a@h;lr;x;%4cR":          "sip.param 13+4",
		"sip:a@h?":                   "header.syntax 8+0",
		"sip:a@h?x":                  "header.syntax 9+0",
		"sip:a@h?=x":                 "header.syntax 8+0",
		"sip:a@h?x=y&":               "header.syntax 12+0",
		"sip:a@h?x=y;z":              "header.syntax 11+1",
		"sip:a@h?x=é":                "header.syntax 10+2",
		"sip:a@h?x=1&amp;y=2":        "header.twiml 11+5",
		"sip:a@h?x=1#f":              "header.syntax 11+1",
		"sip:a@h;" + manyParams(300): "sip.param 1398+2",
	} {
		t.Run(in, func(t *testing.T) {
			got, err := callparams.ParseSIPURI(in)
			list := spans(t, err)
			if assert.NotEmpty(t, list) {
				assert.Equal(t, want, list[0])
			}
			assert.Zero(t, got)
		})
	}
}

// manyParams returns n parameters with names of their own and then one that is there already.
func manyParams(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "p%d;", i)
	}
	return b.String() + "P7"
}

func TestParseToSIP(t *testing.T) {
	const ok = ""
	long := func(n int) string { return strings.Repeat("a", n) }
	for in, want := range map[string]string{
		"sip:bob@example.com":                      ok,
		"sips:bob@example.com":                     ok,
		"sip:example.com":                          ok,
		"sip:localhost":                            ok,
		"sip:bob@[2001:db8::1]":                    ok,
		"sip:bob@203.0.113.9:1;unknown=1":          ok,
		"sip:bob@h?X-A=1&x-a=+&User-to-User=a%3Bb": ok,
		"sip:bob@h?remote-party-id=1&P-Preferred-Identity=&P-Called-Party-ID=~": ok,
		"sip:bob@h?X-%41=%20%7e":                   ok,
		"sip:b%C3%A9@h":                            ok,
		"sip:bob@h;transport=UDP;secure=True":      ok,
		"sip:bob@h;tr%61nsport=t%6cs;secure=false": ok,
		"sip:bob@mydomain.sip.twilio.com":          ok,
		"sip:bob@mydomain.sip.us1.twilio.com":      ok,
		"sip:bob@mydomain.sip.US1-IX.twilio.com.":  ok,
		"sip:sip.twilio.com":                       ok,
		"sip:" + long(248) + "@h":                  ok,
		"sip:a@h?X-A=" + long(1019):                ok,
		"sip:" + long(249) + "@h":                  "sip.length 254+1",
		"sip:a@h?X-A=" + long(1020):                "header.length 1031+1",
		"sip:a%0ab@h":                              "sip.user 5+3",
		"sip:host?to=alice@example.com":            "sip.user 8+1",
		"sip:bob:pw@h":                             "sip.password 7+3",
		"sip:bob:@h":                               "sip.password 7+1",
		"sip:bob@h;transport=sctp":                 "sip.transport 20+4",
		"sip:bob@h;transport":                      "sip.transport 19+0",
		"sip:bob@h;secure=yes":                     "sip.secure 17+3",
		"sip:bob@h;p=%7f":                          "sip.param 12+3",
		"sip:bob@h;%0d%0a":                         "sip.param 10+6",
		"sip:bob@10.1.2.3":                         "sip.private 8+8",
		"sip:bob@172.16.0.1":                       "sip.private 8+10",
		"sip:bob@192.168.0.1":                      "sip.private 8+11",
		"sip:bob@127.0.0.1":                        "sip.private 8+9",
		"sip:bob@169.254.1.1":                      "sip.private 8+11",
		"sip:bob@224.0.0.1":                        "sip.private 8+9",
		"sip:bob@0.0.0.0":                          "sip.private 8+7",
		"sip:bob@255.255.255.255":                  "sip.private 8+15",
		"sip:bob@100.64.0.1":                       "sip.private 8+10",
		"sip:bob@[::1]":                            "sip.private 8+5",
		"sip:bob@[::]":                             "sip.private 8+4",
		"sip:bob@[fe80::1]":                        "sip.private 8+9",
		"sip:bob@[fc00::1]":                        "sip.private 8+9",
		"sip:bob@[ff02::1]":                        "sip.private 8+9",
		"sip:bob@[::ffff:10.0.0.1]":                "sip.private 8+17",
		"sip:mydomain.sip.twilio.com":              "sip.domain.user 4+0",
		"sip:mydomain.sip.us1.twilio.com":          "sip.domain.user 4+0",
		"sip:bob@mydomain.sip.dublin.twilio.com":   "sip.domain.edge 21+6",
		"sip:bob@h?Subject=x":                      "header.allowed 10+7",
		"sip:bob@h?X-Twilio-A=x":                   "header.allowed 10+10",
		"sip:bob@h?x%2dTWILIO=x":                   "header.allowed 10+10",
		"sip:bob@h?X-A%3a=x":                       "header.name 13+3",
		"sip:bob@h?X-A(=x":                         "header.name 13+1",
		"sip:bob@h?X-A=a%0d%0aEvil:1":              "header.value 15+6",
		"sip:bob@h?X-A=%C3%A9":                     "header.value 14+6",
		"sip:bob@h?X-A=%7F":                        "header.value 14+3",
		"sip:bob@h?X-A=1&amp;X-B=2":                "header.twiml 15+5",
	} {
		t.Run(in, func(t *testing.T) {
			to, err := callparams.ParseTo(in)
			if want == ok {
				require.NoError(t, err)
				assert.Equal(t, callparams.KindSIP, to.Kind())
				uri, isSIP := to.SIPURI()
				require.True(t, isSIP)
				built, err := uri.To()
				require.NoError(t, err)
				again, _ := built.SIPURI()
				assert.Equal(t, uri, again)
				return
			}
			assert.Equal(t, []string{"To " + want}, spans(t, err))
		})
	}
}

func TestSIPFixes(t *testing.T) {
	for in, want := range map[string]string{
		"bob@example.com":                     "sip:bob@example.com",
		"bob@10.0.0.1":                        "",
		"sip:kate@h?x-a=foo&amp;x-b=bar":      "sip:kate@h?x-a=foo&x-b=bar",
		"sip:kate@h?x-a=foo&amp;b=bar":        "",
		"sip:bob@h&transport=tls":             "sip:bob@h;transport=tls",
		"sip:bob@h;transport=udp&tcp":         "",
		"sip:bob@h;transport=tls&secure=true": "sip:bob@h;transport=tls;secure=true",
		"tel:+1-415-555-2671":                 "+14155552671",
		"tel:911":                             "",
		"whatsapp:+14155552671":               "",
	} {
		_, err := callparams.ParseTo(in)
		fix, ok := problems(t, err)[0].Fix()
		assert.Equal(t, want, fix, in)
		assert.Equal(t, want != "", ok, in)
	}
}

func TestBuild(t *testing.T) {
	const domain = "mydomain.sip.twilio.com"
	for _, test := range []struct {
		uri  callparams.SIPURI
		want string
	}{
		{callparams.SIPURI{User: "destination", Host: "host"}.WithHeader("X-Source-Domain", domain),
			"sip:destination@host?X-Source-Domain=" + domain},
		{callparams.SIPURI{Secure: true, User: "+1;a?b@c/d é", Host: "2001:db8::1", Port: 5061}.
			WithParam("transport", "tls").WithParam("lr", "").WithHeader("X-A", "a&b=c;d \"e\"+").WithHeader("X-A", ""),
			"sips:+1%3Ba%3Fb%40c%2Fd%20%C3%A9@[2001:db8::1]:5061;transport=tls;lr?X-A=a%26b%3Dc%3Bd%20%22e%22%2B&X-A="},
	} {
		to, err := test.uri.To()
		require.NoError(t, err)
		assert.Equal(t, test.want, to.String())
		assert.Equal(t, test.want, test.uri.String())
		got, _ := to.SIPURI()
		assert.Equal(t, test.uri, got)
	}
}

// TestBuildRefuses holds that no part becomes another: what cannot be written is refused where it stands.
func TestBuildRefuses(t *testing.T) {
	base := callparams.SIPURI{User: "a", Host: "h"}
	host := func(h string) callparams.SIPURI { return callparams.SIPURI{User: "a", Host: h} }
	for _, test := range []struct {
		uri  callparams.SIPURI
		want string
	}{
		{callparams.SIPURI{}, "sip.host 4+0"},
		{host("h;lr"), "sip.host 7+1"},
		{host("h?X-A=1"), "sip.host 7+1"},
		{host("h:5060"), "sip.host 6+8"},
		{host("evil@h"), "sip.host 10+1"},
		{host("[::1]"), "sip.host 6+11"},
		{host("::1%eth0"), "sip.host 6+12"},
		{host("10.0.0.1"), "sip.private 6+8"},
		{callparams.SIPURI{User: "a", Password: "b", Host: "h"}, "sip.password 5+2"},
		{callparams.SIPURI{Password: "b", Host: "h"}, "sip.user 4+0"},
		{base.WithParam("", "v"), "sip.param 8+0"},
		{base.WithParam("a", "").WithParam("A", "1"), "sip.param 10+1"},
		{base.WithHeader("", "v"), "header.syntax 8+0"},
		{base.WithHeader("X-A", "a\r\nEvil: 1"), "header.value 13+6"},
		{base.WithHeader("X-A\r\nEvil", "1"), "header.name 11+3"},
	} {
		to, err := test.uri.To()
		if list := spans(t, err); assert.NotEmpty(t, list, test.uri.String()) {
			assert.Equal(t, "To "+test.want, list[0], test.uri.String())
		}
		assert.Zero(t, to)
	}
}

// TestWithCopies holds that u is unchanged, also where two copies could write into the same memory.
func TestWithCopies(t *testing.T) {
	shared := make([]field, 1, 8)
	shared[0] = field{Name: "X-A", Value: "1"}
	u := callparams.SIPURI{Host: "h", Headers: shared, Params: shared}
	a, b := u.WithHeader("X-B", "2"), u.WithHeader("X-C", "3")
	assert.Equal(t, "X-B", a.Headers[1].Name)
	assert.Equal(t, "X-C", b.Headers[1].Name)
	a, b = u.WithParam("b", ""), u.WithParam("c", "")
	assert.Equal(t, "b", a.Params[1].Name)
	assert.Equal(t, "c", b.Params[1].Name)
	assert.Len(t, u.Headers, 1)
	assert.Len(t, u.Params, 1)
}

func TestIsTwilioHost(t *testing.T) {
	for host, want := range map[string]bool{
		"sip.twilio.com":                  true,
		"SIP.Twilio.COM.":                 true,
		"sip.us1.twilio.com":              true,
		"sip.de1.twilio.com":              true,
		"sip.us2-ix.twilio.com":           true,
		"sip.gll.twilio.com":              true,
		"sip.san-jose.twilio.com":         true,
		"sip.sao-paulo-ix.twilio.com":     true,
		"sip.frankfurt.twilio.com":        true,
		"sip.gll-ix.twilio.com":           false,
		"sip.fran\u212afurt.twilio.com":   false, // U+212A folds to k
		"sip.us1.twilio.com..":            false,
		"sip.us1.twilio.com.evil.example": false,
		"xsip.us1.twilio.com":             false,
		"mydomain.sip.us1.twilio.com":     false,
		"sip.us3.twilio.com":              false,
		"sip..twilio.com":                 false,
		"sip.us1-ix-ix.twilio.com":        false,
		"us1.twilio.com":                  false,
		"twilio.com":                      false,
		"":                                false,
	} {
		assert.Equal(t, want, callparams.IsTwilioHost(host), host)
	}
}

func TestFieldRedacts(t *testing.T) {
	f := field{Name: "X-Name", Value: "alice"}
	assert.Equal(t, "X-Name=*****", fmt.Sprintf("%#v", f))
	assert.Equal(t, "X-Name=*****", fmt.Sprint(f))
	assert.Equal(t, "X-Name=*****", f.LogValue().String())
}

// accepted are the URIs of the benchmarks and of TestNoAllocs.
var accepted = []struct{ name, uri string }{
	{"Plain", "sip:jack@example.com"},
	{"Header", "sip:jack@example.com?X-Account=42"},
	{"TLS", "sip:jack@example.com;transport=tls?X-Name=Tom%20Smith&X-Note=a%3Bb"},
	{"Long", "sip:" + strings.Repeat("u", 254-len("sip:@example.com;transport=tls")) + "@example.com;transport=tls" +
		"?X-A=" + strings.Repeat("v", 491) + "&X-B=" + strings.Repeat("%20", 165)},
}

const ipv6 = "sip:jack:secret@[2001:db8::9:1]:5060"

func TestNoAllocs(t *testing.T) {
	if raceEnabled() {
		return // the race detector allocates
	}
	var params, headers strings.Builder
	for i := range 80 {
		fmt.Fprintf(&params, ";%c%c", 'a'+i/10, '0'+i%10)
		fmt.Fprintf(&headers, "&X-%d=%%2%d", i, i%10)
	}
	texts := []string{
		"+14155552671", "+442071838750", "client:alice", "client:alice?k=v%20w", "sip:a@[2001:db8::1]:5060",
		"sip:a@203.0.113.9", "sip:a@h?X-%41%2B=1&User-to-User=2", "sip:a@h" + params.String() + "?" + headers.String()[1:],
	}
	for _, a := range accepted {
		texts = append(texts, a.uri)
	}
	for _, s := range texts {
		_, err := callparams.ParseTo(s)
		require.NoError(t, err, s)
		assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = callparams.ParseTo(s) }), s)
	}
	for _, s := range []string{"+14155552671", "client:alice", "alice"} {
		assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = callparams.ParseFrom(s) }), s)
	}
	r := callparams.Request{From: "+14155550100", To: "+14155552671"}
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = r.Validate() }))

	u := callparams.SIPURI{User: "jack", Host: "example.com"}.WithHeader("X-A", "Tom Smith").WithHeader("X-B", "2")
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = u.To() }), 2.0)
}

// raceEnabled reports whether the race detector is on, which allocates where the program does not.
func raceEnabled() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func ExampleSIPURI() {
	to, err := callparams.SIPURI{User: "destination", Host: "host"}.
		WithParam("transport", "tls").
		WithHeader("X-Source-Domain", "mydomain.sip.twilio.com").
		WithHeader("X-Note", "a & b").
		To()
	fmt.Println(to, err)
	// Output: sip:destination@host;transport=tls?X-Source-Domain=mydomain.sip.twilio.com&X-Note=a%20%26%20b <nil>
}

func ExampleSIPURI_To() {
	_, err := callparams.SIPURI{User: "bob", Host: "example.com"}.WithHeader("X-A", "1\r\nX-Evil: 2").To()
	fmt.Println(err)
	// Output: callparams: To: found a control character in the value of a header, want printable ASCII (21229, byte 25)
}

func ExampleParseSIPURI() {
	u, err := callparams.ParseSIPURI("sips:alice:pw@[2001:db8::1]:5061;lr?Subject=project%20x")
	fmt.Println(u.Secure, u.User, u.Password, u.Host, u.Port, u.Params[0].Name, u.Headers[0].Value, err)
	// Output: true alice pw 2001:db8::1 5061 lr project x <nil>
}

func ExampleSIPURI_Redacted() {
	fmt.Println(callparams.SIPURI{User: "alice", Host: "example.com"}.WithHeader("X-Name", "Tom").Redacted())
	// Output: sip:*****@example.com?X-Name=***
}

func ExampleIsTwilioHost() {
	fmt.Println(callparams.IsTwilioHost("sip.us1.twilio.com"), callparams.IsTwilioHost("sip.us1.twilio.com.evil.example"))
	// Output: true false
}

func BenchmarkParseTo(b *testing.B) {
	for _, a := range accepted {
		b.Run(a.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(a.uri)))
			for b.Loop() {
				if _, err := callparams.ParseTo(a.uri); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseSIPURI(b *testing.B) {
	for _, a := range append(accepted, struct{ name, uri string }{"IPv6", ipv6}) {
		b.Run(a.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(a.uri)))
			for b.Loop() {
				if _, err := callparams.ParseSIPURI(a.uri); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	u := callparams.SIPURI{User: "jack", Host: "example.com"}.WithHeader("X-A", "Tom Smith").WithHeader("X-B", "2")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := u.To(); err != nil {
			b.Fatal(err)
		}
	}
}
