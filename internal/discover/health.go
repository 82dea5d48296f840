package discover

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// inactive says which services belong to profiles alone that are not active.
func (p *project) inactive() (left []string) {
	for _, name := range slices.Sorted(maps.Keys(p.model.DisabledServices)) {
		if c := p.model.DisabledServices[name]; c.Build != nil {
			left = append(left, fmt.Sprintf("%s: the service %s belongs to the profile %s alone, which is not active, so it is not published: set COMPOSE_PROFILES, by `env:` of the step or in %s, if it should be.",
				p.name(), name, strings.Join(c.Profiles, ", "), dotEnv))
		}
	}
	return left
}

// leftOf says what a service has in its definition that its image is tried out without.
func (p *project) leftOf(name string, c types.ServiceConfig, asks bool) (left []string) {
	if !asks && c.HealthCheck != nil && !c.HealthCheck.Disable {
		left = append(left, "its healthcheck is not in the image: write it into the Dockerfile as HEALTHCHECK, or under `smoke`.")
	}
	if len(c.Command)+len(c.Entrypoint) > 0 {
		left = append(left, "its command is not in the image, which is tried out with what its Dockerfile says: write it there as CMD, or under `run_once` if it ends by itself.")
	}
	if names := p.elsewhere(name, c); len(names) > 0 {
		left = append(left, fmt.Sprintf("%s: what the file itself does not tell of the environment is not there when the image is tried out: write under `env` what it needs to start.", strings.Join(names, ", ")))
	}
	switch {
	case c.ReadOnly && mounts(c):
		left = append(left, "its root file system can be written to when it is tried out, as its volumes are not there: list the service with `read_only`, and under `tmpfs` the folders that it writes to, if it is to be tried out so.")
	case c.ReadOnly:
		c.Volumes = nil // which are all taken over
	}
	keys := slices.DeleteFunc(withheld(c), func(key string) bool { return slices.Contains(taken, key) })
	if len(c.Volumes) > 0 && !slices.Contains(keys, "volumes") {
		keys = append(keys, "volumes")
	}
	if len(keys) > 0 {
		left = append(left, fmt.Sprintf("it is tried out without %s, which are how it runs where the Compose file brings it up.", strings.Join(keys, ", ")))
	}
	return left
}

// taken are keys that a service has words for.
var taken = []string{"deploy", "mem_limit", "mem_reservation", "cpus", "pids_limit", "read_only"}

// elsewhere names what of the environment comes from other files, or from where the Compose file is read.
func (p *project) elsewhere(name string, c types.ServiceConfig) (names []string) {
	for _, file := range c.EnvFiles {
		names = append(names, p.within(file.Path))
	}
	here := p.literals(name, c.Environment)
	for _, variable := range slices.Sorted(maps.Keys(c.Environment)) {
		if _, told := here[variable]; !told {
			names = append(names, variable)
		}
	}
	return names
}

// requests are the health checks that a mere GET of the container itself stands for: they fail where the answer is no success, and
// nothing in them is only known when they run. All else that a command may say is left to the image.
var requests = []*regexp.Regexp{
	regexp.MustCompile(`^curl(?: -[fsSLq]+| --fail| --silent| --show-error| --location| -[fsSLq]*o /dev/null| --output /dev/null| (?:-m|--max-time) [0-9]+)* ` + address + `$`),
	regexp.MustCompile(`^wget(?: -[qS]+| -nv| --quiet| --no-verbose| --spider| -q?O(?: ?-| ?/dev/null)| -T ?[0-9]+| --timeout[= ][0-9]+| -t ?[0-9]+| --tries[= ][0-9]+)* ` + address + `$`),
}

const address = `http://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::([0-9]+))?(/[\w./~%:@+,=-]*)?`

var (
	// fails finds the option without which curl is content with any answer.
	fails = regexp.MustCompile(`^wget| (?:-[a-zA-Z]*f|--fail)`)
	// orFail is what a shell is told lest it give another code, of which Docker knows none.
	orFail = regexp.MustCompile(`\s*\|\|\s*exit 1$`)
)

// asked is the port and the path that a health check asks the container itself for.
func asked(check *types.HealthCheckConfig) (port int, path string, ok bool) {
	command := commandOf(check)
	if !fails.MatchString(command) {
		return 0, "", false
	}
	for _, request := range requests {
		if found := request.FindStringSubmatch(command); found != nil {
			port, _ = strconv.Atoi(cmp.Or(found[1], "80"))
			return port, cmp.Or(found[2], "/"), true
		}
	}
	return 0, "", false
}

// commandOf is the one command of a health check, a space between its words; empty where it is none.
func commandOf(check *types.HealthCheckConfig) string {
	if check == nil || check.Disable || len(check.Test) < 2 {
		return ""
	}
	words := check.Test[1:]
	if check.Test[0] == "CMD-SHELL" {
		text := strings.TrimSpace(words[0])
		if strings.Contains(text, "\n") { // which are several
			return ""
		}
		words = strings.Fields(orFail.ReplaceAllString(text, ""))
		for n, word := range words {
			words[n] = unquoted(word)
		}
	}
	if slices.ContainsFunc(words, func(word string) bool { return strings.ContainsAny(word, " \t\n'\"") }) {
		return ""
	}
	return strings.Join(words, " ")
}

// unquoted is a word of a shell without the quotes around it.
func unquoted(word string) string {
	if n := len(word); n > 1 && word[0] == word[n-1] && (word[0] == '\'' || word[0] == '"') {
		return word[1 : n-1]
	}
	return word
}
