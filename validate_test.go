package callparams_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/printer"
	"go/token"
	"go/types"
	"html"
	"io/fs"
	"log"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"
	"unicode"
	"unicode/utf8"

	"example.com/callparams"
	"github.com/nyaruka/phonenumbers/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ---- Laws ----
//
// Each law holds for every input. The tests that check it are listed after it, and cite it by its
// name.
//
//   - RoundTrip: parsing the String of a From or a To gives an equal value: FuzzParse
//   - NoInjection: the parts of a SIP URI that is built are those of its text, whatever bytes
//     they hold, and the parts of a To build a To with the same parts: FuzzBuild,
//     TestBuildEveryByte, FuzzParse
//   - Validity: a value is valid if and only if there is no error, and zero if there is one;
//     nothing panics: FuzzParse, FuzzSIPURI
//   - Spans: a problem's span lies inside its value; problems of To stand before those of From,
//     each in order of offset: FuzzParse, FuzzSIPURI. Which problems there are, and their spans:
//     TestProblemsAtEveryByte, TestPatternsAgree
//   - Fixes: the same parser accepts a fix in the value's place: FuzzParse, FuzzSIPURI
//   - Levels: Shape accepts what Possible accepts, and Possible what Assigned accepts: FuzzParse
//   - Redaction: no redacted form shows a number, a user or a header's value: FuzzParse,
//     FuzzRedact, TestMaskOfShortTexts
//   - Grammar: ParseSIPURI accepts what the ABNF of RFC 3261 accepts, but for the divergences in
//     the package comment: FuzzSIPURI, TestSIPURIAgrees, TestDivergences
//   - Lengths: a number is as possible as the metadata says, for every calling code and number of
//     digits: TestEveryCallingCode
//   - Warnings: a warning is about what is accepted, its rule refuses nothing or is tolerated, and
//     asking for it changes nothing: FuzzParse, TestWarnings
//   - Tolerance: what a parser tolerates is what the zero Parser refuses by the tolerated rules
//     alone, and among the warnings; a rule that cannot be tolerated is refused as ever; a SIP URI
//     that is accepted is one by the grammar, and has no control character: FuzzParse,
//     TestProblemsAtEveryByte, TestTolerate
//   - Destinations: the longest prefix of the list that fits a number decides, at every level; what
//     is not a phone number, and every number beside the zero list, is allowed:
//     FuzzDestinations, TestDestinationsAgree
//   - RedactedText: Request.Redact leaves neither value in a text, plain or form-encoded, and
//     changes nothing else: FuzzRequestRedact, TestRequestRedact
//   - Text: text and JSON give back the value that they were made of; those of an Error or a
//     Problem give back all but Value and Fix: FuzzParse, FuzzSIPURI, TestText, TestWords,
//     TestCallJSON, TestErrorJSON

// ---- Helpers ----

var allLevels = []callparams.NumberCheck{callparams.Shape, callparams.Possible, callparams.Assigned}

// problemList returns the problems of err, none for nil. It requires that err is an *Error which
// agrees with itself and with its JSON, and Text of both.
func problemList(t testing.TB, err error) []*callparams.Problem {
	t.Helper()
	if err == nil {
		return nil
	}
	var e *callparams.Error
	require.ErrorAs(t, err, &e)
	require.NotEmpty(t, e.Problems)
	require.Equal(t, e.Problems[0].Code, e.Code())
	text, err := json.Marshal(e)
	require.NoError(t, err)
	var body struct {
		Code     callparams.Code
		Message  string
		MoreInfo string `json:"more_info"`
		Status   int
		Details  struct{ Problems []wantJSON }
	}
	require.NoError(t, unmarshalStrict(text, &body))
	require.Equal(t, e.Code(), body.Code)
	require.Equal(t, e.Error(), body.Message)
	require.Equal(t, e.Code().DocsURL(), body.MoreInfo)
	require.Equal(t, 400, body.Status)
	require.Len(t, body.Details.Problems, len(e.Problems))
	var back callparams.Error
	require.NoError(t, json.Unmarshal(text, &back))
	require.Len(t, back.Problems, len(e.Problems))
	for i, p := range e.Problems {
		require.Contains(t, p.Rule.Codes(), p.Code)
		require.ErrorIs(t, e, p.Rule)
		require.ErrorIs(t, e, p.Code)
		want := wantJSON{
			p.Param, p.Rule, p.Code, p.Offset, p.Len, p.Message, p.Basis.String(), p.Code.DocsURL(),
		}
		require.Equal(t, want, body.Details.Problems[i])
		require.Equal(t, &callparams.Problem{
			Param: p.Param, Rule: p.Rule, Code: p.Code, Offset: p.Offset, Len: p.Len,
			Message: p.Message, Basis: p.Basis,
		}, back.Problems[i])
	}
	return e.Problems
}

// A wantJSON is what the JSON of a Problem holds.
type wantJSON struct {
	Param          string
	Rule           callparams.Rule
	Code           callparams.Code
	Offset, Length int
	Message, Basis string
	MoreInfo       string `json:"more_info"`
}

// spans lists the problems of err as "Param rule offset+length", in order.
func spans(t testing.TB, err error) []string {
	t.Helper()
	var list []string
	for _, p := range problemList(t, err) {
		span := fmt.Sprintf("%s %s %d+%d", p.Param, string(p.Rule), p.Offset, p.Len)
		list = append(list, strings.TrimSpace(span))
	}
	return list
}

// The parsers, reduced to their errors.

func errFrom(s string) error { _, err := callparams.ParseFrom(s); return err }
func errTo(s string) error   { _, err := callparams.ParseTo(s); return err }
func errURI(s string) error  { _, err := callparams.ParseSIPURI(s); return err }

// tolerable lists the rules that a parser can tolerate.
var tolerable = slices.Collect(func(yield func(callparams.Rule) bool) {
	for rule := range callparams.Rules() {
		if rule.Tolerable() && !yield(rule) {
			return
		}
	}
})

func errTolerant(s string) error {
	_, err := callparams.Parser{Tolerate: tolerable}.ParseTo(s)
	return err
}

func errShape(s string) error {
	_, err := callparams.Parser{Numbers: callparams.Shape}.ParseTo(s)
	return err
}

// seeds are the values that fuzzing starts from, as From, as To and as a SIP URI.
func seeds() []string {
	return append(strings.Split(`
+14155552671
+14155550100
+15005550006
+442071838750
+4402071838750
+390612345678
+123456789
+999123456789
+99
+07487723751
+266696687
+1 (415) 555-2671
+1415555CALL
+1234567890123456
14155552671
tel:+14155552671
whatsapp:+14155552671
alice
a+b_c.d.
8001
Front-Desk
client:alice
CLIENT:Tom_O'Neil.7
client:al ice)
client:a@b
client:bob?k=v&n=%20x
client:bob?k&=v
client:bob?k=%zz
alice@example.com
sip:+14155550100@mydomain.sip.twilio.com
sip:alice@example.com;user=phone
sips:alice:secret@example.com:5061;transport=tls;lr?X-Account=42&X-Note=a%20b
SIP:al%69ce@[2001:db8::1]:5060?X-A=1&x-b=
sip:bob@10.0.0.1;transport=sctp?X-A=a%0d%0ab&Subject=x
sip:carol@example.com;a=1;A=2
sip:carol@example.com:0
sip:host?to=alice@example.com
sip:dave@example.com?X-A=1&amp;X-B=2
sip:dave@example.com&transport=tcp
sip:erin@shop.sip.de1.twilio.com?User-to-User=4142%3Bencoding%3Dhex
sip:shop.sip.twilio.com
sip:bob@pbx1234.example.com;ext1234=1?X-1234=5
sip:fay@example.com?X-Twilio-Secret=1
sip://gil@example.com
sip:+358-555-1234567;ext=22@example.com
sip:bob;secure=true@example.com
sip:kate@example.com?X-A=1;transport=tls&edge=dublin
sip:lee@localhost;maddr=127.0.0.1
"Agent B" <sip:1002@pbx.example.com>
<tel:+14155552671>
'8001
"+14155552671"
911
+1911
00442071838750
+01114155552671
+49 (0)30 1234567
+5215512345678
1.4155E+10
anonymous`, "\n"),
		" +14155552671\r\n", "\ufeffclient:alice", " 14155552671", "\u201calice\u201d",
		"\u00e9", "+\uff11415555", "sip:a\x00@h", "client:\xff",
		"sip:"+strings.Repeat("a", 250)+"@h",
		"sip:a@h.example?X-A="+strings.Repeat("b", 1020), "sip:a@h"+strings.Repeat(";", 40))
}

// mutations yields s, and for each of its bytes: s with that byte changed to any other, with any
// byte before it, and without it.
func mutations(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		if !yield(s) {
			return
		}
		for i := range len(s) {
			for c := range 256 {
				b := string([]byte{byte(c)})
				if !yield(s[:i]+b+s[i:]) || !yield(s[:i]+b+s[i+1:]) {
					return
				}
			}
			if !yield(s[:i] + s[i+1:]) {
				return
			}
		}
	}
}

func refIsASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}

func refLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

func refHasPrefix(s, prefix string) bool {
	return len(s) >= len(prefix) && refLower(s[:len(prefix)]) == refLower(prefix)
}

// ---- The package ----

// TestFloors checks that each file of the package uses only itself and the files before it.
func TestFloors(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	isTest := func(name string) bool { return strings.HasSuffix(name, "_test.go") }
	require.Equal(t, floors, slices.DeleteFunc(files, isTest), "each file has its floor")
	var sources []string
	for _, name := range floors {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		sources = append(sources, string(text))
	}
	assert.Empty(t, strings.Join(upwardUses(t, sources), "\n"))
}

// TestFloorsFindsUses checks that TestFloors can fail, for each way to use a declaration.
func TestFloorsFindsUses(t *testing.T) {
	assert.Equal(t, []string{
		"errors.go:4 uses Top of validate.go",
		"errors.go:4 uses Middle of sipuri.go",
		"errors.go:5 uses top of validate.go",
		"errors.go:6 uses method of validate.go",
		"errors.go:7 uses Embedded of validate.go",
		"errors.go:7 uses promoted of validate.go",
		"errors.go:8 uses field of validate.go",
		"errors.go:9 uses constant of sipuri.go",
		"sipuri.go:2 uses Top of validate.go",
	}, upwardUses(t, []string{
		`package p
import ("slices"; "strings"; "example.com/unknown")
type Ground struct{}
type Pair struct{ top *Top; middle Middle }
func a() { unknown.Call(strings.Cut("", top())) }
func b(p Pair) { p.top.method() }
func c(p Pair) { _ = p.top.promoted }
func d(list []Pair) { _ = slices.Clone(list)[0].top.field }
const e = constant + len(Ground{}.ground)
func (Ground) self() { Ground{}.self(); strings.top() }
`, `package p
type Middle struct{ Top }
const constant = 1
func f() { _ = Ground{} }
`, `package p
type Top struct{ Embedded; field int }
type Embedded struct{ promoted int }
func (t *Top) method() { t.field = constant }
func top() string { var top Top; return Ground{}.ground + top.promoted }
`,
	}))
}

// floors are the files of the package, the ground floor first.
var floors = []string{"errors.go", "sipuri.go", "validate.go"}

// upwardUses type-checks sources, the texts of floors, as one package. It returns each use of a
// declaration, a field or a method of a higher floor.
func upwardUses(t *testing.T, sources []string) (list []string) {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for i, name := range floors {
		file, err := parser.ParseFile(fset, name, sources[i], parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, file)
	}
	info := types.Info{
		Uses:       map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{},
	}
	config := types.Config{Importer: genericOnly{fset}, Error: func(error) {}} // imports are stubs
	pkg, _ := config.Check("example.com/callparams", fset, files, &info)
	uses := map[token.Pos][]string{}
	add := func(at token.Pos, used types.Object) {
		if used.Pkg() != pkg {
			return
		}
		from, to := fset.Position(at), fset.Position(used.Pos())
		if slices.Index(floors, from.Filename) < slices.Index(floors, to.Filename) {
			uses[at] = append(uses[at], fmt.Sprintf("%s:%d uses %s of %s",
				from.Filename, from.Line, used.Name(), to.Filename))
		}
	}
	for ident, used := range info.Uses {
		add(ident.Pos(), used)
	}
	for selector, selection := range info.Selections { // the embedded fields on the way to a field
		owner := selection.Recv()
		for _, i := range selection.Index()[:len(selection.Index())-1] {
			if pointer, ok := owner.Underlying().(*types.Pointer); ok {
				owner = pointer.Elem()
			}
			field := owner.Underlying().(*types.Struct).Field(i)
			add(selector.Sel.Pos()-1, field)
			owner = field.Type()
		}
	}
	for _, at := range slices.Sorted(maps.Keys(uses)) {
		list = append(list, uses[at]...)
	}
	return list
}

// genericOnly imports those packages of the standard library whose functions return types of their
// caller. Any other package is empty: what it returns is never a type of this package.
type genericOnly struct{ fset *token.FileSet }

func (g genericOnly) Import(path string) (*types.Package, error) {
	if !slices.Contains([]string{"slices", "maps", "iter", "cmp", "sync/atomic"}, path) {
		return nil, errors.New("left out") // go/types goes on with an empty package
	}
	source, err := build.Import(path, "", 0)
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, name := range source.GoFiles {
		name = filepath.Join(source.Dir, name)
		file, err := parser.ParseFile(g.fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	config := types.Config{Importer: g, Error: func(error) {}, IgnoreFuncBodies: true}
	pkg, _ := config.Check(path, g.fset, files, nil)
	return pkg, nil
}

// FuzzParse checks RoundTrip, NoInjection, Validity, Spans, Fixes, Levels, Redaction and Text on
// any From and To.
func FuzzParse(f *testing.F) {
	c := vectors(f)
	for _, v := range c.from {
		f.Add(string(v.Input), "+442071838750")
	}
	for _, v := range c.to {
		f.Add("+14155550100", string(v.Input))
	}
	for _, v := range c.request {
		f.Add(string(v.Input.From), string(v.Input.To))
	}
	for _, s := range seeds() {
		f.Add(s, s)
		f.Add("+14155550100", s)
		f.Add(s, "sip:bob@example.com")
		f.Add(s, "+442071838750")
	}
	f.Fuzz(requireParse)
}

func requireParse(t *testing.T, from, to string) {
	r := callparams.Request{From: from, To: to}
	var tos, calls []bool
	for _, level := range allLevels {
		p := callparams.Parser{Numbers: level}
		requireFrom(t, p, from)
		tos = append(tos, requireTo(t, p, to))
		calls = append(calls, requireRequest(t, p, r))
	}
	withEmergency := callparams.Parser{Emergency: true}
	require.True(t, requireTo(t, withEmergency, to) || !tos[1], "Emergency accepts less")
	require.True(t, requireRequest(t, withEmergency, r) || !calls[1], "Emergency accepts less")
	for i := range allLevels[1:] {
		require.True(t, tos[i] || !tos[i+1], "Levels: a higher level accepts more")
		require.True(t, calls[i] || !calls[i+1], "Levels: a higher level accepts more")
	}
	requireTolerance(t, r)
	requireMask(t, from)
	requireMask(t, to)
	requireMove(t, r)
}

// requireProblems requires Spans and Fixes of the problems of one value; accepts parses a fix in
// its place.
func requireProblems(
	t *testing.T, list []*callparams.Problem, param, value string, accepts func(fix string) error,
) {
	require.LessOrEqual(t, len(list), 16)
	last := 0
	for _, p := range list {
		require.Equal(t, param, p.Param)
		require.Equal(t, value, p.Value())
		require.NotEmpty(t, p.Message)
		require.GreaterOrEqual(t, p.Offset, last)
		require.GreaterOrEqual(t, p.Len, 0)
		require.LessOrEqual(t, p.Offset+p.Len, len(value))
		last = p.Offset
		if fix, ok := p.Fix(); ok {
			require.NotEqual(t, value, fix)
			require.NoError(t, accepts(fix), "the fix %q is refused", fix)
		}
	}
}

// TestPatternsAgree compares ParseFrom, and ParseTo on all but SIP URIs, with regular expressions
// and with the problems of a plain reader, on the seeds and on each with one byte changed, added or
// taken away.
func TestPatternsAgree(t *testing.T) {
	t.Parallel()
	shape := callparams.Parser{Numbers: callparams.Shape}
	for _, s := range seeds() {
		for m := range mutations(s[:min(len(s), 24)]) {
			isPhone := phonePattern.MatchString(m)
			from, err := shape.ParseFrom(m)
			ok := isPhone || userPattern.MatchString(m) || callerPattern.MatchString(m)
			if ok != (err == nil) || ok && from.String() != m {
				assert.Fail(t, "disagree", "From %q: must be %v: %v", m, ok, err)
			}
			if want, got := refFrom(m), refProblemsOf(err); !slices.Equal(want, got) {
				assert.Equal(t, want, got, "From %q", m)
			}
			to, err := shape.ParseTo(m)
			if to.Kind() == callparams.KindSIP {
				require.NotZero(t, refScheme(m))
				continue
			}
			ok = isPhone && !withheldPattern.MatchString(m) && !emergencyPattern.MatchString(m) ||
				clientPattern.MatchString(m)
			if ok != (err == nil) || ok && to.String() != m {
				assert.Fail(t, "disagree", "To %q: must be %v: %v", m, ok, err)
			}
			want, got := refTo(m), refProblemsOf(err)
			if refScheme(m) == 0 && !slices.Equal(want, got) {
				assert.Equal(t, want, got, "To %q", m)
			}
		}
	}
}

// refFrom returns the problem of s as a From, if it has one, by a plain reading of the rules.
func refFrom(s string) []refProblem {
	at, scheme := strings.IndexByte(s, '@'), len(schemePattern.FindString(s))
	bad, n := refRun(s, refUserName+"+")
	inner, start := s, 0
	for range 4 {
		before, after := refWrapping(inner)
		inner, start = inner[before:len(inner)-after], start+before
	}
	before, after := refWrapping(s)
	switch {
	case s == "":
		return []refProblem{{"from.required", 0, 0}}
	case at >= 0:
		return []refProblem{{"from.user", at, len(s) - at}}
	case refScheme(inner) > 0:
		return []refProblem{{"from.user", start, refScheme(inner)}}
	case before+after > 0:
		return refWrapped(s)
	case s[0] == '+':
		return refNumber(s)
	case refHasPrefix(s, "client:"):
		return refClient(s, false)
	case n > 0 && scheme > 0:
		return []refProblem{{"scheme.unknown", 0, scheme}}
	case n > 0:
		return []refProblem{{"user.char", bad, n}}
	case len(s) > 256:
		return []refProblem{{"user.length", 256, len(s) - 256}}
	}
	return nil
}

// refWrapping returns how many bytes around the value in s do not belong to it, by its outermost
// layer.
func refWrapping(s string) (before, after int) {
	isBlank := func(c rune) bool { return unicode.In(c, unicode.White_Space, unicode.Cf) }
	before = len(s) - len(strings.TrimLeftFunc(s, isBlank))
	if before == len(s) {
		return before, 0
	}
	after = len(s) - len(strings.TrimRightFunc(s, isBlank))
	isMark := func(c byte) bool { return c >= 0x80 || strings.IndexByte("\"'`<>", c) >= 0 }
	if before+after > 0 || !isMark(s[0]) && !isMark(s[len(s)-1]) {
		return before, after
	}
	if m := quotedPattern.FindStringSubmatch(s); m != nil {
		after = len([]byte(s)) - strings.LastIndex(s, m[1]+m[2]) - len(m[1]+m[2])
		return len(s) - after - len(m[1]+m[2]), after
	}
	if m := nameAddrPattern.FindStringSubmatch(s); m != nil && refScheme(s) == 0 &&
		!refHasPrefix(s, "client:") && !paramWordPattern.MatchString(m[3]) &&
		(strings.HasPrefix(m[1], `"`) || !strings.ContainsAny(m[1], ":@+") ||
			schemePattern.MatchString(m[2])) {
		return len(m[1]) + 1, len(m[3]) + 1
	}
	if m := apostrophePattern.FindStringSubmatch(s); m != nil {
		return len(s) - len(m[1]), 0
	}
	return 0, 0
}

var (
	quotedPattern    = regexp.MustCompile("(?s)^(?:['‘’‚](.*)['‘’‚]|[\"“”„`«»](.*)[\"“”„`«»])$")
	nameAddrPattern  = regexp.MustCompile(`(?s)^(.*)<([^<>]*)>(;[^<]*|)$`)
	paramWordPattern = regexp.MustCompile(
		`(?i)(^|[^a-z])(transport|secure|edge|region|tnx)([^a-z]|$)`)
	lostPlusPattern   = regexp.MustCompile(`^ [0-9]+$`)
	apostrophePattern = regexp.MustCompile(`(?s)^['‘’‚](.+)$`)
)

// refWrapped returns the problem of s, which has something around it.
func refWrapped(s string) []refProblem {
	before, after := refWrapping(s)
	switch {
	case before+after == len(s):
		return []refProblem{{"value.wrapped", 0, len(s)}}
	case lostPlusPattern.MatchString(s) && !emergencyPattern.MatchString(s[1:]):
		return []refProblem{{"phone.plus", 0, 1}}
	case before > 0:
		return []refProblem{{"value.wrapped", 0, before}}
	}
	return []refProblem{{"value.wrapped", len(s) - after, after}}
}

// refTo returns the problem of s, which is not a SIP URI, as a To at the level Shape.
func refTo(s string) []refProblem {
	scheme := len(schemePattern.FindString(s))
	before, after := refWrapping(s)
	switch {
	case s == "":
		return []refProblem{{"to.required", 0, 0}}
	case before+after > 0:
		return refWrapped(s)
	case emergencyPattern.MatchString(s):
		return []refProblem{{"phone.emergency", 0, len(s)}}
	case withheldPattern.MatchString(s):
		return []refProblem{{"phone.withheld", 0, len(s)}}
	case s[0] == '+' && !strings.Contains(s, "@"):
		return refNumber(s)
	case refHasPrefix(s, "client:"):
		return refClient(s, true)
	case scheme > 0:
		return []refProblem{{"scheme.unknown", 0, scheme}}
	case strings.Contains(s, "@"):
		return []refProblem{{"scheme.missing", 0, 0}}
	}
	return []refProblem{{"phone.plus", 0, 0}}
}

var emergencyPattern = regexp.MustCompile(`^(112|911|933|15|17|18|113|115|118|122|133|144|` +
	`999|110|000|106|117|111|191|199|1669|\+1(112|911|933)|\+33(15|17|18|112)|` +
	`\+39(112|113|115|118)|` +
	`\+43(112|122|133|144)|\+(44|60|353)(112|999)|\+49(110|112)|\+61(000|106|112)|` +
	`\+63(112|117|911)|\+64111|\+66(191|199|1669))$`)

var schemePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)

// refNumber returns the problem of the shape of s, which starts with +.
func refNumber(s string) []refProblem {
	bad, n := refRun(s[1:], refDigits)
	switch {
	case strings.HasPrefix(s, "+00"):
		return []refProblem{{"phone.zero", 1, 2}}
	case strings.HasPrefix(s, "+011") && n == 0 && len(s) <= 19 && refIsAssigned("+"+s[4:]):
		return []refProblem{{"phone.zero", 1, 3}}
	case strings.HasPrefix(s, "+0"):
		return []refProblem{{"phone.zero", 1, 1}}
	case n > 0:
		return []refProblem{{"phone.char", 1 + bad, n}}
	case len(s) < 3 || len(s) > 16:
		return []refProblem{{"phone.length", 1, len(s) - 1}}
	}
	return nil
}

// refClient returns the problem of s, which starts with client:.
func refClient(s string, to bool) []refProblem {
	off := len("client:")
	name, params, found := strings.Cut(s[off:], "?")
	end := off + len(name)
	bad, n := refRun(name, refClientName+"@")
	switch {
	case name == "":
		return []refProblem{{"client.length", off, 0}}
	case len(name) > 256:
		return []refProblem{{"client.length", off + 256, len(name) - 256}}
	case n > 0:
		return []refProblem{{"client.char", off + bad, n}}
	case found && !to:
		return []refProblem{{"client.params", end, len(s) - end}}
	case !found:
		return nil
	}
	off = end + 1
	for param := range strings.SplitSeq(params, "&") {
		plain := escapesPattern.ReplaceAllString(param, "aaa")
		bad, n := refRun(plain, refClientName+"@?")
		equals := strings.IndexByte(param, '=')
		switch {
		case n > 0:
			return []refProblem{{"client.params", off + bad, 1}}
		case equals < 0:
			return []refProblem{{"client.params", off + len(param), 0}}
		case equals == 0:
			return []refProblem{{"client.params", off, 0}}
		}
		off += len(param) + 1
	}
	return nil
}

var escapesPattern = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// refRun returns the first run of bytes of s that are not in class; n is 0 if there is none.
func refRun(s, class string) (start, n int) {
	for i := range len(s) {
		switch in := strings.IndexByte(class, s[i]) >= 0; {
		case !in && n == 0:
			start, n = i, 1
		case !in:
			n++
		case n > 0:
			return start, n
		}
	}
	return start, n
}

// refProblemsOf returns what a reference says of the problems of err.
func refProblemsOf(err error) (list []refProblem) {
	var e *callparams.Error
	if errors.As(err, &e) {
		for _, p := range e.Problems {
			list = append(list, refProblem{p.Rule, p.Offset, p.Len})
		}
	}
	return list
}

var (
	phonePattern    = regexp.MustCompile(`^\+[1-9][0-9]{1,14}$`)
	withheldPattern = regexp.MustCompile(`^\+(266696687|7378742833|2562533|8656696|86282452253)$`)
	userPattern     = regexp.MustCompile(`^[A-Za-z0-9_.-][A-Za-z0-9+_.-]{0,255}$`)
	callerPattern   = regexp.MustCompile(`^(?i:client):[A-Za-z0-9!$'()*+,./:;=_~-]{1,256}$`)
	clientPattern   = regexp.MustCompile(`^(?i:client):[A-Za-z0-9!$'()*+,./:;=@_~-]{1,256}(\?` +
		pairPattern + `(&` + pairPattern + `)*)?$`)
)

const pairPattern = `([A-Za-z0-9!$'()*+,./:;?@_~-]|%[0-9A-Fa-f]{2})+=` +
	`([A-Za-z0-9!$'()*+,./:;=?@_~-]|%[0-9A-Fa-f]{2})*`

// TestEveryByte puts every byte into every position of a name and of a number.
func TestEveryByte(t *testing.T) {
	testBytes(t, []byteTest{
		{"user name alone", errFrom, "", "", refUserName},
		{"user name, first", errFrom, "", "b", refUserName},
		{"user name, middle", errFrom, "a", "b", refUserName + "+"},
		{"user name, last", errFrom, "a", "", refUserName + "+"},
		{"client in From, alone", errFrom, "client:", "", refClientName},
		{"client in From, middle", errFrom, "client:a", "b", refClientName},
		{"client in From, last", errFrom, "client:a", "", refClientName},
		{"number in From, first", errFrom, "+", "5", "123456789"},
		{"number in From, middle", errFrom, "+1", "5", refDigits},
		{"number in From, last", errFrom, "+1", "", refDigits},
		{"number in To, first", errShape, "+", "4155552671", "123456789"},
		{"number in To, middle", errTo, "+1415555", "671", refDigits},
		{"number in To, last", errTo, "+1415555267", "", refDigits},
		{"client in To, alone", errTo, "client:", "", refClientName + "@"},
		{"client in To, middle", errTo, "client:a", "b", refClientName + "@"},
		{"client in To, last", errTo, "client:a", "", refClientName + "@"},
		{"parameter, first of the name", errTo, "client:a?", "=v",
			strings.Replace(refClientName, "=", "", 1) + "@?"},
		{"parameter, middle of the name", errTo, "client:a?k", "l=v", refClientName + "@?"},
		{"parameter, value alone", errTo, "client:a?k=", "", refClientName + "@?"},
		{"parameter, middle of the value", errTo, "client:a?k=v", "w", refClientName + "@?"},
	})
}

// The byte classes, written out a second time.
const (
	refLetters    = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	refDigits     = "0123456789"
	refUserName   = refLetters + refDigits + "-_."
	refClientName = refLetters + refDigits + "!$'()*+,-./:;=_~" // and @, in To only
)

// A byteTest puts every byte between before and after. Those in allowed are accepted, all
// others are refused. A byte of allowed that is not in the class starts another part of the value.
type byteTest struct {
	name          string
	parse         func(string) error
	before, after string
	allowed       string
}

func testBytes(t *testing.T, tests []byteTest) {
	t.Helper()
	for _, test := range tests {
		for c := range 256 {
			s := test.before + string([]byte{byte(c)}) + test.after
			ok := c < 0x80 && strings.IndexByte(test.allowed, byte(c)) >= 0
			assert.Equal(t, ok, test.parse(s) == nil, "%s: %q", test.name, s)
		}
	}
}

// An escapeTest puts every byte, escaped, between before and after. Those that allowed matches are
// accepted.
type escapeTest struct {
	parse         func(string) error
	before, after string
	allowed       *regexp.Regexp
}

func testEscapes(t *testing.T, tests []escapeTest) {
	t.Helper()
	for _, test := range tests {
		for c := range 256 {
			for _, verb := range []string{"%%%02X", "%%%02x"} {
				s := test.before + fmt.Sprintf(verb, c) + test.after
				ok := test.allowed.MatchString(string([]byte{byte(c)}))
				assert.Equal(t, ok, test.parse(s) == nil, s)
			}
		}
	}
}

var octetPattern, nonePattern = regexp.MustCompile(``), regexp.MustCompile(`a^`)

// TestEveryEscape puts every byte, escaped, into a client identity.
func TestEveryEscape(t *testing.T) {
	testEscapes(t, []escapeTest{
		{errTo, "client:a?k=", "", octetPattern},
		{errTo, "client:a?", "=", octetPattern},
		{errTo, "client:a", "", nonePattern},
	})
}

// TestNoAllocs checks that what is accepted allocates nothing.
func TestNoAllocs(t *testing.T) {
	r := callparams.Request{From: "+14155550100", To: "+14155552671"}
	testAllocs(t, 0, func() error { return r.Validate() })
	for _, s := range []string{
		"+14155552671", "+442071838750", "client:alice", "client:alice?k=v%20w",
	} {
		testAllocs(t, 0, func() error { return errTo(s) })
	}
	for _, s := range []string{"+14155552671", "client:alice", "alice"} {
		testAllocs(t, 0, func() error { return errFrom(s) })
	}
	list, err := callparams.ParseDestinations("+1 !+1900 +44")
	require.NoError(t, err)
	p := callparams.Parser{Destinations: list, Emergency: true}
	for _, s := range []string{"+14155552671", "911"} {
		testAllocs(t, 0, func() error { _, err := p.ParseTo(s); return err })
	}
}

// testAllocs requires that run succeeds and allocates at most n times. Under the race detector,
// which allocates itself, it skips the test aloud; CI also runs the tests without the detector.
func testAllocs(t *testing.T, n int, run func() error) {
	t.Helper()
	race := debug.BuildSetting{Key: "-race", Value: "true"}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, race) {
		t.Skip("the race detector allocates where the program does not")
	}
	require.NoError(t, run())
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { _ = run() }), float64(n))
}

