package callparams

import (
	"encoding"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"strconv"
	"strings"
)

// A Code is one of Twilio's error codes. It implements error, so that
// errors.Is(err, callparams.CodeInvalidFrom) reports whether err has a problem with that code.
type Code int

// Twilio's codes for what this package refuses. Each has a page: see [Code.DocsURL].
const (
	CodePrivateAddress   Code = 13254 // a SIP URI dials a private address
	CodeToRequired       Code = 21201 // To is empty
	CodeInvalidTo        Code = 21211 // To is malformed
	CodeInvalidFrom      Code = 21212 // From is not a user name, a number or a client identity
	CodeFromRequired     Code = 21213 // From is empty
	CodeNotPermitted     Code = 21215 // the account or the program must not call To
	CodeHeaderLength     Code = 21227 // the headers of a SIP URI are too long
	CodeHeaderName       Code = 21228 // the name of a header is not a token
	CodeHeaderValue      Code = 21229 // the value of a header has a forbidden byte
	CodeHeaderSyntax     Code = 32110 // a header is not name=value
	CodeHeaderNotAllowed Code = 32113 // a header is not on Twilio's list
	CodeSIPParameter     Code = 32114 // Twilio does not know the value of a URI parameter
	CodeSIPDomainEdge    Code = 32220 // a SIP domain is dialed through the wrong region or edge
	CodeSIPDomainUser    Code = 32223 // a SIP domain is dialed without a user
)

// Error returns the code in words, such as "Twilio error 21212".
func (c Code) Error() string { return "Twilio error " + strconv.Itoa(int(c)) }

// DocsURL returns the address of Twilio's page about the code. For 0, which is the code of a
// warning, it returns that of Twilio's list of codes.
func (c Code) DocsURL() string {
	if c == 0 {
		return "https://www.twilio.com/docs/api/errors"
	}
	return "https://www.twilio.com/docs/errors/" + strconv.Itoa(int(c))
}

// LogValue returns the number. Without it, log/slog would write some codes as numbers and others
// as the text of Error.
func (c Code) LogValue() slog.Value { return slog.IntValue(int(c)) }

// A Basis says how it is known that Twilio behaves as a rule says. The zero Basis belongs to rules
// that this package does not know.
type Basis uint8

const (
	// Documented means that Twilio's own pages say so.
	Documented Basis = iota + 1

	// Observed means that it was seen in requests and answers, but is not documented.
	Observed

	// Assumed means that Twilio's pages are silent and this package takes the safe side.
	Assumed

	// Configured means that the program itself asks for the rule, with [Parser.Destinations].
	Configured
)

// String returns "documented", "observed", "assumed" or "configured", and "unknown" for any other
// Basis.
func (b Basis) String() string {
	switch b {
	case Documented:
		return "documented"
	case Observed:
		return "observed"
	case Assumed:
		return "assumed"
	case Configured:
		return "configured"
	}
	return "unknown"
}

// MarshalText returns String, but "" instead of "unknown". The error is always nil.
func (b Basis) MarshalText() ([]byte, error) { return marshalWord(b) }

// UnmarshalText sets b to the Basis that MarshalText writes as text: a word in lower case, or ""
// for the zero Basis. Any other text is an error, and leaves b unchanged.
func (b *Basis) UnmarshalText(text []byte) error {
	if unmarshalWord(text, b, 0, Documented, Observed, Assumed, Configured) {
		return nil
	}
	return errors.New("callparams: the basis must be documented, observed, assumed or configured")
}

// marshalWord returns the word of w, and "" if w has the String of the zero W, as net/netip does.
func marshalWord[W interface{ String() string }](w W) ([]byte, error) {
	var zero W
	if w.String() == zero.String() {
		return []byte{}, nil
	}
	return []byte(w.String()), nil
}

// unmarshalWord sets *w to the one of all that MarshalText writes as text, and reports whether
// there is one.
func unmarshalWord[W encoding.TextMarshaler](text []byte, w *W, all ...W) bool {
	for _, value := range all {
		if word, _ := value.MarshalText(); string(word) == string(text) {
			*w = value
			return true
		}
	}
	return false
}

