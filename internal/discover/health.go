package discover

import (
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
	if c.ReadOnly {
		c.Volumes = nil // all of which can be written to
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

var (
	// address is what a health check asks, where nothing of it is only known when it runs.
	address = regexp.MustCompile(`(?:^|[\s'"=])http://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::([0-9]+))?(/[^\s'"|;&$?#)]*)?(?:$|[\s'"|;&)])`)
	// fails finds programs that fail where the answer is no success.
	fails = regexp.MustCompile(`\bwget\b|\bcurl\b.*\s(?:-[a-zA-Z]*f|--fail)`)
	// special is what makes a request another one than a mere GET.
	special = regexp.MustCompile(`\s(?:-H|--header|-X|--request|-d|--data|-u|--user|--post-\w+|--method|--body-\w+)\b`)
)

// asked is the port and the path that a health check asks the container itself for.
func asked(check *types.HealthCheckConfig) (port int, path string, ok bool) {
	if check == nil || check.Disable || len(check.Test) < 2 {
		return 0, "", false
	}
	command := strings.Join(check.Test[1:], " ")
	found := address.FindAllStringSubmatch(command, -1)
	if len(found) != 1 || strings.Count(command, "://") > 1 || !fails.MatchString(command) || special.MatchString(command) {
		return 0, "", false
	}
	port, path = 80, found[0][2]
	if digits := found[0][1]; digits != "" {
		port, _ = strconv.Atoi(digits)
	}
	if path == "" {
		path = "/"
	}
	return port, path, true
}
