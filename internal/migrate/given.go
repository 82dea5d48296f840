package migrate

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/org/ghcr-publish/internal/service"
)

// A key is what a service calls one of docker/build-push-action's, and how what is written there is read.
type key struct {
	name string
	read func(text string) any
}

// keys are those of docker/build-push-action that a service has as well.
// https://github.com/docker/build-push-action#inputs
var keys = map[string]key{"add-hosts": {"extra_hosts", pairsBy(":")}, "annotations": {"annotations", annotations}, "build-contexts": {"contexts", pairsBy("=")}, "cgroup-parent": {"cgroup_parent", text},
	"labels": {"labels", pairsBy("=")}, "network": {"network", text}, "no-cache": {"no_cache", truth}, "no-cache-filters": {"no_cache_filters", texts}, "sbom": {"sbom", text}, "shm-size": {"shm_size", text},
	"ssh": {"ssh", texts}, "ulimit": {"ulimits", pairsBy("=")}}

func text(given string) any  { return given }
func truth(given string) any { return given == "true" }
func texts(given string) any { return list(given) }

// pairsBy reads a line for each name and its value. One that is none is a name without a value.
func pairsBy(separator string) func(string) any {
	return func(given string) any {
		pairs := map[string]string{}
		for line := range strings.Lines(given) {
			if line = strings.TrimSpace(line); line != "" {
				name, value, _ := strings.Cut(line, separator)
				pairs[name] = value
			}
		}
		return pairs
	}
}

// ofLevel finds annotations of an index or a manifest alone, which is not told apart here: they are no pairs then.
var ofLevel = regexp.MustCompile(`(?m)^\s*(index|manifest)[^=]*:`)

func annotations(given string) any {
	if ofLevel.MatchString(given) {
		return given
	}
	return pairsBy("=")(given)
}

// settled are keys of docker/build-push-action that are taken over elsewhere, or for which there is nothing to write.
var settled = []string{"build-args", "builder", "cache-from", "cache-to", "context", "file", "github-token", "load", "outputs", "platforms", "provenance", "pull", "push",
	"secret-envs", "secret-files", "secrets", "tags", "target"}

// others takes over what else a build is given, and says what is left. What another step makes of labels the action makes itself.
func (all *Reading) others(w workflow, s step, in scope, made *Service) {
	for _, name := range slices.Sorted(maps.Keys(s.With)) {
		given := own(s.With[name].text)
		filled, whole := in.fill(given)
		key, known := keys[name]
		switch {
		case filled == "" || filled == "false" || slices.Contains(settled, name):
		case name == "allow" && filled == "network.host" && s.With["network"].text == "host": // which the builder is allowed then
		case !known:
			all.leave("%s:%d: %s is %q, and nothing here stands for it.", w.file, s.With[name].line, name, given)
		case !whole:
			all.leave("%s:%d: %s is %q, which is only known when it runs: write what it is under `%s` of the service.", w.file, s.With[name].line, name, given, key.name)
		case !made.take(key.name, key.read(filled)):
			all.leave("%s:%d: %s is %q, which `%s` of a service does not take.", w.file, s.With[name].line, name, given, key.name)
		}
	}
}

// own are the lines of a text that no other step makes.
func own(text string) string {
	return strings.TrimSpace(strings.Join(slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return strings.Contains(line, "steps.") }), "\n"))
}

// take has a service be written with a value under a key, unless a configuration may not have it so.
func (s *Service) take(key string, value any) bool {
	var said yaml.Node
	if said.Encode(map[string]any{"name": "x", key: value}) != nil || service.Fits(&said) != nil {
		return false
	}
	said = yaml.Node{}
	return said.Encode(map[string]any{key: value}) == nil && said.Decode(s) == nil
}