// A Rule identifies what is wrong with a value, such as "from.user". It stays the same in every
// release; the wording of messages may change. It implements error, so that
// errors.Is(err, callparams.RuleFromUser) reports whether err has such a problem.
type Rule string

// The rules. [Rules] lists them with their codes, basis and summary.
const (
	// RuleFromRequired refuses an empty From.
	RuleFromRequired Rule = "from.required"

	// RuleValueWrapped refuses white space, quotation marks or <...> around a value, and an
	// apostrophe in front of it.
	RuleValueWrapped Rule = "value.wrapped"

	// RuleFromUser refuses a From that is a SIP address: it has an @ or starts with sip: or sips:.
	RuleFromUser Rule = "from.user"

	// RuleFromPhone refuses a From that is not a phone number if To is one, or that is of another
	// country than the emergency number in To.
	RuleFromPhone Rule = "from.phone"

	// RuleUserChar refuses a byte that a user name cannot have.
	RuleUserChar Rule = "user.char"

	// RuleUserLength refuses a user name of more than 256 bytes.
	RuleUserLength Rule = "user.length"

	// RuleToRequired refuses an empty To.
	RuleToRequired Rule = "to.required"

	// RuleSchemeUnknown refuses a scheme that the parameter does not accept, such as tel:.
	RuleSchemeUnknown Rule = "scheme.unknown"

	// RuleSchemeMissing refuses user@host without sip: or sips: in front.
	RuleSchemeMissing Rule = "scheme.missing"

	// RuleSchemeSlashes refuses the // of sip:// and sips://.
	RuleSchemeSlashes Rule = "scheme.slashes"

	// RulePhoneEmergency refuses an emergency number, unless [Parser.Emergency] is set.
	RulePhoneEmergency Rule = "phone.emergency"

	// RulePhonePlus refuses a phone number that does not start with +.
	RulePhonePlus Rule = "phone.plus"

	// RulePhoneZero refuses a phone number with a 0 after the +.
	RulePhoneZero Rule = "phone.zero"

	// RulePhoneChar refuses anything but ASCII digits after the + of a phone number.
	RulePhoneChar Rule = "phone.char"

	// RulePhoneLength refuses a phone number that does not have a valid length.
	RulePhoneLength Rule = "phone.length"

	// RulePhoneWithheld refuses a number that stands for a withheld caller ID.
	RulePhoneWithheld Rule = "phone.withheld"

	// RulePhoneCountry refuses a calling code that is not assigned.
	RulePhoneCountry Rule = "phone.country"

	// RulePhoneTrunk refuses the 0 of a national number after the calling code.
	RulePhoneTrunk Rule = "phone.trunk"

	// RulePhoneAssigned refuses a number outside the assigned ranges, at [Assigned] only.
	RulePhoneAssigned Rule = "phone.assigned"

	// RulePhoneDestination refuses a number in To that [Parser.Destinations] does not allow.
	RulePhoneDestination Rule = "phone.destination"

	// RuleSameParty refuses a To that is the same phone number as From.
	RuleSameParty Rule = "same.party"

	// RuleClientLength refuses a client name that is empty or has more than 256 bytes.
	RuleClientLength Rule = "client.length"

	// RuleClientChar refuses a byte that a client name cannot have.
	RuleClientChar Rule = "client.char"

	// RuleClientParams refuses malformed parameters of a client, and any in From.
	RuleClientParams Rule = "client.params"

	// RuleSIPUser refuses a user of a SIP URI that is malformed or has a raw ? ; & / or comma.
	RuleSIPUser Rule = "sip.user"

	// RuleSIPPassword refuses a password in a SIP URI.
	RuleSIPPassword Rule = "sip.password"

	// RuleSIPHost refuses a host that is missing or malformed.
	RuleSIPHost Rule = "sip.host"

	// RuleSIPPort refuses a port that is not a number from 1 to 65535.
	RuleSIPPort Rule = "sip.port"

	// RuleSIPParam refuses a URI parameter that is malformed or appears twice.
	RuleSIPParam Rule = "sip.param"

	// RuleSIPTransport refuses a transport other than udp, tcp and tls.
	RuleSIPTransport Rule = "sip.transport"

	// RuleSIPSecure refuses a secure parameter other than true and false.
	RuleSIPSecure Rule = "sip.secure"

	// RuleSIPPrivate refuses an IP address that Twilio cannot reach, and localhost, also as maddr.
	RuleSIPPrivate Rule = "sip.private"

	// RuleSIPDomainUser refuses a Twilio SIP domain without a user.
	RuleSIPDomainUser Rule = "sip.domain.user"

	// RuleSIPDomainEdge refuses a Twilio SIP domain with a region or edge other than us1.
	RuleSIPDomainEdge Rule = "sip.domain.edge"

	// RuleSIPLength refuses a SIP URI with more than 254 bytes before the ?. If it is tolerated,
	// and in [ParseSIPURI], it refuses only one of more than 65535 bytes in all.
	RuleSIPLength Rule = "sip.length"

	// RuleHeaderLength refuses a SIP URI with more than 1023 bytes after the ?. If it is tolerated,
	// it refuses only one of more than 65535 bytes in all.
	RuleHeaderLength Rule = "header.length"

	// RuleHeaderSyntax refuses a header that is not name=value.
	RuleHeaderSyntax Rule = "header.syntax"

	// RuleHeaderTwiML refuses &amp; between headers.
	RuleHeaderTwiML Rule = "header.twiml"

	// RuleHeaderName refuses a header whose name is not a token of RFC 3261.
	RuleHeaderName Rule = "header.name"

	// RuleHeaderAllowed refuses a header that Twilio leaves out of the call.
	RuleHeaderAllowed Rule = "header.allowed"

	// RuleHeaderValue refuses a control character or a byte outside ASCII in the value of a header.
	RuleHeaderValue Rule = "header.value"

	// RuleSourceDomain refuses to move the domain of From, in [Request.MoveSourceDomain] only.
	RuleSourceDomain Rule = "source.domain"
)

