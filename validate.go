// Package callparams checks the From and To of an outbound call before a service asks Twilio ("the
// vendor") to place it, and builds the SIP URIs that such calls dial.
//
//	err := callparams.Request{From: from, To: to}.Validate()
//
// A From is a phone number in E.164 form, a client identity ("client:alice") or a bare user name. It is
// never a SIP address: the vendor puts its own host behind the user name, and answers anything else with
// error 21212. A To is a phone number, a client identity or a SIP URI, which may carry headers. The
// parameters are those of POST /2010-04-01/Accounts/{Sid}/Calls.json (Create Call).
//
// An error is an [*Error]: every problem at once, each with the rule, the vendor's code, the bytes it is
// about and, where there is exactly one candidate, the fix.
//
// No error shows a user, a number or a header's value, in any form; nor does %#v of a type of this package, or a
// log/slog attribute. In the clear are String of From, To and SIPURI, which is for the wire, and what is
// marshalled. Packages fmt and slog ask no method of a value inside an unexported field, slog of none inside a
// slice or a struct: such a type has to redact itself.
//
// SIP URIs are read by the grammar of RFC 3261, sections 19.1.1 and 25.1, with the IP literals of
// RFC 5954, which are those of RFC 3986 without a zone. Notable divergences:
//   - A port of 0 or above 65535 is refused; the ABNF has no limit. Leading zeros are fine.
//   - A URI parameter that appears twice is refused, as section 19.1.1 says in prose. Names are compared
//     unescaped and without regard to case.
//   - Every URI parameter is read as other-param: the bare % and the backquote that token would let into
//     the values of transport, user and method are refused.
//
// What passes here can still be refused by the vendor: only it knows who owns From (21210), which
// countries an account may call (21215), what a trial account may do (21219) and who can be reached (21214).
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

