// Package callparams checks the From and To of an outbound call before a service asks Twilio to
// place it, and builds the SIP URIs that such calls dial.
//
//	err := callparams.Request{From: from, To: to}.Validate()
//
// A From is a phone number in E.164 form, a client identity ("client:alice") or a bare user name.
// It is never a SIP address: Twilio puts its own host after the user name, and answers a SIP
// address with error 21212. A To is a phone number, a client identity or a SIP URI, which may
// carry headers. Both are parameters of POST /2010-04-01/Accounts/{Sid}/Calls.json (Create Call).
//
// An error is an [*Error]. It lists the problems, each with its rule, Twilio's code, the bytes
// that are wrong and, if there is exactly one candidate, the fix.
//
// No error shows a user, a number or the value of a header, in any form. Neither does a value of
// this package that is printed with %#v or logged with log/slog. String of From, To and SIPURI
// shows everything, because it is the text for the wire; String of Request, Call and Field does
// not. In the clear are also JSON, exported fields, and what a method returns whose comment says
// "personal data". The packages fmt and slog do not call methods on values in unexported fields,
// and slog does not call them inside slices and structs: a type that holds such values must
// redact itself.
//
// SIP URIs follow the grammar of RFC 3261, sections 19.1.1 and 25.1, with the IP addresses of
// RFC 5954, which are those of RFC 3986 and have no zone. Notable divergences:
//   - A port of 0 or above 65535 is refused; the ABNF has no limit. Leading zeros are accepted.
//   - A URI parameter that appears twice is refused, as the prose of section 19.1.1 says. Names are
//     decoded before they are compared, and case does not matter.
//   - Every URI parameter is read as other-param. The bare % and the backquote, which token would
//     allow in the values of transport, user and method, are refused.
//
// Twilio can still refuse what passes here. Only Twilio knows who owns From (21210), which
// countries an account may call (21215), what a trial account may do (21219) and who can be
// reached (21214).
package callparams

import (
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/nyaruka/phonenumbers/v2"
)

// A Kind says what a From or a To is.
type Kind uint8

const (
	// KindInvalid is the kind of the zero From and the zero To.
	KindInvalid Kind = iota

	// KindPhone is a phone number, such as +14155550100.
	KindPhone

	// KindClient is a client identity, such as client:alice.
	KindClient

	// KindSIP is a SIP URI, such as sip:alice@example.com. Only a To can be one.
	KindSIP

	// KindUser is a bare user name, such as alice. Only a From can be one.
	KindUser
)

// String returns "phone", "client", "sip" or "user", and "invalid" for any other Kind.
func (k Kind) String() string {
	switch k {
	case KindPhone:
		return "phone"
	case KindClient:
		return "client"
	case KindSIP:
		return "sip"
	case KindUser:
		return "user"
	}
	return "invalid"
}

// A NumberCheck says how much a phone number is checked. What one level accepts, every lower level
// accepts too. Values below Shape act like Shape, values above Assigned like Assigned.
//
// The default, Possible, is 0 and in the middle, because Assigned ages: numbering plans grow
// faster than programs are rebuilt. With metadata 18 months old, Assigned refuses 4.9 % of the
// numbers that are valid today, and Possible 0.11 %. Assigned also refuses 22 % of the numbers
// that are reserved for fiction and tests, whatever the metadata.
type NumberCheck int8

const (
	// Shape checks the form of E.164: a +, a digit from 1 to 9, and 2 to 15 digits in all. In To,
	// and in a From beside a phone number, it also refuses the numbers of withheld callers.
	Shape NumberCheck = -1

	// Possible also checks that the calling code is assigned, that the number has a valid length
	// for it, and that no trunk 0 is left after the code.
	Possible NumberCheck = 0

	// Assigned also checks that the number is in a range that the metadata lists as assigned.
	Assigned NumberCheck = 1
)

// String returns "shape", "possible" or "assigned".
func (n NumberCheck) String() string {
	switch {
	case n < Possible:
		return "shape"
	case n > Possible:
		return "assigned"
	}
	return "possible"
}