// TestConcurrent parses numbers of every calling code in many goroutines at once, for the race
// detector.
func TestConcurrent(t *testing.T) {
	number := func(code int) string { return fmt.Sprintf("+%d123456789", code) }
	var possible [8][1000]bool
	var group sync.WaitGroup
	for i := range possible {
		group.Add(1)
		go func() {
			defer group.Done()
			for code := 1; code < 1000; code++ {
				possible[i][code] = errTo(number(code)) == nil
			}
		}()
	}
	group.Wait()
	for code := 1; code < 1000; code++ {
		want := refIsPossible(number(code))
		for i := range possible {
			require.Equal(t, want, possible[i][code], number(code))
		}
	}
}

// ---- Kinds and levels ----

func TestZeroValues(t *testing.T) {
	var (
		from callparams.From
		to   callparams.To
		call callparams.Call
		p    callparams.Problem
		e    callparams.Error
	)
	assert.False(t, from.IsValid() || to.IsValid() || call.IsValid())
	assert.Equal(t, callparams.KindInvalid, from.Kind())
	assert.Equal(t, callparams.KindInvalid, to.Kind())
	assert.Empty(t, from.String()+from.User()+from.Redacted()+to.String()+to.Redacted())
	_, isSIP := to.SIPURI()
	_, _, isClient := to.Client()
	assert.False(t, isSIP || isClient)
	assert.Empty(t, p.Value()+p.Redacted())
	_, fixed := p.Fix()
	assert.False(t, fixed)
	assert.Zero(t, e.Code())
	assert.NotPanics(t, func() { _ = fmt.Sprintf("%v %#v %v %#v %v", call, from, to, &e, &p) })
	for _, text := range []string{fmt.Sprint(callparams.Kind(99)), fmt.Sprint(callparams.Kind(0))} {
		assert.Equal(t, "invalid", text)
	}
	assert.Equal(t, "[shape possible assigned]", fmt.Sprint(allLevels))
	assert.Equal(t, "unknown", callparams.Rule("no.such").Basis().String())
	assert.Empty(t, callparams.Rule("no.such").Codes())
	assert.Empty(t, callparams.Rule("no.such").Summary())
}

// TestWords checks Text of the types that have a word for each value, and that they read no other
// text.
func TestWords(t *testing.T) {
	type words struct {
		Kinds  []callparams.Kind
		Levels []callparams.NumberCheck
		Bases  []callparams.Basis
	}
	in := words{
		[]callparams.Kind{
			callparams.KindInvalid, callparams.KindPhone, callparams.KindClient,
			callparams.KindSIP, callparams.KindUser, callparams.KindEmergency,
		},
		allLevels,
		[]callparams.Basis{
			0, callparams.Documented, callparams.Observed, callparams.Assumed,
			callparams.Configured,
		},
	}
	text, err := json.Marshal(in)
	require.NoError(t, err)
	assert.Equal(t, `{"Kinds":["","phone","client","sip","user","emergency"],`+
		`"Levels":["shape","possible","assigned"],`+
		`"Bases":["","documented","observed","assumed","configured"]}`, string(text))
	var out words
	require.NoError(t, json.Unmarshal(text, &out))
	assert.Equal(t, in, out)

	text, err = json.Marshal(words{
		[]callparams.Kind{99}, []callparams.NumberCheck{-99, 99}, []callparams.Basis{99},
	})
	require.NoError(t, err)
	assert.Equal(t, `{"Kinds":[""],"Levels":["shape","assigned"],"Bases":[""]}`, string(text))

	kind, level, basis := callparams.KindSIP, callparams.Assigned, callparams.Observed
	for _, word := range []string{"no", "SIP", "Shape", " sip", "invalid", "unknown", "2"} {
		assert.ErrorContains(t, kind.UnmarshalText([]byte(word)), "must be phone, client, sip, ")
		assert.ErrorContains(t, level.UnmarshalText([]byte(word)), "must be shape, possible or ")
		assert.ErrorContains(t, basis.UnmarshalText([]byte(word)), "must be documented, obs")
	}
	assert.Error(t, level.UnmarshalText(nil))
	assert.Equal(t, callparams.KindSIP, kind, "changed by an error")
	assert.Equal(t, callparams.Assigned, level, "changed by an error")
	assert.Equal(t, callparams.Observed, basis, "changed by an error")
}

func TestRequestLevel(t *testing.T) {
	r := callparams.Request{From: "+15555550100", To: "+14155552671"}
	_, err := callparams.Parser{Numbers: callparams.Assigned}.Parse(r)
	assert.Equal(t, []string{"From phone.assigned 0+12"}, spans(t, err))
	_, err = callparams.Parser{Numbers: 99}.Parse(r)
	assert.Equal(t, []string{"From phone.assigned 0+12"}, spans(t, err))
	r = callparams.Request{From: "+1234", To: "+12345"}
	_, err = callparams.Parser{Numbers: callparams.Shape}.Parse(r)
	assert.NoError(t, err)
	_, err = callparams.Parser{Numbers: -99}.Parse(r)
	assert.NoError(t, err)
}

// ---- From ----

func TestParseFromAccepts(t *testing.T) {
	long := strings.Repeat("a", 256)
	for _, test := range []struct {
		in   string
		kind callparams.Kind
		user string
	}{
		{"+14155552671", callparams.KindPhone, "+14155552671"},
		{"+123456789", callparams.KindPhone, "+123456789"},
		{"+12", callparams.KindPhone, "+12"},
		{"+123456789012345", callparams.KindPhone, "+123456789012345"},
		{"+266696687", callparams.KindPhone, "+266696687"},
		{"client:alice", callparams.KindClient, "alice"},
		{"CLIENT:Tom_O'Neil.7", callparams.KindClient, "Tom_O'Neil.7"},
		{"client:" + long, callparams.KindClient, long},
		{"alice", callparams.KindUser, "alice"},
		{"8001", callparams.KindUser, "8001"},
		{"Front-Desk", callparams.KindUser, "Front-Desk"},
		{"a+b_c.d", callparams.KindUser, "a+b_c.d"},
		{long, callparams.KindUser, long},
	} {
		t.Run(test.in, func(t *testing.T) {
			from, err := callparams.ParseFrom(test.in)
			require.NoError(t, err)
			assert.Equal(t, test.kind, from.Kind())
			assert.Equal(t, test.user, from.User())
			assert.Equal(t, test.in, from.String())
			assert.True(t, from.IsValid())
		})
	}
}

func TestParseFromRefuses(t *testing.T) {
	const none = ""
	for _, test := range []struct{ in, want, fix string }{
		{"", "from.required 0+0", none},
		{"sip:+1234@mydomain.sip.twilio.com", "from.user 9+24", "+1234"},
		{"sip:alice", "from.user 0+4", none},
		{"SIPS:bob@h", "from.user 8+2", "bob"},
		{"alice@example.com", "from.user 5+12", "alice"},
		{"+1234@x", "from.user 5+2", "+1234"},
		{"client:a@b", "from.user 8+2", none},
		{"sip:al ice@b", "from.user 10+2", none},
		{"bob:secret@b", "from.user 10+2", none},
		{"@alice", "from.user 0+6", none},
		{"alice@b@c", "from.user 5+4", none}, // one of two addresses
		{"bob@h <sip:rob@h>", "from.user 3+14", "rob"},
		{`"client:a@b"`, "from.user 9+3", none},
		{"sip:alice@", "from.user 9+1", "alice"},
		{"SIP:@h", "from.user 4+2", none},
		{"sip:client:bob@b", "from.user 14+2", none},
		{" sip:x", "from.user 1+4", none},
		{"<sips:+14155552671>", "from.user 1+5", "+14155552671"},
		{"Bob <sip:bob@h>", "from.user 12+3", "bob"},
		{"To: <tel:+14155552671>", "value.wrapped 0+5", "+14155552671"},
		{`"Bob <x>" <+14155552671>;tag=1`, "value.wrapped 0+11", "+14155552671"},
		{"<+14155552671>;transport=tls", "user.char 0+1", none},
		{"sip://bob@h", "from.user 9+2", "bob"},
		{"'8001", "value.wrapped 0+1", "8001"},
		{"'", "user.char 0+1", none},
		{"''", "value.wrapped 0+2", none},
		{"‚alice‘", "value.wrapped 0+3", "alice"},
		{"alice\r\n", "value.wrapped 5+2", "alice"},
		{"a＠b", "user.char 1+3", none},
		{"two words", "user.char 3+1", none},
		{" 14155552671", "phone.plus 0+1", "+14155552671"},
		{strings.Repeat("a", 257), "user.length 256+1", none},
		{"tel:+14155552671", "scheme.unknown 0+4", "+14155552671"},
		{"whatsapp:+14155552671", "scheme.unknown 0+9", none},
		{"app:x", "scheme.unknown 0+4", none},
		{"x:y", "scheme.unknown 0+2", none},
		{":y", "user.char 0+1", none},
		{"sim:x", "scheme.unknown 0+4", none},
		{"+", "phone.length 1+0", none},
		{"+1", "phone.length 1+1", none},
		{"+1234567890123456", "phone.length 1+16", none},
		{"+07487723751", "phone.zero 1+1", none},
		{"+1415555CALL", "phone.char 8+4", none},
		{"+1 (415) 555-2671", "phone.char 2+2", "+14155552671"},
		{"+44 (0)20 7183 8750", "phone.char 3+2", "+442071838750"},
		{"+39 (0)6 12345678", "phone.char 3+2", none}, // is the 0 dialed?
		{"+1415555２671", "phone.char 8+3", none},
		{"+14155552671\n", "value.wrapped 12+1", "+14155552671"},
		{"client:", "client.length 7+0", none},
		{"client:" + strings.Repeat("a", 257), "client.length 263+1", none},
		{"client:alice )", "client.char 12+1", none},
		{"client:zoë", "client.char 9+2", none},
		{"client:alice?k=v", "client.params 12+4", none},
		{"client:a&b", "client.char 8+1", none},
	} {
		t.Run(test.in, func(t *testing.T) {
			from, err := callparams.ParseFrom(test.in)
			assert.Equal(t, []string{"From " + test.want}, spans(t, err))
			assert.Zero(t, from)
			fix, ok := problemList(t, err)[0].Fix()
			assert.Equal(t, test.fix, fix)
			assert.Equal(t, test.fix != none, ok)
			if errors.Is(err, callparams.RuleFromUser) {
				assert.ErrorIs(t, err, callparams.CodeInvalidFrom)
				// message text, of Twilio's own page:
				assert.Contains(t, err.Error(), "the caller address is not a user name")
			}
		})
	}
}

func requireFrom(t *testing.T, p callparams.Parser, s string) {
	from, err := p.ParseFrom(s)
	require.Equal(t, err == nil, from.IsValid())
	if err != nil {
		require.Zero(t, from)
		requireProblems(t, problemList(t, err), "From", s, func(fix string) error {
			_, err := p.ParseFrom(fix)
			return err
		})
		return
	}
	require.Equal(t, s, from.String())
	again, err := p.ParseFrom(from.String())
	require.NoError(t, err)
	require.Equal(t, from, again)
	require.True(t, refIsASCII(s))
	require.LessOrEqual(t, len(warned(t, from.Warnings())), 16)
	require.Contains(t, "phone client user", from.Kind().String())
	require.True(t, strings.HasSuffix(s, from.User()))
	requireText(t, from, new(callparams.From))
}

// ---- To ----

func requireTo(t *testing.T, p callparams.Parser, s string) (ok bool) {
	to, err := p.ParseTo(s)
	require.Equal(t, err == nil, to.IsValid())
	if err != nil {
		require.Zero(t, to)
		requireProblems(t, problemList(t, err), "To", s, func(fix string) error {
			_, err := p.ParseTo(fix)
			return err
		})
		return false
	}
	require.Equal(t, s, to.String())
	again, err := p.ParseTo(to.String())
	require.NoError(t, err)
	require.Equal(t, to, again)
	require.True(t, refIsASCII(s))
	uri, isSIP := to.SIPURI()
	_, _, isClient := to.Client()
	require.Equal(t, to.Kind() == callparams.KindSIP, isSIP)
	require.Equal(t, to.Kind() == callparams.KindClient, isClient)
	if isSIP {
		requireRebuilt(t, p, uri)
	}
	if p.Numbers == callparams.Possible && !p.Emergency && p.Tolerate == nil {
		requireText(t, to, new(callparams.To))
	}
	return true
}

func TestMustParsePanics(t *testing.T) {
	assert.Panics(t, func() { callparams.MustParseFrom("") })
	assert.Panics(t, func() { callparams.MustParseTo("") })
}

func TestText(t *testing.T) {
	type pair struct {
		From callparams.From
		To   callparams.To
	}
	in := pair{
		callparams.MustParseFrom("client:alice"),
		callparams.MustParseTo("sip:bob@example.com?X-A=%22"),
	}
	text, err := json.Marshal(in)
	require.NoError(t, err)
	assert.JSONEq(t, `{"From": "client:alice", "To": "sip:bob@example.com?X-A=%22"}`, string(text))
	var out pair
	require.NoError(t, json.Unmarshal(text, &out))
	assert.Equal(t, in, out)

	assert.Error(t, json.Unmarshal([]byte(`{"From": "a@b"}`), &out))
	assert.Error(t, json.Unmarshal([]byte(`{"To": "bob"}`), &out))
	assert.Equal(t, in, out, "a failed UnmarshalText changes nothing")
	require.NoError(t, json.Unmarshal([]byte(`{"From": "", "To": ""}`), &out))
	assert.Zero(t, out)

	b, err := in.From.AppendText([]byte("From="))
	require.NoError(t, err)
	assert.Equal(t, "From=client:alice", string(b))
	b, err = in.To.AppendText(nil)
	require.NoError(t, err)
	assert.Equal(t, in.To.String(), string(b))
}

// A fromOrTo is a From or a To.
type fromOrTo interface {
	comparable
	String() string
	MarshalText() ([]byte, error)
	AppendText([]byte) ([]byte, error)
}

