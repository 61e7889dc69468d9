package callparams

import (
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A SIPURI holds the parts of a SIP URI, decoded: callers never escape. Build one as a literal, add
// headers and parameters, and call [SIPURI.To]:
//
//	to, err := callparams.SIPURI{User: "alice", Host: "example.com"}.WithHeader("X-Account", "42").To()
//
// The zero SIPURI has no host and makes no valid To. The parts are personal data: GoString and LogValue
// redact them, JSON does not.
type SIPURI struct {
	Secure   bool    // sips:
	User     string  // "" if absent
	Password string  // "" if absent; refused in a To
	Host     string  // a DNS name or an IP address, without brackets
	Port     uint16  // 0 if absent
	Params   []Field // {"transport", "tls"}; a flag such as lr has no Value; order is kept
	Headers  []Field // {"X-Account", "42"}; order and repeats are kept
}

// A Field is a parameter or a header, decoded. String, GoString and LogValue redact its value, JSON does not.
type Field struct{ Name, Value string }

// String returns the field with its value masked byte for byte.
func (f Field) String() string { return f.Name + "=" + strings.Repeat("*", len(f.Value)) }

// GoString returns what String does, so that %#v leaks nothing.
func (f Field) GoString() string { return f.String() }

// LogValue returns what String does.
func (f Field) LogValue() slog.Value { return slog.StringValue(f.String()) }

// ParseSIPURI parses s by the grammar of RFC 3261 alone, without the vendor's rules, but for the
// divergences in the package comment. Escapes are decoded once, byte by byte; + is a plus.
//
// An error is an [*Error] with at most 16 problems. The parts are allocated where they had to be decoded.
func ParseSIPURI(s string) (SIPURI, error) {
	var found problems
	parts := scanSIP(s, false, &found)
	if found != nil {
		return SIPURI{}, &Error{found.in("", newGiven(s, Parser{}, inURI))}
	}
	return SIPURI{
		Secure:   sipScheme(s) == len("sips:"),
		User:     unescape(parts.user),
		Password: unescape(parts.password),
		Host:     strings.Trim(parts.host, "[]"),
		Port:     parsePort(parts.port),
		Params:   splitFields(parts.params, ";"),
		Headers:  splitFields(parts.headers, "&"),
	}, nil
}

// WithHeader returns a copy of u with a header added at the end. u is unchanged, also if they share memory.
// Any bytes may be given: what the vendor does not accept, To refuses.
func (u SIPURI) WithHeader(name, value string) SIPURI {
	u.Headers = append(u.Headers[:len(u.Headers):len(u.Headers)], Field{name, value})
	return u
}

// WithParam returns a copy of u with a URI parameter added at the end; an empty value makes a flag.
// u is unchanged, also if they share memory.
func (u SIPURI) WithParam(name, value string) SIPURI {
	u.Params = append(u.Params[:len(u.Params):len(u.Params)], Field{name, value})
	return u
}

// To writes u as [SIPURI.String] does and parses the text with [ParseTo]: what it returns has u's parts and no
// others, whatever bytes they hold. An error is an [*Error] about that text.
func (u SIPURI) To() (To, error) { return ParseTo(u.String()) }

// String returns u as text, escaped where it must be: personal data, for the wire. All but letters, digits and
// - _ . ! ~ * ' ( ) is escaped; a user keeps its +. The text of an invalid u is no SIP URI: what cannot stand
// in a host is escaped there, although no escape is legal in one.
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

// Redacted returns String masked byte for byte.
func (u SIPURI) Redacted() string { return redact(u.String()) }

// GoString returns Redacted, so that %#v leaks nothing.
func (u SIPURI) GoString() string { return u.Redacted() }

// LogValue returns Redacted.
func (u SIPURI) LogValue() slog.Value { return slog.StringValue(u.Redacted()) }

func appendField(b []byte, f Field) []byte {
	b = appendEscaped(b, f.Name, unreserved)
	b = append(b, '=')
	return appendEscaped(b, f.Value, unreserved)
}

// appendEscaped appends s to b with every byte that is not in raw escaped.
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

// IsTwilioHost reports whether host is one that the vendor writes into the From header of its INVITEs:
// sip.twilio.com (observed), or sip.R.twilio.com where R is gll, a region (us1, us2, ie1, de1, sg1, jp1, br1,
// au1) or an edge (ashburn, umatilla, san-jose, dublin, frankfurt, singapore, tokyo, sao-paulo, sydney, london),
// the latter two also with -ix. The match is exact, in any case, with or without a trailing dot.
//
// A From header can be forged: a match narrows down who calls, it does not authenticate.
func IsTwilioHost(host string) bool {
	host = strings.TrimSuffix(host, ".")
	if equalFold(host, "sip.twilio.com") {
		return true
	}
	name, ok := cutSuffixFold(host, ".twilio.com")
	if !ok || !hasPrefixFold(name, "sip.") {
		return false
	}
	place, ix := cutSuffixFold(name[len("sip."):], "-ix")
	for _, p := range twilioPlaces {
		if equalFold(place, p) {
			return !ix || p != "gll"
		}
	}
	return false
}

// twilioPlaces are the regions and edges of the vendor's hosts.
var twilioPlaces = [...]string{
	"us1", "us2", "ie1", "de1", "sg1", "jp1", "br1", "au1", "gll",
	"ashburn", "umatilla", "san-jose", "dublin", "frankfurt",
	"singapore", "tokyo", "sao-paulo", "sydney", "london",
}

// A class is a set of bytes: one bit of each entry of classes.
type class uint32

const (
	octet       class = 1 << iota // every byte
	printable                     // every byte but the ASCII control characters
	visible                       // ASCII from space to ~
	alpha                         // a letter
	hexdig                        // a hex digit
	unreserved                    // what needs no escape anywhere
	builtUser                     // what SIPURI.String leaves raw in a user
	builtAddr                     // what it leaves raw between brackets
	sipUser                       // raw in a user
	dialledUser                   // raw in a user that the vendor dials
	sipPassword                   // raw in a password
	sipHost                       // in a DNS name
	sipParam                      // raw in a URI parameter's name or value
	sipHeader                     // raw in a header's name or value
	token                         // in the name of a header field
	uriScheme                     // in a scheme
	userName                      // in a bare user name
	clientName                    // in a client name
	clientParam                   // raw in a client's parameters
)

// classes is the one table of byte classes. Those of SIP URIs are from RFC 3261, section 25.1:
//
//	unreserved       = alphanum / mark
//	mark             = "-" / "_" / "." / "!" / "~" / "*" / "'" / "(" / ")"
//	user             = 1*( unreserved / escaped / user-unreserved )
//	user-unreserved  = "&" / "=" / "+" / "$" / "," / ";" / "?" / "/"
//	password         = *( unreserved / escaped / "&" / "=" / "+" / "$" / "," )
//	paramchar        = param-unreserved / unreserved / escaped
//	param-unreserved = "[" / "]" / "/" / ":" / "&" / "+" / "$"
//	hnv-unreserved   = "[" / "]" / "/" / "?" / ":" / "+" / "$"
//	token            = 1*( alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~" )
var classes = func() (table [256]class) {
	for c := range table {
		table[c] = octet
		if c >= ' ' && c != 0x7f {
			table[c] |= printable
		}
		if c >= ' ' && c < 0x7f {
			table[c] |= visible
		}
		if c > ' ' && c < 0x7f && strings.IndexByte("<>#%\"{}|\\^[]`?&", byte(c)) < 0 {
			table[c] |= clientName | clientParam
		}
	}
	add := func(chars string, bits class) {
		for i := range len(chars) {
			table[chars[i]] |= bits
		}
	}
	const (
		letters  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		digits   = "0123456789"
		mark     = "-_.!~*'()"
		rawInAll = unreserved | builtUser | sipUser | dialledUser | sipPassword | sipParam | sipHeader
	)
	add(letters, alpha)
	add(digits+"ABCDEFabcdef", hexdig)
	add(letters+digits, rawInAll|sipHost|builtAddr|token|uriScheme|userName)
	add(mark, rawInAll)
	add("&=+$,;?/", sipUser)
	add("&=+$,;/", dialledUser) // not "?": see RuleSIPUser
	add("+", builtUser)
	add("&=+$,", sipPassword)
	add("-.", sipHost)
	add(".:", builtAddr)
	add("[]/:&+$", sipParam)
	add("[]/?:+$", sipHeader)
	add("-.!%*_+`'~", token)
	add("+-.", uriScheme)
	add("+-_.", userName)
	add("?", clientParam)
	return table
}()

// sipParts are the parts of a SIP URI as they stand in its text, without what separates them.
type sipParts struct {
	user, password, host, port, params, headers string
}

// scanSIP reads s by the grammar of RFC 3261, section 25.1, and if dial is set by the vendor's rules too.
// It notes one problem for each part that has one; the parts are those of s if there is none. Of a URI that is
// longer than any that can be dialled, what is too long is not read.
//
//	SIP-URI = "sip:" [ userinfo ] hostport uri-parameters [ headers ]
func scanSIP(s string, dial bool, found *problems) (parts sipParts) {
	scheme := sipScheme(s)
	switch {
	case scheme > 0:
	case schemeLen(s) > 0:
		found.add(RuleSchemeUnknown, 0, schemeLen(s), "found an unknown scheme, want sip: or sips:")
		return
	default:
		found.add(RuleSchemeMissing, 0, 0, "the scheme is missing, want sip: or sips: in front")
		return
	}
	host, query := findParts(s, scheme, dial)
	unread := dial && len(s) > maxRead // what is too long is not read
	if dial && query > maxURI {
		found.add(RuleSIPLength, maxURI, query-maxURI, "found more than 254 bytes before the headers, want a shorter SIP URI")
	}
	if uri := s[:query]; !unread || query <= maxURI {
		if host > scheme {
			parts.user, parts.password = scanUserinfo(s[:host-1], scheme, dial, found)
		}
		port := scanHost(uri, host, dial, found)
		params := scanPort(uri, port, found)
		scanParams(uri, params, dial, found)
		parts.host = uri[host:port]
		parts.port = strings.TrimPrefix(uri[port:params], ":")
		parts.params = strings.TrimPrefix(uri[params:], ";")
	}
	if query == len(s) {
		return parts
	}
	parts.headers = s[query+1:]
	if over := len(parts.headers) - maxHeaders; dial && over > 0 {
		found.add(RuleHeaderLength, len(s)-over, over, "found more than 1023 bytes of headers, want fewer")
	}
	if !unread || len(parts.headers) <= maxHeaders {
		scanHeaders(s, query+1, dial, found)
	}
	return parts
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

// findParts returns where s has its host and the "?" of its headers, or len(s) if it has none. An "@" can
// stand nowhere but behind the userinfo, and the first "?" behind it starts the headers; in the user before
// it, a "?" is a character like any other. In a URI to be dialled, it looks no further than clip.
func findParts(s string, scheme int, dial bool) (host, query int) {
	text := s
	if dial {
		text = clip(s)
	}
	host = max(scheme, strings.IndexByte(text, '@')+1)
	if n := strings.IndexByte(text[host:], '?'); n >= 0 {
		return host, host + n
	}
	return host, len(s)
}

// scanUserinfo reads s from start as what stands before an "@".
//
//	userinfo = ( user / telephone-subscriber ) [ ":" password ] "@"
//
// A telephone-subscriber is read as a user: what it may hold beyond that is to be escaped (section 19.1.6).
func scanUserinfo(s string, start int, dial bool, found *problems) (user, password string) {
	raw, allowed := sipUser, octet
	if dial {
		raw, allowed = dialledUser, printable
	}
	end, bad := component(s, start, raw, allowed)
	colon := end
	if end < len(s) && s[end] != ':' {
		colon = next(s, end, ":")
	}
	switch {
	case colon == start:
		found.add(RuleSIPUser, start, 0, "the user is empty, want one before the @ or no @")
	case end < colon && s[end] == '?':
		found.add(RuleSIPUser, end, 1, "found '?' before the @, so that the host is the one behind it, want %3F in a user and %40 in a header")
	case end < colon:
		addBytes(RuleSIPUser, s[:colon], end, raw, "the user", found)
	case bad >= 0:
		found.add(RuleSIPUser, bad, escapes(s, bad, allowed)-bad, "found an escaped control character in the user")
	}
	if colon == len(s) {
		return s[start:], ""
	}
	if dial {
		found.add(RuleSIPPassword, colon, len(s)-colon, "found a password, which would end up in logs; use the request's SipAuthUsername and SipAuthPassword")
	} else if end, _ := component(s, colon+1, sipPassword, octet); end < len(s) {
		addBytes(RuleSIPPassword, s, end, sipPassword, "the password", found)
	}
	return s[start:colon], s[colon+1:]
}

// scanHost reads the host at start and returns its end: the ":" of a port, the ";" of parameters or len(s).
//
//	host          = hostname / IPv4address / IPv6reference
//	IPv6reference = "[" IPv6address "]"
func scanHost(s string, start int, dial bool, found *problems) (end int) {
	end, ok := scanHostname(s, start)
	if end == start && end < len(s) && s[end] == '[' {
		end += strings.IndexByte(s[end:], ']') + 1
		if end == start {
			found.add(RuleSIPHost, start, len(s)-start, "found [ without the ] that ends an IPv6 address")
			return len(s)
		}
	}
	if end < len(s) && s[end] != ':' && s[end] != ';' {
		bad := end
		end = next(s, end, ":;")
		message := "found " + describe(s[bad]) + " in the host, want a DNS name or an IP address"
		if s[bad] == '&' {
			message += "; parameters are joined with ;"
		}
		found.add(RuleSIPHost, bad, max(1, runNot(s[:end], bad, sipHost)-bad), message)
		return end
	}
	host := s[start:end]
	if ok {
		if dial {
			checkDomain(s, start, end, found)
		}
		return end
	}
	addr, isAddr := parseAddr(host)
	switch {
	case host == "":
		found.add(RuleSIPHost, start, 0, "the host is missing")
	case !isAddr:
		found.add(RuleSIPHost, start, len(host), "the host is neither a DNS name nor an IP address (IPv6 in brackets, without a zone)")
	case dial && isPrivate(addr):
		found.add(RuleSIPPrivate, start, len(host), "the host is a private or reserved IP address, want one that the vendor can reach")
	}
	return end
}

// scanHostname returns the end of the DNS name that starts at i, and whether it is one.
//
//	hostname    = *( domainlabel "." ) toplabel [ "." ]
//	domainlabel = alphanum / alphanum *( alphanum / "-" ) alphanum
//	toplabel    = ALPHA / ALPHA *( alphanum / "-" ) alphanum
func scanHostname(s string, i int) (end int, ok bool) {
	ok = true
	label, top := i, -1
	for ; ; i++ {
		if i < len(s) && s[i] != '.' && classes[s[i]]&sipHost != 0 {
			continue
		}
		last := i == len(s) || s[i] != '.'
		switch {
		case i > label:
			ok = ok && s[label] != '-' && s[i-1] != '-'
			top = label
		case !last || top < 0:
			ok = false
		}
		if last {
			return i, ok && classes[s[top]]&alpha != 0
		}
		label = i + 1
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

// sharedSpace is that of carrier-grade NAT: RFC 6598.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// isPrivate reports whether the vendor refuses to dial addr. Documentation space is not private.
func isPrivate(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsMulticast() ||
		addr.IsUnspecified() || sharedSpace.Contains(addr) || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// checkDomain finds what is wrong with the DNS name at s[start:end] if it is one of the vendor's SIP domains:
// NAME.sip.twilio.com, or NAME.sip.R.twilio.com with a region or an edge R.
func checkDomain(s string, start, end int, found *problems) {
	name, ok := cutSuffixFold(strings.TrimSuffix(s[start:end], "."), ".twilio.com")
	if !ok {
		return
	}
	edge := ""
	if _, ok := cutSuffixFold(name, ".sip"); !ok {
		edge = name[strings.LastIndexByte(name, '.')+1:]
		if _, ok := cutSuffixFold(name[:len(name)-len(edge)], ".sip."); !ok {
			return
		}
	}
	if s[start-1] != '@' {
		found.add(RuleSIPDomainUser, start, 0, "a Twilio SIP domain needs a user in front: sip:user@domain")
	}
	if edge != "" && !equalFold(edge, "us1") && !equalFold(edge, "us1-ix") {
		found.add(RuleSIPDomainEdge, start+len(name)-len(edge), len(edge), "a Twilio SIP domain is dialled without a region or edge, or with us1")
	}
}

// scanPort reads the port at i, if there is one, and returns its end: the ";" of parameters or len(s).
//
//	port = 1*DIGIT
func scanPort(s string, i int, found *problems) (end int) {
	if i == len(s) || s[i] != ':' {
		return i
	}
	i++
	end = next(s, i, ";")
	if parsePort(s[i:end]) == 0 {
		found.add(RuleSIPPort, i, end-i, "the port is no number from 1 to 65535; an IPv6 address goes in brackets")
	}
	return end
}

// parsePort returns the port that s names, or 0.
func parsePort(s string) uint16 {
	port, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(port)
}

// scanParams reads the parameters from i to the end of s. In a URI that is too long to be dialled, it does
// not look for repeats: the work would grow with the length.
//
//	uri-parameters = *( ";" uri-parameter )
func scanParams(s string, i int, dial bool, found *problems) {
	if i == len(s) {
		return
	}
	var names *paramNames
	if strings.Count(s[i:], ";") > 1 && (!dial || len(s) <= maxURI) {
		names = &paramNames{text: s, first: i + 1}
	}
	for i < len(s) && !found.full() {
		i = scanParam(s, i+1, dial, names, found)
	}
}

// scanParam reads the parameter at start and returns its end: the ";" of the next or len(s).
//
//	other-param = pname [ "=" pvalue ]
//	pname       = 1*paramchar
//	pvalue      = 1*paramchar
func scanParam(s string, start int, dial bool, names *paramNames, found *problems) (end int) {
	allowed := octet
	if dial {
		allowed = printable
	}
	end, bad := component(s, start, sipParam, allowed)
	name, value, equals := s[start:end], end, false
	if end < len(s) && s[end] == '=' {
		equals = true
		value = end + 1
		var badValue int
		if end, badValue = component(s, value, sipParam, allowed); bad < 0 {
			bad = badValue
		}
	}
	switch {
	case end < len(s) && s[end] != ';':
		bad, end = end, next(s, end, ";")
		addBytes(RuleSIPParam, s[:end], bad, sipParam, "a URI parameter (; joins them)", found)
	case name == "":
		found.add(RuleSIPParam, start, 0, "a URI parameter has no name, want name or name=value after each ;")
	case equals && value == end:
		found.add(RuleSIPParam, end, 0, "a URI parameter has nothing after its =, want a value or no =")
	case names != nil && names.repeated(start, name):
		found.add(RuleSIPParam, start, len(name), "the same URI parameter stands before this one, want it once")
	case bad >= 0:
		found.addBasis(Assumed, RuleSIPParam, bad, escapes(s, bad, allowed)-bad, "found an escaped control character in a URI parameter")
	case dial:
		checkParam(name, s[value:end], value, found)
	}
	return end
}

// checkParam finds what is wrong with the value at offset off of the parameter name, where the vendor has a list.
func checkParam(name, value string, off int, found *problems) {
	switch {
	case isWord(name, "transport"):
		if !isWord(value, "udp") && !isWord(value, "tcp") && !isWord(value, "tls") {
			found.add(RuleSIPTransport, off, len(value), "the transport is another than udp, tcp or tls; parameters are joined with ;")
		}
	case isWord(name, "secure"):
		if !isWord(value, "true") && !isWord(value, "false") {
			found.add(RuleSIPSecure, off, len(value), "the secure parameter is another than true or false; parameters are joined with ;")
		}
	}
}

// paramNames knows the names of the parameters of text that were read so far.
type paramNames struct {
	text  string
	first int // where the first name starts
	// The FNV-1a hashes of n names. A name takes two bytes of a URI that can be dialled, so that they fit.
	hashes [maxURI / 2]uint32
	n      int
	all    map[string]struct{} // the names themselves, if text is longer than that
}

// repeated adds the name at start and reports whether it was there already. It allocates nothing for a URI
// that can be dialled.
func (p *paramNames) repeated(start int, name string) bool {
	if len(p.text) > maxURI {
		key := []byte(unescape(name))
		for i, c := range key {
			key[i] = lower(c)
		}
		if p.all == nil {
			p.all = make(map[string]struct{})
		}
		_, there := p.all[string(key)]
		p.all[string(key)] = struct{}{}
		return there
	}
	hash := uint32(2166136261)
	for i := 0; i < len(name); {
		c, width := decode(name, i)
		hash = (hash ^ uint32(lower(c))) * 16777619
		i += width
	}
	if !slices.Contains(p.hashes[:p.n], hash) {
		p.hashes[p.n] = hash
		p.n++
		return false
	}
	for i := p.first; i < start; {
		end := next(p.text, i, ";")
		if earlier, _, _ := strings.Cut(p.text[i:end], "="); equalUnescaped(earlier, name) {
			return true
		}
		i = end + 1
	}
	return false
}

// scanHeaders reads the headers from i to the end of s.
//
//	headers = "?" header *( "&" header )
func scanHeaders(s string, i int, dial bool, found *problems) {
	for {
		i = scanHeader(s, i, dial, found) + 1
		if i > len(s) || found.full() {
			return
		}
	}
}

// scanHeader reads the header at start and returns its end: the "&" of the next or len(s).
//
//	header = hname "=" hvalue
//	hname  = 1*( hnv-unreserved / unreserved / escaped )
//	hvalue = *( hnv-unreserved / unreserved / escaped )
func scanHeader(s string, start int, dial bool, found *problems) (end int) {
	inName, inValue := octet, octet
	if dial {
		inName, inValue = token, visible
	}
	end, badName := component(s, start, sipHeader, inName)
	name, badValue := s[start:end], -1
	equals := end < len(s) && s[end] == '='
	if equals {
		end, badValue = component(s, end+1, sipHeader, inValue)
	}
	switch {
	case end < len(s) && s[end] != '&':
		bad := end
		end = next(s, end, "&")
		if strings.HasPrefix(s[start-1:], "&amp;") {
			found.add(RuleHeaderTwiML, start-1, len("&amp;"), "found &amp; between headers, want &: XML escaping belongs to TwiML")
		} else {
			addBytes(RuleHeaderSyntax, s[:end], bad, sipHeader, "a header (& joins them)", found)
		}
	case name == "":
		found.add(RuleHeaderSyntax, start, 0, "a header has no name, want name=value")
	case !equals:
		found.add(RuleHeaderSyntax, end, 0, "a header has no =, want name=value; an & in a value is escaped as %26")
	case dial:
		checkHeader(s[:end], start, name, badName, badValue, found)
	}
	return end
}

// checkHeader finds what is wrong with the well-formed header name at the end of s, which starts at start. Offsets of
// escapes that may not stand in the name or in the value are given, or -1.
func checkHeader(s string, start int, name string, badName, badValue int, found *problems) {
	if raw := start + run(name, 0, token); raw < start+len(name) && (badName < 0 || raw < badName) {
		badName = raw
	}
	switch {
	case badName >= 0:
		c, width := decode(s, badName)
		found.add(RuleHeaderName, badName, width, "found "+describe(c)+" in the name of a header, want letters, digits and - . ! % * _ + ` ' ~")
	case !isDelivered(name):
		found.add(RuleHeaderAllowed, start, len(name), "the vendor leaves this header out, want X-... (not X-Twilio...), User-to-User, Remote-Party-ID, P-Preferred-Identity or P-Called-Party-ID")
	case badValue >= 0:
		c, _ := decode(s, badValue)
		found.add(RuleHeaderValue, badValue, escapes(s, badValue, visible)-badValue, "found "+describe(c)+" in the value of a header, want printable ASCII")
	}
}

// isDelivered reports whether the vendor puts a header of that name, which may have escapes, into its INVITE.
func isDelivered(name string) bool {
	if rest, ok := cutUnescaped(name, "x-"); ok {
		_, reserved := cutUnescaped(rest, "twilio")
		return !reserved
	}
	return isWord(name, "user-to-user") || isWord(name, "remote-party-id") ||
		isWord(name, "p-preferred-identity") || isWord(name, "p-called-party-id")
}

// suggestSIP returns the candidate for a refused SIP URI: with the scheme that is missing, with & for &amp;, or
// with ; between parameters. "" is none.
func suggestSIP(s string) string {
	scheme := sipScheme(s)
	if scheme == 0 {
		if schemeLen(s) > 0 || strings.IndexByte(s, '@') < 0 {
			return ""
		}
		return "sip:" + s
	}
	host, query := findParts(s, scheme, false)
	if headers := strings.ReplaceAll(s[query:], "&amp;", "&"); len(headers) < len(s)-query {
		return s[:query] + headers
	}
	for i, part := range strings.Split(s[host:query], "&") {
		if name, _, _ := strings.Cut(part, ";"); i > 0 && !strings.Contains(name, "=") {
			return "" // perhaps part of a value
		}
	}
	return s[:host] + strings.ReplaceAll(s[host:query], "&", ";") + s[query:]
}

// component returns the end of the run from i of bytes that are in raw and of escapes, and the offset of the
// first escape for a byte that is not in allowed, or -1.
//
//	escaped = "%" HEXDIG HEXDIG
func component(s string, i int, raw, allowed class) (end, bad int) {
	bad = -1
	for i < len(s) {
		if classes[s[i]]&raw != 0 {
			i++
			continue
		}
		c, width := decode(s, i)
		if width == 1 {
			break
		}
		if classes[c]&allowed == 0 && bad < 0 {
			bad = i
		}
		i += width
	}
	return i, bad
}

// decode returns the byte at i, where an escape stands for the byte it decodes to, and how many bytes it takes:
// 3 for an escape, 1 for any other, a % that starts none among them.
func decode(s string, i int) (c byte, width int) {
	if s[i] != '%' || len(s)-i < 3 || classes[s[i+1]]&hexdig == 0 || classes[s[i+2]]&hexdig == 0 {
		return s[i], 1
	}
	return unhex(s[i+1])<<4 | unhex(s[i+2]), 3
}

// unhex returns the value of a hex digit: '0' is 0x30, 'A' 0x41, 'a' 0x61.
func unhex(c byte) byte { return c&15 + c>>6*9 }

// unescape returns s decoded once. It allocates only if s has an escape.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	var buf [64]byte // on the stack; most values fit
	b := buf[:0]
	for i := 0; i < len(s); {
		c, width := decode(s, i)
		b = append(b, c)
		i += width
	}
	return string(b)
}

// splitFields returns the decoded fields of s, name=value or name, joined with separator; nil if s is empty.
func splitFields(s, separator string) []Field {
	if s == "" {
		return nil
	}
	fields := make([]Field, 0, strings.Count(s, separator)+1)
	for field := range strings.SplitSeq(s, separator) {
		name, value, _ := strings.Cut(field, "=")
		fields = append(fields, Field{unescape(name), unescape(value)})
	}
	return fields
}

// run returns the end of the run from i of bytes that are in c.
func run(s string, i int, c class) int {
	for i < len(s) && classes[s[i]]&c != 0 {
		i++
	}
	return i
}

// runNot returns the end of the run from i of bytes that are not in c.
func runNot(s string, i int, c class) int {
	for i < len(s) && classes[s[i]]&c == 0 {
		i++
	}
	return i
}

// escapes returns the end of the run from i of escapes for bytes that are not in allowed.
func escapes(s string, i int, allowed class) int {
	for i < len(s) {
		c, width := decode(s, i)
		if width == 1 || classes[c]&allowed != 0 {
			break
		}
		i += width
	}
	return i
}

// next returns the offset of the first byte from i that is in chars, or len(s).
func next(s string, i int, chars string) int {
	if n := strings.IndexAny(s[i:], chars); n >= 0 {
		return i + n
	}
	return len(s)
}

// addBytes refuses what stands at i, in a part of the URI that ends with s: bytes that are not in raw, or a %
// that starts no escape.
func addBytes(rule Rule, s string, i int, raw class, part string, found *problems) {
	end := min(runNot(s, i, raw), next(s, i, "%"))
	switch c := s[i]; {
	case c == '%':
		found.add(rule, i, 1, "found a % without two hex digits in "+part+", want %25 for a %")
	case classes[c]&visible != 0:
		escape := string(appendEscaped(nil, s[i:i+1], 0))
		found.add(rule, i, end-i, "found "+describe(c)+" in "+part+", want it escaped: "+escape)
	default:
		found.add(rule, i, end-i, "found "+describe(c)+" in "+part)
	}
}

// lower returns c with an ASCII letter in lower case.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// cutUnescaped returns s without prefix, and whether it starts with it once unescaped, in any case. The
// prefix is in lower case, without escapes.
func cutUnescaped(s, prefix string) (rest string, ok bool) {
	i := 0
	for j := range len(prefix) {
		if i == len(s) {
			return s, false
		}
		c, width := s[i], 1
		if c == '%' {
			c, width = decode(s, i)
		}
		if lower(c) != prefix[j] {
			return s, false
		}
		i += width
	}
	return s[i:], true
}

// isWord reports whether s is word once unescaped, in any case. The word is in lower case, without escapes.
func isWord(s, word string) bool {
	rest, ok := cutUnescaped(s, word)
	return ok && rest == ""
}

// equalUnescaped reports whether a and b are equal once unescaped, in any case.
func equalUnescaped(a, b string) bool {
	for len(a) > 0 && len(b) > 0 {
		c, n := decode(a, 0)
		d, m := decode(b, 0)
		if lower(c) != lower(d) {
			return false
		}
		a, b = a[n:], b[m:]
	}
	return a == b
}

// equalFold reports whether a and b are equal in any case. As they are of the same length in bytes, and b is
// ASCII, no letter beyond ASCII that folds to one of b's can make them so.
func equalFold(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// hasPrefixFold reports whether s starts with prefix, in any case.
func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && equalFold(s[:len(prefix)], prefix)
}

// cutSuffixFold returns s without suffix, and whether it ends with it, in any case.
func cutSuffixFold(s, suffix string) (rest string, ok bool) {
	n := len(s) - len(suffix)
	if n < 0 || !equalFold(s[n:], suffix) {
		return s, false
	}
	return s[:n], true
}
