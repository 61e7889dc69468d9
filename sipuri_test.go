package callparams_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"example.com/callparams"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ---- Helpers ----

type kv = callparams.Field

// uriSeeds are SIP URIs and texts that are nearly one. In each, one part is unusual: the userinfo,
// the host and port, the parameters or the headers.
func uriSeeds() (list []string) {
	userinfos := strings.Fields(`
		alice@ a:@ a:p@ +14155550100@ a;b=c@ a?b@ a/b,c&d=e+f$@ %00%ff@ -_.!~*'()@ 1:&=+$,@ @ :p@
		a@b@ a:b:c@ a%4@ a%zz@ a:;@ a:?@ a[@ a#@ a"@ <a@ a^@ a:/@`)
	hosts := strings.Fields(`
		h h. a.b a.b. a-b.c-d a--b 1.a 1-2.b3 a1 xn--bcher-kva.example 0.0.0.0 255.255.255.255
		192.0.2.1 [::] [::1] [2001:db8::1] [1:2:3:4:5:6:7:8] [1:2:3:4:5:6:7::] [::2:3:4:5:6:7:8]
		[::ffff:192.0.2.1] [ABCD:ef01::] [1::3:4:5:6:7:8] [1:2:3:4:5:6:192.0.2.1] [::192.0.2.1]
		h:1 h:65535 h:00080 [::1]:5060 192.0.2.1:5061 h:0 h:000 h:65536 h:99999999999999999999 1
		a.1 a.1b -a a- a.-b a-.b .a a..b a.. 1.2.3 1.2.3.4.5 256.1.1.1 01.2.3.4 1.2.3.04 1.2.3.4.
		a_b a%62 [] [1] [:::] [::1%25eth0] [::1%eth0] [1:2:3:4:5:6:7] [1:2:3:4:5:6:7:8:9]
		[1::2::3] [12345::] [::g] [::1.2.3] [::256.1.1.1] [1:2:3:4:5:6:7:1.2.3.4]
		[1::2:3:4:5:6:7:8] [192.0.2.1] ::1 [::1 ::1] [::1]h h[::1] [[::1]] h: h:a h:1a h:-1 h:+1
		h:1:2 [::1]:`)
	params := strings.Fields(`
		;lr ;transport=tls ;Transport=%54cp ;user=phone ;method=INVITE ;ttl=255 ;ttl=999
		;maddr=192.0.2.1 ;maddr=[::1] ;a;b;c=d ;[]/:&+$=[]/:&+$ ;%3b=%3D ;lr=on ;user=a%62
		;transport=x.y ; ;; ;a; ;=v ;a= ;a=b=c ;a=? ;a@ ;a=, ;a=" ;a=% ;a=%4 ;a|b ;a=\\ ;a;a
		;a=1;A=2 ;%61;a ;transport=a%b ;user=a%zz;lr ;method=%x`)
	headers := strings.Fields(`
		?a=b ?a= ?a=&b= ?a=1&a=2 ?[]/?:+$=[]/?:+$ ?a=?b=c ?%26=%3d&X-B=%0d%0a ?subject=a%20b ? ?a
		?=b ?a=b& ?&a=b ?a=b&&c=d ?a=b=c ?a=; ?a=, ?a=@ ?a=% ?a=%4 ?a=%4g ?a# ?a=b#c ?a="b" ?a;b=c
		?a=<b> ?a=b&c`)
	for _, scheme := range []string{"sip:", "SIPS:"} {
		for _, s := range userinfos {
			list = append(list, scheme+s+"h", scheme+s+"[::1]:5060;lr?a=b")
		}
		for _, s := range hosts {
			list = append(list, scheme+s, scheme+"a@"+s+";lr?a=b")
		}
		for _, s := range params {
			list = append(list, scheme+"h"+s, scheme+"a:p@1.2.3.4:5"+s+"?a=b")
		}
		for _, s := range headers {
			list = append(list, scheme+"h"+s, scheme+"a@h:5060;lr"+s)
		}
	}
	return append(list, "", "sip", "sip:", "sips:", "sipss:h", "sip:sip:h", " sip:h", "sip:h ",
		"sip://h", "//h", "h", "a@h", "tel:+1", "\u017fip:h", "sip:\u212a")
}

// mutated returns s with one to three bytes changed, added, taken away or repeated; most of the new
// bytes are ones that the grammar names.
func mutated(rng *rand.Rand, s string) string {
	const named = "sip:@[]%;?&=.-:/+$,!~*'()09afAFgGzZ`#\" <>\x00\x7f\x80\xff"
	for range 1 + rng.IntN(3) {
		i := rng.IntN(len(s) + 1)
		j := min(len(s), i+rng.IntN(3))
		k := rng.IntN(len(named))
		s = s[:i] + []string{
			named[k : k+1], string([]byte{byte(rng.IntN(256))}), "", s[i:j] + s[i:j],
		}[rng.IntN(4)] + s[j:]
	}
	return s
}

// refScheme returns the length of the SIP scheme that s starts with, or 0.
func refScheme(s string) int {
	for _, scheme := range []string{"sip:", "sips:"} {
		if refHasPrefix(s, scheme) {
			return len(scheme)
		}
	}
	return 0
}

// refSplit takes a well-formed SIP URI apart.
func refSplit(s string) callparams.SIPURI {
	user, password, host, port, params, headers := refCut(s)
	number, _ := strconv.Atoi(port)
	return callparams.SIPURI{
		Secure: refHasPrefix(s, "sips:"), User: refUnescape(user), Password: refUnescape(password),
		Host: host, Port: uint16(number),
		Params: refFields(params, ";"), Headers: refFields(headers, "&"),
	}
}

func refCut(s string) (user, password, host, port, params, headers string) {
	_, s, _ = strings.Cut(s, ":")
	if userinfo, rest, ok := strings.Cut(s, "@"); ok {
		user, password, _ = strings.Cut(userinfo, ":")
		s = rest
	}
	s, headers, _ = strings.Cut(s, "?")
	host, params, _ = strings.Cut(s, ";")
	if colon := strings.LastIndexByte(host, ':'); colon > strings.IndexByte(host, ']') {
		host, port = host[:colon], host[colon+1:]
	}
	return user, password, strings.Trim(host, "[]"), port, params, headers
}

func refFields(s, separator string) (fields []kv) {
	for field := range strings.SplitSeq(s, separator) {
		if name, value, _ := strings.Cut(field, "="); s != "" {
			fields = append(fields, kv{Name: refUnescape(name), Value: refUnescape(value)})
		}
	}
	return fields
}

func refUnescape(s string) string {
	s, err := url.PathUnescape(s)
	if err != nil {
		panic(err)
	}
	return s
}

// ---- Parsing ----

func TestParseSIPURI(t *testing.T) {
	c400 := strings.Repeat("c", 400)
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
		{"sip:host?to=alice@example.com", callparams.SIPURI{
			User: "host?to=alice", Host: "example.com"}},
		{"sip:[2001:db8::1]:65535;lr;A=b?x=&x=%26", callparams.SIPURI{
			Host: "2001:db8::1", Port: 65535, Params: []kv{{Name: "lr"}, {Name: "A", Value: "b"}},
			Headers: []kv{{Name: "x"}, {Name: "x", Value: "&"}}}},
		// Only letters have a case: [ and {, 0x01 and ! are not the same name.
		{"sip:h;a[;a%7B;b%01;b!", callparams.SIPURI{
			Host: "h", Params: []kv{{Name: "a["}, {Name: "a{"}, {Name: "b\x01"}, {Name: "b!"}}}},
		{"sip:192.0.2.1;[]/:&+$=[]/:&+$?[]/?:+$=[]/?:+$", callparams.SIPURI{
			Host: "192.0.2.1", Params: []kv{{Name: "[]/:&+$", Value: "[]/:&+$"}},
			Headers: []kv{{Name: "[]/?:+$", Value: "[]/?:+$"}}}},
		// More decoded text than the first buffer takes.
		{"sip:%41@h;%42?%43=%44" + c400 + "&E=%45" + c400 + "&%46=", callparams.SIPURI{
			User: "A", Host: "h", Params: []kv{{Name: "B"}}, Headers: []kv{
				{Name: "C", Value: "D" + c400}, {Name: "E", Value: "E" + c400}, {Name: "F"}}}},
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
		"":                       "scheme.missing 0+0",
		"bob@example.com":        "scheme.missing 0+0",
		"http://example.com":     "scheme.unknown 0+5",
		"sip:":                   "sip.host 4+0",
		"sip:@h":                 "sip.user 4+0",
		"sip:a@":                 "sip.host 6+0",
		"sip:a b@h":              "sip.user 5+1",
		"sip:a%4@h":              "sip.user 5+1",
		"sip:a:p\"@h":            "sip.password 7+1",
		"sip:a@b@c":              "sip.host 7+1",
		"sip:a@h_x":              "sip.host 7+1",
		"sip:a@-h":               "sip.host 6+2",
		"sip:a@h-.x":             "sip.host 6+4",
		"sip:a@a..b":             "sip.host 6+4",
		"sip:a@.":                "sip.host 6+1",
		"sip:a@b..":              "sip.host 6+3",
		"sip:a@1.2.3":            "sip.host 6+5",
		"sip:a@1.2.3.256":        "sip.host 6+9",
		"sip:a@1.2.3.4.":         "sip.host 6+8",
		"sip:a@[::1":             "sip.host 6+4",
		"sip:a@[::1]5":           "sip.host 11+1",
		"sip:a@[1.2.3.4]":        "sip.host 6+9",
		"sip:a@[fe80::1%25eth0]": "sip.host 6+16",
		"sip:a@h:":               "sip.port 8+0",
		"sip:a@h:0":              "sip.port 8+1",
		"sip:a@h:65536":          "sip.port 8+5",
		"sip:a@h:+1":             "sip.port 8+2",
		"sip:a@2001:db8::1":      "sip.host 6+4",
		"sip:a@h;":               "sip.param 8+0",
		"sip:a@h;=v":             "sip.param 8+0",
		"sip:a@h;p=":             "sip.param 10+0",
		"sip:a@h;p=v=w":          "sip.param 11+1",
		"sip:a@h;transport=%":    "sip.param 18+1",
		"sip:a@h;user=`":         "sip.param 13+1",
		"sip:a@h;az;AZ":          "sip.param 11+2",
		"sip:a@h;lr;x;%4cR":      "sip.param 13+4",
		"sip:a@h?":               "header.syntax 8+0",
		"sip:a@h?x":              "header.syntax 9+0",
		"sip:a@h?=x":             "header.syntax 8+0",
		"sip:a@h?x=y&":           "header.syntax 12+0",
		"sip:a@h?x=y;z":          "header.syntax 11+1",
		"sip:a@h?x=é":            "header.syntax 10+2",
		"sip:a@h?x=1&amp;y=2":    "header.twiml 11+5",
		"sip:a@h?x=1#f":          "header.syntax 11+1",
		"sip:a@h;" + strings.TrimSuffix(manyParams(300), "7") + "299": "sip.param 1398+4",
		"sip:a@h;" + manyParams(300):                                  "sip.param 1398+2",
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

// manyParams returns n parameters with different names and one that repeats a name.
func manyParams(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "p%d;", i)
	}
	return b.String() + "P7"
}

