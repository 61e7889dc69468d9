// Verdict compares vectors of another commit with what this one says of their inputs. It prints
// every case whose verdict has changed: accepted or refused, and by which rules and codes.
// ../verdicts runs it.
package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"example.com/callparams"
)

// A vector is a case of testdata/vectors, whose README.md describes the format.
type vector struct {
	ID     string
	Input  json.RawMessage
	Parser struct {
		Emergency    bool
		Destinations string
		Tolerate     []callparams.Rule
	}
	verdict
	Levels map[string]verdict
	Moved  *verdict
}

type verdict struct {
	Accept   json.RawMessage
	Problems []*callparams.Problem
}

// A text is a string, or {"hex": "ff"} if it is not valid UTF-8.
type text string

func (s *text) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return json.Unmarshal(data, (*string)(s))
	}
	var encoded struct{ Hex string }
	if err := json.Unmarshal(data, &encoded); err != nil {
		return err
	}
	raw, err := hex.DecodeString(encoded.Hex)
	*s = text(raw)
	return err
}

func main() {
	cases, changed := 0, 0
	for _, file := range []string{"from", "to", "request", "sipuri"} {
		data, err := os.ReadFile(filepath.Join(os.Args[1], file+".json"))
		if err != nil {
			log.Fatal(err)
		}
		var vectors struct{ Cases []vector }
		if err := json.Unmarshal(data, &vectors); err != nil {
			log.Fatal(file, ": ", err)
		}
		cases += len(vectors.Cases)
		for _, v := range vectors.Cases {
			for _, change := range changes(file, v) {
				fmt.Println(change)
				changed++
			}
		}
	}
	fmt.Printf("%d cases, %d verdicts changed\n", cases, changed)
}

// changes lists how the verdicts of v have changed.
func changes(file string, v vector) (list []string) {
	compare := func(where string, was verdict, err error) {
		if before, now := describe(was.Problems), describe(problems(err)); before != now {
			list = append(list, v.ID+where+": was "+before+", is "+now)
		}
	}
	for _, level := range []callparams.NumberCheck{
		callparams.Shape, callparams.Possible, callparams.Assigned,
	} {
		was, where := v.verdict, ""
		if v.Levels != nil {
			was, where = v.Levels[level.String()], " at "+level.String()
		}
		compare(where, was, parse(file, v, level))
		if v.Levels == nil {
			break // the verdict is the same at every level
		}
	}
	if v.Moved != nil {
		_, err := request(v).MoveSourceDomain()
		compare(" moved", *v.Moved, err)
	}
	return list
}

// parse returns what a case of the file is refused for, or nil.
func parse(file string, v vector, level callparams.NumberCheck) error {
	p := callparams.Parser{
		Numbers: level, Emergency: v.Parser.Emergency, Tolerate: v.Parser.Tolerate,
	}
	if v.Parser.Destinations != "" {
		if err := p.Destinations.UnmarshalText([]byte(v.Parser.Destinations)); err != nil {
			log.Fatal(v.ID, ": ", err)
		}
	}
	var err error
	switch file {
	case "from":
		_, err = p.ParseFrom(input(v))
	case "to":
		_, err = p.ParseTo(input(v))
	case "request":
		_, err = p.Parse(request(v))
	case "sipuri":
		_, err = callparams.ParseSIPURI(input(v))
	}
	return err
}

func input(v vector) string {
	var s text
	if err := json.Unmarshal(v.Input, &s); err != nil {
		log.Fatal(v.ID, ": ", err)
	}
	return string(s)
}

func request(v vector) callparams.Request {
	var pair struct{ From, To text }
	if err := json.Unmarshal(v.Input, &pair); err != nil {
		log.Fatal(v.ID, ": ", err)
	}
	return callparams.Request{From: string(pair.From), To: string(pair.To)}
}

func problems(err error) []*callparams.Problem {
	var refused *callparams.Error
	if !errors.As(err, &refused) {
		return nil
	}
	return refused.Problems
}

// describe names the rules and codes of problems, such as "From from.user 21212".
func describe(list []*callparams.Problem) string {
	if len(list) == 0 {
		return "accepted"
	}
	var texts []string
	for _, p := range list {
		texts = append(texts, strings.TrimSpace(fmt.Sprint(p.Param, " ", p.Rule, " ", int(p.Code))))
	}
	return "refused by " + strings.Join(texts, ", ")
}
