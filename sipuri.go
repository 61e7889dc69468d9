package callparams

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A SIPURI holds the parts of a SIP URI, decoded, so that callers never escape anything. Build
// one as a literal, add headers and parameters, and call [SIPURI.To]:
//
//	to, err := callparams.SIPURI{User: "alice", Host: "example.com"}.WithHeader("X-Id", "42").To()
//
// The zero SIPURI has no host, so its To method fails. The parts are personal data: GoString and
// LogValue redact them; String and JSON do not.
type SIPURI struct {
	Secure   bool    // sips:, which Twilio sends as sip: with the parameter transport=tls
	User     string  // "" if absent
	Password string  // "" if absent; a To cannot have one
	Host     string  // a DNS name or an IP address, without brackets
	Port     uint16  // 0 if absent
	Params   []Field // such as {"transport", "tls"}; a flag such as lr has an empty Value
	Headers  []Field // such as {"X-Account", "42"}; order and repeats are kept
}

// A Field is a parameter or a header, decoded. log/slog, and every verb of fmt but %p and %w,
// redact its value; JSON does not.
type Field struct{ Name, Value string }

// String returns the name and the value, with each byte of the value masked. A name with other
// bytes than letters, digits, dots and hyphens is masked too, and so are four or more digits in a
// row.
func (f Field) String() string { return maskName(f.Name) + "=" + strings.Repeat("*", len(f.Value)) }

// Format writes String for every verb. Package fmt does not call it for %p and %w.
func (f Field) Format(state fmt.State, verb rune) { formatText(state, verb, f.String()) }

// GoString returns String.
func (f Field) GoString() string { return f.String() }

// LogValue returns String.
func (f Field) LogValue() slog.Value { return slog.StringValue(f.String()) }

// formatText writes text for a type that has a redacted String. Without a Format method, verbs such
// as %d would print the fields of the type.
func formatText(state fmt.State, verb rune, text string) {
	if verb != 'q' && verb != 'x' && verb != 'X' {
		verb = 's'
	}
	_, _ = fmt.Fprintf(state, fmt.FormatString(state, verb), text)
}

// ParseSIPURI parses s by the grammar of RFC 3261, with the divergences that the package comment
// lists, and without Twilio's rules. It decodes escapes once, byte by byte; a + stays a plus. A URI
// of more than 65535 bytes, which no SIP message over UDP can hold, is refused without being read.
//
// An error is an [*Error] with at most 16 problems. A URI that is not too long to be dialed costs
// at most three allocations: one for parameters and headers, and two for decoded text.
func ParseSIPURI(s string) (SIPURI, error) {
	sc := scanner{text: s, pos: sipScheme(s), most: maxText}
	sc.scan()
	if sc.found != nil {
		return SIPURI{}, &Error{complete(sc.found, "", newSubject(s, fixSIPURI))}
	}
	u := SIPURI{
		Secure: sc.user == len("sips:"),
		Host:   s[sc.host:sc.hostEnd],
		Port:   sc.port,
	}
	if sc.params > 0 {
		u.Params = sc.fields[:sc.params:sc.params]
	}
	if sc.params < len(sc.fields) {
		u.Headers = sc.fields[sc.params:]
	}
	if sc.host > sc.user {
		u.User = sc.decoder.decode(s[sc.user:sc.userEnd])
		u.Password = sc.decoder.decode(strings.TrimPrefix(s[sc.userEnd:sc.host-1], ":"))
	}
	if u.Host[0] == '[' {
		u.Host = u.Host[1 : len(u.Host)-1]
	}
	return u, nil
}

// WithHeader returns a copy of u with a header added at the end. It does not change u, even where
// both share memory. It takes any bytes; To refuses what Twilio does not accept.
func (u SIPURI) WithHeader(name, value string) SIPURI {
	u.Headers = append(u.Headers[:len(u.Headers):len(u.Headers)], Field{name, value})
	return u
}

// WithParam returns a copy of u with a URI parameter added at the end. An empty value makes a flag,
// such as lr. WithParam does not change u, even where both share memory.
func (u SIPURI) WithParam(name, value string) SIPURI {
	u.Params = append(u.Params[:len(u.Params):len(u.Params)], Field{name, value})
	return u
}

// Header returns the value of the first header with the given name, decoded: personal data. The
// case of ASCII letters does not matter. It returns false if there is none.
func (u SIPURI) Header(name string) (value string, ok bool) { return lookUp(u.Headers, name) }

// Param returns the value of the first URI parameter with the given name, decoded: personal data.
// The case of ASCII letters does not matter. It returns false if there is none; a flag, such as
// lr, has an empty value.
func (u SIPURI) Param(name string) (value string, ok bool) { return lookUp(u.Params, name) }

func lookUp(fields []Field, name string) (value string, ok bool) {
	for _, f := range fields {
		if isSameName(f.Name, name) {
			return f.Value, true
		}
	}
	return "", false
}

// isSameName reports whether a and b are equal but for the case of ASCII letters. Both can hold any
// bytes, so strings.EqualFold would find too much.
func isSameName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// String returns u as text for the wire: personal data. It escapes every byte but letters, digits
// and - _ . ! ~ * ' ( ), and keeps the + of a user. If u is not valid, neither is the text:
// String escapes even the bytes of a host, where no escape is legal.
func (u SIPURI) String() string {
	var buf [512]byte // on the stack; most URIs fit
	b := buf[:0]
	if u.Secure {
		b = append(b, "sips:"...)
	} else {
		b = append(b, "sip:"...)
	}
	if u.User != "" || u.Password != "" {
		b = appendEscaped(b, u.User, builtUser)
		if u.Password != "" {
			b = append(b, ':')
			b = appendEscaped(b, u.Password, unreserved)
		}
		b = append(b, '@')
	}
	if strings.Contains(u.Host, ":") {
		b = append(b, '[')
		b = appendEscaped(b, u.Host, builtAddr)
		b = append(b, ']')
	} else {
		b = appendEscaped(b, u.Host, sipHost)
	}
	if u.Port != 0 {
		b = append(b, ':')
		b = strconv.AppendUint(b, uint64(u.Port), 10)
	}
	for _, f := range u.Params {
		b = append(b, ';')
		if f.Value == "" {
			b = appendEscaped(b, f.Name, unreserved)
		} else {
			b = appendField(b, f)
		}
	}
	separator := byte('?')
	for _, f := range u.Headers {
		b = append(b, separator)
		b = appendField(b, f)
		separator = '&'
	}
	return string(b)
}

// Redacted returns String with its personal data masked, each byte by one *.
func (u SIPURI) Redacted() string { return redact(u.String()) }

// GoString returns Redacted, so that %#v shows no personal data.
func (u SIPURI) GoString() string { return u.Redacted() }

// LogValue returns Redacted.
func (u SIPURI) LogValue() slog.Value { return slog.StringValue(u.Redacted()) }

func appendField(b []byte, f Field) []byte {
	b = appendEscaped(b, f.Name, unreserved)
	b = append(b, '=')
	return appendEscaped(b, f.Value, unreserved)
}