// A From is a checked caller: a phone number, a client identity or a bare user name. It holds the
// text that it was parsed from and nothing else. It is immutable, and two are equal (==) if their
// texts are equal. The zero From is not valid.
//
// In the From header of its INVITE (the SIP request that starts a call), Twilio puts a host of
// its own after the user, such as sip.us1.twilio.com; [IsTwilioHost] knows those hosts. There are
// two exceptions: a call to a user who is registered at your own Twilio SIP domain carries that
// domain, and a call through an Elastic SIP Trunk carries pstn.twilio.com. No From can choose
// another host; [Request.MoveSourceDomain] carries a domain in a header instead.
type From struct{ text string }

// A To is a checked destination: a phone number, a client identity or a SIP URI. It holds the
// text that it was parsed from and nothing else. It is immutable, and two are equal (==) if their
// texts are equal. The zero To is not valid.
type To struct{ text string }

// A Request holds the two parameters as they were given. Its fields are personal data: String,
// GoString and LogValue redact them; JSON does not.
type Request struct{ From, To string }

// A Call is a checked pair. The zero Call is not valid. String, GoString and LogValue redact it.
// Its JSON is {}: marshal its From and its To.
type Call struct {
	from From
	to   To
}

// A Parser parses with options. The zero Parser checks numbers as Possible; the package's functions
// use it. A Parser is safe for concurrent use.
type Parser struct {
	Numbers NumberCheck // how much a phone number is checked
}

// ParseFrom parses s as a From, with the zero [Parser].
func ParseFrom(s string) (From, error) { return Parser{}.ParseFrom(s) }

// ParseTo parses s as a To, with the zero [Parser].
func ParseTo(s string) (To, error) { return Parser{}.ParseTo(s) }

// MustParseFrom calls [ParseFrom] and panics on an error. It is for constants and tests.
func MustParseFrom(s string) From { return must(ParseFrom(s)) }

