package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
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

func TestCSV(t *testing.T) {
	for _, tt := range []struct{ name, in, out string }{
		{
			"accepted",
			"from,to\n+14155552671,sip:bob@example.com\n",
			"from,to,verdict,codes,rules,fixes,line\n" +
				"+14155552671,sip:bob@example.com,accepted,,,,2\n",
		},
		{
			"columns in any order and case, other columns kept",
			"\ufeffid,TO,\"note, long\", From \r\n1,client:bob,\"a \"\"b\"\"\",alice\r\n",
			"id,TO,\"note, long\",\" From \",verdict,codes,rules,fixes,line\n" +
				"1,client:bob,\"a \"\"b\"\"\",alice,accepted,,,,2\n",
		},
		{
			"every problem of From and To, with fixes",
			"from,to\n+1 415 555 2671,+4402071838750\n,sip:bob@10.0.0.1;transport=sctp\n",
			"from,to,verdict,codes,rules,fixes,line\n" +
				"+1 415 555 2671,+4402071838750,refused,21211 21212,phone.trunk phone.char," +
				"from=+14155552671 to=+442071838750,2\n" +
				",sip:bob@10.0.0.1;transport=sctp,refused,13254 32114 21213," +
				"sip.private sip.transport from.required,,3\n",
		},
		{
			"a row over two lines, blank lines, a last line without a line end",
			"\nfrom,to,note\n\nalice,client:bob,\"one\ntwo\"\n\r\nalice,client:bob,x",
			"from,to,note,verdict,codes,rules,fixes,line\n" +
				"alice,client:bob,\"one\ntwo\",accepted,,,,4\n" +
				"alice,client:bob,x,accepted,,,,7\n",
		},
		{
			"a malformed row does not break other rows",
			"from,to\n" +
				"alice,client:\"bob\n" + // 2: a misplaced quote
				"\"alice,client:bob\n" + // 3: the next quote, in line 5, does not end a field
				"alice,client:bob\n" +
				"alice,\"client:bob\"\n" +
				"\"al\"ice,\"client\":bob\n" + // 6: misplaced quotes, but an even number
				"alice\n" + // 7: too few columns
				"alice,client:bob,x\n" + // 8: too many columns
				"alice,client:bob\n" +
				"alice,\"client:bob\n", // 10: a quote that is never closed
			"from,to,verdict,codes,rules,fixes,line\n" +
				",,refused,,row.syntax,,2\n" +
				",,refused,,row.syntax,,3\n" +
				"alice,client:bob,accepted,,,,4\n" +
				"alice,client:bob,accepted,,,,5\n" +
				",,refused,,row.syntax,,6\n" +
				",,refused,,row.columns,,7\n" +
				",,refused,,row.columns,,8\n" +
				"alice,client:bob,accepted,,,,9\n" +
				",,refused,,row.syntax,,10\n",
		},
		{
			"only a header",
			"to,from",
			"to,from,verdict,codes,rules,fixes,line\n",
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

func TestNDJSON(t *testing.T) {
	in := `{"id": 7, "From": "alice", "TO": "client:bob", "tags": {"a": [1.50]}}

{"from":"+14155552671","to":"+4402071838750"}
 {"to": "client:bob" , "from": "sip:alice@example.com"}` + "\t\r\n" + `{ }
[1]
null
"from"
{"from":"alice","to":14155552671}
{"from":"alice","to":"client:bob"} {}
{"from":"alice","to":"client:bob"
{"from":"alice","to":"client:bob"}`
	want := `{"id": 7, "From": "alice", "TO": "client:bob", "tags": {"a": [1.50]},` +
		`"verdict":"accepted","codes":[],"rules":[],"fixes":{},"line":1}
{"from":"+14155552671","to":"+4402071838750",` +
		`"verdict":"refused","codes":[21211],"rules":["phone.trunk"],` +
		`"fixes":{"to":"+442071838750"},"line":3}
{"to": "client:bob" , "from": "sip:alice@example.com",` +
		`"verdict":"refused","codes":[21212],"rules":["from.user"],` +
		`"fixes":{"from":"alice"},"line":4}
{ "verdict":"refused","codes":[21201,21213],"rules":["to.required","from.required"],` +
		`"fixes":{},"line":5}
{"verdict":"refused","codes":[],"rules":["row.syntax"],"fixes":{},"line":6}
{"verdict":"refused","codes":[],"rules":["row.syntax"],"fixes":{},"line":7}
{"verdict":"refused","codes":[],"rules":["row.syntax"],"fixes":{},"line":8}
{"verdict":"refused","codes":[],"rules":["row.syntax"],"fixes":{},"line":9}
{"verdict":"refused","codes":[],"rules":["row.syntax"],"fixes":{},"line":10}
{"verdict":"refused","codes":[],"rules":["row.syntax"],"fixes":{},"line":11}
{"from":"alice","to":"client:bob","verdict":"accepted","codes":[],"rules":[],"fixes":{},"line":12}
`
	out, _, code := runProgram(t, in, "-ndjson", "-", "-out", "-")
	assert.Equal(t, 1, code)
	assert.Equal(t, want, out)
}

// TestLongRows checks that a row may have 64 KiB, including its line end.
func TestLongRows(t *testing.T) {
	fits := strings.Repeat("x", 64<<10-len("alice,client:bob,\n"))
	quoted := `"` + strings.Repeat("\n", 32<<10) + strings.Repeat("x", 32<<10) + `"`
	in := "from,to,note\n" +
		"alice,client:bob," + fits + "\n" +
		"alice,client:bob," + fits + "x\n" +
		"alice,client:bob," + strings.Repeat("x", 5<<20) + "\n" +
		"alice,client:bob," + quoted + "\n" +
		"alice,client:bob,x\n"
	out, _, code := runProgram(t, in, "-csv", "-", "-out", "-")
	assert.Equal(t, 1, code)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	require.NoError(t, err)
	var got []string
	for _, row := range rows {
		got = append(got, strings.Join(row[3:], " "))
	}
	last := 5 + 32<<10
	assert.Equal(t, []string{
		"verdict codes rules fixes line",
		"accepted    2",
		"refused  row.length  3",
		"refused  row.length  4",
		"refused  row.syntax  5",
		fmt.Sprintf("refused  row.syntax  %d", last), // the last line of the quoted field
		fmt.Sprintf("accepted    %d", last+1),
	}, got)
}

func TestSummary(t *testing.T) {
	in := "from,to\n" +
		"alice,client:bob\n" +
		"alice,+14155552671\n" +
		"+14155552671,14155552671\n" +
		"alice,sip:bob@10.0.0.1?Subject=x\n" +
		"alice,sip:bob@10.0.0.1\n" +
		"x\n"
	want := "6 rows: 1 accepted, 5 refused\n" +
		"sip.private     2  " + callparams.RuleSIPPrivate.Summary() + "\n" +
		"from.phone      1  " + callparams.RuleFromPhone.Summary() + "\n" +
		"header.allowed  1  " + callparams.RuleHeaderAllowed.Summary() + "\n" +
		"phone.plus      1  " + callparams.RulePhonePlus.Summary() + "\n" +
		"row.columns     1  the row has more or fewer columns than the header\n"
	out, errs, code := runProgram(t, in, "-csv", "-")
	assert.Equal(t, want, out)
	assert.Empty(t, errs)
	assert.Equal(t, 1, code)

	_, errs, code = runProgram(t, in, "-csv", "-", "-out", "-")
	assert.Equal(t, want, errs)
	assert.Equal(t, 1, code)

	out, errs, code = runProgram(t, "from,to\nalice,client:bob\n", "-csv", "-")
	assert.Equal(t, "1 rows: 1 accepted, 0 refused\n", out)
	assert.Empty(t, errs)
	assert.Equal(t, 0, code)
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.ndjson"), filepath.Join(dir, "out.ndjson")
	require.NoError(t, os.WriteFile(in, []byte(`{"from":"alice","to":"client:bob"}`), 0o600))
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
	for _, tt := range []struct {
		name, input, stderr string
		args                []string
	}{
		{"no input", "", "exactly one of -csv and -ndjson must be given", nil},
		{"two inputs", "", "exactly one of -csv and -ndjson must be given",
			[]string{"-csv", "-", "-ndjson", "-"}},
		{"an argument", "", "arguments besides flags are not allowed", []string{"-csv", "-", in}},
		{"unknown flag", "", "not defined", []string{"-xml", "-"}},
		{"no such file", "", "no such file", []string{"-csv", filepath.Join(dir, "none.csv")}},
		{"input that cannot be read", "", "stopped after row 0", []string{"-ndjson", dir}},
		{"output that cannot be created", rows, "is a directory",
			[]string{"-csv", "-", "-out", dir}},
		{"output that cannot be written", rows, "stopped after row 0",
			[]string{"-csv", "-", "-out", "/dev/full"}},
		{"output is the input", "", "-out is the input file", []string{"-csv", in, "-out", in}},
		{"no header", "\n\n", "the header is missing", []string{"-csv", "-"}},
		{"malformed header", "from,\"to\n", "the header is malformed", []string{"-csv", "-"}},
		{"no from", "fromm,to\n", `does not have a column named "from"`, []string{"-csv", "-"}},
		{"no to", "from\n", `does not have a column named "to"`, []string{"-csv", "-"}},
		{"two tos", "to,from,To\n", `more than one column named "to"`, []string{"-csv", "-"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, errs, code := runProgram(t, tt.input, tt.args...)
			assert.Contains(t, errs, tt.stderr)
			assert.Equal(t, 2, code)
		})
	}
	got, err := os.ReadFile(in)
	require.NoError(t, err)
	assert.Equal(t, rows, string(got), "the input must not change")
}

// TestOrder checks that every row is written in order and with the verdict of Validate.
func TestOrder(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in.csv")
	writeRows(t, in, 100_000)
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
		require.Equal(t, want, append(got[:4:4], got[len(got)-1]))
	}
}

// TestInterrupt interrupts the program while it waits for more input.
func TestInterrupt(t *testing.T) {
	for _, format := range []string{"-csv", "-ndjson"} {
		t.Run(format, func(t *testing.T) {
			row := `{"from":"alice","to":"client:bob"}` + "\n"
			if format == "-csv" {
				row = "alice,client:bob\n"
			}
			var errs strings.Builder
			cmd := exec.Command(program, format, "-", "-out", "-")
			cmd.Stderr = &errs
			stdin, err := cmd.StdinPipe()
			require.NoError(t, err)
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())

			go func() {
				// The last row never arrives completely.
				_, _ = io.WriteString(stdin, "from,to\n"+strings.Repeat(row, 100_000)+"ali")
			}()
			out := bufio.NewReader(stdout)
			header, err := out.ReadString('\n')
			require.NoError(t, err)
			first, err := out.ReadString('\n')
			require.NoError(t, err)
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
			rest, err := io.ReadAll(out)
			require.NoError(t, err)
			_ = cmd.Wait() // the exit code is checked below
			assert.Equal(t, 2, cmd.ProcessState.ExitCode())

			text := header + first + string(rest)
			n := strings.Count(text, "\n")
			assert.True(t, strings.HasSuffix(text, "\n"))
			if format == "-csv" {
				rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
				require.NoError(t, err)
				require.Len(t, rows, n)
				n--
			} else {
				for line := range strings.Lines(text) {
					require.True(t, json.Valid([]byte(line)))
				}
			}
			assert.Contains(t, errs.String(), fmt.Sprintf("stopped after row %d ", n))
			assert.Contains(t, errs.String(), fmt.Sprintf("%d rows: ", n))
		})
	}
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
func BenchmarkCampaign(b *testing.B) { benchmarkProgram(b, program, "-csv") }

// BenchmarkCampaignOut is BenchmarkCampaign with an output file.
func BenchmarkCampaignOut(b *testing.B) {
	benchmarkProgram(b, program, "-out", filepath.Join(b.TempDir(), "out.csv"), "-csv")
}

// BenchmarkParseLoop runs testdata/loop on the same rows.
func BenchmarkParseLoop(b *testing.B) { benchmarkProgram(b, build(b.TempDir(), "./testdata/loop")) }

func benchmarkProgram(b *testing.B, name string, args ...string) {
	in := filepath.Join(b.TempDir(), "in.csv")
	writeRows(b, in, *rowCount)
	var cpu time.Duration
	var peak int64
	for b.Loop() {
		cmd := exec.Command(name, append(args, in)...)
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