// appendEscaped appends s to b and escapes every byte that is not in raw.
func appendEscaped(b []byte, s string, raw class) []byte {
	const upperHex = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; classes[c]&raw != 0 {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

// IsTwilioHost reports whether host is one that Twilio writes into the From header of its
// INVITEs: sip.twilio.com (observed), or sip.R.twilio.com. R is gll, a region (us1, us2, ie1,
// de1, sg1, jp1, br1, au1) or an edge (ashburn, umatilla, san-jose, dublin, frankfurt, singapore,
// tokyo, sao-paulo, sydney, london); a region or an edge may end with -ix. The whole host must
// match. Case does not matter, and host may end with a dot.
//
// It reports false for your own SIP domain, which stands in the From header of a call to a user who
// is registered there: take it too. It reports false for pstn.twilio.com, which calls through an
// Elastic SIP Trunk carry.
//
// A From header can be forged: a match narrows down who calls, but it does not authenticate.
func IsTwilioHost(host string) bool {
	host = strings.TrimSuffix(host, ".")
	if equalFold(host, "sip.twilio.com") {
		return true
	}
	name, ok := cutSuffixFold(host, twilioDomain)
	if !ok || !hasPrefixFold(name, "sip.") {
		return false
	}
	return isTwilioPlace(name[len("sip."):])
}

// isTwilioPlace reports whether name is a region or an edge of Twilio.
func isTwilioPlace(name string) bool {
	place, isIX := cutSuffixFold(name, "-ix")
	for _, p := range twilioPlaces {
		if equalFold(place, p) {
			return !isIX || p != "gll"
		}
	}
	return false
}

// twilioPlaces lists the regions and edges in Twilio's host names.
var twilioPlaces = [...]string{
	"us1", "us2", "ie1", "de1", "sg1", "jp1", "br1", "au1", "gll",
	"ashburn", "umatilla", "san-jose", "dublin", "frankfurt",
	"singapore", "tokyo", "sao-paulo", "sydney", "london",
}

const (
	clientScheme = "client:"

	// The bytes that a SIP URI may have before and after its "?", by Twilio's documentation.
	maxBeforeHeaders = 254
	maxHeaders       = 1023

	// The bytes of the longest SIP URI that Twilio dials.
	maxURI = maxBeforeHeaders + len("?") + maxHeaders

	// The bytes of the longest SIP URI that is read at all.
	maxText = 1<<16 - 1
)

// A class is a set of bytes: one bit in each entry of classes. What is raw in a part may stand
// there without an escape.
type class uint32

const none class = 0 // no byte

const (
	octet          class = 1 << iota // every byte
	notControl                       // every byte but the ASCII control characters
	printable                        // ASCII from space to ~
	alpha                            // a letter
	digit                            // a digit
	hexdig                           // a hex digit
	unreserved                       // what is never escaped
	builtUser                        // what SIPURI.String leaves raw in a user
	builtAddr                        // what SIPURI.String leaves raw between brackets
	sipUser                          // raw in a user
	dialedUser                       // raw in the user of a To
	sipPassword                      // raw in a password
	hostLabel                        // in a label of a DNS name
	sipHost                          // in a DNS name
	sipParam                         // raw in the name or the value of a URI parameter
	sipHeader                        // raw in the name or the value of a header
	tokenHeader                      // raw in the name of a header that is a token
	token                            // in the name of a header field of a SIP message
	uriScheme                        // in a scheme
	userName                         // in a bare user name
	clientName                       // in a client name
	clientParam                      // raw in the parameters of a client
	mobileName                       // in a client name that every SDK takes
	phoneDigit                       // in a telephone number of a SIP URI
	phoneSeparator                   // what people write between the digits of a number
	wrapping                         // starts or ends a value with something around it
)

// classes holds the classes of each byte. RFC 3261, section 25.1 defines those of SIP URIs:
//
//	unreserved       = alphanum / mark
//	mark             = "-" / "_" / "." / "!" / "~" / "*" / "'" / "(" / ")"
//	user             = 1*( unreserved / escaped / user-unreserved )
//	user-unreserved  = "&" / "=" / "+" / "$" / "," / ";" / "?" / "/"
//	password         = *( unreserved / escaped / "&" / "=" / "+" / "$" / "," )
//	paramchar        = param-unreserved / unreserved / escaped
//	param-unreserved = "[" / "]" / "/" / ":" / "&" / "+" / "$"
//	hnv-unreserved   = "[" / "]" / "/" / "?" / ":" / "+" / "$"
//	phonedigit       = DIGIT / "-" / "." / "(" / ")"    ; RFC 3966, section 3
//	token            = 1*( alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~" )
var classes = func() (table [256]class) {
	add := func(chars string, bits class) {
		for i := range len(chars) {
			table[chars[i]] |= bits
		}
	}
	const (
		letters  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		digits   = "0123456789"
		mark     = "-_.!~*'()"
		rawInAll = unreserved | builtUser | sipUser | dialedUser | sipPassword |
			sipParam | sipHeader
	)
	add(letters, alpha)
	add(digits, digit)
	add(digits+"ABCDEFabcdef", hexdig)
	add(letters+digits, rawInAll|hostLabel|sipHost|builtAddr|token|uriScheme|userName)
	add(mark, rawInAll)
	add("&=+$,;?/", sipUser)
	add("=+$", dialedUser) // not "?;&/,": see RuleSIPUser
	add("+", builtUser)
	add("&=+$,", sipPassword)
	add("-", hostLabel)
	add("-.", sipHost)
	add(".:", builtAddr)
	add("[]/:&+$", sipParam)
	add("[]/?:+$", sipHeader)
	add("-.!%*_+`'~", token)
	add("+-.", uriScheme)
	add("+-_.", userName)
	add(letters+digits+"_", mobileName)
	add("?", clientParam)
	add(digits+"-.()", phoneDigit)
	add(" ().-/", phoneSeparator)
	add("\t\n\v\f\r \"'`<>", wrapping)
	for c := range table {
		table[c] |= octet
		if c >= ' ' && c != 0x7f {
			table[c] |= notControl
		}
		if c >= ' ' && c < 0x7f {
			table[c] |= printable
		}
		if c >= 0x80 {
			table[c] |= wrapping
		}
		if c > ' ' && c < 0x7f && strings.IndexByte("<>#%\"{}|\\^[]`?&", byte(c)) < 0 {
			table[c] |= clientName | clientParam
		}
		if table[c]&sipHeader != 0 && table[c]&token != 0 {
			table[c] |= tokenHeader
		}
	}
	return table
}()

// A scanner reads a SIP URI by the grammar of RFC 3261, section 25.1; it has a method for each
// production. After a problem it goes on at the next separator, so that it finds the problems of
// every part. It lives on the stack: with dial, what is accepted allocates nothing.
type scanner struct {
	text     string     // the URI, up to the end of what is being read
	pos      int        // the next byte to read
	most     int        // read a longer text only in part (maxURI) or not at all (maxText)
	dial     bool       // apply Twilio's rules for what it dials, beside the grammar
	tolerate []Rule     // but for these
	built    bool       // text comes from SIPURI.String: speak of its parts
	found    []*Problem // in order of offset

	// The parts, if there is no problem: their offsets, and, unless dial is set, the decoded
	// fields: params parameters, and then the headers.
	user, userEnd, host, hostEnd int
	port                         uint16
	fields                       []Field
	params                       int
	decoder                      decoder
}

// scan reads text, whose scheme ends at pos; 0 if it has none. If text is longer than maxURI and
// most is not, it skips the parts that are too long.
//
//	SIP-URI = "sip:" [ userinfo ] hostport uri-parameters [ headers ]
func (sc *scanner) scan() {
	s := sc.text
	if sc.most == maxText && len(s) > maxText {
		sc.refuseLength()
		return
	}
	if sc.pos == 0 {
		sc.refuseScheme()
		return
	}
	if sc.dial && strings.HasPrefix(s[sc.pos:], "//") {
		sc.add(RuleSchemeSlashes, sc.pos, len("//"), noSlashes)
		sc.pos += len("//")
	}
	sc.user = sc.pos
	host, query := findParts(s, sc.pos, sc.most)
	sc.host = host
	if !sc.dial {
		sc.fields, sc.decoder.size = makeFields(s[host:query], s[query:]), len(s)
	}
	readAll := len(s) <= sc.most
	if sc.dial && query > maxBeforeHeaders && !sc.tolerates(RuleSIPLength) {
		sc.add(RuleSIPLength, maxBeforeHeaders, query-maxBeforeHeaders,
			"the URI without its headers is longer than 254 bytes; shorten it")
	}
	if readAll || query <= maxBeforeHeaders {
		if host > sc.user {
			sc.text = s[:host-1]
			sc.readUserinfo()
		}
		sc.text, sc.pos = s[:query], host
		sc.readHost()
		sc.readPort()
		sc.readParams()
	}
	sc.params = len(sc.fields)
	if query == len(s) {
		return
	}
	sc.text, sc.pos = s, query+1
	over := len(s) - sc.pos - maxHeaders
	if sc.dial && over > 0 && !sc.tolerates(RuleHeaderLength) {
		sc.add(RuleHeaderLength, len(s)-over, over,
			"the headers are longer than 1023 bytes; shorten them")
	}
	if readAll || over <= 0 {
		sc.readHeaders()
	}
}

const noSlashes = "a SIP URI does not have // after the scheme; leave it out"

// refuseLength refuses a text of more than maxText bytes, which is not read at all.
func (sc *scanner) refuseLength() {
	rule := RuleSIPLength
	if _, query := findParts(sc.text, sc.pos, maxURI); sc.dial && query <= maxBeforeHeaders {
		rule = RuleHeaderLength
	}
	sc.addProblem(newProblem(rule, maxText, len(sc.text)-maxText,
		"the URI is longer than 65535 bytes; shorten it").assumed())
}

// add notes a problem of the n bytes at off.
func (sc *scanner) add(rule Rule, off, n int, message string) {
	sc.addProblem(newProblem(rule, off, n, message))
}

// addProblem inserts p into the list, in order of offset. It keeps only the first maxProblems.
func (sc *scanner) addProblem(p *Problem) {
	if len(sc.found) == 1 { // a text with two problems often has many
		sc.found = slices.Grow(sc.found, maxProblems-1)
	}
	sc.found = append(sc.found, p)
	for i := len(sc.found) - 1; i > 0 && p.Offset < sc.found[i-1].Offset; i-- {
		sc.found[i-1], sc.found[i] = p, sc.found[i-1]
	}
	sc.found = sc.found[:min(len(sc.found), maxProblems)]
}

// tolerates reports whether a break of the rule is accepted. It is not inlined, because that would
// slow down the methods that rarely call it.
//
//go:noinline
func (sc *scanner) tolerates(rule Rule) bool { return rule.isTolerated(sc.tolerate) }

// isFull reports whether there are as many problems as will be reported.
func (sc *scanner) isFull() bool { return len(sc.found) >= maxProblems }

// refuseScheme refuses a text that does not start with sip: or sips:.
func (sc *scanner) refuseScheme() {
	if n := schemeLen(sc.text); n > 0 {
		sc.add(RuleSchemeUnknown, 0, n, "the scheme is not sip: or sips:; use one of them")
		return
	}
	sc.add(RuleSchemeMissing, 0, 0, "the scheme is missing; put sip: or sips: in front")
}

// sipScheme returns the length of the "sip:" or "sips:" that s starts with, in any case, or 0.
func sipScheme(s string) int {
	if len(s) < 4 || s[0]|0x20 != 's' || s[1]|0x20 != 'i' || s[2]|0x20 != 'p' {
		return 0
	}
	switch {
	case s[3] == ':':
		return 4
	case len(s) > 4 && s[3]|0x20 == 's' && s[4] == ':':
		return 5
	}
	return 0
}

// schemeLen returns the length of the scheme that s starts with, with its colon, or 0.
//
//	scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )    ; RFC 3986, section 3.1
func schemeLen(s string) int {
	colon := strings.IndexByte(clip(s), ':')
	if colon <= 0 || classes[s[0]]&alpha == 0 || skip(s, 0, uriScheme) != colon {
		return 0
	}
	return colon + 1
}

// findParts returns the offset of the host of s, and that of the "?" before its headers or len(s)
// if there is none. An "@" can only end the userinfo, so the first "?" after it starts
// the headers; in the user before it, a "?" is a character like any other. It looks at no more
// than the first most bytes.
func findParts(s string, scheme, most int) (host, query int) {
	text := s[:min(len(s), most)]
	host = max(scheme, strings.IndexByte(text, '@')+1)
	if n := strings.IndexByte(text[host:], '?'); n >= 0 {
		return host, host + n
	}
	return host, len(s)
}

// readUserinfo reads what stands before the "@", where text ends.
//
//	userinfo = ( user / telephone-subscriber ) [ ":" password ] "@"
//
// It reads a telephone-subscriber as a user: section 19.1.6 says to escape what a user cannot have.
func (sc *scanner) readUserinfo() {
	s, start := sc.text, sc.pos
	raw, allowed := sipUser, octet
	if sc.dial {
		raw, allowed = dialedUser, notControl
	}
	end, bad := component(s, start, raw, allowed)
	if sc.dial && end < len(s) && s[end] == ';' && isTelephone(s[start:end]) {
		end, bad = readTelephoneParams(s, end)
	}
	colon := find(s, end, ':')
	switch {
	case colon == start && sc.built:
		sc.add(RuleSIPUser, start, 0, "the user is empty, but there is a password; write a user")
	case colon == start:
		sc.add(RuleSIPUser, start, 0,
			"the user before the @ is empty; write one, or leave out the @")
	case sc.dial && end < colon && classes[s[end]]&sipUser != 0:
		sc.add(RuleSIPUser, end, 1, misplaced(s[end:]))
	case end < colon:
		sc.refuseBytes(RuleSIPUser, end, colon, raw)
	case bad >= 0:
		sc.add(RuleSIPUser, bad, skipEscapes(s, bad, allowed)-bad,
			"the user contains a control character; leave it out")
	}
	sc.userEnd = colon
	switch {
	case colon == len(s):
	case sc.dial && sipScheme(s[start:]) > 0:
		sc.add(RuleSIPPassword, colon, len(s)-colon, "the scheme stands twice; leave one out")
	case sc.dial && findAny(s, colon, ";?&/,") < len(s):
		sc.add(RuleSIPPassword, colon, len(s)-colon, misplaced(s[findAny(s, colon, ";?&/,"):]))
	case sc.dial && isAddressAlike(s[start:colon], s[colon+1:]):
		sc.add(RuleSIPPassword, colon, len(s)-colon, "what stands before the @ looks like an "+
			"address of its own, but the call would go to the host after the @; leave it out")
	case sc.dial && !sc.tolerates(RuleSIPPassword):
		sc.add(RuleSIPPassword, colon, len(s)-colon, "what stands between : and @ is a "+
			"password, which would end up in logs; use SipAuthUsername and SipAuthPassword instead")
	default:
		sc.readPassword(colon + 1)
	}
}

// isAddressAlike reports whether people read a user and a password as an address: as a scheme and
// what follows it, or as a host and its port.
func isAddressAlike(user, password string) bool {
	switch strings.ToLower(user[:min(len(user), len("whatsapp!"))]) {
	case "tel", "client", "app", "whatsapp", "sim":
		return true
	}
	return strings.Contains(user, ".") && isDigits(password) && len(password) <= len("65535")
}

// readPassword reads the password from start to the end.
//
//	password = *( unreserved / escaped / "&" / "=" / "+" / "$" / "," )
func (sc *scanner) readPassword(start int) {
	s, allowed := sc.text, octet
	if sc.dial {
		allowed = notControl
	}
	end, bad := component(s, start, sipPassword, allowed)
	switch {
	case end < len(s):
		sc.refuseBytes(RuleSIPPassword, end, len(s), sipPassword)
	case bad >= 0:
		sc.add(RuleSIPPassword, bad, skipEscapes(s, bad, allowed)-bad,
			"the password contains a control character; leave it out")
	}
}

// isTelephone reports whether s is a telephone number that may have parameters: digits with
// separators, and perhaps a + in front. What looks like an IPv4 address is a host to its reader.
func isTelephone(s string) bool {
	digits := strings.TrimPrefix(s, "+")
	return skip(digits, 0, phoneDigit) == len(digits) &&
		skipOther(digits, 0, digit) < len(digits) && !holdsIPv4(digits)
}

// holdsIPv4 reports whether one of the parts of s between - ( ) looks like an IPv4 address: four
// groups of one to three digits, and perhaps a dot.
func holdsIPv4(s string) bool {
	for i := 0; i < len(s); i++ {
		end := findAny(s, i, "-()")
		part := strings.TrimSuffix(s[i:end], ".")
		groups := 0
		for group := range strings.SplitSeq(part, ".") {
			if group == "" || len(group) > 3 {
				groups = 0
				break
			}
			groups++
		}
		if groups == 4 {
			return true
		}
		i = end
	}
	return false
}

// readTelephoneParams returns the end of the parameters at i, which belong to a telephone number,
// and the offset of the first escape of a control character in them, or -1. It stops before a
// parameter that belongs after the host of the URI, and before what is none.
//
//	par    = ";" pname [ "=" pvalue ]    ; RFC 3966, section 3
//	pname  = 1*( alphanum / "-" )
//	pvalue = 1*( what a user may have )
func readTelephoneParams(s string, i int) (end, bad int) {
	bad = -1
	for i < len(s) && s[i] == ';' {
		next, badHere := component(s, i+1, dialedUser, notControl)
		name, _, _ := strings.Cut(s[i+1:next], "=")
		if name == "" || skip(name, 0, hostLabel) < len(name) ||
			hasPrefixFold(name, "x-") || twilioParam(name) != "" {
			break
		}
		if bad < 0 {
			bad = badHere
		}
		i = next
	}
	return i, bad
}

// twilioParam returns the URI parameter that name is, in lower case, if Twilio reads it, or "". The
// name may have escapes.
func twilioParam(name string) string {
	for _, param := range [...]string{"transport", "secure", "edge", "region", "tnx"} {
		if len(name) >= len(param) && isWord(name, param) {
			return param
		}
	}
	return ""
}

// mentionsParam returns the first URI parameter that Twilio reads among the words of s, or "".
func mentionsParam(s string) string {
	for i := 0; i < len(s); i++ {
		end := skip(s, i, alpha)
		if param := twilioParam(s[i:end]); param != "" {
			return param
		}
		i = end
	}
	return ""
}

// misplaced is the message about s, which stands before the @ of a SIP URI. Its first byte means
// something else after the host.
func misplaced(s string) string {
	const wrong = " before the @ belongs to the user, so the call would go to the host after the " +
		"@; write an @ in a value as %40, and "
	c, name := s[0], s[1:findAny(s, 1, "=?;&/,")]
	mark, param := s[:1], twilioParam(name)
	switch {
	case param != "":
		return "the URI parameter " + param + wrong + "put the parameter after the host"
	case hasPrefixFold(name, "x-"):
		return "the header" + wrong + "put the header after the host and a ?"
	case c == ';':
		return "the ;" + wrong + "put a parameter after the host; a ; in a user is written %3B"
	case c == '?' || c == '&':
		return "the " + mark + wrong + "put a header after the host and a ?; " +
			mark + " in a user is written " + escape(c)
	}
	return "the " + mark + wrong + "write " + mark + " in a user as " + escape(c)
}

// readHost reads the host, up to the ":" of a port, the ";" of parameters or the end.
//
//	host          = hostname / IPv4address / IPv6reference
//	IPv6reference = "[" IPv6address "]"
func (sc *scanner) readHost() {
	s, start := sc.text, sc.pos
	end, isName := scanHostname(s, start)
	if start < len(s) && s[start] == '[' {
		end = start + strings.IndexByte(s[start:], ']') + 1
		if end == start {
			sc.pos = len(s)
			sc.add(RuleSIPHost, start, len(s)-start, "the [ of an IPv6 address needs a ] after it")
			return
		}
	}
	if end < len(s) && s[end] != ':' && s[end] != ';' {
		sc.pos = findAny(s, end, ":;")
		sc.refuseHostBytes(end)
		return
	}
	sc.pos, sc.hostEnd = end, end
	switch {
	case !isName:
		sc.readAddress(start)
	case sc.dial:
		sc.checkName(start)
	}
}

// readAddress reads the IP address from start to pos.
func (sc *scanner) readAddress(start int) {
	host := sc.text[start:sc.pos]
	addr, ok := parseAddr(host)
	switch {
	case host == "":
		sc.add(RuleSIPHost, start, 0, "the host is missing; write a DNS name or an IP address")
	case !ok && host[0] == '[' && sc.built:
		sc.add(RuleSIPHost, start, len(host), "the host is not a DNS name or an IP address; "+
			"leave out brackets, a zone and a port")
	case !ok && host[0] == '[':
		sc.add(RuleSIPHost, start, len(host),
			"the brackets must hold an IPv6 address without a zone")
	case !ok && sc.host == sc.user && isDigits(host):
		sc.add(RuleSIPHost, start, len(host), noHost)
	case !ok:
		sc.add(RuleSIPHost, start, len(host),
			"the host is not a DNS name or an IPv4 address; check its spelling")
	case sc.dial && isPrivate(addr) && !sc.tolerates(RuleSIPPrivate):
		sc.add(RuleSIPPrivate, start, len(host),
			"the host is a private or reserved IP address; use one that Twilio can reach")
	}
}

const noHost = "a number stands where the host belongs; write sip:number@host"

// refuseHostBytes refuses the bytes at bad, which cannot stand in a host that ends at pos.
func (sc *scanner) refuseHostBytes(bad int) {
	s := sc.text[:sc.pos]
	c, _ := decodeAt(s, bad) // a host cannot have escapes, but SIPURI.String writes them
	message := "the host contains " + describe(c)
	switch {
	case s[bad-1] == ']':
		message = "the IPv6 address has " + describe(s[bad]) + " after its ]; " +
			"only :port, parameters or headers can follow"
	case classes[c]&sipHost != 0:
		message = "the host contains an escape; write the character itself"
	case sc.host == sc.user && s[sc.host] == '+':
		message = noHost
	case s[bad] == '&':
		message += "; put ; before a parameter and ? before the first header"
	case s[bad] == '@':
		message += "; write an @ in the user as %40"
	default:
		message += "; use only letters, digits, - and ."
	}
	problem := newProblem(RuleSIPHost, bad, max(1, skipOther(s, bad, sipHost)-bad), message)
	if c == '_' {
		problem.Basis = Assumed
	}
	sc.addProblem(problem)
}

// scanHostname returns the end of the DNS name that starts at i, and whether it is one.
//
//	hostname    = *( domainlabel "." ) toplabel [ "." ]
//	domainlabel = alphanum / alphanum *( alphanum / "-" ) alphanum
//	toplabel    = ALPHA / ALPHA *( alphanum / "-" ) alphanum
func scanHostname(s string, i int) (end int, ok bool) {
	ok = true
	label := ""
	for {
		end = skip(s, i, hostLabel)
		isLast := end == len(s) || s[end] != '.'
		switch {
		case end > i:
			label = s[i:end]
			ok = ok && label[0] != '-' && label[len(label)-1] != '-'
		case !isLast || label == "": // only a dot at the end may have no label after it
			ok = false
		}
		if isLast {
			return end, ok && classes[label[0]]&alpha != 0
		}
		i = end + 1
	}
}

// parseAddr parses the IP address of a host: IPv6 in brackets, or IPv4.
func parseAddr(host string) (netip.Addr, bool) {
	const longest = len("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]")
	if len(host) > longest {
		return netip.Addr{}, false
	}
	text, bracket := strings.CutPrefix(host, "[")
	addr, err := netip.ParseAddr(strings.TrimSuffix(text, "]"))
	return addr, err == nil && addr.Zone() == "" && addr.Is6() == bracket
}

// These networks are not globally reachable by IANA's registries of special-purpose addresses;
// the methods of netip.Addr know the others. Documentation space is left out: tests use it.
// 192.0.0.0/24 counts as a whole.
var (
	reserved = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15",
		"240.0.0.0/4", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "5f00::/16", "fec0::/10")

	globalUnicast = netip.MustParsePrefix("2000::/3")  // all reachable, but for:
	protocols     = netip.MustParsePrefix("2001::/23") // which is not, but for:
	reachable     = prefixes("2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:3::/32",
		"2001:4:112::/48", "2001:20::/28", "2001:30::/28")
)

// The addresses of these networks hold an IPv4 address: in 6to4 (RFC 3056) after two bytes, in the
// others at the end (mapped and compatible: RFC 4291; translated: RFC 2765; NAT64: RFC 6052).
var (
	sixToFour = netip.MustParsePrefix("2002::/16")
	embedding = prefixes("::/96", "::ffff:0:0:0/96", "64:ff9b::/96")
)

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func containsAddr(list []netip.Prefix, addr netip.Addr) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// isPrivate reports whether Twilio cannot reach addr, which has no zone. An IPv4 address inside an
// IPv6 address counts as the IPv4 address.
func isPrivate(addr netip.Addr) bool {
	addr = unembed(addr)
	if globalUnicast.Contains(addr) { // as most IPv6 addresses are
		return protocols.Contains(addr) && !containsAddr(reachable, addr)
	}
	return addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() ||
		addr.IsMulticast() || containsAddr(reserved, addr)
}

// unembed returns the IPv4 address inside addr, or addr. That of :: and ::1 is in 0.0.0.0/8.
func unembed(addr netip.Addr) netip.Addr {
	switch b := addr.As16(); {
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:]))
	case containsAddr(embedding, addr):
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr.Unmap()
}

