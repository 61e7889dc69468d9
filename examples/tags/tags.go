package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	ut "github.com/go-playground/universal-translator"
	"github.com/go-playground/validator/v10"

	"example.com/callparams"
)

// A CallRequest is the body of a request to a service that places calls.
type CallRequest struct {
	From string `json:"from" validate:"call_from"`
	To   string `json:"to" validate:"call_to"`
}

// register adds to v the tags call_from and call_to and the check of a CallRequest as a pair. It
// adds their texts to trans. The texts do not contain personal data, and neither does the Error
// method of a FieldError; its Value method returns the whole value.
//
// For an optional field, use the tag "omitempty,call_to". The tag call_from checks only the shape
// of a phone number. The other requirements on From depend on To, so the check of the pair covers
// them.
func register(v *validator.Validate, trans ut.Translator) error {
	return errors.Join(
		registerTag(v, trans, "call_from", func(s string) error {
			_, err := callparams.ParseFrom(s)
			return err
		}),
		registerTag(v, trans, "call_to", func(s string) error {
			_, err := callparams.ParseTo(s)
			return err
		}),
		registerPair(v, trans),
	)
}

func registerTag(
	v *validator.Validate, trans ut.Translator, tag string, check func(string) error,
) error {
	valid := func(fl validator.FieldLevel) bool { return check(fl.Field().String()) == nil }
	if err := v.RegisterValidation(tag, valid); err != nil {
		return err
	}
	// A FieldError keeps the value but not its problems, so text checks the value again.
	text := func(trans ut.Translator, fe validator.FieldError) string {
		var texts []string
		for _, p := range problems(check(reflect.ValueOf(fe.Value()).String())) {
			texts = append(texts, problemText(p))
		}
		return translate(trans, tag, fe.Field(), strings.Join(texts, "; "))
	}
	return v.RegisterTranslation(tag, trans, addText(tag), text)
}

// registerPair registers the check of the pair. Each problem is reported under the tag of its rule,
// such as from.phone, with its text as the parameter.
func registerPair(v *validator.Validate, trans ut.Translator) error {
	v.RegisterStructValidation(validatePair, CallRequest{})
	for rule := range callparams.Rules() {
		tag := string(rule)
		text := func(trans ut.Translator, fe validator.FieldError) string {
			return translate(trans, tag, fe.Field(), fe.Param())
		}
		if err := v.RegisterTranslation(tag, trans, addText(tag), text); err != nil {
			return err
		}
	}
	return nil
}

// validatePair reports the problems of a pair if both of its fields are valid on their own.
func validatePair(sl validator.StructLevel) {
	r := sl.Current().Interface().(CallRequest)
	_, fromErr := callparams.ParseFrom(r.From)
	_, toErr := callparams.ParseTo(r.To)
	if fromErr != nil || toErr != nil {
		return // the tags report these problems
	}
	for _, p := range problems(callparams.Request{From: r.From, To: r.To}.Validate()) {
		if p.Param == callparams.ParamFrom {
			sl.ReportError(r.From, "from", "From", string(p.Rule), problemText(p))
		} else {
			sl.ReportError(r.To, "to", "To", string(p.Rule), problemText(p))
		}
	}
}

// problems returns the problems of an error of callparams. It returns nil if err is nil.
func problems(err error) []*callparams.Problem {
	var refusal *callparams.Error
	if !errors.As(err, &refusal) {
		return nil
	}
	return refusal.Problems
}

func problemText(p *callparams.Problem) string { return fmt.Sprintf("%s (%d)", p.Message, p.Code) }

// addText returns a function that adds the text of a tag to a translator: the name of the field,
// then the problems.
func addText(tag string) validator.RegisterTranslationsFunc {
	return func(trans ut.Translator) error { return trans.Add(tag, "{0}: {1}", false) }
}

func translate(trans ut.Translator, tag, field, text string) string {
	translated, err := trans.T(tag, field, text)
	if err != nil {
		return text // trans does not have a text for this tag
	}
	return translated
}
