package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/callparams"
)

// program is the path of the built program.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "campaign")
	if err != nil {
		panic(err)
	}
	program = build(dir, ".")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func build(dir, pkg string) string {
	name := filepath.Join(dir, filepath.Base(pkg)+".exe")
	if out, err := exec.Command("go", "build", "-o", name, pkg).CombinedOutput(); err != nil {
		panic(string(out))
	}
	return name
}

// runProgram runs the program with input as its standard input.
func runProgram(t *testing.T, input string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs strings.Builder
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	err := cmd.Run()
	if exit := new(exec.ExitError); !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// A few rows that stand in many tests.
const (
	header = "from,to"
	call   = "alice,client:bob"
	object = `{"from":"alice","to":"client:bob"}`
)

// addedHeader is what campaign adds to a header, accepted what it adds to an accepted row.
const addedHeader = ",verdict,codes,rules,fixes,line,unreadable"

func accepted(line int) string { return fmt.Sprintf(",accepted,,,,%d,", line) }

func TestCSV(t *testing.T) {
	for _, tt := range []struct{ name, in, out string }{
		{
			"accepted",
			"from,to\n+14155552671,sip:bob@example.com\n",
			"from,to" + addedHeader + "\n+14155552671,sip:bob@example.com" + accepted(2) + "\n",
		},
		{
			"columns in any order and case, and the bytes of a row",
			"\ufeffid,TO,\"note, long\", From \r\n\"1\",client:bob,\"a \"\"b\"\"\r\n,\",alice\r\n",
			"\ufeffid,TO,\"note, long\", From " + addedHeader + "\r\n" +
				"\"1\",client:bob,\"a \"\"b\"\"\r\n,\",alice" + accepted(2) + "\r\n",
		},
		{
			"every problem of From and To, with fixes",
			"from,to\n+1 415 555 2671,+4402071838750\n,sip:bob@10.0.0.1;transport=sctp\n",
			"from,to" + addedHeader + "\n" +
				"+1 415 555 2671,+4402071838750,refused,21211 21212,phone.trunk phone.char," +
				"from=+14155552671 to=+442071838750,2,\n" +
				",sip:bob@10.0.0.1;transport=sctp,refused,13254 32114 21213," +
				"sip.private sip.transport from.required,,3,\n",
		},
		{
			"semicolons",
			"from;to;note\r\nalice;client:bob;\"a;b,c\"\r\nalice;sip:bob@h;transport=tls\r\n" +
				"alice;\"sips:bob@h;transport=tls;x=%41\";\r\n",
			"from;to;note" + semicolons(addedHeader) + "\r\n" +
				"alice;client:bob;\"a;b,c\"" + semicolons(accepted(2)) + "\r\n" +
				"alice;sip:bob@h;transport=tls" + semicolons(accepted(3)) + "\r\n" +
				"alice;\"sips:bob@h;transport=tls;x=%41\";" + semicolons(accepted(4)) + "\r\n",
		},
		{
			"tabs",
			"from\tto\nalice\tclient:bob\n",
			strings.ReplaceAll("from,to"+addedHeader+"\n"+call+accepted(2)+"\n", ",", "\t"),
		},
		{
			"a header over two lines, with a separator of its own in it",
			"\"the\n;from\";from;to\nx;alice;client:bob\n",
			"\"the\n;from\";from;to" + semicolons(addedHeader) + "\n" +
				"x;alice;client:bob" + semicolons(accepted(3)) + "\n",
		},
		{
			"blank lines are left out, and a line end is added",
			"\n\r\nfrom,to,note\n\nalice,client:bob,\"one\n\ntwo\"\n\r\nalice,client:bob,x",
			"from,to,note" + addedHeader + "\nalice,client:bob,\"one\n\ntwo\"" + accepted(5) +
				"\nalice,client:bob,x" + accepted(9) + "\r\n",
		},
		{
			"empty rows are rows",
			"from,to\n,\n \n",
			"from,to" + addedHeader + "\n,,refused,21201 21213,to.required from.required,,2,\n" +
				",,refused,,row.columns,,3,\" \"\n",
		},
		{
			"the line end of the last row, which is cut off",
			"from,to\r\nalice,client:bob\r",
			"from,to" + addedHeader + "\r\nalice,client:bob" + accepted(2) + "\r\n",
		},
		{
			"a malformed row does not break other rows",
			"from,to\n" +
				"alice,client:\"bob\n" + // 2: a misplaced quote
				"\"al\"ice,\"client\":bob\n" + // 3: the same, but an even number
				"alice\n" + // 4: too few columns
				"alice,client:bob,x\r\n" + // 5: too many columns
				"alice,client:bob\n" +
				"\"alice,client:bob\n" + // 7: up to the next quote, which does not end a column
				"alice,client:bob\n" +
				"\"alice\",client:bob\n" +
				"alice,client:bob\n",
			"from,to" + addedHeader + "\n" +
				",,refused,,row.syntax,,2,\"alice,client:\"\"bob\"\n" +
				",,refused,,row.syntax,,3,\"\"\"al\"\"ice,\"\"client\"\":bob\"\n" +
				",,refused,,row.columns,,4,alice\n" +
				",,refused,,row.columns,,5,\"alice,client:bob,x\"\r\n" +
				"alice,client:bob" + accepted(6) + "\n" +
				",,refused,,row.syntax,,7," +
				"\"\"\"alice,client:bob\nalice,client:bob\n\"\"alice\"\",client:bob\"\n" +
				"alice,client:bob" + accepted(10) + "\n",
		},
		{
			"a quote that is never closed",
			"from,to\nalice,\"client:bob\r\nalice,client:bob\r\n",
			"from,to" + addedHeader + "\n" +
				",,refused,,row.syntax,,2,\"alice,\"\"client:bob\r\nalice,client:bob\"\r\n",
		},
		{
			"columns of a verdict are replaced, wherever they stand",
			"line,from,Verdict,to, RULES ,\"codes\"\n" +
				"7,\"alice\",accepted,client:bob,x,\"y\nz\"\n" +
				"7,alice,refused,\"client:bob\",,\n7,x\n",
			"from,to" + addedHeader + "\n" +
				"alice,client:bob" + accepted(2) + "\n" +
				"alice,client:bob" + accepted(4) + "\n" +
				",,refused,,row.columns,,5,\"7,x\"\n",
		},
		{
			"only a header",
			"to,from",
			"to,from" + addedHeader + "\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, _, code := runProgram(t, tt.in, "-csv", "-", "-out", "-")
			assert.Equal(t, tt.out, out)
			want := 0
			if strings.Contains(tt.out, "refused") {
				want = 1
			}
			assert.Equal(t, want, code)
		})
	}
}