// MustParseTo calls [ParseTo] and panics on an error. It is for constants and tests.
func MustParseTo(s string) To { return must(ParseTo(s)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// ParseFrom parses s as a From: a phone number in E.164 form, "client:" and a client identity, or
// a bare user name of A-Z a-z 0-9 + - _ . that is 1 to 256 bytes long. It does not trim s. A text
// that starts with + must be a phone number. ParseFrom checks only its shape, whatever p.Numbers
// is, because what a From must be depends on To: see [Parser.Parse].
//
// An error is an [*Error] with one problem. An accepted From costs no allocation.
func (p Parser) ParseFrom(s string) (From, error) {
	if problem := checkFrom(s); problem != nil {
		return From{}, &Error{complete(one(problem), paramFrom, newSubject(s, fixFrom))}
	}
	return From{s}, nil
}

// ParseTo parses s as a To: a phone number in E.164 form that p.Numbers accepts; "client:" and a
// client identity, which "?" and parameters may follow; or a SIP URI that Twilio dials. It does not
// trim s.
//
// An error is an [*Error] with at most 16 problems. An accepted To costs no allocation, unless
// the number needs a metadata lookup: at the level Assigned, if a 0 follows the calling code (as
// in Italy), and the first time that a process meets a calling code.
func (p Parser) ParseTo(s string) (To, error) {
	if found := p.checkTo(s); found != nil {
		return To{}, &Error{complete(found, paramTo, newSubject(s, p.fixTo))}
	}
	return To{s}, nil
}

// Parse parses both parameters, and checks what each demands of the other: if To is a phone number,
// From must be a different phone number that p.Numbers accepts.
//
// An error is an [*Error]. It lists the problems of To before those of From, because Twilio
// checks the syntax of To first. An accepted pair allocates only where [Parser.ParseTo] says.
func (p Parser) Parse(r Request) (Call, error) {
	to, from := p.checkTo(r.To), checkFrom(r.From)
	toPhone := isPhone(r.To)
	if toPhone && from == nil {
		from = p.checkCaller(r.From)
	}
	if toPhone && from == nil && r.From == r.To { // so To has no problem either
		to = one(newProblem(RuleSameParty, 0, len(r.To),
			"this is the same phone number as From; call another number"))
	}
	if from == nil && to == nil {
		return Call{From{r.From}, To{r.To}}, nil
	}
	fixPairTo := func(s string) (string, bool) {
		fix, ok := p.fixTo(s)
		if !ok || fix == r.From {
			return "", false
		}
		return fix, true
	}
	fixPairFrom := func(s string) (string, bool) {
		fix, ok := fixFrom(s)
		if !ok || fix == r.To || toPhone && p.checkCaller(fix) != nil {
			return "", false
		}
		return fix, true
	}
	return Call{}, &Error{append(
		complete(to, paramTo, newSubject(r.To, fixPairTo)),
		complete(one(from), paramFrom, newSubject(r.From, fixPairFrom))...,
	)}
}

// Parse parses r with the zero [Parser]: see [Parser.Parse].
func (r Request) Parse() (Call, error) { return Parser{}.Parse(r) }

// Validate returns the error that Parse would return.
func (r Request) Validate() error {
	_, err := r.Parse()
	return err
}

// SourceDomainHeader is the name of the header that [Request.MoveSourceDomain] writes.
const SourceDomainHeader = "X-Source-Domain"

// MoveSourceDomain moves the domain of a SIP From into an X-Source-Domain header at the end of a
// SIP To, and leaves the user alone in From. This is Twilio's workaround for error 21212: a SIP
// domain made in Twilio's console serves inbound routing and registration, and cannot appear as
// the domain of an outbound call. MoveSourceDomain drops the password, the port, the parameters
// and the headers of From, because the request has no place for them. It returns r unchanged if
// From does not start with sip: or sips:.
//
// It fails with an [*Error] and the zero Request in these cases: From is malformed, its user is
// not a phone number or a user name, [ParseTo] does not accept To as a SIP URI, To has an
// X-Source-Domain header already, or its headers would become too long.
//
// See "Can I Customize the SIP From Domain for Outbound API Calls?" among Twilio's support
// articles.
func (r Request) MoveSourceDomain() (Request, error) {
	if sipScheme(r.From) == 0 {
		return r, nil
	}
	refuse := func(reason string) (Request, error) {
		found := one(newProblem(RuleSourceDomain, 0, len(r.From),
			"the domain cannot be moved to To: "+reason))
		return Request{}, &Error{complete(found, paramFrom, newSubject(r.From, nil))}
	}
	from, err := ParseSIPURI(r.From)
	if err != nil {
		return refuse("this SIP URI is malformed; correct it first")
	}
	if user, err := ParseFrom(from.User); err != nil || user.Kind() == KindClient {
		return refuse("its user must be a phone number or a user name; write sip:user@domain")
	}
	if sipScheme(r.To) == 0 {
		return refuse("only a SIP URI carries headers; use one in To")
	}
	to, err := ParseTo(r.To)
	if err != nil {
		return Request{}, err
	}
	uri, _ := to.SIPURI()
	for _, h := range uri.Headers {
		if equalFold(h.Name, SourceDomainHeader) {
			return refuse("To has an " + SourceDomainHeader + " header already; remove it")
		}
	}
	separator := "?"
	if len(uri.Headers) > 0 {
		separator = "&"
	}
	moved := r.To + separator + string(appendField(nil, Field{SourceDomainHeader, from.Host}))
	if _, err := ParseTo(moved); err != nil {
		return refuse("the headers of To would be too long; shorten them")
	}
	return Request{from.User, moved}, nil
}

// String returns both parameters redacted.
func (r Request) String() string { return "From " + redact(r.From) + " To " + redact(r.To) }

// GoString returns String, so that %#v shows no personal data.
func (r Request) GoString() string { return r.String() }

// LogValue returns both parameters redacted, as a group of From and To.
func (r Request) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String(paramFrom, redact(r.From)),
		slog.String(paramTo, redact(r.To)),
	)
}

// From returns the checked caller.
func (c Call) From() From { return c.from }

// To returns the checked destination.
func (c Call) To() To { return c.to }

