package main

import (
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"example.com/callparams"
	"github.com/emiago/sipgo/sip"
	"github.com/go-ozzo/ozzo-validation/v4/is"
	"github.com/go-playground/validator/v10"
	"github.com/nyaruka/phonenumbers/v2"
)

// caller is the From of every Request in this program.
const caller = "+14155550100"

// A checker accepts or refuses a text.
type checker struct {
	name    string
	accepts func(string) bool
}

// sipCheckers check a SIP URI. All except the first ignore From, so countVectors skips the first.
var sipCheckers = []checker{
	{"Request.Validate", validate},
	{"ParseTo", parseTo},
	{"ParseSIPURI", func(s string) bool {
		_, err := callparams.ParseSIPURI(s)
		return err == nil
	}},
	{"sipgo", func(s string) bool {
		var u sip.Uri
		return sip.ParseUri(s, &u) == nil
	}},
	{"net/url", func(s string) bool {
		_, err := url.Parse(s)
		return err == nil
	}},
}

// numberCheckers check a phone number. countVectors skips the first two: ParseFrom checks only the
// shape of a number, and Request.Validate depends on From.
var numberCheckers = []checker{
	{"ParseFrom", func(s string) bool {
		_, err := callparams.ParseFrom(s)
		return err == nil
	}},
	{"Request.Validate", validate},
	{"ParseTo", parseTo},
	{"phonenumbers", func(s string) bool {
		n, err := phonenumbers.Parse(s, "")
		return err == nil && phonenumbers.IsPossibleNumber(n)
	}},
	{"regexp", regexp.MustCompile(`^\+[1-9]\d{1,14}$`).MatchString},
	{"validator e164", func(s string) bool { return validation.Var(s, "e164") == nil }},
	{"ozzo E164", func(s string) bool { return is.E164.Validate(s) == nil }},
}

var validation = validator.New()

func validate(s string) bool { return callparams.Request{From: caller, To: s}.Validate() == nil }

func parseTo(s string) bool {
	_, err := callparams.ParseTo(s)
	return err == nil
}

var errNotSIP = errors.New("not a SIP URI")

// A splitter splits a SIP URI into its parts. If a library documents that it leaves parts
// escaped, its splitter decodes them, so escaped and decoded parts count the same.
type splitter struct {
	name  string
	split func(string) (callparams.SIPURI, error)
}

var splitters = []splitter{
	{"ParseSIPURI", callparams.ParseSIPURI},
	{"sipgo", splitSipgo},
	{"net/url", splitURL},
}

// splitSipgo refuses the texts that sipgo accepts without reading their content, such as tel: URIs
// and *.
func splitSipgo(s string) (callparams.SIPURI, error) {
	var u sip.Uri
	if err := sip.ParseUri(s, &u); err != nil {
		return callparams.SIPURI{}, err
	}
	if u.Scheme != "sip" && u.Scheme != "sips" {
		return callparams.SIPURI{}, errNotSIP
	}
	return callparams.SIPURI{
		Secure:   u.Scheme == "sips",
		User:     unescape(u.User),
		Password: unescape(u.Password),
		Host:     strings.Trim(u.Host, "[]"),
		Port:     uint16(u.Port),
		Params:   sipgoFields(u.UriParams),
		Headers:  sipgoFields(u.Headers),
	}, nil
}

func sipgoFields(params sip.HeaderParams) []callparams.Field {
	var fields []callparams.Field
	for _, kv := range params {
		fields = append(fields, callparams.Field{Name: unescape(kv.K), Value: unescape(kv.V)})
	}
	return fields
}

// unescape decodes s. It can ignore the error, because only invalid vectors cause one and their
// parts are not compared.
func unescape(s string) string {
	text, _ := url.PathUnescape(s)
	return text
}

// splitURL inserts // after the scheme, because net/url splits only such URLs. net/url does not
// have parameters. It returns headers as a map, so the order of headers with different names is
// lost.
func splitURL(s string) (callparams.SIPURI, error) {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !strings.EqualFold(scheme, "sip") && !strings.EqualFold(scheme, "sips") {
		return callparams.SIPURI{}, errNotSIP
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil {
		return callparams.SIPURI{}, err
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return callparams.SIPURI{}, err
	}
	password, _ := u.User.Password()
	port, _ := strconv.Atoi(u.Port())
	parts := callparams.SIPURI{
		Secure:   u.Scheme == "sips",
		User:     u.User.Username(),
		Password: password,
		Host:     u.Hostname(),
		Port:     uint16(port),
	}
	for name, values := range query {
		for _, value := range values {
			parts.Headers = append(parts.Headers, callparams.Field{Name: name, Value: value})
		}
	}
	return parts, nil
}

// A builder writes a SIP URI from its parts.
type builder struct {
	name  string
	build func(callparams.SIPURI) (string, error)
}

var builders = []builder{
	{"callparams", func(u callparams.SIPURI) (string, error) {
		to, err := u.To()
		return to.String(), err
	}},
	{"sipgo", func(u callparams.SIPURI) (string, error) { return buildSipgo(u), nil }},
	{"net/url", func(u callparams.SIPURI) (string, error) { return buildURL(u), nil }},
}

func buildSipgo(u callparams.SIPURI) string {
	uri := sip.Uri{User: u.User, Host: u.Host}
	for _, f := range u.Params {
		uri.UriParams.Add(f.Name, f.Value)
	}
	for _, f := range u.Headers {
		uri.Headers.Add(f.Name, f.Value)
	}
	return uri.String()
}

// buildURL removes the // that net/url writes before a user. It puts parameters after the host,
// because net/url does not have a field for them.
func buildURL(u callparams.SIPURI) string {
	host := u.Host
	for _, f := range u.Params {
		host += ";" + f.Name + "=" + f.Value
	}
	query := url.Values{}
	for _, f := range u.Headers {
		query.Add(f.Name, f.Value)
	}
	uri := url.URL{Scheme: "sip", User: url.User(u.User), Host: host, RawQuery: query.Encode()}
	return strings.Replace(uri.String(), "//", "", 1)
}