// The kinds.
const (
	KindInvalid Kind = iota // the zero From or To
	KindPhone               // +14155550100
	KindClient              // client:alice
	KindSIP                 // sip:alice@example.com, in To only
	KindUser                // alice, in From only
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

// A NumberCheck says how much a phone number is checked. What a level accepts, every lower level accepts.
//
// The default is 0, in the middle: Assigned ages, because numbering plans grow faster than programs are
// rebuilt. Metadata 18 months old refuses 4.9 % of the numbers then valid as not assigned, 0.11 % as not
// possible; and 22 % of the numbers reserved for fiction and tests are not assigned by any metadata.
type NumberCheck int8

// The levels.
const (
	Shape    NumberCheck = -1 // E.164: +, a digit from 1 to 9, 2 to 15 digits in all
	Possible NumberCheck = 0  // also an assigned calling code and a number of digits that it has, without a trunk 0
	Assigned NumberCheck = 1  // also in a range that the metadata lists as assigned
)

// String returns "shape", "possible" or "assigned". Levels below Shape act as it does, those above
// Assigned as that does.
func (n NumberCheck) String() string {
	switch {
	case n < Possible:
		return "shape"
	case n > Possible:
		return "assigned"
	}
	return "possible"
}

// A From is a checked caller: a phone number, a client identity or a bare user name. It holds the text it
// was parsed from and nothing else; it is immutable, and two are equal (==) if their texts are.
// The zero From is not valid.
//
// The vendor appends its own host to the user in the From header of its INVITE, such as
// sip.us1.twilio.com; no From and no SIP domain made in its console changes that. [IsTwilioHost] knows
// those hosts, [Request.MoveSourceDomain] the way to carry a domain all the same.
type From struct{ text string }

// A To is a checked destination: a phone number, a client identity or a SIP URI. It holds the text it was
// parsed from and nothing else; it is immutable, and two are equal (==) if their texts are.
// The zero To is not valid.
type To struct{ text string }

// A Request holds the two parameters as they were given. They are personal data: String, GoString and
// LogValue redact them, JSON does not.
type Request struct{ From, To string }

// A Call is a checked pair. The zero Call is not valid. String, GoString and LogValue redact it. It has no JSON
// form: marshal its From and To.
type Call struct {
	from From
	to   To
}

// A Parser parses with options. The zero Parser is what the package's functions use. It may be copied and
// used by several goroutines at once.
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

// ParseFrom parses s as a From: a phone number in E.164 form, "client:" and a client identity, or a bare
// user name of A-Z a-z 0-9 + - _ . that is 1 to 256 bytes long. Nothing is trimmed. What starts with + is a
// phone number and nothing else; its shape alone is checked at every level, because what a From must be
// depends on To: see [Parser.Parse].
//
// An error is an [*Error] with one problem. What is accepted allocates nothing.
func (p Parser) ParseFrom(s string) (From, error) {
	var found problems
	checkFrom(s, &found)
	if found != nil {
		return From{}, &Error{found.in(paramFrom, newGiven(s, p, inFrom))}
	}
	return From{s}, nil
}

// ParseTo parses s as a To: a phone number in E.164 form that p.Numbers accepts; "client:", a client
// identity and, if any, "?" and parameters; or a SIP URI that the vendor dials. Nothing is trimmed.
//
// An error is an [*Error] with at most 16 problems. What is accepted allocates nothing, but where the metadata is
// asked about the number itself: for a 0 after the calling code, as in Italy, at Assigned, and once in the life of
// the process for each calling code.
func (p Parser) ParseTo(s string) (To, error) {
	var found problems
	p.checkTo(s, &found)
	if found != nil {
		return To{}, &Error{found.in(paramTo, newGiven(s, p, inTo))}
	}
	return To{s}, nil
}

// Parse parses both parameters and what each demands of the other: if To is a phone number, From must be
// one too, another one, and one that p.Numbers accepts.
//
// An error is an [*Error] with To's problems, then From's, since the vendor stops at the first in this order.
// What is accepted allocates only where ParseTo would, for From as for To.
func (p Parser) Parse(r Request) (Call, error) {
	var from, to problems
	p.checkTo(r.To, &to)
	checkFrom(r.From, &from)
	place := inFrom
	if isPhone(r.To) {
		place = inFromToPhone
		if from == nil {
			p.checkCaller(r.From, &from)
		}
		if from == nil && to == nil && r.From == r.To {
			to.add(RuleSameParty, 0, len(r.To), "To is the same phone number as From, want another")
		}
	}
	if from == nil && to == nil {
		return Call{From{r.From}, To{r.To}}, nil
	}
	givenTo, givenFrom := newGiven(r.To, p, inTo), newGiven(r.From, p, place)
	givenTo.beside, givenFrom.beside = givenFrom.value, givenTo.value
	list := to.in(paramTo, givenTo)
	return Call{}, &Error{append(list, from.in(paramFrom, givenFrom)...)}
}

// Parse parses r with the zero [Parser]: see [Parser.Parse].
func (r Request) Parse() (Call, error) { return Parser{}.Parse(r) }

// Validate is Parse without its result.
func (r Request) Validate() error {
	_, err := r.Parse()
	return err
}

// SourceDomainHeader is the name of the header that [Request.MoveSourceDomain] writes.
const SourceDomainHeader = "X-Source-Domain"

// MoveSourceDomain returns r with the user of a SIP From as its From, and the domain in an X-Source-Domain
// header at the end of its SIP To: the vendor's workaround for error 21212, since a SIP domain made in its
// console serves inbound routing and registration and cannot brand outbound calls. All that To has stays.
// A From that is no SIP URI leaves r unchanged. Of a SIP From, a password, port, parameters and headers are
// dropped: the request has no place for them.
//
// It fails, with a zero Request and an [*Error], if To is no SIP URI that [ParseTo] accepts, if To has an
// X-Source-Domain already, if no room is left in it, and if From has no domain or no user that can stand alone.
//
// See "Can I Customize the SIP From Domain for Outbound API Calls?" among the vendor's support articles.
func (r Request) MoveSourceDomain() (Request, error) {
	if sipScheme(r.From) == 0 {
		return r, nil
	}
	refuse := func(message string) (Request, error) {
		found := problems{{Rule: RuleSourceDomain, Len: len(r.From), Message: message}}
		return Request{}, &Error{found.in(paramFrom, newGiven(r.From, Parser{}, nowhere))}
	}
	from, err := ParseSIPURI(r.From)
	if err != nil {
		return refuse("the domain cannot be moved to To: From is a malformed SIP URI")
	}
	if user, err := ParseFrom(from.User); err != nil || user.Kind() == KindClient {
		return refuse("the domain cannot be moved to To: what is left of From, its user, is no number and no user name")
	}
	if sipScheme(r.To) == 0 {
		return refuse("the domain cannot be moved to To: only a SIP URI carries headers, and To is none")
	}
	to, err := ParseTo(r.To)
	if err != nil {
		return Request{}, err
	}
	uri, _ := to.SIPURI()
	for _, h := range uri.Headers {
		if strings.EqualFold(h.Name, SourceDomainHeader) {
			return refuse("the domain cannot be moved to To: it has an " + SourceDomainHeader + " header already")
		}
	}
	separator := "?"
	if len(uri.Headers) > 0 {
		separator = "&"
	}
	moved := r.To + separator + string(appendField(nil, Field{SourceDomainHeader, from.Host}))
	if _, err := ParseTo(moved); err != nil {
		return refuse("the domain cannot be moved to To: its headers would be too long")
	}
	return Request{from.User, moved}, nil
}

// String returns both parameters redacted.
func (r Request) String() string { return "From " + redact(r.From) + " To " + redact(r.To) }

// GoString returns what String does, so that %#v leaks nothing.
func (r Request) GoString() string { return r.String() }

// LogValue returns both parameters redacted, as a group of From and To.
func (r Request) LogValue() slog.Value {
	return slog.GroupValue(slog.String(paramFrom, redact(r.From)), slog.String(paramTo, redact(r.To)))
}

// From returns the checked caller.
func (c Call) From() From { return c.from }

// To returns the checked destination.
func (c Call) To() To { return c.to }

// IsValid reports whether c was parsed: whether it is not the zero Call.
func (c Call) IsValid() bool { return c != Call{} }

// String returns both parameters redacted.
func (c Call) String() string { return Request{c.from.text, c.to.text}.String() }

// GoString returns what String does, so that %#v leaks nothing.
func (c Call) GoString() string { return c.String() }

// LogValue returns both parameters redacted, as a group of From and To.
func (c Call) LogValue() slog.Value { return Request{c.from.text, c.to.text}.LogValue() }

// Kind returns what f is: KindPhone, KindClient or KindUser; KindInvalid for the zero From.
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

// User returns the user part that the From header of the vendor's INVITE will carry: the number, the
// client's name or the user name. It is personal data.
func (f From) User() string {
	if f.Kind() == KindClient {
		return f.text[len(clientScheme):]
	}
	return f.text
}

// IsValid reports whether f was parsed: whether it is not the zero From.
func (f From) IsValid() bool { return f.text != "" }

// String returns the text exactly as it was given, for the wire: personal data. It is "" for the zero From.
func (f From) String() string { return f.text }

// Redacted returns String masked byte for byte.
func (f From) Redacted() string { return redact(f.text) }

// AppendText appends String to b. The error is always nil.
func (f From) AppendText(b []byte) ([]byte, error) { return append(b, f.text...), nil }

// MarshalText returns String. The error is always nil.
func (f From) MarshalText() ([]byte, error) { return []byte(f.text), nil }

// UnmarshalText sets f to what [ParseFrom] makes of text; an empty text makes the zero From.
// On an error f is unchanged.
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

// GoString returns Redacted, so that %#v leaks nothing.
func (f From) GoString() string { return f.Redacted() }

// LogValue returns Redacted.
func (f From) LogValue() slog.Value { return slog.StringValue(f.Redacted()) }

// Kind returns what t is: KindPhone, KindClient or KindSIP; KindInvalid for the zero To.
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

// SIPURI returns the parts of a SIP URI, decoded, and false if t is no SIP URI. It allocates them.
func (t To) SIPURI() (SIPURI, bool) {
	u, err := ParseSIPURI(t.text)
	return u, err == nil
}

// Client returns the name and the decoded custom parameters of a client identity, and false if t is none.
// It allocates the parameters.
func (t To) Client() (name string, params []Field, ok bool) {
	if t.Kind() != KindClient {
		return "", nil, false
	}
	name, query, _ := strings.Cut(t.text[len(clientScheme):], "?")
	return name, splitFields(query, "&"), true
}

// IsValid reports whether t was parsed: whether it is not the zero To.
func (t To) IsValid() bool { return t.text != "" }

// String returns the text exactly as it was given, for the wire: personal data. It is "" for the zero To.
func (t To) String() string { return t.text }

// Redacted returns String masked byte for byte.
func (t To) Redacted() string { return redact(t.text) }

// AppendText appends String to b. The error is always nil.
func (t To) AppendText(b []byte) ([]byte, error) { return append(b, t.text...), nil }

// MarshalText returns String. The error is always nil.
func (t To) MarshalText() ([]byte, error) { return []byte(t.text), nil }

// UnmarshalText sets t to what [ParseTo] makes of text; an empty text makes the zero To. What a [Parser] accepted
// at Shape may be refused. On an error t is unchanged.
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

// GoString returns Redacted, so that %#v leaks nothing.
func (t To) GoString() string { return t.Redacted() }

// LogValue returns Redacted.
func (t To) LogValue() slog.Value { return slog.StringValue(t.Redacted()) }

const (
	clientScheme = "client:"

	maxName    = 256  // bytes of a client name or a bare user name
	maxURI     = 254  // bytes of a SIP URI before the ?
	maxHeaders = 1023 // bytes of a SIP URI after the ?
	minDigits  = 2    // of a phone number
	maxDigits  = 15   // of a phone number: E.164, section 6.1
	maxRead    = maxURI + 1 + maxHeaders
)

// checkFrom finds what is wrong with s as a From, whatever To is.
func checkFrom(s string, found *problems) {
	switch at, scheme := strings.IndexByte(clip(s), '@'), sipScheme(s); {
	case s == "":
		found.add(RuleFromRequired, 0, 0, "From is empty, want a phone number, a client identity or a user name")
	case at >= 0:
		found.add(RuleFromUser, at, len(s)-at, notUserName)
	case scheme > 0:
		found.add(RuleFromUser, 0, scheme, notUserName)
	case s[0] == '+':
		checkShape(s, found)
	case hasPrefixFold(s, clientScheme):
		checkClient(s, false, found)
	default:
		checkUser(s, found)
	}
}

const notUserName = "the caller address is not a user name"

// checkCaller finds what is wrong with s, a From without problems, where To is a phone number.
func (p Parser) checkCaller(s string, found *problems) {
	if s[0] != '+' {
		found.add(RuleFromPhone, 0, len(s), "From must be a phone number because To is one")
		return
	}
	checkNumber(s, p.Numbers, found)
}

// checkTo finds what is wrong with s as a To.
func (p Parser) checkTo(s string, found *problems) {
	switch {
	case s == "":
		found.add(RuleToRequired, 0, 0, "To is empty, want a phone number, a client identity or a SIP URI")
	case sipScheme(s) > 0:
		scanSIP(s, true, found)
	case isPhone(s):
		if checkShape(s, found); *found == nil {
			checkNumber(s, p.Numbers, found)
		}
	case hasPrefixFold(s, clientScheme):
		checkClient(s, true, found)
	case schemeLen(s) > 0:
		addUnknownScheme(s, found)
	case hasAt(s):
		found.add(RuleSchemeMissing, 0, 0, "found an address that does not start with sip: or sips:, want one of them in front")
	default:
		addNoPlus(s, found)
	}
}

// clip returns as much of s as is worth reading where the answer depends on every byte: as much as the
// longest text that can be accepted, a client's parameters aside: they have no limit. What is longer is refused
// for its length, if not for what it starts with, so that a refusal takes no longer than the longest acceptance;
// an @ further on is not looked for.
func clip(s string) string { return s[:min(len(s), maxRead)] }

// hasAt reports whether s has an @.
func hasAt(s string) bool { return strings.IndexByte(clip(s), '@') >= 0 }

// isPhone reports whether s, a To, is meant as a phone number.
func isPhone(s string) bool { return strings.HasPrefix(s, "+") && !hasAt(s) }

// schemeLen returns the length of the scheme that s starts with, with its colon, or 0.
//
//	scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )    ; RFC 3986, section 3.1
func schemeLen(s string) int {
	s = clip(s)
	i := 0
	for i < len(s) && classes[s[i]]&uriScheme != 0 {
		i++
	}
	if i == len(s) || s[i] != ':' || classes[s[0]]&alpha == 0 {
		return 0
	}
	return i + 1
}

// addUnknownScheme refuses the scheme that s starts with. It names the scheme only if it is a well-known one.
func addUnknownScheme(s string, found *problems) {
	n := schemeLen(s)
	message := "an unknown scheme"
	switch strings.ToLower(s[:min(n, len("whatsapp:"))]) {
	case "tel:":
		message = "the scheme tel:"
	case "app:":
		message = "the scheme app: (it belongs to conference participants)"
	case "whatsapp:":
		message = "the scheme whatsapp: (it belongs to <Dial>)"
	case "sim:":
		message = "the scheme sim:"
	}
	found.add(RuleSchemeUnknown, 0, n, "found "+message+", want a number that starts with +, client: or, in To, sip: or sips:")
}

// addNoPlus refuses s, a To that is neither a URI nor starts with +. The vendor would read its letters as
// keypad digits and dial them.
func addNoPlus(s string, found *problems) {
	if len(s) > 1 && s[0] == ' ' && isDigit(s[1]) {
		found.add(RulePhonePlus, 0, 1, "found a space where the + of a phone number belongs: escape + as %2B in a form")
		return
	}
	found.add(RulePhonePlus, 0, 0, "a phone number needs + and its calling code in front; a name needs client: or sip:")
}

// checkUser finds what is wrong with s as a bare user name.
//
//	user-name = 1*256( ALPHA / DIGIT / "+" / "-" / "_" / "." )
func checkUser(s string, found *problems) {
	end := run(clip(s), 0, userName)
	switch {
	case end < len(clip(s)) && schemeLen(s) > 0:
		addUnknownScheme(s, found)
	case end < len(clip(s)):
		found.add(RuleUserChar, end, runNot(clip(s), end, userName)-end,
			"found "+describe(s[end])+", want a user name of A-Z a-z 0-9 + - _ .")
	case len(s) > maxName:
		found.add(RuleUserLength, maxName, len(s)-maxName, "found more than 256 bytes, want a shorter user name")
	}
}

// checkClient finds what is wrong with s, which starts with "client:".
//
//	identity = "client:" 1*256name-char [ "?" param *( "&" param ) ]    ; parameters in To only
//	param    = 1*( name-char / "?" / escaped ) "=" *( name-char / "?" / escaped )    ; split at the first "="
//
// A name-char is any visible ASCII character but < > # % " { } | \ ^ [ ] ` ? &. That parameters are made
// of the same characters and escapes is this package's reading: what a query may hold by RFC 3986.
func checkClient(s string, to bool, found *problems) {
	start := len(clientScheme)
	end := len(s)
	if q := strings.IndexByte(clip(s), '?'); q >= 0 {
		end = q
	}
	name := s[:min(end, start+maxName)]
	bad := run(name, start, clientName)
	switch {
	case end == start:
		found.add(RuleClientLength, start, 0, "the client name is empty, want 1 to 256 bytes after client:")
	case end-start > maxName:
		found.add(RuleClientLength, start+maxName, end-start-maxName,
			"found more than 256 bytes, want a shorter client name")
	case bad < end && s[bad] >= 0x80:
		found.addBasis(Assumed, RuleClientChar, bad, runNot(name, bad, clientName)-bad,
			"found a byte that is not ASCII, want a client name of visible ASCII characters")
	case bad < end:
		found.add(RuleClientChar, bad, runNot(name, bad, clientName)-bad,
			"found "+describe(s[bad])+", want a client name without spaces and < > # % \" { } | \\ ^ [ ] ` ? &")
	case end < len(s) && !to:
		found.add(RuleClientParams, end, len(s)-end, "found parameters, want the client name alone: parameters belong to To")
	case end < len(s):
		checkClientParams(s, end+1, found)
	}
}

// checkClientParams finds what is wrong with the parameters of a client identity, which start at i.
func checkClientParams(s string, i int, found *problems) {
	for {
		end, _ := component(s, i, clientParam, octet)
		equals := strings.IndexByte(s[i:end], '=')
		switch {
		case end < len(s) && s[end] == '%':
			found.add(RuleClientParams, end, 1, "found a % without two hex digits, want %25 for a % in a parameter")
		case end < len(s) && s[end] != '&':
			found.add(RuleClientParams, end, 1, "found "+describe(s[end])+" in a parameter, want it escaped as % and two hex digits")
		case equals < 0:
			found.add(RuleClientParams, end, 0, "a parameter has no =, want name=value")
		case equals == 0:
			found.add(RuleClientParams, i, 0, "a parameter has no name, want name=value")
		case end == len(s):
			return
		}
		if *found != nil {
			return
		}
		i = end + 1
	}
}

// checkShape finds what is wrong with the shape of s, which starts with +.
//
//	number = "+" %x31-39 1*14DIGIT    ; ITU-T E.164, section 6
func checkShape(s string, found *problems) {
	digits := countDigits(clip(s)[1:])
	end := 1 + digits
	switch {
	case len(s) > 1 && s[1] == '0':
		found.add(RulePhoneZero, 1, 1, "found 0 after the +, want a calling code: a national number needs its own instead of the 0")
	case end < len(clip(s)):
		bad := end
		for bad < len(clip(s)) && !isDigit(s[bad]) {
			bad++
		}
		found.add(RulePhoneChar, end, bad-end, "found "+describe(s[end])+" in a phone number, want digits alone after the +")
	case digits < minDigits:
		found.add(RulePhoneLength, 1, len(s)-1, "found fewer than 2 digits, want a phone number of 2 to 15")
	case digits > maxDigits:
		found.add(RulePhoneLength, 1, len(s)-1, "found more than 15 digits, want a phone number of 2 to 15")
	}
}

// checkNumber finds what is wrong with s, which has the shape of a phone number, as one to dial.
//
// Whether a length is possible depends on the calling code alone, unless the digits after the code start with
// 0: that is a trunk prefix in most plans and part of the number in some. There, the metadata is asked about
// the number itself; phonenumbers.Parse drops a trunk 0 silently, so the number is written out again and
// compared. No other trunk prefix is looked for. Parse costs some 6 µs, a look-up of the lengths 5 ns.
func checkNumber(s string, level NumberCheck, found *problems) {
	if name := withheld(s); name != "" {
		found.add(RulePhoneWithheld, 0, len(s), "the number stands for a withheld caller ID ("+name+"), want one that can be called")
		return
	}
	if level < Possible {
		return
	}
	code, lengths := callingCode(s[1:])
	national := len(s) - 1 - code
	switch {
	case code == 0:
		found.add(RulePhoneCountry, 1, min(3, len(s)-1), "the calling code is not assigned, want a number with its calling code after the +")
	case national > 0 && s[1+code] == '0':
		checkLeadingZero(s, code, found)
	case lengths&(1<<national) == 0:
		addImpossible(s, found)
	}
	if *found == nil && level >= Assigned && !isAssigned(s) {
		found.add(RulePhoneAssigned, 0, len(s), "the number is in no assigned range of its calling code")
	}
}

// checkLeadingZero finds what is wrong with s, a number with a 0 after its calling code of the given length.
func checkLeadingZero(s string, code int, found *problems) {
	written, possible := rewrite(s)
	switch {
	case !possible:
		addImpossible(s, found)
	case written != s:
		found.add(RulePhoneTrunk, 1+code, 1, "found the trunk 0 of a national number after the calling code, want the number without it")
	}
}

func addImpossible(s string, found *problems) {
	found.addBasis(Assumed, RulePhoneLength, 1, len(s)-1,
		"found "+strconv.Itoa(len(s)-1)+" digits, which no number of this calling code has")
}

// rewrite returns s as the metadata would write it, and whether it is possible.
func rewrite(s string) (written string, possible bool) {
	n, err := phonenumbers.Parse(s, "")
	if err != nil {
		return "", false
	}
	return phonenumbers.Format(n, phonenumbers.E164), phonenumbers.IsPossibleNumberWithReason(n) == phonenumbers.IS_POSSIBLE
}

// isAssigned reports whether s is in an assigned range, as the vendor's test numbers +15005550001 to
// +15005550009 are. Parse rewrites some numbers: one that it changes is not the one that was given.
func isAssigned(s string) bool {
	n, err := phonenumbers.Parse(s, "")
	return err == nil && phonenumbers.IsValidNumber(n) && phonenumbers.Format(n, phonenumbers.E164) == s
}

// withheld returns the word that the vendor spells on a keypad where a caller ID is withheld, or "".
func withheld(s string) string {
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

// nationalLengths remembers what the metadata says of each calling code: bit n that n digits may follow it,
// and the bit asked that it was asked. A code that is not assigned has no other bit. Whoever asks stores the
// same word, so that no lock is needed.
var nationalLengths [1000]atomic.Uint32

const asked = 1 << 31

// callingCode returns the length of the calling code that digits starts with, and its nationalLengths; 0 if
// none is assigned. No assigned code starts with another (E.164, section 6.2.1).
func callingCode(digits string) (length int, lengths uint32) {
	code := 0
	for i := range min(3, len(digits)) {
		code = code*10 + int(digits[i]-'0')
		lengths := nationalLengths[code].Load()
		if lengths == 0 {
			lengths = asked | possibleLengths(code)
			nationalLengths[code].Store(lengths)
		}
		if lengths != asked {
			return i + 1, lengths
		}
	}
	return 0, 0
}

// possibleLengths asks the metadata how many digits may follow code: bit n for n digits; 0 if code is not assigned.
func possibleLengths(code int) uint32 {
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

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// countDigits returns how many digits s starts with.
func countDigits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

// A place is where a value was given: what a fix for it must pass.
type place uint8

const (
	nowhere place = iota // no fix
	inURI                // ParseSIPURI
	inTo
	inFrom
	inFromToPhone // From, beside a phone number as To
)

// fix returns the candidate for a replacement of g's value, if its place accepts it.
func (g *given) fix() (string, bool) {
	value := *g.value
	if len(value) > 2*maxRead {
		return "", false
	}
	var candidate string
	var found problems
	switch g.place {
	case nowhere:
		return "", false
	case inURI:
		candidate = suggestSIP(value)
		scanSIP(candidate, false, &found)
	case inTo:
		if candidate = suggestSIP(value); candidate == "" {
			candidate = suggestNumber(value)
		}
		g.parser.checkTo(candidate, &found)
	default:
		candidate = suggestFrom(value)
		if checkFrom(candidate, &found); found == nil && g.place == inFromToPhone {
			g.parser.checkCaller(candidate, &found)
		}
	}
	if found != nil || candidate == value || g.beside != nil && candidate == *g.beside {
		return "", false
	}
	return candidate, true
}

// suggestFrom returns the candidate for a refused From: the user of an address, or a number. "" is none.
func suggestFrom(s string) string {
	scheme, at := sipScheme(s), strings.IndexByte(s, '@')
	if at < 0 {
		return suggestNumber(s)
	}
	if strings.Contains(s[scheme:at], ":") {
		return ""
	}
	return s[scheme:at]
}

// suggestNumber returns the candidate for a refused phone number: without tel:, with the + that a form
// turned into a space, without separators, or without a trunk 0. It never guesses a country, nor whether a (0)
// is dialled. "" is none.
func suggestNumber(s string) string {
	if hasPrefixFold(s, "tel:") {
		s = s[len("tel:"):]
	}
	if rest, ok := strings.CutPrefix(s, " "); ok && countDigits(rest) == len(rest) {
		return "+" + rest
	}
	if !strings.HasPrefix(s, "+") || strings.Contains(s, "(0)") {
		return ""
	}
	digits := strings.NewReplacer(" ", "", "(", "", ")", "", "-", "", ".", "", "/", "").Replace(s)
	if digits != s || countDigits(s[1:]) != len(s)-1 {
		return digits
	}
	if code, _ := callingCode(s[1:]); strings.HasPrefix(s[1+code:], "0") {
		digits, _ = rewrite(s)
	}
	return digits
}
