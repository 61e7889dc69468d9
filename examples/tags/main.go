// Tags validates the body of a request with go-playground/validator, as a service does that has its other
// fields validated that way.
//
//	echo '{"from":"sip:+1234@mydomain.sip.twilio.com","to":"14155552671"}' | tags
//
// It prints a message for each field that is wrong. The exit code is 0 if there is none, 1 if there is, 2 if
// standard input has no such body.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"reflect"

	"github.com/go-playground/locales/en"
	ut "github.com/go-playground/universal-translator"
	"github.com/go-playground/validator/v10"
	english "github.com/go-playground/validator/v10/translations/en"
)

func main() {
	v, trans, err := newValidator()
	if err != nil {
		log.Fatal(err)
	}
	var request CallRequest
	if err := json.NewDecoder(os.Stdin).Decode(&request); err != nil {
		fmt.Fprintln(os.Stderr, "tags: want an object with from and to:", err)
		os.Exit(2)
	}
	var invalid validator.ValidationErrors
	if !errors.As(v.Struct(request), &invalid) {
		fmt.Println("accepted")
		return
	}
	for _, fe := range invalid {
		fmt.Println(fe.Translate(trans))
	}
	os.Exit(1)
}

// newValidator returns a validator that names fields as JSON does, and its English translator.
func newValidator() (*validator.Validate, ut.Translator, error) {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(field reflect.StructField) string { return field.Tag.Get("json") })
	trans, _ := ut.New(en.New()).GetTranslator("en")
	return v, trans, errors.Join(english.RegisterDefaultTranslations(v, trans), register(v, trans))
}
