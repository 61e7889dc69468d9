package callparams

import (
	"bytes"
	"encoding/json"
	"iter"
	"log/slog"
	"slices"
	"strconv"
	"strings"
)

// A Code is one of the vendor's error codes. It is an error, so that
// errors.Is(err, callparams.CodeInvalidFrom) tells whether err has a problem with that code.
type Code int

// The vendor's codes for what this package refuses. Each has a page: see [Code.DocsURL].
const (
	CodePrivateAddress   Code = 13254 // a SIP URI dials a private address
	CodeToRequired       Code = 21201 // To is empty
	CodeInvalidTo        Code = 21211 // To is malformed
	CodeInvalidFrom      Code = 21212 // From is not a user name, a number or a client identity
	CodeFromRequired     Code = 21213 // From is empty
	CodeHeaderLength     Code = 21227 // the headers of a SIP URI are too long
	CodeHeaderName       Code = 21228 // a header's name is not a token
	CodeHeaderValue      Code = 21229 // a header's value has a forbidden byte
	CodeHeaderSyntax     Code = 32110 // a header is not name=value
	CodeHeaderNotAllowed Code = 32113 // a header is not on the vendor's list
	CodeSIPParameter     Code = 32114 // a URI parameter has a value that the vendor does not know
	CodeSIPDomainEdge    Code = 32220 // a SIP domain is reached through the wrong region or edge
	CodeSIPDomainUser    Code = 32223 // a SIP domain is called without a user
)

// Error returns the code in words, such as "Twilio error 21212".
func (c Code) Error() string { return "Twilio error " + strconv.Itoa(int(c)) }

// DocsURL returns the address of the vendor's page about the code.
func (c Code) DocsURL() string { return "https://www.twilio.com/docs/errors/" + strconv.Itoa(int(c)) }

// A Basis says how sure it is that the vendor refuses, ignores or leaves out what a rule refuses. The zero
// Basis is no basis: that of a rule that this package does not have.
type Basis uint8

// The bases.
const (
	Documented Basis = iota + 1 // the vendor's own pages say so
	Observed                    // seen in captured requests and answers, not in the pages
	Assumed                     // this package's reading where the vendor is silent: the safe side
)

// String returns "documented", "observed" or "assumed", and "unknown" for any other Basis.
func (b Basis) String() string {
	switch b {
	case Documented:
		return "documented"
	case Observed:
		return "observed"
	case Assumed:
		return "assumed"
	}
	return "unknown"
}

// A Rule names what a value broke. Its text is stable across releases, its wording in messages is not.
// It is an error, so that errors.Is(err, callparams.RuleFromUser) tells whether err has such a problem.
type Rule string

// The rules. [Rules] lists them with their codes, basis and summary.
const (
	RuleFromRequired  Rule = "from.required"
	RuleFromUser      Rule = "from.user"
	RuleFromPhone     Rule = "from.phone"
	RuleUserChar      Rule = "user.char"
	RuleUserLength    Rule = "user.length"
	RuleToRequired    Rule = "to.required"
	RuleSchemeUnknown Rule = "scheme.unknown"
	RuleSchemeMissing Rule = "scheme.missing"
	RulePhonePlus     Rule = "phone.plus"
	RulePhoneZero     Rule = "phone.zero"
	RulePhoneChar     Rule = "phone.char"
	RulePhoneLength   Rule = "phone.length"
	RulePhoneWithheld Rule = "phone.withheld"
	RulePhoneCountry  Rule = "phone.country"
	RulePhoneTrunk    Rule = "phone.trunk"
	RulePhoneAssigned Rule = "phone.assigned"
	RuleSameParty     Rule = "same.party"
	RuleClientLength  Rule = "client.length"
	RuleClientChar    Rule = "client.char"
	RuleClientParams  Rule = "client.params"
	RuleSIPUser       Rule = "sip.user"
	RuleSIPPassword   Rule = "sip.password"
	RuleSIPHost       Rule = "sip.host"
	RuleSIPPort       Rule = "sip.port"
	RuleSIPParam      Rule = "sip.param"
	RuleSIPTransport  Rule = "sip.transport"
	RuleSIPSecure     Rule = "sip.secure"
	RuleSIPPrivate    Rule = "sip.private"
	RuleSIPDomainUser Rule = "sip.domain.user"
	RuleSIPDomainEdge Rule = "sip.domain.edge"
	RuleSIPLength     Rule = "sip.length"
	RuleHeaderLength  Rule = "header.length"
	RuleHeaderSyntax  Rule = "header.syntax"
	RuleHeaderTwiML   Rule = "header.twiml"
	RuleHeaderName    Rule = "header.name"
	RuleHeaderAllowed Rule = "header.allowed"
	RuleHeaderValue   Rule = "header.value"
	RuleSourceDomain  Rule = "source.domain"
)