// requireText requires Text of v, which the zero Parser accepts. It reads the text back into *into.
func requireText[V fromOrTo, P interface {
	*V
	UnmarshalText([]byte) error
}](t *testing.T, v V, into P) {
	text, err := v.MarshalText()
	require.NoError(t, err)
	require.Equal(t, v.String(), string(text))
	more, err := v.AppendText([]byte("> "))
	require.NoError(t, err)
	require.Equal(t, "> "+v.String(), string(more))
	require.NoError(t, into.UnmarshalText(text))
	require.Equal(t, v, *into)
	require.Error(t, into.UnmarshalText([]byte("sip:")))
	require.Equal(t, v, *into, "changed by an error")
	require.NoError(t, into.UnmarshalText(nil))
	require.Zero(t, *into)
	text, err = json.Marshal(map[string]V{"v": v})
	require.NoError(t, err)
	var back map[string]V
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, v, back["v"])
}

// ---- Requests ----

func TestRequest(t *testing.T) {
	for _, test := range []struct {
		from, to string
		want     []string
	}{
		{"+123456789", "sip:bob@example.com", nil},
		{"client:alice", "sip:bob@example.com", nil},
		{"alice", "client:bob?k=v", nil},
		{"+14155550100", "+14155552671", nil},
		{"client:alice", "+14155552671", []string{"From from.phone 0+12"}},
		{"8001", "+14155552671", []string{"From phone.plus 0+0"}},
		{"(415) 555-0100", "+14155552671", []string{"From phone.plus 0+0"}},
		{"(415) 555-0100 ", "+14155552671", []string{"From value.wrapped 14+1"}},
		{"8001", "sip:bob@example.com", nil},
		{"...", "+14155552671", []string{"From from.phone 0+3"}},
		{"911", "911", []string{"To phone.emergency 0+3", "From phone.plus 0+0"}},
		{"alice", "+1911", []string{"To phone.emergency 0+5", "From from.phone 0+5"}},
		{"+442071838750", "911", []string{"To phone.emergency 0+3"}},
		{"+123456789", "+14155552671", []string{"From phone.length 1+9"}},
		{"+266696687", "+14155552671", []string{"From phone.withheld 0+10"}},
		{"+266696687", "sip:bob@example.com", nil},
		{"+14155552671", "+14155552671", []string{"To same.party 0+12"}},
		{"alice", "sip:alice", nil},
		{"client:alice", "+1234", []string{"To phone.length 1+4", "From from.phone 0+12"}},
		{"client:alice", "gdygadba", []string{"To phone.plus 0+0"}},
		{"client:alice", "+1234@x", []string{"To scheme.missing 0+0"}},
		{"a b", "+14155552671", []string{"From user.char 1+1"}},
		{"", "", []string{"To to.required 0+0", "From from.required 0+0"}},
		{"", "sip:bob@10.0.0.1;transport=sctp?X-A=a%0d%0ab&Subject=x", []string{
			"To sip.private 8+8", "To sip.transport 27+4",
			"To header.value 37+6", "To header.allowed 45+7",
			"From from.required 0+0",
		}},
	} {
		t.Run(test.from+" "+test.to, func(t *testing.T) {
			r := callparams.Request{From: test.from, To: test.to}
			call, err := r.Parse()
			assert.Equal(t, test.want, spans(t, err))
			assert.Equal(t, err == nil, call.IsValid())
			assert.Equal(t, err == nil, r.Validate() == nil)
			if err == nil {
				assert.Equal(t, test.from, call.From().String())
				assert.Equal(t, test.to, call.To().String())
			}
		})
	}
}

// TestFixInPair checks that a fix is also accepted beside the other value.
func TestFixInPair(t *testing.T) {
	for _, r := range []callparams.Request{
		{From: "+14155552671", To: "+1 (415) 555-2671"},
		{From: "+1 (415) 555-2671", To: "+14155552671"},
		{From: "+1 (234)", To: "+14155552671"},
		{From: "+14155552671", To: " +14155552671"},
	} {
		fix, ok := problemList(t, r.Validate())[0].Fix()
		assert.False(t, ok, r)
		assert.Empty(t, fix, r)
	}
	// Both fixes together are accepted.
	r := callparams.Request{From: "sip:alice@h", To: "\"+14155550100\""}
	list := problemList(t, r.Validate())
	to, ok := list[0].Fix()
	assert.True(t, ok)
	assert.Equal(t, "+14155550100", to)
	_, ok = list[1].Fix()
	assert.False(t, ok, "alice cannot call a number")
	const low, lowText = "+14155550100", "+1 (415) 555-0100"
	const high, highText = "+14155552671", "+1 (415) 555-2671"
	for r, want := range map[callparams.Request]string{
		{From: lowText, To: high}: low,
		{From: highText, To: low}: high,
		{From: low, To: highText}: high,
		{From: high, To: lowText}: low,
	} {
		fix, _ := problemList(t, r.Validate())[0].Fix()
		assert.Equal(t, want, fix)
	}
}

func requireRequest(t *testing.T, p callparams.Parser, r callparams.Request) (ok bool) {
	call, err := p.Parse(r)
	require.Equal(t, err == nil, call.IsValid())
	from, fromErr := p.ParseFrom(r.From)
	to, toErr := p.ParseTo(r.To)
	if err == nil {
		require.NoError(t, fromErr)
		require.NoError(t, toErr)
		require.Equal(t, from, call.From())
		require.Equal(t, to, call.To())
		all, own := warned(t, call.Warnings()), warned(t, to.Warnings())
		require.True(t, slices.Equal(own, all[:len(own)]))
		require.Equal(t, to, call.To())
		if p.Numbers == callparams.Possible && !p.Emergency && p.Tolerate == nil {
			requireCallJSON(t, call)
		}
		return true
	}
	require.Zero(t, call)
	var froms, tos []*callparams.Problem
	for _, problem := range problemList(t, err) {
		if problem.Param == callparams.ParamFrom {
			froms = append(froms, problem)
			continue
		}
		require.Empty(t, froms, "a problem of To stands behind one of From")
		tos = append(tos, problem)
	}
	requireProblems(t, tos, "To", r.To, func(fix string) error {
		_, err := p.ParseTo(fix)
		return err
	})
	requireProblems(t, froms, "From", r.From, func(fix string) error {
		if !strings.HasPrefix(r.To, "+") || strings.Contains(r.To, "@") {
			_, err := p.ParseFrom(fix)
			return err
		}
		other := "+14155552671"
		if fix == other {
			other = "+442071838750"
		}
		_, err := p.Parse(callparams.Request{From: fix, To: other})
		return err
	})
	return false
}

// requireCallJSON requires Text of call, which the zero Parser accepts.
func requireCallJSON(t *testing.T, call callparams.Call) {
	text, err := json.Marshal(call)
	require.NoError(t, err)
	var fields map[string]string
	require.NoError(t, json.Unmarshal(text, &fields))
	want := map[string]string{"from": call.From().String(), "to": call.To().String()}
	require.Equal(t, want, fields)
	var back callparams.Call
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, call, back)
}

func TestCallJSON(t *testing.T) {
	call, err := callparams.Request{From: "client:alice", To: "sip:bob@h?X-A=%22"}.Parse()
	require.NoError(t, err)
	text, err := json.Marshal(call)
	require.NoError(t, err)
	assert.Equal(t, `{"from":"client:alice","to":"sip:bob@h?X-A=%22"}`, string(text))
	requireCallJSON(t, call)
	text, err = json.Marshal(callparams.Call{})
	require.NoError(t, err)
	assert.Equal(t, `{"from":"","to":""}`, string(text))

	back := call
	for in, want := range map[string]string{
		`{"from": "alice", "to": "+14155552671"}`:        "From from.phone 0+5",
		`{"from": "+14155552671", "to": "+14155552671"}`: "To same.party 0+12",
		`{"from": "a@b", "to": "sip:"}`:                  "To sip.host 4+0; From from.user 1+2",
		`{"from": "alice"}`:                              "To to.required 0+0",
		`{"from": null, "to": "client:bob"}`:             "From from.required 0+0",
		`{"from": "+14155552671", "to": "+12345"}`:       "To phone.length 1+5",
		`{"from": "+14155552671", "to": "911"}`:          "To phone.emergency 0+3",
	} {
		err := json.Unmarshal([]byte(in), &back)
		assert.Equal(t, want, strings.Join(spans(t, err), "; "), in)
	}
	for _, in := range []string{
		`{"from": "alice", "to": 14155552671}`, `{"from": ["alice"], "to": "client:bob"}`, `[]`,
		`"client:bob"`, `{"from": "alice"`, `{"from": "alice", "to": "client:bob"} x`, ``,
	} {
		assert.EqualError(t, back.UnmarshalJSON([]byte(in)),
			"callparams: a call must be a JSON object with the strings from and to", in)
	}
	require.NoError(t, json.Unmarshal([]byte(`null`), &back))
	assert.Equal(t, call, back, "changed by an error or by null")

	for in, want := range map[string]callparams.Request{
		`{"from": "alice", "to": "client:bob", "id": 7}`: {From: "alice", To: "client:bob"},
		`{"From": "alice", "TO": "client:bob"}`:          {From: "alice", To: "client:bob"},
		`{"from": "", "to": ""}`:                         {},
		`{}`:                                             {},
	} {
		require.NoError(t, json.Unmarshal([]byte(in), &back), in)
		got := callparams.Request{From: back.From().String(), To: back.To().String()}
		assert.Equal(t, want, got, in)
	}
}

// ---- MoveSourceDomain ----

func TestMoveSourceDomain(t *testing.T) {
	const from = "sip:+1234@mydomain.sip.twilio.com"
	const moved = "X-Source-Domain=mydomain.sip.twilio.com"
	long := "X-A=" + strings.Repeat("a", 1000)
	for _, test := range []struct{ from, to, wantFrom, wantTo string }{
		{from, "sip:destination@host", "+1234", "sip:destination@host?" + moved},
		{from, "sip:d%20@host;lr?X-A=%42", "+1234", "sip:d%20@host;lr?X-A=%42&" + moved},
		{"SIPS:alice:pw@h:5061;lr?a=b", "sip:d@host", "alice", "sip:d@host?X-Source-Domain=h"},
		{"+1234", "sip:d@host", "+1234", "sip:d@host"},
		{"alice@example.com", "+1", "alice@example.com", "+1"},
		{"", "", "", ""},
	} {
		t.Run(test.from+" "+test.to, func(t *testing.T) {
			got, err := callparams.Request{From: test.from, To: test.to}.MoveSourceDomain()
			require.NoError(t, err)
			assert.Equal(t, callparams.Request{From: test.wantFrom, To: test.wantTo}, got)
		})
	}
	for _, test := range []struct{ from, to, want, why string }{
		{from, "+14155552671", "To source.domain 0+12", "only a SIP URI carries a domain"},
		{from, "client:bob", "To source.domain 0+10", "only a SIP URI carries a domain"},
		{from, "sip:d@host?x-source-domain=other", "To source.domain 11+15", "there is an X-"},
		{from, "sip:d@host?X-A=1&X-%53ource-Domain=b", "To source.domain 17+17", "there is an X-"},
		{from, "sip:d@host?" + long, "To source.domain 1015+0", "longer than 1023"},
		{from, "sip:d@10.0.0.1", "To sip.private 6+8", "private"},
		{from, "sip:d;secure=true@host", "To sip.user 5+1", "user"},
		{"sip:mydomain.sip.twilio.com", "sip:d@host", "From source.domain 4+0", "user is missing"},
		{"sip:@h", "sip:d@host", "From source.domain 4+0", "the user before the @ is empty"},
		{"sip:b b@h", "sip:d@host", "From source.domain 5+1", "user name contains a space; use"},
		{"sip:sip:d@h", "sip:d@host", "From source.domain 4+4", "two schemes stand here"},
		{"sip:client:d@h", "sip:d@host", "From source.domain 4+7", "two schemes stand here"},
		{"sip://d@h", "sip:d@host", "From source.domain 4+2", "does not have //"},
		{"sip:d;secure=true@h", "sip:d@host", "From source.domain 5+1", "user name contains ';'"},
		{"sip:a%20b@h", "sip:d@host", "From source.domain 4+5", "user name contains a space"},
		{"sip:client%3Aalice@h", "sip:d@host", "From source.domain 4+14", "client"},
		{"sip:alice@", "sip:d@host", "From source.domain 10+0", "host is missing"},
		{"sip:alice@h_x", "sip:d@host", "From source.domain 11+1", "host contains '_'"},
		{"sip:a@h?" + strings.Repeat("b", 1271), "sip:d", "From source.domain 1278+1", "longer"},
	} {
		t.Run(test.from+" "+test.to, func(t *testing.T) {
			got, err := callparams.Request{From: test.from, To: test.to}.MoveSourceDomain()
			assert.Equal(t, []string{test.want}, spans(t, err))
			assert.ErrorContains(t, err, test.why) // message text
			assert.Zero(t, got)
			_, ok := problemList(t, err)[0].Fix()
			assert.False(t, ok)
		})
	}
}

func TestMoveSourceDomainBasis(t *testing.T) {
	for from, want := range map[string]callparams.Basis{
		"sip:b b@h":   callparams.Assumed, // as sip.user is
		"sip:b@h_":    callparams.Assumed,
		"sip:b@":      callparams.Documented,
		"sip:sip:b@h": callparams.Assumed,
	} {
		_, err := callparams.Request{From: from, To: "sip:d@host"}.MoveSourceDomain()
		assert.Equal(t, want, problemList(t, err)[0].Basis, from)
	}
	long := "sip:a@h?" + strings.Repeat("b", 1268) + "=c"
	_, err := callparams.Request{From: long, To: "sip:d@host"}.MoveSourceDomain()
	assert.NoError(t, err, "1278 bytes")
}

// requireMove requires that MoveSourceDomain changes only From and one header of To.
func requireMove(t *testing.T, r callparams.Request) {
	moved, err := r.MoveSourceDomain()
	if err != nil {
		require.Zero(t, moved)
		problemList(t, err)
		return
	}
	from, err := callparams.ParseSIPURI(r.From)
	if err != nil {
		require.Equal(t, r, moved)
		return
	}
	require.Equal(t, from.User, moved.From)
	_, err = callparams.ParseFrom(moved.From)
	require.NoError(t, err)
	to, err := callparams.ParseTo(moved.To)
	require.NoError(t, err)
	got, _ := to.SIPURI()
	want, err := callparams.ParseSIPURI(r.To)
	require.NoError(t, err)
	require.Equal(t, want.WithHeader(callparams.SourceDomainHeader, from.Host), got)
}

// ---- Phone numbers ----

func TestParseToPhone(t *testing.T) {
	const ok = ""
	for _, test := range []struct{ in, shape, possible, assigned, fix string }{
		{"+14155552671", ok, ok, ok, ""},
		{"+15005550001", ok, ok, ok, ""}, // to 9: Twilio's test numbers
		{"+15005550002", ok, ok, ok, ""},
		{"+15005550003", ok, ok, ok, ""},
		{"+15005550004", ok, ok, ok, ""},
		{"+15005550005", ok, ok, ok, ""},
		{"+15005550006", ok, ok, ok, ""},
		{"+15005550007", ok, ok, ok, ""},
		{"+15005550008", ok, ok, ok, ""},
		{"+15005550009", ok, ok, ok, ""},
		{"+390612345678", ok, ok, ok, ""}, // in Italy the 0 belongs to the number
		{"+15555550100", ok, ok, "phone.assigned 0+12", ""},
		{"+3758178905574", ok, ok, "phone.assigned 0+14", ""},  // the metadata drops the 8
		{"+35215407568439", ok, ok, "phone.assigned 0+15", ""}, // the metadata drops the 15407
		{"+57000000000000", ok, "phone.trunk 3+1", "phone.trunk 3+1", ""},
		{"+123456789", ok, "phone.length 1+9", "phone.length 1+9", ""},
		{"+1234", ok, "phone.length 1+4", "phone.length 1+4", ""},
		{"+33111", ok, "phone.length 1+5", "phone.length 1+5", ""},
		{"+8695588", ok, "phone.length 1+7", "phone.length 1+7", ""}, // possible locally only
		{"+5215512345678", ok, "phone.length 1+13", "phone.length 1+13", "+525512345678"},
		{"+15550100", ok, "phone.length 1+8", "phone.length 1+8", ""}, // possible locally only
		{"+44", ok, "phone.length 1+2", "phone.length 1+2", ""},
		{"+999123456789", ok, "phone.country 1+3", "phone.country 1+3", ""},
		{"+2101234567", ok, "phone.country 1+3", "phone.country 1+3", ""},
		{"+99", ok, "phone.country 1+2", "phone.country 1+2", ""},
		{"+4402071838750", ok, "phone.trunk 3+1", "phone.trunk 3+1", "+442071838750"},
		{"+440", ok, "phone.length 1+3", "phone.length 1+3", ""},
		{"+266696687", "phone.withheld 0+10", "phone.withheld 0+10", "phone.withheld 0+10", ""},
		{"+7378742833", "phone.withheld 0+11", "phone.withheld 0+11", "phone.withheld 0+11", ""},
		{"+2562533", "phone.withheld 0+8", "phone.withheld 0+8", "phone.withheld 0+8", ""},
		{"+8656696", "phone.withheld 0+8", "phone.withheld 0+8", "phone.withheld 0+8", ""},
		{"+86282452253", "phone.withheld 0+12", "phone.withheld 0+12", "phone.withheld 0+12", ""},
		// Possible by the metadata, but too long for E.164:
		{"+4915123456789012", "phone.length 1+16", "phone.length 1+16", "phone.length 1+16", ""},
		{"14155552671", "phone.plus 0+0", "phone.plus 0+0", "phone.plus 0+0", ""},
		{" 14155552671", "phone.plus 0+1", "phone.plus 0+1", "phone.plus 0+1", "+14155552671"},
		{" 1", "phone.plus 0+1", "phone.plus 0+1", "phone.plus 0+1", ""},
		{" ", "value.wrapped 0+1", "value.wrapped 0+1", "value.wrapped 0+1", ""},
		{"+490112", ok, "phone.trunk 3+1", "phone.trunk 3+1", ""}, // the metadata keeps the 0
		{"+4300133", ok, "phone.trunk 3+1", "phone.trunk 3+1", ""},
		{"+01134960000", "phone.zero 1+1", "phone.zero 1+1", "phone.zero 1+1", ""}, // of Leeds
		{"+01114155552671", "phone.zero 1+3", "phone.zero 1+3", "phone.zero 1+3", "+14155552671"},
		{"+0096522590000", "phone.zero 1+2", "phone.zero 1+2", "phone.zero 1+2", "+96522590000"},
		{"+07487723751", "phone.zero 1+1", "phone.zero 1+1", "phone.zero 1+1", ""},
		{"gdygadba", "phone.plus 0+0", "phone.plus 0+0", "phone.plus 0+0", ""},
		{"Call me at +14155552671 now", "phone.plus 0+0", "phone.plus 0+0", "phone.plus 0+0", ""},
		{"+1 (415) 555-2671", "phone.char 2+2", "phone.char 2+2", "phone.char 2+2", "+14155552671"},
		{"+14155552671;ext=5", "phone.char 12+5", "phone.char 12+5", "phone.char 12+5", ""},
	} {
		t.Run(test.in, func(t *testing.T) {
			for i, want := range []string{test.shape, test.possible, test.assigned} {
				level := allLevels[i]
				p := callparams.Parser{Numbers: level}
				to, err := p.ParseTo(test.in)
				if want == ok {
					require.NoError(t, err, level)
					assert.Equal(t, callparams.KindPhone, to.Kind())
					continue
				}
				assert.Equal(t, []string{"To " + want}, spans(t, err), level)
				assert.ErrorIs(t, err, callparams.CodeInvalidTo)
				fix, _ := problemList(t, err)[0].Fix()
				assert.Equal(t, test.fix, fix, level)
			}
		})
	}
}

// TestNumberFixes checks the fixes for a number with something around it or in it, in From and To.
func TestNumberFixes(t *testing.T) {
	for in, want := range map[string]string{
		"tel:+1-415-555-2671":              "+14155552671",
		"TEL:+1.415/555-2671":              "+14155552671",
		"Tel:+4402071838750":               "+442071838750",
		"tel:+44 (0)20 7183 8750":          "+442071838750",
		"+44(0) 2071838750":                "+442071838750",
		"+44 020 7183 8750":                "+442071838750",
		"+49 (0)30 1234567":                "+49301234567",
		"+390 (0)6 12345678":               "",
		"+39 (0)6 12345678":                "", // is the 0 dialed?
		"+52 1 55 1234 5678":               "+525512345678",
		"+14155552671.0":                   "",
		"%2B14155552671":                   "+14155552671",
		"+49 0112":                         "",
		"011 4321-1234":                    "", // of Buenos Aires
		"\u202d+14155552671\u202c":         "+14155552671",
		"<tel:+1-415-555-2671>":            "+14155552671",
		" \t'+14155552671'\r\n":            "+14155552671",
		"\"\"\"\"+14155552671\"\"\"\"":     "+14155552671",
		"\"\"\"\"\"+12025550100\"\"\"\"\"": "", // too many layers
		"tel:911":                          "",
		"tel:alice":                        "",
		"whatsapp:+14155552671":            "",
		" 442071838750":                    "+442071838750",
		" 44 2071838750":                   "",
		"@alice":                           "",
	} {
		for _, err := range []error{errFrom(in), errTo(in)} {
			fix, ok := problemList(t, err)[0].Fix()
			assert.Equal(t, want, fix, "%q: %v", in, err)
			assert.Equal(t, want != "", ok, "%q: %v", in, err)
		}
	}
}

// TestFixChangesNothing checks that Fix does not change what the parser remembers of a calling
// code.
func TestFixChangesNothing(t *testing.T) {
	_, err := callparams.ParseTo("+0491701234567")
	_, ok := problemList(t, err)[0].Fix()
	assert.False(t, ok)
	_, err = callparams.ParseTo("+491234567890123")
	assert.NoError(t, err)
}