// TestEverySIPByte puts every byte into every position of every part of a SIP URI.
func TestEverySIPByte(t *testing.T) {
	testBytes(t, []byteTest{
		{"user, alone", errURI, "sip:", "@h", refDialedUser + "?;&/,"},
		{"user, middle", errURI, "sip:a", "b@h", refDialedUser + "?;&/,:"},
		{"user, last", errURI, "sip:a", "@h", refDialedUser + "?;&/,:"},
		{"password, alone", errURI, "sip:a:", "@h", refUnreserved + "&=+$,"},
		{"password, middle", errURI, "sip:a:b", "c@h", refUnreserved + "&=+$,"},
		{"host, alone", errURI, "sip:", "", refLetters},
		{"host, first", errURI, "sip:", "b", refLetters},
		{"host, middle", errURI, "sip:a", "b", refLetters + refDigits + "-.;@"},
		{"host, last", errURI, "sip:a", "", refLetters + refDigits + "."},
		{"host, first of the last label", errURI, "sip:a.", "b", refLetters + ";@"},
		{"host, last of a label", errURI, "sip:a", ".b", refLetters + refDigits + ";"},
		{"IPv4", errURI, "sip:192.0.2.1", "", refDigits},
		{"IPv6", errURI, "sip:[2001:db8::", "]", refDigits + "ABCDEFabcdef"},
		{"port, alone", errURI, "sip:h:", "", "123456789"},
		{"port, middle", errURI, "sip:h:5", "0", refDigits + ";"},
		{"port, last", errURI, "sip:h:5", "", refDigits},
		{"parameter, first of the name", errURI, "sip:h;", "=v", refParamChar},
		{"parameter, middle of the name", errURI, "sip:h;p", "q=v", refParamChar + ";?"},
		{"parameter, value alone", errURI, "sip:h;p=", "", refParamChar},
		{"parameter, middle of the value", errURI, "sip:h;p=v", "w", refParamChar + ";@"},
		{"header, first of the name", errURI, "sip:h?", "=v", refHeaderChar},
		{"header, middle of the name", errURI, "sip:h?n", "m=v", refHeaderChar},
		{"header, value alone", errURI, "sip:h?n=", "", refHeaderChar},
		{"header, middle of the value", errURI, "sip:h?n=v", "w", refHeaderChar + "@"},
		{"dialed user, alone", errTo, "sip:", "@h", refDialedUser},
		{"dialed user, middle", errTo, "sip:a", "b@h", refDialedUser},
		{"dialed header, in the name", errTo, "sip:h?X-", "=v", refRawToken},
		{"dialed header, middle of the name", errTo, "sip:h?X-A", "B=v", refRawToken},
		{"dialed header, value alone", errTo, "sip:h?X-A=", "", refHeaderChar},
	})
}

// The byte classes of a SIP URI, written out a second time.
const (
	refUnreserved = refLetters + refDigits + "-_.!~*'()"
	refDialedUser = refUnreserved + "=+$"
	refParamChar  = refUnreserved + "[]/:&+$"
	refHeaderChar = refUnreserved + "[]/?:+$"
	refRawToken   = refLetters + refDigits + "-.!*_+'~" // what of token needs no escape in a URI
)

// TestEverySIPEscape puts every byte, escaped, where escapes may stand in a SIP URI, and into a
// host.
func TestEverySIPEscape(t *testing.T) {
	testEscapes(t, []escapeTest{
		{errURI, "sip:", "@h", octetPattern},
		{errURI, "sip:a:", "@h", octetPattern},
		{errURI, "sip:h;", "", octetPattern},
		{errURI, "sip:h;p=", "", octetPattern},
		{errURI, "sip:h?", "=", octetPattern},
		{errURI, "sip:h?n=", "", octetPattern},
		{errTo, "sip:", "@h", printablePattern},
		{errTo, "sip:h;", "", printablePattern},
		{errTo, "sip:h;p=", "", printablePattern},
		{errTo, "sip:h?X-", "=", tokenPattern},
		{errTo, "sip:h?X-A=", "", visiblePattern},
		{errURI, "sip:h", "", nonePattern},
	})
}

// TestProblemsAtEveryByte checks the exact problems of SIP URIs with any byte changed, added or
// taken away, and Spans for each.
func TestProblemsAtEveryByte(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"sip:a%41@h.b:1;n%41=v;m?X-A=b&X-B%41=c%41", "sip:a:b@[::1];a;b",
		"sip:a%00%0D@h;p=%00;%7f%7Fx?X-A=%0d%0A", "sip:a.b:%00@h;b?A=%0a&To=b",
		"sip:a@h?tnx=1&Edge=%41&X=",
		"sip:tel:5@h", "sip:app:,@h",
		"sips:1.2.3.4;transport=tls;secure=true",
		"sip:shop.sip.us1.twilio.com?A=1&amp;X-B=2", "sip:10.0.0.1", "sip://a@localhost.",
		"sip:+1-2;ext=3;tnx=%41@h", "sip:1.2.3;x;x-y@h", "sip:h;maddr=10.0.0.1",
		"sip:[2002:a00:1::]",
	} {
		for m := range mutations(s) {
			requireSpans(t, m)
		}
	}
}

// TestExactProblems checks all problems of a few URIs, to check refProblems too.
func TestExactProblems(t *testing.T) {
	for in, want := range map[string]string{
		`sip:h;a"b;=v`:           "sip.param 7+1, sip.param 10+0",
		`sip:a@h?x="*`:           "header.syntax 10+1",
		`sip:a@h?x=""*"`:         "header.syntax 10+2",
		`sip:a@h;a"=v`:           "sip.param 9+2",
		"sip:a@h_0":              "sip.host 7+1",
		"sip:a@h__":              "sip.host 7+2",
		"sip:a@h_:x;=?":          "sip.host 7+1, sip.port 9+1, sip.param 11+0, header.syntax 13+0",
		`sip:a:p"&b@h`:           "sip.password 7+1",
		`sip:""a"@`:              "sip.user 4+2, sip.host 9+0",
		`sip:"%@h`:               "sip.user 4+1",
		"sip:a%%41@h":            "sip.user 5+1",
		"sip:a@[::1;p=?=":        "sip.host 6+7, header.syntax 14+0",
		"sip:a@h;a;b;A;%62=1;%":  "sip.param 12+1, sip.param 14+3, sip.param 20+1",
		"sip:a@h;a=;a;a":         "sip.param 10+0, sip.param 13+1",
		`sip:h;a";a`:             "sip.param 7+1", // a malformed parameter has no name
		"sip:h?a=1&amp;b=2&amp;": "header.twiml 9+5, header.twiml 17+5",
	} {
		assert.Equal(t, want, strings.Join(spans(t, errURI(in)), ", "), in)
		requireSpans(t, in)
	}
	for in, want := range map[string]string{
		"sip:bob@h?X-A=%0d%20":     "header.value 14+3",
		"sip:bob@h?X-A=%0d%00a%7F": "header.value 14+6",
		"sip:%00%0ab%00@h":         "sip.user 4+6",
		"sip:a?b?c@h":              "sip.user 5+1",
		"sip:a;b:c:d@h":            "sip.user 5+1, sip.password 7+4",
		"sip:1;b:c:d@h":            "sip.password 7+4",
		"sip:1;b=%00;c=%01@h":      "sip.user 8+3",
		"sip:1;b;c=%01%02@h":       "sip.user 10+6",
		"sip:h;%00%01=%02;p=a%02":  "sip.param 6+6, sip.param 20+3",
		"sip:h?%3a%3b=1&X-:=%0d":   "header.name 6+3, header.name 17+1",
	} {
		got := strings.ReplaceAll(strings.Join(spans(t, errTo(in)), ", "), "To ", "")
		assert.Equal(t, want, got, in)
		requireSpans(t, in)
	}
}

// requireSpans requires that s, if it has a SIP scheme, has exactly the problems of refProblems.
func requireSpans(t *testing.T, s string) {
	if refScheme(s) == 0 || len(s) > 254+1+1023 {
		return
	}
	for _, test := range []struct {
		reader refReader
		err    error
	}{
		{refReader{}, errURI(s)},
		{refReader{dial: true}, errTo(s)},
		{refReader{dial: true, tolerant: true}, errTolerant(s)},
	} {
		if before, after := refWrapping(s); test.reader.dial && before+after > 0 {
			continue // TestPatternsAgree looks at those
		}
		want, got := test.reader.problems(s), refProblemsOf(test.err)
		if len(want) <= 16 && !slices.Equal(want, got) {
			require.Equal(t, want, got, "%+v: %q", test.reader, s)
		}
	}
}

// TestRefusalAllocatesLittle checks that the memory of a refusal does not grow with the text.
func TestRefusalAllocatesLittle(t *testing.T) {
	for _, s := range []string{
		"sip:h" + strings.Repeat(";", 1<<20),
		"sip:h;x" + strings.Repeat(";", 1<<20),
		"sip:h?x=1" + strings.Repeat("&", 1<<20),
		"sip:h?" + strings.Repeat("&", 1<<20),
		"sip:" + strings.Repeat("@", 1<<20),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := callparams.ParseSIPURI(s)
		runtime.ReadMemStats(&after)
		require.Error(t, err)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(len(s)/16), "%.8s", s)
	}
}

