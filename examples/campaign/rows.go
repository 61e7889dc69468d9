package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A row is a row of the input. Its verdict goes between before and after. A row that cannot be
// read has the rule and the text from the start.
type row struct {
	size          int // in bytes
	from, to      string
	before, after string
	verdict
	warnings []string
}

// maxRow is how many bytes a row may have, including its line end. An accepted From and To have
// about 1,600 bytes at most; the rest is for the other columns or fields.
const maxRow = 1 << 20

func errTooLong(line int) error {
	return fmt.Errorf("the row in line %d is longer than 1 MiB; check its quotes", line)
}

var errHeader = errors.New("the header is missing or malformed; the first row must name the " +
	"columns from and to, each once, with commas, semicolons or tabs between the columns " +
	"and the line ends of Unix or Windows")

// byteOrderMark is the mark that spreadsheets write at the start of a UTF-8 file.
const byteOrderMark = "\ufeff"

// jsonSpace holds the white space that JSON allows: ws in RFC 8259, section 2.
const jsonSpace = " \t\r\n"

// An input reads the rows of a file. After a misplaced quote, encoding/csv goes on in the next
// line.
type input struct {
	in      *bufio.Reader
	err     error  // why no more can be read
	text    []byte // of the row that is being read
	line    int    // where text starts
	lineEnd string // of the line before

	csv   *csv.Reader // nil for NDJSON
	names []string    // of the columns, in lower case and without spaces around them
}

// newInput starts to read a file. It also returns what the output starts with.
func newInput(file io.Reader, isCSV bool) (*input, string, error) {
	in := &input{in: bufio.NewReader(file), line: 1, lineEnd: "\n"}
	start, err := in.in.Peek(len(byteOrderMark) + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", err
	}
	text, marked := strings.CutPrefix(string(start), byteOrderMark)
	mark := ""
	if marked {
		mark = byteOrderMark
		_, _ = in.in.Discard(len(mark))
	}
	switch {
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"),
		strings.Contains(text, "\x00"):
		return nil, "", errors.New("the file is UTF-16; save it as UTF-8")
	case isCSV:
		header, err := in.readHeader()
		return in, mark + header, err
	case strings.HasPrefix(text, "["):
		return nil, "", errors.New("the file is a JSON array; write one object per line")
	}
	return in, mark, nil
}

// Read reads up to the end of a line, so that text ends where a row ends, for encoding/csv too.
func (in *input) Read(p []byte) (n int, err error) {
	switch string(in.text) {
	case "\n", "\r\n": // a blank line before the row
		in.cut()
	}
	for in.err == nil && n < len(p) && (n == 0 || p[n-1] != '\n') {
		if p[n], in.err = in.in.ReadByte(); in.err == nil {
			n++
		}
	}
	in.text = append(in.text, p[:n]...)
	if len(in.text) > maxRow {
		in.err = errTooLong(in.line)
	}
	return n, in.err
}

// cut returns the text that was read, without its line end, and starts the next row.
func (in *input) cut() string {
	all := string(in.text)
	text := strings.TrimSuffix(strings.TrimSuffix(all, "\n"), "\r")
	if strings.HasSuffix(all, "\n") {
		in.lineEnd = all[len(text):]
	}
	in.line += strings.Count(all, "\n")
	in.text = in.text[:0]
	return text
}

// next reads a row. It returns io.EOF after the last.
func (in *input) next() (row, error) {
	if in.csv == nil {
		return in.nextObject()
	}
	return in.nextRecord()
}

// encode returns the columns or fields of a verdict.
func (in *input) encode(v verdict) string {
	if in.csv == nil {
		text, _ := json.Marshal(v) // only strings and numbers, so it cannot fail
		return string(text[1 : len(text)-1])
	}
	return in.join(v.columns())
}

// join returns columns as the text of a row, without a line end.
func (in *input) join(columns []string) string {
	var text strings.Builder
	out := csv.NewWriter(&text)
	out.Comma = in.csv.Comma
	_ = out.Write(columns) // writes to memory, so it cannot fail
	out.Flush()
	return strings.TrimSuffix(text.String(), "\n")
}

// readHeader reads the header with the first separator that gives it one from and one to. It
// returns the header of the output.
func (in *input) readHeader() (string, error) {
	for _, separator := range ",;\t" {
		in.csv = csv.NewReader(in)
		in.csv.Comma = separator
		titles, rule, err := in.readRecord()
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		count := map[string]int{}
		in.names = nil
		for _, title := range titles {
			name := strings.ToLower(strings.TrimSpace(title))
			in.names = append(in.names, name)
			count[name]++
		}
		oldMac := strings.Contains(strings.Join(titles, ""), "\r")
		if rule == "" && count["from"] == 1 && count["to"] == 1 && !oldMac {
			return in.before(titles, in.cut()) + in.join(added) + in.lineEnd, nil
		}
		in.in = bufio.NewReader(io.MultiReader(bytes.NewReader(in.text), in.in))
		in.text, in.err = nil, nil
	}
	return "", errHeader
}