// The rules of warnings: see [Rule.Warning].
const (
	// RuleSIPSRewritten warns of sips:, which Twilio sends as sip: with transport=tls.
	RuleSIPSRewritten Rule = "sips.rewritten"

	// RuleSIPSecureTransport warns of secure=true beside a transport that is not encrypted.
	RuleSIPSecureTransport Rule = "sip.secure.transport"

	// RuleSIPEdgeUnknown warns of an edge or a region that is on no list of Twilio.
	RuleSIPEdgeUnknown Rule = "sip.edge.unknown"

	// RuleSIPEdgeIgnored warns of edge, region and tnx beside a Twilio SIP domain.
	RuleSIPEdgeIgnored Rule = "sip.edge.ignored"

	// RuleSIPDomainRegion warns of a Twilio SIP domain with us1 or us1-ix, which is deprecated.
	RuleSIPDomainRegion Rule = "sip.domain.region"

	// RuleSIPTnx warns of the tnx parameter, which is deprecated.
	RuleSIPTnx Rule = "sip.tnx"

	// RuleSIPMaddr warns of a maddr parameter.
	RuleSIPMaddr Rule = "sip.maddr"

	// RuleSIPIPv6 warns of an IPv6 host.
	RuleSIPIPv6 Rule = "sip.ipv6"

	// RuleHeaderPlus warns of a raw + in the value of a header: it arrives as a plus.
	RuleHeaderPlus Rule = "header.plus"

	// RuleHeaderEscaped warns of a value that looks escaped after it is decoded.
	RuleHeaderEscaped Rule = "header.escaped"

	// RuleClientPortable warns of a client name that mobile SDKs do not take.
	RuleClientPortable Rule = "client.portable"

	// RuleClientSize warns of client parameters of more than 800 bytes.
	RuleClientSize Rule = "client.size"

	// RulePhoneUnassigned warns of a To in no range that the metadata lists as assigned.
	RulePhoneUnassigned Rule = "phone.unassigned"

	// RulePhoneCostly warns of a To that costs more than most numbers.
	RulePhoneCostly Rule = "phone.costly"

	// RuleFromTollFree warns of a toll-free From beside a phone number.
	RuleFromTollFree Rule = "from.tollfree"

	// RuleFromClient warns of a client in From beside a SIP URI.
	RuleFromClient Rule = "from.client"
)

