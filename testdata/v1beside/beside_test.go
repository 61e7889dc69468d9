// Package v1beside_test builds and runs a program that has versions 1 and 2 of phonenumbers. It
// is in a module of its own, so version 1 does not become a dependency of callparams.
package v1beside_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	// go test does not reuse a cached result after an import has changed.
	_ "example.com/callparams"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	policy   = "google.golang.org/protobuf/reflect/protoregistry.conflictPolicy"
	variable = "GOLANG_PROTOBUF_REGISTRATION_CONFLICT"
)

// message is what the README quotes. In some builds, protobuf makes the space before "file" a
// no-break space.
const message = `^panic: proto:.file "\w+\.proto" is already registered`

// answers has a number in each row, and what version 1 and callparams say about it.
var answers = [][2]string{
	{"+14155552671", "+1 415-555-2671, region US, valid true | accepted"},
	{"+442071838750", "+44 20 7183 8750, region GB, valid true | accepted"},
	{"+4402071838750", "+44 20 7183 8750, region GB, valid true | phone.trunk, fix +442071838750"},
	{"+390236618300", "+39 02 3661 8300, region IT, valid true | accepted"},
	{"+999123456", "invalid country code | phone.country"},
}

// TestBeside checks that the program panics when it starts, that each way out in the README stops
// that, and that both versions then give the right answers.
func TestBeside(t *testing.T) {
	plain, linked := build(t, ""), build(t, "-X "+policy+"=warn")
	for _, test := range []struct {
		name, program, env string
		panics             bool
		lines              int // how many lines of warnings the README counts
	}{
		{"no way out", plain, "", true, 0},
		{"linked with warn", linked, "", false, 65},
		{"warn in the environment", plain, "warn", false, 65},
		{"ignore in the environment", plain, "ignore", false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var want strings.Builder
			cmd := exec.Command(test.program)
			for _, answer := range answers {
				cmd.Args = append(cmd.Args, answer[0])
				want.WriteString(answer[1] + "\n")
			}
			var out, errs strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &errs
			cmd.Env = append(os.Environ(), variable+"="+test.env)
			err := cmd.Run()

			if test.panics {
				require.Error(t, err)
				assert.Empty(t, out.String())
				assert.Regexp(t, message, errs.String())
				return
			}
			require.NoError(t, err, errs.String())
			assert.Equal(t, want.String(), out.String())
			assert.Equal(t, test.lines, strings.Count(errs.String(), "\n"), errs.String())
		})
	}
}

// TestReadme checks that the README has the ways out, and that its command, word for word, finds
// both versions in this module.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	assert.Contains(t, string(readme), `-ldflags "-X `+policy+`=warn"`)
	assert.Contains(t, string(readme), variable+"=warn")

	_, rest, found := strings.Cut(string(readme), "\ngo list ")
	require.True(t, found)
	command, _, _ := strings.Cut(rest, "\n")
	out, err := exec.Command("sh", "-c", "go list "+command).CombinedOutput()
	require.NoError(t, err, string(out))
	assert.ElementsMatch(t, []string{
		"github.com/nyaruka/phonenumbers", "github.com/nyaruka/phonenumbers/v2",
	}, strings.Fields(string(out)))
}

// build builds the program with flags for the linker.
func build(t *testing.T, ldflags string) string {
	t.Helper()
	_, err := os.ReadDir("service") // so that go test sees when it changes
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "service.exe") // Windows needs .exe
	cmd := exec.Command("go", "build", "-ldflags", ldflags, "-o", name, "./service")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return name
}
