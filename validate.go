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
// An error may name a header, a calling code and how many digits a number has. No error shows a
// user, a number or the value of a header, in any form. Neither does a value of this package that
// is printed with %#v or logged with log/slog. String of From, To and SIPURI shows everything,
// because it is the text for the wire; String of Request, Call and Field does not. In the clear
// are also exported fields, the JSON of every type but Error and Problem, and what a method
// returns whose comment says "personal data". The packages fmt and slog do not call methods on
// values in unexported fields, and slog does not call them inside slices and structs: a type that
// holds such values must redact itself.
//
// SIP URIs follow the grammar of RFC 3261, sections 19.1.1 and 25.1, with the IP addresses of
// RFC 5954, which are those of RFC 3986 and have no zone. Notable divergences:
//   - A port of 0 or above 65535 is refused; the ABNF has no limit. Leading zeros are accepted.
//   - A URI parameter that appears twice is refused, as the prose of section 19.1.1 says. Names are
//     decoded before they are compared, and case does not matter.
//   - A URI of more than 65535 bytes is refused, as no SIP message over UDP can hold it.
//   - Every URI parameter is read as other-param. The bare % and the backquote, which token would
//     allow in the values of transport, user and method, are refused.
//
// Twilio can still refuse what passes here. Only Twilio knows who owns From (21210), which
// countries an account may call (21215), what a trial account may do (21219) and who can be
// reached (21214).
package callparams

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers/v2"
	"github.com/nyaruka/phonenumbers/v2/metadata"
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

	// KindEmergency is an emergency number, such as 911. Only a To can be one, and only if
	// [Parser.Emergency] is set.
	KindEmergency
)

// String returns "phone", "client", "sip", "user" or "emergency", and "invalid" for any other Kind.
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
	case KindEmergency:
		return "emergency"
	}
	return "invalid"
}

// MarshalText returns String, but "" instead of "invalid". The error is always nil.
func (k Kind) MarshalText() ([]byte, error) { return marshalWord(k) }

// UnmarshalText sets k to the Kind that MarshalText writes as text: a word in lower case, or "" for
// KindInvalid. Any other text is an error, and leaves k unchanged.
func (k *Kind) UnmarshalText(text []byte) error {
	if unmarshalWord(text, k,
		KindInvalid, KindPhone, KindClient, KindSIP, KindUser, KindEmergency) {
		return nil
	}
	return errors.New("callparams: the kind must be phone, client, sip, user or emergency")
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
	// and in a From beside a phone number, it also refuses the numbers of withheld callers. In To
	// it also refuses emergency numbers, unless the parser allows them.
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

// MarshalText returns String. The error is always nil.
func (n NumberCheck) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText sets n to the level that text names in lower case, as String does. Any other text,
// also an empty one, is an error, and leaves n unchanged. It lets [flag.TextVar] read a level.
func (n *NumberCheck) UnmarshalText(text []byte) error {
	if unmarshalWord(text, n, Shape, Possible, Assigned) {
		return nil
	}
	return errors.New("callparams: the level must be shape, possible or assigned")
}

// A Destinations says which phone numbers may be called: a list of prefixes, of which the longest
// that fits a number decides. It is for programs that dial numbers which others choose. The zero
// Destinations allows every number. No list comes with the package. Copying is cheap, and a
// Destinations is safe for concurrent use. Two cannot be compared with ==.
//
// It complements Twilio's geographic permissions, and it stops no fraud inside a prefix that it
// allows. It looks at phone numbers alone: not at emergency numbers, clients and SIP URIs.
type Destinations struct {
	_    [0]func()   // not comparable
	tree *prefixTree // nil in the zero Destinations
}

// A prefixTree holds prefixes by their digits. Node 0 is the root, which stands for the +.
type prefixTree struct {
	text  string
	nodes []prefixNode
}

// A prefixNode stands for a prefix.
type prefixNode struct {
	next    [10]int32 // the nodes of the prefixes with one digit more; 0 if there is none
	verdict verdict   // of the list for the prefix
}

type verdict int8

const (
	unlisted verdict = iota
	allowed
	denied
)

// ParseDestinations parses prefixes with white space between them. A prefix is a + and at most 15
// digits of a phone number, with a ! in front to deny it: "+1 !+1900 !+1876 +44 !+4470". A + alone
// is every number. A number that no prefix fits is denied.
//
// An empty text is an error, because a list that was left empty must not allow every number. So is
// a prefix that stands twice, and one that no number starts with. The errors quote the prefix. Do
// not use the result beside an error: it is the zero Destinations, which allows every number.
func ParseDestinations(s string) (Destinations, error) {
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return Destinations{}, errors.New(
			"callparams: the list of destinations is empty; write prefixes, or + for every number")
	}
	tree := &prefixTree{strings.Join(fields, " "), make([]prefixNode, 1)}
	for _, field := range fields {
		prefix, isDenied := strings.CutPrefix(field, "!")
		digits, hasPlus := strings.CutPrefix(prefix, "+")
		switch {
		case !hasPlus || !isDigits(digits) || len(digits) > maxDigits ||
			strings.HasPrefix(digits, "0"):
			return Destinations{}, fmt.Errorf("callparams: the destination %q is not the start of "+
				"a phone number; write + and digits, with ! in front to deny it", field)
		case !tree.add(digits, isDenied):
			return Destinations{}, fmt.Errorf("callparams: the destination %q stands twice", prefix)
		}
	}
	return Destinations{tree: tree}, nil
}

// add adds a prefix. It reports false if the prefix is there already.
func (t *prefixTree) add(digits string, isDenied bool) bool {
	n := int32(0)
	for i := range len(digits) {
		next := t.nodes[n].next[digits[i]-'0']
		if next == 0 {
			next = int32(len(t.nodes))
			t.nodes[n].next[digits[i]-'0'] = next
			t.nodes = append(t.nodes, prefixNode{})
		}
		n = next
	}
	if t.nodes[n].verdict != unlisted {
		return false
	}
	t.nodes[n].verdict = allowed
	if isDenied {
		t.nodes[n].verdict = denied
	}
	return true
}

// Allow reports whether t may be called. It is true for every To that is not a phone number.
func (d Destinations) Allow(t To) bool { return t.Kind() != KindPhone || d.allow(t.text) }

// allow reports whether number, which has the shape of a phone number, may be called.
func (d Destinations) allow(number string) bool {
	if d.tree == nil {
		return true
	}
	nodes := d.tree.nodes
	last := nodes[0].verdict
	for i, n := 1, int32(0); i < len(number); i++ {
		n = nodes[n].next[number[i]-'0']
		if n == 0 {
			break
		}
		if nodes[n].verdict != unlisted {
			last = nodes[n].verdict
		}
	}
	return last == allowed
}