// rules is the one table of rules. A code is 0 where the rule cannot be broken in that parameter.
var rules = [...]struct {
	rule     Rule
	from, to Code
	basis    Basis
	summary  string
}{
	{RuleFromRequired, CodeFromRequired, 0, Documented, "From is empty"},
	{RuleFromUser, CodeInvalidFrom, 0, Documented, "From has an @ or starts with sip: or sips:; only a user name or number may stand there"},
	{RuleFromPhone, CodeInvalidFrom, 0, Documented, "From is no phone number although To is one"},
	{RuleUserChar, CodeInvalidFrom, 0, Documented, "a bare user name has a byte other than A-Z a-z 0-9 + - _ ."},
	{RuleUserLength, CodeInvalidFrom, 0, Assumed, "a bare user name is longer than 256 bytes"},
	{RuleToRequired, 0, CodeToRequired, Documented, "To is empty"},
	{RuleSchemeUnknown, CodeInvalidFrom, CodeInvalidTo, Documented, "the scheme is none that the parameter accepts, such as tel:"},
	{RuleSchemeMissing, 0, CodeInvalidTo, Documented, "user@host has no sip: or sips: in front"},
	{RulePhonePlus, 0, CodeInvalidTo, Documented, "a phone number has no + in front"},
	{RulePhoneZero, CodeInvalidFrom, CodeInvalidTo, Documented, "a phone number has a 0 after the +, where a calling code starts"},
	{RulePhoneChar, CodeInvalidFrom, CodeInvalidTo, Documented, "a phone number has a byte that is no ASCII digit"},
	{RulePhoneLength, CodeInvalidFrom, CodeInvalidTo, Documented, "a phone number has fewer than 2 or more than 15 digits, or a number of digits that its calling code does not have (assumed)"},
	{RulePhoneWithheld, CodeInvalidFrom, CodeInvalidTo, Assumed, "the number stands for a withheld caller ID, such as +266696687, which spells ANONYMOUS"},
	{RulePhoneCountry, CodeInvalidFrom, CodeInvalidTo, Assumed, "the calling code is not assigned"},
	{RulePhoneTrunk, CodeInvalidFrom, CodeInvalidTo, Assumed, "the trunk 0 of a national number is kept after the calling code"},
	{RulePhoneAssigned, CodeInvalidFrom, CodeInvalidTo, Assumed, "the number is in no assigned range (Assigned only)"},
	{RuleSameParty, 0, CodeInvalidTo, Documented, "From and To are the same phone number"},
	{RuleClientLength, CodeInvalidFrom, CodeInvalidTo, Documented, "a client name is empty or longer than 256 bytes"},
	{RuleClientChar, CodeInvalidFrom, CodeInvalidTo, Documented, "a client name has a control character, a space, one of < > # % \" { } | \\ ^ [ ] ` ? & or a byte that is not ASCII (assumed)"},
	{RuleClientParams, CodeInvalidFrom, CodeInvalidTo, Documented, "a client's parameters are not name=value pairs joined with &, or stand in From"},
	{RuleSIPUser, 0, CodeInvalidTo, Assumed, "a SIP URI's user is empty or malformed, or has a control character or an unescaped ?"},
	{RuleSIPPassword, 0, CodeInvalidTo, Assumed, "a SIP URI has a password"},
	{RuleSIPHost, 0, CodeInvalidTo, Documented, "a SIP URI's host is missing or is neither a DNS name nor an IP address"},
	{RuleSIPPort, 0, CodeInvalidTo, Documented, "a SIP URI's port is not a number from 1 to 65535"},
	{RuleSIPParam, 0, CodeInvalidTo, Documented, "a URI parameter is malformed, appears twice or has a control character (assumed)"},
	{RuleSIPTransport, 0, CodeSIPParameter, Documented, "the transport parameter is not udp, tcp or tls"},
	{RuleSIPSecure, 0, CodeSIPParameter, Documented, "the secure parameter is not true or false"},
	{RuleSIPPrivate, 0, CodePrivateAddress, Documented, "the host is a private, loopback, link-local, multicast, unspecified, broadcast or shared IP address"},
	{RuleSIPDomainUser, 0, CodeSIPDomainUser, Documented, "a Twilio SIP domain is called without a user"},
	{RuleSIPDomainEdge, 0, CodeSIPDomainEdge, Documented, "a Twilio SIP domain is reached through a region or edge other than us1"},
	{RuleSIPLength, 0, CodeInvalidTo, Documented, "a SIP URI has more than 254 bytes before the ? (the code is assumed)"},
	{RuleHeaderLength, 0, CodeHeaderLength, Documented, "a SIP URI has more than 1023 bytes after the ?"},
	{RuleHeaderSyntax, 0, CodeHeaderSyntax, Documented, "a header is not name=value, or has a byte that must be escaped"},
	{RuleHeaderTwiML, 0, CodeHeaderSyntax, Observed, "headers are joined with &amp;, which belongs to TwiML"},
	{RuleHeaderName, 0, CodeHeaderName, Documented, "a header's name is not an RFC 3261 token"},
	{RuleHeaderAllowed, 0, CodeHeaderNotAllowed, Documented, "a header is neither X-... nor on the vendor's list, and would be left out of the call"},
	{RuleHeaderValue, 0, CodeHeaderValue, Documented, "a header's value has a control character or a byte that is not ASCII"},
	{RuleSourceDomain, CodeInvalidFrom, 0, Documented, "the domain of a SIP From cannot be moved into a header of To"},
}

