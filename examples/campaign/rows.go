package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"

	"example.com/callparams"
)

// The rules of this program: why a row cannot be read.
const (
	ruleSyntax  callparams.Rule = "row.syntax"
	ruleColumns callparams.Rule = "row.columns"
	ruleLength  callparams.Rule = "row.length"
)

// maxRow is how many bytes a row may have: a From and a To that pass have some 1,600 at most, the rest is
// for what is carried along.
const maxRow = 64 << 10

// batchSize is how many bytes of input are checked in one go: some 2,000 rows, so that handing them from
// one goroutine to the next costs nothing beside the work on them.
const batchSize = 64 << 10

// byteOrderMark is what spreadsheets write in front of UTF-8.
const byteOrderMark = "\ufeff"

// A row says where a row of the input starts, and where it ends in the data of its batch. A broken row has
// no data.
type row struct {
	line, end int
	broken    callparams.Rule
}

// A splitter cuts the input into rows. That is the work that cannot be shared, so it looks at line ends and
// quotes alone and leaves the rest to the workers.
type splitter struct {
	in   *bufio.Reader
	csv  bool
	line int // of the next row, from 1
}

func newSplitter(in io.Reader, isCSV bool) *splitter {
	// With a line end behind it the last line is like any other: one more is a blank line, which is skipped.
	in = io.MultiReader(in, strings.NewReader("\n"))
	// 16 windows, so that what is left of one moves to the front of the buffer once in 15.
	s := &splitter{in: bufio.NewReaderSize(in, 16*maxRow), csv: isCSV, line: 1}
	if mark, _ := s.in.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
		_, _ = s.in.Discard(len(byteOrderMark))
	}
	return s
}

// fill adds rows to b until it is full, or b.err says why there are no more.
func (s *splitter) fill(b *batch) {
	for b.size < batchSize && b.err == nil {
		b.err = s.next(b)
	}
}

// next moves a row of the input to b. It skips a blank line, as encoding/csv does.
func (s *splitter) next(b *batch) error {
	window, err := s.in.Peek(maxRow)
	n := lineLen(window)
	r := row{line: s.line}
	switch {
	case n == 0 && err != nil:
		return err
	case n == 0:
		r.broken = ruleLength
	case s.csv && oddQuotes(window[:n]):
		n, r.broken = quotedRow(window, n)
	}
	text := window[:n]
	_, _ = s.in.Discard(n) // text stays until the next read
	s.line += bytes.Count(text, []byte("\n"))
	b.size += n
	switch {
	case r.broken == ruleLength:
		b.rows = append(b.rows, r)
		return s.skipLine(b)
	case r.broken != "":
		b.rows = append(b.rows, r)
	case string(text) != "\n" && string(text) != "\r\n":
		b.data = append(b.data, text...)
		r.end = len(b.data)
		b.rows = append(b.rows, r)
	}
	return nil
}

// skipLine drops the rest of a line, of whatever length.
func (s *splitter) skipLine(b *batch) error {
	s.line++
	for {
		part, err := s.in.ReadSlice('\n')
		b.size += len(part)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// lineLen returns the length of the first line of text with its end, or 0 if that is not in text.
func lineLen(text []byte) int { return bytes.IndexByte(text, '\n') + 1 }

func oddQuotes(text []byte) bool { return bytes.Count(text, []byte(`"`))%2 != 0 }

// quotedRow returns the length of the row at the start of window, whose first line has n bytes and an odd
// number of quotes: it ends with the line that makes the number even. If that is no row, or too long, then
// the first line is one, and broken: a stray quote takes nothing with it but its own line.
func quotedRow(window []byte, n int) (int, callparams.Rule) {
	end := n
	for odd := true; odd; {
		next := lineLen(window[end:])
		if next == 0 {
			return n, ruleSyntax
		}
		odd = odd != oddQuotes(window[end:end+next])
		end += next
	}
	if _, err := csv.NewReader(bytes.NewReader(window[:end])).Read(); err != nil {
		return n, ruleSyntax
	}
	return end, ""
}