func semicolons(text string) string { return strings.ReplaceAll(text, ",", ";") }

func TestNDJSON(t *testing.T) {
	const unreadable = `{"verdict":"refused","codes":[],"rules":["row.syntax"],"fixes":{},`
	for _, tt := range []struct{ name, in, out string }{
		{
			"the bytes of a row, with the fields in any case",
			"\ufeff" + ` {"id": 7, "From": "alice",	"TO": "client:bob", "n": [1.50] } ` +
				"\r\n",
			"\ufeff" + ` {"id": 7, "From": "alice",	"TO": "client:bob", "n": [1.50] ,` +
				`"verdict":"accepted","codes":[],"rules":[],"fixes":{},"line":1} ` + "\r\n",
		},
		{
			"blank lines are left out, and a line end is added",
			"\n \t\r\n" + object,
			`{"from":"alice","to":"client:bob",` +
				`"verdict":"accepted","codes":[],"rules":[],"fixes":{},"line":3}` + "\r\n",
		},
		{
			"problems and fixes",
			`{"from":"+14155552671","to":"+4402071838750"}` + "\r\n{ }",
			`{"from":"+14155552671","to":"+4402071838750",` +
				`"verdict":"refused","codes":[21211],"rules":["phone.trunk"],` +
				`"fixes":{"to":"+442071838750"},"line":1}` + "\r\n" +
				`{ "verdict":"refused","codes":[21201,21213],` +
				`"rules":["to.required","from.required"],"fixes":{},"line":2}` + "\r\n",
		},
		{
			"a from inside another value does not count",
			`{"x":{"from":"a","from":"b"},"y":[{"to":1}],"from":"alice","to":"client:bob"}`,
			`{"x":{"from":"a","from":"b"},"y":[{"to":1}],"from":"alice","to":"client:bob",` +
				`"verdict":"accepted","codes":[],"rules":[],"fixes":{},"line":1}` + "\n",
		},
		{
			"fields of a verdict are replaced, wherever they stand",
			`{"verdict":"accepted" , "from":"alice","LINE":7,"to":"client:bob" ,"r\u0075les":{}}` +
				"\n" + `{"verdict":1,"unreadable":{},"line":2 }`,
			`{"from":"alice","to":"client:bob",` +
				`"verdict":"accepted","codes":[],"rules":[],"fixes":{},"line":1}` + "\n" +
				`{"verdict":"refused","codes":[21201,21213],` +
				`"rules":["to.required","from.required"],"fixes":{},"line":2}` + "\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, _, _ := runProgram(t, tt.in, "-ndjson", "-", "-out", "-")
			assert.Equal(t, tt.out, out)
		})
	}
	for _, in := range []string{
		`null`, `"from"`, `7`, `alice,client:bob`, ` [1]`,
		`{"from":"alice","to":14155552671}`,
		`{"from":null,"to":"client:bob"}`,
		`{"from":["alice"],"to":"client:bob"}`,
		`{"from":"alice","to":"client:bob"} {}`,
		`{"from":"alice","to":"client:bob"`,
		`{"from":"alice","to":"client:bob",}`,
		`{"from":"alice","from":"alice","to":"client:bob"}`,
		`{"from":"alice","to":"client:bob","FROM":"bob"}`,
		`{"from":"alice","to":"client:bob","\u0054O":"client:eve"}`,
		`{"to":"client:bob","from":"alice","to":null}`,
	} {
		t.Run(in, func(t *testing.T) {
			out, _, code := runProgram(t, in+"\r\n"+object, "-ndjson", "-", "-out", "-")
			text, err := json.Marshal(in)
			require.NoError(t, err)
			assert.Equal(t, unreadable+`"line":1,"unreadable":`+string(text)+"}\r\n"+
				`{"from":"alice","to":"client:bob",`+
				`"verdict":"accepted","codes":[],"rules":[],"fixes":{},"line":2}`+"\r\n", out)
			assert.Equal(t, 1, code)
		})
	}
}

