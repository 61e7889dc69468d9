// Tags checks the From and To of a call with go-playground/validator. It is for services that
// already use that library to validate the other fields of a request.
//
//	echo '{"from":"alice","to":"+14155552671"}' | go -C examples/tags run .
//
// It reads one JSON object with the strings from and to from standard input, and prints one message
// for each wrong field. The exit code is 0 if all fields are valid, 1 if one is wrong, and 2 if the
// usage or standard input is wrong.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"reflect"

	"github.com/go-playground/locales/en"
	ut "github.com/go-playground/universal-translator"
	"github.com/go-playground/validator/v10"
	english "github.com/go-playground/validator/v10/translations/en"
)

const help = `usage: tags <file.json

Tags checks the From and To of a call with go-playground/validator. It is for services
that already use that library to validate the other fields of a request.

It reads one JSON object with the strings from and to from standard input, and prints
one message for each wrong field. The exit code is 0 if all fields are valid, 1 if one
is wrong, and 2 if the usage or standard input is wrong.
`

func main() {
	flag.Usage = func() { fmt.Fprint(flag.CommandLine.Output(), help) }
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "tags: there must be no arguments; run tags -h for help")
		os.Exit(2)
	}
	v, trans, err := newValidator()
	if err != nil {
		log.Fatal(err)
	}
	var request CallRequest
	if err := json.NewDecoder(os.Stdin).Decode(&request); err != nil {
		fmt.Fprintln(os.Stderr,
			"tags: standard input must be a JSON object with the strings from and to:", err)
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

// newValidator returns a validator that calls fields by their JSON names, and its English
// translator.
func newValidator() (*validator.Validate, ut.Translator, error) {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(field reflect.StructField) string { return field.Tag.Get("json") })
	trans, _ := ut.New(en.New()).GetTranslator("en")
	return v, trans, errors.Join(english.RegisterDefaultTranslations(v, trans), register(v, trans))
}