// String returns the list as it was given, with one space between prefixes. For the zero
// Destinations it returns "+", which allows every number too.
func (d Destinations) String() string {
	if d.tree == nil {
		return "+"
	}
	return d.tree.text
}

// AppendText appends String to b. The error is always nil.
func (d Destinations) AppendText(b []byte) ([]byte, error) { return append(b, d.String()...), nil }

// MarshalText returns String. The error is always nil.
func (d Destinations) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText parses text with [ParseDestinations] and sets d to the result. On an error, d is
// unchanged.
func (d *Destinations) UnmarshalText(text []byte) error {
	parsed, err := ParseDestinations(string(text))
	if err == nil {
		*d = parsed
	}
	return err
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

// A Request holds the two parameters as they were given. Its fields are personal data. log/slog,
// and every verb of fmt but %p and %w, redact them; JSON does not.
type Request struct{ From, To string }

// A Call is a checked pair. The zero Call is not valid. log/slog, and every verb of fmt but %p and
// %w, redact it; JSON does not.
type Call struct {
	from From
	to   To
}

// A Parser parses with options. The zero Parser checks numbers as Possible; the package's functions
// use it. A Parser is safe for concurrent use.
type Parser struct {
	Numbers NumberCheck // how much a phone number is checked

	// Emergency accepts emergency numbers, alone (911) or after + and the calling code (+1911),
	// of the countries where Twilio places emergency calls: Australia, Austria, Canada, France,
	// Germany, Ireland, Italy, Malaysia, New Zealand, the Philippines, Thailand, the United
	// Kingdom and the United States; and 933, Twilio's test number. From must be a phone number
	// with the calling code of a country that has the number (+1 covers the Caribbean too).
	// Unless an address is registered for From, such a call can cost a high fee: see Twilio's
	// pages about emergency calling.
	Emergency bool

	// Destinations says which phone numbers may be called. The zero Destinations allows every one.
	Destinations Destinations

	// Tolerate lists rules that a value may break, for programs that know better: Twilio may have
	// changed a rule before a release of this package knows. Only these rules have an effect here:
	// RuleHeaderAllowed, RuleHeaderLength, RulePhoneWithheld, RuleSameParty, RuleSIPDomainEdge,
	// RuleSIPDomainUser, RuleSIPLength, RuleSIPPassword, RuleSIPPrivate, RuleSIPSecure and
	// RuleSIPTransport. Any other rule is ignored.
	//
	// All other rules hold as ever. With RuleHeaderAllowed, a header may have any name but that of
	// a URI parameter of Twilio's, such as transport, and no line end in its value. A number for a
	// withheld caller ID must have a possible length, which few of them have above the level Shape.
	// A SIP URI has at most 65535 bytes. What is tolerated is among the warnings of the result, 16
	// at most; what is wrong with a pair is among those of the Call.
	//
	// Nothing else tolerates anything, such as [SIPURI.To] or the reading of JSON and text. To
	// build what is tolerated, parse the String of the SIPURI. The slice must not change while the
	// Parser or one of its errors is in use.
	Tolerate []Rule
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
		fix := func(s string) (string, bool) {
			return fixFrom(s, func(from string) bool { return checkFrom(from) == nil })
		}
		return From{}, &Error{complete(one(problem), ParamFrom, newSubject(s, fix))}
	}
	return From{s}, nil
}

// ParseTo parses s as a To: a phone number in E.164 form that p.Numbers and p.Destinations
// accept; "client:" and a client identity, which "?" and parameters may follow; a SIP URI that
// Twilio dials; or, if p.Emergency is set, an emergency number. It does not trim s.
//
// An error is an [*Error] with at most 16 problems. An accepted To costs no allocation, unless
// the number needs a metadata lookup: at the level Assigned, if a 0 follows the calling code (as
// in Italy), and the first time that a process meets a calling code. A maddr parameter that has
// escapes allocates too, and so does a SIP URI that is too long but tolerated.
func (p Parser) ParseTo(s string) (To, error) {
	if found := p.checkTo(s); found != nil {
		return To{}, &Error{complete(found, ParamTo, newSubject(s, p.fixTo))}
	}
	return To{s}, nil
}

// Parse parses both parameters, and checks what each demands of the other: if To is a phone number,
// From must be a phone number that p.Numbers accepts, and another one, unless RuleSameParty is
// tolerated. For an emergency number, see [Parser.Emergency].
//
// An error is an [*Error]. It lists the problems of To before those of From, because Twilio
// checks the syntax of To first. An accepted pair allocates only where [Parser.ParseTo] says.
func (p Parser) Parse(r Request) (Call, error) {
	to, from := p.checkTo(r.To), p.checkFromBeside(r.From, r.To)
	if from == nil && to == nil && !RuleSameParty.isTolerated(p.Tolerate) {
		to = one(checkSameParty(r.From, r.To))
	}
	if from == nil && to == nil {
		return Call{From{r.From}, To{r.To}}, nil
	}
	return Call{}, p.refusePair(r, to, from)
}