// ruleIndex finds a rule's row in rules.
var ruleIndex = func() map[Rule]int {
	index := make(map[Rule]int, len(rules))
	for i, row := range rules {
		index[row.rule] = i
	}
	return index
}()

// Rules returns an iterator over every rule, in an order that is stable within a release.
func Rules() iter.Seq[Rule] {
	return func(yield func(Rule) bool) {
		for _, row := range rules {
			if !yield(row.rule) {
				return
			}
		}
	}
}

// Error returns the rule's own text, such as "from.user".
func (r Rule) Error() string { return string(r) }

// Codes returns the codes that the vendor answers with where the rule is broken: one, or first that in
// From and then that in To if they differ. It allocates the slice; a rule that this package does not
// have has none.
func (r Rule) Codes() []Code {
	i, ok := ruleIndex[r]
	if !ok {
		return nil
	}
	codes := []Code{rules[i].from, rules[i].to}
	return slices.DeleteFunc(codes, func(c Code) bool { return c == 0 })
}

// Basis says how sure the rule is; a [Problem.Basis] may be less so.
func (r Rule) Basis() Basis {
	if i, ok := ruleIndex[r]; ok {
		return rules[i].basis
	}
	return 0
}

// Summary returns one line about what the rule refuses.
func (r Rule) Summary() string {
	if i, ok := ruleIndex[r]; ok {
		return rules[i].summary
	}
	return ""
}