// readRecord reads a row of a CSV file. If it cannot be read, the rule says why.
func (in *input) readRecord() (columns []string, rule string, err error) {
	columns, err = in.csv.Read()
	switch {
	case in.err != nil && !errors.Is(in.err, io.EOF): // the row is not whole
		return nil, "", in.err
	case errors.Is(err, io.EOF):
		return nil, "", err
	case errors.Is(err, csv.ErrFieldCount):
		return nil, ruleColumns, nil
	case err != nil:
		return nil, ruleSyntax, nil
	}
	return columns, "", nil
}

func (in *input) nextRecord() (r row, err error) {
	columns, rule, err := in.readRecord()
	if err != nil {
		return row{}, err
	}
	r.Line, r.size = in.line, len(in.text)
	text := in.cut()
	r.after = in.lineEnd
	if rule != "" {
		r.Rules, r.Unreadable = []string{rule}, text
		columns = make([]string, len(in.names))
		text = strings.Repeat(string(in.csv.Comma), len(columns)-1)
	}
	r.before = in.before(columns, text)
	for i, name := range in.names {
		switch {
		case name == "from":
			r.from = columns[i]
		case name == "to":
			r.to = columns[i]
		case name == "unreadable" && columns[i] != "":
			r.Rules, r.Unreadable = []string{ruleSyntax}, keepCR(columns[i])
		}
	}
	return r, nil
}

// before returns what stands before the columns of a verdict: the text of a row or, if that has
// such columns itself, its other columns.
func (in *input) before(columns []string, text string) string {
	var kept []string
	for i, name := range in.names {
		if !slices.Contains(added, name) {
			kept = append(kept, keepCR(columns[i]))
		}
	}
	if len(kept) < len(columns) {
		text = in.join(kept)
	}
	return text + string(in.csv.Comma)
}

// keepCR adds the carriage return that encoding/csv removes before a line feed when it reads.
func keepCR(column string) string { return strings.ReplaceAll(column, "\r\n", "\r\r\n") }

func (in *input) nextObject() (row, error) {
	var part [4096]byte
	for len(bytes.Trim(in.text, jsonSpace)) == 0 { // a blank line
		in.cut()
		for in.err == nil && !bytes.HasSuffix(in.text, []byte("\n")) {
			_, _ = in.Read(part[:]) // its error is in.err
		}
		if in.err != nil && (len(in.text) == 0 || !errors.Is(in.err, io.EOF)) {
			return row{}, in.err
		}
	}
	line, size := in.line, len(in.text)
	text := in.cut()
	r, ok := parseObject(text)
	if !ok {
		r = row{before: "{", after: "}"}
		r.Rules, r.Unreadable = []string{ruleSyntax}, text
	}
	r.Line, r.size = line, size
	r.after += in.lineEnd
	return r, nil
}

// parseObject reads an object whose from and to, in any case, appear at most once and are strings.
func parseObject(text string) (r row, ok bool) {
	if !json.Valid([]byte(text)) || strings.Trim(text, jsonSpace)[0] != '{' {
		return row{}, false
	}
	brace := strings.LastIndexByte(text, '}')
	r.before, r.after = text[:brace], text[brace:]
	call := map[string]string{}
	var kept []string // the fields without those of a verdict
	again := false    // whether there were some
	in := json.NewDecoder(strings.NewReader(text))
	_, _ = in.Token() // the opening brace; valid JSON does not make an error
	for in.More() {
		start := in.InputOffset()
		token, _ := in.Token()
		var value json.RawMessage
		_ = in.Decode(&value)
		name := strings.ToLower(token.(string))
		var s string
		isString := value[0] == '"' && json.Unmarshal(value, &s) == nil
		switch {
		case name == "from" || name == "to":
			if _, twice := call[name]; twice || !isString {
				return row{}, false
			}
			call[name] = s
		case name == "unreadable" && s != "":
			r.Rules, r.Unreadable = []string{ruleSyntax}, s
		}
		if slices.Contains(added, name) {
			again = true
			continue
		}
		kept = append(kept, strings.TrimLeft(text[start:in.InputOffset()], ","+jsonSpace))
	}
	if again {
		r.before = "{" + strings.Join(kept, ",")
	}
	if len(kept) > 0 {
		r.before += ","
	}
	r.from, r.to = call["from"], call["to"]
	return r, true
}