// TestEmergency checks what a parser with Emergency accepts, and how From must be then.
func TestEmergency(t *testing.T) {
	const none = ""
	for _, test := range []struct{ from, to, want string }{
		{"+14155550100", "911", none},
		{"+14155550100", "+1911", none},
		{"+14155550100", "933", none},
		{"+442071838750", "999", none},
		{"+442071838750", "+44112", none},
		{"+61291920000", "000", none},
		{"+66212345678", "+661669", none},
		{"+442071838750", "911", "From from.phone 0+13"},
		{"+442071838750", "+1112", "From from.phone 0+13"},
		{"+14155550100", "+44112", "From from.phone 0+12"},
		{"+390612345678", "999", "From from.phone 0+13"},
		{"alice", "911", "From from.phone 0+5"},
		{"8001", "911", "From phone.plus 0+0"},
		{"+1234", "911", "From phone.length 1+4"},
		{"+14155550100", "912", "To phone.plus 0+0"},
		{"+14155550100", "+1912", "To phone.length 1+4"},
		{"+14155550100", "9911", "To phone.plus 0+0"},
		{"+14155550100", "+911", "To phone.length 1+3"},
		{"+14155550100", "9-1-1", "To phone.plus 0+0"},
		{"+14155550100", "+49911", "To phone.length 1+5"},
	} {
		p := callparams.Parser{Emergency: true}
		call, err := p.Parse(callparams.Request{From: test.from, To: test.to})
		assert.Equal(t, test.want, strings.Join(spans(t, err), "; "), test)
		if err == nil {
			assert.Equal(t, callparams.KindEmergency, call.To().Kind())
			assert.Equal(t, test.to, call.To().String())
			_, err := p.ParseTo(test.to)
			assert.NoError(t, err)
			assert.ErrorIs(t, errTo(test.to), callparams.RulePhoneEmergency)
			assert.ErrorIs(t, errShape(test.to), callparams.RulePhoneEmergency)
			continue
		}
		_, ok := problemList(t, err)[0].Fix()
		assert.False(t, ok, test)
	}
	p := callparams.Parser{Emergency: true}
	_, err := p.ParseTo("<tel:+1-911>")
	fix, _ := problemList(t, err)[0].Fix()
	assert.Equal(t, "+1911", fix)
	err = callparams.Request{From: "911", To: "+14155552671"}.Validate()
	assert.ErrorContains(t, err, "cannot be the caller") // message text
}

// TestEmergencyNumbers compares the emergency numbers with those that the metadata has for the
// countries where Twilio places emergency calls.
func TestEmergencyNumbers(t *testing.T) {
	p := callparams.Parser{Numbers: callparams.Shape, Emergency: true}
	numbers := []string{"933"} // Twilio's test number
	for n := range 10_000 {    // the longest has 4 digits
		for number := strconv.Itoa(n); len(number) <= 4; number = "0" + number {
			numbers = append(numbers, number)
		}
	}
	isEmergency := func(number, region string) bool {
		return phonenumbers.IsEmergencyNumber(number, region) ||
			number == "933" && (region == "US" || region == "CA")
	}
	regions := strings.Fields("US CA GB AU IE FR DE AT MY TH PH NZ IT")
	for _, number := range numbers {
		codes := map[string]bool{}
		for _, region := range regions {
			code := strconv.Itoa(phonenumbers.GetCountryCodeForRegion(region))
			codes[code] = codes[code] || isEmergency(number, region)
		}
		any := false
		for code, want := range codes {
			to, _ := p.ParseTo("+" + code + number)
			require.Equal(t, want, to.Kind() == callparams.KindEmergency, "+%s%s", code, number)
			any = any || want
		}
		_, err := p.ParseTo(number)
		require.Equal(t, any, err == nil, number)
	}
}

// TestEveryCallingCode checks Lengths: every calling code, with every number of digits after it, is
// as possible as the metadata says. Shape accepts a number that is refused for that.
func TestEveryCallingCode(t *testing.T) {
	t.Parallel()
	shape := callparams.Parser{Numbers: callparams.Shape}
	assigned := callparams.Parser{Numbers: callparams.Assigned}
	for code := 1; code <= 999; code++ {
		for n := 1; n <= 14; n++ {
			for first := '0'; first <= '9'; first++ {
				number := "+" + strconv.Itoa(code) + string(first) + strings.Repeat("7", n-1)
				if emergencyPattern.MatchString(number) {
					continue
				}
				_, err := shape.ParseTo(number)
				require.Equal(t, len(number) <= 16, err == nil, number)
				_, err = callparams.ParseTo(number)
				possible := len(number) <= 16 && refIsPossible(number)
				require.Equal(t, possible, err == nil, "%s: %v", number, err)
				if err == nil && first == '2' {
					_, err = assigned.ParseTo(number)
					require.Equal(t, refIsAssigned(number), err == nil, number)
				}
			}
		}
	}
}

// refIsPossible asks the metadata about a number of 15 digits or less.
func refIsPossible(number string) bool {
	for n := 2; n <= min(4, len(number)); n++ {
		code, _ := strconv.Atoi(number[1:n])
		if !phonenumbers.GetSupportedCallingCodes()[code] {
			continue
		}
		if national := number[n:]; national != "" && national[0] != '0' {
			return refHasLength(int32(code), national)
		}
		break
	}
	parsed, err := phonenumbers.Parse(number, "")
	return err == nil && phonenumbers.Format(parsed, phonenumbers.E164) == number &&
		phonenumbers.IsPossibleNumberWithReason(parsed) == phonenumbers.IS_POSSIBLE
}

func refHasLength(code int32, national string) bool {
	digits, _ := strconv.ParseUint(national, 10, 64)
	number := phonenumbers.PhoneNumber{CountryCode: &code, NationalNumber: &digits}
	return phonenumbers.IsPossibleNumberWithReason(&number) == phonenumbers.IS_POSSIBLE
}

func refIsAssigned(number string) bool {
	parsed, err := phonenumbers.Parse(number, "")
	return err == nil && phonenumbers.IsValidNumber(parsed) &&
		phonenumbers.Format(parsed, phonenumbers.E164) == number
}

// ---- Warnings ----

func TestWarnings(t *testing.T) {
	const number = "+14155550100"
	long := strings.Repeat("v", 798)
	for _, test := range []struct{ from, to, want string }{
		{number, "sip:bob@example.com;transport=tls;secure=true?X-A=1", ""},
		{number, "sips:bob@example.com", "To sips.rewritten 0+5"},
		{number, "sip:bob@h;secure=true;transport=UDP", "To sip.secure.transport 32+3"},
		{number, "sip:bob@h;transport=tcp;s%65cure=TRUE", "To sip.secure.transport 20+3"},
		{number, "sip:bob@h;secure=false;transport=udp", ""},
		{number, "sip:bob@h;secure=true;transport", "-"},
		{number, "sip:bob@h;edge=dublin;region=ie1", ""},
		{number, "sip:bob@h;edge=DUBLIN-IX;region=gll", ""},
		{number, "sip:bob@h;edge=dub%6cin", ""},
		{number, "sip:bob@h;edge=paris", "To sip.edge.unknown 15+5"},
		{number, "sip:bob@h;region=gll-ix;edge=", "-"},
		{number, "sip:bob@h;region=gll-ix", "To sip.edge.unknown 17+6"},
		{number, "sip:bob@a.sip.twilio.com;edge=dublin;transport=tls", "To sip.edge.ignored 25+11"},
		{number, "sip:bob@a.sip.twilio.com;edge=x;tnx=1", "To sip.edge.ignored 25+6, " +
			"To sip.edge.unknown 30+1, To sip.tnx 32+5, To sip.edge.ignored 32+5"},
		{number, "sip:bob@a.sip.twilio.com.example;edge=dublin", ""},
		{number, "sip:bob@a.sip.us1.twilio.com", "To sip.domain.region 14+3"},
		{number, "sip:bob@a.b.sip.US1-IX.twilio.com.:5060", "To sip.domain.region 16+6"},
		{number, "sip:bob@a.sip.us1.example.com", ""},
		{number, "sip:bob@h;tnx=1", "To sip.tnx 10+5"},
		{number, "sip:bob@h;tnx2=1", ""},
		{number, "sip:bob@h;Maddr=example.com", "To sip.maddr 10+17"},
		{number, "sip:bob@[2001:db8::1]:5060;lr", "To sip.ipv6 8+13"},
		{number, "sip:bob@192.0.2.1", ""},
		{number, "sip:b+b@h;a+b=c+d?X-A+B=1", ""},
		{number, "sip:bob@h?X-A=a+b++c&X-B=%2B&X-C=++", "To header.plus 15+1, To header.plus 33+2"},
		{number, "sip:bob@h?X-A=50%25&X-B=%26&X-C=a%26b", ""},
		{number, "sip:bob@h?X-A=a%2520b", "To header.escaped 14+7"},
		{number, "sip:bob@h?X-A=1%26X-B%3D2&X-B=%26%3D", "To header.escaped 14+11"},
		{"alice", "client:Alice_1?k=v", ""},
		{"alice", "client:alice-o'neil.1", "To client.portable 12+1"},
		{"client:a--b", "client:bob", "From client.portable 8+2"},
		{"a.b", "client:bob?k=" + long, ""},
		{"a.b", "client:bob?k=" + long + "v", "To client.size 11+801"},
		{number, "+14155552671", ""},
		{number, "+15555550100", "To phone.unassigned 0+12"},
		{number, "+19005550100", "To phone.costly 0+12"},
		{number, "+881612345678", "To phone.costly 0+13"},
		{number, "+447012345678", ""},
		{"+18005550100", "+14155552671", "From from.tollfree 0+12"},
		{"+18005550100", "sip:bob@example.com", ""},
		{"client:alice", "sip:bob@example.com", "From from.client 0+12"},
		{"client:a.b", "sips:bob@h", "To sips.rewritten 0+5, From from.client 0+10, " +
			"From client.portable 8+1"},
	} {
		call, err := callparams.Request{From: test.from, To: test.to}.Parse()
		if test.want == "-" {
			assert.Error(t, err)
			continue
		}
		require.NoError(t, err, test)
		assert.Equal(t, test.want, strings.Join(warned(t, call.Warnings()), ", "), test)
	}
	assert.Nil(t, callparams.To{}.Warnings())
	assert.Nil(t, callparams.From{}.Warnings())
	assert.Nil(t, callparams.Call{}.Warnings())
	p := callparams.MustParseTo("sips:bob@h").Warnings()[0]
	assert.Equal(t, "To: Twilio sends sips: as sip: with transport=tls; add secure=true to "+
		"encrypt the media too (byte 0)", p.Error()) // message text
	assert.ErrorIs(t, p, callparams.RuleSIPSRewritten)
	assert.Equal(t, "https://www.twilio.com/docs/api/errors", p.Code.DocsURL())
	to, err := callparams.Parser{Emergency: true}.ParseTo("911")
	require.NoError(t, err)
	assert.Empty(t, to.Warnings())
	shape := callparams.Parser{Numbers: callparams.Shape}
	to, err = shape.ParseTo("+4409012345678") // the metadata drops the 0 and knows the rest
	require.NoError(t, err)
	assert.Equal(t, []string{"To phone.unassigned 0+14"}, warned(t, to.Warnings()))
	for code := range strings.FieldsSeq("808 870 878 881 882 883 888 979") {
		to, err = shape.ParseTo("+" + code + "12345678")
		require.NoError(t, err)
		assert.Contains(t, warned(t, to.Warnings()), "To phone.costly 0+12", code)
	}
	many := callparams.MustParseTo("sip:h?" + strings.Repeat("X-A=+&", 20) + "X-A=")
	assert.Len(t, many.Warnings(), 16)
}

// warned lists warnings as spans does, and requires Warnings of each.
func warned(t testing.TB, list []*callparams.Problem) (texts []string) {
	t.Helper()
	for _, p := range list {
		if p.Rule.Warning() {
			require.Zero(t, p.Code)
			require.Equal(t, p.Rule.Basis(), p.Basis)
		} else {
			require.True(t, p.Rule.Tolerable(), p.Rule)
			require.Contains(t, p.Rule.Codes(), p.Code)
		}
		require.NotEmpty(t, p.Message)
		require.LessOrEqual(t, p.Offset+p.Len, len(p.Value()))
		_, ok := p.Fix()
		require.False(t, ok)
		texts = append(texts, fmt.Sprintf("%s %s %d+%d", p.Param, string(p.Rule), p.Offset, p.Len))
	}
	return texts
}

// ---- Tolerance ----

// TestTolerate checks what a parser accepts that tolerates one rule, with its warnings.
func TestTolerate(t *testing.T) {
	const number, long = "+14155550100", "sip:bob@example.com?X-A="
	c900 := strings.Repeat("c", 900)
	for _, test := range []struct {
		rule           callparams.Rule
		from, to, want string
	}{
		{"header.allowed", number, "sip:bob@h?Subject=Hi%20you", "To header.allowed 10+7"},
		{"header.allowed", number, "sip:bob@h?X-Twilio-A=1&Subject=a+b",
			"To header.allowed 10+10, To header.allowed 23+7, To header.plus 32+1"},
		{"header.allowed", number, "sip:bob@h?Subject=1%0d%0aX-A:1", "refused header.value 19+6"},
		{"header.allowed", number, "sip:bob@h?Sub%3aject=1", "refused header.name 13+3"},
		{"header.allowed", number, "sip:bob@h?Subject", "refused header.syntax 17+0"},
		{"header.allowed", number, "sip:bob@h?X-A=&Transport=tls", "refused header.allowed 15+9"},
		{"header.allowed", number, "sip:bob@10.0.0.1?Subject=1", "refused sip.private 8+8"},
		{"header.length", number, long + c900 + "&X-B=" + c900, "To header.length 1043+786"},
		{"header.length", number, long + c900 + "&X-B=" + c900 + "@",
			"refused header.syntax 1829+1"},
		{"header.length", number, long + c900 + "&X-B=" + c900 + "&Subject=1",
			"refused header.allowed 1830+7"},
		{"header.length", number, "sip:" + c900 + "@h?X-A=" + c900,
			"refused sip.length 254+652"},
		{"sip.length", number, "sip:bob@h;a=" + c900 + ";b=1", "To sip.length 254+662"},
		{"sip.length", number, "sip:bob@h;a=" + c900 + ";A=1", "refused sip.param 913+1"},
		{"sip.length", number, "sip:" + c900 + c900 + "@h?X-A=1", "To sip.length 254+1552"},
		{"sip.length", number, "sip:" + c900 + "," + c900 + "@h", "refused sip.user 904+1"},
		{"sip.length", number, "sip:" + strings.Repeat("c", 1<<16) + "@h",
			"refused sip.length 65535+7"},
		{"header.length", number, long + strings.Repeat("c", 1<<16),
			"refused header.length 65535+25"},
		{"sip.private", number, "sip:bob@10.0.0.1", "To sip.private 8+8"},
		{"sip.private", number, "sip:bob@LOCALHOST.", "To sip.private 8+10"},
		{"sip.private", number, "sip:bob@h;maddr=127.0.0.1",
			"To sip.maddr 10+15, To sip.private 16+9"},
		{"sip.private", number, "sip:bob@h;maddr=a_b", "refused sip.param 16+3"},
		{"sip.private", number, "sip:bob@10.0.0.256", "refused sip.host 8+10"},
		{"sip.domain.user", number, "sip:a.sip.twilio.com", "To sip.domain.user 4+0"},
		{"sip.domain.user", number, "sip:@a.sip.twilio.com", "refused sip.user 4+0"},
		{"sip.domain.edge", number, "sip:bob@a.sip.ie1.twilio.com",
			"To sip.domain.edge 14+3"},
		{"sip.domain.edge", number, "sip:a.sip.ie1.twilio.com", "refused sip.domain.user 4+0"},
		{"sip.transport", number, "sip:bob@h;transport=sctp", "To sip.transport 20+4"},
		{"sip.transport", number, "sip:bob@h;transport=", "refused sip.param 20+0"},
		{"sip.transport", number, "sip:bob@h;transport=%00", "refused sip.param 20+3"},
		{"sip.secure", number, "sip:bob@h;secure=srtp;transport=udp", "To sip.secure 17+4"},
		{"sip.transport", number, "sip:bob@h;secure=true;transport=wss", "To sip.transport 32+3"},
		{"sip.password", number, "sip:bob:secret@example.com", "To sip.password 7+7"},
		{"sip.password", number, "sip:bob:@example.com", "To sip.password 7+1"},
		{"sip.password", number, "sip:bob:a@b@example.com", "refused sip.host 11+1"},
		{"sip.password", number, "sip:bob:a%0d%0a@h", "refused sip.password 9+6"},
		{"sip.password", number, "sip:bob:a\"@h", "refused sip.password 9+1"},
		// These hosts are not the ones that a reader sees, and these schemes stand twice.
		{"sip.password", number, "sip:pbx:5060;a=1@h", "refused sip.password 7+9"},
		{"sip.password", number, "sip:sip:bob@h", "refused sip.password 7+4"},
		{"sip.password", number, "sip:Tel:+14155552671@h", "refused sip.password 7+13"},
		{"sip.password", number, "sip:client:alice@h", "refused sip.password 10+6"},
		{"sip.password", number, "sip:pbx.example.com:5060@h", "refused sip.password 19+5"},
		{"sip.password", number, "sip:10.0.0.1:@h", "refused sip.password 12+1"},
		{"sip.password", number, "sip:bob:5060,a=1@h", "refused sip.password 7+9"},
		{"sip.password", number, "sip:john.doe:123456@h", "To sip.password 12+7"},
		{"sip.password", number, "sip:john.doe:secret@h", "To sip.password 12+7"},
		{"sip.password", number, "sip:bob:1234@h", "To sip.password 7+5"},
		{"same.party", number, number, "To same.party 0+12"},
		{"same.party", "+1415555010", "+1415555010",
			"refused phone.length 1+10, From phone.length 1+10"},
		{"phone.withheld", number, "+86282452253",
			"To phone.withheld 0+12, To phone.unassigned 0+12"},
		{"phone.withheld", "+86282452253", "+14155552671", "From phone.withheld 0+12"},
		{"phone.withheld", "+86282452253", "sip:bob@h", ""},
		{"phone.withheld", number, "+2562533", "refused phone.length 1+7"},
		// No other rule can be tolerated.
		{"phone.length", number, "+1415555", "refused phone.length 1+7"},
		{"from.user", "alice@h", "sip:bob@h", "refused From from.user 5+2"},
		{"header.value", number, "sip:bob@h?X-A=%0d", "refused header.value 14+3"},
		{"phone.emergency", number, "911", "refused phone.emergency 0+3"},
		{"sip.tnx", number, "sip:bob@h;tnx=1", "To sip.tnx 10+5"},
		{"", number, "sip:bob@h?Subject=1", "refused header.allowed 10+7"},
	} {
		p := callparams.Parser{Tolerate: []callparams.Rule{"", test.rule}}
		call, err := p.Parse(callparams.Request{From: test.from, To: test.to})
		got := strings.Join(warned(t, call.Warnings()), ", ")
		if err != nil {
			got = "refused " + strings.TrimPrefix(strings.Join(spans(t, err), ", "), "To ")
		}
		assert.Equal(t, test.want, got, "%v: %.60s %.60s", string(test.rule), test.from, test.to)
	}
	shape := callparams.Parser{Numbers: callparams.Shape, Tolerate: tolerable}
	to, err := shape.ParseTo("+2562533")
	require.NoError(t, err)
	assert.Equal(t, []string{"To phone.withheld 0+8", "To phone.unassigned 0+8"},
		warned(t, to.Warnings()))
	for in, want := range map[string]string{
		"bob@example.com":                      "sip:bob@example.com",
		"sip://bob@example.com":                "sip:bob@example.com",
		"bob@10.0.0.1":                         "", // a fix breaks no rule
		"sip://pbx:1234@example.com":           "",
		"sip:bob@h&Subject=1":                  "", // a header, or a parameter?
		"sip:bob@h?transport=tls;maddr=a.b":    "",
		"sip:bob@h?X-A=1;edge=dublin;user=1":   "",
		"sip:bob@h;transport=tls?X-A=1&amp;B=": "",
	} {
		var p *callparams.Problem
		require.ErrorAs(t, errTolerant(in), &p, in)
		fix, _ := p.Fix()
		assert.Equal(t, want, fix, in)
	}
	var p *callparams.Problem
	require.ErrorAs(t, errTolerant("sip:"+strings.Repeat("c", 1<<16)+"@h"), &p)
	assert.Equal(t, callparams.Assumed, p.Basis)
	many, err := shape.ParseTo("sip:h?" + strings.Repeat("A=+&", 1<<13) + "A=%2541")
	require.NoError(t, err)
	assert.Len(t, many.Warnings(), 16)
	uri := callparams.SIPURI{User: "bob", Host: "h"}.WithHeader("Subject", "a & b\r\nX-A: 1")
	_, err = shape.ParseTo(uri.String())
	assert.Equal(t, []string{"To header.value 29+6"}, spans(t, err))
}

// requireTolerance requires Tolerance of r.
func requireTolerance(t *testing.T, r callparams.Request) {
	const longest = 254 + 1 + 1023 // a longer URI is not read to its end by the zero Parser
	_, err := r.Parse()
	refused := problemList(t, err)
	parsers := []callparams.Parser{{Tolerate: tolerable}}
	if len(refused) > 0 {
		parsers = append(parsers, callparams.Parser{Tolerate: []callparams.Rule{refused[0].Rule}})
	}
	for _, p := range parsers {
		requireTo(t, p, r.To)
		if !requireRequest(t, p, r) {
			continue
		}
		call, _ := p.Parse(r)
		tolerated := slices.DeleteFunc(call.Warnings(), func(w *callparams.Problem) bool {
			return w.Rule.Warning()
		})
		if len(r.To) <= longest && len(call.Warnings()) < 16 {
			require.Equal(t, refProblemsOf(err), refProblemsOf(errorOf(tolerated)))
		}
		for _, w := range tolerated {
			require.Contains(t, p.Tolerate, w.Rule)
		}
		if uri, ok := call.To().SIPURI(); ok {
			require.NoError(t, errURI(r.To))
			parts := uri.User + uri.Password + uri.Host
			for _, f := range slices.Concat(uri.Params, uri.Headers) {
				parts += f.Name + f.Value
			}
			require.NotRegexp(t, controlPattern, parts)
		}
	}
	var others []callparams.Rule
	for rule := range callparams.Rules() {
		if !rule.Tolerable() {
			others = append(others, rule)
		}
	}
	_, othersErr := callparams.Parser{Tolerate: others}.Parse(r)
	require.Equal(t, refProblemsOf(err), refProblemsOf(othersErr))
}

// errorOf returns the error of problems, or nil if there are none.
func errorOf(list []*callparams.Problem) error {
	if len(list) == 0 {
		return nil
	}
	return &callparams.Error{Problems: list}
}

// ---- Destinations ----

