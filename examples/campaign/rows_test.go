package main

import (
	"encoding/csv"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzSplitter compares the splitter with encoding/csv. If encoding/csv reads the text without an
// error, the splitter must cut it into the same records. Otherwise every line that is not blank
// must belong to exactly one row, and encoding/csv must read a row that is not marked broken as one
// record or one error.
func FuzzSplitter(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "a,b", "a,b\n", "a,b\r\n\r\nc,d\n", "\"a\nb\",c\nd,e\n", "\"a\"\"\n\",b\nc,d",
		"a\"b,c\nd,e\n", "\"a,b\nc,d\n", "\"a\"b,c\n\"d\",e\n", "a,\"\n\"\n", "\"\n\"\"\n\",x\n",
		"\"a\n\n\nb\"c\nd\n", "a\r\r\nb\r",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxRow {
			return // TestLongRows covers long rows
		}
		var b batch
		for s := newSplitter(strings.NewReader(text), true); b.err == nil; {
			b.err = s.next(&b)
		}
		require.Equal(t, io.EOF, b.err)

		text = strings.TrimPrefix(text, byteOrderMark)
		var got [][]string
		in := reader(string(b.data))
		line, broken, failed := 1, 0, 0
		for _, r := range b.rows {
			require.GreaterOrEqual(t, r.line, line)
			line = r.line + 1
			if r.broken == "" {
				record, err := in.Read()
				require.NotEqual(t, io.EOF, err)
				if err != nil {
					failed++
				}
				got = append(got, record)
			} else {
				broken++
			}
		}
		_, err := in.Read()
		require.Equal(t, io.EOF, err, "every record must belong to a row")

		want, err := reader(text).ReadAll()
		require.Equal(t, err != nil, broken+failed > 0)
		if err == nil {
			require.Equal(t, want, got)
		}
		lines := strings.Count(string(b.data), "\n") + broken
		for line := range strings.Lines(text) {
			if strings.Trim(line, "\r\n") == "" {
				lines++
			}
		}
		require.GreaterOrEqual(t, lines, strings.Count(text, "\n"))
	})
}

func reader(text string) *csv.Reader {
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	return r
}