// ---- The plain reader ----

// A refProblem says which bytes break which rule.
type refProblem struct {
	rule   callparams.Rule
	off, n int
}

// A refReader reads a SIP URI part by part, as slowly and plainly as it can be done. It reports one
// problem for each broken part, about the first run of bad bytes.
type refReader struct {
	dial     bool // apply Twilio's rules too
	tolerant bool // but for those that can be tolerated
	list     []refProblem
}

func (r *refReader) problems(s string) []refProblem {
	scheme := refScheme(s)
	if r.dial && strings.HasPrefix(s[scheme:], "//") {
		r.add("scheme.slashes", scheme, 2)
		scheme += 2
	}
	host := max(scheme, strings.IndexByte(s, '@')+1)
	uri, headers, hasHeaders := strings.Cut(s[host:], "?")
	uri = s[:host] + uri
	if r.dial && len(uri) > 254 {
		r.policy("sip.length", 254, len(uri)-254)
	}
	if r.dial && len(headers) > 1023 {
		r.policy("header.length", len(uri)+1+1023, len(headers)-1023)
	}
	if host > scheme {
		r.userinfo(scheme, s[scheme:host-1])
	}
	r.params(uri, r.port(uri, r.host(uri, host)))
	for off := len(uri) + 1; hasHeaders; off += len("&") {
		var header string
		header, headers, hasHeaders = strings.Cut(headers, "&")
		r.header(off, header, s[off-1] == '&')
		off += len(header)
	}
	slices.SortStableFunc(r.list, func(a, b refProblem) int { return a.off - b.off })
	return r.list
}

func (r *refReader) add(rule callparams.Rule, off, n int) {
	r.list = append(r.list, refProblem{rule, off, n})
}

// policy adds what can be tolerated.
func (r *refReader) policy(rule callparams.Rule, off, n int) {
	if !r.tolerant {
		r.add(rule, off, n)
	}
}

// broken adds the first run of bytes of text that are not in class, or a % that starts no escape.
// One = is fine if equals is set.
func (r *refReader) broken(rule callparams.Rule, off int, text, class string, equals bool) bool {
	in := func(i int) bool { return strings.IndexByte(class, text[i]) >= 0 }
	i := 0
	for i < len(text) && (in(i) || equals && text[i] == '=' ||
		escapePattern.MatchString(text[i:])) {
		switch text[i] {
		case '%':
			i += 3
		case '=':
			equals = false
			i++
		default:
			i++
		}
	}
	if i == len(text) {
		return false
	}
	n := 1
	isPlaced := rule == "sip.user" && strings.IndexByte("?;&/,", text[i]) >= 0
	for text[i] != '%' && !isPlaced && i+n < len(text) && text[i+n] != '%' && !in(i+n) {
		n++
	}
	r.add(rule, off+i, n)
	return true
}

var escapePattern = regexp.MustCompile(`^%[0-9A-Fa-f]{2}`)

// escaped adds the first run of escapes for bytes that allow does not match.
func (r *refReader) escaped(rule callparams.Rule, off int, text string, allow *regexp.Regexp) bool {
	start := -1
	i := 0
	for i < len(text) {
		width, c := 1, ""
		if text[i] == '%' {
			width, c = 3, refUnescape(text[i:i+3])
		}
		bad := width == 3 && !allow.MatchString(c)
		if bad && start < 0 {
			start = i
		}
		if !bad && start >= 0 {
			break
		}
		i += width
	}
	if start < 0 {
		return false
	}
	r.add(rule, off+start, i-start)
	return true
}

var printablePattern = regexp.MustCompile(`[^\x00-\x1f\x7f]`)

func (r *refReader) userinfo(off int, text string) {
	class := refDialedUser + "?;&/,"
	if r.dial {
		class = refDialedUser
	}
	user, password, colon := strings.Cut(text, ":")
	phone := 0
	if r.dial {
		phone = refTelephone(user)
	}
	switch {
	case user == "":
		r.add("sip.user", off, 0)
	case r.broken("sip.user", off+phone, user[phone:], class, false):
	case r.dial:
		r.escaped("sip.user", off, user, printablePattern)
	}
	isMisread := misreadPattern.MatchString(text) || strings.ContainsAny(password, ";?&/,")
	switch {
	case colon && r.dial && (isMisread || !r.tolerant):
		r.add("sip.password", off+len(user), len(text)-len(user))
	case colon && r.broken("sip.password", off+len(user)+1, password, refUnreserved+"&=+$,", false):
	case colon && r.dial:
		r.escaped("sip.password", off+len(user)+1, password, printablePattern)
	}
}

// misreadPattern matches a user and a password that people read as an address.
var misreadPattern = regexp.MustCompile(
	`^(?is:(sips?|tel|client|app|whatsapp|sim):.*|[^:]*\.[^:]*:[0-9]{0,5})$`)

// refTelephone returns the length of the telephone number that user starts with and of its
// parameters, or 0.
func refTelephone(user string) int {
	number := telephonePattern.FindString(user)
	if number == "" || regexp.MustCompile(`^\d{1,3}(\.\d{1,3}){3}$`).MatchString(number) {
		return 0
	}
	end := len(number)
	for {
		param := telParamPattern.FindStringSubmatch(user[end:])
		if param == nil || twilioParamPattern.MatchString(param[1]) ||
			escapePattern.MatchString(param[3]) {
			return end
		}
		end += len(param[0]) - len(param[3])
	}
}

var (
	telephonePattern = regexp.MustCompile(`^\+?[-.()]*[0-9][-.()0-9]*`)
	telParamPattern  = regexp.MustCompile(`(?s)^;([A-Za-z0-9-]+)` +
		`(=(?:[\w.!~*'()=+$-]|%[0-9A-Fa-f]{2})*)?([^\w.!~*'()=+$-].*|)$`)
	twilioParamPattern = regexp.MustCompile(`^(?i:x-.*|transport|secure|edge|region|tnx)$`)
)

