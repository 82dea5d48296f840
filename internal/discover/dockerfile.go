package discover

import (
	"bytes"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// A dockerfile is what a Dockerfile tells of its service.
type dockerfile struct {
	sources []string // what it copies from its context, as far as that is known without building
	port    int      // 0 where the last stage does not expose exactly one
}

// readDockerfile reads nothing from one that is ill-formed: its build will say so.
func readDockerfile(text []byte) dockerfile {
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
	if len(stages) > 0 {
		d.port = exposed(stages[len(stages)-1])
	}
	return d
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

func exposed(stage instructions.Stage) int {
	var ports []string
	for _, command := range stage.Commands {
		if c, ok := command.(*instructions.ExposeCommand); ok {
			ports = append(ports, c.Ports...)
		}
	}
	if len(ports) != 1 {
		return 0
	}
	return tcpPort(ports[0])
}