func TestDestinations(t *testing.T) {
	for text, want := range map[string]string{ // the numbers that are allowed
		"+":                    "+14155552671 +442071838750 +19005550100 +447012345678",
		"+1 !+1900 +44 !+4470": "+14155552671 +442071838750",
		"!+1 +1415":            "+14155552671",
		"+442071838750":        "+442071838750",
		"! + +1":               "",
		"!+":                   "",
		"\t+44\n\r\n  +4470 ":  "+442071838750 +447012345678",
		"+ !+1 !+44 +190":      "+19005550100",
	} {
		d, err := callparams.ParseDestinations(text)
		if text == "! + +1" {
			require.Error(t, err)
			continue
		}
		require.NoError(t, err, text)
		var got []string
		for _, number := range []string{
			"+14155552671", "+442071838750", "+19005550100", "+447012345678",
		} {
			for _, level := range allLevels[:2] {
				p := callparams.Parser{Numbers: level, Destinations: d}
				to, err := p.ParseTo(number)
				if err != nil {
					assert.Equal(t, []string{fmt.Sprint("To phone.destination 0+", len(number))},
						spans(t, err))
					assert.ErrorIs(t, err, callparams.CodeNotPermitted)
					assert.Equal(t, callparams.Configured, problemList(t, err)[0].Basis)
					continue
				}
				assert.True(t, d.Allow(to))
				if level == callparams.Possible {
					got = append(got, number)
				}
			}
			assert.Equal(t, slices.Contains(strings.Fields(want), number),
				d.Allow(callparams.MustParseTo(number)), "%s: %s", text, number)
		}
		assert.Equal(t, strings.Fields(want), append([]string{}, got...), text)
		assert.Equal(t, strings.Join(strings.Fields(text), " "), d.String())
	}
}

// TestDestinationsApply checks what a list of destinations is about, and what it is not.
func TestDestinationsApply(t *testing.T) {
	us, err := callparams.ParseDestinations("+1")
	require.NoError(t, err)
	p := callparams.Parser{Destinations: us, Emergency: true}
	for _, to := range []string{"client:bob", "sip:+442071838750@example.com", "999", "+44999"} {
		to, err := p.ParseTo(to)
		assert.NoError(t, err)
		assert.True(t, us.Allow(to))
	}
	assert.True(t, us.Allow(callparams.To{}))
	for to, want := range map[string]string{ // every other rule comes first
		"+4402071838750":      "To phone.trunk 3+1",
		"+44 20 7183 8750":    "To phone.char 3+1",
		"+442071838750":       "To phone.destination 0+13",
		"+14155550100":        "To same.party 0+12",
		" +442071838750":      "To value.wrapped 0+1",
		"tel:+1 415 555 2671": "To scheme.unknown 0+4",
	} {
		_, err := p.Parse(callparams.Request{From: "+14155550100", To: to})
		assert.Equal(t, []string{want}, spans(t, err))
		fix, _ := problemList(t, err)[0].Fix()
		assert.Equal(t, map[bool]string{true: "+14155552671"}[strings.HasPrefix(to, "tel")], fix)
	}
	_, err = p.Parse(callparams.Request{From: "+442071838750", To: "+14155550100"})
	assert.NoError(t, err, "a list of destinations is not about From")
}

func TestParseDestinationsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "the list of destinations is empty",
		" \n":               "the list of destinations is empty",
		"1":                 `the destination "1" is not the start of a phone number`,
		"+1,+44":            `the destination "+1,+44" is not`,
		"+1 ! +44":          `the destination "!" is not`,
		"!!+1":              `the destination "!!+1" is not`,
		"+01":               `the destination "+01" is not`,
		"+1234567890123456": `the destination "+1234567890123456" is not`,
		"US":                `the destination "US" is not`,
		"+1 +44 +1":         `the destination "+1" stands twice`,
		"+1 !+1":            `the destination "+1" stands twice`,
		"+ !+":              `the destination "+" stands twice`,
	} {
		d, err := callparams.ParseDestinations(text)
		assert.ErrorContains(t, err, "callparams: "+want)
		assert.Equal(t, "+", d.String())
		unchanged, err := callparams.ParseDestinations("+44")
		require.NoError(t, err)
		require.Error(t, unchanged.UnmarshalText([]byte(text)))
		assert.Equal(t, "+44", unchanged.String())
	}
	_, err := callparams.ParseDestinations("+123456789012345")
	assert.NoError(t, err)
}

// requireAllow requires Destinations of text and number: a plain reading of the list.
func requireAllow(t *testing.T, text, number string) {
	d, err := callparams.ParseDestinations(text)
	to, toErr := callparams.Parser{Numbers: callparams.Shape}.ParseTo(number)
	if err != nil || toErr != nil || to.Kind() != callparams.KindPhone {
		return
	}
	longest, want := -1, false
	for _, prefix := range strings.Fields(text) {
		digits := strings.TrimPrefix(prefix, "!")
		if strings.HasPrefix(number, digits) && len(digits) > longest {
			longest, want = len(digits), prefix == digits
		}
	}
	require.Equal(t, want, d.Allow(to), "%q %q", text, number)
	for _, level := range allLevels {
		_, free := callparams.Parser{Numbers: level}.ParseTo(number)
		_, err := callparams.Parser{Numbers: level, Destinations: d}.ParseTo(number)
		require.Equal(t, want && free == nil, err == nil, "%q %q %v", text, number, level)
	}
	again, err := callparams.ParseDestinations(d.String())
	require.NoError(t, err)
	require.Equal(t, d.String(), again.String())
}

func FuzzDestinations(f *testing.F) {
	for _, number := range seeds() {
		f.Add("+1 !+1900 !+1876 +44 !+4470", number)
		f.Add("+ !+1415555 +14155552", number)
	}
	f.Fuzz(requireAllow)
}

// TestDestinationsAgree checks Destinations with a list of 300 prefixes, on numbers that start with
// them and on others.
func TestDestinationsAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	digits := func(n int) string {
		b := []byte{byte('1' + rng.IntN(9))}
		for len(b) < n {
			b = append(b, byte('0'+rng.IntN(10)))
		}
		return string(b)
	}
	list := map[string]string{"+": "+"}
	prefixes := []string{""}
	for len(list) < 300 {
		prefix := prefixes[rng.IntN(len(prefixes))]
		prefix += digits(1 + rng.IntN(3))
		prefix = prefix[:min(15, len(prefix))]
		prefixes = append(prefixes, prefix)
		list["+"+prefix] = strings.Repeat("!", rng.IntN(2)) + "+" + prefix
	}
	text := strings.Join(slices.Sorted(maps.Values(list)), " ")
	d, err := callparams.ParseDestinations(text)
	require.NoError(t, err)
	p := callparams.Parser{Numbers: callparams.Shape, Destinations: d}
	for range 20_000 {
		prefix := prefixes[rng.IntN(len(prefixes))]
		number := "+" + (prefix + digits(15))[:max(2, len(prefix)+rng.IntN(16-len(prefix)))]
		to, err := callparams.Parser{Numbers: callparams.Shape}.ParseTo(number)
		if err != nil || to.Kind() != callparams.KindPhone {
			continue
		}
		longest, want := "", ""
		for prefix, entry := range list {
			if strings.HasPrefix(number, prefix) && len(prefix) > len(longest) {
				longest, want = prefix, entry
			}
		}
		_, err = p.ParseTo(number)
		require.Equal(t, longest == want, err == nil, number)
	}
}

func TestMetadataVersion(t *testing.T) {
	assert.Regexp(t, `^v[0-9]+\.[0-9]+\.[0-9]+$`, callparams.MetadataVersion())
	_, err := callparams.Parser{Numbers: callparams.Assigned}.ParseTo("+15555550100")
	assert.ErrorContains(t, err, "the metadata "+callparams.MetadataVersion()+" does not list")
}

// ---- Clients ----

func TestParseToClient(t *testing.T) {
	for _, test := range []struct {
		in, want string
		name     string
		params   []kv
	}{
		{"client:alice", "", "alice", nil},
		{"Client:alice@example.com", "", "alice@example.com", nil},
		{"client:alice?k=v&q=a%20b+c&k=&e=x=y?", "", "alice",
			[]kv{{Name: "k", Value: "v"}, {Name: "q", Value: "a b+c"}, {Name: "k"},
				{Name: "e", Value: "x=y?"}}},
		{"client:alice?", "client.params 13+0", "", nil},
		{"client:alice?k", "client.params 14+0", "", nil},
		{"client:alice?=v", "client.params 13+0", "", nil},
		{"client:alice?k=v&", "client.params 17+0", "", nil},
		{"client:alice?k=%zz", "client.params 15+1", "", nil},
		{"client:alice?k=a b", "client.params 16+1", "", nil},
		{"client:?k=v", "client.length 7+0", "", nil},
		{"client:a b?k=v", "client.char 8+1", "", nil},
		{"client:" + strings.Repeat("a", 257), "client.length 263+1", "", nil},
	} {
		t.Run(test.in, func(t *testing.T) {
			to, err := callparams.ParseTo(test.in)
			name, params, ok := to.Client()
			assert.Equal(t, test.want == "", ok)
			assert.Equal(t, test.name, name)
			assert.Equal(t, test.params, params)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			assert.Equal(t, []string{"To " + test.want}, spans(t, err))
		})
	}
}

// ---- Errors, problems and rules ----

// TestErrorJSON checks the form of Twilio's error body, which its Go SDK reads into Code, Message,
// MoreInfo and Status.
func TestErrorJSON(t *testing.T) {
	err := callparams.Request{From: "sip:+1234@x", To: "+14155552671"}.Validate()
	text, jsonErr := json.Marshal(err)
	require.NoError(t, jsonErr)
	assert.JSONEq(t, `{
		"code": 21212,
		"message": `+strconv.Quote(err.Error())+`,
		"more_info": "https://www.twilio.com/docs/errors/21212",
		"status": 400,
		"details": {"problems": [{
			"param": "From", "rule": "from.user", "code": 21212, "offset": 9, "length": 2,
			"message": `+strconv.Quote(problemList(t, err)[0].Message)+`, "basis": "documented",
			"more_info": "https://www.twilio.com/docs/errors/21212"
		}]}
	}`, string(text))
}

// TestErrorFromJSON checks what an Error and a Problem read besides what they write: Text holds
// that.
func TestErrorFromJSON(t *testing.T) {
	var e callparams.Error
	require.NoError(t, json.Unmarshal([]byte(`{"code": 1, "other": 2, "details": {"more": 3,
		"problems": [{"rule": "new.rule", "code": 5, "offset": 2, "other": 6}]}}`), &e))
	assert.Equal(t, callparams.Code(5), e.Code())
	p := e.Problems[0]
	assert.Equal(t, &callparams.Problem{Rule: "new.rule", Code: 5, Offset: 2}, p)
	assert.Empty(t, p.Value()+p.Redacted())
	_, ok := p.Fix()
	assert.False(t, ok)

	const body = `{"details": {"problems": [{"rule": "from.user"}, %s]}}`
	inList := func(problem string) string { return fmt.Sprintf(body, problem) }
	for in, want := range map[string]string{
		`{"code": 21210, "message": "m", "more_info": "i", "status": 400}`: "lists no problems",
		`{"code": 21210, "details": {}}`:                                   "lists no problems",
		`{"code": 21210, "details": null}`:                                 "lists no problems",
		`{"details": {"problems": []}}`:                                    "lists no problems",
		`{}`:                                                               "lists no problems",
		inList(`null`):                                                     "lacks its rule",
		inList(`{"code": 21212}`):                                          "lacks its rule",
		inList(`{"rule": "sip.host", "offset": -1}`):                       "is negative",
		inList(`{"rule": "sip.host", "length": -1}`):                       "is negative",
		inList(`{"rule": "sip.host", "basis": "x"}`):                       "the basis must be",
		inList(`{"rule": 1}`):                                              "cannot unmarshal",
		inList(`1`):                                                        "cannot unmarshal",
		`{"details": {"problems": {}}}`:                                    "cannot unmarshal",
		`{"code": "21212"}`:                                                "cannot unmarshal",
		`[]`:                                                               "cannot unmarshal",
		`{`:                                                                "unexpected end",
		``:                                                                 "unexpected end",
	} {
		assert.ErrorContains(t, e.UnmarshalJSON([]byte(in)), want, in)
	}
	for in, want := range map[string]string{
		`{"rule": "sip.host", "offset": -1}`: "is negative",
		`{"rule": "sip.host", "length": -1}`: "is negative",
		`{"basis": "Assumed"}`:               "the basis must be",
		`[]`:                                 "cannot unmarshal",
		`{`:                                  "unexpected end",
	} {
		assert.ErrorContains(t, p.UnmarshalJSON([]byte(in)), want, in)
	}
	require.NoError(t, json.Unmarshal([]byte(`null`), &e))
	require.NoError(t, json.Unmarshal([]byte(`null`), p))
	assert.Equal(t, []*callparams.Problem{{Rule: "new.rule", Code: 5, Offset: 2}}, e.Problems)

	var zero callparams.Problem
	text, err := json.Marshal(&zero)
	require.NoError(t, err)
	assert.Equal(t, `{"param":"","rule":"","code":0,"offset":0,"length":0,"message":"","basis":"",`+
		`"more_info":"https://www.twilio.com/docs/api/errors"}`, string(text))
	require.NoError(t, json.Unmarshal(text, p))
	assert.Equal(t, &zero, p)
}

// TestLogForm checks what slog's JSON handler writes, byte for byte.
func TestLogForm(t *testing.T) {
	err := errTo("sip:bob@h?Subject=x")
	p := problemList(t, err)[0]
	problem := `{"param":"To","rule":"header.allowed","code":32113,"offset":10,"length":7,` +
		`"message":` + strconv.Quote(p.Message) + `,"basis":"documented",` +
		`"more_info":"https://www.twilio.com/docs/errors/32113"}`
	request := callparams.Request{From: "alice", To: "+1234567"}
	call, callErr := callparams.Request{From: "alice", To: "sip:bob@h"}.Parse()
	require.NoError(t, callErr)
	for _, test := range []struct {
		in   any
		want string
	}{
		{p, problem},
		{err, `{"code":32113,"message":` + strconv.Quote(err.Error()) +
			`,"problems":[` + problem + `]}`},
		{request, `{"From":"*****","To":"+*****67"}`},
		{call, `{"From":"*****","To":"sip:***@h"}`},
		{call.From(), `"*****"`},
		{call.To(), `"sip:***@h"`},
		{callparams.SIPURI{User: "bob", Host: "h"}, `"sip:***@h"`},
		{kv{Name: "X-A", Value: "b"}, `"X-A=*"`},
		{p.Code, `32113`},
		{p.Basis, `"documented"`},
	} {
		want := `{"level":"INFO","msg":"","v":` + test.want + "}\n"
		assert.Equal(t, want, shownBySlog(test.in)[1])
	}
}

// TestSixteenProblems checks the cap: the first 16 problems are reported, whatever parts they are
// of.
func TestSixteenProblems(t *testing.T) {
	for in, last := range map[string]string{
		"sip:a@h?" + strings.Repeat("A=1&", 16) + "A=1": "To header.allowed 68+1",
		"sip:a@h" + strings.Repeat(";=", 20) + "?A=1":   "To sip.param 38+0",
		// Of the headers of a URI with too many, 15 are reported.
		"sip:a@h?" + strings.Repeat("A=1&", 260) + "A=1": "To header.length 1031+20",
	} {
		list := spans(t, errTo(in))
		assert.Len(t, list, 16)
		assert.Equal(t, last, list[len(list)-1])
	}
}

// TestUnreadTail checks that the unread rest of a long value does not change the refusal.
func TestUnreadTail(t *testing.T) {
	tail := strings.Repeat("1", 1<<20)
	for in, want := range map[string]string{
		"+1":                "phone.length",
		"sip:":              "sip.length",
		"sip:a@h?X-A=%00&X": "header.length",
		"sip:a@h?X-A":       "header.length",
		"client:":           "client.length",
		"alice":             "phone.plus",
		"alice@":            "scheme.missing",
		"tel:":              "scheme.unknown",
	} {
		_, err := callparams.ParseTo(in + tail)
		if list := problemList(t, err); assert.Len(t, list, 1) {
			assert.Equal(t, want, string(list[0].Rule))
			assert.LessOrEqual(t, list[0].Offset+list[0].Len, len(in+tail))
		}
	}
}

// TestLimits checks both sides of the limits up to which a value is read and a fix is looked for.
func TestLimits(t *testing.T) {
	long := func(n int) string { return strings.Repeat("a", n) }
	const read = 254 + 1 + 1023 // the longest SIP URI that is accepted
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"@ in From, read", errFrom(long(read-1) + "@h"), "From from.user 1277+2"},
		{"@ in From, unread", errFrom(long(read) + "@h"), "From user.length 256+1024"},
		{"scheme in From, read", errFrom(long(read-1) + ":"), "From scheme.unknown 0+1278"},
		{"scheme in From, unread", errFrom(long(read) + ":"), "From user.length 256+1023"},
		{"scheme in From, far", errFrom(long(1300) + ":"), "From user.length 256+1045"},
		{"@ in To, read", errTo(long(read-1) + "@h"), "To scheme.missing 0+0"},
		{"@ in To, unread", errTo(long(read) + "@h"), "To phone.plus 0+0"},
		{"scheme in To, read", errTo(long(read-1) + ":"), "To scheme.unknown 0+1278"},
		{"scheme in To, unread", errTo(long(read) + ":"), "To phone.plus 0+0"},
		{"scheme in To, far", errTo(long(1300) + ":"), "To phone.plus 0+0"},
		{"headers of 1023 bytes in a long URI", errTo("sip:h;" + long(249) + "?A=" + long(1021)),
			"To sip.length 254+1, To header.allowed 256+1"},
		{"headers of 1024 bytes in a long URI", errTo("sip:h;" + long(249) + "?A=" + long(1022)),
			"To sip.length 254+1, To header.length 1279+1"},
		{"254 bytes are exceeded in 1278",
			errTo("sip:10.0.0.1;" + long(242) + "?X-A=" + long(1018)),
			"To sip.private 4+8, To sip.length 254+1"},
		{"254 bytes are exceeded in 1279",
			errTo("sip:10.0.0.1;" + long(242) + "?X-A=" + long(1019)),
			"To sip.length 254+1"},
		{"repeat in 254 bytes", errTo("sip:" + long(244) + "@h;p;p"), "To sip.param 253+1"},
		{"repeat in 255 bytes", errTo("sip:" + long(245) + "@h;p;p"), "To sip.length 254+1"},
	} {
		assert.Equal(t, test.want, strings.Join(spans(t, test.err), ", "), test.name)
	}
	fix, ok := problemList(t, errFrom("sip:b@"+long(2*read-6)))[0].Fix()
	assert.True(t, ok)
	assert.Equal(t, "b", fix)
	_, ok = problemList(t, errFrom("sip:b@"+long(2*read-5)))[0].Fix()
	assert.False(t, ok, "a fix for too long a value")
}

// TestRuleTable checks the codes (From's, then To's) and the basis of every rule.
func TestRuleTable(t *testing.T) {
	var got strings.Builder
	for rule := range callparams.Rules() {
		fmt.Fprint(&got, "\n", rule.Error())
		for _, code := range rule.Codes() {
			fmt.Fprint(&got, " ", int(code))
		}
		fmt.Fprint(&got, " ", rule.Basis())
		if rule.Tolerable() {
			fmt.Fprint(&got, " tolerable")
		}
	}
	assert.Equal(t, `
from.required 21213 documented
value.wrapped 21212 21211 assumed
from.user 21212 documented
from.phone 21212 documented
user.char 21212 documented
user.length 21212 assumed
to.required 21201 documented
scheme.unknown 21212 21211 documented
scheme.missing 21211 documented
scheme.slashes 21211 assumed
phone.emergency 21211 assumed
phone.plus 21212 21211 documented
phone.zero 21212 21211 documented
phone.char 21212 21211 documented
phone.length 21212 21211 documented
phone.withheld 21212 21211 assumed tolerable
phone.country 21212 21211 assumed
phone.trunk 21212 21211 assumed
phone.assigned 21212 21211 assumed
phone.destination 21215 configured
same.party 21211 documented tolerable
client.length 21212 21211 documented
client.char 21212 21211 documented
client.params 21212 21211 documented
sip.user 21211 assumed
sip.password 21211 assumed tolerable
sip.host 21211 documented
sip.port 21211 documented
sip.param 21211 documented
sip.transport 32114 documented tolerable
sip.secure 32114 documented tolerable
sip.private 13254 documented tolerable
sip.domain.user 32223 documented tolerable
sip.domain.edge 32220 documented tolerable
sip.length 21211 documented tolerable
header.length 21227 documented tolerable
header.syntax 32110 documented
header.twiml 32110 observed
header.name 21228 documented
header.allowed 32113 documented tolerable
header.value 21229 documented
source.domain 21212 21211 documented
sips.rewritten documented
sip.secure.transport assumed
sip.edge.unknown assumed
sip.edge.ignored documented
sip.domain.region documented
sip.tnx documented
sip.maddr assumed
sip.ipv6 assumed
header.plus observed
header.escaped assumed
client.portable documented
client.size observed
phone.unassigned assumed
phone.costly assumed
from.tollfree documented
from.client assumed`, got.String())
	for rule := range callparams.Rules() {
		assert.Equal(t, len(rule.Codes()) == 0, rule.Warning(), rule)
	}
	assert.False(t, callparams.Rule("no.such").Warning())
	assert.False(t, callparams.Rule("no.such").Tolerable())
}

// TestRules checks that the README's table shows every rule with its codes, basis and summary.
func TestRules(t *testing.T) {
	var table strings.Builder
	table.WriteString("| rule | codes | basis | what it is about |\n|---|---|---|---|\n")
	for rule := range callparams.Rules() {
		var codes []string
		for _, c := range slices.Compact(rule.Codes()) {
			codes = append(codes, fmt.Sprintf("[%d](%s)", int(c), c.DocsURL()))
		}
		if rule.Warning() {
			codes = []string{"warning"}
		}
		summary := strings.NewReplacer("|", `\|`, "&", "&amp;", "<", "&lt;").Replace(rule.Summary())
		mark := ""
		if rule.Tolerable() {
			mark = " *"
		}
		fmt.Fprintf(&table, "| `%s`%s | %s | %s | %s |\n",
			rule, mark, strings.Join(codes, " "), rule.Basis(), summary)
	}
	for rule := range callparams.Rules() { // a loop may end early
		assert.Equal(t, callparams.RuleFromRequired, rule)
		break
	}
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	assert.Contains(t, string(readme), table.String(), "wanted:\n%s", table.String())
}

// ---- Messages ----
//
// Tests assert the text of a message only here and on lines marked "message text".

