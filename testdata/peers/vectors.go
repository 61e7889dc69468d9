package main

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"

	"example.com/callparams"
)

// A vector is a case of ../vectors, where README.md describes the format: what is of interest here.
type vector struct {
	Input  text
	Levels *struct{ Possible verdict }
	verdict
}

// A verdict has the parts of what is accepted or the problems of what is refused.
type verdict struct {
	Accept   *parts
	Problems []struct{ Rule string }
}

// parts are those of a SIP URI, or the kind of a To.
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

// A text is a string; {"hex": "ff"} in JSON if it is no valid UTF-8.
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

// load reads the vectors of one file, with the verdicts of the level Possible.
func load(name string) ([]vector, error) {
	data, err := os.ReadFile("../vectors/" + name + ".json")
	if err != nil {
		return nil, err
	}
	var file struct{ Cases []vector }
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	for i, v := range file.Cases {
		if v.Levels != nil {
			file.Cases[i].verdict = v.Levels.Possible
		}
	}
	return file.Cases, nil
}

// about returns those vectors that are accepted as one of kinds, or refused by a rule of one of them first.
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
