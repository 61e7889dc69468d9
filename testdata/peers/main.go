// Peers compares callparams with other libraries.
//
//	go -C testdata/peers run .
//
// It prints Markdown tables: how fast each library is on the same inputs, which vectors each
// library judges wrongly, and what each library builds from hostile components. README.md
// explains the tables.
//
// The exit code is 0 if the tables are complete, and 1 if the vectors cannot be read.
package main

import (
	"flag"
	"fmt"
	"log"
	"math"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
)

func main() {
	log.SetFlags(0)
	testing.Init()
	if err := flag.Set("test.benchtime", "10ms"); err != nil {
		log.Fatal(err)
	}
	c, err := countVectors()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(versions())
	fmt.Print("\nSIP URIs: answer, time and allocations\n\n", speed(sipCheckers, sipInputs))
	fmt.Print("\nPhone numbers: answer, time and allocations\n\n",
		speed(numberCheckers, numberInputs))
	fmt.Print("\nSIP URIs: the vectors of the grammar\n\n", splitTable(c.grammar))
	fmt.Print("\nSIP URIs: the vectors of To\n\n", verdictTable(c.sip))
	fmt.Print("\nPhone numbers: the vectors of To\n\n", verdictTable(c.numbers))
	fmt.Print("\nHostile components\n\n", built())
}

// versions returns the version of Go, the platform and the versions of the libraries.
func versions() string {
	text := runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	info, _ := debug.ReadBuildInfo()
	for _, dep := range info.Deps {
		switch dep.Path {
		case "github.com/emiago/sipgo", "github.com/nyaruka/phonenumbers/v2",
			"github.com/go-playground/validator/v10", "github.com/go-ozzo/ozzo-validation/v4":
			text += ", " + strings.TrimPrefix(dep.Path, "github.com/") + " " + dep.Version
		}
	}
	return text
}

// speed measures each checker on each input. It also shows the answer, because a refusal and an
// acceptance do different work.
func speed(checkers []checker, inputs []input) string {
	table := [][]string{{"input"}}
	for _, c := range checkers {
		table[0] = append(table[0], c.name)
	}
	for _, in := range inputs {
		row := []string{in.name}
		for _, c := range checkers {
			row = append(row, cell(c, in))
		}
		table = append(table, row)
	}
	return markdown(table)
}

// cell measures check on in with ten short runs and keeps the fastest. On a busy machine, other
// programs slow down the rest.
func cell(check checker, in input) string {
	fastest, allocs := math.Inf(1), int64(0)
	for range 10 {
		r := testing.Benchmark(func(b *testing.B) { measure(b, check, in) })
		fastest, allocs = min(fastest, float64(r.T)/float64(r.N)), r.AllocsPerOp()
	}
	answer := "yes"
	if !check.accepts(in.text) {
		answer = "no"
	}
	return fmt.Sprintf("%s %.0f ns, %d", answer, fastest, allocs)
}

// splitTable shows how many vectors each splitter refuses, accepts or splits wrongly.
func splitTable(tallies []tally) string {
	table := [][]string{{
		"library", "valid, but refused", "invalid, but accepted", "valid, but split wrongly",
	}}
	for _, t := range tallies {
		table = append(table, append(t.verdicts(), strconv.Itoa(t.split)))
	}
	return markdown(table)
}

// verdictTable shows how many vectors each checker refuses or accepts wrongly.
func verdictTable(tallies []tally) string {
	table := [][]string{{"library", "valid, but refused", "invalid, but accepted"}}
	for _, t := range tallies {
		table = append(table, t.verdicts())
	}
	return markdown(table)
}

// built shows what each builder returns for each hostile component.
func built() string {
	table := [][]string{{"component"}}
	for _, b := range builders {
		table[0] = append(table[0], b.name)
	}
	for _, h := range hostiles {
		row := []string{h.name}
		for _, b := range builders {
			text, err := b.build(h.uri)
			row = append(row, outcome(h.uri, text, err))
		}
		table = append(table, row)
	}
	return markdown(table)
}

// markdown returns a Markdown table. The first row of table is its header.
func markdown(table [][]string) string {
	var b strings.Builder
	for i, row := range table {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return b.String()
}
