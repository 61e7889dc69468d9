package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// csvRows reads the rows of a CSV file. After a misplaced quote, encoding/csv goes on in the next
// line.
type csvRows struct {
	in       *csv.Reader
	tape     *tape
	names    []string // of the columns, in lower case and without spaces around them
	from, to int      // the columns with these names
	lineEnd  string   // of the header
}

var errNoHeader = errors.New("the header is missing or malformed; the first row must name the " +
	"columns from and to, with commas, semicolons or tabs between the columns")

// newCSVRows reads the header with the first separator that gives it a from and a to. It also
// returns the header of the output.
func newCSVRows(in io.Reader) (rows, string, error) {
	c := &csvRows{tape: &tape{in: in, line: 1}}
	failure := errNoHeader
	for _, separator := range ",;\t" {
		err := c.readHeader(separator)
		if err == nil {
			text, _, err := c.tape.cut(c.in.InputOffset())
			if err != nil {
				return nil, "", err
			}
			text, c.lineEnd = cutLineEnd(text, "\n")
			columns, _ := c.split(text)
			return c, columns + c.join(added...) + c.lineEnd, nil
		}
		if errors.Is(failure, errNoHeader) { // other errors say more
			failure = err
		}
	}
	return nil, "", failure
}

// readHeader reads the first row. It can be called again with another separator, because the tape
// keeps the row until it is cut.
func (c *csvRows) readHeader(separator rune) error {
	c.tape.cuts = 0
	kept := bytes.NewReader(bytes.Clone(c.tape.text.Bytes()))
	c.in = csv.NewReader(io.MultiReader(kept, c.tape))
	c.in.Comma, c.in.FieldsPerRecord = separator, -1 // next reports rows of another width
	titles, err := c.in.Read()
	syntax := new(csv.ParseError)
	if errors.Is(err, io.EOF) || errors.As(err, &syntax) {
		return errNoHeader
	}
	if err != nil {
		return err
	}
	c.names = nil
	count := map[string]int{}
	for _, title := range titles {
		name := strings.ToLower(strings.TrimSpace(title))
		c.names = append(c.names, name)
		count[name]++
		if strings.Contains(title, "\r") {
			return errors.New("the header has a carriage return without a line feed; " +
				"save the file with the line ends of Unix or Windows")
		}
	}
	if count["from"]+count["to"] == 0 {
		return errNoHeader
	}
	for _, name := range []string{"from", "to"} {
		if count[name] == 0 {
			return fmt.Errorf("the header does not have a column named %q; add one", name)
		}
		if count[name] > 1 {
			return fmt.Errorf("the header has more than one column named %q; keep only one", name)
		}
	}
	c.from, c.to = slices.Index(c.names, "from"), slices.Index(c.names, "to")
	return nil
}

func (c *csvRows) next() (row, error) {
	record, err := c.in.Read()
	text, line, tooLong := c.tape.cut(c.in.InputOffset())
	if tooLong != nil {
		return row{}, tooLong
	}
	syntax := new(csv.ParseError)
	if err != nil && !errors.As(err, &syntax) {
		return row{}, err
	}
	text, lineEnd := cutLineEnd(text, c.lineEnd)
	r := row{line: line, size: len(text) + len(lineEnd), after: lineEnd}
	if err == nil && len(record) == len(c.names) {
		r.from, r.to = record[c.from], record[c.to]
		r.before, r.unreadable = c.split(text)
		if r.unreadable != "" {
			r.fault = ruleSyntax
		}
		return r, nil
	}
	r.fault, r.unreadable = ruleSyntax, text
	if err == nil {
		r.fault = ruleColumns
	}
	for _, name := range c.names {
		if !slices.Contains(added, name) {
			r.before += string(c.in.Comma)
		}
	}
	return r, nil
}

// split returns the columns of the row that c.in has just read, as they stand in its text, without
// those of a verdict. A separator follows each. It also returns the value of unreadable with its
// line ends, which encoding/csv changes.
func (c *csvRows) split(text string) (columns, unreadable string) {
	text += string(c.in.Comma)
	var kept strings.Builder
	line, _ := c.in.FieldPos(0)
	lineStart, start := 0, 0
	for i, name := range c.names {
		end := len(text)
		if i+1 < len(c.names) {
			nextLine, column := c.in.FieldPos(i + 1)
			for ; line < nextLine; line++ {
				lineStart += strings.IndexByte(text[lineStart:], '\n') + 1
			}
			end = lineStart + column - 1
		}
		switch column := text[start:end]; {
		case name == "unreadable":
			column = strings.TrimSuffix(strings.TrimPrefix(column[:len(column)-1], `"`), `"`)
			unreadable += strings.ReplaceAll(column, `""`, `"`)
		case !slices.Contains(added, name):
			kept.WriteString(column)
		}
		start = end
	}
	return kept.String(), unreadable
}

// encode returns the columns of v. A space separates the codes, rules or fixes within a column,
// since they do not contain spaces themselves.
func (c *csvRows) encode(v verdict) string {
	var codes, rules, fixes []string
	for _, code := range v.Codes {
		codes = append(codes, strconv.Itoa(int(code)))
	}
	for _, rule := range v.Rules {
		rules = append(rules, string(rule))
	}
	if v.Fixes.From != "" {
		fixes = append(fixes, "from="+v.Fixes.From)
	}
	if v.Fixes.To != "" {
		fixes = append(fixes, "to="+v.Fixes.To)
	}
	return c.join(
		v.Verdict,
		strings.Join(codes, " "),
		strings.Join(rules, " "),
		strings.Join(fixes, " "),
		strconv.Itoa(v.Line),
		v.Unreadable,
	)
}

// join returns columns as the text of a row, without a line end.
func (c *csvRows) join(columns ...string) string {
	var text strings.Builder
	out := csv.NewWriter(&text)
	out.Comma = c.in.Comma
	_ = out.Write(columns) // writes to memory, so it cannot fail
	out.Flush()
	return strings.TrimSuffix(text.String(), "\n")
}

// A tape is a reader that keeps the text of the row that is read from it. It fails if the row gets
// longer than maxRow.
type tape struct {
	in   io.Reader
	err  error        // of in; it does not go away
	text bytes.Buffer // what was read, from the start of the row on
	line int          // where text starts
	cuts int64        // how many bytes stood before text
}

func (t *tape) Read(p []byte) (n int, err error) {
	t.skipBlankLines()
	if t.err == nil && t.text.Len() > maxRow {
		t.err = errTooLong(t.line)
	}
	if t.err == nil {
		n, t.err = t.in.Read(p)
		t.text.Write(p[:n])
	}
	return n, t.err
}

// cut removes the row that ends at an offset of the input. It returns its text and the line where
// it starts, or fails if the row is longer than maxRow.
func (t *tape) cut(end int64) (text string, line int, err error) {
	t.skipBlankLines()
	text, line = string(t.text.Next(int(end-t.cuts))), t.line
	if len(text) > maxRow {
		return "", line, errTooLong(line)
	}
	t.cuts = end
	t.line += strings.Count(text, "\n")
	return text, line, nil
}

// skipBlankLines removes the lines that encoding/csv skips before a row.
func (t *tape) skipBlankLines() {
	for {
		n := 1
		if bytes.HasPrefix(t.text.Bytes(), []byte("\r\n")) {
			n = 2
		} else if !bytes.HasPrefix(t.text.Bytes(), []byte("\n")) {
			return
		}
		t.text.Next(n)
		t.cuts += int64(n)
		t.line++
	}
}
