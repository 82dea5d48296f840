package service

import (
	"fmt"
	"path"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// An Expectation is what an image must be like, as Google's container-structure-test has it. What is empty is not looked at.
type Expectation struct {
	User, Workdir   string
	Entrypoint, Cmd []string
	Env, Labels     map[string]string
	Ports           []int // exposed
	Files           []ExpectedFile
}

// An ExpectedFile is a file or folder of the started container.
type ExpectedFile struct {
	Path     string // absolute
	Absent   bool   // it must not be there
	Mode     string // permissions, as "0644"
	Contains string // a text that must be in it
}

func (r reader) expectation(into *Expectation) field {
	return func(n *yaml.Node) {
		r.mapping(n, map[string]field{
			"user": r.text(&into.User), "workdir": r.text(&into.Workdir), "entrypoint": r.texts(&into.Entrypoint), "cmd": r.texts(&into.Cmd),
			"env": r.textMap(&into.Env), "labels": r.textMap(&into.Labels), "ports": r.ports(&into.Ports), "files": r.files(&into.Files),
		})
	}
}

func (r reader) ports(into *[]int) field {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			r.add(n, "write it as [8080]", "must be a list of ports")
			return
		}
		for _, item := range n.Content {
			var port int
			r.port(&port)(item)
			*into = append(*into, port)
		}
	}
}

var permissions = regexp.MustCompile(`^0?[0-7]{3,4}$`)

func (r reader) files(into *[]ExpectedFile) field {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			r.add(n, "write it as [{path: /app/server}]", "must be a list of files")
			return
		}
		for _, item := range n.Content {
			var f ExpectedFile
			r.mapping(item, map[string]field{
				"path": r.parsed(func(v string) error {
					if f.Path = v; !path.IsAbs(v) {
						return fmt.Errorf("%q is no path from the root", v)
					}
					return nil
				}, "write it as /app/server"),
				"absent": r.boolean(&f.Absent), "contains": r.text(&f.Contains),
				"mode": r.parsed(func(v string) error {
					if f.Mode = v; !permissions.MatchString(v) {
						return fmt.Errorf("%q are no permissions", v)
					}
					return nil
				}, `write them as "0644"`),
			})
			if f.Path == "" && item.Kind == yaml.MappingNode {
				r.add(item, "add `path: …`", "a file has no path")
			}
			*into = append(*into, f)
		}
	}
}
