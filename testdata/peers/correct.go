package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"example.com/callparams"
)

// A tally counts how a library judges the vectors.
type tally struct {
	name     string
	valid    int // valid vectors
	refused  int // valid vectors that the library refuses
	split    int // valid vectors that the library accepts but splits into wrong parts
	invalid  int // invalid vectors
	accepted int // invalid vectors that the library accepts
}

// verdicts returns the cells of a row: the name and the two counts of wrong verdicts.
func (t tally) verdicts() []string {
	return []string{
		t.name,
		fmt.Sprintf("%d of %d", t.refused, t.valid),
		fmt.Sprintf("%d of %d", t.accepted, t.invalid),
	}
}

// A counts holds the tallies of each table. In each, the first tally is that of callparams.
type counts struct{ grammar, sip, numbers []tally }

func countVectors() (counts, error) {
	grammar, err := load("sipuri")
	if err != nil {
		return counts{}, err
	}
	to, err := load("to")
	if err != nil {
		return counts{}, err
	}
	return counts{
		grammar: splits(grammar),
		sip:     verdicts(sipCheckers[1:], about(to, "sip", "header")),
		numbers: verdicts(numberCheckers[2:], about(to, "phone")),
	}, nil
}

// splits counts how each splitter judges and splits vectors of SIP URIs.
func splits(vectors []vector) []tally {
	var tallies []tally
	for _, s := range splitters {
		t := tally{name: s.name}
		for _, v := range vectors {
			got, err := s.split(string(v.Input))
			switch {
			case v.Accept == nil:
				t.invalid++
				if err == nil {
					t.accepted++
				}
			case err != nil:
				t.valid++
				t.refused++
			default:
				t.valid++
				if !sameParts(got, v.Accept.uri()) {
					t.split++
				}
			}
		}
		tallies = append(tallies, t)
	}
	return tallies
}

// verdicts counts how each checker judges vectors.
func verdicts(checkers []checker, vectors []vector) []tally {
	var tallies []tally
	for _, c := range checkers {
		t := tally{name: c.name}
		for _, v := range vectors {
			accepted := c.accepts(string(v.Input))
			if v.Accept != nil {
				t.valid++
				if !accepted {
					t.refused++
				}
			} else {
				t.invalid++
				if accepted {
					t.accepted++
				}
			}
		}
		tallies = append(tallies, t)
	}
	return tallies
}

// sameParts reports whether a and b are the same URI. It ignores the case of the host. It also
// ignores the order of fields with different names, because some libraries keep them in a map.
func sameParts(a, b callparams.SIPURI) bool {
	return a.Secure == b.Secure && a.User == b.User && a.Password == b.Password &&
		strings.EqualFold(a.Host, b.Host) && a.Port == b.Port &&
		sameFields(a.Params, b.Params) && sameFields(a.Headers, b.Headers)
}

func sameFields(a, b []callparams.Field) bool { return slices.Equal(byName(a), byName(b)) }

func byName(fields []callparams.Field) []callparams.Field {
	return slices.SortedStableFunc(slices.Values(fields), func(a, b callparams.Field) int {
		return cmp.Compare(a.Name, b.Name)
	})
}