// An Error reports every problem that one call found, at most 16 in To and one in From: To's before From's, each
// in order of offset. It is never empty. Get it from an error with [errors.As].
//
// Neither its text, nor its JSON, nor its log form has personal data.
type Error struct {
	Problems []*Problem
}

// Error returns the problems in one line, without personal data.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("callparams: ")
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(p.Error())
	}
	return b.String()
}

// Code returns the first problem's code: that of the problem which the vendor meets first. Some codes, 32110 and
// 32113 among them, it only logs as a warning while it places the call without the part.
func (e *Error) Code() Code {
	if len(e.Problems) == 0 {
		return 0
	}
	return e.Problems[0].Code
}

// Unwrap returns the problems, for [errors.Is] and [errors.As].
func (e *Error) Unwrap() []error {
	errs := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		errs[i] = p
	}
	return errs
}

// MarshalJSON returns the vendor's error body (code, message, more_info and status 400) with every
// problem beside it, in "problems". It has no personal data.
func (e *Error) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Code     Code       `json:"code"`
		Message  string     `json:"message"`
		MoreInfo string     `json:"more_info"`
		Status   int        `json:"status"`
		Problems []*Problem `json:"problems"`
	}{e.Code(), e.Error(), e.Code().DocsURL(), 400, e.Problems})
}

// LogValue returns the code, the message and the problems, without personal data.
func (e *Error) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Int("code", int(e.Code())),
		slog.String("message", e.Error()),
		slog.Any("problems", e.Problems),
	)
}

// A Problem is one thing that is wrong with one value. Its fields, text, JSON and log form have no
// personal data; only [Problem.Value] and [Problem.Fix] do.
type Problem struct {
	Param   string // "From" or "To"; "" from ParseSIPURI
	Rule    Rule   // what is broken; stable across releases
	Code    Code   // the vendor's code for it
	Offset  int    // where it is in Value: bytes from 0
	Len     int    // how many bytes it is about; 0 if something is missing at Offset
	Message string // for people: may change, and has no personal data

	basis Basis
	given *given
}

// given is a value as it was given, and where: what a fix for it must pass. The value is behind a pointer of
// its own, because package fmt prints unexported strings, and what a pointer points to where the verb is not
// one for pointers; it does not follow a pointer to a string.
type given struct {
	value  *string
	parser Parser
	place  place
	beside *string // the other parameter, which a fix must not equal; nil if there is none
}

func newGiven(value string, p Parser, place place) *given { return &given{&value, p, place, nil} }

// Error returns the parameter, the message, the code and the offset, such as
// "From: the caller address is not a user name (21212, byte 9)".
func (p *Problem) Error() string {
	text := p.Message + " (" + strconv.Itoa(int(p.Code)) + ", byte " + strconv.Itoa(p.Offset) + ")"
	if p.Param == "" {
		return text
	}
	return p.Param + ": " + text
}

// Unwrap returns the rule and the code, for [errors.Is].
func (p *Problem) Unwrap() []error { return []error{p.Rule, p.Code} }

// Value returns the value as it was given. It is personal data: keep it out of logs.
func (p *Problem) Value() string {
	if p.given == nil {
		return ""
	}
	return *p.given.value
}

// Redacted returns Value masked byte for byte, so that Offset and Len still point right.
func (p *Problem) Redacted() string { return redact(p.Value()) }

// Fix returns a text that the same parser accepts in Value's place, if there is exactly one candidate; of a
// problem from Parse, beside the other parameter as it is.
// It is worked out when asked for, from Value, and is personal data: keep it out of logs.
func (p *Problem) Fix() (string, bool) {
	if p.given == nil {
		return "", false
	}
	return p.given.fix()
}

