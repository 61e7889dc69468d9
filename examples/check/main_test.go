package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"example.com/callparams"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var tempDir string

func TestMain(m *testing.M) {
	var err error
	if tempDir, err = os.MkdirTemp("", "check"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(tempDir)
	m.Run()
}

// build builds the program once. It reads the folders of the sources so that go test does not reuse
// a cached result after a source has changed: go test tracks only the files and folders that the
// test itself reads, not those that go build reads.
var build = sync.OnceValues(func() (program string, err error) {
	for _, dir := range []string{".", "../.."} {
		if _, err := os.ReadDir(dir); err != nil {
			return "", err
		}
	}
	program = filepath.Join(tempDir, "check.exe") // Windows needs .exe
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, nil
})

// run runs the program and returns what it printed and its exit code.
func run(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	program, err := build()
	require.NoError(t, err)
	var out, errs strings.Builder
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestText(t *testing.T) {
	for _, test := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"phone to SIP", []string{
			"-from", "+14155552671",
			"-to", "sip:destination@host?X-Source-Domain=mydomain.sip.twilio.com",
		}, 0, `
accepted

From "+14155552671"
  kind    phone
  user    "+14155552671" (sent in the From header)

To "sip:destination@host?X-Source-Domain=mydomain.sip.twilio.com"
  kind    sip
  user    "destination"
  host    "host"
  header  "X-Source-Domain" = "mydomain.sip.twilio.com"
`},
		{"every part of a SIP URI", []string{
			"-from", "client:alice",
			"-to", "sips:al%69ce@[2001:db8::1]:5061;transport=tls;lr?X-A=50%25&X-B=",
		}, 0, `
accepted

From "client:alice"
  kind    client
  user    "alice" (sent in the From header)

To "sips:al%69ce@[2001:db8::1]:5061;transport=tls;lr?X-A=50%25&X-B="
  kind    sip
  secure  sips:
  user    "alice"
  host    "2001:db8::1"
  port    5061
  param   "transport" = "tls"
  param   "lr" = ""
  header  "X-A" = "50%"
  header  "X-B" = ""

Warning:
To "sips:al%69ce@[2001:db8::1]:5061;transport=tls;lr?X-A=50%25&X-B="
    ^^^^^
  Twilio sends sips: as sip: with transport=tls; add secure=true to encrypt the media too
  rule    sips.rewritten (documented)

Warning:
To "sips:al%69ce@[2001:db8::1]:5061;transport=tls;lr?X-A=50%25&X-B="
                 ^^^^^^^^^^^^^
  nothing says that Twilio dials an IPv6 address; use a DNS name or an IPv4 address
  rule    sip.ipv6 (assumed)

Warning:
From "client:alice"
      ^^^^^^^^^^^^
  nothing says whether Twilio takes a client as the caller of a SIP URI; try it first
  rule    from.client (assumed)
`},
		{"a client, with a terminal's control sequence", []string{
			"-from", "alice",
			"-to", "client:bob?k=%1b%5b2J",
		}, 0, `
accepted

From "alice"
  kind    user
  user    "alice" (sent in the From header)

To "client:bob?k=%1b%5b2J"
  kind    client
  name    "bob"
  param   "k" = "\x1b[2J"
`},
		{"phone to phone", []string{
			"-numbers", "shape",
			"-from", "+123456789",
			"-to", "+14155552671",
		}, 0, `
accepted (number check: shape)

From "+123456789"
  kind    phone
  user    "+123456789" (sent in the From header)

To "+14155552671"
  kind    phone
`},
		{"a warning", []string{
			"-from", "alice",
			"-to", "sip:bob@h;edge=paris",
		}, 0, `
accepted

From "alice"
  kind    user
  user    "alice" (sent in the From header)

To "sip:bob@h;edge=paris"
  kind    sip
  user    "bob"
  host    "h"
  param   "edge" = "paris"

Warning:
To "sip:bob@h;edge=paris"
                   ^^^^^
  this edge or region is on no list of Twilio; check its spelling
  rule    sip.edge.unknown (assumed)
`},
		{"a warning that refuses", []string{
			"-strict",
			"-from", "alice",
			"-to", "sip:bob@h;edge=paris",
		}, 1, `
refused for its warnings

To "sip:bob@h;edge=paris"
                   ^^^^^
  this edge or region is on no list of Twilio; check its spelling
  rule    sip.edge.unknown (assumed)
`},
		{"an emergency number", []string{
			"-emergency",
			"-from", "+14155550100",
			"-to", "911",
		}, 0, `
accepted (number check: possible, metadata ` + callparams.MetadataVersion() + `)

From "+14155550100"
  kind    phone
  user    "+14155550100" (sent in the From header)

To "911"
  kind    emergency
`},
		{"a SIP From", []string{
			"-from", "sip:+1234@mydomain.sip.twilio.com",
			"-to", "sip:destination@host",
		}, 1, `
refused

From "sip:+1234@mydomain.sip.twilio.com"
               ^^^^^^^^^^^^^^^^^^^^^^^^
  the caller address is not a user name
  code    21212
  rule    from.user (documented)
  page    https://www.twilio.com/docs/errors/21212

Instead of this From, write "+1234"

Use -move-domain to move the domain of From into a header of To.
`},
		{"moved", []string{
			"-move-domain",
			"-from", "sip:+1234@mydomain.sip.twilio.com",
			"-to", "sip:destination@host",
		}, 0, `
moved the domain of From into a header of To:
  From "+1234"
  To   "sip:destination@host?X-Source-Domain=mydomain.sip.twilio.com"

accepted

From "+1234"
  kind    phone
  user    "+1234" (sent in the From header)

To "sip:destination@host?X-Source-Domain=mydomain.sip.twilio.com"
  kind    sip
  user    "destination"
  host    "host"
  header  "X-Source-Domain" = "mydomain.sip.twilio.com"
`},
		{"cannot be moved", []string{
			"-move-domain",
			"-from", "sip:bob@h",
			"-to", "+14155552671",
		}, 1, `
refused

To "+14155552671"
    ^^^^^^^^^^^^
  only a SIP URI carries a domain; use one here, or a From without a domain
  code    21211
  rule    source.domain (documented)
  page    https://www.twilio.com/docs/errors/21211
`},
		{"nothing to move", []string{"-move-domain", "-from", "alice", "-to", "client:bob"}, 0, `
accepted

From "alice"
  kind    user
  user    "alice" (sent in the From header)

To "client:bob"
  kind    client
  name    "bob"
`},
		{"two problems, and one is a missing character", []string{
			"-from", "a＠b",
			"-to", "14155552671",
		}, 1, `
refused for 2 problems; the first is Twilio's error 21211

To "14155552671"
    ^
  the phone number does not start with +; write +, and the calling code if it is missing
  code    21211
  rule    phone.plus (documented)
  page    https://www.twilio.com/docs/errors/21211

From "a\uff20b"
       ^^^^^^
  the user name contains a character that is not ASCII; use only A-Z a-z 0-9 + - _ .
  code    21212
  rule    user.char (documented)
  page    https://www.twilio.com/docs/errors/21212
`},
		{"one fix for two problems", []string{
			"-from", "alice",
			"-to", "sip:bob@example.com?X-A=1;edge=dublin&amp;X-B=2",
		}, 1, `
refused for 2 problems; the first is Twilio's error 32110

To "sip:bob@example.com?X-A=1;edge=dublin&amp;X-B=2"
                             ^
  the URI parameter edge stands among the headers; write it before the ?
  code    32110
  rule    header.syntax (documented)
  page    https://www.twilio.com/docs/errors/32110

To "sip:bob@example.com?X-A=1;edge=dublin&amp;X-B=2"
                                         ^^^^^
  &amp; belongs in XML, such as TwiML; write & between headers, and %26 in a value
  code    32110
  rule    header.twiml (observed)
  page    https://www.twilio.com/docs/errors/32110

Instead of this To, write "sip:bob@example.com;edge=dublin?X-A=1&X-B=2"
`},
		{"a destination", []string{
			"-destinations", "+44", "-numbers", "assigned",
			"-from", "+14155550100",
			"-to", "+14155552671",
		}, 1, `
refused

To "+14155552671"
    ^^^^^^^^^^^^
  the program's list of destinations does not allow this number; call another one
  code    21215
  rule    phone.destination (configured)
  page    https://www.twilio.com/docs/errors/21215
`},
		{"the end of a long value", []string{
			"-from", "alice",
			"-to", "sip:" + strings.Repeat("0123456789", 25) + "@host.example",
		}, 1, `
refused

To ..."678901234567890123456789012345678901234567890123456789@host.example"
                                                             ^^^^^^^^^^^^^
  the URI without its headers is longer than 254 bytes; shorten it
  code    21211
  rule    sip.length (documented)
  page    https://www.twilio.com/docs/errors/21211
`},
		{"no To", []string{"-from", "alice"}, 1, `
refused

To ""
    ^
  the value is empty; use a phone number, a client identity or a SIP URI
  code    21201
  rule    to.required (documented)
  page    https://www.twilio.com/docs/errors/21201
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr, status := run(t, test.args...)
			assert.Equal(t, strings.TrimPrefix(test.want, "\n"), stdout)
			assert.Empty(t, stderr)
			assert.Equal(t, test.status, status)
		})
	}
}

// TestCarets checks that the carets are under the bytes of the problem, whatever a value contains.
func TestCarets(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, r := range []callparams.Request{
		{From: "alice", To: "sip:bob@10.0.0.1;transport=sctp?X-A=a%0d%0ab&Subject=x"},
		{From: "Zoë Größe\t", To: "client:\"bob\" \\smith"},
		{From: "\xff\xfe", To: "client:\x1b[31m"},
		{From: "日本語", To: "+１４１５"},
		{From: "a" + strings.Repeat("\U000e0001", 40), To: "client:" + long},
		{From: long[:200] + " " + long, To: "client:bob?" + long},
		{From: long + "@" + long, To: "sip:a@h?X-A=" + long + "\"" + long},
		{
			From: strings.Repeat("é", 20) + " ",
			To:   "sip:a@h?X-A=1&Subject=" + strings.Repeat("x", 20),
		},
		{
			From: "client:" + strings.Repeat("é", 200),
			To:   "sip:a@h?" + strings.Repeat("X-A=1&", 300),
		},
	} {
		t.Run(r.From+" "+r.To, func(t *testing.T) {
			var refused *callparams.Error
			require.ErrorAs(t, r.Validate(), &refused)
			stdout, _, status := run(t, "-from", r.From, "-to", r.To)
			require.Equal(t, 1, status)

			lines := strings.Split(stdout, "\n")
			found := 0
			for i, line := range lines {
				if line == "" || strings.Trim(line, " ^") != "" {
					continue
				}
				checkCarets(t, refused.Problems[found], lines[i-1], line)
				found++
			}
			assert.Len(t, refused.Problems, found)
		})
	}
}

func checkCarets(t *testing.T, p *callparams.Problem, text, carets string) {
	t.Helper()
	assert.LessOrEqual(t, len(text), 80)
	value := p.Value()
	start := strings.Index(carets, "^")
	quote := strings.Index(text, `"`)

	before, err := strconv.Unquote(text[quote:start] + `"`)
	require.NoError(t, err)
	assert.True(t, strings.HasSuffix(value[:p.Offset], before))
	if len(value) <= 20 {
		assert.Equal(t, value[:p.Offset], before)
	}
	if p.Len == 0 {
		assert.Equal(t, 1, len(carets)-start)
		return
	}
	under, err := strconv.Unquote(`"` + text[start:len(carets)] + `"`)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(value[p.Offset:p.Offset+p.Len], under))
	if p.Len <= 8 {
		assert.Len(t, under, p.Len)
	}
}

func TestNumbers(t *testing.T) {
	for _, test := range []struct {
		level, to string
		status    int
	}{
		{"shape", "+999123456789", 0},
		{"possible", "+999123456789", 1},
		{"possible", "+15555550100", 0},
		{"assigned", "+15555550100", 1},
		{"assigned", "+442071838750", 0},
	} {
		t.Run(test.level+" "+test.to, func(t *testing.T) {
			_, _, status := run(t, "-numbers", test.level, "-from", "+14155552671", "-to", test.to)
			assert.Equal(t, test.status, status)
		})
	}
}

func TestJSONAccepted(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"SIP", []string{
			"-from", "alice",
			"-to", "sip:bob@example.com:5061;transport=tls?X-A=50%25",
		}, `{
			"accepted": true,
			"from": {"value": "alice", "kind": "user", "user": "alice"},
			"to": {
				"value": "sip:bob@example.com:5061;transport=tls?X-A=50%25", "kind": "sip",
				"uri": {
					"secure": false, "user": "bob", "host": "example.com", "port": 5061,
					"params": [{"name": "transport", "value": "tls"}],
					"headers": [{"name": "X-A", "value": "50%"}]
				}
			}
		}`},
		{"client", []string{"-from", "alice", "-to", "client:bob?k=%1b"}, `{
			"accepted": true,
			"from": {"value": "alice", "kind": "user", "user": "alice"},
			"to": {
				"value": "client:bob?k=%1b", "kind": "client",
				"name": "bob", "params": [{"name": "k", "value": "\u001b"}]
			}
		}`},
		{"moved", []string{"-move-domain", "-from", "sip:8001@d.example", "-to", "sip:h"}, `{
			"accepted": true,
			"moved": {"from": "8001", "to": "sip:h?X-Source-Domain=d.example"},
			"from": {"value": "8001", "kind": "user", "user": "8001"},
			"to": {
				"value": "sip:h?X-Source-Domain=d.example", "kind": "sip",
				"uri": {
					"secure": false, "user": "", "host": "h", "port": 0, "params": [],
					"headers": [{"name": "X-Source-Domain", "value": "d.example"}]
				}
			}
		}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr, status := run(t, append(test.args, "-json")...)
			assert.JSONEq(t, test.want, stdout)
			assert.Empty(t, stderr)
			assert.Equal(t, 0, status)
		})
	}
}

// TestJSONRefused checks that a refusal is the JSON form of the error, and that each problem also
// has its value and its fix.
func TestJSONRefused(t *testing.T) {
	r := callparams.Request{From: "", To: "sip:bob@h?X-A=1&amp;X-B=2"}
	var refused *callparams.Error
	require.ErrorAs(t, r.Validate(), &refused)
	require.Len(t, refused.Problems, 2)
	body, err := json.Marshal(refused)
	require.NoError(t, err)
	var want map[string]any
	require.NoError(t, json.Unmarshal(body, &want))
	want["accepted"] = false
	problems := want["details"].(map[string]any)["problems"].([]any)
	problems[0].(map[string]any)["value"] = r.To
	problems[0].(map[string]any)["fix"] = "sip:bob@h?X-A=1&X-B=2"
	problems[1].(map[string]any)["value"] = r.From

	stdout, stderr, status := run(t, "-json", "-from", r.From, "-to", r.To)
	var got map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	assert.Equal(t, want, got)
	assert.Contains(t, stdout, "X-A=1&X-B=2", "& must stay readable, not become \\u0026")
	assert.Empty(t, stderr)
	assert.Equal(t, 1, status)
}

func TestJSONWarning(t *testing.T) {
	stdout, stderr, status := run(t, "-json", "-from", "alice", "-to", "sip:bob@h;tnx=1")
	var got struct {
		Accepted bool
		Warnings []struct {
			Rule, Value    string
			Offset, Length int
		}
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	assert.True(t, got.Accepted)
	require.Len(t, got.Warnings, 1)
	assert.Equal(t, "sip.tnx", got.Warnings[0].Rule)
	assert.Equal(t, "sip:bob@h;tnx=1", got.Warnings[0].Value)
	assert.Equal(t, []int{10, 5}, []int{got.Warnings[0].Offset, got.Warnings[0].Length})
	assert.Empty(t, stderr)
	assert.Equal(t, 0, status)

	stdout, _, status = run(t, "-json", "-strict", "-from", "alice", "-to", "sip:bob@h;tnx=1")
	assert.Contains(t, stdout, `"accepted": false`)
	assert.Contains(t, stdout, `"rule": "sip.tnx"`)
	assert.Equal(t, 1, status)
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"no flags", nil, 2, "-from and -to are missing"},
		{"neither From nor To", []string{"-json"}, 2, "-from and -to are missing"},
		{"an unknown level", []string{
			"-numbers", "valid",
			"-to", "sip:h",
		}, 2, "the level must be shape, possible or assigned"},
		{"an unknown flag", []string{"-domain", "-to", "sip:h"}, 2, "-domain"},
		{"a value without quotes", []string{
			"-from", "alice",
			"-to", "client:bob", "smith",
		}, 2, "put quotes around"},
		{"help", []string{"-h"}, 0, "prints both values in the clear"},
	} {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr, status := run(t, test.args...)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, test.want)
			assert.Equal(t, test.status, status)
		})
	}
}
