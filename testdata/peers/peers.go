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

// caller is the From of every Request here.
const caller = "+14155550100"

// A checker says yes or no to a text.
type checker struct {
	name    string
	accepts func(string) bool
}

// sipCheckers take a SIP URI. From the second on, they know nothing of From.
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

// numberCheckers take a phone number. From the third on, they know nothing of From, of which ParseFrom checks
// the shape alone.
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

var errNoSIP = errors.New("no SIP URI")

// A splitter takes a SIP URI apart. What a library leaves escaped by its documentation is decoded here, so
// that raw and decoded parts count the same.
type splitter struct {
	name  string
	split func(string) (callparams.SIPURI, error)
}

var splitters = []splitter{
	{"ParseSIPURI", callparams.ParseSIPURI},
	{"sipgo", splitSipgo},
	{"net/url", splitURL},
}

// splitSipgo takes what sipgo reads without looking into it, such as tel: and *, for refused.
func splitSipgo(s string) (callparams.SIPURI, error) {
	var u sip.Uri
	if err := sip.ParseUri(s, &u); err != nil {
		return callparams.SIPURI{}, err
	}
	if u.Scheme != "sip" && u.Scheme != "sips" {
		return callparams.SIPURI{}, errNoSIP
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

// unescape decodes s. It fails only for parts that nobody compares: those of an invalid vector.
func unescape(s string) string {
	text, _ := url.PathUnescape(s)
	return text
}

// splitURL gives net/url its best chance: it takes only what has // behind the scheme apart. It has no place
// for parameters, and loses the order of headers with different names.
func splitURL(s string) (callparams.SIPURI, error) {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !strings.EqualFold(scheme, "sip") && !strings.EqualFold(scheme, "sips") {
		return callparams.SIPURI{}, errNoSIP
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

// buildURL takes the // out again that net/url writes before a user, and puts parameters behind the host.
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