var (
	hostPattern   = regexp.MustCompile(`^(\[[^]]*\]|[A-Za-z0-9.-]*)`)
	labelPattern  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`)
	domainPattern = regexp.MustCompile(`(?i)^.*\.sip\.(?:([^.]+)\.)?twilio\.com\.?$`)
)

// host returns where the host ends.
func (r *refReader) host(uri string, start int) (end int) {
	host := hostPattern.FindString(uri[start:])
	end = start + len(host)
	switch {
	case host == "" && strings.HasPrefix(uri[start:], "["):
		r.add("sip.host", start, len(uri)-start)
		return len(uri)
	case end < len(uri) && uri[end] != ':' && uri[end] != ';':
		part := uri[end:]
		part = part[:strings.IndexAny(part+";", ":;")]
		bad := len(part) - len(strings.TrimLeftFunc(part, func(c rune) bool {
			return !strings.ContainsRune(refLetters+refDigits+"-.", c)
		}))
		r.add("sip.host", end, max(1, bad))
		return end + len(part)
	case host == "":
		r.add("sip.host", start, 0)
	case refIsName(host) && r.dial && localhostPattern.MatchString(host):
		r.policy("sip.private", start, len(host))
	case refIsName(host):
		domain := domainPattern.FindStringSubmatch(host)
		if domain == nil || !r.dial {
			break
		}
		if uri[start-1] != '@' {
			r.policy("sip.domain.user", start, 0)
		}
		if edge := refLower(domain[1]); edge != "" && edge != "us1" && edge != "us1-ix" {
			i := strings.LastIndex(refLower(host), edge+".twilio.com")
			r.policy("sip.domain.edge", start+i, len(edge))
		}
	default:
		addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
		if err != nil || addr.Zone() != "" || addr.Is6() != (host[0] == '[') {
			r.add("sip.host", start, len(host))
		} else if r.dial && refIsPrivate(addr) {
			r.policy("sip.private", start, len(host))
		}
	}
	return end
}

// refIsName reports whether host is labels with dots between, and starts its last with a letter.
func refIsName(host string) bool {
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, label := range labels {
		if !labelPattern.MatchString(label) {
			return false
		}
	}
	return strings.Contains(refLetters, labels[len(labels)-1][:1])
}

var localhostPattern = regexp.MustCompile(`(?i)^(.*\.)?localhost\.?$`)

func refIsPrivate(addr netip.Addr) bool {
	hex := fmt.Sprintf("%x", addr.As16())
	for prefix, at := range map[string]int{
		"00000000000000000000ffff": 24, "000000000000000000000000": 24, "2002": 4,
		"0000000000000000ffff0000": 24, "0064ff9b0000000000000000": 24,
	} {
		if strings.HasPrefix(hex, prefix) {
			n, _ := strconv.ParseUint(hex[at:at+8], 16, 32)
			addr = netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
			break
		}
	}
	for reachable := range strings.FieldsSeq("2001:1::1/128 2001:1::2/127 2001:4:112::/48") {
		if netip.MustParsePrefix(reachable).Contains(addr) {
			return false
		}
	}
	for prefix := range strings.FieldsSeq(`
		0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
		192.168.0.0/16 198.18.0.0/15 224.0.0.0/4 240.0.0.0/4 64:ff9b:1::/48 100::/64 100:0:0:1::/64
		2001::/31 2001:2::/32 2001:4::/31 2001:6::/31 2001:8::/29 2001:10::/28 2001:40::/26
		2001:80::/25 2001:100::/24 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8`) {
		if netip.MustParsePrefix(prefix).Contains(addr) {
			return true
		}
	}
	return false
}

// port returns where the port ends, which may start at i.
func (r *refReader) port(uri string, i int) (end int) {
	if i == len(uri) || uri[i] == ';' {
		return i
	}
	port, _, _ := strings.Cut(uri[i+1:], ";")
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		r.add("sip.port", i+1, len(port))
	}
	return i + 1 + len(port)
}

func (r *refReader) params(uri string, i int) {
	seen := map[string]bool{}
	for i < len(uri) {
		off := i + 1
		text, _, _ := strings.Cut(uri[off:], ";")
		i = off + len(text)
		name, value, equals := strings.Cut(text, "=")
		if r.broken("sip.param", off, text, refParamChar, true) {
			continue
		}
		key, word := refLower(refUnescape(name)), refLower(refUnescape(value))
		valueOff := i - len(value)
		switch {
		case name == "":
			r.add("sip.param", off, 0)
		case equals && value == "":
			r.add("sip.param", i, 0)
		case seen[key] && (!r.dial || r.tolerant || len(uri) <= 254):
			r.add("sip.param", off, len(name))
		case !r.dial:
		case r.escaped("sip.param", off, name, printablePattern):
		case r.escaped("sip.param", valueOff, value, printablePattern):
		case key == "maddr":
			addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(word, "["), "]"))
			isAddr := err == nil && addr.Zone() == "" && addr.Is6() == (word[0] == '[')
			if localhostPattern.MatchString(word) || isAddr && refIsPrivate(addr) {
				r.policy("sip.private", valueOff, len(value))
			} else if !isAddr && !refIsName(word) {
				r.add("sip.param", valueOff, len(value))
			}
		case key == "transport" && !slices.Contains([]string{"udp", "tcp", "tls"}, word):
			r.policy("sip.transport", valueOff, len(value))
		case key == "secure" && !slices.Contains([]string{"true", "false"}, word):
			r.policy("sip.secure", valueOff, len(value))
		}
		seen[key] = seen[key] || name != "" && (value != "" || !equals)
	}
}

func (r *refReader) header(off int, text string, follows bool) {
	before := len(r.list)
	name, value, equals := strings.Cut(text, "=")
	switch {
	case r.broken("header.syntax", off, text, refHeaderChar, true):
		if follows && strings.HasPrefix(text, "amp;") {
			r.list[before] = refProblem{"header.twiml", off - 1, len("&amp;")}
		}
		return
	case name == "":
		r.add("header.syntax", off, 0)
		return
	case !equals:
		r.add("header.syntax", off+len(text), 0)
		return
	case !r.dial:
		return
	}
	for i := 0; i < len(name); {
		width := max(1, len(escapePattern.FindString(name[i:])))
		if !tokenPattern.MatchString(refUnescape(name[i : i+width])) {
			r.add("header.name", off+i, width)
			return
		}
		i += width
	}
	plain := refUnescape(name)
	isSent := deliveredPattern.MatchString(plain) && !reservedPattern.MatchString(plain)
	if !isSent && (!r.tolerant || misplacedPattern.MatchString(plain)) {
		r.add("header.allowed", off, len(name))
		return
	}
	r.escaped("header.value", off+len(name)+1, value, visiblePattern)
}

var misplacedPattern = regexp.MustCompile(`^(?i:transport|secure|edge|region|tnx)$`)

var deliveredPattern = regexp.MustCompile(
	`^(?i:x-.*|user-to-user|remote-party-id|p-preferred-identity|p-called-party-id)$`)

// ---- Dialing ----

func TestParseToSIP(t *testing.T) {
	const ok = ""
	long := func(n int) string { return strings.Repeat("a", n) }
	for in, want := range map[string]string{
		"sip:bob@example.com":                      ok,
		"sips:bob@example.com":                     ok,
		"sip:example.com":                          ok,
		"sip:mylocalhost":                          ok,
		"sip:localhost.example":                    ok,
		"sip:localhost":                            "sip.private 4+9",
		"sip:a.LocalHost.":                         "sip.private 4+12",
		"sip:bob@[2001:db8::1]":                    ok,
		"sip:bob@203.0.113.9:1;unknown=1":          ok,
		"sip:bob@h?X-A=1&x-a=+&User-to-User=a%3Bb": ok,
		"sip:bob@h?remote-party-id=1&P-Preferred-Identity=&P-Called-Party-ID=~": ok,
		"sip:bob@h?X-%41=%20%7e":                                ok,
		"sip:b%C3%A9@h":                                         ok,
		"sip:bob@h;transport=UDP;secure=True":                   ok,
		"sip:bob@h;tr%61nsport=t%6cs;secure=false":              ok,
		"sip:bob@mydomain.sip.twilio.com":                       ok,
		"sip:bob@mydomain.sip.us1.twilio.com":                   ok,
		"sip:bob@mydomain.sip.US1-IX.twilio.com.":               ok,
		"sip:h;liq;liquidx;abcdef;costarring;liquid":            ok, // two collide in FNV-1a
		"sip:h;%40;%60;%5b;%7b":                                 ok, // letters alone have a case
		"sip:a@[2001:0db8:ffff:ffff:ffff:ffff:255.255.255.255]": ok, // the longest address
		"sip:a@[02001:db8:ffff:ffff:ffff:ffff:255.255.255.255]": "sip.host 6+47",
		"sip:pbx.sip":                            ok,
		"sip:pbx.sip.us1.example":                ok,
		"sip:" + long(235) + "@h;lr;p=1;lr2":     ok,
		"sip:" + long(238) + "@h;lr;p=1;lr":      "sip.param 252+2",
		"sip:sip.twilio.com":                     ok,
		"sip:" + long(248) + "@h":                ok,
		"sip:a@h?X-A=" + long(1019):              ok,
		"sip:" + long(249) + "@h":                "sip.length 254+1",
		"sip:a@h?X-A=" + long(1020):              "header.length 1031+1",
		"sip:a%0ab@h":                            "sip.user 5+3",
		"sip:host?to=alice@example.com":          "sip.user 8+1",
		"sip:bob:pw@h":                           "sip.password 7+3",
		"sip:bob:@h":                             "sip.password 7+1",
		"sip:bob@h;transport=sctp":               "sip.transport 20+4",
		"sip:bob@h;transport":                    "sip.transport 19+0",
		"sip:bob@h;secure=yes":                   "sip.secure 17+3",
		"sip:bob@h;p=%7f":                        "sip.param 12+3",
		"sip:bob@h;%0d%0a":                       "sip.param 10+6",
		"sip:bob@10.1.2.3":                       "sip.private 8+8",
		"sip:bob@172.16.0.1":                     "sip.private 8+10",
		"sip:bob@192.168.0.1":                    "sip.private 8+11",
		"sip:bob@127.0.0.1":                      "sip.private 8+9",
		"sip:bob@169.254.1.1":                    "sip.private 8+11",
		"sip:1.2.3.4.;x=1@h":                     "sip.user 12+1",
		"sip:1.2.3.4.5;x=1@h":                    ok,
		"sip:h;maddr=a_.localhost":               "sip.param 12+12",
		"sip:bob@224.0.0.1":                      "sip.private 8+9",
		"sip:bob@0.0.0.0":                        "sip.private 8+7",
		"sip:bob@255.255.255.255":                "sip.private 8+15",
		"sip:bob@100.64.0.1":                     "sip.private 8+10",
		"sip:bob@[::1]":                          "sip.private 8+5",
		"sip:bob@[::]":                           "sip.private 8+4",
		"sip:bob@[fe80::1]":                      "sip.private 8+9",
		"sip:bob@[fc00::1]":                      "sip.private 8+9",
		"sip:bob@[ff02::1]":                      "sip.private 8+9",
		"sip:bob@[::ffff:10.0.0.1]":              "sip.private 8+17",
		"sip:mydomain.sip.twilio.com":            "sip.domain.user 4+0",
		"sip:mydomain.sip.us1.twilio.com":        "sip.domain.user 4+0",
		"sip:bob@mydomain.sip.dublin.twilio.com": "sip.domain.edge 21+6",
		"sip:bob@h?Subject=x":                    "header.allowed 10+7",
		"sip:bob@h?X-Twilio-A=x":                 "header.allowed 10+10",
		"sip:bob@h?x%2dTWILIO=x":                 "header.allowed 10+10",
		"sip:bob@h?X-A%3a=x":                     "header.name 13+3",
		"sip:bob@h?X-A(=x":                       "header.name 13+1",
		"sip:bob@h?X-A=a%0d%0aEvil:1":            "header.value 15+6",
		"sip:bob@h?X-A=%C3%A9":                   "header.value 14+6",
		"sip:bob@h?X-A=%7F":                      "header.value 14+3",
		"sip:bob@h?X-A=1&amp;X-B=2":              "header.twiml 15+5",
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

// TestTooLong checks that a part that is too long is still read unless the whole URI is too long,
// and that a part that is not too long is always read.
func TestTooLong(t *testing.T) {
	long := strings.Repeat("a", 1100)
	for in, want := range map[string][]string{
		"sip:a@10.0.0.1?Subject=1&X-A=" + long: {
			"To sip.private 6+8", "To header.allowed 15+7", "To header.length 1038+91"},
		"sip:a@10.0.0.1;p=" + long + "?Subject=1": {
			"To sip.private 6+8", "To sip.length 254+863", "To header.allowed 1118+7"},
		"sip:a@10.0.0.1?Subject=1&X-A=" + long + long: {
			"To sip.private 6+8", "To header.length 1038+1191"},
		"sip:a@10.0.0.1;p=" + long + "?A=1&X-B=" + long: {
			"To sip.length 254+863", "To header.length 2141+85"},
		"sip:a@h;p;p;x=" + long: { // repeats are not looked for
			"To sip.length 254+860"},
		"sip:a@10.0.0.1;" + long + "?A=1&X-B=" + long[900:]: {
			"To sip.length 254+861", "To header.allowed 1116+1"},
	} {
		_, err := callparams.ParseTo(in)
		assert.Equal(t, want, spans(t, err))
	}
}

func TestSIPFixes(t *testing.T) {
	for in, want := range map[string]string{
		"bob@example.com":                     "sip:bob@example.com",
		"bob@10.0.0.1":                        "",
		"sip:kate@h?x-a=foo&amp;x-b=bar":      "sip:kate@h?x-a=foo&x-b=bar",
		"sip:kate@h?x-a=foo&amp;b=bar":        "",
		"sip:bob@h&transport=tls":             "sip:bob@h;transport=tls",
		"SIP:bob@h&transport=tls":             "SIP:bob@h;transport=tls",
		"sip:bob@h;transport=udp&tcp":         "",
		"sip:bob@h;transport=tls&secure=true": "sip:bob@h;transport=tls;secure=true",
		"sip://bob@example.com":               "sip:bob@example.com",
		"SIPS://example.com?X-A=1":            "SIPS:example.com?X-A=1",
		"sip:///bob@example.com":              "",
		"sip:bob@h;":                          "sip:bob@h",
		"sip:bob@h&X-A=1&x-b=2":               "sip:bob@h?X-A=1&x-b=2",
		"sip:bob@h&lr=1&X-A=1;p?X-B=2":        "sip:bob@h;lr=1;p?X-A=1&X-B=2",
		"sip:bob@h;X-A=1&b=2":                 "sip:bob@h;X-A=1;b=2",
		"sip:bob@h;p&X-A=2;":                  "sip:bob@h;p&X-A=2", // its & is right
		"sip:bob@h;note=a&b;":                 "sip:bob@h;note=a&b",
		"sip:bob@h?edge":                      "sip:bob@h;edge",
		"sip:bob@h;;lr;?":                     "sip:bob@h;lr",
		"sip:bob@h?X-A=1&&X-B=2&":             "sip:bob@h?X-A=1&X-B=2",
		"sip:bob@h?X-A=1;":                    "", // perhaps part of the value
		"sip:bob@h?X-A=1; transport=tls":      "sip:bob@h;transport=tls?X-A=1",
		"sip:bob@h?X-A=1;;transport=tls":      "sip:bob@h;transport=tls?X-A=1",
		"sip:bob@h?transport=tls;X-A=1":       "sip:bob@h;transport=tls?X-A=1",
		"sip:bob@h; transport=tls":            "sip:bob@h;transport=tls",
		"sip:bob@h&amp;a=1":                   "sip:bob@h;a=1",
		"sip:sip:bob@h":                       "sip:bob@h",
		"sip:bob@h?X-A=1;b=2":                 "",
		"sip:bob@h?X-A=1;transport=tls":       "sip:bob@h;transport=tls?X-A=1",
		"sip:bob@h;lr?X-A=1;secure=true;Transport=tls&X-B=2": "sip:bob@h;lr;secure=true;" +
			"Transport=tls?X-A=1&X-B=2",
		"sip:bob@h?edge=dublin":                "sip:bob@h;edge=dublin",
		"sip:bob@h?r%65gion=ie1&X-A=1;tnx=1":   "sip:bob@h;r%65gion=ie1;tnx=1?X-A=1",
		"sip:bob@h;edge=dublin?edge=dublin":    "",
		"sip:bob@h?transport=sctp":             "",
		"sip://bob@h&edge=dublin?a=1&amp;b=2":  "",
		"sip://bob@h&edge=dublin?X-A=1&amp;X=": "",
		"sip://b@h&edge=x?X-A=1&amp;x-b=1;tnx": "sip:b@h;edge=x;tnx?X-A=1&x-b=1",
		" \"Bob\" <sip:bob@h?X-A=1> ":          "sip:bob@h?X-A=1",
		" sip:bob@h;":                          "",
	} {
		_, err := callparams.ParseTo(in)
		fix, ok := problemList(t, err)[0].Fix()
		assert.Equal(t, want, fix, in)
		assert.Equal(t, want != "", ok, in)
	}
}

// TestReserved checks the first and the last address of each network that Twilio cannot reach, and
// those beside it.
func TestReserved(t *testing.T) {
	for _, test := range []struct{ public, private []string }{
		{[]string{"1.0.0.0"}, []string{"0.0.0.0", "0.255.255.255"}},
		{[]string{"9.255.255.255", "11.0.0.0"}, []string{"10.0.0.0", "10.255.255.255"}},
		{[]string{"100.63.255.255", "100.128.0.0"}, []string{"100.64.0.0", "100.127.255.255"}},
		{[]string{"126.255.255.255", "128.0.0.0"}, []string{"127.0.0.0", "127.255.255.255"}},
		{[]string{"169.253.255.255", "169.255.0.0"}, []string{"169.254.0.0", "169.254.255.255"}},
		{[]string{"172.15.255.255", "172.32.0.0"}, []string{"172.16.0.0", "172.31.255.255"}},
		{[]string{"191.255.255.255", "192.0.1.0"}, []string{"192.0.0.0", "192.0.0.255"}},
		{[]string{"192.167.255.255", "192.169.0.0"}, []string{"192.168.0.0", "192.168.255.255"}},
		{[]string{"198.17.255.255", "198.20.0.0"}, []string{"198.18.0.0", "198.19.255.255"}},
		{[]string{"223.255.255.255"}, []string{"224.0.0.0", "240.0.0.0", "255.255.255.255"}},
		{[]string{"192.0.2.1", "198.51.100.1", "203.0.113.1"}, nil}, // documentation
		{[]string{"[2001:db8::1]", "[3fff::1]"}, nil},
		{[]string{"[::1.0.0.0]", "[::808:808]"}, []string{"[::]", "[::1]", "[::10.0.0.1]"}},
		{[]string{"[::ffff:8.8.8.8]"}, []string{"[::ffff:10.0.0.1]", "[::ffff:7f00:1]"}},
		{[]string{"[::ffff:0:8.8.8.8]"}, []string{"[::ffff:0:10.0.0.1]"}},
		{[]string{"[64:ff9b::8.8.8.8]"}, []string{"[64:ff9b::a00:1]", "[64:ff9b::127.0.0.1]"}},
		{[]string{"[64:ff9b:2::]"}, []string{"[64:ff9b:1::]", "[64:ff9b:1:ffff::1]"}},
		{[]string{"[2002:808:808::]"}, []string{"[2002:7f00:1::]", "[2002:a00:1::1]"}},
		{[]string{"[100:0:0:2::]"}, []string{"[100::1]", "[100:0:0:1::1]"}},
		{[]string{"[2001:200::]", "[2000:ffff::]", "[2001:20::1]", "[2001:3f:ffff::]",
			"[2001:1::3]", "[2001:3:ffff::]", "[2001:4:112::1]"}, []string{"[2001::1]",
			"[2001:1ff::1]",
			"[2001:1::4]", "[2001:1::]", "[2001:2::1]", "[2001:4:111::]", "[2001:1f::]",
			"[2001:40::]"}},
		{[]string{"[5eff::]", "[5f01::]"}, []string{"[5f00::]", "[5f00:ffff::]"}},
		{[]string{"[fbff::]", "[fe00::]"}, []string{"[fc00::]", "[fdff::]"}},
		{[]string{"[fe7f::]"}, []string{"[fe80::]", "[febf::]", "[fec0::]", "[feff::]",
			"[ff02::1]"}},
	} {
		for _, host := range test.public {
			assert.NoError(t, errTo("sip:a@"+host), host)
			assert.NoError(t, errTo("sip:a@h;maddr="+host), host)
		}
		for _, host := range test.private {
			want := []string{fmt.Sprint("To sip.private 6+", len(host))}
			assert.Equal(t, want, spans(t, errTo("sip:a@"+host)))
			escaped := strings.ReplaceAll(host, ".", "%2E")
			want = []string{fmt.Sprint("To sip.private 14+", len(escaped))}
			assert.Equal(t, want, spans(t, errTo("sip:a@h;Maddr="+escaped)))
		}
	}
	for _, maddr := range []string{"h.example", "localhost.example.", "%68"} {
		assert.NoError(t, errTo("sip:a@h;maddr="+maddr), maddr)
	}
	for _, maddr := range []string{"LOCALHOST.", "a.localhost", "%6cocalhost"} {
		assert.ErrorIs(t, errTo("sip:a@h;maddr="+maddr), callparams.RuleSIPPrivate, maddr)
	}
	for _, maddr := range []string{"foo_bar", "::1", "[fe80::1%25eth0]", "10.0.0.1:5060", "10.1",
		"10.0.0.1%20", "2130706433", "0x7f000001", "h.example/a", "a&b"} {
		assert.ErrorIs(t, errTo("sip:a@h;maddr="+maddr), callparams.RuleSIPParam, maddr)
	}
}

// TestLongURI checks both sides of the longest text that ParseSIPURI reads.
func TestLongURI(t *testing.T) {
	for in, want := range map[string][]string{
		"sip:h?a=" + strings.Repeat("b", 1<<16-1-8):  nil,
		"sip:h?a=" + strings.Repeat("b", 1<<16-8):    {"sip.length 65535+1"},
		strings.Repeat("b", 1<<16+1):                 {"sip.length 65535+2"},
		"sip:h;ab;cb;p=" + strings.Repeat("b", 3000): nil,
		"sip:h;ab;AB;p=" + strings.Repeat("b", 3000): {"sip.param 9+2"},
	} {
		assert.Equal(t, want, spans(t, errURI(in)))
	}
}

// requireRebuilt requires NoInjection of the parts of a To that p accepts. The text that they build
// can be too long although the To is not: it escapes bytes that may stand raw.
func requireRebuilt(t *testing.T, p callparams.Parser, uri callparams.SIPURI) {
	to, err := p.ParseTo(uri.String())
	if p.Tolerate == nil {
		built, buildErr := uri.To()
		require.Equal(t, to, built)
		require.Equal(t, err == nil, buildErr == nil)
	}
	if err != nil {
		for _, p := range problemList(t, err) {
			require.Contains(t, "sip.length header.length", string(p.Rule))
		}
		return
	}
	parts, ok := to.SIPURI()
	require.True(t, ok)
	require.Equal(t, uri, parts)
}

// ---- Building ----

func TestBuild(t *testing.T) {
	const domain = "mydomain.sip.twilio.com"
	for _, test := range []struct {
		uri  callparams.SIPURI
		want string
	}{
		{callparams.SIPURI{User: "destination", Host: "host"}.WithHeader("X-Source-Domain", domain),
			"sip:destination@host?X-Source-Domain=" + domain},
		{callparams.SIPURI{Secure: true, User: "+1;a?b@c/d é", Host: "2001:db8::1", Port: 5061}.
			WithParam("transport", "tls").WithParam("lr", "").
			WithHeader("X-A", "a&b=c;d \"e\"+").WithHeader("X-A", ""),
			"sips:+1%3Ba%3Fb%40c%2Fd%20%C3%A9@[2001:db8::1]:5061;transport=tls;lr" +
				"?X-A=a%26b%3Dc%3Bd%20%22e%22%2B&X-A="},
	} {
		to, err := test.uri.To()
		require.NoError(t, err)
		assert.Equal(t, test.want, to.String())
		assert.Equal(t, test.want, test.uri.String())
		got, _ := to.SIPURI()
		assert.Equal(t, test.uri, got)
	}
}

// TestBuiltText checks what is escaped in each part, to the byte. Only a user keeps its +.
func TestBuiltText(t *testing.T) {
	const marks = "-_.!~*'()"
	base := callparams.SIPURI{Host: "h"}
	for _, test := range []struct {
		uri  callparams.SIPURI
		want string
	}{
		{callparams.SIPURI{User: "a+b", Password: "b+c", Host: "h"}, "sip:a+b:b%2Bc@h"},
		{callparams.SIPURI{User: marks, Password: marks, Host: "h"},
			"sip:" + marks + ":" + marks + "@h"},
		{callparams.SIPURI{User: "&=$,;?/", Password: "&=$,", Host: "h"},
			"sip:%26%3D%24%2C%3B%3F%2F:%26%3D%24%2C@h"},
		{callparams.SIPURI{Host: "a+b_"}, "sip:a%2Bb%5F"},
		{callparams.SIPURI{Host: "::1+g-"}, "sip:[::1%2Bg%2D]"},
		{base.WithParam("a+b", "c+d"), "sip:h;a%2Bb=c%2Bd"},
		{base.WithParam(marks+"[]/:&$", marks), "sip:h;" + marks + "%5B%5D%2F%3A%26%24=" + marks},
		{base.WithParam("a+b", ""), "sip:h;a%2Bb"},
		{base.WithHeader("a+b", "c+d"), "sip:h?a%2Bb=c%2Bd"},
		{base.WithHeader(marks, "[]/?:$"+marks), "sip:h?" + marks + "=%5B%5D%2F%3F%3A%24" + marks},
	} {
		assert.Equal(t, test.want, test.uri.String())
	}
}

// TestBuildRefuses checks that no part becomes another: a byte that cannot be written is refused in
// its own part.
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

// unbuildable are parts that To refuses, each with a part of the message.
func unbuildable() map[string]callparams.SIPURI {
	base := callparams.SIPURI{User: "a", Host: "h"}
	return map[string]callparams.SIPURI{
		"the host contains a space; use":                    {Host: "exa mple.com"},
		"the host contains '%'; use":                        {Host: "a%20b"},
		"the host contains '@'; use":                        {Host: "a@b"},
		"leave out brackets, a zone and a port":             {Host: "example.com:5060"},
		"is not a DNS name or an IP address; leave":         {Host: "[::1]"},
		"is not a DNS name or an IPv4 address; check":       {Host: "1.2.3"},
		"the host is missing":                               {},
		"the user is empty, but there is a password":        {Password: "b", Host: "h"},
		"the user contains a control character":             {User: "a\n", Host: "h"},
		"a URI parameter has no name; write one (":          base.WithParam("", ""),
		"a URI parameter contains a control character":      base.WithParam("a", "\r"),
		"a header has no name; write one (":                 base.WithHeader("", "v"),
		"the name of a header contains a space":             base.WithHeader("X A", "v"),
		"the header X-B contains a control character":       base.WithHeader("X-B", "\n"),
		"Twilio leaves the header Subject out of the call":  base.WithHeader("Subject", "x"),
		"edge is a URI parameter and not a header; write ;": base.WithHeader("edge", "x"),
	}
}

// TestBuildMessages checks that a refusal speaks of what the caller gave, not of its escapes.
func TestBuildMessages(t *testing.T) {
	for want, u := range unbuildable() {
		_, err := u.To()
		assert.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "escape")
	}
}

func TestFieldsByName(t *testing.T) {
	u, err := callparams.ParseSIPURI("sip:h;lr;Transport=tls;%c3%a9=1?X-A=%20b&x-a=c&X-Empty=")
	require.NoError(t, err)
	for _, test := range []struct {
		get   func(name string) (string, bool)
		name  string
		value string
		ok    bool
	}{
		{u.Param, "transport", "tls", true},
		{u.Param, "TRANSPORT", "tls", true},
		{u.Param, "LR", "", true},
		{u.Param, "l", "", false},
		{u.Param, "", "", false},
		{u.Param, "x-a", "", false},
		{u.Param, "\u00e9", "1", true},
		{u.Param, "\u00c9", "", false},
		{u.Header, "x-A", " b", true},
		{u.Header, "X-EMPTY", "", true},
		{u.Header, "X-%41", "", false},
		{u.Header, "X-AB", "", false},
		{u.Header, "lr", "", false},
		{callparams.SIPURI{}.Header, "", "", false},
		{u.WithHeader("X@", "1").WithHeader("[", "2").Header, "X`", "", false},
		{u.WithHeader("[", "2").Header, "{", "", false},
		{u.WithHeader("@", "2").Header, "`", "", false},
	} {
		value, ok := test.get(test.name)
		assert.Equal(t, test.value, value, test.name)
		assert.Equal(t, test.ok, ok, test.name)
	}
}

