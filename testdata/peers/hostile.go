package main

import (
	"strings"

	"example.com/callparams"
)

// A hostile is a URI with one component that tries to add or change other parts of the URI.
type hostile struct {
	name string
	uri  callparams.SIPURI
}

var bob = callparams.SIPURI{User: "bob", Host: "example.com"}

var hostiles = []hostile{
	{"header value with CR LF", bob.WithHeader("X-A", "1\r\nX-Evil: 1")},
	{"header value with &", bob.WithHeader("X-A", "1&X-Evil=1")},
	{"header value with ;", bob.WithHeader("X-A", "1;X-Evil=1")},
	{"header value with space and quotes", bob.WithHeader("X-A", `say "hi"`)},
	{"header value with %", bob.WithHeader("X-A", "%0d%0aX-Evil:1")},
	{"header value with +", bob.WithHeader("X-A", "1+1")},
	{"header value with #", bob.WithHeader("X-A", "1#2")},
	{"header value with é", bob.WithHeader("X-A", "café")},
	{"header name with = and &", bob.WithHeader("X-A=1&X-Evil", "1")},
	{"parameter value with ;", bob.WithParam("note", "1;maddr=evil.example")},
	{"parameter value with ?", bob.WithParam("note", "1?X-Evil=1")},
	{"user with @", callparams.SIPURI{User: "bob@evil.example", Host: "example.com"}},
	{"user with ?", callparams.SIPURI{User: "evil.example?X-A=1", Host: "example.com"}},
	{"user with :", callparams.SIPURI{User: "bob:secret", Host: "example.com"}},
	{"host with ;", callparams.SIPURI{User: "bob", Host: "example.com;transport=udp"}},
	{"host with @", callparams.SIPURI{User: "bob", Host: "example.com@evil.example"}},
}

// outcome describes the text or the error that a builder returned for the URI want. It reads text
// back with the grammar of RFC 3261. README.md explains the words.
func outcome(want callparams.SIPURI, text string, err error) string {
	if err != nil {
		return "refused"
	}
	if strings.ContainsAny(text, "\r\n") {
		return "raw CR LF"
	}
	got, err := callparams.ParseSIPURI(text)
	if err != nil {
		return "malformed"
	}
	if sameParts(got, want) {
		if parseTo(text) {
			return "kept"
		}
		return "kept, not dialed"
	}
	var other []string
	note := func(same bool, part string) {
		if !same {
			other = append(other, part)
		}
	}
	note(got.User == want.User, "user")
	note(got.Password == want.Password, "password")
	note(got.Host == want.Host, "host")
	note(len(got.Params) == len(want.Params), "parameter")
	note(len(got.Headers) == len(want.Headers), "header")
	if other == nil {
		return "another value"
	}
	return "another " + strings.Join(other, " and ")
}
