package main

import (
	"strings"
	"testing"
)

// An input is a text that the checkers are measured on.
type input struct{ name, text string }

var sipInputs = []input{
	{"plain", "sip:jack@example.com"},
	{"one header", "sip:jack@example.com?X-Account=42"},
	{
		"TLS, two escaped headers",
		"sip:jack@example.com;transport=tls?X-Name=Ann%20Lee&X-Note=50%25%20off",
	},
	{"IPv6, password", "sip:jack:secret@[2001:db8::1]:5060;lr"},
	{"254 bytes, 1000 of headers", longURI()},
	{"refused: space", "sip:jack@exa mple.com"},
	{"refused: ; in a header", "sip:jack@example.com?X-Account=42;X-Note=1"},
	{"refused: 64 KiB", "sip:" + strings.Repeat("@", 64<<10)},
}

var numberInputs = []input{
	{"number", "+14155552671"},
	{"15 digits", "+491234567890123"},
	{"refused: separators", "+1 (415) 555-2671"},
	{"refused: word", "gdygadba"},
	{"refused: trunk 0", "+4402071838750"},
}

// longURI returns a URI with 254 bytes before the ? and 1,000 bytes of headers after it. That is
// close to Twilio's limits.
func longURI() string {
	uri := "sip:jack@example.com;a="
	uri += strings.Repeat("b", 254-len(uri))
	const header = "X-Head=some%20text%2C%20"
	headers := strings.Repeat(header+"&", 1000/(len(header)+1)-1)
	return uri + "?" + headers + "X-Last=" + strings.Repeat("c", 1000-len(headers)-len("X-Last="))
}

// measure runs check on in as a benchmark.
func measure(b *testing.B, check checker, in input) {
	b.ReportAllocs()
	for b.Loop() {
		check.accepts(in.text)
	}
}
