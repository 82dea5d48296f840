package discover

import (
	"bytes"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// A dockerfile is what a Dockerfile tells of its service.
type dockerfile struct {
	sources []string // what it copies from its context, as far as that is known without building
	exposed []string // ports of the stage that is built, and of those that it is made from, each once
	checked bool     // whether that stage, or one that it is made from, has a HEALTHCHECK
}

// readDockerfile reads nothing from one that is ill-formed: its build will say so. The target is the stage that is built; empty for the last.
func readDockerfile(text []byte, target string) dockerfile {
	var d dockerfile
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return d
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return d
	}
	for _, stage := range stages {
		for _, command := range stage.Commands {
			d.sources = append(d.sources, sources(command)...)
		}
	}
	built := len(stages) - 1
	if n, there := instructions.HasStage(stages, target); target != "" && there {
		built = n
	}
	chain := upwards(stages, built)
	d.exposed, d.checked = exposed(chain), hasHealthcheck(chain)
	return d
}

// upwards are a stage and those that it is made from.
func upwards(stages []instructions.Stage, n int) (chain []instructions.Stage) {
	for n >= 0 {
		chain = append(chain, stages[n])
		parent, there := instructions.HasStage(stages[:n], stages[n].BaseName)
		if !there {
			break
		}
		n = parent
	}
	return chain
}

// hasHealthcheck reports what the last HEALTHCHECK comes to.
func hasHealthcheck(chain []instructions.Stage) bool {
	for _, stage := range chain {
		for _, command := range slices.Backward(stage.Commands) {
			if c, ok := command.(*instructions.HealthCheckCommand); ok {
				return c.Health != nil && !slices.Equal(c.Health.Test, []string{"NONE"})
			}
		}
	}
	return false
}

func sources(command instructions.Command) []string {
	var all, known []string
	switch c := command.(type) {
	case *instructions.CopyCommand:
		if c.From == "" {
			all = c.SourcePaths
		}
	case *instructions.AddCommand:
		all = c.SourcePaths
	}
	for _, source := range all {
		if !strings.Contains(source, "$") && !strings.Contains(source, "://") && !strings.HasPrefix(source, "git@") {
			known = append(known, source)
		}
	}
	return known
}

// exposed are the ports that stages expose, however often.
func exposed(chain []instructions.Stage) (ports []string) {
	for _, stage := range chain {
		for _, command := range stage.Commands {
			if c, ok := command.(*instructions.ExposeCommand); ok {
				for _, port := range c.Ports {
					ports = append(ports, strings.TrimSuffix(strings.ToLower(port), "/tcp"))
				}
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// port is the one that is exposed; 0 where none is, or several are.
func (d dockerfile) port() int {
	if len(d.exposed) != 1 {
		return 0
	}
	return tcpPort(d.exposed[0])
}

// ports are those that are exposed, as far as a number says which, and something can answer there.
func (d dockerfile) ports() (all []int) {
	for _, text := range d.exposed {
		if port := tcpPort(text); port != 0 {
			all = append(all, port)
		}
	}
	slices.Sort(all)
	return all
}