// TestWithCopies checks that u is unchanged, even if two copies could write into the same memory.
func TestWithCopies(t *testing.T) {
	shared := make([]kv, 1, 8)
	shared[0] = kv{Name: "X-A", Value: "1"}
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

// TestBuildEveryByte checks NoInjection for every byte in every part, alone and between others.
func TestBuildEveryByte(t *testing.T) {
	for c := range 256 {
		for _, s := range []string{string([]byte{byte(c)}), string([]byte{'a', byte(c), 'b'})} {
			requireBuild(t, s, "", "h.example", 0, s, s, s, s)
			requireBuild(t, "a", "", s, 1, "p", s, "X-"+s, s)
			requireBuild(t, "a", s, "h.example", 65535, s, "", "X-A", s)
		}
	}
}

// FuzzBuild checks NoInjection: the parts of a URI that is built come back unchanged, or the URI is
// refused.
func FuzzBuild(f *testing.F) {
	f.Add("alice", "", "example.com", uint16(0), "transport", "tls", "X-Account", "42")
	f.Add("alice", "secret", "h", uint16(5060), "lr", "", "X-A", "")
	f.Add("a@b?c=d&e:f;g%41+h", "p:@", "192.0.2.1", uint16(1), "a;b", "c=d",
		"X-A&X-B", "1&X-C=2\r\nX-D: 3")
	f.Add("", "", "2001:db8::1", uint16(65535), "", "", "X-Twilio-A", "%0d")
	f.Add("a", "", "[::1]", uint16(80), "Transport", "%54LS", "Subject", "a;b")
	f.Add("a", "", "h;lr", uint16(0), "a", "b", "x-%41", "\xff")
	f.Add("a", "", "h:5060", uint16(0), "maddr", "10.0.0.1", "User-to-User", "a b")
	f.Add("a", "", "h@evil.example", uint16(0), "a", "b", "X-A", "v")
	f.Add("a", "", "fe80::1%eth0", uint16(0), "a", "b", "X-A", "v")
	for _, v := range vectors(f).sipuri {
		u, err := callparams.ParseSIPURI(string(v.Input))
		if err != nil {
			continue
		}
		param, header := append(u.Params, kv{})[0], append(u.Headers, kv{})[0]
		f.Add(u.User, u.Password, u.Host, u.Port,
			param.Name, param.Value, header.Name, header.Value)
	}
	f.Fuzz(requireBuild)
}

func requireBuild(
	t *testing.T, user, password, host string, port uint16,
	paramName, paramValue, headerName, headerValue string,
) {
	fields := callparams.SIPURI{
		User: user, Password: password, Host: host, Port: port,
		Params:  []kv{{paramName, paramValue}},
		Headers: []kv{{headerName, headerValue}},
	}
	// The same bytes among valid others, so that what breaks out of one part is seen in the next.
	among := fields
	among.Secure, among.Params, among.Headers = true, nil, nil
	among = among.
		WithParam("first", "1").WithParam(paramName, paramValue).WithParam("last", "2").
		WithHeader("X-First", "1").WithHeader(headerName, headerValue).WithHeader("X-Last", "2")
	bare := callparams.SIPURI{User: user, Host: "h.example"}
	for _, uri := range []callparams.SIPURI{
		fields, among, {Host: host}, {Host: host, Port: port},
		bare, bare.WithParam(paramName, paramValue), bare.WithHeader(headerName, headerValue),
	} {
		requireUnchanged(t, uri)
	}
	requireBuildable(t, user, paramName, paramValue, headerName, headerValue)
}

// requireUnchanged requires that uri, written and read again, has the same parts or is refused.
func requireUnchanged(t *testing.T, uri callparams.SIPURI) {
	parts, err := callparams.ParseSIPURI(uri.String())
	if err == nil {
		require.Equal(t, uri, parts)
	}
	to, toErr := uri.To()
	if toErr != nil {
		require.Zero(t, to)
		return
	}
	require.NoError(t, err)
	require.Equal(t, uri.String(), to.String())
	parts, ok := to.SIPURI()
	require.True(t, ok)
	require.Equal(t, uri, parts)
}

// requireBuildable requires that every byte can be built into each part, except those that the
// rules forbid there.
func requireBuildable(t *testing.T, user, paramName, paramValue, headerName, headerValue string) {
	if len(user)+len(paramName)+len(paramValue) > 70 || len(headerName)+len(headerValue) > 300 {
		return // escaped, it could be too long
	}
	uri := callparams.SIPURI{User: user, Host: "h.example"}
	_, err := uri.To()
	require.Equal(t, !controlPattern.MatchString(user), err == nil, "user: %v", err)

	uri.Password = paramValue
	_, err = callparams.ParseSIPURI(uri.String())
	require.Equal(t, user != "" || paramValue == "", err == nil, "password: %v", err)

	uri = callparams.SIPURI{Host: "h.example"}.WithParam(paramName, paramValue)
	_, err = callparams.ParseSIPURI(uri.String())
	require.Equal(t, paramName != "", err == nil, "parameter: %v", err)
	if name := refLower(paramName); name != "transport" && name != "secure" && name != "maddr" {
		_, err = uri.To()
		ok := paramName != "" && !controlPattern.MatchString(paramName+paramValue)
		require.Equal(t, ok, err == nil, "parameter: %v", err)
	}

	uri = callparams.SIPURI{Host: "h.example"}.WithHeader(headerName, headerValue)
	_, err = callparams.ParseSIPURI(uri.String())
	require.Equal(t, headerName != "", err == nil, "header: %v", err)
	uri = callparams.SIPURI{Host: "h.example"}.WithHeader("X-"+headerName, headerValue)
	_, err = uri.To()
	ok := tokenPattern.MatchString("X-"+headerName) && visiblePattern.MatchString(headerValue) &&
		!reservedPattern.MatchString("X-"+headerName)
	require.Equal(t, ok, err == nil, "header: %v", err)
}

var (
	tokenPattern    = regexp.MustCompile("^[A-Za-z0-9.!%*_+`'~-]+$")
	reservedPattern = regexp.MustCompile("^(?i:x-twilio)")
	controlPattern  = regexp.MustCompile(`[\x00-\x1f\x7f]`)
	visiblePattern  = regexp.MustCompile(`^[ -~]*$`)
)

// ---- Redaction ----

func TestFieldRedacts(t *testing.T) {
	for f, want := range map[kv]string{
		{Name: "X-Account", Value: "42"}:       "X-Account=**",
		{Name: "14155550100", Value: "secret"}: "***********=******",
		{Name: "X-123-4567", Value: ""}:        "X-123-****=",
		{Name: "X-A\r\nX-B", Value: "1"}:       "********=*",
		{Name: "tom jones", Value: "1"}:        "*********=*",
	} {
		assert.Equal(t, want, f.String())
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%t", "%U"} {
			assert.Equal(t, want, fmt.Sprintf(verb, f), verb)
			if verb != "%#v" { // which writes the type of the slice too
				assert.Equal(t, "["+want+"]", fmt.Sprintf(verb, []kv{f}), verb)
			}
		}
		assert.Equal(t, strconv.Quote(want), fmt.Sprintf("%q", f))
		assert.Equal(t, fmt.Sprintf("%x %X", want, want), fmt.Sprintf("%x %X", f, f))
		assert.Equal(t, fmt.Sprintf("%30s|%-30s", want, want), fmt.Sprintf("%30v|%-30s", f, f))
	}
}

