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

// A CallRequest is what a service that places calls is asked for.
type CallRequest struct {
	From string `json:"from" validate:"call_from"`
	To   string `json:"to" validate:"call_to"`
}

// register teaches v the tags call_from and call_to and the rule for the pair of a CallRequest, and trans
// their texts. The texts hold no personal data, nor does FieldError's Error; its Value does.
//
// A field may be left out where its tag is "omitempty,call_to". The tag call_from checks a number's shape
// alone: what else it must be depends on To, so the rule for the pair says it.
func register(v *validator.Validate, trans ut.Translator) error {
	return errors.Join(
		registerTag(v, trans, "call_from", func(s string) error { _, err := callparams.ParseFrom(s); return err }),
		registerTag(v, trans, "call_to", func(s string) error { _, err := callparams.ParseTo(s); return err }),
		registerPair(v, trans),
	)
}

func registerTag(v *validator.Validate, trans ut.Translator, tag string, check func(string) error) error {
	valid := func(fl validator.FieldLevel) bool { return check(fl.Field().String()) == nil }
	if err := v.RegisterValidation(tag, valid); err != nil {
		return err
	}
	// A FieldError has room for the value, not for what is wrong with it.
	text := func(trans ut.Translator, fe validator.FieldError) string {
		var texts []string
		for _, p := range problems(check(reflect.ValueOf(fe.Value()).String())) {
			texts = append(texts, problemText(p))
		}
		return translate(trans, tag, fe.Field(), strings.Join(texts, "; "))
	}
	return v.RegisterTranslation(tag, trans, addText(tag), text)
}

// registerPair has each problem of the pair reported under the tag of its rule, such as from.phone, with its
// text as the parameter.
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

// validatePair reports what is wrong with a pair whose fields have passed alone.
func validatePair(sl validator.StructLevel) {
	r := sl.Current().Interface().(CallRequest)
	_, fromErr := callparams.ParseFrom(r.From)
	_, toErr := callparams.ParseTo(r.To)
	if fromErr != nil || toErr != nil {
		return // the tags report it
	}
	for _, p := range problems(callparams.Request{From: r.From, To: r.To}.Validate()) {
		if p.Param == "From" {
			sl.ReportError(r.From, "from", "From", string(p.Rule), problemText(p))
		} else {
			sl.ReportError(r.To, "to", "To", string(p.Rule), problemText(p))
		}
	}
}

// problems returns those of an error of callparams, none if it is nil.
func problems(err error) []*callparams.Problem {
	var refusal *callparams.Error
	if !errors.As(err, &refusal) {
		return nil
	}
	return refusal.Problems
}

func problemText(p *callparams.Problem) string { return fmt.Sprintf("%s (%d)", p.Message, p.Code) }

// addText adds the text of a tag to a translator: the field's name and the problems.
func addText(tag string) validator.RegisterTranslationsFunc {
	return func(trans ut.Translator) error { return trans.Add(tag, "{0}: {1}", false) }
}

func translate(trans ut.Translator, tag, field, text string) string {
	translated, err := trans.T(tag, field, text)
	if err != nil {
		return text // not registered for this language
	}
	return translated
}