// IsValid reports whether c is not the zero Call.
func (c Call) IsValid() bool { return c != Call{} }

// String returns both parameters redacted.
func (c Call) String() string { return Request{c.from.text, c.to.text}.String() }

// GoString returns String, so that %#v shows no personal data.
func (c Call) GoString() string { return c.String() }

// LogValue returns both parameters redacted, as a group of From and To.
func (c Call) LogValue() slog.Value { return Request{c.from.text, c.to.text}.LogValue() }

// Kind returns KindPhone, KindClient or KindUser, and KindInvalid for the zero From.
func (f From) Kind() Kind {
	switch {
	case f.text == "":
		return KindInvalid
	case f.text[0] == '+':
		return KindPhone
	case hasPrefixFold(f.text, clientScheme):
		return KindClient
	}
	return KindUser
}

// User returns the user part of the From header in Twilio's INVITE: the number, the name of the
// client or the user name. It is personal data.
func (f From) User() string {
	if f.Kind() == KindClient {
		return f.text[len(clientScheme):]
	}
	return f.text
}

// IsValid reports whether f is not the zero From.
func (f From) IsValid() bool { return f.text != "" }

// String returns the text exactly as it was given, for the wire: personal data. It returns "" for
// the zero From.
func (f From) String() string { return f.text }

// Redacted returns String with its personal data masked, each byte by one *. The last two digits of
// a phone number stay.
func (f From) Redacted() string { return redact(f.text) }

// AppendText appends String to b. The error is always nil.
func (f From) AppendText(b []byte) ([]byte, error) { return append(b, f.text...), nil }

// MarshalText returns String. The error is always nil.
func (f From) MarshalText() ([]byte, error) { return []byte(f.text), nil }

// UnmarshalText parses text with [ParseFrom] and sets f to the result. An empty text sets f to
// the zero From. On an error, f is unchanged.
func (f *From) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*f = From{}
		return nil
	}
	from, err := ParseFrom(string(text))
	if err == nil {
		*f = from
	}
	return err
}

// GoString returns Redacted, so that %#v shows no personal data.
func (f From) GoString() string { return f.Redacted() }

// LogValue returns Redacted.
func (f From) LogValue() slog.Value { return slog.StringValue(f.Redacted()) }

// Kind returns KindPhone, KindClient or KindSIP, and KindInvalid for the zero To.
func (t To) Kind() Kind {
	switch {
	case t.text == "":
		return KindInvalid
	case t.text[0] == '+':
		return KindPhone
	case hasPrefixFold(t.text, clientScheme):
		return KindClient
	}
	return KindSIP
}

// SIPURI returns the decoded parts of a SIP URI, and false if t is not one. The parts are personal
// data. It allocates as [ParseSIPURI] does.
func (t To) SIPURI() (SIPURI, bool) {
	if t.Kind() != KindSIP {
		return SIPURI{}, false
	}
	u, err := ParseSIPURI(t.text)
	return u, err == nil
}

// Client returns the name and the decoded custom parameters of a client identity, and false if t is
// not one. They are personal data. It allocates parameters and decoded text.
func (t To) Client() (name string, params []Field, ok bool) {
	if t.Kind() != KindClient {
		return "", nil, false
	}
	name, query, _ := strings.Cut(t.text[len(clientScheme):], "?")
	if query == "" {
		return name, nil, true
	}
	params = makeFields(query, "&")
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		params = append(params, Field{name, value})
	}
	d := newDecoder(query)
	return name, d.decodeFields(params), true
}

// IsValid reports whether t is not the zero To.
func (t To) IsValid() bool { return t.text != "" }

// String returns the text exactly as it was given, for the wire: personal data. It returns "" for
// the zero To.
func (t To) String() string { return t.text }

// Redacted returns String with its personal data masked, each byte by one *. The last two digits of
// a phone number stay, as does the host of a SIP URI.
func (t To) Redacted() string { return redact(t.text) }

// AppendText appends String to b. The error is always nil.
func (t To) AppendText(b []byte) ([]byte, error) { return append(b, t.text...), nil }