// TestErrorText checks how the text of an Error is put together.
func TestErrorText(t *testing.T) {
	err := callparams.Request{To: "sip:a@[::1]5"}.Validate()
	assert.EqualError(t, err, "callparams: "+
		"To: the IPv6 address has a digit after its ]; "+
		"only :port, parameters or headers can follow (21211, byte 11); "+
		"From: the value is empty; use a phone number, a client identity or a user name "+
		"(21213, byte 0)")
}

// TestByteWords checks how messages name a byte, at both ends of the digits and of the letters.
func TestByteWords(t *testing.T) {
	for c, want := range map[string]string{
		"/": "'/'", "0": "a digit", "9": "a digit",
		"@": "'@'", "A": "a letter", "Z": "a letter", "[": "'['",
		"`": "'`'", "a": "a letter", "z": "a letter", "{": "'{'",
		"\x1f": "a control character", " ": "a space",
		"~": "'~'", "\x7f": "a control character", "\x80": "a character that is not ASCII",
	} {
		assert.ErrorContains(t, errURI("sip:a@[::1]"+c), "has "+want+" after its ]", "%q", c)
	}
}

// TestMessages compares every message that the vectors bring up, those of warnings among them,
// beside its rule, with the golden file.
func TestMessages(t *testing.T) {
	c := vectors(t)
	lines := map[string]bool{}
	addMessages(t, lines, c.from, runFrom)
	addMessages(t, lines, c.to, runTo)
	addMessages(t, lines, c.pairs(), runRequest)
	addMessages(t, lines, c.moves(), runMove)
	addMessages(t, lines, c.sipuri, runURI)
	for s := range hints() {
		addLines(lines, problemList(t, errTo(s)))
	}
	for _, u := range unbuildable() {
		_, err := u.To()
		addLines(lines, problemList(t, err))
	}
	call := callparams.Request{From: "+442071838750", To: "911"}
	_, err := callparams.Parser{Emergency: true}.Parse(call)
	addLines(lines, problemList(t, err))
	golden(t, "messages.golden", strings.Join(slices.Sorted(maps.Keys(lines)), ""))
}

// addMessages adds a line for each rule and message that cases bring up.
func addMessages[In comparable, Out any](
	t *testing.T, lines map[string]bool, cases []vector[In, Out], parse parseFunc[In, Out],
) {
	for _, v := range cases {
		for _, level := range allLevels {
			_, warnings, err := parse(v.parserAt(t, level), v.Input)
			addLines(lines, warnings)
			addLines(lines, problemList(t, err))
		}
	}
}

func addLines(lines map[string]bool, list []*callparams.Problem) {
	for _, p := range list {
		message := strings.ReplaceAll(p.Message, callparams.MetadataVersion(), "VERSION")
		lines[string(p.Rule)+"\t"+message+"\n"] = true
	}
}

// hints are Tos with what their message adds because a part of them shows what was meant.
func hints() map[string]string {
	return map[string]string{
		"sip:h:":               "65535; write one, or leave out the :",
		"sip:h:5:":             "65535; an IPv6 address needs brackets",
		"sip:h::5":             "65535; an IPv6 address needs brackets",
		"sip:h:65536":          "65535 (",
		"sip:a@h&b=1":          "put ; before a parameter and ? before the first header",
		"sip:a@b@c":            "write an @ in the user as %40",
		"sip:h;transport=x&b":  "udp, tcp or tls; put ; between parameters",
		"sip:h;transport=x":    "udp, tcp or tls (",
		"sip:h;a=b=c":          "put ; between parameters, or write it as %3D",
		"sip:h;a=b,c":          "put ; between parameters, or write it as %2C",
		"sip:h?X-A=1;b":        "contains ';'; put URI parameters before the ?, and write a ;",
		"sip:h?X-A=1;EDGE=b":   "parameter edge stands among the headers; write it before the ? (",
		"sip:h?X-A=1;tnx":      "parameter tnx stands among the headers; write it before the ? (",
		"sip:h?X-A=a\"edge":    "the header X-A contains '\"'; write it as %22 (",
		"sip:h?X-A=a edge=b":   "parameter edge stands among the headers; write it before the ? (",
		"sip:h?X-A=a\x80":      "that is not ASCII; leave it out (",
		"sip:12345":            "a number stands where the host belongs; write sip:number@host (",
		"sip:a@12345":          "the host is not a DNS name or an IPv4 address; check its spell",
		"sip:(1.2.3.4);x=1@h":  "the ; before the @ belongs to the user",
		"sip:h?Region=x":       "region is a URI parameter and not a header; write ;region=... be",
		"sip:h?Subject=x":      "Twilio leaves the header Subject out of the call",
		"sip:h?A_B=x":          "Twilio leaves the header A_B out of the call",
		"sip:h?A1234=x":        "Twilio leaves this header out of the call",
		"sip:h?X-A=1&X-B=\x7f": "the header X-B contains a control character",
		"sip:h?X-A=1&X-B=%7f":  "the value of the header X-B contains a control character",
		"sip:h?X-1234=%7f":     "the value of a header contains a control character",
		"sip:h?X-" + strings.Repeat("A", 62) + "=%7f": "the header X-AAA",
		"sip:h?X-" + strings.Repeat("A", 63) + "=%7f": "the value of a header",
		"sip:h;":               "a URI parameter is missing after the ';'",
		"sip:h;=1":             "a URI parameter has no name; write one (",
		"sip:a@h?edge":         "edge is a URI parameter and not a header; write ;edge=... befo",
		"sip:ex%61mple.com":    "the host contains an escape; write the character itself (",
		"sip:exa%20mple.com":   "the host contains a space; use only",
		"sip:h;maddr=10.0.0.1": "maddr parameter",
		"sip:a;b@h": "the ; before the @ belongs to the user, so the call would go to the " +
			"host after the @; write an @ in a value as %40, and put a parameter after the host; " +
			"a ; in a user is written %3B (",
		"sip:a/b@h": "write an @ in a value as %40, and write / in a user as %2F (",
		"sip:a;Secure=true@h": "the URI parameter secure before the @ belongs to the user, so " +
			"the call would go to the host after the @; write an @ in a value as %40, and put " +
			"the parameter after the host (",
		"sip:a;b=1&X-B=2@h": "the ; before the @",
		"sip:a&X-B=2@h": "the header before the @ belongs to the user, so the call would go to " +
			"the host after the @; write an @ in a value as %40, and put the header after the " +
			"host and a ? (",
		"sip:a?b@h":              "a header after the host and a ?; ? in a user is written %3F (",
		"sip:a?secure@h":         "the URI parameter secure before the @",
		"sip:a@localhost":        "localhost is not a host that Twilio can reach",
		" 1 415":                 "a space stands before the value",
		"+1\t":                   "a tab stands after the value",
		"+1\r\n":                 "a line end stands after the value",
		"\u00a0+1":               "a no-break space stands before",
		"\ufeff+1":               "a byte order mark stands before",
		"\u200b+1":               "an invisible character stands before",
		" \n ":                   "nothing stands here but white space or marks",
		"'+1":                    "an apostrophe stands before",
		"\"+1\"":                 "quotation marks stand around",
		"<+1>":                   "write the address alone",
		" 14155552671":           "write + as %2B",
		"911":                    "an emergency number; to call it, use a Parser that has Emer",
		"9-1-1":                  "an emergency number; write its digits alone, such as 911 (",
		"4155552671":             "write +, and the calling code if it is missing (",
		"0044 20 7183 8750":      "00 and 011 are prefixes for international calls; write a +",
		"+011 44":                "a calling code does not start with 0",
		"+01114155552671":        "the 00 or 011 is a prefix for international calls, which the +",
		"14155552671.0":          "a spreadsheet has changed this number",
		"%2B1415":                "the + is escaped twice",
		"{{phone}}":              "a template was not filled in",
		"sip:{a}@h":              "fill in the template, or write it as %7B",
		"sip:h; transport=tls":   "a URI parameter contains a space; leave it out (",
		"sip:h;lr,transport=tls": "contains ','; put ; between parameters (",
		"sip:h?Smith Ltd":        "a header contains a space",
		"sip:h;maddr=a_b":        "the maddr parameter is not a DNS name or an IP address",
		"sip:1002":               "a number stands where the host belongs; write sip:number@host",
		"sip:h?X A=1":            "the name of a header contains a space; use letters, digits",
		"sip:h:5060?a=b@e":       "the ? before the @ belongs to the user",
		"sip:sip:a@h":            "the scheme stands twice; leave one out",
		"1.4155E+10":             "spreadsheet",
		"1,4e10":                 "spreadsheet",
		"14E10":                  "spreadsheet",
		"1.4.1E+10":              "must start with + and its calling code",
		"E+10":                   "must start with + and its calling code",
		"1E+":                    "must start with + and its calling code",
		"Anonymous":              "so it cannot be called back",
		"anonymously":            "must start with + and its calling code, and a name with client:",
		"N/A":                    "stands for a value that is missing",
		"+1415555267":            "+1 numbers have 11 digits including the 1; this has 10 (",
		"+8695588":               "+86 numbers have 9 to 14 digits including the 86; this has 7, ",
		"+822120":                "+82 numbers have 7, 8 or 10 to 15 digits including the 82; this",
		"+521551234":             "+52 numbers have",
		"+5215512345678":         "no 1 after the 52; leave it out (",
		"sip:h?X-A=1=b":          "put & between headers, or write it as %3D",
		"sip:a b@h":              "leave it out, or write it as %20",
		"sip: a@h":               "the user contains a space; leave it out (",
		"sip:a @h":               "the user contains a space; leave it out (",
		"sip:+14155550100":       "a number stands where the host belongs; write sip:number@host",
		"sip:h?A=1&B=2&C=3":      "Twilio leaves this header out",
		"sip:a\"b@h":             "contains '\"'; write it as %22",
		"sip:\xc3\xa9@h":         "ASCII; write each of its bytes as % and two hex digits",
		"sip:h?X-A=\xc3\xa9":     "ASCII; leave it out",
		"sip:h?X-A=\x00":         "control character; leave it out",
		"sip:[1.2.3.4]":          "the brackets must hold an IPv6 address",
		"sip:1.2.3.4.5":          "not a DNS name or an IPv4 address",
		"client:a?b=c'd e":       "contains a space; leave it out, or write it as %20",
		"tel:911":                "tel: is not accepted",
		"pbx:5060":               "the scheme before the : is not accepted",
		"client:a'b c":           "contains a space; use printable ASCII",
		"sip:h?X-'A%00=1":        "contains a control character; use letters",
		"sip:a@h?X-A=%27%0a":     "contains a control character; use printable ASCII",
		"sip:a@h'":               "the host contains an apostrophe",
	}
}

// TestStandIns checks the words that stand for a number.
func TestStandIns(t *testing.T) {
	for want, words := range map[string]string{
		"the caller ID was withheld": "anonymous restricted blocked unknown unavailable private " +
			"withheld",
		"stands for a value that is missing": "null nil none undefined nan n/a na - NULL",
		"a template was not filled in":       "{a a} ${a}",
		"with client: or sip:":               "anonymou nulls n withhel a",
	} {
		for word := range strings.FieldsSeq(words) {
			assert.ErrorContains(t, errTo(word), want, word)
		}
	}
}

func TestHints(t *testing.T) {
	for s, want := range hints() {
		assert.ErrorContains(t, errTo(s), want, s)
	}
}

// ---- Redaction ----

func TestRedacted(t *testing.T) {
	for in, want := range map[string]string{
		"+14155552671":                         "+*********71",
		"+1234":                                "+****",
		"+1 (415) 555-2671":                    "+* (***) ***-****",
		"14155552671":                          "***********",
		"alice.smith":                          "***********",
		"client:alice?k=v":                     "client:*****?*=*",
		"sip:+14155552671":                     "sip:************",
		"sip:alice":                            "sip:*****",
		"sip:example.com":                      "sip:***********",
		"sip:john.smith:5060;lr":               "sip:**********:****;**",
		"sip:192.0.2.1:5060":                   "sip:*********:****",
		"sip:a@4155552671.example.com":         "sip:*@**********.example.com",
		"SIPS:a:pw@Example.com:5061":           "SIPS:****@Example.com:5061",
		"+1234567":                             "+*****67",
		"+123456":                              "+******",
		"sip:a@h.example:5060?X-A=1":           "sip:*@h.example:5060?X-A=*",
		"sip:a@h.example:65535;!lr":            "sip:*@h.example:65535;***",
		"sip:a@h:14155552671":                  "sip:*@h:***********",
		"sip:a@[2001:db8::1]:5060;lr":          "sip:*@[2001:db8::1]:5060;lr",
		"sip:a@[2001:db8":                      "sip:*@*********",
		"sip:a@203.0.113.9;a=b?X-Id=7":         "sip:*@203.0.113.9;a=*?X-Id=*",
		"sip:a@h?X-A=Smith&Jones=1&X-1234567=": "sip:*@h?X-A=*****&*****=*&X-*******=",
		"sip:a@h?X-A=1?X-Smith&X-Jones":        "sip:*@h?X-A=*?*******&*******",
		"sip:a@h?X-A=1;X-Smith":                "sip:*@h?X-A=*;*******",
		"sip:a@h.example;x=tom&jerry;lr":       "sip:*@h.example;x=***&*****;lr",
		"sip:a@h.example:41555-52671":          "sip:*@h.example:***********",
		"sip:a@b@c":                            "sip:*@***",
		"sip:a@h.example:alice":                "sip:*@h.example:*****",
		"sip:a@h?X-A=1?X-Smith=2":              "sip:*@h?X-A=*?*******=*",
		"sip:a@h.example;my_name=x":            "sip:*@h.example;*******=*",
		"sip:a@h;a-b.c=1;a%41=2":               "sip:*@h;a-b.c=*;****=*",
		"sip:a@h;x?y;z&w=v":                    "sip:*@h;x?*;*&*=*",
		"sip:a@h?Y-A=1&x-1=2&X-22=&X-333":      "sip:*@h?***=*&x-1=*&X-22=&*****",
		"sip:a@h;a123=1;b1234=2":               "sip:*@h;a123=*;b****=*",
		"sip:a@pbx1":                           "sip:*@pbx1",
		"sip:a@pbx123.example":                 "sip:*@pbx123.example",
		"sip:a@h.":                             "sip:*@h.",
		"sip:.h":                               "sip:**",
		"sip:h:5060":                           "sip:*:****",
		"sip:h.x:5060":                         "sip:***:****",
		"sip:a@h:":                             "sip:*@h:",
		"sip:a@h:123456":                       "sip:*@h:******",
		"sip:a@h:12a;x=1:2":                    "sip:*@h:***;x=***",
		"sip:a@[":                              "sip:*@*",
		"sip:[":                                "sip:*",
		"a@":                                   "*@",
		"client:alice?k=v&l=w":                 "client:*****?*=*&*=*",
		"client:?":                             "client:?",
		"+":                                    "+",
		"+1\\415":                              "+*****",
		"+123456ab":                            "+********",
		"@h.example":                           "@*********",
		"sip:@john.smith":                      "sip:@**********",
		"sip:john;smith":                       "sip:****;*****",
		"sip:;john.smith=1":                    "sip:;**********=*",
		"sip:a@;lr":                            "sip:*@;**",
		"+1,2 3-4.5/6":                         "+*** *-*.*/*",
		"alice@example.com":                    "*****@example.com",
		"tel:+14155552671":                     "****************",
		"zoë\n":                                "*****",
		"":                                     "",
	} {
		_, err := callparams.ParseFrom(in + "\x00")
		p := problemList(t, err)[0]
		assert.Equal(t, in+"\x00", p.Value())
		assert.Len(t, p.Redacted(), len(in)+1)
		r := callparams.Request{From: in}
		assert.Equal(t, "From "+want+" To ", r.String(), in)
		assert.Equal(t, r.String(), fmt.Sprintf("%#v", r))
	}
}

// TestNoWayToValue checks that nothing that follows pointers, through exported fields or not, gets
// from an error to the value or to the fix.
func TestNoWayToValue(t *testing.T) {
	err := callparams.Request{From: "alice@example.com", To: "bob@example.com"}.Validate()
	fix, ok := problemList(t, err)[1].Fix()
	require.True(t, ok)
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer, reflect.Interface:
			if !v.IsNil() {
				walk(v.Elem())
			}
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i))
			}
		case reflect.Slice, reflect.Array:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.String:
			require.NotContains(t, v.String(), fix)
			require.NotContains(t, v.String(), "bob")
		case reflect.Map:
			require.Fail(t, "a map: walk it too")
		}
	}
	walk(reflect.ValueOf(err))
}

// TestRequestRedact checks errors of others, as Twilio and net/http word them.
func TestRequestRedact(t *testing.T) {
	r := callparams.Request{From: "client:alice", To: "sip:bob@example.com?X-A=1%202"}
	number := callparams.Request{From: "+14155550100", To: "+442071838750"}
	for _, test := range []struct {
		r          callparams.Request
		text, want string
	}{
		{number, "From is not a valid phone number: +14155550100", "From is not a valid phone " +
			"number: +*********00"},
		{number, "The number +442071838750, dialed from +14155550100.", "The number " +
			"+**********50, dialed from +*********00."},
		{number, `Post "https://h/Calls.json?From=%2B14155550100&To=%2b442071838750": EOF`,
			`Post "https://h/Calls.json?From=+*********00&To=+**********50": EOF`},
		{number, "From: 14155550100", "From:+*********00"}, // a form has made the + a space
		{number, "+141555501001 1+14155550100 +1415555010", "+141555501001 1+*********00 " +
			"+1415555010"},
		{r, "From=client%3Aalice&To=sip%3Abob%40example.com%3FX-A%3D1%25202", "From=client:*****&" +
			"To=sip:***@example.com?X-A=*****"},
		{r, "client:alice2, xclient:alice, client:alice_, client:alice-2", "client:alice2, " +
			"xclient:alice, client:alice_, client:*****-2"},
		{r, "“client:alice”%20client%3aalice%20x", "“client:*****”%20client:*****%20x"},
		{r, "%E2%80%9Cclient%3aalice%E2%80%9D, client:alice%C3%A9 %C3%A9client:alice",
			"%E2%80%9Cclient:*****%E2%80%9D, client:alice%C3%A9 %C3%A9client:alice"},
		{r, "sip:bob@example.com", "sip:bob@example.com"},
		{callparams.Request{From: "alice", To: "sip:alice@example.com"},
			"alice, sip:alice@example.com, malice, alice's, älice, alicé",
			"*****, sip:*****@example.com, malice, *****'s, älice, alicé"},
		{callparams.Request{From: "a b", To: "100%25"}, "a+b a%20b a b 100%25 100%2525",
			"*** *** *** ****** ******"},
		{callparams.Request{From: "%zz"}, "a %zz%zz %25zz", "a ****** ***"},
		{callparams.Request{From: "zz%"}, "(zz%25) (zz%)", "(***) (***)"},
		{callparams.Request{}, "nothing to mask", "nothing to mask"},
	} {
		assert.Equal(t, test.want, test.r.Redact(test.text), test.text)
	}
}

// TestRequestRedactLong checks that a value of up to 4096 bytes is found in a text, and that a
// longer one, which would cost too much to look for, hides the whole text.
func TestRequestRedactLong(t *testing.T) {
	client := "client:bob?k="
	client += strings.Repeat("v", 4096-len(client))
	_, err := callparams.ParseTo(client)
	require.NoError(t, err)
	r := callparams.Request{From: "alice", To: client}
	assert.Equal(t, "To "+redactedText(client)+" of *****", r.Redact("To "+client+" of alice"))
	for _, r := range []callparams.Request{
		{From: "alice", To: client + "v"}, {From: client + "v", To: "alice"},
	} {
		assert.Equal(t, "****", r.Redact("To b"))
	}
}

// FuzzRequestRedact checks RedactedText.
func FuzzRequestRedact(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s, "+14155550100", "Post: ", ", at 12:00")
		f.Add("client:alice", s, "", "")
	}
	f.Fuzz(func(t *testing.T, from, to, before, after string) {
		const edge = "\x01"
		r := callparams.Request{From: from, To: to}
		require.Equal(t, before, callparams.Request{}.Redact(before))
		plain := func(s string) string {
			s = escapesPattern.ReplaceAllStringFunc(s, refUnescape)
			return strings.ReplaceAll(s, "+", " ")
		}
		for _, value := range []string{from, to} {
			masked := redactedText(value)
			a, b := plain(from), plain(to)
			if min(len(from), len(to)) < 4 || max(len(from), len(to)) > 300 || masked == value ||
				strings.Contains(a, b) || strings.Contains(b, a) || strings.Contains(a+b, edge) {
				continue // the mask, or the other value, may be left in it
			}
			for _, form := range []string{value, url.QueryEscape(value), url.PathEscape(value)} {
				text := edge + form + edge
				require.Equal(t, edge+masked+edge, r.Redact(text), "%q in %q", value, text)
			}
		}
		_ = r.Redact(before + from + to + after)
	})
}

// TestPrinted checks that no verb of fmt shows what a Request or a Call holds.
func TestPrinted(t *testing.T) {
	r := callparams.Request{From: "client:alice", To: "sip:bob@example.com"}
	call, err := r.Parse()
	require.NoError(t, err)
	const want = "From client:***** To sip:***@example.com"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%t", "%c", "%e"} {
		assert.Equal(t, want, fmt.Sprintf(verb, r), verb)
		assert.Equal(t, want, fmt.Sprintf(verb, call), verb)
	}
	assert.Equal(t, strconv.Quote(want), fmt.Sprintf("%q", call))
	assert.Equal(t, fmt.Sprintf("%x", want), fmt.Sprintf("%x", r))
}

// TestMaskOfShortTexts checks Redaction on every text of up to three of the bytes that have a
// meaning, alone and where a part starts.
func TestMaskOfShortTexts(t *testing.T) {
	const special = "a1+:@;?=&[].-_"
	texts := []string{""}
	for i := 0; len(texts[i]) < 3; i++ {
		for j := range special {
			texts = append(texts, texts[i]+special[j:j+1])
		}
	}
	for _, before := range []string{"", "+", "client:", "sip:", "SIPS:a@", "sip:a@h;", "sip:h?"} {
		for _, s := range texts {
			requireMask(t, before+s)
		}
	}
}

// redactedText returns the redacted form of any s.
func redactedText(s string) string {
	return strings.TrimPrefix(callparams.Request{To: s}.String(), "From  To ")
}

var digitRunPattern = regexp.MustCompile(`.?[0-9]{4,}`)