// isLocalhost reports whether name, which does not end with a dot, is localhost or a name under it:
// RFC 6761, section 6.3.
func isLocalhost(name string) bool {
	rest, ok := cutSuffixFold(name, "localhost")
	return ok && (rest == "" || rest[len(rest)-1] == '.')
}

// checkMaddr checks the value of a maddr parameter, from off to pos: it is dialed instead of the
// host. An escape in it costs an allocation.
func (sc *scanner) checkMaddr(off int) {
	host := decode(sc.text[off:sc.pos])
	end, isName := scanHostname(host, 0)
	isName = isName && end == len(host)
	addr, isAddr := netip.Addr{}, false
	if !isName {
		addr, isAddr = parseAddr(host)
	}
	isLocal := isName && isLocalhost(strings.TrimSuffix(host, ".")) || isAddr && isPrivate(addr)
	switch {
	case isLocal && !sc.tolerates(RuleSIPPrivate):
		sc.addProblem(newProblem(RuleSIPPrivate, off, sc.pos-off, "the maddr parameter is a host "+
			"that Twilio cannot reach; use a public one").assumed())
	case !isName && !isAddr:
		sc.addProblem(newProblem(RuleSIPParam, off, sc.pos-off, "the maddr parameter is not a DNS "+
			"name or an IP address; check its spelling").assumed())
	}
}