// A ruleRow is what the package knows about a rule.
type ruleRow struct {
	rule     Rule
	from, to Code // 0 if the rule cannot be broken in that parameter
	basis    Basis
	summary  string
}

// rules lists every rule.
var rules = [...]ruleRow{
	{RuleFromRequired, CodeFromRequired, 0, Documented,
		"From is empty"},
	{RuleValueWrapped, CodeInvalidFrom, CodeInvalidTo, Assumed,
		"white space, quotation marks or <...> stand around the value, or an apostrophe before it"},
	{RuleFromUser, CodeInvalidFrom, 0, Documented,
		"From has an @ (in a client name, this is assumed) or starts with sip: or sips:; it " +
			"must be a user name, a number or a client"},
	{RuleFromPhone, CodeInvalidFrom, 0, Documented,
		"To is a phone number but From is not; or To is an emergency number and From is of " +
			"another country (this part is assumed)"},
	{RuleUserChar, CodeInvalidFrom, 0, Documented,
		"a user name has a byte other than A-Z a-z 0-9 + - _ ."},
	{RuleUserLength, CodeInvalidFrom, 0, Assumed,
		"a user name is longer than 256 bytes"},
	{RuleToRequired, 0, CodeToRequired, Documented,
		"To is empty"},
	{RuleSchemeUnknown, CodeInvalidFrom, CodeInvalidTo, Documented,
		"the parameter does not accept the scheme of the value, such as tel: (for whatsapp:, " +
			"this is assumed)"},
	{RuleSchemeMissing, 0, CodeInvalidTo, Documented,
		"user@host does not start with sip: or sips:"},
	{RuleSchemeSlashes, 0, CodeInvalidTo, Assumed,
		"a SIP URI has // after its scheme"},
	{RulePhoneEmergency, 0, CodeInvalidTo, Assumed,
		"To is an emergency number, and the parser does not allow those"},
	{RulePhonePlus, CodeInvalidFrom, CodeInvalidTo, Documented,
		"a phone number does not start with +"},
	{RulePhoneZero, CodeInvalidFrom, CodeInvalidTo, Documented,
		"a phone number has a 0 after the +; calling codes do not start with 0"},
	{RulePhoneChar, CodeInvalidFrom, CodeInvalidTo, Documented,
		"a phone number has something other than ASCII digits after the +"},
	{RulePhoneLength, CodeInvalidFrom, CodeInvalidTo, Documented,
		"a phone number has fewer than 2 or more than 15 digits, or not a valid length for its " +
			"calling code (this part is assumed)"},
	{RulePhoneWithheld, CodeInvalidFrom, CodeInvalidTo, Assumed,
		"the number stands for a withheld caller ID, such as +266696687, which spells ANONYMOUS"},
	{RulePhoneCountry, CodeInvalidFrom, CodeInvalidTo, Assumed,
		"the calling code is not assigned"},
	{RulePhoneTrunk, CodeInvalidFrom, CodeInvalidTo, Assumed,
		"the number keeps the 0 of a national number after its calling code"},
	{RulePhoneAssigned, CodeInvalidFrom, CodeInvalidTo, Assumed,
		"the number is not in an assigned range (at the level Assigned only)"},
	{RulePhoneDestination, 0, CodeNotPermitted, Configured,
		"the program's own list of destinations does not allow the number"},
	{RuleSameParty, 0, CodeInvalidTo, Documented,
		"From and To are the same phone number"},
	{RuleClientLength, CodeInvalidFrom, CodeInvalidTo, Documented,
		"a client name is empty or longer than 256 bytes"},
	{RuleClientChar, CodeInvalidFrom, CodeInvalidTo, Documented,
		"a client name has a control character, a space, one of < > # % \" { } | \\ ^ [ ] ` ? & " +
			"or a byte that is not ASCII (this part is assumed)"},
	{RuleClientParams, CodeInvalidFrom, CodeInvalidTo, Documented,
		"the parameters of a client are not name=value pairs joined with &, or stand in From"},
	{RuleSIPUser, 0, CodeInvalidTo, Assumed,
		"the user of a SIP URI is empty or malformed, or has a control character or a raw ? ; & " +
			"/ or comma (a ; may follow a telephone number)"},
	{RuleSIPPassword, 0, CodeInvalidTo, Assumed,
		"a SIP URI has a password"},
	{RuleSIPHost, 0, CodeInvalidTo, Documented,
		"the host of a SIP URI is missing, or is not a DNS name or an IP address (for an " +
			"underscore, this is assumed)"},
	{RuleSIPPort, 0, CodeInvalidTo, Documented,
		"the port of a SIP URI is not a number from 1 to 65535"},
	{RuleSIPParam, 0, CodeInvalidTo, Documented,
		"a URI parameter is malformed, appears twice, or has a control character (this part is " +
			"assumed)"},
	{RuleSIPTransport, 0, CodeSIPParameter, Documented,
		"the transport parameter is not udp, tcp or tls"},
	{RuleSIPSecure, 0, CodeSIPParameter, Documented,
		"the secure parameter is not true or false"},
	{RuleSIPPrivate, 0, CodePrivateAddress, Documented,
		"the host is an IP address that is not globally reachable, such as a private one (but " +
			"addresses for documentation are accepted); or the host is localhost, or a maddr " +
			"parameter is such a host (these parts are assumed)"},
	{RuleSIPDomainUser, 0, CodeSIPDomainUser, Documented,
		"a Twilio SIP domain is dialed without a user"},
	{RuleSIPDomainEdge, 0, CodeSIPDomainEdge, Documented,
		"a Twilio SIP domain is dialed through a region or edge other than us1"},
	{RuleSIPLength, 0, CodeInvalidTo, Documented,
		"a SIP URI has more than 254 bytes before the ? (the code is assumed)"},
	{RuleHeaderLength, 0, CodeHeaderLength, Documented,
		"a SIP URI has more than 1023 bytes after the ?"},
	{RuleHeaderSyntax, 0, CodeHeaderSyntax, Documented,
		"a header is not name=value, or has a byte that must be escaped"},
	{RuleHeaderTwiML, 0, CodeHeaderSyntax, Observed,
		"headers are joined with &amp;, which belongs in TwiML"},
	{RuleHeaderName, 0, CodeHeaderName, Documented,
		"the name of a header is not a token of RFC 3261"},
	{RuleHeaderAllowed, 0, CodeHeaderNotAllowed, Documented,
		"a header is not X-... and not on Twilio's list, so Twilio leaves it out of the call"},
	{RuleHeaderValue, 0, CodeHeaderValue, Documented,
		"the value of a header has, once decoded, a control character or a byte that is not ASCII"},
	{RuleSourceDomain, CodeInvalidFrom, CodeInvalidTo, Documented,
		"the domain of a SIP From cannot be moved into a header of To"},
	{RuleSIPSRewritten, 0, 0, Documented,
		"sips: is sent as sip: with transport=tls; the media is not encrypted without secure=true"},
	{RuleSIPSecureTransport, 0, 0, Assumed,
		"secure=true stands beside transport=udp or tcp, which sends the keys in the clear"},
	{RuleSIPEdgeUnknown, 0, 0, Assumed,
		"the value of edge or region is on no list of Twilio"},
	{RuleSIPEdgeIgnored, 0, 0, Documented,
		"edge, region or tnx stands beside a Twilio SIP domain, which ignores it"},
	{RuleSIPDomainRegion, 0, 0, Documented,
		"a Twilio SIP domain has us1 or us1-ix in it, which is deprecated"},
	{RuleSIPTnx, 0, 0, Documented,
		"the tnx parameter is deprecated"},
	{RuleSIPMaddr, 0, 0, Assumed,
		"a maddr parameter: whether Twilio follows it is not known"},
	{RuleSIPIPv6, 0, 0, Assumed,
		"the host is an IPv6 address: nothing says that Twilio dials it"},
	{RuleHeaderPlus, 0, 0, Observed,
		"a raw + in the value of a header arrives as a plus; most people mean a space"},
	{RuleHeaderEscaped, 0, 0, Assumed,
		"the value of a header still has an escape or &name= once decoded: it was escaped twice"},
	{RuleClientPortable, 0, 0, Documented,
		"a client name has more than letters, digits and _, which the mobile SDKs do not take"},
	{RuleClientSize, 0, 0, Observed,
		"the parameters of a client are longer than 800 bytes, which an SDK has cut"},
	{RulePhoneUnassigned, 0, 0, Assumed,
		"the number in To is in no range that the metadata lists as assigned"},
	{RulePhoneCostly, 0, 0, Assumed,
		"the number in To is a premium rate, shared cost or satellite number"},
	{RuleFromTollFree, 0, 0, Documented,
		"From is a toll-free number beside a phone number, which Twilio advises against"},
	{RuleFromClient, 0, 0, Assumed,
		"From is a client beside a SIP URI: nothing says whether Twilio takes it"},
}