// MarshalText returns String. The error is always nil.
func (t To) MarshalText() ([]byte, error) { return []byte(t.text), nil }

// UnmarshalText parses text with [ParseTo] and sets t to the result. An empty text sets t to the
// zero To. It may refuse what a [Parser] accepted at the level Shape. On an error, t is
// unchanged.
func (t *To) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*t = To{}
		return nil
	}
	to, err := ParseTo(string(text))
	if err == nil {
		*t = to
	}
	return err
}

// GoString returns Redacted, so that %#v shows no personal data.
func (t To) GoString() string { return t.Redacted() }

// LogValue returns Redacted.
func (t To) LogValue() slog.Value { return slog.StringValue(t.Redacted()) }

// To writes u as [SIPURI.String] does and parses the text with [ParseTo]. If it succeeds, the
// result has exactly the parts of u, whatever bytes they hold. An error is an [*Error] about the
// text.
func (u SIPURI) To() (To, error) { return ParseTo(u.String()) }

const (
	maxName   = 256 // bytes of a client name, by Twilio's documentation; of a user name, assumed
	minDigits = 2   // of a phone number: a calling code and one digit
	maxDigits = 15  // of a phone number: E.164, section 6.1
)

// one returns the problems of a check that finds at most one.
func one(p *Problem) []*Problem {
	if p == nil {
		return nil
	}
	return []*Problem{p}
}

// checkFrom checks s as a From, whatever To is.
func checkFrom(s string) *Problem {
	const notUserName = "the caller address is not a user name"
	at := strings.IndexByte(clip(s), '@')
	scheme := sipScheme(s)
	switch {
	case s == "":
		return newProblem(RuleFromRequired, 0, 0,
			"the value is empty; use a phone number, a client identity or a user name")
	case at >= 0:
		return newProblem(RuleFromUser, at, len(s)-at, notUserName)
	case scheme > 0:
		return newProblem(RuleFromUser, 0, scheme, notUserName)
	case s[0] == '+':
		return checkShape(s)
	case hasPrefixFold(s, clientScheme):
		return checkCallerClient(s)
	}
	return checkUser(s)
}

// checkCaller checks s, an accepted From, beside a To that is a phone number.
func (p Parser) checkCaller(s string) *Problem {
	if s[0] != '+' {
		return newProblem(RuleFromPhone, 0, len(s),
			"To is a phone number but From is not; use one here too")
	}
	return p.checkNumber(s)
}

// checkTo checks s as a To.
func (p Parser) checkTo(s string) []*Problem {
	switch {
	case s == "":
		return one(newProblem(RuleToRequired, 0, 0,
			"the value is empty; use a phone number, a client identity or a SIP URI"))
	case sipScheme(s) > 0:
		sc := scanner{text: s, dial: true}
		sc.scan()
		return sc.found
	case isPhone(s):
		problem := checkShape(s)
		if problem == nil {
			problem = p.checkNumber(s)
		}
		return one(problem)
	case hasPrefixFold(s, clientScheme):
		return one(checkClient(s))
	case schemeLen(s) > 0:
		return one(refuseScheme(s))
	case hasAt(s):
		return one(newProblem(RuleSchemeMissing, 0, 0,
			"this does not start with sip:, sips: or client:; put one of them in front"))
	}
	return one(refuseWithoutPlus(s))
}

// hasAt reports whether s has an @.
func hasAt(s string) bool { return strings.IndexByte(clip(s), '@') >= 0 }

// isPhone reports whether s, a To, is meant as a phone number.
func isPhone(s string) bool { return strings.HasPrefix(s, "+") && !hasAt(s) }

// refuseScheme refuses the scheme that s starts with. The message names only well-known schemes:
// any other may be personal data.
func refuseScheme(s string) *Problem {
	n := schemeLen(s)
	message := "the scheme before the : is not accepted"
	switch strings.ToLower(s[:min(n, len("whatsapp:"))]) {
	case "tel:":
		message = "the scheme tel: is not accepted"
	case "app:":
		message = "the scheme app: is only for participants of a conference"
	case "whatsapp:":
		message = "the scheme whatsapp: is only for <Dial> in TwiML"
	case "sim:":
		message = "the scheme sim: is not accepted"
	}
	return newProblem(RuleSchemeUnknown, 0, n,
		message+"; start with + or client:, in To with sip: or sips:, or in From write a user name")
}

