package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/callparams"
)

// checkText checks a file in memory.
func checkText(file io.Reader, isCSV bool) (out string, err error) {
	var c campaign
	in, out, err := newInput(file, isCSV)
	if err != nil {
		return "", err
	}
	for {
		r, err := in.next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		c.check(&r)
		out += r.before + in.encode(r.verdict) + r.after
	}
}

// A record is what encoding/csv reads from a row.
type record struct {
	values map[string]string // by the name of the column; nil if the row cannot be read
	fault  string
	text   string // without its line end
	line   int
}

var blankLines = regexp.MustCompile(`^(\r?\n)+`)

// readRecords returns the names of the columns and the records of a CSV file.
func readRecords(t *testing.T, text string) (names []string, records []record) {
	text = strings.TrimPrefix(text, byteOrderMark)
	in := csv.NewReader(strings.NewReader(text))
	in.Comma = rune(text[strings.IndexAny(text, ",;\t")])
	in.FieldsPerRecord = -1
	for {
		start := in.InputOffset()
		values, err := in.Read()
		if errors.Is(err, io.EOF) {
			return names, records
		}
		end := in.InputOffset()
		row := blankLines.ReplaceAllString(text[start:end], "")
		if names == nil {
			require.NoError(t, err)
			for _, name := range values {
				names = append(names, strings.ToLower(strings.TrimSpace(name)))
			}
			continue
		}
		r := record{line: 1 + strings.Count(text[:int(end)-len(row)], "\n")}
		r.text = cutLineEnd(row)
		switch {
		case err != nil:
			r.fault = ruleSyntax
		case len(values) != len(names):
			r.fault = ruleColumns
		default:
			r.values = map[string]string{}
			for i, name := range names {
				r.values[name] = values[i]
			}
		}
		records = append(records, r)
	}
}

// headers are those that FuzzCSV puts before the rows. Each has the columns from, note and to,
// beside those of a verdict.
var headers = []string{
	"from,note,to\n",
	"\ufeffFrom;note;\" TO \"\r\n",
	"\nfrom\tnote\tto\r\n",
	"line,from,note,unreadable,to\n",
	"from,note,to,verdict,codes,rules,fixes,line,unreadable\r\n",
}

// FuzzCSV checks these laws. They are about what encoding/csv reads from the input and the output:
//
//   - No row is lost, doubled or invented.
//   - A row that can be read has the same columns in the output, and the verdict of its From and
//     To.
//   - A row that cannot be read is refused, and its text is in a column of its own.
//   - If the output is checked again, nothing changes but the numbers of the lines and the rule of
//     a row that cannot be read.
func FuzzCSV(f *testing.F) {
	for header := range headers {
		for _, rows := range []string{
			"", "\n", "alice,x,client:bob", "alice,,client:bob\n", "a,b\r\n\r\nc,d,e\n",
			"\"alice\",\"a\n\n\"\"b\",client:bob\nd,e,f\n", "alice,\"a\r\nb\",client:bob\r\n",
			"a\"b,c\nalice,x,client:bob\n", "alice,x,\"client:bob\r\nalice,x,client:bob\n",
			"\"a\"b,c,d\n\"d\",e,f\n", "\"\n\"\"\n\",x,\n", "a\r\r\nb\r", ",,\n \n,,,\n", "\r",
			"2,alice,x,,client:bob\n3,alice,,a\"b,client:bob\n",
			"1,alice,\"\n\",\"x\r\r\n\"\"\",\"client:bob\"",
			"alice,x,client:bob,accepted,,,,2,\nalice,x,client:bob,,,,,,\"\"\"\r\n\"\"\"\n",
		} {
			f.Add(header, rows)
			f.Add(header, strings.ReplaceAll(rows, ",", ";"))
			f.Add(header, strings.ReplaceAll(rows, ",", "\t"))
		}
	}
	f.Fuzz(func(t *testing.T, header int, rows string) {
		text := headers[uint(header)%uint(len(headers))] + rows
		out, err := checkText(strings.NewReader(text), true)
		require.NoError(t, err)
		_, want := readRecords(t, text)
		names, got := readRecords(t, out)
		require.Equal(t, append([]string{"from", "note", "to"}, added...), names)
		require.Len(t, got, len(want))
		for i, w := range want {
			requireRow(t, w, got[i].values)
		}

		again, err := checkText(strings.NewReader(out), true)
		require.NoError(t, err)
		_, repeated := readRecords(t, again)
		for i := range repeated {
			requireRow(t, got[i], repeated[i].values)
		}
		third, err := checkText(strings.NewReader(again), true)
		require.NoError(t, err)
		require.Equal(t, again, third)
	})
}

// requireRow checks a row of the output.
func requireRow(t *testing.T, in record, out map[string]string) {
	text := strings.ReplaceAll(in.text, "\r\n", "\n") // as encoding/csv reads it
	if in.values["unreadable"] != "" {
		in.fault, text = ruleSyntax, in.values["unreadable"]
	}
	require.Equal(t, strconv.Itoa(in.line), out["line"])
	for _, name := range []string{"from", "note", "to"} {
		require.Equal(t, in.values[name], out[name])
	}
	if in.fault != "" {
		require.Equal(t, text, out["unreadable"])
		require.Equal(t, in.fault, out["rules"])
		require.Equal(t, "refused", out["verdict"])
		return
	}
	require.Empty(t, out["unreadable"])
	err := callparams.Request{From: in.values["from"], To: in.values["to"]}.Validate()
	require.Equal(t, verdictOf(err), out["verdict"])
}