// refusePair returns the error about the problems of the two parameters.
func (p Parser) refusePair(r Request, to []*Problem, from *Problem) error {
	fixPairTo := func(s string) (string, bool) {
		fix, ok := p.fixTo(s)
		if !ok || fix == r.From {
			return "", false
		}
		return fix, true
	}
	fixPairFrom := func(s string) (string, bool) {
		beside := r.To
		if p.checkTo(r.To) != nil {
			if fix, ok := fixPairTo(r.To); ok {
				beside = fix
			}
		}
		return fixFrom(s, func(from string) bool {
			return from != beside && p.checkFromBeside(from, beside) == nil
		})
	}
	return &Error{append(
		complete(to, ParamTo, newSubject(r.To, fixPairTo)),
		complete(one(from), ParamFrom, newSubject(r.From, fixPairFrom))...,
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
// and the headers of From, because the request has no place for them. It returns r unchanged, and
// unchecked, if From does not start with sip: or sips:. Call Parse on the result.
//
// It fails with an [*Error] and the zero Request in these cases: From is malformed or longer than
// 1278 bytes, its user is not a phone number or a user name, [ParseTo] does not accept To, To is
// not a SIP URI or has an X-Source-Domain header already, or its headers would become too long.
//
// See "Can I Customize the SIP From Domain for Outbound API Calls?" among Twilio's support
// articles.
func (r Request) MoveSourceDomain() (Request, error) {
	if sipScheme(r.From) == 0 {
		return r, nil
	}
	from, found := splitSource(r.From)
	if found != nil {
		return Request{}, refuseMove(found, ParamFrom, r.From)
	}
	if _, err := ParseTo(r.To); err != nil {
		return Request{}, err
	}
	if sipScheme(r.To) == 0 {
		return Request{}, refuseMove(one(newProblem(RuleSourceDomain, 0, len(r.To),
			"only a SIP URI carries a domain; use one here, or a From without a domain")),
			ParamTo, r.To)
	}
	query := find(r.To, 0, '?')
	for i := query; i < len(r.To); i = find(r.To, i, '&') {
		i++
		name, _, _ := strings.Cut(r.To[i:], "=")
		if isWord(name, "x-source-domain") {
			return Request{}, refuseMove(one(newProblem(RuleSourceDomain, i, len(name),
				"there is an "+SourceDomainHeader+" header already; remove it")), ParamTo, r.To)
		}
	}
	separator := "?"
	if query < len(r.To) {
		separator = "&"
	}
	moved := r.To + separator + string(appendField(nil, Field{SourceDomainHeader, from.Host}))
	if _, err := ParseTo(moved); err != nil {
		return Request{}, refuseMove(one(newProblem(RuleSourceDomain, len(r.To), 0,
			"with the domain of From, the headers are longer than 1023 bytes; shorten them")),
			ParamTo, r.To)
	}
	return Request{from.User, moved}, nil
}

// refuseMove returns the error of MoveSourceDomain about one parameter.
func refuseMove(found []*Problem, param, value string) error {
	for _, p := range found {
		if p.Basis == 0 {
			p.Basis = p.Rule.Basis()
		}
		p.Rule = RuleSourceDomain
	}
	return &Error{complete(found, param, newSubject(value, nil))}
}

// splitSource reads s, a From that starts with sip: or sips:, for MoveSourceDomain.
func splitSource(s string) (SIPURI, []*Problem) {
	if len(s) > maxURI {
		return SIPURI{}, one(newProblem(RuleSourceDomain, maxURI, len(s)-maxURI,
			"the URI is longer than 1278 bytes; shorten it").assumed())
	}
	sc := scanner{text: s, pos: sipScheme(s), most: maxText}
	sc.scan()
	for _, p := range sc.found {
		if p.Rule == RuleSIPUser && p.Len > 0 {
			p.Message = badUserName(s[p.Offset])
		}
	}
	if sc.found != nil {
		return SIPURI{}, sc.found
	}
	u, _ := ParseSIPURI(s)
	if u.User == "" {
		return SIPURI{}, one(newProblem(RuleSourceDomain, sc.user, 0,
			"the user is missing; write sip:user@domain"))
	}
	problem := checkFrom(u.User)
	switch raw := s[sc.user:sc.userEnd]; {
	case sipScheme(s[sc.user:]) > 0 || hasPrefixFold(s[sc.user:], clientScheme):
		problem = newProblem(RuleSourceDomain, sc.user, len(raw)+1,
			"two schemes stand here; leave one out").assumed()
	case strings.HasPrefix(raw, "//"):
		problem = newProblem(RuleSourceDomain, sc.user, len("//"), noSlashes)
		problem.Basis = Assumed
	case hasPrefixFold(u.User, clientScheme):
		problem = newProblem(RuleSourceDomain, sc.user, len(raw),
			"the user is a client; use a phone number or a user name")
	case problem == nil:
	case raw == u.User:
		problem.Offset += sc.user
	default: // with escapes, the offsets differ
		problem.Offset, problem.Len = sc.user, len(raw)
	}
	return u, one(problem)
}

// String returns both parameters redacted.
func (r Request) String() string { return "From " + redact(r.From) + " To " + redact(r.To) }

// Redact returns text with From and To masked wherever they stand in it: as they are, as a form or
// a URL encodes them, and with a space for a + that was not encoded. It leaves them inside a longer
// word or number. It is for the errors of others before they are logged: those of Twilio and of
// net/http quote both values.
//
// A From or To of more than 4096 bytes would take too long to look for: all of text is masked then.
func (r Request) Redact(text string) string {
	const longest = 4096
	if len(r.From) > longest || len(r.To) > longest {
		return strings.Repeat("*", len(text))
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		value, end := "", i // what takes the most of text: one value may hold the other
		for _, v := range [...]string{r.From, r.To} {
			if e := matchWhole(text, i, v); e > end {
				value, end = v, e
			}
		}
		if value == "" {
			b.WriteByte(text[i])
			i++
			continue
		}
		b.WriteString(redact(value))
		i = end
	}
	return b.String()
}

// matchWhole returns the end of value in text at i, plain or encoded, or i if it does not stand
// there or is part of a longer word or number.
func matchWhole(text string, i int, value string) int {
	if first, _ := utf8.DecodeRuneInString(value); isWordRune(first) && endsInWord(text[:i]) {
		return i
	}
	ends := [...]int{matchEncoded(text, i, value), i} // the longer one first
	if strings.HasPrefix(text[i:], value) {
		ends[1] += len(value)
	}
	last, _ := utf8.DecodeLastRuneInString(value)
	for _, end := range ends {
		if end > i && (!isWordRune(last) || !startsWithWord(text[end:])) {
			return end
		}
	}
	return i
}

// matchEncoded returns the end of value in text at i, as a form or a URL encodes it, or i.
func matchEncoded(text string, i int, value string) int {
	end := i
	for j := range len(value) {
		if end == len(text) {
			return i
		}
		c, width := decodeAt(text, end)
		isSame := c == value[j] || c == '+' && value[j] == ' ' || c == ' ' && value[j] == '+'
		if !isSame {
			return i
		}
		end += width
	}
	return end
}

// isWordRune reports whether c is part of a word or a number.
func isWordRune(c rune) bool { return c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c) }

// startsWithWord reports whether s, decoded, starts with a part of a word.
func startsWithWord(s string) bool {
	var b []byte
	for i := 0; i < len(s) && len(b) < utf8.UTFMax; {
		c, width := decodeAt(s, i)
		b = append(b, c)
		i += width
	}
	c, _ := utf8.DecodeRune(b)
	return isWordRune(c)
}

// endsInWord reports whether s, decoded, ends with a part of a word.
func endsInWord(s string) bool {
	var b []byte
	for s != "" && len(b) < utf8.UTFMax {
		end := len(s) - 1
		c := s[end]
		if i := len(s) - escapeLen; i >= 0 && isEscape(s, i) {
			end, c = i, decodeEscape(s, i)
		}
		s, b = s[:end], append(b, c)
	}
	slices.Reverse(b)
	c, _ := utf8.DecodeLastRune(b)
	return isWordRune(c)
}

// Format writes String for every verb. Package fmt does not call it for %p and %w.
func (r Request) Format(state fmt.State, verb rune) { formatText(state, verb, r.String()) }

// GoString returns String.
func (r Request) GoString() string { return r.String() }

// LogValue returns both parameters redacted, as a group of From and To.
func (r Request) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String(ParamFrom, redact(r.From)),
		slog.String(ParamTo, redact(r.To)),
	)
}