// Basis says how sure it is that the vendor refuses, ignores or leaves out this.
func (p *Problem) Basis() Basis { return p.basis }

// DocsURL returns the address of the vendor's page about the code.
func (p *Problem) DocsURL() string { return p.Code.DocsURL() }

// MarshalJSON returns param, rule, code, offset, length, message, basis and more_info: neither Value
// nor Fix, so no personal data.
func (p *Problem) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Param    string `json:"param"`
		Rule     Rule   `json:"rule"`
		Code     Code   `json:"code"`
		Offset   int    `json:"offset"`
		Len      int    `json:"length"`
		Message  string `json:"message"`
		Basis    string `json:"basis"`
		MoreInfo string `json:"more_info"`
	}{p.Param, p.Rule, p.Code, p.Offset, p.Len, p.Message, p.basis.String(), p.DocsURL()})
}

// LogValue returns what MarshalJSON does, as a group.
func (p *Problem) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("param", p.Param),
		slog.String("rule", string(p.Rule)),
		slog.Int("code", int(p.Code)),
		slog.Int("offset", p.Offset),
		slog.Int("length", p.Len),
		slog.String("message", p.Message),
		slog.String("basis", p.basis.String()),
		slog.String("more_info", p.DocsURL()),
	)
}

// maxProblems is how many problems of one value are reported: more help nobody, and the work of a
// refusal must not grow with what is refused.
const maxProblems = 16

// problems collects what is wrong with one value, in order of offset. It is nil, and costs nothing, while
// nothing is.
type problems []Problem

// add notes that the n bytes at off break rule.
func (ps *problems) add(rule Rule, off, n int, message string) {
	ps.addBasis(0, rule, off, n, message)
}

// addBasis is add for a problem that is less sure than its rule.
func (ps *problems) addBasis(basis Basis, rule Rule, off, n int, message string) {
	if len(*ps) == 1 {
		*ps = slices.Grow(*ps, maxProblems-1) // most refusals have one problem, or many
	}
	list := append(*ps, Problem{Rule: rule, Offset: off, Len: n, Message: message, basis: basis})
	for i := len(list) - 1; i > 0 && list[i].Offset < list[i-1].Offset; i-- {
		list[i], list[i-1] = list[i-1], list[i]
	}
	*ps = list
}

// full reports whether looking for more problems is no use.
func (ps *problems) full() bool { return len(*ps) >= maxProblems }

// in completes the problems as those of what was given: capped, and each with its parameter, code and basis.
func (ps problems) in(param string, g *given) []*Problem {
	ps = ps[:min(len(ps), maxProblems)]
	list := make([]*Problem, len(ps))
	for i := range ps {
		p := &ps[i]
		row := &rules[ruleIndex[p.Rule]]
		p.Param, p.Code, p.given = param, row.to, g
		if param == paramFrom {
			p.Code = row.from
		}
		if p.basis == 0 {
			p.basis = row.basis
		}
		list[i] = p
	}
	return list
}

// The values of Problem.Param.
const (
	paramFrom = "From"
	paramTo   = "To"
)

// describe names the byte c for a message. It names no letter or digit: they may be somebody's.
func describe(c byte) string {
	switch {
	case c == ' ':
		return "a space"
	case c < ' ' || c == 0x7f:
		return "a control character"
	case c >= 0x80:
		return "a byte that is not ASCII"
	case '0' <= c && c <= '9':
		return "a digit"
	case 'a' <= c|0x20 && c|0x20 <= 'z':
		return "a letter"
	}
	return "'" + string(rune(c)) + "'"
}

