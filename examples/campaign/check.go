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

// A batch carries rows from the splitter to a worker and on to the output. The program reuses a
// fixed number of batches, so that its memory does not grow with the input.
type batch struct {
	rows []row
	data []byte // the text of the rows that are not broken, each with its line end
	size int    // the bytes of input that the rows took
	err  error  // why this batch is the last one, such as io.EOF; otherwise nil

	checked chan struct{} // receives a value once the fields below are complete
	out     bytes.Buffer
	refused int
	rules   map[callparams.Rule]int
}

func (b *batch) reset() {
	b.rows, b.data, b.size, b.refused = b.rows[:0], b.data[:0], 0, 0
	b.out.Reset()
	clear(b.rules)
}

// A checker checks the rows of a batch and writes them with their verdicts to its out.
type checker func(*batch)

// checkAll splits the input in one goroutine and checks the batches on all cores. It writes them to
// out itself, in the order of the input.
//
// When ctx is done, it returns after a whole batch. It does not wait for the other goroutines,
// because one of them may be blocked in a read.
func checkAll(
	ctx context.Context, rows *splitter, check checker, out io.Writer, bar *progressbar.ProgressBar,
) (totals, error) {
	// 4 batches per core: a worker checks one, and the others bridge a slow read or write.
	n := 4 * runtime.GOMAXPROCS(0)
	free, work, queue := make(chan *batch, n), make(chan *batch, n), make(chan *batch, n)
	for range n {
		free <- &batch{checked: make(chan struct{}, 1), rules: map[callparams.Rule]int{}}
	}
	go func() {
		for b := range free {
			b.reset()
			rows.fill(b)
			err := b.err // read here, because b belongs to other goroutines once it is sent
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

// A verdict holds the columns or fields that are added to a row.
type verdict struct {
	Verdict string            `json:"verdict"`
	Codes   []callparams.Code `json:"codes"`
	Rules   []callparams.Rule `json:"rules"`
	Fixes   fixes             `json:"fixes"`
	Line    int               `json:"line"`
}

// fixes holds what to write in from or to instead. A field is empty if its value does not have a
// fix.
type fixes struct {
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// judge checks the From and To of a row and counts the rules that they break. It refuses a broken
// row without looking at them.
func (b *batch) judge(r row, from, to string) verdict {
	v := verdict{
		Verdict: "accepted",
		Codes:   []callparams.Code{}, // not nil, which JSON writes as null
		Rules:   []callparams.Rule{},
		Line:    r.line,
	}
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
		if p.Param == callparams.ParamFrom {
			v.Fixes.From = fix
		} else {
			v.Fixes.To = fix
		}
	}
}

// added names the columns of a verdict.
var added = []string{"verdict", "codes", "rules", "fixes", "line"}

// appendTo appends the columns of v to cells. A space separates the codes, rules or fixes within a
// column, since they do not contain spaces themselves.
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
	return append(cells,
		v.Verdict,
		strings.Join(codes, " "),
		strings.Join(rules, " "),
		strings.Join(fixes, " "),
		strconv.Itoa(v.Line),
	)
}

// readHeader reads the first row of a CSV input. It returns a checker for the other rows and the
// header of the output.
func readHeader(rows *splitter) (checker, []byte, error) {
	var b batch
	for len(b.rows) == 0 {
		if err := rows.next(&b); errors.Is(err, io.EOF) {
			return nil, nil, errors.New("the header is missing; add one that names from and to")
		} else if err != nil {
			return nil, nil, err
		}
	}
	header, err := csv.NewReader(bytes.NewReader(b.data)).Read()
	if err != nil {
		// err does not say more: it is io.EOF if the splitter already found the row to be broken.
		return nil, nil, errors.New("the header is malformed or over 64 KiB; check its quotes")
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
	_ = out.Write(append(slices.Clone(header), added...)) // writes to memory, so it cannot fail
	out.Flush()
	check := func(b *batch) { checkCSV(b, len(header), from, to) }
	return check, b.out.Bytes(), nil
}

// column returns the index of the column called name. The header must have exactly one such column.
func column(header []string, name string) (int, error) {
	is := func(title string) bool { return strings.EqualFold(strings.TrimSpace(title), name) }
	i := slices.IndexFunc(header, is)
	if i < 0 {
		return 0, fmt.Errorf("the header does not have a column named %q; add one", name)
	}
	if slices.ContainsFunc(header[i+1:], is) {
		return 0, fmt.Errorf("the header has more than one column named %q; keep only one", name)
	}
	return i, nil
}

// checkCSV checks the rows of a CSV file. Each row must have the given number of columns. From and
// To are in the columns with the indexes from and to.
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
		// The writer writes to memory, so it cannot fail.
		_ = out.Write(b.judge(r, cells[from], cells[to]).appendTo(cells))
	}
	out.Flush()
}

// jsonSpace holds the white space that JSON allows: ws in RFC 8259, section 2.
const jsonSpace = " \t\r\n"

// checkNDJSON checks the rows of an NDJSON file. If a row already has a field with the name of an
// added one, both are written, and the added field comes last.
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
		// A verdict holds only strings and numbers, so Marshal cannot fail.
		more, _ := json.Marshal(b.judge(r, pair.From, pair.To))
		b.out.Write(object[:len(object)-1])
		if len(bytes.Trim(object, jsonSpace+"{}")) > 0 {
			b.out.WriteByte(',')
		}
		b.out.Write(more[1:])
		b.out.WriteByte('\n')
	}
}

// totals holds the numbers of the summary.
type totals struct {
	rows, refused int
	line          int // where the last row starts
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

// rowSummaries describes this program's own rules, as callparams.Rule.Summary does for the others.
var rowSummaries = map[callparams.Rule]string{
	ruleSyntax: "the row is malformed: CSV with a misplaced quote, " +
		"or NDJSON that is not an object with strings in from and to",
	ruleColumns: "the row has more or fewer columns than the header",
	ruleLength:  "the row is longer than 64 KiB",
}

// print writes how many rows were accepted and refused, and how often each rule was broken, the
// most frequent rule first.
func (t *totals) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%d rows: %d accepted, %d refused\n", t.rows, t.rows-t.refused, t.refused)
	byCount := func(a, b callparams.Rule) int {
		return cmp.Or(cmp.Compare(t.rules[b], t.rules[a]), cmp.Compare(a, b))
	}
	for _, rule := range slices.SortedFunc(maps.Keys(t.rules), byCount) {
		summary := cmp.Or(rowSummaries[rule], rule.Summary())
		fmt.Fprintf(table, "%s\t%d\t%s\n", rule, t.rules[rule], summary)
	}
	return table.Flush()
}