// Warnings returns the warnings of To, of From and of the pair; nil if there are none. See
// [To.Warnings]. A pair of phone numbers costs two metadata lookups.
func (c Call) Warnings() []*Problem {
	var from []*Problem // in order of offset
	switch c.to.Kind() {
	case KindPhone:
		from = one(checkWithheld(c.from.text)) // if it was tolerated
		if numberType(c.from.text) == phonenumbers.TOLL_FREE {
			from = append(from, newProblem(RuleFromTollFree, 0, len(c.from.text),
				"Twilio advises against a toll-free number as the caller; use another one"))
		}
	case KindSIP:
		if c.from.Kind() == KindClient {
			from = append(from, newProblem(RuleFromClient, 0, len(c.from.text), "nothing says "+
				"whether Twilio takes a client as the caller of a SIP URI; try it first"))
		}
	}
	from = append(from, warnClient(c.from.text)...)
	to := one(checkSameParty(c.from.text, c.to.text)) // if it was tolerated
	return slices.Concat(
		c.to.Warnings(),
		complete(to, ParamTo, newSubject(c.to.text, nil)),
		complete(from, ParamFrom, newSubject(c.from.text, nil)),
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

// Format writes String for every verb. Package fmt does not call it for %p and %w.
func (c Call) Format(state fmt.State, verb rune) { formatText(state, verb, c.String()) }

// GoString returns String.
func (c Call) GoString() string { return c.String() }

// LogValue returns both parameters redacted, as a group of From and To.
func (c Call) LogValue() slog.Value { return Request{c.from.text, c.to.text}.LogValue() }

// A callBody is the JSON of a Call.
type callBody struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// MarshalJSON returns an object with the texts of from and to in the clear: personal data. Both
// are "" for the zero Call. The error is always nil.
func (c Call) MarshalJSON() ([]byte, error) {
	return json.Marshal(callBody{c.from.text, c.to.text})
}

// UnmarshalJSON parses the from and to of a JSON object as [Request.Parse] does, and sets c to the
// result. A field that is missing is empty; if both are, it sets c to the zero Call. It may refuse
// what a [Parser] accepted at the level Shape, with Emergency or with Tolerate, and it accepts what
// a Parser with Destinations or Assigned refuses: with a Parser, read a [Request] and parse it.
//
// An error is an [*Error], or says that data is not such an object. It holds no personal data. On
// an error, c is unchanged. A JSON null does nothing, as with other types.
func (c *Call) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var body callBody
	if json.Unmarshal(data, &body) != nil { // its text can quote data
		return errors.New("callparams: a call must be a JSON object with the strings from and to")
	}
	if body == (callBody{}) {
		*c = Call{}
		return nil
	}
	call, err := Request(body).Parse()
	if err == nil {
		*c = call
	}
	return err
}

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

// Warnings returns what a person should know about f although it is accepted, in order of offset;
// nil if there is nothing. See [To.Warnings].
func (f From) Warnings() []*Problem {
	return complete(warnClient(f.text), ParamFrom, newSubject(f.text, nil))
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

// Kind returns KindPhone, KindClient, KindSIP or KindEmergency, and KindInvalid for the zero To.
func (t To) Kind() Kind {
	switch {
	case t.text == "":
		return KindInvalid
	case isEmergency(t.text):
		return KindEmergency
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
	params = makeFields("", query)
	d := decoder{size: len(query)}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		params = append(params, Field{d.decode(name), d.decode(value)})
	}
	return name, params, true
}

// Warnings returns what a person should know about t although it is accepted, at most 16 and in
// order of offset; nil if there is nothing. They are problems of rules that [Rule.Warning] reports,
// without a code, and of rules that the parser tolerated (see [Parser.Tolerate]), with the code and
// the message that it would have refused with; none has a fix.
// They are worked out when asked for; a phone number costs a metadata lookup.
func (t To) Warnings() []*Problem {
	var found []*Problem
	switch t.Kind() {
	case KindPhone:
		found = warnNumber(t.text)
	case KindClient:
		found = warnClient(t.text)
	case KindSIP:
		found = warnSIP(t.text)
	}
	return complete(found, ParamTo, newSubject(t.text, nil))
}

// warnNumber returns the warnings of s, an accepted phone number in To.
func warnNumber(s string) (found []*Problem) {
	found = one(checkWithheld(s)) // if it was tolerated
	kind := numberType(s)
	if kind == phonenumbers.UNKNOWN {
		found = append(found, newProblem(RulePhoneUnassigned, 0, len(s), "the metadata "+
			MetadataVersion()+" does not list this number as assigned; check its digits"))
	}
	n, _ := callingCodeLen(s[1:])
	if kind == phonenumbers.PREMIUM_RATE || kind == phonenumbers.SHARED_COST ||
		slices.Contains(costlyCodes, s[1:1+n]) {
		found = append(found, newProblem(RulePhoneCostly, 0, len(s),
			"a call to this number costs more than most; allow such numbers on purpose only"))
	}
	return found
}

// costlyCodes are the calling codes of shared cost, premium rate, satellite and global networks.
var costlyCodes = []string{"808", "870", "878", "881", "882", "883", "888", "979"}

// numberType returns the type of s itself by the metadata: UNKNOWN if it is not a number in an
// assigned range.
func numberType(s string) phonenumbers.PhoneNumberType {
	n, e164 := parseNumber(s)
	if n == nil || e164 != s {
		return phonenumbers.UNKNOWN
	}
	return phonenumbers.GetNumberType(n)
}

// warnClient returns the warnings of s, an accepted value, if it is a client.
func warnClient(s string) (found []*Problem) {
	if !hasPrefixFold(s, clientScheme) {
		return nil
	}
	start, end := len(clientScheme), find(s, 0, '?')
	if bad := skip(s[:end], start, mobileName); bad < end {
		n := skipOther(s[:end], bad, mobileName) - bad
		found = append(found, newProblem(RuleClientPortable, bad, n,
			"the mobile SDKs take only letters, digits and _ in a client name; use those"))
	}
	if params := len(s) - end - 1; params > maxClientParams {
		found = append(found, newProblem(RuleClientSize, end+1, params,
			"the client parameters are longer than 800 bytes, which an SDK has cut; shorten them"))
	}
	return found
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
// zero To. It may refuse what a [Parser] accepted at the level Shape, with Emergency or with
// Tolerate, and it accepts what a Parser with Destinations or Assigned refuses: with a Parser, read
// a string and parse it. On an error, t is unchanged.
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

// To writes u as [SIPURI.String] does and checks the text as [ParseTo] does. If it succeeds, the
// result has exactly the parts of u, whatever bytes they hold. An error is an [*Error] about the
// text; its messages speak of the parts of u. For a Parser with options, give the String of u to
// [Parser.ParseTo].
func (u SIPURI) To() (To, error) {
	text := u.String()
	var sc scanner
	sc.text, sc.pos, sc.most, sc.dial, sc.built = text, sipScheme(text), maxURI, true, true
	sc.scan()
	if sc.found != nil {
		return To{}, &Error{complete(sc.found, ParamTo, newSubject(text, Parser{}.fixTo))}
	}
	return To{text}, nil
}

const (
	maxName   = 256 // bytes of a client name, by Twilio's documentation; of a user name, assumed
	minDigits = 2   // of a phone number: a calling code and one digit
	maxDigits = 15  // of a phone number: E.164, section 6.1

	maxClientParams = 800 // bytes that were seen to arrive
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
	if s == "" {
		return newProblem(RuleFromRequired, 0, 0,
			"the value is empty; use a phone number, a client identity or a user name")
	}
	value, off := s, 0
	if mayBeWrapped(s) {
		value, off = unwrap(s)
	}
	if at := strings.IndexByte(clip(s), '@'); at >= 0 {
		problem := newProblem(RuleFromUser, at, len(s)-at, notUserName)
		if hasPrefixFold(value, clientScheme) {
			problem.Basis = Assumed
		}
		return problem
	}
	if scheme := sipScheme(value); scheme > 0 {
		return newProblem(RuleFromUser, off, scheme, notUserName)
	}
	switch {
	case len(value) < len(s):
		return refuseWrapped(s)
	case s[0] == '+':
		return checkShape(s)
	case hasPrefixFold(s, clientScheme):
		return checkCallerClient(s)
	}
	return checkUser(s)
}

// checkFromBeside checks from beside to, which need not be accepted.
func (p *Parser) checkFromBeside(from, to string) *Problem {
	problem := checkFrom(from)
	if mayBeWrapped(to) {
		to, _ = unwrap(to)
	}
	isCalled := isEmergency(to)
	switch {
	case !isCalled && !isPhone(to):
		return problem
	case problem == nil && from[0] == '+':
		if p.Emergency && isCalled && !isEmergencyFor(to, from) {
			return newProblem(RuleFromPhone, 0, len(from), "the country of this number does "+
				"not have the emergency number in To; use a number of one that has it").assumed()
		}
		return p.checkNumber(from)
	case isNational(from):
		return refuseWithoutPlus(from)
	case problem != nil:
		return problem
	}
	return newProblem(RuleFromPhone, 0, len(from),
		"To is a phone number but From is not; use one here too")
}

// checkSameParty checks a pair of accepted values.
func checkSameParty(from, to string) *Problem {
	if from != to || !isPhone(to) {
		return nil
	}
	return newProblem(RuleSameParty, 0, len(to),
		"this is the same phone number as From; call another number")
}

// checkTo checks s as a To.
func (p *Parser) checkTo(s string) []*Problem {
	if s == "" {
		return one(newProblem(RuleToRequired, 0, 0,
			"the value is empty; use a phone number, a client identity or a SIP URI"))
	}
	if mayBeWrapped(s) {
		if value, _ := unwrap(s); len(value) < len(s) {
			return one(refuseWrapped(s))
		}
	}
	scheme := sipScheme(s)
	switch {
	case scheme > 0:
		return p.checkSIP(s, scheme)
	case isEmergency(s):
		if p.Emergency {
			return nil
		}
		return one(newProblem(RulePhoneEmergency, 0, len(s),
			"this is an emergency number; to call it, use a Parser that has Emergency set"))
	case isPhone(s):
		problem := checkShape(s)
		if problem == nil {
			problem = p.checkNumber(s)
		}
		if problem == nil && !p.Destinations.allow(s) {
			problem = newProblem(RulePhoneDestination, 0, len(s),
				"the program's list of destinations does not allow this number; call another one")
		}
		return one(problem)
	case hasPrefixFold(s, clientScheme):
		return one(checkClient(s))
	case schemeLen(s) > 0:
		return one(refuseScheme(s, "start with +, client:, sip: or sips:"))
	case hasAt(s):
		return one(newProblem(RuleSchemeMissing, 0, 0,
			"this does not start with sip:, sips: or client:; put one in front of the address"))
	}
	return one(refuseWithoutPlus(s))
}

// checkSIP checks s, whose SIP scheme has the given length.
func (p *Parser) checkSIP(s string, scheme int) []*Problem {
	var sc scanner // set field by field, as a literal is built and copied, which takes 8 ns
	sc.text, sc.pos, sc.most, sc.dial, sc.tolerate = s, scheme, maxURI, true, p.Tolerate
	if len(s) > maxURI && (sc.tolerates(RuleSIPLength) || sc.tolerates(RuleHeaderLength)) {
		sc.most = maxText
	}
	sc.scan()
	return sc.found
}

// hasAt reports whether s has an @.
func hasAt(s string) bool { return strings.IndexByte(clip(s), '@') >= 0 }

// isPhone reports whether s, a To, is meant as a phone number.
func isPhone(s string) bool { return strings.HasPrefix(s, "+") && !hasAt(s) }

// isNational reports whether s is a phone number without its +: digits, with or without separators.
func isNational(s string) bool {
	return len(s) <= maxURI && s == strings.TrimSpace(s) &&
		skip(s, 0, digit|phoneSeparator) == len(s) && skipOther(s, 0, digit) < len(s)
}

// mayBeWrapped tells at a glance that most values have nothing around them.
func mayBeWrapped(s string) bool {
	return s != "" && (classes[s[0]]|classes[s[len(s)-1]])&wrapping != 0
}

// unwrap returns the value in s without what people leave around it, and its offset.
func unwrap(s string) (value string, off int) {
	const maxLayers = 4 // such as a line end, quotation marks, white space and <...>
	for range maxLayers {
		before, after, _ := findWrapping(s)
		s, off = s[before:len(s)-after], off+before
	}
	return s, off
}

// findWrapping returns how many bytes before and after the value in s do not belong to it, and a
// message about them. It finds one layer.
func findWrapping(s string) (before, after int, message string) {
	if before, after = findBlanks(s); before > 0 {
		return before, after, describeBlank(s) + " stands before the value; leave it out"
	} else if after > 0 {
		return 0, after, describeBlank(s[len(s)-after:]) + " stands after the value; leave it out"
	}
	const apostrophes, quotes = "'‘’‚", "\"“”„`«»"
	first, n := utf8.DecodeRuneInString(s)
	last, m := utf8.DecodeLastRuneInString(s)
	isBoth := func(chars string) bool {
		return n+m <= len(s) && strings.ContainsRune(chars, first) &&
			strings.ContainsRune(chars, last)
	}
	switch {
	case isBoth(apostrophes), isBoth(quotes):
		return n, m, "quotation marks stand around the value; leave them out"
	case isNameAddr(s):
		open := strings.LastIndexByte(s, '<')
		return open + 1, len(s) - find(s, open, '>'),
			"the address stands in <...>; write the address alone"
	case n < len(s) && strings.ContainsRune(apostrophes, first):
		return n, 0, "an apostrophe stands before the value; leave it out"
	}
	return 0, 0, ""
}

// findBlanks returns how many bytes at the start and at the end of s nobody sees. If that is all of
// s, they count as before.
func findBlanks(s string) (before, after int) {
	head, tail := clip(s), s[len(s)-len(clip(s)):]
	before = len(head) - len(strings.TrimLeftFunc(head, isBlank))
	after = len(tail) - len(strings.TrimRightFunc(tail, isBlank))
	return before, min(after, len(s)-before)
}

// isBlank reports whether nobody sees c: white space, a byte order mark and the like.
func isBlank(c rune) bool { return unicode.IsSpace(c) || unicode.Is(unicode.Cf, c) }

// describeBlank names the blank that s starts with.
func describeBlank(s string) string {
	switch c, _ := utf8.DecodeRuneInString(s); c {
	case ' ':
		return "a space"
	case '\t':
		return "a tab"
	case '\r', '\n':
		return "a line end"
	case '\u00a0':
		return "a no-break space"
	case '\ufeff':
		return "a byte order mark"
	}
	return "an invisible character"
}

// isNameAddr reports whether s is an address in <...>, with or without a name in front and the
// parameters of a header behind. If a parameter of a SIP URI stands there, the address alone would
// be another.
//
//	name-addr = [ display-name ] "<" address ">"    ; RFC 3261, section 25.1
func isNameAddr(s string) bool {
	if len(s) > 2*maxURI || sipScheme(s) > 0 || hasPrefixFold(s, clientScheme) {
		return false
	}
	open := strings.LastIndexByte(s, '<')
	if open < 0 {
		return false
	}
	name := s[:open]
	address, after, ok := strings.Cut(s[open+1:], ">")
	isPlainName := strings.HasPrefix(name, `"`) || !strings.ContainsAny(name, ":@+")
	return ok && (after == "" || after[0] == ';' && mentionsParam(after) == "") &&
		(isPlainName || schemeLen(address) > 0)
}

// refuseWrapped refuses what stands around the value in s, or instead of its +. Its span is what
// stands before the value; or, if nothing does, what stands after it.
func refuseWrapped(s string) *Problem {
	if lostPlus(s) {
		return newProblem(RulePhonePlus, 0, 1,
			"a space stands where the + of a phone number belongs; in a form, write + as %2B")
	}
	before, after, message := findWrapping(s)
	switch {
	case before+after == len(s):
		return newProblem(RuleValueWrapped, 0, len(s),
			"nothing stands here but white space or marks; write a phone number or an address")
	case before > 0:
		return newProblem(RuleValueWrapped, 0, before, message)
	}
	return newProblem(RuleValueWrapped, len(s)-after, after, message)
}

// lostPlus reports whether s is a phone number whose + a form has turned into a space.
func lostPlus(s string) bool {
	return len(s) > 1 && len(s) <= maxURI && s[0] == ' ' && isDigits(s[1:]) && !isEmergency(s[1:])
}

// refuseScheme refuses the scheme that s starts with. The message names only well-known schemes:
// any other may be personal data.
func refuseScheme(s, advice string) *Problem {
	n := schemeLen(s)
	message, basis := "the scheme before the : is not accepted", Basis(0)
	switch strings.ToLower(s[:min(n, len("whatsapp:"))]) {
	case "tel:":
		message = "the scheme tel: is not accepted"
	case "app:":
		message = "the scheme app: is only for participants of a conference"
	case "whatsapp:":
		message, basis = "the scheme whatsapp: is only for <Dial> in TwiML", Assumed
	case "sim:":
		message = "the scheme sim: is not accepted"
	}
	problem := newProblem(RuleSchemeUnknown, 0, n, message+"; "+advice)
	problem.Basis = basis
	return problem
}

// refuseWithoutPlus refuses s, which is not a URI and does not start with +, as a phone number. In
// To, Twilio would read its letters as keypad digits and dial them.
func refuseWithoutPlus(s string) *Problem {
	const longest = 64 // of what is not a name
	const spreadsheet = "a spreadsheet has changed this number; take it from a column that is text"
	message := "a phone number must start with + and its calling code, and a name with client: " +
		"or sip:"
	switch {
	case isNational(s):
		message = "the phone number does not start with +; write +, and the calling code if it " +
			"is missing"
		if number := cleanNumber(s); strings.HasSuffix(s, ".0") {
			message = spreadsheet
		} else if internationalPrefix(number) > 0 {
			message = "00 and 011 are prefixes for international calls; write a + instead"
		} else if isEmergency(s) { // in From: in To, it has a rule of its own
			message = "an emergency number cannot be the caller; use a phone number with +"
		} else if isEmergency(number) {
			message = "this is an emergency number; write its digits alone, such as 911"
		}
	case hasPrefixFold(s, "%2b"):
		message = "the + is escaped twice; pass +, which a form writes as %2B"
	case len(s) > longest:
	case strings.ContainsAny(s, "{}"):
		message = "a template was not filled in; find out where the number was lost"
	case isSpreadsheetNumber(s):
		message = spreadsheet
	default:
		switch strings.ToLower(s) {
		case "anonymous", "restricted", "blocked", "unknown", "unavailable", "private", "withheld":
			message = "the caller ID was withheld, so it cannot be called back; use a phone number"
		case "null", "nil", "none", "undefined", "nan", "n/a", "na", "-":
			message = "this stands for a value that is missing; find out where the number was lost"
		}
	}
	return newProblem(RulePhonePlus, 0, 0, message)
}

// isSpreadsheetNumber reports whether s is a number in scientific notation, such as 1.4155E+10.
//
//	1*DIGIT [ ( "." / "," ) *DIGIT ] "E" [ "+" ] 1*DIGIT
func isSpreadsheetNumber(s string) bool {
	end := skip(s, 0, digit)
	if end == 0 {
		return false
	}
	if rest := s[end:]; rest != "" && (rest[0] == '.' || rest[0] == ',') {
		end = skip(s, end+1, digit)
	}
	if !hasPrefixFold(s[end:], "e") {
		return false
	}
	exponent := strings.TrimPrefix(s[end+1:], "+")
	return exponent != "" && isDigits(exponent)
}

// badUserName is the message about c in a user name.
func badUserName(c byte) string {
	return "the user name contains " + describe(c) + "; use only A-Z a-z 0-9 + - _ ."
}

// checkUser checks s as a bare user name.
//
//	user-name = 1*256( ALPHA / DIGIT / "+" / "-" / "_" / "." )
func checkUser(s string) *Problem {
	text := clip(s)
	end := skip(text, 0, userName)
	switch {
	case end < len(text) && schemeLen(s) > 0:
		return refuseScheme(s, "use a number with +, client: and a name, or a user name")
	case end < len(text):
		n := skipOther(text, end, userName) - end
		return newProblem(RuleUserChar, end, n, badUserName(s[end]))
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
			problem.Basis = Assumed
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
		return refuseZero(s)
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

// refuseZero refuses s, which starts with +0.
func refuseZero(s string) *Problem {
	if n := internationalPrefix(s[1:]); n > 0 {
		return newProblem(RulePhoneZero, 1, n,
			"the 00 or 011 is a prefix for international calls, which the + replaces; leave it out")
	}
	return newProblem(RulePhoneZero, 1, 1, "a calling code does not start with 0; write the "+
		"number in international form")
}

// checkNumber checks s, which has the shape of a phone number, as one to call.
//
// Which lengths are possible depends on the calling code alone, unless a 0 follows the code: in
// most numbering plans that is a trunk prefix, in some it is part of the number. Such a number
// needs a metadata lookup. phonenumbers.Parse drops a trunk 0 silently, so its result is written
// out again and compared; it keeps the 0 before an emergency number. No other trunk prefix is
// looked for. Parse takes some 6 µs, the remembered lengths 5 ns.
func (p *Parser) checkNumber(s string) *Problem {
	if problem := checkWithheld(s); problem != nil && !RulePhoneWithheld.isTolerated(p.Tolerate) {
		return problem
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
		return newProblem(RulePhoneAssigned, 0, len(s), "the metadata "+MetadataVersion()+
			" does not list this number as assigned; check its digits")
	}
	return nil
}

// checkLeadingZero checks s, a number with a 0 after its calling code, which has the given length.
func checkLeadingZero(s string, code int) *Problem {
	n, e164 := parseNumber(s)
	switch {
	case n == nil || phonenumbers.IsPossibleNumberWithReason(n) != phonenumbers.IS_POSSIBLE:
		return refuseLength(s)
	case e164 != s || isEmergency(s[:1+code]+strings.TrimLeft(s[1+code:], "0")):
		return newProblem(RulePhoneTrunk, 1+code, 1,
			"the 0 after the calling code is only dialed inside the country; leave it out")
	}
	return nil
}

// refuseLength refuses s, whose number of digits is not possible. People count the calling code
// too.
func refuseLength(s string) *Problem {
	n, lengths := callingCodeLen(s[1:])
	code, digits := s[1:1+n], len(s)-1
	message := "+" + code + " numbers have " + listLengths(lengths, n) + " digits including the " +
		code + "; this has " + strconv.Itoa(digits)
	switch {
	case isOldMexican(s):
		message = "since 2019, Mexican numbers have no 1 after the 52; leave it out"
	case lengths&(1<<(localShift+digits-n)) != 0:
		message += ", which is dialed only inside its area and accepted only at the level Shape"
	}
	return newProblem(RulePhoneLength, 1, digits, message).assumed()
}

// listLengths writes the possible lengths of numbers with a calling code of n digits, such as "7, 8
// or 10 to 15".
func listLengths(lengths uint32, n int) string {
	isPossible := func(digits int) bool {
		return digits <= maxDigits && lengths&(1<<(digits-n)) != 0
	}
	var runs []string
	for first := n + 1; first <= maxDigits; first++ {
		last := first
		for isPossible(last + 1) {
			last++
		}
		switch {
		case !isPossible(first):
		case last-first < 2:
			runs = append(runs, strconv.Itoa(first))
		default:
			runs = append(runs, strconv.Itoa(first)+" to "+strconv.Itoa(last))
			first = last
		}
	}
	end := len(runs) - 1
	if end < 1 {
		return strings.Join(runs, "")
	}
	return strings.Join(runs[:end], ", ") + " or " + runs[end]
}

// MetadataVersion returns the release of libphonenumber whose metadata is linked in, such as
// "v9.0.37". Newer metadata comes with a newer version of github.com/nyaruka/phonenumbers/v2.
func MetadataVersion() string { return metadata.Version }

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
func isAssigned(s string) bool { return numberType(s) != phonenumbers.UNKNOWN }

// checkWithheld refuses s if Twilio uses it in place of a withheld caller ID.
func checkWithheld(s string) *Problem {
	word := withheldWord(s)
	if word == "" {
		return nil
	}
	return newProblem(RulePhoneWithheld, 0, len(s),
		"this number stands for a withheld caller ID ("+word+"); use a real phone number")
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

// An emergencyPlan lists the emergency numbers of the countries with one calling code.
type emergencyPlan struct {
	code    string
	numbers []string
}

// has reports whether s is one of the numbers, alone or after + and the calling code.
func (plan emergencyPlan) has(s string) bool {
	if rest, ok := strings.CutPrefix(s, "+"); ok {
		number, isHere := strings.CutPrefix(rest, plan.code)
		return isHere && slices.Contains(plan.numbers, number)
	}
	return slices.Contains(plan.numbers, s)
}

var emergencyPlans = []emergencyPlan{
	{"1", []string{"112", "911", "933"}}, // 933 is Twilio's test number
	{"33", []string{"15", "17", "18", "112"}},
	{"39", []string{"112", "113", "115", "118"}},
	{"43", []string{"112", "122", "133", "144"}},
	{"44", []string{"112", "999"}},
	{"49", []string{"110", "112"}},
	{"60", []string{"112", "999"}},
	{"61", []string{"000", "106", "112"}},
	{"63", []string{"112", "117", "911"}},
	{"64", []string{"111"}},
	{"66", []string{"191", "199", "1669"}},
	{"353", []string{"112", "999"}},
}

// isEmergency reports whether s is an emergency number of any country.
func isEmergency(s string) bool {
	const longest = len("+661669")
	return len(s) <= longest && isEmergencyFor(s, anyCaller) // most numbers are longer
}

// anyCaller stands for a phone number of any country.
const anyCaller = ""

// isEmergencyFor reports whether s is an emergency number where caller, a phone number, is from.
func isEmergencyFor(s, caller string) bool {
	return slices.ContainsFunc(emergencyPlans, func(plan emergencyPlan) bool {
		return plan.has(s) && (caller == anyCaller || strings.HasPrefix(caller, "+"+plan.code))
	})
}

// nationalLengths remembers the possible lengths of each calling code: bit n is set if n digits
// may follow the code, bit localShift+n if such a number is dialed only inside its area, and filled
// marks an entry that was looked up. A code that is not assigned has no other bit. It needs no
// lock, because every lookup of a code stores the same word.
var nationalLengths [1000]atomic.Uint32

const (
	localShift = maxDigits // n is less
	filled     = 1 << 31
)

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

// lookUpLengths looks up how many digits may follow code, for nationalLengths. It returns 0 if code
// is not assigned.
func lookUpLengths(code int) uint32 {
	var lengths uint32
	country, national := int32(code), uint64(1)
	for n := 1; n < maxDigits; n++ {
		number := &phonenumbers.PhoneNumber{CountryCode: &country, NationalNumber: &national}
		switch phonenumbers.IsPossibleNumberWithReason(number) {
		case phonenumbers.IS_POSSIBLE:
			lengths |= 1 << n
		case phonenumbers.IS_POSSIBLE_LOCAL_ONLY:
			lengths |= 1 << (localShift + n)
		}
		national *= 10
	}
	return lengths
}

// fixTo returns the fix for a To that p refused. A fix breaks no rule, even one that p tolerates.
// If p tolerates any header, nobody can tell whether a field is a parameter or a header.
func (p Parser) fixTo(s string) (string, bool) {
	isUnclear := RuleHeaderAllowed.isTolerated(p.Tolerate) && strings.ContainsAny(clip(s), "?;&")
	p.Tolerate = nil
	candidates := suggestValue(s)
	if candidate := suggestSIP(s); candidate != "" && candidates == nil && !isUnclear {
		candidates = []string{candidate}
	}
	return onlyAccepted(candidates, func(to string) bool { return p.checkTo(to) == nil })
}

// fixFrom returns the fix for a refused From: the user of an address, or a number.
func fixFrom(s string, accepts func(from string) bool) (string, bool) {
	inner, _ := unwrap(s)
	scheme, at := sipScheme(inner), strings.IndexByte(inner, '@')
	candidates := suggestValue(s)
	switch {
	case at >= 0:
		user := strings.TrimPrefix(inner[scheme:at], "//")
		if strings.Contains(user, ":") || strings.ContainsAny(inner[at+1:], "@<") {
			return "", false // a password, a client, or two addresses
		}
		candidates = []string{user}
	case scheme > 0 && strings.HasPrefix(inner[scheme:], "+"):
		candidates = []string{inner[scheme:]}
	}
	return onlyAccepted(candidates, accepts)
}

// onlyAccepted returns the one text among the candidates that is accepted.
func onlyAccepted(candidates []string, accepts func(string) bool) (string, bool) {
	fix := ""
	for _, c := range candidates {
		if c == fix || !accepts(c) { // nothing accepts ""
			continue
		}
		if fix != "" {
			return "", false
		}
		fix = c
	}
	return fix, fix != ""
}

// suggestValue returns the candidates for a refused value that is not a SIP URI: what stands inside
// something else, or numbers.
func suggestValue(s string) []string {
	inner, _ := unwrap(s)
	switch {
	case lostPlus(s):
		return []string{"+" + s[1:]}
	case inner != s && !hasPrefixFold(inner, "tel:"):
		return []string{inner}
	}
	return suggestNumbers(inner)
}

// suggestNumbers returns the candidates for a refused phone number: without tel:, decoded, with a
// + for an international prefix, without separators, without the 1 that Mexico dropped, without a
// trunk 0. It does not guess the country. Of a (0) it offers both readings; these, and what has
// lost a prefix, must be possible numbers at any level.
func suggestNumbers(s string) []string {
	if hasPrefixFold(s, "tel:") {
		s = s[len("tel:"):]
	}
	if hasPrefixFold(s, "%2b") {
		s = "+" + s[len("%2b"):]
	}
	if strings.HasSuffix(s, ".0") { // a fraction, which a spreadsheet adds
		return nil
	}
	readings := []string{cleanNumber(s)}
	code, rest, hasZero := strings.Cut(s, "(0)")
	if hasZero && strings.Trim(code, "+ ") != "" {
		readings = append(readings, cleanNumber(code+rest))
	}
	var candidates []string
	for _, number := range readings {
		digits, hasPlus := strings.CutPrefix(number, "+")
		prefix := internationalPrefix(digits)
		digits = digits[prefix:]
		if !hasPlus && prefix == 0 || !isDigits(digits) {
			return nil
		}
		isGuess := hasZero || prefix > 0
		if number = "+" + digits; isOldMexican(number) {
			number = "+52" + digits[len("521"):]
		}
		if n, _ := callingCodeLen(number[1:]); strings.HasPrefix(number[1+n:], "0") {
			_, number = parseNumber(number)
			isGuess = true
		}
		if !isGuess || (&Parser{}).checkTo(number) == nil {
			candidates = append(candidates, number)
		}
	}
	return candidates
}

// cleanNumber returns s without the separators that people write between digits.
func cleanNumber(s string) string {
	return strings.Map(func(c rune) rune {
		if c < utf8.RuneSelf && classes[c]&phoneSeparator != 0 {
			return -1
		}
		return c
	}, s)
}

// internationalPrefix returns the length of the prefix for international calls that digits starts
// with, or 0: 00 in most countries; 011 in North America. Elsewhere, numbers start with 011 too:
// what follows must be an assigned number.
func internationalPrefix(digits string) int {
	switch {
	case strings.HasPrefix(digits, "00"):
		return len("00")
	case strings.HasPrefix(digits, "011") && len(digits) <= len("011")+maxDigits &&
		(&Parser{Numbers: Assigned}).checkTo("+"+digits[len("011"):]) == nil:
		return len("011")
	}
	return 0
}

// isOldMexican reports whether number has the 1 that stood after +52 in mobile numbers until 2019.
func isOldMexican(number string) bool {
	return len(number) == len("+5215512345678") && strings.HasPrefix(number, "+521")
}
