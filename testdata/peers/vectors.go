package main

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"

	"example.com/callparams"
)

// A vector holds the fields of a case of ../vectors that this program uses. ../vectors/README.md
// describes the format.
type vector struct {
	Input  text
	Parser any // nil if the parser has no settings
	Levels *struct{ Possible verdict }
	verdict
}

// A verdict has the parts of an accepted input or the problems of a refused one.
type verdict struct {
	Accept   *parts
	Problems []struct{ Rule string }
}

// parts holds the kind of a To, or the parts of a SIP URI.
type parts struct {
	Kind     string
	Secure   bool
	User     text
	Password text
	Host     string
	Port     uint16
	Params   []field
	Headers  []field
}

type field struct{ Name, Value text }

// A text is a string. In JSON, it is {"hex": "ff"} if it is not valid UTF-8.
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

// load reads the vectors of one file that are for a parser without settings, with their verdicts at
// the level Possible.
func load(name string) ([]vector, error) {
	data, err := os.ReadFile("../vectors/" + name + ".json")
	if err != nil {
		return nil, err
	}
	var file struct{ Cases []vector }
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	file.Cases = slices.DeleteFunc(file.Cases, func(v vector) bool { return v.Parser != nil })
	for i, v := range file.Cases {
		if v.Levels != nil {
			file.Cases[i].verdict = v.Levels.Possible
		}
	}
	return file.Cases, nil
}

// about returns the vectors of the given kinds. The kind of a refused vector is the first word of
// its first rule.
func about(vectors []vector, kinds ...string) []vector {
	var chosen []vector
	for _, v := range vectors {
		var kind string
		if v.Accept != nil {
			kind = v.Accept.Kind
		} else {
			kind, _, _ = strings.Cut(v.Problems[0].Rule, ".")
		}
		if slices.Contains(kinds, kind) {
			chosen = append(chosen, v)
		}
	}
	return chosen
}

func (p *parts) uri() callparams.SIPURI {
	return callparams.SIPURI{
		Secure:   p.Secure,
		User:     string(p.User),
		Password: string(p.Password),
		Host:     p.Host,
		Port:     p.Port,
		Params:   fields(p.Params),
		Headers:  fields(p.Headers),
	}
}

func fields(list []field) []callparams.Field {
	var out []callparams.Field
	for _, f := range list {
		out = append(out, callparams.Field{Name: string(f.Name), Value: string(f.Value)})
	}
	return out
}