// TestCheckedAgain checks that nothing but quotes, white space and line ends changes when a checked
// file is checked again, and nothing at all after that. The first check has left out the blank
// lines, so that the lines have the same numbers.
func TestCheckedAgain(t *testing.T) {
	const csvIn = "\ufefffrom;note;to\r\n" +
		"alice;\"a \"\"\r\n;\";client:bob\r\n\"alice\";x;\"+1 415\"\r\n" +
		"alice;x\"y;client:bob\r\nalice;;\"sip:bob@10.0.0.1;x=y\"\r\nalice;;\"client:bob\r\n"
	const ndjsonIn = object + "\n" +
		`{"from": "+14155552671", "to": "+1 415 555 2672" }` + "\r\n" +
		`{"from":"alice","from":"bob"}` + "\n{}\n" + `{"from":"<&>` + "\n"
	for _, tt := range []struct {
		format, in string
		replace    *strings.Replacer // makes the second output from the first
	}{
		{"-csv", csvIn, strings.NewReplacer("\r\n;\"", "\n;\"", "\"alice\"", "alice",
			"\"+1 415\"", "+1 415")},
		{"-ndjson", ndjsonIn, strings.NewReplacer(", \"to", ",\"to", "2\" ,", "2\",")},
	} {
		t.Run(tt.format, func(t *testing.T) {
			out, summary, code := runProgram(t, tt.in, tt.format, "-", "-out", "-")
			assert.Equal(t, 1, code)
			again, summaryAgain, code := runProgram(t, out, tt.format, "-", "-out", "-")
			assert.Equal(t, 1, code)
			assert.Equal(t, tt.replace.Replace(out), again)
			assert.Equal(t, summary, summaryAgain)
			third, _, _ := runProgram(t, again, tt.format, "-", "-out", "-")
			assert.Equal(t, again, third)
		})
	}
}

