package migrate

import (
	"errors"

	"go.yaml.in/yaml/v3"
)

// mostNodes are more than any workflow has, with all that its aliases stand for.
const mostNodes = 100_000

// document reads a file of YAML with what its aliases stand for in their places, as a part that is kept as a node tells nothing of one.
func document(text []byte, into any) error {
	var n yaml.Node
	if err := yaml.Unmarshal(text, &n); err != nil {
		return err
	}
	left := mostNodes
	unaliased(&n, &left)
	if left < 0 {
		return errors.New("its aliases stand for too much, or for themselves")
	}
	return n.Decode(into)
}

// unaliased is what a node stands for, at the line where it stands. It looks at no more nodes than there are left.
func unaliased(n *yaml.Node, left *int) *yaml.Node {
	if *left--; *left < 0 {
		return n
	}
	if n.Kind == yaml.AliasNode {
		meant := *unaliased(n.Alias, left)
		meant.Line, meant.Column = n.Line, n.Column
		return &meant
	}
	for i, below := range n.Content {
		n.Content[i] = unaliased(below, left)
	}
	return n
}

// variables are texts by name; none where an expression makes them all at run time.
type variables map[string]string

func (v *variables) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return nil
	}
	return n.Decode((*map[string]string)(v))
}

// fields are what something is given by name; none where an expression makes it all at run time.
type fields map[string]field

func (f *fields) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return nil
	}
	return n.Decode((*map[string]field)(f))
}

// A strategy has the matrix of a job, or in its place the expression that makes the whole strategy at run time.
type strategy struct {
	Matrix yaml.Node `yaml:"matrix"`
}

func (s *strategy) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		s.Matrix = *n
		return nil
	}
	type plain strategy
	return n.Decode((*plain)(s))
}