// requireMask requires Redaction of s by position: each byte of the mask is that of s or *. It
// shows no user, no value, no client name, and four digits in a row only in a port or an IPv6
// address.
func requireMask(t *testing.T, s string) {
	mask := redactedText(s)
	require.Len(t, mask, len(s))
	for i := range len(s) {
		require.True(t, mask[i] == s[i] || mask[i] == '*')
	}
	for _, run := range digitRunPattern.FindAllString(mask, -1) {
		require.Contains(t, ":[", run[:1], "a number in %q", mask)
		require.LessOrEqual(t, len(run), 6)
	}
	scheme := refScheme(s)
	at := strings.IndexByte(s, '@')
	switch {
	case refHasPrefix(s, "client:"):
		require.Empty(t, strings.Trim(mask[len("client:"):], "*?&="), mask)
	case scheme == 0 && at < 0 && strings.HasPrefix(s, "+"):
		shown := strings.Trim(mask, "*+ ().-/")
		require.True(t, shown == "" || len(shown) <= 2 && strings.HasSuffix(s, shown), mask)
	case scheme == 0 && at < 0:
		require.Empty(t, strings.Trim(mask, "*"), mask)
	default:
		host := max(scheme, at+1)
		require.Empty(t, strings.Trim(mask[scheme:host], "*@"), mask)
		_, headers, _ := strings.Cut(mask[host:], "?")
		separates := func(r rune) bool { return strings.ContainsRune("?;&", r) }
		for _, field := range strings.FieldsFunc(headers, separates) {
			name, value, _ := strings.Cut(field, "=")
			require.Empty(t, strings.Trim(value, "*="), mask)
			require.True(t, refHasPrefix(name, "X-") || strings.Trim(name, "*") == "", mask)
		}
	}
}

// FuzzRedact checks Redaction for a secret wherever a value can hold one, between any other bytes.
func FuzzRedact(f *testing.F) {
	for n, s := range seeds() {
		for i := range secretValues("", "") {
			if (i+n)%3 == 0 { // fuzzing brings the others
				f.Add(uint(i), s, s)
			}
		}
	}
	f.Fuzz(func(t *testing.T, i uint, a, b string) {
		if len(a)+len(b) > 1000 {
			return // an offset could look like four bytes of the number
		}
		values := secretValues(a, b)
		s := values[i%uint(len(values))]
		requireHidden(t, s, redactedText(s))
		for _, form := range shownForms(t, s) {
			requireHidden(t, s, form)
		}
	})
}

// The name and the number that must not be seen. No message, code or offset holds four bytes of
// either.
const (
	secretName   = "Zq7Kx9Jv"
	secretNumber = "7491830562"
)

// secretValues returns values with a secret in a place that is masked, whatever a and b are.
func secretValues(a, b string) []string {
	// What joins fields would make a part of a's end the name of another field, which may be seen.
	inField := strings.NewReplacer("?", "", "&", "", ";", "").Replace(a)
	return []string{
		secretName + a,
		secretName + a + "@" + b,
		"client:" + a + secretName + b,
		"client:bob?k=" + secretName + a,
		"sip:" + secretName + a + "@" + b,
		"sip:" + strings.ReplaceAll(a, "@", "") + secretName + "@" + b,
		"sip:bob:" + secretName + a + "@" + b,
		"sip:bob@h.example?X-A=" + inField + secretName + b,
		"sips:h.example?User-to-User=" + secretName + a,
		"sip:bob@h.example;p=" + inField + secretName + b,
		secretNumber + a,
		"tel:" + secretNumber + a,
		"+" + secretNumber + a,
		"+" + a + secretNumber,
		"+" + a + secretNumber + b,
		"sip:+1" + secretNumber + a + "@" + b,
		"sip:" + secretNumber + a,
		"sip:bob@" + a + secretNumber + b,
		"sip:bob@h" + secretNumber[:4] + ".example" + a,
		"sip:bob@h.example;" + secretNumber + "=" + a,
		"sip:bob@h.example?X-" + secretNumber + "=" + a,
	}
}

// requireHidden requires that form, which was made of s, does not show four bytes of a secret in a
// row.
func requireHidden(t *testing.T, s, form string) {
	for _, secret := range []string{secretName, secretNumber} {
		for i := range len(secret) - 3 {
			if strings.Contains(form, secret[i:i+4]) &&
				strings.Contains(addressPattern.ReplaceAllString(form, ""), secret[i:i+4]) {
				require.Failf(t, "leaked", "%q of %q in %q", secret[i:i+4], s, form)
			}
		}
	}
}

// addressPattern matches a pointer as fmt prints it: it can look like four bytes of the number.
var addressPattern = regexp.MustCompile(`0x[0-9a-f]+`)

// shownForms returns every text that may be logged about s, in any role.
func shownForms(t *testing.T, s string) (list []string) {
	withFrom := callparams.Request{From: s, To: "sip:bob@example.com"}
	withTo := callparams.Request{From: "+14155550100", To: s}
	list = append(list, shownByFmt(withFrom, withTo, &withFrom)...)
	call, err := withFrom.Parse()
	list = append(list, shownCall(t, call, err)...)
	call, err = withTo.Parse()
	list = append(list, shownCall(t, call, err)...)
	_, err = callparams.Request{From: s, To: "+14155550100"}.Parse()
	list = append(list, shownError(t, err)...)
	_, err = callparams.Request{From: s, To: s}.MoveSourceDomain()
	list = append(list, shownError(t, err)...)
	uri, err := callparams.ParseSIPURI(s)
	list = append(list, shownError(t, err)...)
	list = append(list, uri.Redacted(), fmt.Sprintf("%#v %#v", uri, []callparams.SIPURI{uri}))
	list = append(list, shownBySlog(uri)...)
	for _, f := range uri.Headers {
		f.Name = "" // stays
		list = append(list, fmt.Sprintf("%#v", f))
		list = append(list, shownBySlog(f)...)
	}
	return list
}

func shownCall(t *testing.T, call callparams.Call, err error) (list []string) {
	list = append(shownError(t, err), shownByFmt(call, &call)...)
	from, to := call.From(), call.To()
	list = append(list, from.Redacted(), to.Redacted(), fmt.Sprintf("%#v %#v", from, to))
	list = append(list, shownBySlog(from)...)
	return append(list, shownBySlog(to)...)
}

func shownError(t *testing.T, err error) (list []string) {
	if err == nil {
		return nil
	}
	e := callparams.Error{Problems: problemList(t, err)}
	list = shownByFmt(err, e, fmt.Errorf("place call: %w", err), struct{ Err error }{err},
		errors.Join(errors.New("no call"), err))
	list = append(list, err.Error())
	for _, p := range e.Problems {
		list = append(list, p.Error(), p.Message, p.Redacted())
		list = append(list, shownByFmt(p, *p, fmt.Errorf("place call: %w", p),
			struct{ P callparams.Problem }{*p}, struct{ p callparams.Problem }{*p})...)
	}
	return list
}

// shownByFmt returns what fmt, JSON and slog make of each of values. A From, To or SIPURI must not
// be among them: their text is for the wire.
func shownByFmt(values ...any) (list []string) {
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			list = append(list, fmt.Sprintf(verb, v))
		}
		switch v.(type) {
		case callparams.Request, *callparams.Request, callparams.Call, *callparams.Call: // raw
		default:
			text, err := json.Marshal(v)
			if err != nil {
				panic(err)
			}
			list = append(list, string(text))
		}
		list = append(list, shownBySlog(v)...)
	}
	return list
}

// shownBySlog returns what slog's handlers write of v.
func shownBySlog(v any) []string {
	var text, object bytes.Buffer
	for _, h := range []slog.Handler{
		slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&object, nil),
	} {
		record := slog.NewRecord(time.Time{}, slog.LevelInfo, "", 0)
		record.Add("v", v)
		if err := h.Handle(context.Background(), record); err != nil {
			panic(err)
		}
	}
	return []string{text.String(), object.String()}
}

// ---- Vectors ----

func TestVectors(t *testing.T) {
	c := vectors(t)
	runVectors(t, c.from, runFrom)
	runVectors(t, c.to, runTo)
	runVectors(t, c.pairs(), runRequest)
	runVectors(t, c.moves(), runMove)
	runVectors(t, c.sipuri, runURI)
}

// runVectors runs each case as a subtest, named by its id, at every level.
func runVectors[In comparable, Out any](
	t *testing.T, cases []vector[In, Out], parse parseFunc[In, Out],
) {
	for _, v := range cases {
		t.Run(v.ID, func(t *testing.T) {
			for _, level := range allLevels {
				want := v.at(level)
				got, warnings, err := parse(v.parserAt(t, level), v.Input)
				if want.Accept == nil {
					assert.Equal(t, want.Problems, vectorProblems(t, err), level)
				} else if assert.NoError(t, err, level) {
					assert.Equal(t, *want.Accept, got, level)
				}
				assert.Equal(t, want.Warnings, vectorWarnings(t, warnings), level)
			}
		})
	}
}

// vectorProblems returns what a case says of the problems of err.
func vectorProblems(t *testing.T, err error) []vectorProblem {
	t.Helper()
	var list []vectorProblem
	for _, p := range problemList(t, err) {
		found := vectorProblem{vectorWarning: warningOf(p)}
		if fix, ok := p.Fix(); ok {
			found.Fix = (*vectorText)(&fix)
		}
		list = append(list, found)
	}
	return list
}

// vectorWarnings returns what a case says of warnings, and requires that they are in order.
func vectorWarnings(t *testing.T, warnings []*callparams.Problem) (list []vectorWarning) {
	t.Helper()
	for _, p := range warnings {
		list = append(list, warningOf(p))
	}
	require.True(t, slices.IsSortedFunc(list, func(a, b vectorWarning) int {
		return cmp.Or(cmp.Compare(b.Param, a.Param), cmp.Compare(a.Offset, b.Offset))
	}), list)
	return list
}

func warningOf(p *callparams.Problem) vectorWarning {
	return vectorWarning{p.Param, p.Rule, p.Code, p.Basis.String(), p.Offset, p.Len}
}

func TestLoadVectorsRefuses(t *testing.T) {
	const accept = `"accept": {"kind": "phone", "user": "+12"}`
	const lower = `"shape": {` + accept + `}, "possible": {` + accept + `}`
	for _, test := range []struct{ name, file, old, new, want string }{
		{"unknown field", "from", `"comment"`, `"coment"`, "unknown field"},
		{"unknown field of a text", "from", `{"hex"`, `{"hax"`, "unknown field"},
		{"unknown field of a problem", "to", `"offset"`, `"ofset"`, "unknown field"},
		{"field of another file", "from", accept, accept + `, "moved": {}`, "unknown field"},
		{"hex of UTF-8", "from", `"2b31343135ff35353532363731"`, `"61"`, "valid UTF-8"},
		{"malformed hex", "from", `"2b31343135ff35353532363731"`, `"fg"`, "invalid byte"},
		{"text behind the cases", "from", "\n}\n", "\n}\n{}", "more than one"},
		{"cases of another file", "from", `"parses": "from"`, `"parses": "to"`, "parses"},
		{"id with a space", "from", `"from-phone"`, `"from phone"`, "is not an id"},
		{"id twice", "from", `"from-phone-article"`, `"from-phone"`, "have the id from-phone"},
		{"id of another file", "to", `"to-empty"`, `"from-empty"`, "have the id from-empty"},
		{"input twice", "from", `"+123456789"`, `"+14155552671"`, "has the input of from-phone"},
		{"no comment", "from", `"nothing is given"`, `""`, "has no comment"},
		{"unknown source", "from", `"assumed"`, `"guessed"`, "has no source"},
		{"no verdict", "from", accept, `"problems": []`, "neither accepts nor refuses"},
		{"both verdicts", "from", accept, accept + `, "problems": [{}]`, "refuses, or both"},
		{"verdict beside levels", "from", accept, accept + `, "levels": {}`, "beside its levels"},
		{"levels that agree", "from", accept,
			`"levels": {` + lower + `, "assigned": {` + accept + `}}`, "do not differ"},
		{"level left out", "from", accept, `"levels": {` + lower + `}`, "assigned neither"},
		{"rule without a case", "from", `"user.length"`, `"user.char"`, "length with code 21212"},
		{"unknown field of a warning", "from", `"warnings": [{"param"`, `"warnings": [{"fix"`,
			"unknown field"},
		{"warning of a refusal", "from", accept, `"problems": [{}], "warnings": [{}]`,
			"but it refuses"},
		{"empty warnings", "from", accept, accept + `, "warnings": []`, "leave the field out"},
		{"warning without a case", "request", `"from.client"`, `"from.tollfree"`,
			"warns with from.client"},
		{"tolerance without a case", "to", `"tolerate": ["sip.secure"]`, `"tolerate": ["sip.tnx"]`,
			"tolerates sip.secure"},
		{"form without a case", "from", `"kind": "user"`, `"kind": "phone"`, "accepts From user"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for _, name := range []string{"from", "to", "request", "sipuri"} {
				data, err := os.ReadFile("testdata/vectors/" + name + ".json")
				require.NoError(t, err)
				if name == test.file {
					require.Contains(t, string(data), test.old)
					data = []byte(strings.ReplaceAll(string(data), test.old, test.new))
				}
				fsys[name+".json"] = &fstest.MapFile{Data: data}
			}
			_, err := loadVectors(fsys)
			assert.ErrorContains(t, err, test.want)
		})
	}
}

// A corpus is what testdata/vectors holds; the README.md there describes the format.
type corpus struct {
	from    []vector[vectorText, vectorFrom]
	to      []vector[vectorText, vectorTo]
	request []requestVector
	sipuri  []vector[vectorText, vectorURI]
}

// A vector is one case: what a parser makes of an input at every level, or at each.
type vector[In comparable, Out any] struct {
	ID      string `json:"id"`
	Comment string `json:"comment"`
	Source  string `json:"source"`
	Input   In     `json:"input"`
	Parser  struct {
		Emergency    bool              `json:"emergency"`
		Destinations string            `json:"destinations"`
		Tolerate     []callparams.Rule `json:"tolerate"`
	} `json:"parser"`
	verdict[Out]
	Levels *struct {
		Shape    verdict[Out] `json:"shape"`
		Possible verdict[Out] `json:"possible"`
		Assigned verdict[Out] `json:"assigned"`
	} `json:"levels"`
}

// A requestVector also says what MoveSourceDomain makes of its input, if the case says so.
type requestVector struct {
	vector[vectorRequest, vectorCall]
	Moved *verdict[vectorRequest] `json:"moved"`
}

// A verdict is either the parts of what is accepted, with its warnings, or the problems of what is
// refused.
type verdict[Out any] struct {
	Accept   *Out            `json:"accept"`
	Warnings []vectorWarning `json:"warnings"`
	Problems []vectorProblem `json:"problems"`
}

type vectorWarning struct {
	Param  string          `json:"param"`
	Rule   callparams.Rule `json:"rule"`
	Code   callparams.Code `json:"code"`
	Basis  string          `json:"basis"`
	Offset int             `json:"offset"`
	Length int             `json:"length"`
}

// A vectorProblem has what a warning has, and the fix.
type vectorProblem struct {
	vectorWarning
	Fix *vectorText `json:"fix"`
}

type (
	vectorRequest struct {
		From vectorText `json:"from"`
		To   vectorText `json:"to"`
	}
	vectorFrom struct {
		Kind string     `json:"kind"`
		User vectorText `json:"user"`
	}
	vectorTo struct {
		Kind   string        `json:"kind"`
		Client *vectorClient `json:"client"`
		SIP    *vectorURI    `json:"sip"`
	}
	vectorCall struct {
		From vectorFrom `json:"from"`
		To   vectorTo   `json:"to"`
	}
	vectorClient struct {
		Name   vectorText    `json:"name"`
		Params []vectorField `json:"params"`
	}
	vectorURI struct {
		Secure   bool          `json:"secure"`
		User     vectorText    `json:"user"`
		Password vectorText    `json:"password"`
		Host     vectorText    `json:"host"`
		Port     uint16        `json:"port"`
		Params   []vectorField `json:"params"`
		Headers  []vectorField `json:"headers"`
	}
	vectorField struct {
		Name  vectorText `json:"name"`
		Value vectorText `json:"value"`
	}
)

// A vectorText is a string; {"hex": "ff"} in JSON if it is not valid UTF-8.
type vectorText string

func (s *vectorText) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return json.Unmarshal(data, (*string)(s))
	}
	var encoded struct {
		Hex string `json:"hex"`
	}
	if err := unmarshalStrict(data, &encoded); err != nil {
		return err
	}
	raw, err := hex.DecodeString(encoded.Hex)
	if err == nil && utf8.Valid(raw) {
		err = errors.New("hex stands for valid UTF-8: write a string")
	}
	*s = vectorText(raw)
	return err
}

// unmarshalStrict is json.Unmarshal, but refuses unknown fields.
func unmarshalStrict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one JSON value")
	}
	return nil
}

// vectors returns the corpus, for tests and as seeds of fuzz targets.
func vectors(t testing.TB) corpus {
	t.Helper()
	c, err := loadVectors(os.DirFS("testdata/vectors"))
	require.NoError(t, err)
	return c
}

// loadVectors reads a corpus and refuses one whose cases are malformed, repeat each other or leave
// out a rule or a form.
func loadVectors(fsys fs.FS) (corpus, error) {
	var c corpus
	seen := coverage{
		ids: map[string]bool{}, forms: map[string]bool{},
		refused: map[refusal]bool{}, warned: map[callparams.Rule]bool{},
		tolerated: map[callparams.Rule]bool{},
	}
	err := errors.Join(
		loadFile(fsys, "from", &c.from),
		loadFile(fsys, "to", &c.to),
		loadFile(fsys, "request", &c.request),
		loadFile(fsys, "sipuri", &c.sipuri),
	)
	if err != nil {
		return c, err
	}
	return c, errors.Join(
		cover(&seen, c.from, func(p vectorFrom) string { return "From " + p.Kind }),
		cover(&seen, c.to, func(p vectorTo) string { return "To " + p.Kind }),
		cover(&seen, c.pairs(), func(p vectorCall) string {
			return p.From.Kind + " calls " + p.To.Kind
		}),
		cover(&seen, c.moves(), func(vectorRequest) string { return "moved" }),
		cover(&seen, c.sipuri, func(vectorURI) string { return "SIPURI" }),
		seen.missing(),
	)
}

func loadFile[V any](fsys fs.FS, name string, cases *[]V) error {
	data, err := fs.ReadFile(fsys, name+".json")
	if err != nil {
		return err
	}
	file := struct {
		Schema string `json:"$schema"`
		Parses string `json:"parses"`
		Cases  *[]V   `json:"cases"`
	}{Cases: cases}
	if err := unmarshalStrict(data, &file); err != nil {
		return fmt.Errorf("%s.json: %w", name, err)
	}
	if file.Parses != name {
		return fmt.Errorf("%s.json: parses %q", name, file.Parses)
	}
	return nil
}

// pairs returns the cases of request.json as those of Parser.Parse.
func (c corpus) pairs() []vector[vectorRequest, vectorCall] {
	var cases []vector[vectorRequest, vectorCall]
	for _, v := range c.request {
		cases = append(cases, v.vector)
	}
	return cases
}

// moves returns the cases of MoveSourceDomain, which are in request.json.
func (c corpus) moves() []vector[vectorRequest, vectorRequest] {
	var cases []vector[vectorRequest, vectorRequest]
	for _, v := range c.request {
		if v.Moved != nil {
			cases = append(cases, vector[vectorRequest, vectorRequest]{
				ID: v.ID + "/moved", Comment: v.Comment, Source: v.Source, Input: v.Input,
				verdict: *v.Moved,
			})
		}
	}
	return cases
}

// A coverage says what the cases that were read so far cover.
type coverage struct {
	ids     map[string]bool
	forms   map[string]bool
	refused map[refusal]bool
	warned  map[callparams.Rule]bool

	tolerated map[callparams.Rule]bool
}

type refusal struct {
	rule callparams.Rule
	code callparams.Code
}