// ruleRows maps each rule to its row.
var ruleRows = func() map[Rule]*ruleRow {
	rows := make(map[Rule]*ruleRow, len(rules))
	for i := range rules {
		rows[rules[i].rule] = &rules[i]
	}
	return rows
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

// Codes returns Twilio's codes for the rule, in a new slice. A warning has none. If the rule
// applies to both parameters, the code for From comes first and the code for To second. Codes
// returns nil for a rule that this package does not know.
func (r Rule) Codes() []Code {
	row, ok := ruleRows[r]
	if !ok {
		return nil
	}
	return slices.DeleteFunc([]Code{row.from, row.to}, func(c Code) bool { return c == 0 })
}

// Warning reports whether the rule only warns: it refuses nothing, and has no code.
func (r Rule) Warning() bool {
	row, ok := ruleRows[r]
	return ok && row.from == 0 && row.to == 0
}

// Tolerable reports whether [Parser.Tolerate], which lists the rules, has an effect on the rule. It
// has one on rules that are policy, Twilio's or this package's, and none on rules about what a
// number or a SIP URI is.
func (r Rule) Tolerable() bool {
	switch r {
	case RuleHeaderAllowed, RuleHeaderLength, RuleSIPLength, RuleSIPPrivate, RuleSIPDomainUser,
		RuleSIPDomainEdge, RuleSIPTransport, RuleSIPSecure, RuleSIPPassword, RuleSameParty,
		RulePhoneWithheld:
		return true
	}
	return false
}

// isTolerated reports whether list has r, and r can be tolerated.
func (r Rule) isTolerated(list []Rule) bool { return slices.Contains(list, r) && r.Tolerable() }

// Basis returns the basis of the rule, or 0 for a rule that this package does not know. A single
// problem may be less sure than its rule, as its own field Basis then says.
func (r Rule) Basis() Basis {
	if row, ok := ruleRows[r]; ok {
		return row.basis
	}
	return 0
}

// Summary returns one line about what the rule refuses, or "" for a rule that this package does not
// know.
func (r Rule) Summary() string {
	if row, ok := ruleRows[r]; ok {
		return row.summary
	}
	return ""
}

// An Error lists the problems that one call found: at most 16 in To or in a SIP URI, and one in
// From. Those of To come first, each in order of offset. Get an *Error with [errors.As]. The
// package never returns one with an empty list; the zero Error has the code 0.
//
// Its text, JSON and log form hold no personal data.
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

// Code returns the code of the first problem. It is usually the code that Twilio answers with. For
// some codes, such as 32110 and 32113, Twilio only logs a warning and places the call without the
// part that is wrong.
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

// An errorBody is the JSON of an Error, in the form of Twilio's error body.
type errorBody struct {
	Code     Code         `json:"code"`
	Message  string       `json:"message"`
	MoreInfo string       `json:"more_info"`
	Status   int          `json:"status"`
	Details  errorDetails `json:"details"`
}

type errorDetails struct {
	Problems []*Problem `json:"problems"`
}

// MarshalJSON returns Twilio's error body: code, message, more_info, status (always 400) and
// details, an object with the list of problems in "problems". It holds no personal data.
func (e *Error) MarshalJSON() ([]byte, error) {
	return json.Marshal(errorBody{
		e.Code(), e.Error(), e.Code().DocsURL(), 400, errorDetails{e.Problems},
	})
}

// UnmarshalJSON reads what MarshalJSON writes. It sets the problems, each as by
// [Problem.UnmarshalJSON]; Code and Error follow from them, whatever the rest of the body says.
//
// The texts are taken as they stand: log them only if this package wrote them.
//
// UnmarshalJSON fails if data is malformed. It also fails if details lists no problems, as in an
// error of Twilio's own: an Error without problems would lose the code. On an error, e is
// unchanged. A JSON null does nothing, as with other types.
func (e *Error) UnmarshalJSON(data []byte) error {
	var body errorBody
	if err := json.Unmarshal(data, &body); err != nil || string(data) == "null" {
		return err
	}
	list := body.Details.Problems
	if len(list) == 0 {
		return errors.New("callparams: the error body lists no problems in details; " +
			"it is not from this package")
	}
	for _, p := range list {
		if p == nil || p.Rule == "" {
			return errors.New("callparams: a problem in the error body lacks its rule")
		}
	}
	e.Problems = list
	return nil
}

// LogValue returns the code, the message and the problems, without personal data.
func (e *Error) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Int("code", int(e.Code())),
		slog.String("message", e.Error()),
		slog.Any("problems", e.Problems),
	)
}

