//go:build linphone

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/callparams"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLinphone checks that an independent SIP stack understands what SIPURI.To builds. linphonec
// (Debian package linphone-cli) dials the To, and sends all to an outbound proxy on the loopback
// interface: sipp (Debian package sip-tester).
//
// linphonec has two limits of its own: it sends only the last of several headers with the same
// name, and it cuts a URI after 1,022 bytes.
func TestLinphone(t *testing.T) {
	var all strings.Builder
	for c := byte(' '); c <= '~'; c++ {
		all.WriteByte(c)
	}
	for _, test := range []struct {
		name string
		uri  callparams.SIPURI
	}{
		{"article", callparams.SIPURI{User: "destination"}.
			WithHeader("X-Source-Domain", "mydomain.sip.twilio.com")},
		{"no header", callparams.SIPURI{User: "bob"}},
		{"every printable byte", callparams.SIPURI{User: "bob"}.
			WithHeader("X-Value", "<"+all.String()+">")},
		{"every name that is delivered", callparams.SIPURI{User: "bob", Headers: []callparams.Field{
			{Name: "X-B", Value: "1"},
			{Name: "x-a", Value: "2, 3"},
			{Name: "User-to-User", Value: "00FF;encoding=hex"},
			{Name: "Remote-Party-ID", Value: `"Alice" <sip:alice@example.com>;privacy=full`},
			{Name: "P-Preferred-Identity", Value: "<sip:alice@example.com>"},
			{Name: "P-Called-Party-ID", Value: "<sip:bob@example.com>"},
		}}},
		{"odd name", callparams.SIPURI{User: "bob"}.WithHeader("X-*!%_+`'~.", "1")},
		{"empty value", callparams.SIPURI{User: "bob"}.
			WithHeader("X-A", "").WithHeader("X-B", "2")},
		{"user, parameter", callparams.SIPURI{User: "a/b?c d;e"}.
			WithParam("transport", "udp").WithHeader("X-A", "1")},
		{"long", callparams.SIPURI{User: "bob"}.WithHeader("X-Long", strings.Repeat("a", 900))},
	} {
		t.Run(test.name, func(t *testing.T) {
			uri := test.uri
			uri.Host = "host.example"
			to, err := uri.To()
			require.NoError(t, err)
			invite := capture(t, to.String())

			headers := uri.Headers
			uri.Headers = nil
			assert.Equal(t, uri, parse(t, strings.Fields(invite[0])[1]))
			var got []callparams.Field
			for _, line := range invite[1:] {
				name, value, _ := strings.Cut(line, ":")
				switch name {
				case "Via", "From", "CSeq", "Call-ID", "Max-Forwards", "Supported", "Allow",
					"Content-Type", "Content-Length", "Contact", "User-Agent", "Route":
				case "To":
					address := callparams.SIPURI{User: uri.User, Host: uri.Host}
					assert.Equal(t, address, parse(t, strings.Trim(value, " <>")))
				default:
					value = strings.TrimPrefix(value, " ")
					got = append(got, callparams.Field{Name: name, Value: value})
				}
			}
			assert.Equal(t, headers, got)
		})
	}
}

func parse(t *testing.T, s string) callparams.SIPURI {
	t.Helper()
	uri, err := callparams.ParseSIPURI(s)
	require.NoError(t, err, s)
	return uri
}

// freePort returns a free UDP port of the loopback interface.
func freePort(t *testing.T) int {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	return conn.LocalAddr().(*net.UDPAddr).Port
}

// capture makes linphonec dial address. It returns the lines of the INVITE that sipp receives,
// without the body.
func capture(t *testing.T, address string) []string {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	dir := t.TempDir()
	config, err := os.ReadFile("testdata/linphonerc")
	require.NoError(t, err)
	port := strconv.Itoa(freePort(t))
	config = fmt.Appendf(config, "[proxy_0]\n"+
		"reg_identity=sip:alice@example.com\nreg_sendregister=0\n"+
		"reg_proxy=<sip:127.0.0.1:%[1]s>\nreg_route=<sip:127.0.0.1:%[1]s;lr>\n", port)
	// linphonec writes to its configuration file, so it gets a copy. It does not listen without its
	// data folder.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "linphonerc"), config, 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".local/share/linphone"), 0o700))
	messages := filepath.Join(dir, "messages")

	var output bytes.Buffer
	sipp := exec.CommandContext(ctx, "sipp", "-sf", "testdata/decline.xml", "-m", "1", "-nostdin",
		"-i", "127.0.0.1", "-p", port, "-trace_msg", "-message_file", messages)
	require.NoError(t, sipp.Start())
	linphonec := exec.CommandContext(ctx, "linphonec", "-c", filepath.Join(dir, "linphonerc"))
	linphonec.Env = []string{"HOME=" + dir}
	linphonec.Stdout = &output
	linphonec.Stderr = &output
	commands, err := linphonec.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, linphonec.Start())
	_, err = fmt.Fprintf(commands, "soundcard use files\ncall %s\n", address)
	declined := sipp.Wait()
	_, quit := fmt.Fprintln(commands, "quit")
	require.NoError(t, errors.Join(err, declined, quit, linphonec.Wait()), &output)

	// The first message in the file is the INVITE. A line about the message and an empty line come
	// before it; its body comes after it.
	log, err := os.ReadFile(messages)
	require.NoError(t, err)
	_, invite, found := strings.Cut(string(log), "\n\n")
	require.True(t, found, string(log))
	invite, _, _ = strings.Cut(invite, "\r\n\r\n")
	return strings.Split(invite, "\r\n")
}
