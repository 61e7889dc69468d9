package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/schollz/progressbar/v3"

	"example.com/callparams"
)

// A batch is what goes from the splitter through a worker to the output. There is a fixed number of them, and
// each is used again and again: that is all the memory that the program needs, whatever the input's size.
type batch struct {
	rows []row
	data []byte // the rows that are not broken, each with a line end
	size int    // the bytes of input that they took
	err  error  // why it is the last one: io.EOF at the end of the input

	checked chan struct{} // receives once the rest is there
	out     bytes.Buffer
	refused int
	rules   map[callparams.Rule]int
}

func (b *batch) reset() {
	b.rows, b.data, b.size, b.refused = b.rows[:0], b.data[:0], 0, 0
	b.out.Reset()
	clear(b.rules)
}

// A checker checks the rows of a batch and writes each to its out.
type checker func(*batch)

// checkAll splits on one goroutine, checks on all cores and writes on this one, in the order of the input.
// It returns at once, with whole batches written, when ctx is done; what the other goroutines then wait for
// never comes.
func checkAll(ctx context.Context, rows *splitter, check checker, out io.Writer, bar *progressbar.ProgressBar) (totals, error) {
	// 4 for each core: one in work, and enough at hand to bridge a slow read or write.
	n := 4 * runtime.GOMAXPROCS(0)
	free, work, queue := make(chan *batch, n), make(chan *batch, n), make(chan *batch, n)
	for range n {
		free <- &batch{checked: make(chan struct{}, 1), rules: map[callparams.Rule]int{}}
	}
	go func() {
		for b := range free {
			b.reset()
			rows.fill(b)
			err := b.err // b is another's once it is sent
			work <- b
			queue <- b
			if err != nil {
				close(work)
				return
			}
		}
	}()
	for range runtime.GOMAXPROCS(0) {
		go func() {
			for b := range work {
				check(b)
				b.checked <- struct{}{}
			}
		}()
	}

	total := totals{rules: map[callparams.Rule]int{}}
	for {
		select {
		case <-ctx.Done():
			return total, errors.New("interrupted")
		case b := <-queue:
			<-b.checked
			if _, err := out.Write(b.out.Bytes()); err != nil {
				return total, err
			}
			total.add(b)
			_ = bar.Add(b.size)
			if errors.Is(b.err, io.EOF) {
				return total, nil
			}
			if b.err != nil {
				return total, b.err
			}
			free <- b
		}
	}
}

// A verdict is what is added to a row.
type verdict struct {
	Verdict string            `json:"verdict"`
	Codes   []callparams.Code `json:"codes"`
	Rules   []callparams.Rule `json:"rules"`
	Fixes   fixes             `json:"fixes"`
	Line    int               `json:"line"`
}