// redact masks s byte for byte with '*'. What stays shows the structure and names nobody: the scheme;
// the + and, of a number of 7 digits or more, the last two; a host that has a user in front or a dot in
// it; a port; the names of parameters and of X- headers, and the punctuation around them. It goes by
// punctuation alone, since what it masks may be malformed in any way.
func redact(s string) string {
	m := mask{s, bytes.Repeat([]byte{'*'}, len(s))}
	at := strings.IndexByte(s, '@')
	switch scheme := sipScheme(s); {
	case hasPrefixFold(s, clientScheme):
		m.client()
	case scheme > 0 || at >= 0:
		m.sip(scheme, at)
	case strings.HasPrefix(s, "+"):
		m.phone()
	}
	return string(m.out)
}

// A mask is a text and what has been uncovered of it.
type mask struct {
	text string
	out  []byte
}

func (m mask) client() {
	copy(m.out, m.text[:len(clientScheme)])
	if q := strings.IndexByte(m.text, '?'); q >= 0 {
		m.uncover(q, len(m.text), "?&=")
	}
}

func (m mask) phone() {
	m.uncover(0, len(m.text), "+ ().-/")
	digits := m.text[1:]
	if n := countDigits(digits); n == len(digits) && n >= 7 {
		copy(m.out[n-1:], digits[n-2:])
	}
}

// sip uncovers a text with a SIP scheme of the given length, which may be 0, and its first @ at at, or -1.
func (m mask) sip(scheme, at int) {
	copy(m.out, m.text[:scheme])
	if at >= 0 {
		m.out[at] = '@'
	}
	host := max(scheme, at+1)
	var end int
	if strings.HasPrefix(m.text[host:], "[") {
		end = host + strings.IndexByte(m.text[host:], ']') + 1
	} else {
		end = next(m.text, host, ":;?")
	}
	known := m.host(host, end, at >= 0)
	if strings.HasPrefix(m.text[end:], ":") {
		m.out[end] = ':'
		end++
		// 5: the digits of 65535, the highest port.
		if to := next(m.text, end, ";?"); known && to-end <= 5 && countDigits(m.text[end:to]) == to-end {
			copy(m.out[end:], m.text[end:to])
		}
	}
	m.fields(end)
}

// host uncovers the host in text[from:to], if it is one, and reports whether it did. A word without a
// dot, in a URI without a user, is as likely the user of a URI without a host.
func (m mask) host(from, to int, user bool) bool {
	name := m.text[from:to]
	_, isAddr := parseAddr(name)
	end, isName := scanHostname(name, 0)
	switch {
	case isAddr:
		copy(m.out[from:], name)
	case isName && end == len(name) && (user || strings.Contains(name, ".")):
		m.name(from, to)
	default:
		return false
	}
	return true
}

// fields uncovers the parameters and headers that start at from: what separates them, and their names.
// Of headers, only names that start with X- and have a value: another may be part of a value that was not
// escaped.
func (m mask) fields(from int) {
	m.uncover(from, len(m.text), ";?&=")
	separator := byte(';')
	for from < len(m.text) {
		c := m.text[from]
		if separator == ';' && c == '?' {
			separator = '?'
		}
		from++
		to := next(m.text, from, ";?&=")
		name, rest := m.text[from:to], m.text[to:]
		if c == separator && run(name, 0, sipHost) == len(name) &&
			(c == ';' || hasPrefixFold(name, "X-") && strings.HasPrefix(rest, "=")) {
			m.name(from, to)
		}
		if separator == '?' {
			separator = '&'
		}
		from = to
	}
}

// uncover uncovers those bytes of text[from:to] that are in chars.
func (m mask) uncover(from, to int, chars string) {
	for i := from; i < to; i++ {
		if strings.IndexByte(chars, m.text[i]) >= 0 {
			m.out[i] = m.text[i]
		}
	}
}

// name uncovers text[from:to] but for four digits in a row or more: they may be somebody's number.
func (m mask) name(from, to int) {
	for i := from; i < to; {
		n := countDigits(m.text[i:to])
		if n < 4 {
			copy(m.out[i:], m.text[i:i+n])
		}
		if i += n; i < to {
			m.out[i] = m.text[i]
			i++
		}
	}
}