// checkName checks the DNS name from start to pos. A SIP domain of Twilio is NAME.sip.twilio.com,
// or NAME.sip.R.twilio.com with a region or an edge R.
func (sc *scanner) checkName(start int) {
	host := strings.TrimSuffix(sc.text[start:sc.pos], ".")
	if isLocalhost(host) && !sc.tolerates(RuleSIPPrivate) {
		sc.addProblem(newProblem(RuleSIPPrivate, start, sc.pos-start,
			"localhost is not a host that Twilio can reach; use a public one").assumed())
		return
	}
	edge, ok := sipDomainPlace(host)
	if !ok {
		return
	}
	if sc.text[start-1] != '@' && !sc.tolerates(RuleSIPDomainUser) {
		sc.add(RuleSIPDomainUser, start, 0,
			"a Twilio SIP domain needs a user before it; write sip:user@domain")
	}
	if edge != "" && !isUS1(edge) && !sc.tolerates(RuleSIPDomainEdge) {
		sc.add(RuleSIPDomainEdge, start+len(host)-len(twilioDomain)-len(edge), len(edge),
			"a Twilio SIP domain cannot have this region or edge; write NAME.sip.twilio.com")
	}
}

// isUS1 reports whether place is the only region that a Twilio SIP domain may have in it.
func isUS1(place string) bool { return equalFold(place, "us1") || equalFold(place, "us1-ix") }

