package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"example.com/callparams"
)

// These rules are this program's own. They say why a row cannot be read.
const (
	ruleSyntax  = "row.syntax"
	ruleColumns = "row.columns"
)

// rowSummaries describes them, as callparams.Rule.Summary does for the others.
var rowSummaries = map[string]string{
	ruleSyntax: "the row is malformed: CSV with a misplaced quote, or NDJSON that is not an " +
		"object with one from and one to, both strings",
	ruleColumns: "the row has more or fewer columns than the header",
}

// A verdict holds the columns or fields that are added to a row.
type verdict struct {
	Verdict    string            `json:"verdict"`
	Codes      []callparams.Code `json:"codes"`
	Rules      []string          `json:"rules"`
	Fixes      map[string]string `json:"fixes"` // what to write in from or to instead
	Line       int               `json:"line"`
	Unreadable string            `json:"unreadable,omitempty"`
}

// added names the columns or fields of a verdict.
var added = []string{"verdict", "codes", "rules", "fixes", "line", "unreadable"}

// columns returns the columns of a verdict. A space separates the codes, rules or fixes within a
// column, since they do not contain spaces themselves.
func (v verdict) columns() []string {
	var fixes []string
	for _, name := range slices.Sorted(maps.Keys(v.Fixes)) {
		fixes = append(fixes, name+"="+v.Fixes[name])
	}
	return []string{v.Verdict, strings.Trim(fmt.Sprintf("%d", v.Codes), "[]"),
		strings.Join(v.Rules, " "), strings.Join(fixes, " "), strconv.Itoa(v.Line), v.Unreadable}
}

// check checks From and To, unless the row cannot be read.
func (c *campaign) check(r *row) {
	// Not nil, which JSON writes as null.
	r.Verdict, r.Codes, r.Fixes = "refused", []callparams.Code{}, map[string]string{}
	if len(r.Rules) > 0 {
		return
	}
	r.Rules = []string{}
	call, err := c.parser.Parse(callparams.Request{From: r.from, To: r.to})
	if err == nil {
		r.Verdict = "accepted"
	}
	for _, p := range call.Warnings() {
		r.warnings = append(r.warnings, string(p.Rule))
	}
	refusal := new(callparams.Error)
	_ = errors.As(err, &refusal)
	for _, p := range refusal.Problems {
		r.Codes = append(r.Codes, p.Code)
		r.Rules = append(r.Rules, string(p.Rule))
		if fix, ok := p.Fix(); ok {
			r.Fixes[strings.ToLower(p.Param)] = fix
		}
	}
}

func (c *campaign) count(r row) {
	c.rows++
	c.line = r.Line
	if r.Verdict == "refused" {
		c.refused++
	}
	c.rules.add(r.Rules, r.Line)
	c.warnings.add(r.warnings, r.Line)
	_ = c.bar.Add(r.size)
}

// tallies count rows by rule.
type tallies map[string]tally

// A tally says how often a rule applied, and which are the first five lines.
type tally struct {
	n     int
	lines []string
}

func (all tallies) add(rules []string, line int) {
	for _, rule := range rules {
		t := all[rule]
		t.n++
		if text := strconv.Itoa(line); len(t.lines) < 5 && !slices.Contains(t.lines, text) {
			t.lines = append(t.lines, text)
		}
		all[rule] = t
	}
}

// print writes the summary. The most frequent rule comes first.
func (c *campaign) print(outName string) error {
	out := os.Stdout
	if outName == "-" {
		out = os.Stderr
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%d rows: %d accepted, %d refused\n", c.rows, c.rows-c.refused, c.refused)
	for i, t := range []tallies{c.rules, c.warnings} {
		if i == 1 && len(t) > 0 {
			fmt.Fprintln(table, "warnings of accepted rows:")
		}
		byCount := func(a, b string) int {
			return cmp.Or(cmp.Compare(t[b].n, t[a].n), cmp.Compare(a, b))
		}
		for _, rule := range slices.SortedFunc(maps.Keys(t), byCount) {
			summary := cmp.Or(rowSummaries[rule], callparams.Rule(rule).Summary())
			fmt.Fprintf(table, "%s\t%d\t%s\n", rule, t[rule].n, summary)
			fmt.Fprintf(table, "\t\tfirst lines: %s\n", strings.Join(t[rule].lines, ", "))
		}
	}
	return table.Flush()
}