// The parameters of Create Call that a [Problem] can be about.
const (
	ParamFrom = "From"
	ParamTo   = "To"
)

// A Problem is one thing that is wrong with one value. Its fields, text, JSON and log form hold
// no personal data; [Problem.Value] and [Problem.Fix] do. The zero Problem has no value and no
// fix, and neither has one that was read from JSON. Two problems that a check found are never
// deeply equal: compare their fields.
type Problem struct {
	Param   string // ParamFrom or ParamTo; "" from ParseSIPURI
	Rule    Rule   // what is wrong; the same in every release
	Code    Code   // Twilio's code for it; 0 for a warning
	Offset  int    // where it is in Value, in bytes from 0
	Len     int    // how many bytes are wrong; 0 if something is missing at Offset
	Message string // for people; may change
	Basis   Basis  // how it is known that Twilio refuses, ignores or leaves out what is wrong

	subject func() subject // nil in the zero Problem, and in one that was read from JSON
}

// A subject is the value that a problem is about, with what only the other files can do to it. A
// Problem holds it behind a function: fmt and other printers of values print what a pointer leads
// to, but they do not call functions.
type subject struct {
	value string
	mask  func(value string) string
	fix   func(value string) (string, bool) // nil if no fix is ever offered
}

// newProblem returns a problem of the n bytes at off. Its parser completes it.
func newProblem(rule Rule, off, n int, message string) *Problem {
	return &Problem{Rule: rule, Offset: off, Len: n, Message: message}
}