const twilioDomain = ".twilio.com"

// sipDomainPlace reports whether host, which does not end with a dot, is a SIP domain of Twilio,
// and returns its region or edge, or "" if it has none.
func sipDomainPlace(host string) (place string, ok bool) {
	name, ok := cutSuffixFold(host, twilioDomain)
	if !ok {
		return "", false
	}
	if _, ok := cutSuffixFold(name, ".sip"); ok {
		return "", true
	}
	place = name[strings.LastIndexByte(name, '.')+1:]
	_, ok = cutSuffixFold(name[:len(name)-len(place)], ".sip.")
	return place, ok
}

// readPort reads a ":" and the port after it, if they are there, up to the ";" of parameters or the
// end.
//
//	port = 1*DIGIT
func (sc *scanner) readPort() {
	s, start := sc.text, sc.pos+1
	if sc.pos == len(s) || s[sc.pos] != ':' {
		return
	}
	sc.pos = find(s, start, ';')
	port, err := strconv.ParseUint(s[start:sc.pos], 10, 16)
	if err != nil || port == 0 {
		message := "the port must be a number from 1 to 65535"
		switch {
		case sc.pos == start:
			message += "; write one, or leave out the :"
		case strings.Contains(s[start:sc.pos], ":"):
			message += "; an IPv6 address needs brackets"
		}
		sc.add(RuleSIPPort, start, sc.pos-start, message)
	}
	sc.port = uint16(port)
}

// readParams reads the parameters, up to the end. If dial is set, it does not look for repeats in a
// URI that is refused as too long: the cost of the refusal would grow with the length.
//
//	uri-parameters = *( ";" uri-parameter )
func (sc *scanner) readParams() {
	s, start := sc.text, sc.pos+1
	if sc.pos == len(s) {
		return
	}
	var names *nameSet
	if strings.Contains(s[start:], ";") &&
		(!sc.dial || len(s) <= maxBeforeHeaders || sc.tolerates(RuleSIPLength)) {
		names = &nameSet{text: s, first: start}
	}
	for sc.pos < len(s) && !sc.isFull() {
		sc.pos++
		sc.readParam(names)
	}
}

// readParam reads a parameter, up to the ";" of the next one or the end.
//
//	other-param = pname [ "=" pvalue ]
//	pname       = 1*paramchar
//	pvalue      = 1*paramchar
func (sc *scanner) readParam(names *nameSet) {
	s, start := sc.text, sc.pos
	allowed := none // unless dial is set, bad is the first escape
	if sc.dial {
		allowed = notControl
	}
	end, bad := component(s, start, sipParam, allowed)
	name, valueAt := s[start:end], end
	hasValue := end < len(s) && s[end] == '='
	if hasValue {
		valueAt = end + 1
		var badInValue int
		end, badInValue = component(s, valueAt, sipParam, allowed)
		if bad < 0 {
			bad = badInValue
		}
	}
	sc.pos = end
	switch {
	case end < len(s) && s[end] != ';':
		sc.pos = find(s, end, ';')
		sc.refuseBytes(RuleSIPParam, end, sc.pos, sipParam)
	case name == "" && (hasValue || sc.built):
		sc.add(RuleSIPParam, start, 0, "a URI parameter has no name; write one")
	case name == "":
		sc.add(RuleSIPParam, start, 0,
			"a URI parameter is missing after the ';'; write one, or leave out the ;")
	case hasValue && valueAt == end:
		sc.add(RuleSIPParam, end, 0,
			"the value of a URI parameter is missing; write one, or leave out the =")
	case names != nil && names.add(name, start):
		sc.add(RuleSIPParam, start, len(name), "this URI parameter appears twice; leave one out")
	case sc.dial && bad >= 0:
		sc.addProblem(newProblem(RuleSIPParam, bad, skipEscapes(s, bad, allowed)-bad,
			"a URI parameter contains a control character; leave it out").assumed())
	case sc.dial:
		sc.checkParam(name, valueAt)
	case sc.found == nil:
		value := s[valueAt:end]
		sc.fields = append(sc.fields, Field{sc.decode(name, bad), sc.decode(value, bad)})
	}
}

// decode returns part decoded. A negative escape says that part has none.
func (sc *scanner) decode(part string, escape int) string {
	if escape < 0 {
		return part
	}
	return sc.decoder.unescape(part)
}

// checkParam checks the value of a parameter, from off to pos, if Twilio has a list of its values
// or it replaces the host.
func (sc *scanner) checkParam(name string, off int) {
	value := sc.text[off:sc.pos]
	var rule Rule
	var message string
	switch {
	case isWord(name, "transport"):
		if isWord(value, "tls") || isWord(value, "tcp") || isWord(value, "udp") {
			return
		}
		rule, message = RuleSIPTransport, "the transport must be udp, tcp or tls"
	case isWord(name, "secure"):
		if isWord(value, "true") || isWord(value, "false") {
			return
		}
		rule, message = RuleSIPSecure, "the secure parameter must be true or false"
	case isWord(name, "maddr"):
		sc.checkMaddr(off)
		return
	default:
		return
	}
	if sc.tolerates(rule) {
		return
	}
	if strings.Contains(value, "&") {
		message += "; put ; between parameters"
	}
	sc.add(rule, off, len(value), message)
}

// A nameSet holds the names of the parameters that were read so far.
type nameSet struct {
	text   string                       // the URI before its "?"
	first  int                          // the offset of the first name
	hashes [maxBeforeHeaders / 2]uint32 // FNV-1a; each name takes at least two bytes with its ";"
	n      int                          // how many hashes there are
	keys   map[string]struct{}          // the names for which there was no hash left
}

// add adds the name at off and reports whether it was there already. It allocates nothing for a URI
// that Twilio dials.
func (set *nameSet) add(name string, off int) (repeated bool) {
	if len(set.text) > 2*maxURI {
		return set.addKey(name)
	}
	hash := uint32(2166136261)
	for i := 0; i < len(name); {
		c, width := decodeAt(name, i)
		hash = (hash ^ uint32(lower(c))) * 16777619
		i += width
	}
	if slices.Contains(set.hashes[:set.n], hash) {
		return set.isBefore(name, off)
	}
	if set.n == len(set.hashes) {
		return set.addKey(name)
	}
	set.hashes[set.n] = hash
	set.n++
	return false
}

// isBefore reports whether name stands in the text before off too.
func (set *nameSet) isBefore(name string, off int) bool {
	for i := set.first; i < off; {
		end := find(set.text, i, ';')
		if earlier, _, _ := strings.Cut(set.text[i:end], "="); equalUnescaped(earlier, name) {
			return true
		}
		i = end + 1
	}
	return false
}

// addKey is add for a text of any length: with hashes that an attacker can make collide, the cost
// could grow with the square of the length.
func (set *nameSet) addKey(name string) (repeated bool) {
	key := make([]byte, 0, len(name))
	for i := 0; i < len(name); {
		c, width := decodeAt(name, i)
		key = append(key, lower(c))
		i += width
	}
	if set.keys == nil {
		set.keys = make(map[string]struct{})
	}
	_, repeated = set.keys[string(key)]
	set.keys[string(key)] = struct{}{}
	return repeated
}

// readHeaders reads the headers, up to the end.
//
//	headers = "?" header *( "&" header )
func (sc *scanner) readHeaders() {
	for {
		sc.readHeader()
		if sc.pos == len(sc.text) || sc.isFull() {
			return
		}
		sc.pos++
	}
}

// readHeader reads a header, up to the "&" of the next one or the end.
//
//	header = hname "=" hvalue
//	hname  = 1*( hnv-unreserved / unreserved / escaped )
//	hvalue = *( hnv-unreserved / unreserved / escaped )
func (sc *scanner) readHeader() {
	s, start := sc.text, sc.pos
	inValue := none // unless dial is set, badValue is the first escape
	if sc.dial {
		inValue = printable
	}
	end, badName := sc.readHeaderName()
	name, valueAt, badValue := s[start:end], end, -1
	hasValue := end < len(s) && s[end] == '='
	if hasValue {
		valueAt = end + 1
		end, badValue = component(s, valueAt, sipHeader, inValue)
	}
	sc.pos = end
	switch {
	case end < len(s) && s[end] != '&':
		sc.pos = find(s, end, '&')
		if strings.HasPrefix(s[start-1:], "&amp;") {
			sc.add(RuleHeaderTwiML, start-1, len("&amp;"),
				"&amp; belongs in XML, such as TwiML; write & between headers, and %26 in a value")
		} else {
			sc.refuseHeader(start, end)
		}
	case name == "" && sc.built:
		sc.add(RuleHeaderSyntax, start, 0, "a header has no name; write one")
	case name == "":
		sc.add(RuleHeaderSyntax, start, 0,
			"the name of a header is missing; write name=value, or leave out the ? or &")
	case !hasValue && twilioParam(name) != "":
		sc.add(RuleHeaderSyntax, end, 0, sc.notSent(name))
	case !hasValue:
		sc.add(RuleHeaderSyntax, end, 0,
			"the = of a header is missing; write name=value, and an & in a value as %26")
	case sc.dial && badName >= 0:
		c, width := decodeAt(s, badName)
		sc.add(RuleHeaderName, badName, width, "the name of a header contains "+describe(c)+
			"; use letters, digits and - . ! * _ + ' ~")
	case sc.dial && !isSent(name) && (twilioParam(name) != "" || !sc.tolerates(RuleHeaderAllowed)):
		sc.add(RuleHeaderAllowed, start, len(name), sc.notSent(name))
	case sc.dial && badValue >= 0:
		c, _ := decodeAt(s, badValue)
		sc.add(RuleHeaderValue, badValue, skipEscapes(s, badValue, inValue)-badValue,
			"the value of "+sc.describeHeader(name, "a header")+" contains "+describe(c)+
				"; use printable ASCII")
	case !sc.dial && sc.found == nil:
		value := s[valueAt:end]
		sc.fields = append(sc.fields, Field{sc.decode(name, badName), sc.decode(value, badValue)})
	}
}

