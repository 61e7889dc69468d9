// Check shows what package callparams makes of the From and To of an outbound call.
//
//	go run ./examples/check -from '+14155552671' -to 'sip:destination@host?X-Account=42'
//
// Of an accepted pair it prints the parts, decoded, and exits with 0; of a refused one every problem, with
// carets under the bytes it is about, and exits with 1. Wrong usage exits with 2.
//
// It prints both values in the clear, for the terminal of whoever typed them. A service logs the errors of
// the package instead, which hold no personal data.
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
	move := flag.Bool("move-domain", false, "first move the domain of a SIP From into an X-Source-Domain header of To")
	asJSON := flag.Bool("json", false, "print JSON; bytes that are not UTF-8 become U+FFFD in it")
	var parser callparams.Parser
	flag.Func("numbers", "check phone numbers as far as `level`: shape, possible (the default) or assigned", func(s string) error {
		for _, level := range []callparams.NumberCheck{callparams.Shape, callparams.Possible, callparams.Assigned} {
			if s == level.String() {
				parser.Numbers = level
				return nil
			}
		}
		return errors.New("want shape, possible or assigned")
	})
	flag.Parse()
	switch {
	case flag.NArg() > 0:
		wrongUsage("found more than flags, want a value with a space in quotes")
	case !isSet("from") && !isSet("to"):
		wrongUsage("want -from and -to")
	}

	r := result{parser: parser, request: callparams.Request{From: *from, To: *to}}
	if *move {
		r.move()
	}
	if r.refused == nil {
		r.check()
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

Check shows whether the From and To of an outbound call would be accepted, what is in them, and otherwise
what is wrong, where, and what to write instead. It asks nobody: what passes can still be refused by the
vendor, for instance because the account does not own From.

It prints both values in the clear: it is for your own terminal, not for logs. They are printed in quotes
as Go strings are: what is not printable ASCII as \n, \x00 or \u00e9. A rule is documented by the vendor,
observed in its answers, or assumed where it is silent.

Exit status: 0 accepted, 1 refused, 2 wrong usage.

`)
	flag.PrintDefaults()
}

func wrongUsage(message string) {
	fmt.Fprintln(os.Stderr, "check: "+message+"; -h for help")
	os.Exit(2)
}

// isSet reports whether the flag was given, be it with an empty value.
func isSet(name string) bool {
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// A result is a request and what became of it: a call, or a refusal.
type result struct {
	parser  callparams.Parser
	request callparams.Request
	moved   bool // request is not the one that was given
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
		fmt.Printf("moved the domain of From into To:\n  From %+q\n  To   %+q\n\n", r.request.From, r.request.To)
	}
	if r.refused != nil {
		r.printRefused()
		return
	}
	fmt.Printf("accepted, phone numbers checked as %v\n", r.parser.Numbers)
	printFrom(r.call.From())
	printTo(r.call.To())
}

func printFrom(from callparams.From) {
	fmt.Printf("\nFrom %+q\n", from)
	fmt.Printf("  kind    %v\n", from.Kind())
	fmt.Printf("  user    %+q (what the From header will carry)\n", from.User())
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
	if len(problems) == 1 {
		fmt.Println("refused")
	} else {
		fmt.Printf("refused for %d problems; the vendor would stop at the first, with %d\n", len(problems), r.refused.Code())
	}
	for _, p := range problems {
		printProblem(p)
	}
	if moved, err := r.request.MoveSourceDomain(); err == nil && moved != r.request {
		fmt.Println("\nWith -move-domain, To would carry the domain of From in a header.")
	}
}

// printProblem prints p, for instance
//
//	From "sip:+1234@mydomain.sip.twilio.com"
//	               ^^^^^^^^^^^^^^^^^^^^^^^^
//	  the caller address is not a user name
//	  code    21212
//	  rule    from.user (documented)
//	  fix     "+1234"
//	  page    https://www.twilio.com/docs/errors/21212
func printProblem(p *callparams.Problem) {
	value, carets := underline(p.Value(), p.Offset, p.Len)
	fmt.Printf("\n%s %s\n", p.Param, value)
	fmt.Printf("%*s %s\n", len(p.Param), "", carets)
	fmt.Printf("  %s\n", p.Message)
	fmt.Printf("  code    %d\n", p.Code)
	fmt.Printf("  rule    %s (%v)\n", p.Rule, p.Basis())
	if fix, ok := p.Fix(); ok {
		fmt.Printf("  fix     %+q\n", fix)
	}
	fmt.Printf("  page    %s\n", p.DocsURL())
}

// underline returns value in quotes, and a line with carets under the n bytes at off, or one caret under what
// stands at off if n is 0. Of a value that does not fit a line it shows the part around off, with ... outside
// the quotes. What is quoted is ASCII, so that each byte of it takes one column.
func underline(value string, off, n int) (text, carets string) {
	const columns = 80 - len(`From ...""...`) // 80 is how wide a terminal is
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

// escape returns s as it stands in quotes.
func escape(s string) string {
	quoted := fmt.Sprintf("%+q", s)
	return quoted[1 : len(quoted)-1]
}

// width returns how many columns s takes.
func width(s string) int { return len(escape(s)) }

// firstColumns returns the longest start of s that takes at most columns.
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

// lastColumns returns the longest end of s that takes at most columns.
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
	return object{"value": from.String(), "kind": from.Kind().String(), "user": from.User()}
}

func toJSON(to callparams.To) object {
	out := object{"value": to.String(), "kind": to.Kind().String()}
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

// refusedJSON returns the error's own body, and beside it the value and the fix of each problem.
func refusedJSON(refused *callparams.Error) object {
	body, err := json.Marshal(refused)
	if err != nil {
		panic(err)
	}
	var out object
	if err := json.Unmarshal(body, &out); err != nil {
		panic(err)
	}
	for i, p := range out["problems"].([]any) {
		problem := p.(map[string]any)
		problem["value"] = refused.Problems[i].Value()
		if fix, ok := refused.Problems[i].Fix(); ok {
			problem["fix"] = fix
		}
	}
	return out
}