// ---- IsTwilioHost ----

func TestIsTwilioHost(t *testing.T) {
	for host, want := range map[string]bool{
		"sip.twilio.com":                  true,
		"SIP.Twilio.COM.":                 true,
		"sip.gll.twilio.com":              true,
		"sip.gll-ix.twilio.com":           false,
		"sipxus1.twilio.com":              false,
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
	for place := range strings.FieldsSeq(`us1 us2 ie1 de1 sg1 jp1 br1 au1
		ashburn umatilla san-jose dublin frankfurt singapore tokyo sao-paulo sydney london`) {
		assert.True(t, callparams.IsTwilioHost("sip."+place+".twilio.com"), place)
		assert.True(t, callparams.IsTwilioHost("sip."+place+"-ix.twilio.com"), place)
	}
}

// ---- RFC 3261's grammar ----

// FuzzSIPURI checks Grammar on any text, and Validity, Spans and Fixes of ParseSIPURI.
func FuzzSIPURI(f *testing.F) {
	for _, s := range slices.Concat(seeds(), uriSeeds()) {
		f.Add(s)
	}
	for _, v := range vectors(f).sipuri {
		f.Add(string(v.Input))
	}
	rfc := readGrammar(f)
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 400 {
			return // the matcher is slow
		}
		requireURI(t, rfc, s)
	})
}

