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

// These rules are this program's own. They say why a row cannot be read.
const (
	ruleSyntax  callparams.Rule = "row.syntax"
	ruleColumns callparams.Rule = "row.columns"
	ruleLength  callparams.Rule = "row.length"
)

// maxRow is how many bytes a row may have, including its line end. An accepted From and To have
// about 1,600 bytes at most; the rest is for the other columns or fields.
const maxRow = 64 << 10

// batchSize is how many bytes of input make a full batch. That is about 2,000 rows, so passing a
// batch to another goroutine costs little compared with checking it.
const batchSize = 64 << 10

// byteOrderMark is the mark that spreadsheets write at the start of a UTF-8 file.
const byteOrderMark = "\ufeff"

// A row says where a row of the input starts and where its text ends in the data of its batch. The
// data does not contain the text of a broken row.
type row struct {
	line, end int
	broken    callparams.Rule
}

// A splitter cuts the input into rows. Several goroutines cannot share this work, so the splitter
// looks only at line ends and quotes and leaves the rest to the workers.
type splitter struct {
	in   *bufio.Reader
	csv  bool
	line int // of the next row, from 1
}

func newSplitter(in io.Reader, isCSV bool) *splitter {
	// The added line end completes a last line that does not have one. After a complete line it
	// only makes a blank line, which is skipped.
	in = io.MultiReader(in, strings.NewReader("\n"))
	// Peek moves the unread bytes to the front of the buffer when fewer than maxRow are left. The
	// buffer has 16 times that size, so that this happens rarely.
	s := &splitter{in: bufio.NewReaderSize(in, 16*maxRow), csv: isCSV, line: 1}
	if mark, _ := s.in.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
		_, _ = s.in.Discard(len(byteOrderMark))
	}
	return s
}

// fill adds rows to b until b is full. If the input ends or fails first, it sets b.err.
func (s *splitter) fill(b *batch) {
	for b.size < batchSize && b.err == nil {
		b.err = s.next(b)
	}
}

// next reads one row of the input into b. For a blank line it adds nothing, because encoding/csv
// skips blank lines too.
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
	_, _ = s.in.Discard(n) // text stays valid until the next read
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

// skipLine drops the rest of a line, however long it is.
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

// lineLen returns the length of the first line of text, including its line end. It returns 0 if
// text does not contain a line end.
func lineLen(text []byte) int { return bytes.IndexByte(text, '\n') + 1 }

func oddQuotes(text []byte) bool { return bytes.Count(text, []byte(`"`))%2 != 0 }

// quotedRow returns the length of the row at the start of window. The first line of the row has n
// bytes and an odd number of quotes. The row ends with the line that makes this number even.
//
// If these lines are not a valid row, or do not fit into window, quotedRow returns n and
// ruleSyntax: a stray quote must not break the lines after its own.
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