// refuseWithoutPlus refuses s, a To that is not a URI and does not start with +. Twilio would
// read its letters as keypad digits and dial them.
func refuseWithoutPlus(s string) *Problem {
	if len(s) > 1 && s[0] == ' ' && classes[s[1]]&digit != 0 {
		return newProblem(RulePhonePlus, 0, 1,
			"a space stands where the + of a phone number belongs; in a form, write + as %2B")
	}
	return newProblem(RulePhonePlus, 0, 0,
		"a number must start with + and its calling code, and a name with client: or sip:")
}

// checkUser checks s as a bare user name.
//
//	user-name = 1*256( ALPHA / DIGIT / "+" / "-" / "_" / "." )
func checkUser(s string) *Problem {
	text := clip(s)
	end := skip(text, 0, userName)
	switch {
	case end < len(text) && schemeLen(s) > 0:
		return refuseScheme(s)
	case end < len(text):
		return newProblem(RuleUserChar, end, skipOther(text, end, userName)-end,
			"the user name contains "+describe(s[end])+"; use only A-Z a-z 0-9 + - _ .")
	case len(s) > maxName:
		return newProblem(RuleUserLength, maxName, len(s)-maxName,
			"the user name is longer than 256 bytes; shorten it")
	}
	return nil
}

// checkClient checks s, a To that starts with "client:".
//
//	identity = "client:" 1*256name-char [ "?" param *( "&" param ) ]    ; parameters in To only
//	param    = 1*( name-char / "?" / escaped ) "=" *( name-char / "?" / escaped )
//
// A name-char is any printable ASCII character but the space and < > # % " { } | \ ^ [ ] ` ? &.
// The first "=" of a parameter ends its name. Twilio does not say which characters parameters may
// have; these are what RFC 3986 allows in a query.
func checkClient(s string) *Problem {
	end, problem := checkClientName(s)
	if problem != nil || end == len(s) {
		return problem
	}
	return checkClientParams(s, end+1)
}

// checkCallerClient checks s, a From that starts with "client:".
func checkCallerClient(s string) *Problem {
	end, problem := checkClientName(s)
	if problem != nil || end == len(s) {
		return problem
	}
	return newProblem(RuleClientParams, end, len(s)-end,
		"a client in From cannot have parameters; leave them out")
}

// checkClientName checks the name of a client. It returns the offset of the "?" after it, or
// len(s).
func checkClientName(s string) (end int, problem *Problem) {
	start := len(clientScheme)
	end = len(s)
	if q := strings.IndexByte(clip(s), '?'); q >= 0 {
		end = q
	}
	name := s[:min(end, start+maxName)]
	bad := skip(name, start, clientName)
	switch {
	case end == start:
		problem = newProblem(RuleClientLength, start, 0,
			"the client name is empty; write 1 to 256 bytes after client:")
	case end-start > maxName:
		problem = newProblem(RuleClientLength, start+maxName, end-start-maxName,
			"the client name is longer than 256 bytes; shorten it")
	case bad < end:
		problem = newProblem(RuleClientChar, bad, skipOther(name, bad, clientName)-bad,
			"the client name contains "+describe(s[bad])+"; "+
				"use printable ASCII without spaces and < > # % \" { } | \\ ^ [ ] ` ? &")
		if s[bad] >= 0x80 {
			problem.basis = Assumed
		}
	}
	return end, problem
}

