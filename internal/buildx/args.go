// Package buildx drives the docker buildx program: the arguments it is given, the builder it
// works on, and the progress and metadata it reports.
package buildx

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
)

// A Builder is a BuildKit that buildx starts in a container.
type Builder struct {
	Name    string // by default derived from the rest, so that other settings make another builder
	Config  string // path of a buildkitd.toml; empty for none
	HostNet bool   // BuildKit shares the host's network, which a loopback registry needs
}

// DefaultName names a builder after its settings and the machine's runner. A running BuildKit keeps the
// settings it was started with, so a run with other settings must not adopt it; and runners that share
// an engine work at the same time, so none may stop another's.
func DefaultName(config []byte, hostNet bool, runner string) string {
	sum := sha256.Sum256(fmt.Appendf(slices.Clip(config), "\x00%t\x00%s", hostNet, runner))
	return "ghcr-publish-" + hex.EncodeToString(sum[:4])
}

// Container is the name of the container in which the docker-container driver runs a builder's first node.
func Container(builder string) string { return "buildx_buildkit_" + builder + "0" }

// CreateArgs makes a builder, or adopts the running one of that name.
func (b Builder) CreateArgs() []string {
	args := []string{"create", "--name", b.Name, "--driver", "docker-container"}
	if b.HostNet {
		args = append(args, "--driver-opt", "network=host")
	}
	if b.Config != "" {
		args = append(args, "--buildkitd-config", b.Config)
	}
	return args
}

// A Node is one of the BuildKits of a builder that has several.
type Node struct {
	Driver    string
	Endpoint  string            // empty for the engine that buildx finds by itself, and for a cluster
	Platforms []string          // that it builds; empty for those that it says it can
	Options   map[string]string // of the driver
}

// String says where a node is, for a person.
func (n Node) String() string { return strings.TrimSpace(n.Driver + " " + n.Endpoint) }

// CreateNodeArgs makes a builder out of its first node, and appends the others.
func CreateNodeArgs(builder string, n Node, index int, config string) []string {
	args := []string{"create", "--name", builder, "--node", fmt.Sprintf("%s%d", builder, index), "--driver", n.Driver}
	if index > 0 {
		args = append(args, "--append")
	}
	if len(n.Platforms) > 0 {
		args = append(args, "--platform", strings.Join(n.Platforms, ","))
	}
	for _, name := range slices.Sorted(maps.Keys(n.Options)) {
		args = append(args, "--driver-opt", csvLine(name+"="+n.Options[name]))
	}
	if config != "" && n.Driver != "remote" { // which runs already
		args = append(args, "--buildkitd-config", config)
	}
	if n.Endpoint != "" {
		args = append(args, "--", n.Endpoint)
	}
	return args
}

// A Build is one image to build for all its platforms.
type Build struct {
	Builder    string
	Image      string // repository name it is pushed to, by digest alone
	Context    string // directory
	Dockerfile string // path; of one that is given as text, of the file that it was written to
	Target     string
	Platforms  []string
	BuildArgs  map[string]string
	Labels     map[string]string
	// Annotations go onto Levels, as buildx names them: index, manifest and their descriptors. Marks go onto the index whatever
	// those are. Where the image has no index, its manifest stands for it.
	Annotations map[string]string
	Levels      []string
	Marks       map[string]string
	// Options say which of provenance and SBOM are attached, and all else. Folders and files in them are absolute,
	// and no context is another service's image.
	service.Options
	PlainHTTP bool   // the registry speaks HTTP
	Metadata  string // file that buildx writes its metadata to
	// Layout, when set, is a folder that receives an OCI image layout of the one platform instead of
	// a push; Load, when set too, is the name under which the engine gets the image.
	Layout, Load string
	// CacheFrom and CacheTo are where layers are read from and kept, in buildx's words. No token is among them: it is in the environment.
	CacheFrom, CacheTo []string
}

// Args are the arguments of buildx for the build. Everything that comes from a repository is the
// value of an option, except the context, which is absolute and so never taken for one.
func (b Build) Args() []string {
	args := []string{"build", "--builder", b.Builder, "--progress", "rawjson",
		"--platform", strings.Join(b.Platforms, ","), "--file", b.Dockerfile, "--metadata-file", b.Metadata}
	args = append(args, b.outputs()...)
	for _, from := range b.CacheFrom {
		args = append(args, "--cache-from", from)
	}
	for _, to := range b.CacheTo {
		args = append(args, "--cache-to", to)
	}
	if b.Target != "" {
		args = append(args, "--target", b.Target)
	}
	args = appendMap(args, "--build-arg", "", b.BuildArgs)
	args = append(args, b.options()...)
	args = appendMap(args, "--label", "", b.Labels)
	if b.Layout == "" {
		args = appendMap(args, "--annotation", b.onto(b.Levels...), b.Annotations)
		args = appendMap(args, "--annotation", b.onto("index"), b.Marks)
	}
	return append(args, b.Context)
}

// outputs pushes by digest, so that the image gets no tag, or keeps the image on this machine.
func (b Build) outputs() []string {
	if b.Layout != "" {
		args := []string{"--provenance=false", "--output", "type=oci,tar=false,dest=" + b.Layout}
		if b.Load != "" {
			args = append(args, "--output", "type=docker,name="+b.Load)
		}
		return args
	}
	push := "type=image,name=" + b.Image + ",push-by-digest=true,name-canonical=true,push=true,oci-mediatypes=true"
	if b.PlainHTTP {
		push += ",registry.insecure=true"
	}
	provenance := "type=provenance,disabled=true"
	if b.Provenance != "false" {
		provenance = "type=provenance,mode=" + b.Provenance
	}
	return append([]string{"--output", push, "--attest", provenance}, b.sbom()...)
}

// sbom has BuildKit list what each platform's image holds, by an image of its own or by one that was named.
// https://github.com/moby/buildkit/blob/master/docs/attestations/sbom-protocol.md
func (b Build) sbom() []string {
	switch b.SBOM {
	case "", "false":
		return nil
	case "true":
		return []string{"--attest", "type=sbom"}
	default:
		return []string{"--attest", "type=sbom,generator=" + b.SBOM}
	}
}

// onto says where annotations go. A single platform without attestations has no index, and BuildKit refuses annotations of one.
// https://github.com/moby/buildkit/blob/master/docs/annotations.md
func (b Build) onto(levels ...string) string {
	var there []string
	for _, level := range levels {
		if len(b.Platforms) == 1 && b.Provenance == "false" && b.sbom() == nil {
			level = strings.Replace(level, "index", "manifest", 1)
		}
		if !slices.Contains(there, level) {
			there = append(there, level)
		}
	}
	return strings.Join(there, ",") + ":"
}

func appendMap(args []string, option, prefix string, values map[string]string) []string {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		args = append(args, option, prefix+key+"="+values[key])
	}
	return args
}