// TestLongRows checks that a row may have 1 MiB, including its line end, and that nothing behind a
// longer row is read.
func TestLongRows(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	fits := x(maxRow - len("alice,client:bob,\n"))
	tooLong := strings.Repeat("\n", maxRow/2) + x(maxRow/2)
	const rows = "from,to,note\nalice,client:bob,\n"
	more := strings.Repeat("alice,client:bob,\n", maxRow/8)
	for _, tt := range []struct {
		name, format, in string
		line             int // of the row that is too long, or 0
	}{
		{"it fits", "-csv", rows + "alice,client:bob," + fits + "\n" + rows, 0},
		{"it fits without a line end", "-csv", rows + "alice,client:bob,x" + fits, 0},
		{"it fits, with quotes", "-csv", rows + "alice,client:bob,\"\n" + fits[3:] + "\"\n", 0},
		{"one more byte", "-csv", rows + "alice,client:bob,x" + fits + "\n" + rows, 3},
		{"one more byte without a line end", "-csv", rows + "alice,client:bob,xx" + fits, 3},
		{"after blank lines", "-csv", rows + "\n\r\n\nalice,client:bob,x" + fits + "\n" + rows, 6},
		{"with quotes", "-csv", rows + "alice,client:bob,\"" + tooLong + "\"\n" + rows, 3},
		{"misplaced quote", "-csv", rows + "a\"b" + tooLong + "\n" + rows, 0},
		{"misplaced quote in a long line", "-csv", rows + "a\"b" + x(maxRow) + "\n" + rows, 3},
		{"unclosed quote", "-csv", rows + "alice,client:bob,\"x\n" + more, 3},
		{"two quotes", "-csv", rows + "alice,client:bob,\"x\n" + more + "a\"b\n", 3},
		{"header", "-csv", "from,to," + fits + x(10) + "\n" + rows, 1},
		{"unclosed quote in the header", "-csv", "from,to,\"x\n" + more, 1},
		{"it fits", "-ndjson", object + "\n\"" + x(maxRow-3) + "\"\n", 0},
		{"it fits without a line end", "-ndjson", object + "\n\"" + x(maxRow-2) + `"`, 0},
		{"one more byte", "-ndjson", object + "\n\n\"" + x(maxRow-2) + "\"\n" + object + "\n", 3},
		{"many more bytes", "-ndjson", object + "\n\"" + x(5*maxRow) + "\"\n" + object + "\n", 2},
	} {
		t.Run(tt.format+" "+tt.name, func(t *testing.T) {
			out, errs, code := runProgram(t, tt.in, tt.format, "-", "-out", "-")
			if tt.line == 0 {
				assert.NotEqual(t, 2, code)
				assert.Equal(t, strings.Count(tt.in, "client:bob"), strings.Count(out, "accepted"))
				return
			}
			assert.Equal(t, 2, code)
			assert.ErrorContains(t, errTooLong(tt.line), "longer than 1 MiB")
			assert.Contains(t, errs, errTooLong(tt.line).Error())
			if tt.line > 1 {
				assert.Contains(t, errs, "stopped after row 1 (line ")
				assert.Equal(t, 1, strings.Count(out, "accepted"))
				assert.True(t, strings.HasSuffix(out, "\n"))
			}
		})
	}
}

// TestLongField checks that a quoted field with a line end inside is one field, also if it has more
// than 64 KiB.
func TestLongField(t *testing.T) {
	row := `alice,client:bob,"` + strings.Repeat("x", 66_000) + "\n" +
		"+14155550100,+19005550199,\n" + strings.Repeat("x", 66_000) + `"`
	out, _, code := runProgram(t, "from,to,note\n"+row+"\n"+call+",\n", "-csv", "-", "-out", "-")
	assert.Equal(t, 0, code)
	want := "from,to,note" + addedHeader + "\n" + row + accepted(2) + "\n" +
		call + "," + accepted(5) + "\n"
	assert.Equal(t, want, out)
}

// TestBlankLines checks that blank lines do not count as a long row.
func TestBlankLines(t *testing.T) {
	blank := strings.Repeat("\n\r\n", maxRow)
	in := blank + "from;to\n" + blank + "alice;client:bob\n" + blank
	out, _, code := runProgram(t, in, "-csv", "-", "-out", "-")
	assert.Equal(t, 0, code)
	assert.Equal(t, "from;to"+semicolons(addedHeader)+"\nalice;client:bob"+
		semicolons(accepted(2+4*maxRow))+"\n", out)

	out, _, code = runProgram(t, blank+object+"\n"+blank, "-ndjson", "-", "-out", "-")
	assert.Equal(t, 0, code)
	assert.Contains(t, out, fmt.Sprintf(`"line":%d}`, 1+2*maxRow))
	assert.Equal(t, 1, strings.Count(out, "\n"))
}

