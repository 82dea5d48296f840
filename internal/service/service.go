// Package service holds the words the program is configured in: services, settings and gates,
// read from flags, action inputs and one YAML file, and proven once. Whoever holds a Config
// need not check it again.
package service

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
)

// A Service is one image to publish.
type Service struct {
	At   string // where it is defined, for messages: "file:line:column", or what it was found in
	Name string // unique in a configuration; names log groups, matrix rows and categories
	// Image is the full repository name, registry included: "ghcr.io/octo/backend".
	Image      string
	Context    string // build context, relative to the workspace, slash-separated
	Dockerfile string // relative to the workspace; empty where Inline is given
	Inline     string // a Dockerfile's text
	Target     string // Dockerfile stage; empty means the last
	BuildArgs  map[string]string
	Options
	// Labels and Annotations of the image, over those that this program makes. Their values may hold the
	// global expressions of the tag language.
	Labels      map[string]string
	Annotations map[string]string
	Platforms   []string // "linux/amd64", "linux/arm64/v8"
	// Paths says which files count as a change, in order, a later match winning and "!" excluding;
	// empty means the context without what its ignore file leaves out. The Dockerfile and the ignore files always count.
	Paths     []string
	DependsOn []string // services whose change rebuilds this one
	// Port and HealthEndpoint say where the started container answers. Without a port the image's
	// HEALTHCHECK decides; without an endpoint an open port does.
	Port           int
	HealthEndpoint string
	Env            map[string]string // environment of the container when it is tried out
	Smoke          [][]string        // commands run in the started container; each must exit 0
	RunOnce        []string          // arguments with which an image that is no server must run to its end, and exit 0
	Resources      Resources
	Expect         Expectation
	ReadOnly       bool     // its root file system cannot be written to when it is tried out
	Tmpfs          []string // absolute paths that can be all the same, in memory
	PeerNames      []string // containers of a Compose file that it needs beside it when it is tried out
	PeersFile      string   // that Compose file, relative to the workspace; empty means the one that Compose reads
	Peers          []Peer   // what it says of them, and of those that they need, each after those
	NewPrivileges  bool     // its programs may gain privileges when it is tried out, as sudo and files with capabilities do
	// Compose says what it is like in the Compose file; nil where nothing was said.
	Compose *ComposeService `json:"-"`
}

// Resources bound the container when it is tried out, as they would in production.
type Resources struct {
	MemoryLimit       int64   // bytes; 0 means none
	CPUs              float64 // cores; 0 means all
	MemoryReservation int64   // bytes
	Processes         int64   // and threads; 0 means any number
	CPUReservation    float64 `json:"-"` // cores, which mean nothing where it is tried out
}

// Trial is the digest of all that is demanded of the started container; empty where that holds values of an environment, its own or
// a peer's, which may be secret. What decides the image's content is no part of it.
func (s Service) Trial(gate StartupGate) string {
	if len(s.Env)+len(s.Peers) > 0 {
		return ""
	}
	s.At, s.Inline, s.BuildArgs, s.Options, s.Labels, s.Annotations, s.Paths, s.DependsOn = "", "", nil, Options{}, nil, nil, nil, nil
	text, err := json.Marshal([]any{s, gate})
	if err != nil {
		return "" // it is tried out each time
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(text))
}

// WatchedPaths returns the patterns that say which files count as a change of the service.
func (s Service) WatchedPaths() []string {
	watched := slices.Clone(s.Paths)
	if len(watched) == 0 {
		watched = []string{"/" + path.Join(literally(s.Context), "**")}
	}
	if s.Dockerfile != "" {
		watched = append(watched, "/"+literally(s.Dockerfile), "/"+literally(s.Dockerfile)+".dockerignore")
	}
	return append(watched, "/"+path.Join(literally(s.Context), ".dockerignore"))
}

// Needs lists the services that this one is made after: those it depends on, and those whose images are its contexts.
func (s Service) Needs() []string {
	needs := slices.Clone(s.DependsOn)
	for _, at := range s.Contexts {
		if other, ok := ImageOf(at); ok && !slices.Contains(needs, other) {
			needs = append(needs, other)
		}
	}
	slices.Sort(needs)
	return needs
}

// literally writes a path as a pattern that matches it alone.
func literally(path string) string { return special.ReplaceAllString(path, `\$0`) }

var special = regexp.MustCompile(`[\\*?\[\]{}]`)

// DefaultTags is the tag rules' text where the configuration has none.
const DefaultTags = `type=ref,event=branch
type=ref,event=pr
type=semver,pattern={{version}}
type=semver,pattern={{major}}.{{minor}}
type=sha
`

// A Config is everything a run was told, proven.
type Config struct {
	Settings
	File string // the configuration file it came from, relative to the workspace; empty without one
	// From are the files that say what the services are, or would if they were there, relative to the workspace.
	From     []string
	Services []Service
	Builders []Builder // none where one is made, or named by Builder
	Mirrors  []Mirror
	Tags     string // tag rules, in docker/metadata-action's language
	Flavor   string // what holds for all of them, in the same
	// Labels and Annotations are those of every service that does not set them itself.
	Labels, Annotations map[string]string
	Options             Options // those of every service that does not set them itself
	Gates               Gates
	Compose             *Compose // nil where no Compose file is wanted
	Clean               Clean
	Deploy              Deploy
}

// Service finds a service by its name.
func (c Config) Service(name string) (Service, bool) {
	i := slices.IndexFunc(c.Services, func(s Service) bool { return s.Name == name })
	if i < 0 {
		return Service{}, false
	}
	return c.Services[i], true
}

// Considered are the services that the run is told to look at, all of them unless some are named.
func (c Config) Considered() []Service {
	return slices.DeleteFunc(slices.Clone(c.Services), func(s Service) bool {
		return len(c.Only) > 0 && !slices.Contains(c.Only, s.Name) || slices.Contains(c.Skip, s.Name)
	})
}