// TestSIPURIAgrees checks Grammar on the seeds, on mutations of them and on texts walked from the
// grammar.
func TestSIPURIAgrees(t *testing.T) {
	t.Parallel()
	rfc := readGrammar(t)
	rng := rand.New(rand.NewPCG(3261, 5954))
	for _, v := range vectors(t).sipuri {
		requireURI(t, rfc, string(v.Input))
		if len(v.Input) < 200 { // the matcher is slow
			requireURI(t, rfc, mutated(rng, string(v.Input)))
		}
	}
	for _, s := range uriSeeds() {
		requireURI(t, rfc, s)
		for range 10 {
			requireURI(t, rfc, mutated(rng, s))
		}
	}
	for range 1000 {
		var b strings.Builder
		rfc.walk(&b, rng, rfc.rules["URI"])
		s := b.String()
		require.True(t, rfc.matches("URI", s), s)
		requireURI(t, rfc, s)
		requireURI(t, rfc, mutated(rng, s))
	}
	for _, s := range []string{"sip:u:p@h:1;n=v?n=v", "sip:[::1]"} {
		for m := range mutations(s) {
			requireURI(t, rfc, m)
		}
	}
}

// TestDivergences checks that the grammar accepts what the package comment says that ParseSIPURI
// refuses.
func TestDivergences(t *testing.T) {
	rfc := readGrammar(t)
	for _, s := range []string{
		"sip:h:0", "sip:h:65536", "sip:h;a;A", "sip:h;a=1;%61=2",
		"sip:h;transport=a%", "sip:h;user=`", "sip:h;method=%zz",
	} {
		assert.True(t, rfc.matches("URI", s), s)
		_, err := callparams.ParseSIPURI(s)
		assert.Error(t, err, s)
	}
}

// requireURI requires Grammar of s, and Validity, Spans and Fixes.
func requireURI(t *testing.T, rfc *abnfGrammar, s string) {
	requireSpans(t, s)
	uri, err := callparams.ParseSIPURI(s)
	require.Equal(t, rfc.wants(s), err == nil, "%q: %v", s, err)
	if err != nil {
		require.Zero(t, uri)
		requireProblems(t, problemList(t, err), "", s, func(fix string) error {
			_, err := callparams.ParseSIPURI(fix)
			return err
		})
		to, _ := callparams.ParseTo(s)
		require.NotEqual(t, callparams.KindSIP, to.Kind(), "%q", s)
		return
	}
	require.Equal(t, refSplit(s), uri, "%q", s)
	again, err := callparams.ParseSIPURI(uri.String())
	require.NoError(t, err, "%q", s)
	require.Equal(t, uri, again)
}

// An abnfGrammar is a set of ABNF rules (RFC 5234).
type abnfGrammar struct{ rules map[string]*abnfNode }

// An abnfNode is a part of a rule.
type abnfNode struct {
	kind     string      // "/", "sequence", "repeat", "literal", "range" or "rule"
	parts    []*abnfNode // of an alternative, a sequence or, one of them, a repeat
	text     string      // of a literal; the name of a rule
	min, max int         // how often a repeat repeats; the first and the last byte of a range
}

// readGrammar reads testdata/rfc3261.abnf, and adds two rules: a URI with either scheme, and
// the same with every parameter read as other-param.
func readGrammar(t testing.TB) *abnfGrammar {
	text, err := os.ReadFile("testdata/rfc3261.abnf")
	require.NoError(t, err)
	g := &abnfGrammar{map[string]*abnfNode{}}
	more := `
URI = SIP-URI / SIPS-URI
URI-of-other-params = ( "sip:" / "sips:" ) [ userinfo ] hostport *( ";" other-param ) [ headers ]
`
	start := regexp.MustCompile(`(?m)^([A-Za-z][A-Za-z0-9-]*) *=`)
	source := string(text) + more
	found := start.FindAllStringSubmatchIndex(source, -1)
	for i, at := range found {
		end := len(source)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		name := source[at[2]:at[3]]
		require.NotContains(t, g.rules, name, "defined twice")
		tokens := abnfTokens(t, source[at[1]:end])
		g.rules[name] = abnfAlternation(t, &tokens)
		require.Empty(t, tokens, "in %s", name)
	}
	for _, rule := range g.rules {
		g.requireNamed(t, rule)
	}
	return g
}

// requireNamed requires that every rule that n names is defined.
func (g *abnfGrammar) requireNamed(t testing.TB, n *abnfNode) {
	if n.kind == "rule" {
		require.Contains(t, g.rules, n.text)
	}
	for _, part := range n.parts {
		g.requireNamed(t, part)
	}
}

// wants reports whether ParseSIPURI must accept s: the grammar matches and no divergence applies.
func (g *abnfGrammar) wants(s string) bool {
	if !g.matches("URI-of-other-params", s) {
		return false
	}
	_, _, _, port, params, _ := refCut(s)
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
		return false
	}
	seen := map[string]bool{}
	for _, f := range refFields(params, ";") {
		name := refLower(f.Name)
		if seen[name] {
			return false
		}
		seen[name] = true
	}
	return true
}

var abnfTokenPattern = regexp.MustCompile(
	`^(?:"[^"]*"|%x[0-9A-F.-]+|[A-Za-z][A-Za-z0-9-]*|[0-9]*\*[0-9]*|[0-9]+|[][()/])`)

// abnfTokens splits the right side of a rule. White space and comments are left out.
func abnfTokens(t testing.TB, s string) (tokens []string) {
	for {
		s = strings.TrimLeft(s, " \n")
		switch {
		case s == "":
			return tokens
		case s[0] == ';':
			_, s, _ = strings.Cut(s, "\n")
		default:
			token := abnfTokenPattern.FindString(s)
			require.NotEmpty(t, token, s)
			tokens = append(tokens, token)
			s = s[len(token):]
		}
	}
}

// abnfAlternation takes parts with "/" between them from tokens.
//
//	alternation = concatenation *( "/" concatenation )
func abnfAlternation(t testing.TB, tokens *[]string) *abnfNode {
	n := &abnfNode{kind: "/", parts: []*abnfNode{abnfConcatenation(t, tokens)}}
	for len(*tokens) > 0 && (*tokens)[0] == "/" {
		*tokens = (*tokens)[1:]
		n.parts = append(n.parts, abnfConcatenation(t, tokens))
	}
	return n
}

// abnfConcatenation takes parts that follow each other from tokens.
//
//	concatenation = 1*repetition
func abnfConcatenation(t testing.TB, tokens *[]string) *abnfNode {
	n := &abnfNode{kind: "sequence"}
	for len(*tokens) > 0 && !strings.Contains("/)]", (*tokens)[0]) {
		n.parts = append(n.parts, abnfRepetition(t, tokens))
	}
	require.NotEmpty(t, n.parts)
	return n
}