func TestSummary(t *testing.T) {
	in := "from,to\n" +
		"alice,client:bob\n" +
		"alice,+14155552671\n" +
		"\n" +
		"+14155552671,14155552671\n" +
		"alice,sip:bob@10.0.0.1?Subject=x\n" +
		"alice,sip:bob@10.0.0.1?Subject=x&Subject=y\n" +
		"x\n" +
		strings.Repeat("alice,sip:bob@10.0.0.1\n", 4) +
		"alice,sips:bob@example.com;secure=true\n"
	const want = `11 rows: 2 accepted, 9 refused
sip.private     6  %s
                   first lines: 6, 7, 9, 10, 11
header.allowed  3  %s
                   first lines: 6, 7
from.phone      1  %s
                   first lines: 3
phone.plus      1  %s
                   first lines: 5
row.columns     1  the row has more or fewer columns than the header
                   first lines: 8
warnings of accepted rows:
sips.rewritten  1  %s
                   first lines: 13
`
	text := fmt.Sprintf(want, callparams.RuleSIPPrivate.Summary(),
		callparams.RuleHeaderAllowed.Summary(), callparams.RuleFromPhone.Summary(),
		callparams.RulePhonePlus.Summary(), callparams.RuleSIPSRewritten.Summary())
	out, errs, code := runProgram(t, in, "-csv", "-")
	assert.Equal(t, text, out)
	assert.Empty(t, errs)
	assert.Equal(t, 1, code)

	_, errs, code = runProgram(t, in, "-csv", "-", "-out", "-")
	assert.Equal(t, text, errs)
	assert.Equal(t, 1, code)

	out, errs, code = runProgram(t, "from,to\nalice,client:bob\n", "-csv", "-")
	assert.Equal(t, "1 rows: 1 accepted, 0 refused\n", out)
	assert.Empty(t, errs)
	assert.Equal(t, 0, code)
}

func TestFlags(t *testing.T) {
	for _, tt := range []struct{ from, to, without, flag, value, with string }{
		{"+14155550100", "911", "phone.emergency", "-emergency", "", ""},
		{"+14155550100", "+1415", "phone.length", "-numbers", "shape", ""},
		{"+14155552671", "+12005550199", "", "-numbers", "assigned", "phone.assigned"},
		{"+14155550100", "+19005550199", "", "-destinations", "+1 !+1900", "phone.destination"},
		{"+14155550100", "+14155550199", "", "-destinations", "+1 !+1900", ""},
	} {
		t.Run(tt.to+" "+tt.flag, func(t *testing.T) {
			in := fmt.Sprintf("from,to\n%s,%s\n", tt.from, tt.to)
			flag := tt.flag
			if tt.value != "" {
				flag += "=" + tt.value
			}
			for rule, args := range map[string][]string{
				tt.without: {"-csv", "-"}, tt.with: {"-csv", "-", flag},
			} {
				out, _, code := runProgram(t, in, args...)
				refused, _, _ := strings.Cut(out, "warnings")
				if rule == "" {
					assert.Equal(t, 0, code)
				} else {
					assert.Contains(t, refused, rule)
					assert.Equal(t, 1, code)
				}
			}
		})
	}
}

// TestHelp checks that -h prints the package comment.
func TestHelp(t *testing.T) {
	_, errs, code := runProgram(t, "", "-h")
	assert.Equal(t, 0, code)
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	require.NoError(t, err)
	comment, flags, _ := strings.Cut(errs, "\nFlags:\n")
	assert.Equal(t, file.Doc.Text(), comment)
	for _, name := range []string{
		"-csv", "-ndjson", "-out", "-numbers", "-emergency", "-destinations",
	} {
		assert.Contains(t, flags, "\n  "+name)
	}
}

// TestReadme runs the README's command.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	command := regexp.MustCompile("go -C examples/campaign run[^`]*")
	commands := command.FindAllString(string(readme), -1)
	require.Len(t, commands, 1)
	cmd := exec.Command("sh", "-c", commands[0])
	cmd.Dir = "../.."
	out, _ := cmd.Output() // go run exits with 1, because some rows are refused
	assert.Contains(t, string(out), "10 rows: 4 accepted, 6 refused\n")
	assert.Contains(t, string(out), "warnings of accepted rows:\nfrom.tollfree ")
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.ndjson"), filepath.Join(dir, "out.ndjson")
	require.NoError(t, os.WriteFile(in, []byte(object), 0o600))
	require.NoError(t, os.WriteFile(out, []byte(strings.Repeat("replaced", 100)), 0o600))
	summary, errs, code := runProgram(t, "", "-ndjson", in, "-out", out)
	assert.Equal(t, "1 rows: 1 accepted, 0 refused\n", summary)
	assert.Empty(t, errs)
	assert.Equal(t, 0, code)
	got, err := os.ReadFile(out)
	require.NoError(t, err)
	assert.Equal(t, `{"from":"alice","to":"client:bob",`+
		`"verdict":"accepted","codes":[],"rules":[],"fixes":{},"line":1}`+"\n", string(got))
}