// readHeaderName returns the end of the name at pos, and the offset of the first byte or escape
// that a token cannot have, or -1. Unless dial is set, any name is right, and bad is the first
// escape.
func (sc *scanner) readHeaderName() (end, bad int) {
	if !sc.dial {
		return component(sc.text, sc.pos, sipHeader, none)
	}
	end, bad = component(sc.text, sc.pos, tokenHeader, token)
	if end < len(sc.text) && classes[sc.text[end]]&sipHeader != 0 {
		if bad < 0 {
			bad = end
		}
		end, _ = component(sc.text, end, sipHeader, octet)
	}
	return end, bad
}

// isSent reports whether Twilio puts a header of that name, which may have escapes, into its
// INVITE.
func isSent(name string) bool {
	if rest, ok := cutUnescaped(name, "x-"); ok {
		_, reserved := cutUnescaped(rest, "twilio")
		return !reserved
	}
	return isWord(name, "user-to-user") || isWord(name, "remote-party-id") ||
		isWord(name, "p-preferred-identity") || isWord(name, "p-called-party-id")
}

// maxNamed is how many problems may name their header: a message of its own costs time.
const maxNamed = 2

// notSent is the message about a header of that name, which isSent does not report.
func (sc *scanner) notSent(name string) string {
	const advice = " out of the call; use X-... (but not X-Twilio...), User-to-User, " +
		"Remote-Party-ID, P-Preferred-Identity or P-Called-Party-ID"
	if len(sc.found) >= maxNamed {
		return "Twilio leaves this header" + advice
	}
	if param := twilioParam(name); param != "" {
		return param + " is a URI parameter and not a header; write ;" + param + "=... before the ?"
	}
	return "Twilio leaves " + sc.describeHeader(name, "this header") + advice
}

// describeHeader names a header for a message: by its name, if that is plain. A value that was not
// escaped can make a part of itself look like a name.
func (sc *scanner) describeHeader(name, otherwise string) string {
	if len(sc.found) < maxNamed && isShown(name) {
		return "the header " + name
	}
	return otherwise
}

// refuseBytes refuses what stands at off in a user, a password or a URI parameter that ends at end:
// bytes that are not in raw, or a % without two hex digits after it. The rule tells which part.
func (sc *scanner) refuseBytes(rule Rule, off, end int, raw class) {
	part := "the user"
	switch rule {
	case RuleSIPPassword:
		part = "the password"
	case RuleSIPParam:
		part = "a URI parameter"
	}
	c, n := sc.text[off], runLen(sc.text[:end], off, raw)
	message := part + " contains " + describe(c)
	switch {
	case c == '%':
		message = plainPercent(part)
	case rule == RuleSIPParam && (c == ',' || c == '='):
		message += "; put ; between parameters"
		if mentionsParam(sc.text[off:end]) == "" {
			message += ", or write it as " + escape(c)
		}
	case rule == RuleSIPParam && (c == ' ' || c == '"'),
		rule == RuleSIPUser && c == ' ' && (off == sc.user || off+n == end):
		message += "; leave it out"
	default:
		message += escapeAdvice(c)
	}
	sc.add(rule, off, n, message)
}

// refuseHeader refuses what stands at off in the header from start to pos.
func (sc *scanner) refuseHeader(start, off int) {
	s, header := sc.text[:sc.pos], "the name of a header"
	name, _, isValue := strings.Cut(s[start:off], "=")
	if isValue {
		header = sc.describeHeader(name, "a header")
	}
	message := header + " contains " + describe(s[off])
	param := mentionsParam(s[start:])
	switch c := s[off]; {
	case param != "" && strings.IndexByte(";,=? ", c) >= 0:
		message = "the URI parameter " + param + " stands among the headers; write it before the ?"
	case !isValue:
		message += "; use letters, digits and - . ! * _ + ' ~, and write & in a value as %26"
	case c == '%':
		message = plainPercent(header)
	case c == ';':
		message += "; put URI parameters before the ?, and write a ; in a value as %3B"
	case c == ',' || c == '=':
		message += "; put & between headers, or write it as " + escape(c)
	case c >= 0x80: // even escaped, a header cannot have it
		message += "; leave it out"
	default:
		message += escapeAdvice(c)
	}
	sc.add(RuleHeaderSyntax, off, runLen(s, off, sipHeader), message)
}

// runLen returns the length of the run from off of bytes that are not in raw: 1 for a %, which is
// refused alone.
func runLen(s string, off int, raw class) int {
	if s[off] == '%' {
		return 1
	}
	return min(skipOther(s, off, raw), find(s, off, '%')) - off
}

// A rawField is a parameter or a header as it stands in a text.
type rawField struct {
	off, valueAt int
	name, value  string
}

// rawFields returns the fields from..to of s, with the separator between them.
func rawFields(s string, from, to int, separator byte) (fields []rawField) {
	for i := from; i < to; {
		end := find(s[:to], i, separator)
		name, value, _ := strings.Cut(s[i:end], "=")
		fields = append(fields, rawField{i, end - len(value), name, value})
		i = end + 1
	}
	return fields
}

// warnSIP returns the warnings of s, an accepted SIP URI. What it breaks was tolerated.
func warnSIP(s string) []*Problem {
	sc := scanner{text: s, pos: sipScheme(s), most: maxText, dial: true}
	sc.scan()
	start, query := findParts(s, sipScheme(s), maxText)
	end := find(s[:query], start, ';')
	isDomain := sc.warnHost(start, s[start:end])
	params := rawFields(s, min(end+1, query), query, ';')
	isSecure := slices.ContainsFunc(params, func(f rawField) bool {
		return isWord(f.name, "secure") && isWord(f.value, "true")
	})
	if sipScheme(s) == len("sips:") {
		message := "Twilio sends sips: as sip: with transport=tls"
		if !isSecure {
			message += "; add secure=true to encrypt the media too"
		}
		sc.add(RuleSIPSRewritten, 0, len("sips:"), message)
	}
	for _, f := range params {
		sc.warnParam(f, isDomain, isSecure)
	}
	for _, f := range rawFields(s, min(query+1, len(s)), len(s), '&') {
		if sc.isFull() && sc.found[maxProblems-1].Offset < f.off {
			break
		}
		sc.warnHeader(f)
	}
	return sc.found
}

// warnHost warns of the host and port at off, and reports whether it is a SIP domain of Twilio.
func (sc *scanner) warnHost(off int, hostport string) (isDomain bool) {
	if strings.HasPrefix(hostport, "[") {
		sc.add(RuleSIPIPv6, off, find(hostport, 0, ']')+1,
			"nothing says that Twilio dials an IPv6 address; use a DNS name or an IPv4 address")
		return false
	}
	host, _, _ := strings.Cut(hostport, ":")
	host = strings.TrimSuffix(host, ".")
	place, isDomain := sipDomainPlace(host)
	if isDomain && isUS1(place) {
		sc.add(RuleSIPDomainRegion, off+len(host)-len(twilioDomain)-len(place), len(place),
			"a region in a Twilio SIP domain is deprecated; write NAME.sip.twilio.com")
	}
	return isDomain
}

// warnParam warns of a parameter.
func (sc *scanner) warnParam(f rawField, isDomain, isSecure bool) {
	n := f.valueAt + len(f.value) - f.off
	param := twilioParam(f.name)
	isPlace := param == "edge" || param == "region"
	switch {
	case isWord(f.name, "maddr"):
		sc.add(RuleSIPMaddr, f.off, n, "nobody knows whether Twilio follows maddr; leave it out")
	case param == "transport" && isSecure && (isWord(f.value, "udp") || isWord(f.value, "tcp")):
		sc.add(RuleSIPSecureTransport, f.valueAt, len(f.value),
			"this transport sends the keys of secure=true in the clear; use transport=tls")
	case param == "tnx" && isDomain:
		sc.add(RuleSIPTnx, f.off, n, "the tnx parameter is deprecated; leave it out")
	case param == "tnx":
		sc.add(RuleSIPTnx, f.off, n, "the tnx parameter is deprecated; use edge")
	case isPlace && !isTwilioPlace(decode(f.value)):
		sc.add(RuleSIPEdgeUnknown, f.valueAt, len(f.value),
			"this edge or region is on no list of Twilio; check its spelling")
	}
	if isDomain && (isPlace || param == "tnx") {
		sc.add(RuleSIPEdgeIgnored, f.off, n,
			"a Twilio SIP domain ignores this parameter; leave it out")
	}
}

