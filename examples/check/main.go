// Check shows whether the From and To of an outbound call pass the checks of package callparams.
//
//	go run ./examples/check -from '+14155552671' -to 'sip:destination@host?X-Account=42'
//
// If both values are accepted, it prints their parts, decoded, and what a person should know, as
// warnings. If not, it prints every problem, with carets under the bytes in question, and a
// corrected value if there is exactly one candidate.
//
// Check does not contact Twilio. Twilio can still refuse a call that check accepts, for example
// because the account does not own From.
//
// It prints both values in the clear: use it in your own terminal and keep its output out of logs.
// The values appear as quoted Go strings: characters other than printable ASCII are written as
// escapes, such as \n, \x00 or \u00e9. A service can log the errors of the package instead, which
// do not contain personal data.
//
// A word after each rule says how sure it is. The rule is "documented" on Twilio's pages,
// "observed" in Twilio's answers, or "assumed" where Twilio does not say; or "configured" with
// -destinations.
//
// The exit code is 0 if the values are accepted, 1 if they are refused, and 2 if the flags are
// wrong. A warning changes it only with -strict.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"example.com/callparams"
)

func main() {
	flag.Usage = usage
	from := flag.String("from", "", "the From of the request")
	to := flag.String("to", "", "the To of the request")
	move := flag.Bool("move-domain", false,
		"first move the domain of a SIP From into an X-Source-Domain header of To")
	asJSON := flag.Bool("json", false,
		"print the result as JSON; bytes that are not valid UTF-8 become U+FFFD")
	var parser callparams.Parser
	flag.TextVar(&parser.Numbers, "numbers", callparams.Possible,
		"check phone numbers at this `level`: shape, possible or assigned")
	flag.BoolVar(&parser.Emergency, "emergency", false, "accept emergency numbers")
	var every callparams.Destinations
	flag.TextVar(&parser.Destinations, "destinations", every,
		"let To start with these `prefixes` only, such as \"+1 !+1900\"; + is every number")
	strict := flag.Bool("strict", false, "refuse what has a warning")
	flag.Parse()
	switch {
	case flag.NArg() > 0:
		wrongUsage("there is an argument without a flag; put quotes around a value with spaces")
	case !isSet("from") && !isSet("to"):
		wrongUsage("-from and -to are missing; set both")
	}

	r := result{parser: parser, request: callparams.Request{From: *from, To: *to}}
	if *move {
		r.move()
	}
	if r.refused == nil {
		r.check()
	}
	if warnings := r.call.Warnings(); *strict && warnings != nil {
		r.refused = &callparams.Error{Problems: warnings}
	}
	if *asJSON {
		r.printJSON()
	} else {
		r.printText()
	}
	if r.refused != nil {
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprint(flag.CommandLine.Output(), `usage: check -from FROM -to TO [flags]

Check shows whether the From and To of an outbound call pass the checks of package
callparams. If both values are accepted, it prints their parts, decoded, and what a
person should know, as warnings. If not, it prints every problem, with carets under the
bytes in question, and a corrected value if there is exactly one candidate.

Check does not contact Twilio. Twilio can still refuse a call that check accepts, for
example because the account does not own From.

It prints both values in the clear: use it in your own terminal and keep its output out
of logs. The values appear as quoted Go strings: characters other than printable ASCII
are written as escapes, such as \n, \x00 or \u00e9. A service can log the errors of the
package instead, which do not contain personal data.

A word after each rule says how sure it is. The rule is "documented" on Twilio's pages,
"observed" in Twilio's answers, or "assumed" where Twilio does not say; or "configured"
with -destinations.

The exit code is 0 if the values are accepted, 1 if they are refused, and 2 if the flags
are wrong. A warning changes it only with -strict.

`)
	flag.PrintDefaults()
}

func wrongUsage(message string) {
	fmt.Fprintln(os.Stderr, "check: "+message+"\nRun check -h for help.")
	os.Exit(2)
}

// isSet reports whether the flag was given, even with an empty value.
func isSet(name string) bool {
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// A result is a request and its outcome: a call if refused is nil, a refusal otherwise.
type result struct {
	parser  callparams.Parser
	request callparams.Request
	moved   bool // move has changed request
	call    callparams.Call
	refused *callparams.Error
}

func (r *result) move() {
	moved, err := r.request.MoveSourceDomain()
	if errors.As(err, &r.refused) {
		return
	}
	r.moved = moved != r.request
	r.request = moved
}

func (r *result) check() {
	call, err := r.parser.Parse(r.request)
	errors.As(err, &r.refused)
	r.call = call
}

func (r *result) printText() {
	if r.moved {
		fmt.Println("moved the domain of From into a header of To:")
		fmt.Printf("  From %+q\n  To   %+q\n\n", r.request.From, r.request.To)
	}
	if r.refused != nil {
		r.printRefused()
		return
	}
	fmt.Println("accepted" + r.numberCheck())
	printFrom(r.call.From())
	printTo(r.call.To())
	for _, p := range r.call.Warnings() {
		fmt.Print("\nWarning:")
		printProblem(p)
	}
}

// numberCheck says how the phone numbers of an accepted call were checked. Beside other
// destinations, only their shape counts.
func (r *result) numberCheck() string {
	switch r.call.To().Kind() {
	case callparams.KindPhone, callparams.KindEmergency:
	default:
		return ""
	}
	text := " (number check: " + r.parser.Numbers.String()
	if r.parser.Numbers > callparams.Shape {
		text += ", metadata " + callparams.MetadataVersion()
	}
	return text + ")"
}

func printFrom(from callparams.From) {
	fmt.Printf("\nFrom %+q\n", from)
	fmt.Printf("  kind    %v\n", from.Kind())
	fmt.Printf("  user    %+q (sent in the From header)\n", from.User())
}

func printTo(to callparams.To) {
	fmt.Printf("\nTo %+q\n", to)
	fmt.Printf("  kind    %v\n", to.Kind())
	if name, params, ok := to.Client(); ok {
		fmt.Printf("  name    %+q\n", name)
		printFields("param", params)
	}
	if uri, ok := to.SIPURI(); ok {
		printURI(uri)
	}
}

func printURI(uri callparams.SIPURI) {
	if uri.Secure {
		fmt.Println("  secure  sips:")
	}
	if uri.User != "" {
		fmt.Printf("  user    %+q\n", uri.User)
	}
	fmt.Printf("  host    %+q\n", uri.Host)
	if uri.Port != 0 {
		fmt.Printf("  port    %d\n", uri.Port)
	}
	printFields("param", uri.Params)
	printFields("header", uri.Headers)
}

func printFields(label string, fields []callparams.Field) {
	for _, f := range fields {
		fmt.Printf("  %-6s  %+q = %+q\n", label, f.Name, f.Value)
	}
}

func (r *result) printRefused() {
	problems := r.refused.Problems
	switch {
	case r.call.IsValid():
		fmt.Println("refused for its warnings")
	case len(problems) == 1:
		fmt.Println("refused")
	default:
		fmt.Printf("refused for %d problems; the first is Twilio's error %d\n",
			len(problems), r.refused.Code())
	}
	for i, p := range problems {
		printProblem(p)
		if i+1 == len(problems) || problems[i+1].Param != p.Param {
			printFix(p)
		}
	}
	if moved, err := r.request.MoveSourceDomain(); err == nil && moved != r.request {
		fmt.Println("\nUse -move-domain to move the domain of From into a header of To.")
	}
}

// printProblem prints p, for example:
//
//	From "sip:+1234@mydomain.sip.twilio.com"
//	               ^^^^^^^^^^^^^^^^^^^^^^^^
//	  the caller address is not a user name
//	  code    21212
//	  rule    from.user (documented)
//	  page    https://www.twilio.com/docs/errors/21212
func printProblem(p *callparams.Problem) {
	value, carets := underline(p.Value(), p.Offset, p.Len)
	fmt.Printf("\n%s %s\n", p.Param, value)
	fmt.Printf("%*s %s\n", len(p.Param), "", carets)
	fmt.Printf("  %s\n", p.Message)
	if p.Code != 0 { // a warning has none
		fmt.Printf("  code    %d\n", p.Code)
	}
	fmt.Printf("  rule    %s (%v)\n", p.Rule, p.Basis)
	if p.Code != 0 {
		fmt.Printf("  page    %s\n", p.Code.DocsURL())
	}
}

// printFix prints the corrected value, if there is one. It is the same for all problems of a value.
func printFix(p *callparams.Problem) {
	if fix, ok := p.Fix(); ok {
		fmt.Printf("\nInstead of this %s, write %+q\n", p.Param, fix)
	}
}

// underline returns value in quotes and a line with carets under its n bytes at off. If n is 0, the
// line has one caret, at off. If value is too long for a line, underline shows the part around off,
// with ... outside the quotes. The quoted text is ASCII, so each of its bytes takes one column.
func underline(value string, off, n int) (text, carets string) {
	const columns = 80 - len(`From ...""...`) // a terminal has 80
	before := lastColumns(value[:off], max(columns/2, columns-width(value[off:])))
	after := firstColumns(value[off:], columns-width(before))
	shown := min(n, len(after))
	text = `"` + escape(before) + escape(after[:shown]) + escape(after[shown:]) + `"`
	indent := 1 + width(before)
	if len(before) < off {
		text = "..." + text
		indent += len("...")
	}
	if len(after) < len(value)-off {
		text += "..."
	}
	return text, strings.Repeat(" ", indent) + strings.Repeat("^", max(1, width(after[:shown])))
}

// escape returns s as it appears between quotes.
func escape(s string) string {
	quoted := fmt.Sprintf("%+q", s)
	return quoted[1 : len(quoted)-1]
}

// width returns the number of columns that s takes between quotes.
func width(s string) int { return len(escape(s)) }

// firstColumns returns the longest prefix of s that takes at most the given number of columns.
func firstColumns(s string, columns int) string {
	end := 0
	for end < len(s) {
		_, n := utf8.DecodeRuneInString(s[end:])
		if columns -= width(s[end : end+n]); columns < 0 {
			break
		}
		end += n
	}
	return s[:end]
}

// lastColumns returns the longest suffix of s that takes at most the given number of columns.
func lastColumns(s string, columns int) string {
	start := len(s)
	for start > 0 {
		_, n := utf8.DecodeLastRuneInString(s[:start])
		if columns -= width(s[start-n : start]); columns < 0 {
			break
		}
		start -= n
	}
	return s[start:]
}

// object is a JSON object.
type object map[string]any

func (r *result) printJSON() {
	var out object
	if r.refused != nil {
		out = refusedJSON(r.refused)
	} else {
		out = object{"from": fromJSON(r.call.From()), "to": toJSON(r.call.To())}
		if warnings := r.call.Warnings(); warnings != nil {
			out["warnings"] = problemsJSON(warnings)
		}
	}
	out["accepted"] = r.refused == nil
	if r.moved {
		out["moved"] = object{"from": r.request.From, "to": r.request.To}
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(out); err != nil {
		panic(err)
	}
}

func fromJSON(from callparams.From) object {
	return object{"value": from.String(), "kind": from.Kind(), "user": from.User()}
}

func toJSON(to callparams.To) object {
	out := object{"value": to.String(), "kind": to.Kind()}
	if name, params, ok := to.Client(); ok {
		out["name"] = name
		out["params"] = fieldsJSON(params)
	}
	if uri, ok := to.SIPURI(); ok {
		out["uri"] = object{
			"secure":  uri.Secure,
			"user":    uri.User,
			"host":    uri.Host,
			"port":    uri.Port,
			"params":  fieldsJSON(uri.Params),
			"headers": fieldsJSON(uri.Headers),
		}
	}
	return out
}

func fieldsJSON(fields []callparams.Field) []object {
	list := make([]object, len(fields))
	for i, f := range fields {
		list[i] = object{"name": f.Name, "value": f.Value}
	}
	return list
}

// refusedJSON returns the JSON form of refused, and adds the value and the fix to each problem. The
// error leaves both out, because they are personal data.
func refusedJSON(refused *callparams.Error) object {
	body, err := json.Marshal(refused)
	if err != nil {
		panic(err)
	}
	var out object
	if err := json.Unmarshal(body, &out); err != nil {
		panic(err)
	}
	out["details"] = object{"problems": problemsJSON(refused.Problems)}
	return out
}

// problemsJSON returns the JSON form of problems, with their values and fixes.
func problemsJSON(problems []*callparams.Problem) []object {
	list := make([]object, len(problems))
	for i, p := range problems {
		body, err := json.Marshal(p)
		if err != nil {
			panic(err)
		}
		if err := json.Unmarshal(body, &list[i]); err != nil {
			panic(err)
		}
		list[i]["value"] = p.Value()
		if fix, ok := p.Fix(); ok {
			list[i]["fix"] = fix
		}
	}
	return list
}
