package service

import (
	"fmt"
	"maps"
	"slices"
)

// Found are services that were found in a repository, instead of being listed.
type Found struct {
	Services []Service
	// Files say what the services are, or would if they were there; relative to the workspace.
	Files []string
	// Compose is the Compose file that they come from; empty where it is none.
	Compose string
	// Left says what the files have that is not taken over, each with what to do about it.
	Left []string
}

// prove holds a service that was found to what the list of a configuration file is held to.
func (s *Service) prove(problems *Problems) {
	note := func(fix string, err error) {
		if err != nil {
			problems.Add(s.At, fix, "%s: %v", s.Name, err)
		}
	}
	if !serviceName.MatchString(s.Name) {
		note(nameFix, fmt.Errorf("%q is no service name", s.Name))
	}
	for _, file := range []*string{&s.Context, &s.Dockerfile} {
		clean, err := insidePath(*file)
		if err != nil {
			note(pathFix, err)
			s.Context = "" // nothing more is said of its files
			break
		}
		if *file != "" {
			*file = clean
		}
	}
	for i, p := range s.Platforms {
		var err error
		s.Platforms[i], err = parsePlatform(p)
		note("", err)
	}
	s.Options.prove(note)
}

func (o Options) prove(note func(fix string, err error)) {
	proveMap(o.Contexts, context, note)
	proveMap(o.Secrets, secret, note)
	proveMap(o.ExtraHosts, host, note)
	proveMap(o.Ulimits, ulimit, note)
	for _, a := range o.SSH {
		if !agent.MatchString(a) {
			note(agentFix, fmt.Errorf("%q is no agent", a))
		}
	}
	if o.Network != "" && !slices.Contains(networks, o.Network) {
		note("", fmt.Errorf("network %q is none of default, none, host", o.Network))
	}
}

func proveMap(values map[string]string, prove func(key, value string) (string, error), note func(fix string, err error)) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		proven, err := prove(key, values[key])
		note("", err)
		values[key] = proven
	}
}

const (
	nameFix  = "use letters, digits and . _ -, at most 63"
	pathFix  = "give a path relative to the repository's root"
	agentFix = "write it as default, or as id=PATH"
)

var networks = []string{"default", "none", "host"}