// warnHeader warns of the value of a header.
func (sc *scanner) warnHeader(f rawField) {
	if i := strings.IndexByte(f.value, '+'); i >= 0 {
		n := len(f.value[i:]) - len(strings.TrimLeft(f.value[i:], "+"))
		sc.add(RuleHeaderPlus, f.valueAt+i, n, "this + arrives as a plus; write a space as %20")
	}
	if looksEscaped(decode(f.value)) {
		sc.add(RuleHeaderEscaped, f.valueAt, len(f.value),
			"the value still has escapes or headers once decoded; escape it only once")
	}
}

// looksEscaped reports whether s, which is decoded, has an escape or "&name=".
func looksEscaped(s string) bool {
	for i := range len(s) {
		if isEscape(s, i) {
			return true
		}
		if s[i] != '&' {
			continue
		}
		if end := skip(s, i+1, token); end > i+1 && strings.HasPrefix(s[end:], "=") {
			return true
		}
	}
	return false
}

// plainPercent is the message about a % without two hex digits after it.
func plainPercent(part string) string {
	return "a % in " + part + " is not followed by two hex digits; write %25 for a plain %"
}

// escapeAdvice says how to write c, which may stand there as an escape.
func escapeAdvice(c byte) string {
	switch {
	case c == '{' || c == '}':
		return "; fill in the template, or write it as " + escape(c)
	case c == ' ':
		return "; leave it out, or write it as %20"
	case c >= 0x80:
		return "; write each of its bytes as % and two hex digits"
	case classes[c]&printable == 0:
		return "; leave it out"
	}
	return "; write it as " + escape(c)
}

// escape returns the escape of c.
func escape(c byte) string { return string(appendEscaped(nil, string([]byte{c}), 0)) }

// suggestSIP returns the one candidate for a refused SIP URI: with the missing scheme; without
// the // after it or a second one; with ; between parameters and & between headers; with each
// parameter of Twilio's before the "?" and each header of Twilio's after it; without an empty
// parameter or header. It returns "" if there is none.
func suggestSIP(s string) string {
	scheme := sipScheme(s)
	if scheme == 0 {
		if schemeLen(s) > 0 || strings.IndexByte(s, '@') < 0 {
			return ""
		}
		return "sip:" + s
	}
	tail := strings.TrimPrefix(s[scheme:], "//")
	s = s[:scheme] + tail[sipScheme(tail):]
	host, query := findParts(s, scheme, len(s))
	end := findAny(s[:query], host, ";&")
	params, headers, ok := sortParams(s[end:query])
	if !ok {
		return ""
	}
	moved, rest := sortHeaders(strings.TrimPrefix(s[query:], "?"))
	return s[:end] + join(";", ";", append(params, moved...)) +
		join("?", "&", append(headers, rest...))
}

// sortParams splits text, which starts with the separator before the first parameter, or is "".
// Fields that were joined with & are split too, if that cannot be part of a value: a header of
// Twilio's among them belongs after the "?". It reports false if it may be part of a value.
func sortParams(text string) (params, headers []string, ok bool) {
	for i, part := range strings.Split(strings.ReplaceAll(text, "&amp;", "&"), ";") {
		part = strings.TrimSpace(part)
		if i > 0 && strings.Count(part, "=") < 2 {
			params = append(params, part)
			continue
		}
		for j, field := range strings.Split(part, "&") { // also before the first ;
			name, _, hasValue := strings.Cut(field, "=")
			switch {
			case j > 0 && !hasValue:
				return nil, nil, false
			case j > 0 && isSent(name):
				headers = append(headers, field)
			default:
				params = append(params, field)
			}
		}
	}
	return params, headers, true
}

// sortHeaders splits text at each &, &amp; and ;. A parameter of Twilio's belongs before the "?".
func sortHeaders(text string) (params, headers []string) {
	isParam := func(part string) bool {
		name, _, _ := strings.Cut(strings.TrimSpace(part), "=")
		return twilioParam(name) != ""
	}
	for header := range strings.SplitSeq(strings.ReplaceAll(text, "&amp;", "&"), "&") {
		parts := strings.Split(header, ";")
		for _, part := range parts {
			if isParam(part) {
				params = append(params, strings.TrimSpace(part))
			}
		}
		kept := slices.DeleteFunc(parts, isParam)
		if len(kept) < len(parts) {
			kept = slices.DeleteFunc(kept, func(part string) bool { return part == "" })
		}
		headers = append(headers, strings.Join(kept, ";"))
	}
	return params, headers
}

// join joins the fields that are not empty, after prefix; it returns "" if there are none.
func join(prefix, separator string, fields []string) string {
	fields = slices.DeleteFunc(fields, func(field string) bool { return field == "" })
	if len(fields) == 0 {
		return ""
	}
	return prefix + strings.Join(fields, separator)
}

// fixSIPURI returns the fix for a text that ParseSIPURI refused.
func fixSIPURI(s string) (string, bool) {
	candidate := suggestSIP(s)
	if _, err := ParseSIPURI(candidate); err != nil {
		return "", false
	}
	return candidate, true
}

// newSubject returns the subject of the problems of value, for complete. A value of more than
// twice maxURI gets no fix.
func newSubject(value string, fix func(value string) (string, bool)) func() subject {
	return func() subject {
		if len(value) > 2*maxURI {
			return subject{value, redact, nil}
		}
		return subject{value, redact, fix}
	}
}

// clip returns the first maxURI bytes of s. As From or To, only a client with parameters may be
// longer and be accepted; any other longer text is refused for its length or for what it starts
// with. What stands further on, such as an "@", is not looked for, so a refusal costs no more
// than an acceptance.
func clip(s string) string { return s[:min(len(s), maxURI)] }

// component returns the end of the run from i of bytes that are in raw and of escapes, and the
// offset of the first escape of a byte that is not in allowed, or -1.
//
//	escaped = "%" HEXDIG HEXDIG
func component(s string, i int, raw, allowed class) (end, bad int) {
	bad = -1
	for {
		i = skip(s, i, raw)
		if !isEscape(s, i) {
			return i, bad
		}
		if bad < 0 && classes[decodeEscape(s, i)]&allowed == 0 {
			bad = i
		}
		i += escapeLen
	}
}

const escapeLen = len("%41")

// isEscape reports whether an escape stands at i.
func isEscape(s string, i int) bool {
	return len(s)-i >= escapeLen && s[i] == '%' && classes[s[i+1]]&classes[s[i+2]]&hexdig != 0
}

// decodeEscape returns the byte that the escape at i stands for.
func decodeEscape(s string, i int) byte { return unhex(s[i+1])<<4 | unhex(s[i+2]) }

// unhex returns the value of a hex digit: '0' is 0x30, 'A' 0x41, 'a' 0x61.
func unhex(c byte) byte { return c&15 + c>>6*9 }

// decodeAt returns the byte at i, decoded if an escape stands there, and how many bytes it takes: 3
// for an escape, 1 for any other byte, such as a % without two hex digits after it.
func decodeAt(s string, i int) (c byte, width int) {
	if isEscape(s, i) {
		return decodeEscape(s, i), escapeLen
	}
	return s[i], 1
}

// A decoder decodes the parts of one text into at most two buffers. The first is small, as it is
// enough for most texts.
type decoder struct {
	buf  strings.Builder
	size int // the most bytes that are still to come; the length of the text to start with
}

// decode returns s, a part of the text, decoded once.
func (d *decoder) decode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	return d.unescape(s)
}

// unescape is decode without a look for escapes: it copies a part that has none.
func (d *decoder) unescape(s string) string {
	const firstBuffer = 512 // bytes
	if d.buf.Cap()-d.buf.Len() < len(s) {
		size := d.size
		if d.buf.Cap() == 0 {
			size = min(size, firstBuffer)
		}
		d.buf.Reset()
		d.buf.Grow(max(len(s), size))
	}
	start := d.buf.Len()
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			c = decodeEscape(s, i)
			i += escapeLen - 1
		}
		d.buf.WriteByte(c)
	}
	decoded := d.buf.String()[start:]
	d.size -= len(decoded)
	return decoded
}

// decode returns s decoded once.
func decode(s string) string {
	d := decoder{size: len(s)}
	return d.decode(s)
}

