package report

import (
	"fmt"
	"strings"
)

// A Composition is the Compose file that was written, and what is in it.
type Composition struct {
	File     string     `json:"file"`
	Services []Composed `json:"services"`
}

// Composed is a service of the Compose file.
type Composed struct {
	Name   string `json:"name"`
	Image  string `json:"image"`
	Tag    string `json:"tag"`
	Digest string `json:"digest"`
}

// Answer is what was written, in one sentence.
func (c Composition) Answer() string {
	var names []string
	for _, s := range c.Services {
		names = append(names, s.Name)
	}
	return fmt.Sprintf("Wrote %s of what is live: %s.", c.File, strings.Join(names, ", "))
}

// Summary renders it as Markdown.
func (c Composition) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### ✅ %s\n\n| service | tag | image |\n|---|---|---|\n", cell(c.Answer()))
	for _, s := range c.Services {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(s.Name), cell(s.Tag), cell(s.Image+"@"+s.Digest))
	}
	return b.String()
}
