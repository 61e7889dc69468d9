package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"example.com/callparams"
)

// These rules are this program's own. They say why a row cannot be read.
const (
	ruleSyntax  callparams.Rule = "row.syntax"
	ruleColumns callparams.Rule = "row.columns"
)

// rowSummaries describes them, as callparams.Rule.Summary does for the others.
var rowSummaries = map[callparams.Rule]string{
	ruleSyntax: "the row is malformed: CSV with a misplaced quote, or NDJSON that is not an " +
		"object with one from and one to, both strings",
	ruleColumns: "the row has more or fewer columns than the header",
}

// A verdict holds the columns or fields that are added to a row.
type verdict struct {
	Verdict    string            `json:"verdict"`
	Codes      []callparams.Code `json:"codes"`
	Rules      []callparams.Rule `json:"rules"`
	Fixes      fixes             `json:"fixes"`
	Line       int               `json:"line"`
	Unreadable string            `json:"unreadable,omitempty"`
}

// added names the columns or fields of a verdict.
var added = []string{"verdict", "codes", "rules", "fixes", "line", "unreadable"}

// fixes holds what to write in from or to instead. A field is empty if its value does not have a
// fix.
type fixes struct {
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// A result is a checked row, or the error that came instead.
type result struct {
	row
	verdict
	text     string // what is written
	warnings []callparams.Rule
	err      error
}

// check refuses a row that cannot be read without looking at its From and To.
func (c *campaign) check(r row, format rows) result {
	v := verdict{
		Verdict:    "accepted",
		Codes:      []callparams.Code{}, // not nil, which JSON writes as null
		Rules:      []callparams.Rule{},
		Line:       r.line,
		Unreadable: r.unreadable,
	}
	var warnings []callparams.Rule
	if r.fault != "" {
		v.Rules = append(v.Rules, r.fault)
	} else {
		call, err := c.parser.Parse(callparams.Request{From: r.from, To: r.to})
		v.add(err)
		for _, p := range call.Warnings() {
			warnings = append(warnings, p.Rule)
		}
	}
	if len(v.Rules) > 0 {
		v.Verdict = "refused"
	}
	text := r.before + format.encode(v) + r.after
	return result{row: r, verdict: v, text: text, warnings: warnings}
}

// add adds the problems of err, if there are any.
func (v *verdict) add(err error) {
	var refusal *callparams.Error
	if !errors.As(err, &refusal) {
		return
	}
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

// totals holds the numbers of the summary.
type totals struct {
	rows, refused   int
	line            int // where the last row starts
	rules, warnings tally
}

func (t *totals) add(r result) {
	t.rows++
	t.line = r.line
	if r.Verdict == "refused" {
		t.refused++
	}
	t.rules.add(r.Rules, t.line)
	t.warnings.add(r.warnings, t.line)
}

// A tally counts rules.
type tally map[callparams.Rule]*count

// A count says how often a rule applied, and which are the first five lines.
type count struct {
	n     int
	lines []string
}

func (t tally) add(rules []callparams.Rule, line int) {
	for _, rule := range rules {
		if t[rule] == nil {
			t[rule] = new(count)
		}
		c := t[rule]
		c.n++
		if text := strconv.Itoa(line); len(c.lines) < 5 && !slices.Contains(c.lines, text) {
			c.lines = append(c.lines, text)
		}
	}
}

// print writes the summary. The most frequent rule comes first.
func (t *totals) print(w io.Writer, showLines bool) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%d rows: %d accepted, %d refused\n", t.rows, t.rows-t.refused, t.refused)
	t.rules.print(table, showLines)
	if len(t.warnings) > 0 {
		fmt.Fprintln(table, "warnings of accepted rows:")
		t.warnings.print(table, showLines)
	}
	return table.Flush()
}

func (t tally) print(w io.Writer, showLines bool) {
	byCount := func(a, b callparams.Rule) int {
		return cmp.Or(cmp.Compare(t[b].n, t[a].n), cmp.Compare(a, b))
	}
	for _, rule := range slices.SortedFunc(maps.Keys(t), byCount) {
		c := t[rule]
		fmt.Fprintf(w, "%s\t%d\t%s\n", rule, c.n, cmp.Or(rowSummaries[rule], rule.Summary()))
		if showLines {
			fmt.Fprintf(w, "\t\tfirst lines: %s\n", strings.Join(c.lines, ", "))
		}
	}
}