func TestFailures(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in.csv")
	const rows = "from,to\nalice,client:bob\n"
	require.NoError(t, os.WriteFile(in, []byte(rows), 0o600))
	wide := func(mark, text string) string { // UTF-16, with the bytes in the order of the mark
		for _, b := range []byte(text) {
			if mark == "\xfe\xff" {
				mark += "\x00" + string(rune(b))
			} else {
				mark += string(rune(b)) + "\x00"
			}
		}
		return mark
	}
	for _, tt := range []struct {
		name, input, stderr string
		args                []string
	}{
		{"no input", "", "exactly one of -csv and -ndjson must be given", nil},
		{"two inputs", "", "exactly one of -csv and -ndjson must be given",
			[]string{"-csv", "-", "-ndjson", "-"}},
		{"an argument", "", "arguments besides flags are not allowed", []string{"-csv", "-", in}},
		{"unknown flag", "", "not defined", []string{"-xml", "-"}},
		{"unknown level", "", "invalid value", []string{"-csv", "-", "-numbers", "some"}},
		{"no destinations", "", "invalid value", []string{"-csv", "-", "-destinations", ""}},
		{"no such file", "", "no such file", []string{"-csv", filepath.Join(dir, "none.csv")}},
		{"CSV that cannot be read", "", "is a directory", []string{"-csv", dir}},
		{"NDJSON that cannot be read", "", "is a directory", []string{"-ndjson", dir}},
		{"output that cannot be created", rows, "is a directory",
			[]string{"-csv", "-", "-out", dir}},
		{"output that cannot be written", rows, "stopped after row 0",
			[]string{"-csv", "-", "-out", "/dev/full"}},
		{"output is the input", "", "-out is the input file", []string{"-csv", in, "-out", in}},
		{"empty", "", "the header is missing or malformed", []string{"-csv", "-"}},
		{"blank", "\n\r\n", "the header is missing or malformed", []string{"-csv", "-"}},
		{"no header", call + "\n", "the header is missing or malformed", []string{"-csv", "-"}},
		{"no header, with quotes", "\"a\n\",b;c\n", "the header is missing or malformed",
			[]string{"-csv", "-"}},
		{"malformed header", "from,\"to\n", "the header is missing or malformed",
			[]string{"-csv", "-"}},
		{"no from", "fromm,to\n", "each once, with commas", []string{"-csv", "-"}},
		{"no to", "from;x\n", "each once, with commas", []string{"-csv", "-"}},
		{"two tos", "to\tfrom\tTo\n", "each once, with commas", []string{"-csv", "-"}},
		{"two froms", "to,\" FROM\",From\n", "each once, with commas",
			[]string{"-csv", "-"}},
		{"line ends of old Macs", "from,to,note\r" + call + ",x\r" + call + ",y\r",
			"each once, with commas", []string{"-csv", "-"}},
		{"UTF-16, little endian", wide("\xff\xfe", rows), "UTF-16", []string{"-csv", "-"}},
		{"UTF-16, big endian", wide("\xfe\xff", rows), "UTF-16", []string{"-csv", "-"}},
		{"UTF-16 without a mark", wide("", rows), "UTF-16", []string{"-csv", "-"}},
		{"UTF-16, NDJSON", wide("\xff\xfe", object), "UTF-16", []string{"-ndjson", "-"}},
		{"JSON array", "[" + object + "]", "JSON array", []string{"-ndjson", "-"}},
		{"JSON array after a mark", "\ufeff[\n" + object + "\n]", "JSON array",
			[]string{"-ndjson", "-"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := filepath.Join(dir, "out.csv")
			require.NoError(t, os.WriteFile(out, []byte("kept"), 0o600))
			args := tt.args
			if !slices.Contains(args, "-out") {
				args = append(args, "-out", out)
			}
			stdout, errs, code := runProgram(t, tt.input, args...)
			assert.Contains(t, errs, tt.stderr)
			assert.NotContains(t, stdout+errs, "alice")
			assert.Equal(t, 2, code)
			kept, err := os.ReadFile(out)
			require.NoError(t, err)
			assert.Equal(t, "kept", string(kept))
		})
	}
	got, err := os.ReadFile(in)
	require.NoError(t, err)
	assert.Equal(t, rows, string(got), "the input must not change")
}

// TestOutputIsInput checks that the program does not read what it appends.
func TestOutputIsInput(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in.csv")
	require.NoError(t, os.WriteFile(in, []byte(header+"\n"+call+"\n"), 0o600))
	_, errs, code := runShell(t, `"$0" -csv - -out - <"$1" >>"$1"`, program, in)
	assert.Contains(t, errs, "-out is the input file")
	assert.Equal(t, 2, code)
}