// checkClientParams checks the parameters of a client, which start at i.
func checkClientParams(s string, i int) *Problem {
	for {
		end, _ := component(s, i, clientParam, octet)
		equals := strings.IndexByte(s[i:end], '=')
		switch {
		case end < len(s) && s[end] == '%':
			return newProblem(RuleClientParams, end, 1, plainPercent("a client parameter"))
		case end < len(s) && s[end] != '&':
			return newProblem(RuleClientParams, end, 1,
				"a client parameter contains "+describe(s[end])+escapeAdvice(s[end]))
		case equals < 0:
			return newProblem(RuleClientParams, end, 0,
				"the = of a client parameter is missing; write name=value, or leave out the ? or &")
		case equals == 0:
			return newProblem(RuleClientParams, i, 0,
				"the name of a client parameter is missing; write name=value")
		case end == len(s):
			return nil
		}
		i = end + 1
	}
}

// checkShape checks the shape of s, which starts with +.
//
//	number = "+" %x31-39 1*14DIGIT    ; ITU-T E.164, section 6
func checkShape(s string) *Problem {
	text := clip(s)
	end := skip(text, 1, digit)
	switch digits := end - 1; {
	case len(s) > 1 && s[1] == '0':
		return newProblem(RulePhoneZero, 1, 1, "a calling code does not start with 0; "+
			"write the number in international form")
	case end < len(text):
		return newProblem(RulePhoneChar, end, skipOther(text, end, digit)-end,
			"the phone number contains "+describe(s[end])+
				"; write only the digits after the +, without an extension")
	case digits < minDigits:
		return newProblem(RulePhoneLength, 1, len(s)-1,
			"the phone number has fewer than 2 digits; write 2 to 15")
	case digits > maxDigits:
		return newProblem(RulePhoneLength, 1, len(s)-1,
			"the phone number has more than 15 digits; write 2 to 15")
	}
	return nil
}

// checkNumber checks s, which has the shape of a phone number, as one to call.
//
// Which lengths are possible depends on the calling code alone, unless a 0 follows the code: in
// most numbering plans that is a trunk prefix, in some it is part of the number. Such a number
// needs a metadata lookup. phonenumbers.Parse drops a trunk 0 silently, so its result is written
// out again and compared. No other trunk prefix is looked for. Parse takes some 6 µs, the
// remembered lengths 5 ns.
func (p Parser) checkNumber(s string) *Problem {
	if word := withheldWord(s); word != "" {
		return newProblem(RulePhoneWithheld, 0, len(s),
			"this number stands for a withheld caller ID ("+word+"); use a real phone number")
	}
	if p.Numbers < Possible {
		return nil
	}
	code, lengths := callingCodeLen(s[1:])
	national := len(s) - 1 - code
	switch {
	case code == 0:
		return newProblem(RulePhoneCountry, 1, min(3, len(s)-1),
			"the calling code is not assigned; write the calling code of the country after the +")
	case national > 0 && s[1+code] == '0':
		if problem := checkLeadingZero(s, code); problem != nil {
			return problem
		}
	case lengths&(1<<national) == 0:
		return refuseLength(s)
	}
	if p.Numbers >= Assigned && !isAssigned(s) {
		return newProblem(RulePhoneAssigned, 0, len(s),
			"the metadata does not list this number as assigned; check its digits")
	}
	return nil
}

// checkLeadingZero checks s, a number with a 0 after its calling code, which has the given length.
func checkLeadingZero(s string, code int) *Problem {
	n, e164 := parseNumber(s)
	switch {
	case n == nil || phonenumbers.IsPossibleNumberWithReason(n) != phonenumbers.IS_POSSIBLE:
		return refuseLength(s)
	case e164 != s:
		return newProblem(RulePhoneTrunk, 1+code, 1,
			"the 0 after the calling code is only dialed inside the country; leave it out")
	}
	return nil
}

func refuseLength(s string) *Problem {
	return newProblem(RulePhoneLength, 1, len(s)-1, "with its calling code, the number has "+
		strconv.Itoa(len(s)-1)+" digits, which is not a valid length; check them").assumed()
}

// parseNumber looks s up in the metadata. It returns the number and how the metadata writes it,
// which may differ from s, or nil if s is not a number.
func parseNumber(s string) (n *phonenumbers.PhoneNumber, e164 string) {
	n, err := phonenumbers.Parse(s, "")
	if err != nil {
		return nil, ""
	}
	return n, phonenumbers.Format(n, phonenumbers.E164)
}