// fixes are empty where there is none.
type fixes struct {
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// judge checks the pair of a row, unless that is broken, and counts what it finds.
func (b *batch) judge(r row, from, to string) verdict {
	// Not nil, which JSON would call null.
	v := verdict{Verdict: "accepted", Codes: []callparams.Code{}, Rules: []callparams.Rule{}, Line: r.line}
	var refusal *callparams.Error
	if r.broken != "" {
		v.Rules = append(v.Rules, r.broken)
	} else if err := (callparams.Request{From: from, To: to}).Validate(); errors.As(err, &refusal) {
		v.add(refusal)
	}
	if len(v.Rules) > 0 {
		v.Verdict = "refused"
		b.refused++
	}
	for _, rule := range v.Rules {
		b.rules[rule]++
	}
	return v
}

func (v *verdict) add(refusal *callparams.Error) {
	for _, p := range refusal.Problems {
		v.Codes = append(v.Codes, p.Code)
		v.Rules = append(v.Rules, p.Rule)
		fix, _ := p.Fix()
		if p.Param == "From" {
			v.Fixes.From = fix
		} else {
			v.Fixes.To = fix
		}
	}
}

// added are the columns of a verdict.
var added = []string{"verdict", "codes", "rules", "fixes", "line"}

// appendTo appends the cells of those columns. No code, rule or fix has a space in it, so spaces separate them.
func (v verdict) appendTo(cells []string) []string {
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
	return append(cells, v.Verdict, strings.Join(codes, " "), strings.Join(rules, " "), strings.Join(fixes, " "), strconv.Itoa(v.Line))
}

// readHeader reads the first row of a CSV input. It returns what checks the others, and the header of the output.
func readHeader(rows *splitter) (checker, []byte, error) {
	var b batch
	for len(b.rows) == 0 {
		if err := rows.next(&b); errors.Is(err, io.EOF) {
			return nil, nil, errors.New("no header, want one that names the columns from and to")
		} else if err != nil {
			return nil, nil, err
		}
	}
	header, err := csv.NewReader(bytes.NewReader(b.data)).Read()
	if err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	from, err := column(header, "from")
	if err != nil {
		return nil, nil, err
	}
	to, err := column(header, "to")
	if err != nil {
		return nil, nil, err
	}
	out := csv.NewWriter(&b.out)
	_ = out.Write(append(slices.Clone(header), added...)) // to memory
	out.Flush()
	check := func(b *batch) { checkCSV(b, len(header), from, to) }
	return check, b.out.Bytes(), nil
}

// column returns the index of the one column called name.
func column(header []string, name string) (int, error) {
	is := func(title string) bool { return strings.EqualFold(strings.TrimSpace(title), name) }
	i := slices.IndexFunc(header, is)
	if i < 0 {
		return 0, fmt.Errorf("header: no column %q", name)
	}
	if slices.ContainsFunc(header[i+1:], is) {
		return 0, fmt.Errorf("header: more than one column %q", name)
	}
	return i, nil
}

// checkCSV checks the rows of a CSV file of so many columns, with From and To in those at from and to.
func checkCSV(b *batch, columns, from, to int) {
	in := csv.NewReader(bytes.NewReader(b.data))
	in.FieldsPerRecord, in.ReuseRecord = columns, true
	out := csv.NewWriter(&b.out)
	blank := make([]string, columns)
	var cells []string
	for _, r := range b.rows {
		cells = append(cells[:0], blank...)
		if r.broken == "" {
			record, err := in.Read()
			switch {
			case errors.Is(err, csv.ErrFieldCount):
				r.broken = ruleColumns
			case err != nil:
				r.broken = ruleSyntax
			default:
				copy(cells, record)
			}
		}
		_ = out.Write(b.judge(r, cells[from], cells[to]).appendTo(cells)) // to memory
	}
	out.Flush()
}

// jsonSpace is RFC 8259's ws.
const jsonSpace = " \t\r\n"

// checkNDJSON checks the rows of an NDJSON file. A field that has the name of one that is added stays where
// it is; the added one is the last.
func checkNDJSON(b *batch) {
	start := 0
	for _, r := range b.rows {
		object := []byte("{}")
		var pair struct{ From, To string }
		if r.broken == "" {
			object = bytes.Trim(b.data[start:r.end], jsonSpace)
			start = r.end
			if err := json.Unmarshal(object, &pair); err != nil || object[0] != '{' {
				r.broken = ruleSyntax
				object = []byte("{}")
			}
		}
		more, _ := json.Marshal(b.judge(r, pair.From, pair.To)) // strings and numbers: never an error
		b.out.Write(object[:len(object)-1])
		if len(bytes.Trim(object, jsonSpace+"{}")) > 0 {
			b.out.WriteByte(',')
		}
		b.out.Write(more[1:])
		b.out.WriteByte('\n')
	}
}

// totals is what the summary says.
type totals struct {
	rows, refused int
	line          int // of the last row
	rules         map[callparams.Rule]int
}

func (t *totals) add(b *batch) {
	t.rows += len(b.rows)
	t.refused += b.refused
	if len(b.rows) > 0 {
		t.line = b.rows[len(b.rows)-1].line
	}
	for rule, n := range b.rules {
		t.rules[rule] += n
	}
}

// rowSummaries has for this program's rules what callparams.Rule.Summary has for the library's.
var rowSummaries = map[callparams.Rule]string{
	ruleSyntax:  "the row is malformed: stray quotes in CSV, no object with texts in from and to in NDJSON",
	ruleColumns: "the row has more or fewer columns than the header",
	ruleLength:  "the row is longer than 64 KiB",
}

// print writes the counts, and those of the problems by rule, the most frequent first.
func (t *totals) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%d rows: %d accepted, %d refused\n", t.rows, t.rows-t.refused, t.refused)
	byCount := func(a, b callparams.Rule) int {
		return cmp.Or(cmp.Compare(t.rules[b], t.rules[a]), cmp.Compare(a, b))
	}
	for _, rule := range slices.SortedFunc(maps.Keys(t.rules), byCount) {
		fmt.Fprintf(table, "%s\t%d\t%s\n", rule, t.rules[rule], cmp.Or(rowSummaries[rule], rule.Summary()))
	}
	return table.Flush()
}
