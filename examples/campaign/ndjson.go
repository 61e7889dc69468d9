package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
)

// jsonSpace holds the white space that JSON allows: ws in RFC 8259, section 2.
const jsonSpace = " \t\r\n"

// ndjsonRows reads the rows of an NDJSON file.
type ndjsonRows struct {
	in      *bufio.Reader
	line    int
	lineEnd string // of the row before
}

func (n *ndjsonRows) next() (row, error) {
	for {
		text, err := n.in.ReadSlice('\n')
		n.line++
		if len(text) > maxRow {
			return row{}, errTooLong(n.line)
		}
		if err != nil && (len(text) == 0 || !errors.Is(err, io.EOF)) {
			return row{}, err
		}
		if len(bytes.Trim(text, jsonSpace)) > 0 {
			return n.parse(string(text)), nil
		}
	}
}

func (n *ndjsonRows) parse(text string) row {
	var body string
	body, n.lineEnd = cutLineEnd(text, n.lineEnd)
	r := row{line: n.line, size: len(text)}
	fields, before, ok := splitObject(body)
	from, fromOK := stringField(fields["from"])
	to, toOK := stringField(fields["to"])
	if !ok || !fromOK || !toOK {
		r.fault, r.unreadable = ruleSyntax, body
		r.before, r.after = "{", "}"+n.lineEnd
		return r
	}
	r.from, r.to = from, to
	r.before, r.after = before, body[strings.LastIndexByte(body, '}'):]+n.lineEnd
	r.unreadable, _ = stringField(fields["unreadable"])
	if r.unreadable != "" {
		r.fault = ruleSyntax
	}
	return r
}

// splitObject returns the fields of an object by name, in lower case, and its text up to where the
// fields of a verdict go. The text does not have the fields of an earlier verdict.
func splitObject(text string) (fields map[string][]json.RawMessage, before string, ok bool) {
	start, end := strings.IndexByte(text, '{')+1, strings.LastIndexByte(text, '}')
	if !json.Valid([]byte(text)) || strings.Trim(text[:start], jsonSpace) != "{" {
		return nil, "", false
	}
	fields = map[string][]json.RawMessage{}
	brace := text[:start]
	var kept strings.Builder
	in := json.NewDecoder(strings.NewReader(text)) // does not fail on valid JSON
	_, _ = in.Token()                              // the opening brace
	for in.More() {
		token, _ := in.Token()
		name := strings.ToLower(token.(string))
		var value json.RawMessage
		_ = in.Decode(&value)
		fields[name] = append(fields[name], value)
		field := text[start:in.InputOffset()]
		start += len(field)
		if slices.Contains(added, name) { // only the space before its comma stays
			field = field[:len(field)-len(strings.TrimLeft(field, jsonSpace))]
		}
		kept.WriteString(field)
	}
	before = kept.String() + text[start:end]
	if rest, found := strings.CutPrefix(strings.TrimLeft(before, jsonSpace), ","); found {
		before = rest // the fields before this comma are left out
	}
	if strings.Trim(before, jsonSpace) != "" {
		before += ","
	}
	return fields, brace + before, true
}

// stringField returns the value of a field that appears at most once and is a string.
func stringField(values []json.RawMessage) (value string, ok bool) {
	if len(values) == 0 {
		return "", true
	}
	if len(values) > 1 || values[0][0] != '"' {
		return "", false
	}
	err := json.Unmarshal(values[0], &value)
	return value, err == nil
}

func (n *ndjsonRows) encode(v verdict) string {
	text, _ := json.Marshal(v) // only strings and numbers, so it cannot fail
	return string(text[1 : len(text)-1])
}
