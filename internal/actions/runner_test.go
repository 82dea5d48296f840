package actions

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
)

// A command is what the runner obeys.
type command struct {
	Name       string
	Properties map[string]string
	Data       string
}

// runnerLines splits output as the runner reads it: at \n, \r and \r\n.
func runnerLines(output string) []string {
	output = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(output)
	return strings.Split(strings.TrimSuffix(output, "\n"), "\n")
}

// parseCommand reads a line as the runner does (ActionCommand.cs): "::name k=v,k=v::data" at its
// beginning, or "##[name k=v;k=v]data" anywhere. It is stricter than the runner: any name counts, and
// characters of no width before it do not matter.
func parseCommand(line string) (command, bool) {
	if trimmed := strings.TrimLeftFunc(line, func(r rune) bool { return unicode.In(r, unicode.White_Space, unicode.Cf) }); strings.HasPrefix(trimmed, "::") {
		if info, data, ok := strings.Cut(trimmed[2:], "::"); ok {
			return newCommand(info, ",", unescape(data)), true
		}
	}
	if _, rest, ok := strings.Cut(line, "##["); ok {
		if info, data, ok := strings.Cut(rest, "]"); ok {
			return newCommand(info, ";", unescape(data)), true
		}
	}
	return command{}, false
}

func newCommand(info, separator, data string) command {
	name, properties, _ := strings.Cut(info, " ")
	c := command{Name: name, Data: data}
	for property := range strings.SplitSeq(properties, separator) {
		if key, value, ok := strings.Cut(strings.TrimSpace(property), "="); ok {
			if c.Properties == nil {
				c.Properties = map[string]string{}
			}
			c.Properties[key] = unescape(value)
		}
	}
	return c
}

func unescape(v string) string {
	return strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%").Replace(v)
}

// commands are those that the runner finds in output.
func commands(output string) []command {
	var found []command
	for _, line := range runnerLines(output) {
		if c, ok := parseCommand(line); ok {
			found = append(found, c)
		}
	}
	return found
}

// readOutputs reads a file of outputs as the runner does (FileCommandManager.cs).
func readOutputs(text string) (map[string]string, error) {
	values := map[string]string{}
	lines := strings.SplitAfter(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSuffix(lines[i], "\n")
		if line == "" {
			continue
		}
		equals, here := strings.Index(line, "="), strings.Index(line, "<<")
		if equals >= 0 && (here < 0 || equals < here) {
			values[line[:equals]] = line[equals+1:]
			continue
		}
		name, delimiter, ok := strings.Cut(line, "<<")
		if !ok || name == "" || delimiter == "" {
			return values, fmt.Errorf("invalid format %q", line)
		}
		var value strings.Builder
		for i++; ; i++ {
			if i == len(lines) {
				return values, fmt.Errorf("invalid value: matching delimiter %q not found", delimiter)
			}
			if strings.TrimSuffix(lines[i], "\n") == delimiter {
				break
			}
			value.WriteString(lines[i])
		}
		values[name] = strings.TrimSuffix(value.String(), "\n")
	}
	return values, nil
}

func TestTheRunnerIsUnderstood(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"::set-output name=a::b": "set-output", "  ::debug::x": "debug", "text ##[error]x": "error", "##[set-output name=a;]b": "set-output",
		"::group": "", "a ::debug::x": "", "##[error": "", "# #[error]": "",
	} {
		if got, ok := parseCommand(line); got.Name != want || ok != (want != "") {
			t.Errorf("%q is taken for %+v, want %q", line, got, want)
		}
	}
	if _, err := readOutputs("a<<b\nc\n"); err == nil {
		t.Error("an output without its delimiter is read")
	}
}
