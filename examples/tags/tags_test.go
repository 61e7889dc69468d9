package main

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-playground/validator/v10"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/callparams"
)

// fieldErrors validates a struct and returns its field errors and their English texts.
func fieldErrors(t *testing.T, request any) (list validator.ValidationErrors, texts []string) {
	t.Helper()
	v, trans, err := newValidator()
	require.NoError(t, err)
	if err := v.Struct(request); err != nil {
		require.ErrorAs(t, err, &list)
	}
	for _, fe := range list {
		texts = append(texts, fe.Translate(trans))
	}
	return list, texts
}

func TestCallRequest(t *testing.T) {
	for _, tt := range []struct {
		name, from, to string
		want           []string // the tag and the field of each error
	}{
		{"numbers", "+14155552671", "+442071838750", nil},
		{"a name to a client", "alice", "client:bob", nil},
		{"an impossible number to a SIP URI", "+123456789", "sip:bob@example.com", nil},
		{"both missing", "", "", []string{"call_from from", "call_to to"}},
		{
			"a SIP URI in From", "sip:+1234@mydomain.sip.twilio.com", "sip:destination@host",
			[]string{"call_from from"},
		},
		{
			"many problems in one field", "alice", "sip:bob@10.0.0.1;transport=sctp?Subject=x",
			[]string{"call_to to"},
		},
		{"a name to a number", "alice", "+14155552671", []string{"from.phone from"}},
		{
			"an impossible number to a number", "+123456789", "+14155552671",
			[]string{"phone.length from"},
		},
		{"a number to itself", "+14155552671", "+14155552671", []string{"same.party to"}},
		{
			"the pair is checked only if its fields are valid", "alice", "+1415555CALL",
			[]string{"call_to to"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list, texts := fieldErrors(t, CallRequest{tt.from, tt.to})
			refusal := problems(callparams.Request{From: tt.from, To: tt.to}.Validate())
			var got []string
			for i, fe := range list {
				got = append(got, fe.Tag()+" "+fe.Field())
				assert.Equal(t, fe.Namespace(), "CallRequest."+fe.Field())
				for _, p := range refusal {
					if strings.EqualFold(p.Param, fe.Field()) {
						assert.Contains(t, texts[i], fmt.Sprintf("%s (%d)", p.Message, p.Code))
					}
				}
			}
			assert.Equal(t, tt.want, got)
		})
	}
	_, texts := fieldErrors(t, CallRequest{
		"sip:+1234@mydomain.sip.twilio.com", "sip:destination@host",
	})
	assert.Equal(t, []string{"from: the caller address is not a user name (21212)"}, texts)
}

// TestTags checks that the tags work in any struct, on every type that validator's own string tags
// accept.
func TestTags(t *testing.T) {
	type number string
	bad := "alice@example.com"
	_, texts := fieldErrors(t, struct {
		Caller   *string  `json:"caller" validate:"call_from"`
		Named    number   `json:"named" validate:"call_from"`
		Callees  []string `json:"callees" validate:"dive,call_to"`
		Optional string   `json:"optional" validate:"omitempty,call_to"`
		Nil      *string  `json:"nil" validate:"omitempty,call_to"`
		Name     string   `json:"name" validate:"required"`
	}{
		Caller: &bad, Named: number(bad),
		Callees: []string{"client:bob", "sip:alice@example.com", ""},
	})
	assert.Equal(t, []string{
		"caller: the caller address is not a user name (21212)",
		"named: the caller address is not a user name (21212)",
		"callees[2]: " + problemText(problems(callparams.Request{From: "alice"}.Validate())[0]),
		"name is a required field",
	}, texts)
}

// TestEveryRule checks that every rule has a translation. Without one, validator uses its own text.
func TestEveryRule(t *testing.T) {
	_, trans, err := newValidator()
	require.NoError(t, err)
	for rule := range callparams.Rules() {
		assert.Equal(t, "from: text", translate(trans, string(rule), "from", "text"), rule)
	}
}

func TestNoPersonalData(t *testing.T) {
	v, trans, err := newValidator()
	require.NoError(t, err)
	for _, request := range []CallRequest{
		{"sip:jdoe@example.com", "sip:jdoe:secret@example.com"},
		{"jdoe", "+14155552671"},
		{"jdoe?", "+1415555267x"},
	} {
		var invalid validator.ValidationErrors
		require.ErrorAs(t, v.Struct(request), &invalid)
		texts := slices.Collect(maps.Values(invalid.Translate(trans)))
		for _, text := range append(texts, invalid.Error()) {
			for _, secret := range []string{"jdoe", "secret", "4155"} {
				assert.NotContains(t, text, secret)
			}
		}
	}
}

func TestProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "tags.exe")
	out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	for _, tt := range []struct {
		body, out string
		code      int
		args      []string
	}{
		{"", "usage: tags", 0, []string{"-h"}},
		{"", "there must be no arguments", 2, []string{"a"}},
		{`{"from":"alice","to":"client:bob"}`, "accepted\n", 0, nil},
		{`{"from":"alice","to":"+14155552671"}`, "(21212)\n", 1, nil},
		{`{"from":7}`, "tags: standard input must be a JSON object", 2, nil},
		{``, "tags: standard input must be a JSON object", 2, nil},
	} {
		cmd := exec.Command(program, tt.args...)
		cmd.Stdin = strings.NewReader(tt.body)
		out, _ := cmd.CombinedOutput() // the exit code is checked below
		assert.Contains(t, string(out), tt.out)
		assert.Equal(t, tt.code, cmd.ProcessState.ExitCode(), tt.body)
	}
}