// assumed marks p as less sure than its rule, and returns it.
func (p *Problem) assumed() *Problem {
	p.Basis = Assumed
	return p
}

// Error returns the parameter, the message, the code (a warning has none) and the offset, such as
// "From: the caller address is not a user name (21212, byte 9)".
func (p *Problem) Error() string {
	text := p.Message + " ("
	if p.Code != 0 {
		text += strconv.Itoa(int(p.Code)) + ", "
	}
	text += "byte " + strconv.Itoa(p.Offset) + ")"
	if p.Param == "" {
		return text
	}
	return p.Param + ": " + text
}

// Unwrap returns the rule and the code, for [errors.Is].
func (p *Problem) Unwrap() []error { return []error{p.Rule, p.Code} }

// Value returns the value as it was given. It is personal data: keep it out of logs.
func (p *Problem) Value() string {
	if p.subject == nil {
		return ""
	}
	return p.subject().value
}

// Redacted returns Value with its personal data masked. Each byte is masked by one *, so that
// Offset and Len fit the result too.
func (p *Problem) Redacted() string {
	if p.subject == nil {
		return ""
	}
	s := p.subject()
	return s.mask(s.value)
}

// Fix returns a replacement for the whole Value that the same parser accepts, if there is exactly
// one candidate. After [Parser.Parse], it is never equal to the other parameter. Each call computes
// it anew. The fix is personal data: keep it out of logs.
func (p *Problem) Fix() (string, bool) {
	if p.subject == nil {
		return "", false
	}
	s := p.subject()
	if s.fix == nil {
		return "", false
	}
	return s.fix(s.value)
}