// abnfRepetition takes one part from tokens.
//
//	repetition = [ 1*DIGIT / ( *DIGIT "*" *DIGIT ) ] element
//	element    = rulename / group / option / char-val / num-val
func abnfRepetition(t testing.TB, tokens *[]string) *abnfNode {
	require.NotEmpty(t, *tokens)
	token := (*tokens)[0]
	*tokens = (*tokens)[1:]
	switch c := token[0]; {
	case c == '"':
		return &abnfNode{kind: "literal", text: strings.Trim(token, `"`)}
	case c == '%':
		return abnfNumVal(t, token)
	case c == '(' || c == '[':
		inner := abnfAlternation(t, tokens)
		require.NotEmpty(t, *tokens)
		require.Equal(t, map[byte]string{'(': ")", '[': "]"}[c], (*tokens)[0])
		*tokens = (*tokens)[1:]
		if c == '(' {
			return inner
		}
		return &abnfNode{kind: "repeat", max: 1, parts: []*abnfNode{inner}}
	case c == '*' || '0' <= c && c <= '9':
		least, most, ranged := strings.Cut(token, "*")
		inner := abnfRepetition(t, tokens)
		n := &abnfNode{kind: "repeat", max: math.MaxInt, parts: []*abnfNode{inner}}
		n.min, _ = strconv.Atoi("0" + least)
		if !ranged {
			n.max = n.min
		} else if most != "" {
			n.max, _ = strconv.Atoi(most)
		}
		return n
	}
	return &abnfNode{kind: "rule", text: token}
}

// abnfNumVal reads %x41, %x41-5A or %x41.43.4B.
func abnfNumVal(t testing.TB, token string) *abnfNode {
	n := &abnfNode{kind: "sequence"}
	for part := range strings.SplitSeq(token[len("%x"):], ".") {
		first, last, ok := strings.Cut(part, "-")
		if !ok {
			last = first
		}
		low, err := strconv.ParseUint(first, 16, 8)
		require.NoError(t, err)
		high, err := strconv.ParseUint(last, 16, 8)
		require.NoError(t, err)
		n.parts = append(n.parts, &abnfNode{kind: "range", min: int(low), max: int(high)})
	}
	return n
}

// matches reports whether all of s is what the named rule says.
func (g *abnfGrammar) matches(name, s string) bool {
	return slices.Contains(g.ends(g.rules[name], s, []int{0}), len(s))
}

// ends returns every offset of s at which n can end if it starts at one of starts.
func (g *abnfGrammar) ends(n *abnfNode, s string, starts []int) (ends []int) {
	switch n.kind {
	case "/":
		for _, part := range n.parts {
			ends = append(ends, g.ends(part, s, starts)...)
		}
	case "sequence":
		ends = starts
		for _, part := range n.parts {
			ends = g.ends(part, s, ends)
		}
	case "repeat":
		for count := 0; len(starts) > 0; count++ {
			if count >= n.min {
				starts = slices.DeleteFunc(slices.Clone(starts), func(i int) bool {
					return slices.Contains(ends, i)
				})
				ends = append(ends, starts...)
			}
			if count == n.max {
				break
			}
			starts = g.ends(n.parts[0], s, starts)
		}
	case "literal":
		for _, i := range starts {
			if refHasPrefix(s[i:], n.text) {
				ends = append(ends, i+len(n.text))
			}
		}
	case "range":
		for _, i := range starts {
			if i < len(s) && n.min <= int(s[i]) && int(s[i]) <= n.max {
				ends = append(ends, i+1)
			}
		}
	case "rule":
		return g.ends(g.rules[n.text], s, starts)
	}
	slices.Sort(ends)
	return slices.Compact(ends)
}

// walk writes a text that n matches; rng makes the choices.
func (g *abnfGrammar) walk(b *strings.Builder, rng *rand.Rand, n *abnfNode) {
	switch n.kind {
	case "/":
		g.walk(b, rng, n.parts[rng.IntN(len(n.parts))])
	case "sequence":
		for _, part := range n.parts {
			g.walk(b, rng, part)
		}
	case "repeat":
		for count := 0; count < n.min || count < n.max && rng.IntN(3) > 0; count++ {
			g.walk(b, rng, n.parts[0])
		}
	case "literal":
		b.WriteString(n.text)
	case "range":
		b.WriteByte(byte(n.min + rng.IntN(n.max-n.min+1)))
	case "rule":
		g.walk(b, rng, g.rules[n.text])
	}
}

// ---- Examples ----

func ExampleSIPURI() {
	to, err := callparams.SIPURI{User: "destination", Host: "host"}.
		WithParam("transport", "tls").
		WithHeader("X-Source-Domain", "mydomain.sip.twilio.com").
		WithHeader("X-Note", "a&b").
		To()
	fmt.Println(to, err)
	// Output:
	// sip:destination@host;transport=tls?X-Source-Domain=mydomain.sip.twilio.com&X-Note=a%26b <nil>
}

func ExampleSIPURI_To() {
	uri := callparams.SIPURI{User: "bob", Host: "example.com"}.WithHeader("X-A", "1\r\nX-Evil: 2")
	to, err := uri.To()
	fmt.Println(to.IsValid(), errors.Is(err, callparams.RuleHeaderValue))
	// Output: false true
}

func ExampleParseSIPURI() {
	u, err := callparams.ParseSIPURI("sips:alice:pw@[2001:db8::1]:5061;lr?Subject=project%20x")
	fmt.Println(u.Secure, u.User, u.Password, u.Host, u.Port, err)
	fmt.Println(u.Params[0].Name, u.Headers[0].Value)
	// Output:
	// true alice pw 2001:db8::1 5061 <nil>
	// lr project x
}

func ExampleSIPURI_Header() {
	u, err := callparams.ParseSIPURI("sip:bob@example.com?X-Account=42&X-Note=a%26b")
	note, ok := u.Header("x-note")
	fmt.Println(note, ok, err)
	_, ok = u.Header("X-Source-Domain")
	fmt.Println(ok)
	// Output:
	// a&b true <nil>
	// false
}

func ExampleSIPURI_Param() {
	u, err := callparams.ParseSIPURI("sip:bob@example.com;Transport=tls;lr")
	transport, _ := u.Param("transport")
	_, isLoose := u.Param("lr")
	fmt.Println(transport, isLoose, err)
	// Output: tls true <nil>
}

func ExampleSIPURI_Redacted() {
	uri := callparams.SIPURI{User: "alice", Host: "example.com"}.WithHeader("X-Name", "Tom")
	fmt.Println(uri.Redacted())
	// Output: sip:*****@example.com?X-Name=***
}

func ExampleIsTwilioHost() {
	fmt.Println(callparams.IsTwilioHost("sip.us1.twilio.com"))
	fmt.Println(callparams.IsTwilioHost("sip.us1.twilio.com.evil.example"))
	// Output:
	// true
	// false
}

// ---- Benchmarks ----

// TestNoSIPAllocs checks that a SIP URI that is accepted allocates nothing, and that building
// one allocates at most twice.
func TestNoSIPAllocs(t *testing.T) {
	var params, headers strings.Builder
	for i := range 80 {
		fmt.Fprintf(&params, ";%c%c", 'a'+i/10, '0'+i%10)
		fmt.Fprintf(&headers, "&X-%d=%%2%d", i, i%10)
	}
	uris := []string{
		"sip:a@[2001:db8::1]:5060", "sip:a@203.0.113.9", "sip:a@h?X-%41%2B=1&User-to-User=2",
		"sip:" + strings.Repeat("a", 241) + "@h;lr;p=1",
		"sip:a@h" + params.String() + "?" + headers.String()[1:],
	}
	for _, bench := range benchURIs {
		uris = append(uris, bench.uri)
	}
	for _, s := range uris {
		testAllocs(t, 0, func() error { return errTo(s) })
		testAllocs(t, 3, func() error { return errURI(s) })
	}
	for _, s := range []string{
		"sip:%41:%42@h" + params.String() + ";%43=%44?" + headers.String()[1:] + "&%45=%46",
		"sip:h;" + strings.TrimSuffix(manyParams(120), ";P7") + "?a=%41",
		"sip:%41@h;%42?X=%43" + strings.Repeat("c", 400) + "&X=%44" + strings.Repeat("d", 400),
	} {
		testAllocs(t, 3, func() error { _, err := callparams.ParseSIPURI(s); return err })
	}
	u := callparams.SIPURI{User: "jack", Host: "example.com"}.
		WithHeader("X-A", "Tom Smith").WithHeader("X-B", "2")
	testAllocs(t, 2, func() error { _, err := u.To(); return err })
}

// benchURIs are the URIs of the benchmarks and of TestNoSIPAllocs.
var benchURIs = []struct{ name, uri string }{
	{"Plain", "sip:jack@example.com"},
	{"Header", "sip:jack@example.com?X-Account=42"},
	{"TLS", "sip:jack@example.com;transport=tls?X-Name=Tom%20Smith&X-Note=a%3Bb"},
	{"Long", "sip:" + strings.Repeat("u", 254-len("sip:@example.com;transport=tls")) +
		"@example.com;transport=tls?X-A=" + strings.Repeat("v", 491) +
		"&X-B=" + strings.Repeat("%20", 165)},
}

const benchIPv6 = "sip:jack:secret@[2001:db8::9:1]:5060"

func BenchmarkParseTo(b *testing.B) {
	for _, a := range benchURIs {
		b.Run(a.name, func(b *testing.B) { benchmarkParse(b, a.uri, callparams.ParseTo) })
	}
}

func BenchmarkParseSIPURI(b *testing.B) {
	for _, a := range append(benchURIs, struct{ name, uri string }{"IPv6", benchIPv6}) {
		b.Run(a.name, func(b *testing.B) { benchmarkParse(b, a.uri, callparams.ParseSIPURI) })
	}
}

func benchmarkParse[T any](b *testing.B, uri string, parse func(string) (T, error)) {
	b.ReportAllocs()
	b.SetBytes(int64(len(uri)))
	for b.Loop() {
		if _, err := parse(uri); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	u := callparams.SIPURI{User: "jack", Host: "example.com"}.
		WithHeader("X-A", "Tom Smith").WithHeader("X-B", "2")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := u.To(); err != nil {
			b.Fatal(err)
		}
	}
}