// makeFields returns an empty slice with room for the parameters and headers in two texts, if they
// are not too long to be dialed: a refused text must not cost more memory than that.
func makeFields(params, headers string) []Field {
	const most = maxBeforeHeaders/len(";a") + maxHeaders/len("a=&")
	n := strings.Count(params, ";")
	if headers != "" {
		n += strings.Count(headers, "&") + 1
	}
	if n == 0 {
		return nil
	}
	return make([]Field, 0, min(n, most))
}

// skip returns the end of the run from i of bytes that are in c.
func skip(s string, i int, c class) int {
	for i < len(s) && classes[s[i]]&c != 0 {
		i++
	}
	return i
}

// skipOther returns the end of the run from i of bytes that are not in c.
func skipOther(s string, i int, c class) int {
	for i < len(s) && classes[s[i]]&c == 0 {
		i++
	}
	return i
}

// skipEscapes returns the end of the run from i of escapes of bytes that are not in allowed. Raw
// bytes are always allowed.
func skipEscapes(s string, i int, allowed class) int {
	for i < len(s) {
		c, width := decodeAt(s, i)
		if classes[c]&allowed != 0 {
			break
		}
		i += width
	}
	return i
}

// find returns the offset of the first c from i, or len(s).
func find(s string, i int, c byte) int {
	if n := strings.IndexByte(s[i:], c); n >= 0 {
		return i + n
	}
	return len(s)
}

// findAny returns the offset of the first byte from i that is in chars, or len(s).
func findAny(s string, i int, chars string) int {
	if n := strings.IndexAny(s[i:], chars); n >= 0 {
		return i + n
	}
	return len(s)
}

// isDigits reports whether s consists of digits.
func isDigits(s string) bool { return skip(s, 0, digit) == len(s) }

// lower returns c with an ASCII letter in lower case.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// cutUnescaped returns what follows prefix in s, and whether s starts with it once decoded, in any
// case. The prefix is in lower case and has no escapes.
func cutUnescaped(s, prefix string) (rest string, ok bool) {
	i := 0
	for j := range len(prefix) {
		if i == len(s) {
			return s, false
		}
		c, width := s[i], 1
		if c == '%' {
			c, width = decodeAt(s, i)
		}
		if lower(c) != prefix[j] {
			return s, false
		}
		i += width
	}
	return s[i:], true
}

// isWord reports whether s is word once decoded, in any case. The word is in lower case and has no
// escapes.
func isWord(s, word string) bool {
	if s == word {
		return true // as most are written
	}
	rest, ok := cutUnescaped(s, word)
	return ok && rest == ""
}

// equalUnescaped reports whether a and b are equal once decoded, in any case.
func equalUnescaped(a, b string) bool {
	for a != "" && b != "" {
		c, n := decodeAt(a, 0)
		d, m := decodeAt(b, 0)
		if lower(c) != lower(d) {
			return false
		}
		a, b = a[n:], b[m:]
	}
	return a == "" && b == ""
}

// equalFold reports whether a and b are equal in any case. One of them must be ASCII: with equal
// lengths, no letter beyond ASCII folds to one of its letters.
func equalFold(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// hasPrefixFold reports whether s starts with prefix, in any case.
func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && equalFold(s[:len(prefix)], prefix)
}

// cutSuffixFold returns s without suffix, which is in lower case, and whether s ends with it, in
// any case.
func cutSuffixFold(s, suffix string) (rest string, ok bool) {
	n := len(s) - len(suffix)
	if n < 0 || lower(s[len(s)-1]) != suffix[len(suffix)-1] || // most end differently
		!equalFold(s[n:], suffix) {
		return s, false
	}
	return s[:n], true
}

// describe names the byte c for a message. It does not tell which letter or digit it is, as those
// may be personal data.
func describe(c byte) string {
	switch {
	case c == ' ':
		return "a space"
	case c == '\'':
		return "an apostrophe"
	case c >= 0x80:
		return "a character that is not ASCII"
	case classes[c]&notControl == 0:
		return "a control character"
	case classes[c]&digit != 0:
		return "a digit"
	case classes[c]&alpha != 0:
		return "a letter"
	}
	return "'" + string(rune(c)) + "'"
}

// redact masks s, each byte by one *. What stays shows the structure and identifies nobody: the
// scheme; the + and, if a number has 7 digits or more, its last two; a host with a user in front,
// and its port; the names of parameters and of X- headers, and the punctuation around them. It
// goes by punctuation alone, because what it masks may be malformed in any way.
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

// A mask is a text and what is shown of it.
type mask struct {
	text string
	out  []byte
}

// client shows the scheme, and the punctuation of the parameters.
func (m mask) client() {
	m.show(0, len(clientScheme))
	if q := strings.IndexByte(m.text, '?'); q >= 0 {
		m.showBytes(q, "?&=")
	}
}

// phone shows separators, and the last two digits of a number of 7 digits or more.
func (m mask) phone() {
	m.showBytes(0, "+ ().-/")
	if end := len(m.text); end > 7 && skip(m.text, 1, digit) == end {
		m.show(end-2, end)
	}
}

// sip shows what may be shown of a SIP URI, whose scheme has the given length (0 if it is
// missing) and whose first "@" is at at (-1 if it is missing).
func (m mask) sip(scheme, at int) {
	m.show(0, scheme)
	if at >= 0 {
		m.out[at] = '@'
	}
	host := max(scheme, at+1)
	var end int
	if strings.HasPrefix(m.text[host:], "[") {
		end = host + strings.IndexByte(m.text[host:], ']') + 1
	} else {
		end = findAny(m.text, host, ":;?")
	}
	known := m.host(host, end, at > scheme)
	if strings.HasPrefix(m.text[end:], ":") {
		m.out[end] = ':'
		end++
		to := findAny(m.text, end, ";?")
		if known && to-end <= len("65535") && skip(m.text, end, digit) == to {
			m.show(end, to)
		}
	}
	m.fields(end, known)
}

// host shows the host from..to, if it is one, and reports whether it is. What stands in a URI
// without a user may well be the user of a URI that lacks its host.
func (m mask) host(from, to int, hasUser bool) bool {
	name := m.text[from:to]
	_, isAddr := parseAddr(name)
	end, isName := scanHostname(name, 0)
	switch {
	case !hasUser:
		return false
	case isAddr:
		m.show(from, to)
	case isName && end == len(name):
		m.showName(from, to)
	default:
		return false
	}
	return true
}

// fields shows what separates the parameters and headers from the offset from, and their names.
// Of parameters, it shows names only after a known host. Of headers, it shows only names that
// start with X- and have a value: any other may be part of a value that was not escaped.
func (m mask) fields(from int, known bool) {
	m.showBytes(from, ";?&=")
	query := find(m.text, from, '?')
	for i := from; i < query; {
		end := findAny(m.text[:query], i+1, ";&=")
		if known && m.text[i] == ';' && isPlain(m.text[i+1:end]) {
			m.showName(i+1, end)
		}
		i = end
	}
	for i := query; i < len(m.text); {
		end := findAny(m.text, i+1, ";?&=")
		name := m.text[i+1 : end]
		if (i == query || m.text[i] == '&') && isPlain(name) && hasPrefixFold(name, "X-") &&
			strings.HasPrefix(m.text[end:], "=") {
			m.showName(i+1, end)
		}
		i = end
	}
}

// maskName returns name as redact shows the name of a parameter.
func maskName(name string) string {
	m := mask{name, bytes.Repeat([]byte{'*'}, len(name))}
	if isPlain(name) {
		m.showName(0, len(name))
	}
	return string(m.out)
}

// isShown reports whether a message may show the name of a header: it is plain, not too long to
// read, and without longNumber digits in a row.
func isShown(name string) bool {
	const longest = 64
	digits := 0
	for i := range len(name) {
		if classes[name[i]]&digit == 0 {
			digits = 0
		} else {
			digits++
		}
		if digits == longNumber || classes[name[i]]&userName == 0 {
			return false
		}
	}
	return name != "" && len(name) <= longest
}

// isPlain reports whether s consists of letters, digits, dots and hyphens.
func isPlain(s string) bool { return skip(s, 0, sipHost) == len(s) }

// show shows the bytes from..to.
func (m mask) show(from, to int) { copy(m.out[from:to], m.text[from:to]) }

// showBytes shows those bytes from the offset from that are in chars.
func (m mask) showBytes(from int, chars string) {
	for i := from; i < len(m.text); i++ {
		if strings.IndexByte(chars, m.text[i]) >= 0 {
			m.out[i] = m.text[i]
		}
	}
}

// longNumber is how many digits in a row may be a phone number.
const longNumber = 4

// showName shows the name from..to, but no longNumber or more digits in a row.
func (m mask) showName(from, to int) {
	for i := from; i < to; {
		end := skip(m.text[:to], i, digit)
		if end-i < longNumber {
			m.show(i, end)
		}
		if i = end; i < to {
			m.show(i, i+1)
			i++
		}
	}
}
