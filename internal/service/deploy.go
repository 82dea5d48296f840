package service

import (
	"fmt"
	"regexp"
	"time"

	"go.yaml.in/yaml/v3"
)

// A Deploy says how what is live is brought up on a Docker host.
type Deploy struct {
	At          string        // empty where nothing is said of it
	Environment string        // of GitHub, of which a deployment is recorded; empty for none
	Wait        time.Duration // until all services are well
	Profiles    []string      // of the Compose file
	Project     string        // what Compose calls it; empty for the name in the Compose file
}

// DefaultDeploy applies where the configuration is silent.
func DefaultDeploy() Deploy {
	return Deploy{Wait: 5 * time.Minute, Profiles: []string{"production"}}
}

// https://docs.docker.com/reference/compose-file/version-and-name/#name-top-level-element
var projectName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

func (r reader) deploy(n *yaml.Node, d *Deploy) {
	d.At = r.where(n)
	r.mapping(n, map[string]field{
		"environment": r.text(&d.Environment), "wait": r.duration(&d.Wait), "profiles": r.named(&d.Profiles, profileName, "profile"),
		"project": r.parsed(func(v string) error {
			if d.Project = v; !projectName.MatchString(v) {
				return fmt.Errorf("%q is no name of a project", v)
			}
			return nil
		}, "use lower-case letters, digits, _ and -"),
	})
}
