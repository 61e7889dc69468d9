package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"example.com/callparams"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCallparams checks that callparams judges every vector correctly and builds only what it was
// given.
func TestCallparams(t *testing.T) {
	c, err := countVectors()
	require.NoError(t, err)
	for _, tallies := range [][]tally{c.grammar, c.sip, c.numbers} {
		ours := tallies[0]
		assert.Positive(t, ours.valid, ours.name)
		assert.Positive(t, ours.invalid, ours.name)
		assert.Zero(t, ours.refused+ours.split+ours.accepted, ours.name)
	}
	for _, h := range hostiles {
		text, err := builders[0].build(h.uri)
		assert.Contains(t, []string{"kept", "refused"}, outcome(h.uri, text, err), h.name)
	}
}

// TestReadme checks the counts in the table of ../../README.md. Its columns are those of ParseTo,
// sipgo, net/url, phonenumbers, regexp, validator and ozzo.
func TestReadme(t *testing.T) {
	c, err := countVectors()
	require.NoError(t, err)
	sip := []tally{c.sip[0], c.sip[2], c.sip[3]} // without ParseSIPURI
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	assert.Contains(t, string(readme), fmt.Sprintf(
		"| wrong SIP destinations accepted, of %d |%s | | | |\n", sip[0].invalid, accepted(sip)))
	assert.Contains(t, string(readme), fmt.Sprintf("| wrong numbers accepted, of %d |%s | |%s\n",
		c.numbers[0].invalid, accepted(c.numbers[:1]), accepted(c.numbers[1:])))
}

func accepted(tallies []tally) (cells string) {
	for _, t := range tallies {
		cells += fmt.Sprintf(" %d |", t.accepted)
	}
	return cells
}

// TestInputs checks that each input is what its name says.
func TestInputs(t *testing.T) {
	for _, in := range sipInputs {
		_, err := callparams.ParseSIPURI(in.text)
		assert.Equal(t, strings.HasPrefix(in.name, "refused"), err != nil, in.name)
	}
	for _, in := range numberInputs {
		assert.Equal(t, strings.HasPrefix(in.name, "refused"), !parseTo(in.text), in.name)
	}
	uri, headers, _ := strings.Cut(longURI(), "?")
	assert.Len(t, uri, 254)
	assert.Len(t, headers, 1000)
}

func BenchmarkSIP(b *testing.B) { benchmark(b, sipCheckers, sipInputs) }

func BenchmarkNumber(b *testing.B) { benchmark(b, numberCheckers, numberInputs) }

func benchmark(b *testing.B, checkers []checker, inputs []input) {
	for _, in := range inputs {
		for _, c := range checkers {
			b.Run(in.name+"/"+c.name, func(b *testing.B) { measure(b, c, in) })
		}
	}
}