// runShell runs a script of sh with the arguments $0, $1 and so on.
func runShell(t *testing.T, script string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs strings.Builder
	cmd := exec.Command("sh", append([]string{"-c", script}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := new(exec.ExitError); !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// TestFullDisk limits the size of files, because the program sees the same as on a full disk: a
// write that ends in the middle of a row.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.csv"), filepath.Join(dir, "out.csv")
	row := call + `,"` + strings.Repeat("x", 90) + "\nx\"\n"
	require.NoError(t, os.WriteFile(in, []byte("from,to,note\n"+strings.Repeat(row, 50)), 0o600))
	whole, _, code := runProgram(t, "", "-csv", in, "-out", "-")
	require.Equal(t, 0, code)
	for script, start := range map[string]string{
		`ulimit -f 2; "$0" -csv "$1" -out "$2"`:          "", // 2 blocks of 512 bytes or 1 KiB
		`ulimit -f 2; "$0" -csv "$1" -out - >"$2"`:       "",
		`ulimit -f 2; "$0" -csv "$1" -out - >>"$2"`:      "what was there\n",
		`ulimit -f 0; "$0" -csv "$1" -out - 2>&1 1>"$2"`: "",
	} {
		t.Run(script, func(t *testing.T) {
			require.NoError(t, os.WriteFile(out, []byte(start), 0o600))
			stdout, errs, code := runShell(t, script, program, in, out)
			errs += stdout
			assert.Equal(t, 2, code)
			text, err := os.ReadFile(out)
			require.NoError(t, err)
			written, found := strings.CutPrefix(string(text), start)
			require.True(t, found)
			assert.True(t, strings.HasPrefix(whole, written))
			rows, err := csv.NewReader(strings.NewReader(written)).ReadAll()
			require.NoError(t, err)
			n := max(0, len(rows)-1)
			assert.Contains(t, errs, fmt.Sprintf("stopped after row %d (line %d): ", n, 2*n))
			assert.Contains(t, errs, fmt.Sprintf("%d rows: %d accepted, 0 refused", n, n))
			assert.Less(t, n, 50)
			assert.True(t, written == "" || strings.HasSuffix(written, "\n"))
		})
	}
}

// TestOrder checks that every row is written in order and with the verdict of Validate.
func TestOrder(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in.csv")
	writeRows(t, in, 20_000)
	text, err := os.ReadFile(in)
	require.NoError(t, err)
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	require.NoError(t, err)
	out, _, code := runProgram(t, "", "-csv", in, "-out", "-")
	assert.Equal(t, 1, code)
	checked, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	require.NoError(t, err)
	require.Len(t, checked, len(rows))
	for i, row := range rows[1:] {
		verdict := "accepted"
		if (callparams.Request{From: row[0], To: row[1]}).Validate() != nil {
			verdict = "refused"
		}
		got := checked[i+1]
		want := append(row, verdict, strconv.Itoa(i+2))
		require.Equal(t, want, append(got[:4:4], got[len(got)-2]))
	}
}

// TestInterrupt interrupts the program while it waits for more input.
func TestInterrupt(t *testing.T) {
	for _, tt := range []struct {
		name, format, input string
		rows                int // how many are whole
	}{
		{"nothing", "-csv", "", 0},
		{"half a header", "-csv", "from,t", 0},
		{"a header", "-csv", "from,to\n", 0},
		{"an open quote in the header", "-csv", "from,to,\"\n", 0},
		{"a row", "-csv", "from,to\n" + call + "\n", 1},
		{"half a row", "-csv", "from,to\n" + strings.Repeat(call+"\n", 3000) + "ali", 3000},
		{"an open quote", "-csv", "from,to\n" + call + "\n\"" + call + "\n" + call + "\n", 1},
		{"nothing", "-ndjson", "", 0},
		{"a row", "-ndjson", object + "\n", 1},
		{"half a row", "-ndjson", strings.Repeat(object+"\n", 3000) + "{", 3000},
	} {
		t.Run(tt.format+" "+tt.name, func(t *testing.T) {
			var errs strings.Builder
			cmd := exec.Command(program, tt.format, "-", "-out", "-")
			cmd.Stderr = &errs
			stdin, err := cmd.StdinPipe()
			require.NoError(t, err)
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			go func() { _, _ = io.WriteString(stdin, tt.input) }() // the output waits for a reader

			out := bufio.NewReader(stdout)
			var text string
			wantLines := tt.rows
			if tt.format == "-csv" && strings.Contains(tt.input, "to\n") {
				wantLines++
			}
			for range wantLines {
				line, err := out.ReadString('\n')
				require.NoError(t, err)
				text += line
			}
			if wantLines == 0 {
				time.Sleep(500 * time.Millisecond) // nothing shows that the program waits
			}
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
			rest, err := io.ReadAll(out)
			require.NoError(t, err)
			_ = cmd.Wait() // the exit code is checked below
			assert.Equal(t, 2, cmd.ProcessState.ExitCode())
			assert.Empty(t, rest)
			assert.Contains(t, errs.String(), "interrupted")
			if wantLines > 0 {
				assert.Contains(t, errs.String(), fmt.Sprintf("stopped after row %d ", tt.rows))
				assert.Contains(t, errs.String(), fmt.Sprintf("%d rows: ", tt.rows))
			}
			assert.Equal(t, tt.rows, strings.Count(text, "accepted"))
		})
	}
}

// TestInterruptWhileWriting interrupts the program while it has much to do.
func TestInterruptWhileWriting(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in.csv")
	writeRows(t, in, 100_000)
	var errs strings.Builder
	cmd := exec.Command(program, "-csv", in, "-out", "-")
	cmd.Stderr = &errs
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	out := bufio.NewReader(stdout)
	first, err := out.ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	rest, err := io.ReadAll(out)
	require.NoError(t, err)
	_ = cmd.Wait() // the exit code is checked below
	assert.Equal(t, 2, cmd.ProcessState.ExitCode())
	text := first + string(rest)
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	require.NoError(t, err)
	assert.True(t, strings.HasSuffix(text, "\n"))
	assert.Contains(t, errs.String(), fmt.Sprintf("stopped after row %d ", len(rows)-1))
}

// TestProgressBar checks that the program shows the bar if standard error is a terminal. The other
// tests check that it does not show the bar otherwise.
func TestProgressBar(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in.csv")
	writeRows(t, in, 10_000)
	terminal, stderr, err := pty.Open()
	require.NoError(t, err)
	defer terminal.Close()
	cmd := exec.Command(program, "-csv", in)
	cmd.Stderr = stderr
	_ = cmd.Run() // some rows are refused
	stderr.Close()
	shown, _ := io.ReadAll(terminal) // always fails at the end: the other side is closed
	assert.Contains(t, string(shown), "% |")
}

var rowCount = flag.Int("rows", 1_000_000, "how many rows the benchmarks check")

// BenchmarkCampaign runs the built program, so that its peak memory does not include the test's.
// This command checks ten million rows:
//
//	go test -run '^$' -bench . -benchtime 1x -rows 10000000
func BenchmarkCampaign(b *testing.B) { benchmarkProgram(b, "-csv") }

// BenchmarkCampaignOut is BenchmarkCampaign with an output file.
func BenchmarkCampaignOut(b *testing.B) {
	benchmarkProgram(b, "-out", filepath.Join(b.TempDir(), "out.csv"), "-csv")
}

func benchmarkProgram(b *testing.B, args ...string) {
	in := filepath.Join(b.TempDir(), "in.csv")
	writeRows(b, in, *rowCount)
	var cpu time.Duration
	var peak int64
	for b.Loop() {
		cmd := exec.Command(program, append(args, in)...)
		_ = cmd.Run() // some rows are refused
		require.Less(b, cmd.ProcessState.ExitCode(), 2)
		cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		peak = max(peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	}
	rows := float64(b.N) * float64(*rowCount)
	b.ReportMetric(rows/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(cpu)/rows, "cpu-ns/row") // varies less on a busy machine
	b.ReportMetric(float64(peak)/1024, "peak-MiB")  // Maxrss is in KiB on Linux
}

// writeRows writes a CSV file with n calls, about 90 % of which are accepted. They go to numbers,
// SIP URIs and clients.
func writeRows(tb testing.TB, name string, n int) {
	file, err := os.Create(name)
	require.NoError(tb, err)
	out := bufio.NewWriter(file)
	fmt.Fprintln(out, "from,to,id")
	random := rand.New(rand.NewPCG(1, 2))
	number := func() string {
		return fmt.Sprintf("+1%d%07d", 201+random.IntN(700), random.IntN(1e7))
	}
	for id := range n {
		from, to := number(), number()
		switch random.IntN(40) {
		case 0:
			from = "client:alice" // refused, because To is a number
		case 1:
			to = to[1:]
		case 2:
			from = "sip:" + from + "@example.sip.twilio.com"
		case 3:
			to = "sip:" + to + "@example.com?Subject=x"
		case 4, 5, 6, 7, 8, 9, 10, 11:
			to = "sip:" + to + "@example.com;transport=tls?X-Account=" + to[1:]
		case 12, 13:
			to = "client:user" + to[1:]
		}
		fmt.Fprintf(out, "%s,%s,%d\n", from, to, id)
	}
	require.NoError(tb, out.Flush())
	require.NoError(tb, file.Close())
}