var (
	idPattern     = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*(/moved)?$`)
	sourcePattern = regexp.MustCompile(
		`^(RFC [0-9]+ §|E\.164 §|vendor: |libphonenumber$|observed$|assumed$)`)
)

// cover adds cases to seen. It refuses those that are malformed or repeat another.
func cover[In comparable, Out any](
	seen *coverage, cases []vector[In, Out], form func(Out) string,
) error {
	type input struct {
		value  In
		parser string
	}
	inputs := map[input]string{}
	for _, v := range cases {
		in := input{v.Input, fmt.Sprint(v.Parser)}
		switch other, again := inputs[in]; {
		case !idPattern.MatchString(v.ID):
			return fmt.Errorf("%q is not an id", v.ID)
		case seen.ids[v.ID]:
			return fmt.Errorf("two cases have the id %s", v.ID)
		case again:
			return fmt.Errorf("%s has the input of %s", v.ID, other)
		case v.Comment == "":
			return fmt.Errorf("%s has no comment", v.ID)
		case !sourcePattern.MatchString(v.Source):
			return fmt.Errorf("%s has no source that the README.md knows", v.ID)
		case v.Levels != nil && !reflect.DeepEqual(v.verdict, verdict[Out]{}):
			return fmt.Errorf("%s has a verdict beside its levels", v.ID)
		case v.Levels != nil && reflect.DeepEqual(v.Levels.Shape, v.Levels.Possible) &&
			reflect.DeepEqual(v.Levels.Possible, v.Levels.Assigned):
			return fmt.Errorf("%s has levels that do not differ", v.ID)
		}
		seen.ids[v.ID] = true
		inputs[in] = v.ID
		for _, rule := range v.Parser.Tolerate {
			seen.tolerated[rule] = true
		}
		for _, level := range allLevels {
			want := v.at(level)
			if (want.Accept == nil) == (len(want.Problems) == 0) {
				return fmt.Errorf("%s: %v neither accepts nor refuses, or both", v.ID, level)
			}
			if want.Warnings != nil && want.Accept == nil {
				return fmt.Errorf("%s: %v has warnings, but it refuses", v.ID, level)
			}
			if want.Warnings != nil && len(want.Warnings) == 0 {
				return fmt.Errorf("%s: %v has no warnings: leave the field out", v.ID, level)
			}
			if want.Accept != nil {
				seen.forms[form(*want.Accept)] = true
			}
			for _, p := range want.Warnings {
				seen.warned[p.Rule] = true
			}
			for _, p := range want.Problems {
				seen.refused[refusal{p.Rule, p.Code}] = true
			}
		}
	}
	return nil
}

// missing refuses a corpus without a refusal for each code of each rule, without a warning of each
// rule that only warns, without a parser that tolerates each rule that can be tolerated, or without
// each form accepted.
func (seen coverage) missing() error {
	for rule := range callparams.Rules() {
		if rule.Warning() && !seen.warned[rule] {
			return fmt.Errorf("no case warns with %s", string(rule))
		}
		if rule.Tolerable() && (!seen.tolerated[rule] || !seen.warned[rule]) {
			return fmt.Errorf("no case tolerates %s", string(rule))
		}
		for _, code := range rule.Codes() {
			if !seen.refused[refusal{rule, code}] {
				return fmt.Errorf("no case is refused by %s with code %d", string(rule), int(code))
			}
		}
	}
	for _, form := range []string{
		"From phone", "From client", "From user", "To phone", "To client", "To sip",
		"To emergency", "phone calls emergency",
		"phone calls phone", "phone calls client", "phone calls sip",
		"client calls client", "client calls sip", "user calls client", "user calls sip",
		"moved", "SIPURI",
	} {
		if !seen.forms[form] {
			return fmt.Errorf("no case accepts %s", form)
		}
	}
	return nil
}

// at returns the verdict of v at level.
func (v vector[In, Out]) at(level callparams.NumberCheck) verdict[Out] {
	switch {
	case v.Levels == nil:
		return v.verdict
	case level == callparams.Shape:
		return v.Levels.Shape
	case level == callparams.Possible:
		return v.Levels.Possible
	}
	return v.Levels.Assigned
}

// parserAt returns the parser that v asks for, at level.
func (v vector[In, Out]) parserAt(t testing.TB, level callparams.NumberCheck) callparams.Parser {
	p := callparams.Parser{
		Numbers: level, Emergency: v.Parser.Emergency, Tolerate: v.Parser.Tolerate,
	}
	if v.Parser.Destinations != "" {
		require.NoError(t, p.Destinations.UnmarshalText([]byte(v.Parser.Destinations)))
	}
	return p
}

// A parseFunc returns the parts and the warnings of what it accepts.
type parseFunc[In comparable, Out any] func(
	callparams.Parser, In,
) (Out, []*callparams.Problem, error)

// The parsers of the four files, and MoveSourceDomain, each as a parseFunc.

func runFrom(p callparams.Parser, in vectorText) (vectorFrom, []*callparams.Problem, error) {
	from, err := p.ParseFrom(string(in))
	return fromVector(from), from.Warnings(), err
}

func runTo(p callparams.Parser, in vectorText) (vectorTo, []*callparams.Problem, error) {
	to, err := p.ParseTo(string(in))
	return toVector(to), to.Warnings(), err
}

func runRequest(p callparams.Parser, in vectorRequest) (vectorCall, []*callparams.Problem, error) {
	call, err := p.Parse(callparams.Request{From: string(in.From), To: string(in.To)})
	return vectorCall{fromVector(call.From()), toVector(call.To())}, call.Warnings(), err
}

func runMove(_ callparams.Parser, in vectorRequest) (vectorRequest, []*callparams.Problem, error) {
	r, err := callparams.Request{From: string(in.From), To: string(in.To)}.MoveSourceDomain()
	return vectorRequest{vectorText(r.From), vectorText(r.To)}, nil, err
}

func runURI(_ callparams.Parser, in vectorText) (vectorURI, []*callparams.Problem, error) {
	uri, err := callparams.ParseSIPURI(string(in))
	return uriVector(uri), nil, err
}

func fromVector(from callparams.From) vectorFrom {
	return vectorFrom{from.Kind().String(), vectorText(from.User())}
}

func toVector(to callparams.To) vectorTo {
	parts := vectorTo{Kind: to.Kind().String()}
	if name, params, ok := to.Client(); ok {
		parts.Client = &vectorClient{vectorText(name), vectorFields(params)}
	}
	if uri, ok := to.SIPURI(); ok {
		split := uriVector(uri)
		parts.SIP = &split
	}
	return parts
}

func uriVector(u callparams.SIPURI) vectorURI {
	return vectorURI{
		u.Secure, vectorText(u.User), vectorText(u.Password), vectorText(u.Host), u.Port,
		vectorFields(u.Params), vectorFields(u.Headers),
	}
}

func vectorFields(fields []kv) []vectorField {
	var list []vectorField
	for _, f := range fields {
		list = append(list, vectorField{vectorText(f.Name), vectorText(f.Value)})
	}
	return list
}

// ---- API and README ----

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file of testdata, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(got), 0o644))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "go test -run '^%s$' . -update writes %s", t.Name(), name)
}

// TestAPI checks that an exported declaration changes only together with testdata/api.txt.
func TestAPI(t *testing.T) {
	var api []string
	files := token.NewFileSet()
	for _, name := range slices.Backward(floors) {
		file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.FileExports(file)
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				f.Body = nil
			}
			if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
				continue
			}
			var text strings.Builder
			require.NoError(t, printer.Fprint(&text, files, decl))
			api = append(api, text.String()+"\n")
		}
	}
	golden(t, "api.txt", strings.Join(api, ""))
}

// TestReadmeCode checks that the README's Go code is that of the examples, word for word, and that
// its program prints what stands there.
func TestReadmeCode(t *testing.T) {
	var code strings.Builder
	for _, name := range []string{
		"sipuri_test.go", "validate_test.go", "examples/twilio/readme_test.go",
	} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		code.Write(text)
	}
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	blocks := strings.Split(string(readme), "```go\n")[1:]
	require.Len(t, blocks, 4)
	for _, block := range blocks {
		block, after, _ := strings.Cut(block, "```")
		if strings.HasPrefix(block, "package main\n") {
			name := filepath.Join(t.TempDir(), "main.go")
			require.NoError(t, os.WriteFile(name, []byte(block), 0o600))
			out, err := exec.Command("go", "run", name).CombinedOutput()
			require.NoError(t, err, string(out))
			_, printed, _ := strings.Cut(after, "```text\n")
			printed, _, _ = strings.Cut(printed, "```")
			assert.Equal(t, printed, string(out))
			continue
		}
		indented := "\t" + strings.ReplaceAll(strings.TrimSpace(block), "\n", "\n\t")
		assert.Contains(t, code.String(), indented+"\n")
	}
}

// TestHelp checks that -h of every program says what its package comment says, and in which case it
// exits with which code: it has a usage text with each sentence, or prints the comment itself.
func TestHelp(t *testing.T) {
	names, err := filepath.Glob("examples/*/*.go")
	require.NoError(t, err)
	sources, comments := map[string]string{}, map[string]string{} // by folder
	printsComment := map[string]bool{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
		require.NoError(t, err)
		if file.Name.Name != "main" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		folder := filepath.Dir(name)
		sources[folder] += string(text)
		if comment := file.Doc.Text(); comment != "" {
			comments[folder] = comment
			printsComment[name] = true
		}
	}
	require.NotEmpty(t, sources)
	for folder, source := range sources {
		comment := regexp.MustCompile(`(?m)^\t.*$`).ReplaceAllString(comments[folder], "")
		assert.Regexp(t, `The exit code\s+is\s+0\s+if`, comment, folder)
		_, embedded, _ := strings.Cut(source, "//go:embed ")
		embedded, _, _ = strings.Cut(embedded, "\n")
		if printsComment[filepath.Join(folder, embedded)] {
			continue
		}
		_, help, _ := strings.Cut(source, "`usage: ")
		help, _, _ = strings.Cut(help, "`")
		help = strings.Join(strings.Fields(help), " ")
		for paragraph := range strings.SplitSeq(comment, "\n\n") {
			text := strings.Join(strings.Fields(paragraph), " ")
			for sentence := range strings.SplitAfterSeq(text, ". ") {
				assert.Contains(t, help, strings.TrimSpace(sentence), folder)
			}
		}
	}
}

// ---- Examples ----

func Example() {
	// Before the request is sent:
	r := callparams.Request{
		From: "sip:+1234@mydomain.sip.twilio.com",
		To:   "sip:bob@example.com?Subject=hello",
	}
	var e *callparams.Error
	if err := r.Validate(); errors.As(err, &e) {
		for _, p := range e.Problems {
			fmt.Println(p.Param, p.Rule, int(p.Code), p.Offset, p.Len)
			if fix, ok := p.Fix(); ok {
				fmt.Println("  fix:", fix)
			}
		}
	}
	// Output:
	// To header.allowed 32113 20 7
	// From from.user 21212 9 24
	//   fix: +1234
}

func ExampleParseFrom() {
	from, err := callparams.ParseFrom("client:alice")
	fmt.Println(from.Kind(), from.User(), err)
	_, err = callparams.ParseFrom("alice@example.com")
	fmt.Println(err) // message text
	// Output:
	// client alice <nil>
	// callparams: From: the caller address is not a user name (21212, byte 5)
}

func ExampleParseTo() {
	for _, s := range []string{"+14155552671", "client:bob", "sip:bob@example.com", "bob"} {
		to, err := callparams.ParseTo(s)
		fmt.Println(to.Kind(), errors.Is(err, callparams.RulePhonePlus))
	}
	// Output:
	// phone false
	// client false
	// sip false
	// invalid true
}

func ExampleTo_Client() {
	name, params, ok := callparams.MustParseTo("client:alice?account=42&note=a%20b").Client()
	fmt.Printf("%s %d %q %v\n", name, len(params), params[1].Value, ok)
	// Output: alice 2 "a b" true
}

func ExampleTo_SIPURI() {
	to := callparams.MustParseTo("sip:bob@example.com:5061;transport=tls?X-Note=a%20b")
	uri, ok := to.SIPURI()
	fmt.Println(uri.User, uri.Host, uri.Port, uri.Params[0].Value, uri.Headers[0].Value, ok)
	// Output: bob example.com 5061 tls a b true
}

func ExampleFrom_LogValue() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	log.Info("calling",
		"from", callparams.MustParseFrom("+14155552671"),
		"to", callparams.MustParseTo("sip:bob@example.com"))
	// Output: level=INFO msg=calling from=+*********71 to=sip:***@example.com
}

// A From can be read from a flag or from the environment, checked at once. An error of package flag
// quotes the value: keep it out of logs.
func ExampleFrom_UnmarshalText() {
	var from callparams.From
	if err := from.UnmarshalText([]byte(os.Getenv("DIALER_FROM"))); err != nil {
		log.Fatal("DIALER_FROM: ", err) // shows no personal data
	}
	flags := flag.NewFlagSet("dialer", flag.ExitOnError)
	flags.TextVar(&from, "from", from, "the `caller`; the default is DIALER_FROM")
	_ = flags.Parse([]string{"-from", "+14155550100"})
	fmt.Println(from.IsValid(), from.Redacted())
	// Output: true +*********00
}

// In TwiML, the & between two headers of a SIP URI is written &amp;. Package encoding/xml does
// that.
func ExampleTo_MarshalText() {
	to, err := callparams.SIPURI{User: "alice", Host: "example.com"}.
		WithHeader("X-A", "1").WithHeader("X-B", "a&b").To()
	if err != nil {
		log.Fatal(err)
	}
	response := struct {
		XMLName xml.Name      `xml:"Response"`
		SIP     callparams.To `xml:"Dial>Sip"`
	}{SIP: to}
	text, err := xml.Marshal(response)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
	// Output:
	// <Response><Dial><Sip>sip:alice@example.com?X-A=1&amp;X-B=a%26b</Sip></Dial></Response>
}

// The answer to a person who filled in a form may show the fix: the person knows the number. A log
// must not.
func ExampleProblem_Fix() {
	answer := func(w http.ResponseWriter, r *http.Request) {
		_, err := callparams.ParseTo(r.PostFormValue("phone"))
		var p *callparams.Problem
		if !errors.As(err, &p) {
			return // it is accepted
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprintln(w, "Sorry,", html.EscapeString(p.Message)+".")
		if fix, ok := p.Fix(); ok {
			fmt.Fprintln(w, "Did you mean", html.EscapeString(fix)+"?")
		}
	}
	form := url.Values{"phone": {"+4402071838750"}}
	r := httptest.NewRequest("POST", "/", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	answer(w, r)
	fmt.Print(w.Body)
	// Output:
	// Sorry, the 0 after the calling code is only dialed inside the country; leave it out.
	// Did you mean +442071838750?
}

// A language model that calls a tool can correct its call if the answer says what is wrong.
func ExampleError_MarshalJSON() {
	arguments := []byte(`{"from": "+14155550100", "to": "sip:bob@h:0"}`)
	var r callparams.Request
	if err := json.Unmarshal(arguments, &r); err != nil {
		log.Fatal(err)
	}
	call, err := r.Parse()
	var refused *callparams.Error
	if errors.As(err, &refused) {
		answer, _ := json.MarshalIndent(refused, "", "  ")
		fmt.Println(string(answer))
		return
	}
	fmt.Println("place", call)
	// Output:
	// {
	//   "code": 21211,
	//   "message": "callparams: To: the port must be a number from 1 to 65535 (21211, byte 10)",
	//   "more_info": "https://www.twilio.com/docs/errors/21211",
	//   "status": 400,
	//   "details": {
	//     "problems": [
	//       {
	//         "param": "To",
	//         "rule": "sip.port",
	//         "code": 21211,
	//         "offset": 10,
	//         "length": 1,
	//         "message": "the port must be a number from 1 to 65535",
	//         "basis": "documented",
	//         "more_info": "https://www.twilio.com/docs/errors/21211"
	//       }
	//     ]
	//   }
	// }
}

func ExampleRequest_Parse() {
	call, err := callparams.Request{From: "+14155550100", To: "sip:bob@example.com"}.Parse()
	fmt.Println(call, err)
	fmt.Println(call.From().User(), call.To())
	// Output:
	// From +*********00 To sip:***@example.com <nil>
	// +14155550100 sip:bob@example.com
}

// A queue keeps a checked call as JSON; what is read from it is checked again.
func ExampleCall_UnmarshalJSON() {
	call, err := callparams.Request{From: "+14155550100", To: "sip:bob@example.com"}.Parse()
	text, _ := json.Marshal(call)
	fmt.Println(string(text), err)
	var read callparams.Call
	fmt.Println(json.Unmarshal(text, &read), read == call)
	err = json.Unmarshal([]byte(`{"from": "alice", "to": "+14155552671"}`), &read)
	fmt.Println(errors.Is(err, callparams.RuleFromPhone), read == call)
	// Output:
	// {"from":"+14155550100","to":"sip:bob@example.com"} <nil>
	// <nil> true
	// true true
}

func ExampleRequest_MoveSourceDomain() {
	r, err := callparams.Request{
		From: "sip:+1234@mydomain.sip.twilio.com",
		To:   "sip:destination@host",
	}.MoveSourceDomain()
	fmt.Printf("%s\n%s\n%v\n", r.From, r.To, err)
	// Output:
	// +1234
	// sip:destination@host?X-Source-Domain=mydomain.sip.twilio.com
	// <nil>
}

// Twilio's errors quote both values.
func ExampleRequest_Redact() {
	r := callparams.Request{From: "+14155550100", To: "client:bob"}
	err := errors.New("From is not a valid phone number: +14155550100")
	fmt.Println(r.Redact(err.Error()))
	// Output: From is not a valid phone number: +*********00
}

func ExampleParser() {
	// To is a number reserved for fiction.
	r := callparams.Request{From: "+14155552671", To: "+15555550100"}
	for _, level := range []callparams.NumberCheck{
		callparams.Shape, callparams.Possible, callparams.Assigned,
	} {
		_, err := callparams.Parser{Numbers: level}.Parse(r)
		fmt.Println(level, errors.Is(err, callparams.RulePhoneAssigned))
	}
	// Output:
	// shape false
	// possible false
	// assigned true
}

// A level is text, for flags and configuration.
func ExampleNumberCheck() {
	var p callparams.Parser
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.TextVar(&p.Numbers, "numbers", callparams.Possible, "shape, possible or assigned")
	fmt.Println(flags.Parse([]string{"-numbers", "assigned"}), p.Numbers)
	// Output: <nil> assigned
}

// What Twilio accepts and a person should know.
func ExampleTo_Warnings() {
	to := callparams.MustParseTo("sip:bob@example.com;edge=paris?X-Note=a+b")
	for _, p := range to.Warnings() {
		fmt.Println(p.Rule, p.Message)
	}
	// Output:
	// sip.edge.unknown this edge or region is on no list of Twilio; check its spelling
	// header.plus this + arrives as a plus; write a space as %20
}

// A program that dials numbers which others choose says where it calls.
func ExampleParseDestinations() {
	list, err := callparams.ParseDestinations("+1 !+1900 +44")
	if err != nil {
		fmt.Println(err)
		return
	}
	p := callparams.Parser{Destinations: list}
	for _, to := range []string{"+14155552671", "+19005550100", "+33142685300"} {
		_, err := p.ParseTo(to)
		fmt.Println(to, errors.Is(err, callparams.RulePhoneDestination))
	}
	// Output:
	// +14155552671 false
	// +19005550100 true
	// +33142685300 true
}

func ExampleDestinations_Allow() {
	list, err := callparams.ParseDestinations("+1")
	fmt.Println(list.Allow(callparams.MustParseTo("+442071838750")), err)
	fmt.Println(list.Allow(callparams.MustParseTo("client:alice")))
	// Output:
	// false <nil>
	// true
}

// A program that knows better than this release accepts what breaks one rule, and reads the
// warnings.
func ExampleParser_tolerate() {
	// Twilio leaves this header out of the call, as far as this release knows.
	r := callparams.Request{From: "+14155550100", To: "sip:bob@example.com?Subject=Hello"}
	fmt.Println(errors.Is(r.Validate(), callparams.RuleHeaderAllowed))
	p := callparams.Parser{Tolerate: []callparams.Rule{callparams.RuleHeaderAllowed}}
	call, err := p.Parse(r)
	fmt.Println(err)
	for _, warning := range call.Warnings() {
		fmt.Println(warning.Rule)
	}
	// Output:
	// true
	// <nil>
	// header.allowed
}

// Each option of a Parser, for a request that comes as JSON.
func ExampleParser_options() {
	p := callparams.Parser{
		Emergency: true,
		Tolerate:  []callparams.Rule{callparams.RuleHeaderAllowed},
	}
	if err := p.Destinations.UnmarshalText([]byte("+1 !+1900 +44")); err != nil {
		log.Fatal(err)
	}
	var r callparams.Request
	if err := json.Unmarshal([]byte(`{"From": "+14155550100", "To": "911"}`), &r); err != nil {
		log.Fatal(err)
	}
	call, err := p.Parse(r)
	if err != nil {
		slog.Error("refused", "error", err) // no personal data
		return
	}
	for _, warning := range call.Warnings() {
		slog.Warn("accepted", "warning", warning)
	}
	fmt.Println(call.To().Kind())
	// Output: emergency
}

// To call an emergency number, a program must ask for it.
func ExampleParser_emergency() {
	r := callparams.Request{From: "+14155550100", To: "911"}
	fmt.Println(errors.Is(r.Validate(), callparams.RulePhoneEmergency))
	call, err := callparams.Parser{Emergency: true}.Parse(r)
	fmt.Println(call.To().Kind(), err)
	// Output:
	// true
	// emergency <nil>
}

func ExampleError() {
	err := callparams.Request{From: "client:alice", To: "+14155552671"}.Validate()
	fmt.Println(errors.Is(err, callparams.RuleFromPhone))
	fmt.Println(errors.Is(err, callparams.CodeInvalidFrom))
	var e *callparams.Error
	if errors.As(err, &e) {
		fmt.Println(int(e.Code()), e.Code().DocsURL())
	}
	// Output:
	// true
	// true
	// 21212 https://www.twilio.com/docs/errors/21212
}

// A service that answers with the error, and a client that reads the answer.
func ExampleError_UnmarshalJSON() {
	_, err := callparams.ParseTo("sip:bob@10.0.0.1")
	body, _ := json.Marshal(err)
	var e callparams.Error
	if err := json.Unmarshal(body, &e); err != nil {
		fmt.Println("not from this package:", err)
		return
	}
	p := e.Problems[0]
	fmt.Println(int(e.Code()), p.Param, p.Rule, p.Offset, p.Len, p.Basis)
	fmt.Println(errors.Is(&e, callparams.RuleSIPPrivate))
	// Output:
	// 13254 To sip.private 8 8 documented
	// true
}

func ExampleProblem_Redacted() {
	_, err := callparams.ParseTo("sip:bob@example.com&transport=tls")
	var e *callparams.Error
	if errors.As(err, &e) {
		p := e.Problems[0]
		fix, _ := p.Fix()
		fmt.Println(p.Redacted())
		fmt.Println(strings.Repeat(" ", p.Offset) + strings.Repeat("^", p.Len))
		fmt.Println(fix)
	}
	// Output:
	// sip:***@*************************
	//                    ^
	// sip:bob@example.com;transport=tls
}

func ExampleRules() {
	for rule := range callparams.Rules() {
		fmt.Println(rule, rule.Codes(), rule.Basis(), rule.Summary())
		break
	}
	// Output: from.required [Twilio error 21213] documented From is empty
}

// ---- Benchmarks ----

func BenchmarkPhone(b *testing.B) {
	var prefixes strings.Builder
	prefixes.WriteString("+1 !+1415556")
	for n := range 298 {
		fmt.Fprintf(&prefixes, " !+1415%d", 200+n)
	}
	list, err := callparams.ParseDestinations(prefixes.String())
	require.NoError(b, err)
	for _, bench := range []struct {
		name  string
		parse func() error
	}{
		{"ParseFrom", func() error { _, err := callparams.ParseFrom("+14155552671"); return err }},
		{"ParseTo", func() error { _, err := callparams.ParseTo("+14155552671"); return err }},
		{"Request", callparams.Request{From: "+14155550100", To: "+14155552671"}.Validate},
		{"Destinations", func() error {
			_, err := callparams.Parser{Destinations: list}.ParseTo("+14155552671")
			return err
		}},
		{"LeadingZero", func() error { _, err := callparams.ParseTo("+390612345678"); return err }},
		{"Assigned", func() error {
			_, err := callparams.Parser{Numbers: callparams.Assigned}.ParseTo("+14155552671")
			return err
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			require.NoError(b, bench.parse())
			b.ReportAllocs()
			for b.Loop() {
				_ = bench.parse()
			}
		})
	}
}

func BenchmarkRefusal(b *testing.B) {
	for name, to := range map[string]string{
		"Phone":    "+1415555CALL",
		"Word":     "gdygadba",
		"Client":   "client:alice )",
		"Header":   "sip:bob@example.com?Subject=hello",
		"TwiML":    "sip:bob@example.com?X-A=1&amp;X-B=2",
		"Sixteen":  "sip:a@h?" + strings.Repeat("A=1&", 16) + "A=1",
		"Params":   "sip:a@h" + strings.Repeat(";a", 120),
		"Megabyte": "sip:a@h?X-A=" + strings.Repeat("a", 1<<20),
		"Digits":   "+" + strings.Repeat("1", 1<<20),
		"Letters":  strings.Repeat("a", 1<<20),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := callparams.ParseTo(to); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}