// A problemBody is the JSON of a Problem.
type problemBody struct {
	Param    string `json:"param"`
	Rule     Rule   `json:"rule"`
	Code     Code   `json:"code"`
	Offset   int    `json:"offset"`
	Len      int    `json:"length"`
	Message  string `json:"message"`
	Basis    Basis  `json:"basis"`
	MoreInfo string `json:"more_info"`
}

// MarshalJSON returns param, rule, code, offset, length, message, basis and more_info. It leaves
// out Value and Fix, which are personal data.
func (p *Problem) MarshalJSON() ([]byte, error) {
	return json.Marshal(problemBody{
		p.Param, p.Rule, p.Code, p.Offset, p.Len, p.Message, p.Basis, p.Code.DocsURL(),
	})
}

// UnmarshalJSON reads what MarshalJSON writes and sets the exported fields of p. The JSON holds no
// value, so Value and Redacted return "", and Fix returns false; Offset and Len are about the value
// that was refused. The texts are taken as they stand: log them only if this package wrote them.
//
// UnmarshalJSON fails if data is malformed or an offset or length is negative. On an error, p is
// unchanged. A JSON null does nothing, as with other types.
func (p *Problem) UnmarshalJSON(data []byte) error {
	var body problemBody
	if err := json.Unmarshal(data, &body); err != nil || string(data) == "null" {
		return err
	}
	if body.Offset < 0 || body.Len < 0 {
		return errors.New("callparams: the offset or the length of a problem is negative")
	}
	*p = Problem{
		Param: body.Param, Rule: body.Rule, Code: body.Code, Offset: body.Offset, Len: body.Len,
		Message: body.Message, Basis: body.Basis,
	}
	return nil
}

// LogValue returns the fields that MarshalJSON writes, as a group.
func (p *Problem) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("param", p.Param),
		slog.String("rule", string(p.Rule)),
		slog.Int("code", int(p.Code)),
		slog.Int("offset", p.Offset),
		slog.Int("length", p.Len),
		slog.String("message", p.Message),
		slog.String("basis", p.Basis.String()),
		slog.String("more_info", p.Code.DocsURL()),
	)
}

// maxProblems bounds the cost of a refusal: more problems of one value are not reported.
const maxProblems = 16

// complete fills in what the check that found the problems did not know: the parameter, its code,
// the basis and the subject. It returns at most maxProblems of them.
func complete(found []*Problem, param string, about func() subject) []*Problem {
	found = found[:min(len(found), maxProblems)]
	var row *ruleRow
	for _, p := range found {
		if row == nil || row.rule != p.Rule { // many problems often break one rule
			row = ruleRows[p.Rule]
		}
		p.Param, p.Code, p.subject = param, row.to, about
		if param == ParamFrom {
			p.Code = row.from
		}
		if p.Basis == 0 {
			p.Basis = row.basis
		}
	}
	return found
}
