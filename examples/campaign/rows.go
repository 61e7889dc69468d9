package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"example.com/callparams"
)

// An input is an open file, or the error that came instead.
type input struct {
	file *os.File
	rows
	header string // what the output starts with
	err    error
}

// rows reads the rows of a file and writes verdicts in its format.
type rows interface {
	// next reads a row. It returns io.EOF after the last.
	next() (row, error)

	// encode returns the columns or fields of v. It is safe for concurrent use.
	encode(v verdict) string
}

// A row is a row of the input. The verdict goes between before and after.
type row struct {
	line, size    int // where it starts, and how many bytes it has
	from, to      string
	before, after string
	fault         callparams.Rule // why it cannot be read; "" if it can be
	unreadable    string          // its text, if it cannot be read
}

func open(name string, isCSV bool) (in input) {
	in.file = os.Stdin
	if name != "-" {
		if in.file, in.err = os.Open(name); in.err != nil {
			return in
		}
	}
	in.rows, in.header, in.err = newRows(in.file, isCSV)
	return in
}

// maxRow is how many bytes a row may have, including its line end. An accepted From and To have
// about 1,600 bytes at most; the rest is for the other columns or fields.
const maxRow = 1 << 20

func errTooLong(line int) error {
	return fmt.Errorf("the row in line %d is longer than 1 MiB; check its quotes", line)
}

// byteOrderMark is the mark that spreadsheets write at the start of a UTF-8 file.
const byteOrderMark = "\ufeff"

// newRows starts to read a file. It also returns what the output starts with.
func newRows(file io.Reader, isCSV bool) (rows, string, error) {
	in := bufio.NewReaderSize(file, maxRow+1) // tells a row of maxRow bytes from a longer one
	start, _ := in.Peek(len(byteOrderMark))   // an error comes again with the first row
	mark := ""
	if string(start) == byteOrderMark {
		mark = byteOrderMark
		_, _ = in.Discard(len(mark))
		start, _ = in.Peek(1)
	}
	switch {
	case bytes.HasPrefix(start, []byte("\xff\xfe")), bytes.HasPrefix(start, []byte("\xfe\xff")),
		bytes.IndexByte(start, 0) >= 0:
		return nil, "", errors.New("the file is UTF-16; save it as UTF-8")
	case !isCSV && bytes.HasPrefix(start, []byte("[")):
		return nil, "", errors.New("the file is a JSON array; write one object per line")
	}
	if !isCSV {
		return &ndjsonRows{in: in, lineEnd: "\n"}, mark, nil
	}
	rows, header, err := newCSVRows(in)
	return rows, mark + header, err
}

// cutLineEnd splits the text of a row before its line end. If it has none, the line end is missing.
func cutLineEnd(text, missing string) (body, lineEnd string) {
	body = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if !strings.HasSuffix(text, "\n") {
		return body, missing
	}
	return body, text[len(body):]
}