func verdictOf(err error) string {
	if err != nil {
		return "refused"
	}
	return "accepted"
}

// FuzzNDJSON checks these laws:
//
//   - Every line that is not blank makes one object in the output, whose fields have different
//     names if those of the input do.
//   - A row that can be read has the same fields in the output, and the verdict of the From and To
//     that encoding/json reads.
//   - A row that cannot be read is refused, and its text is in a field of its own.
//   - If the output is checked again, nothing changes but the numbers of the lines and the white
//     space around fields.
func FuzzNDJSON(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "{}", "{ }\r\n{\t}\n", object, "\ufeff" + object + "\r\n \n" + object,
		`{"from":"alice","from":"bob","to":"client:bob"}`,
		`{"\u0046ROM":"alice" , "to":"client:bob"}`,
		`{"line":1,"from":"alice","to":"client:bob", "verdict":[{}] ,"x":{"from":1,"to":{}}}`,
		`{"unreadable":"x"}`, `{ "unreadable":"x","y":1e999 }`, `{"from":7,"to":null}`,
		"null\n[1]\n\"\xff",
		`{"a":{},"a":[],"Codes":0}`, `{"":"" , "rules":[] }`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		out, err := checkText(strings.NewReader(text), false)
		if err != nil {
			return // TestFailures covers these files
		}
		in := lines(strings.TrimPrefix(text, byteOrderMark))
		checked := lines(strings.TrimPrefix(out, byteOrderMark))
		require.Len(t, checked, len(in))
		for i, line := range in {
			requireObject(t, line, checked[i])
		}

		again, err := checkText(strings.NewReader(out), false)
		require.NoError(t, err)
		require.Equal(t, withoutLines(out), withoutLines(again))
		third, err := checkText(strings.NewReader(again), false)
		require.NoError(t, err)
		require.Equal(t, again, third)
	})
}

func cutLineEnd(text string) string {
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
}

var lineNumber = regexp.MustCompile(`"line":[0-9]+`)

// withoutLines removes the numbers of the lines, the white space around fields, and the escapes
// that encoding/json writes for bytes that are not UTF-8.
func withoutLines(text string) string {
	var compact strings.Builder
	for line := range strings.Lines(strings.TrimPrefix(text, byteOrderMark)) {
		var row bytes.Buffer
		if json.Compact(&row, []byte(line)) == nil {
			compact.WriteString(row.String() + "\n")
		}
	}
	text = compact.String()
	return strings.ReplaceAll(lineNumber.ReplaceAllString(text, ""), `\ufffd`, "\ufffd")
}

// lines returns the lines of an NDJSON file that are not blank.
func lines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if strings.Trim(line, jsonSpace) != "" {
			lines = append(lines, cutLineEnd(line))
		}
	}
	return lines
}

// requireObject checks a row of the output.
func requireObject(t *testing.T, in, out string) {
	var got map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	var v verdict
	require.NoError(t, json.Unmarshal([]byte(out), &v))
	var want map[string]json.RawMessage
	var pair struct{ From, To string }
	err := errors.Join(json.Unmarshal([]byte(in), &want), json.Unmarshal([]byte(in), &pair))
	if v.Unreadable != "" {
		require.Equal(t, "refused", v.Verdict)
		require.Equal(t, []string{ruleSyntax}, v.Rules)
		var before struct{ Unreadable string }
		if _ = json.Unmarshal([]byte(in), &before); before.Unreadable == "" {
			require.Equal(t, string([]rune(in)), v.Unreadable) // a JSON string is UTF-8
		}
		return
	}
	require.NoError(t, err)
	err = callparams.Request{From: pair.From, To: pair.To}.Validate()
	require.Equal(t, verdictOf(err), v.Verdict)
	isAdded := func(name string, _ json.RawMessage) bool {
		return slices.Contains(added, strings.ToLower(name))
	}
	maps.DeleteFunc(want, isAdded)
	maps.DeleteFunc(got, isAdded)
	require.Equal(t, want, got)
	for _, name := range added {
		require.LessOrEqual(t, strings.Count(out, `"`+name+`":`), 1+strings.Count(in, name))
	}
}

// TestReadErrors checks that no part of a row is accepted where the input fails, and that the input
// is not read any further.
func TestReadErrors(t *testing.T) {
	failure := errors.New("failure")
	for _, tt := range []struct {
		isCSV    bool
		in, more string
		accepted int
	}{
		{true, header + "\n" + call + "\nalice,client:b", "ob\n", 1},
		{true, header + "\n" + call + "\nalice,\"client:b", "ob\"\n" + call + "\n", 1},
		{true, header + "\n" + call + "\nalice,x\"", "\n" + call + "\n", 1},
		{true, "fro", "m,to\n" + call + "\n", 0},
		{false, object + "\n" + object, object + "\n", 1},
	} {
		rest := strings.NewReader(tt.more)
		in := io.MultiReader(strings.NewReader(tt.in), &failOnce{failure}, rest)
		out, err := checkText(iotest.OneByteReader(in), tt.isCSV)
		assert.ErrorIs(t, err, failure)
		assert.Equal(t, tt.accepted, strings.Count(out, "accepted"), out)
	}
}

// A failOnce is a reader that fails once and then ends.
type failOnce struct{ err error }

func (f *failOnce) Read([]byte) (int, error) {
	err := f.err
	f.err = io.EOF
	return 0, err
}