// isAssigned reports whether s itself is in an assigned range, as Twilio's test numbers
// +15005550001 to +15005550009 are.
func isAssigned(s string) bool {
	n, e164 := parseNumber(s)
	return n != nil && e164 == s && phonenumbers.IsValidNumber(n)
}

// withheldWord returns the word that the digits of s spell on a keypad, if Twilio uses s in place
// of a withheld caller ID, or "".
func withheldWord(s string) string {
	switch s {
	case "+266696687":
		return "ANONYMOUS"
	case "+7378742833":
		return "RESTRICTED"
	case "+2562533":
		return "BLOCKED"
	case "+8656696":
		return "UNKNOWN"
	case "+86282452253":
		return "UNAVAILABLE"
	}
	return ""
}

// nationalLengths remembers the possible lengths of each calling code: bit n is set if n digits
// may follow the code, and filled marks an entry that was looked up. A code that is not
// assigned has no other bit. It needs no lock, because every lookup of a code stores the same
// word.
var nationalLengths [1000]atomic.Uint32

const filled = 1 << 31

// callingCodeLen returns the length of the calling code that digits starts with, and its
// nationalLengths. It returns 0 if none is assigned. No assigned code starts with another (E.164,
// section 6.2.1).
func callingCodeLen(digits string) (length int, lengths uint32) {
	code := 0
	for i := range min(3, len(digits)) {
		code = code*10 + int(digits[i]-'0')
		lengths = nationalLengths[code].Load()
		if lengths == 0 {
			lengths = filled | lookUpLengths(code)
			nationalLengths[code].Store(lengths)
		}
		if lengths != filled {
			return i + 1, lengths
		}
	}
	return 0, 0
}

// lookUpLengths looks up how many digits may follow code: bit n is set for n digits. It returns 0
// if code is not assigned.
func lookUpLengths(code int) uint32 {
	var lengths uint32
	country, national := int32(code), uint64(1)
	for n := 1; n < maxDigits; n++ {
		number := &phonenumbers.PhoneNumber{CountryCode: &country, NationalNumber: &national}
		if phonenumbers.IsPossibleNumberWithReason(number) == phonenumbers.IS_POSSIBLE {
			lengths |= 1 << n
		}
		national *= 10
	}
	return lengths
}

// fixTo returns the fix for a To that p refused.
func (p Parser) fixTo(s string) (string, bool) {
	candidate := suggestSIP(s)
	if candidate == "" {
		candidate = suggestNumber(s)
	}
	if p.checkTo(candidate) != nil {
		return "", false
	}
	return candidate, true
}

// fixFrom returns the fix for a refused From, whatever To is: the user of an address, or a number.
func fixFrom(s string) (string, bool) {
	candidate := ""
	scheme, at := sipScheme(s), strings.IndexByte(s, '@')
	switch {
	case at < 0:
		candidate = suggestNumber(s)
	case !strings.Contains(s[scheme:at], ":"):
		candidate = s[scheme:at]
	}
	if checkFrom(candidate) != nil {
		return "", false
	}
	return candidate, true
}

// suggestNumber returns the one candidate for a refused phone number: without tel:, with the +
// that a form turned into a space, without separators, or without a trunk 0. It does not guess
// the country, or whether a (0) is dialed. It returns "" or s if there is none.
func suggestNumber(s string) string {
	if hasPrefixFold(s, "tel:") {
		s = s[len("tel:"):]
	}
	if strings.HasPrefix(s, " ") && skip(s, 1, digit) == len(s) {
		return "+" + s[1:]
	}
	if !strings.HasPrefix(s, "+") || strings.Contains(s, "(0)") {
		return ""
	}
	number := strings.NewReplacer(" ", "", "(", "", ")", "", "-", "", ".", "", "/", "").Replace(s)
	if number != s || skip(s, 1, digit) < len(s) {
		return number
	}
	if code, _ := callingCodeLen(s[1:]); strings.HasPrefix(s[1+code:], "0") {
		_, number = parseNumber(s)
	}
	return number
}
