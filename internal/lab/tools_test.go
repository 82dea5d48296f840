package lab

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNamesVersion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		output, version string
		want            bool
	}{
		{"Version: 0.69.3\nVulnerability DB:\n", "v0.69.3", true},
		{"Version: 0.69.4\n", "v0.69.3", false},
		{"Version: 0.69.30\n", "v0.69.3", false},
		{"Version: dev\nVulnerability DB:\n  Version: 0.69.3\n", "v0.69.3", false},
		{"github.com/docker/buildx v0.38.2 abcdef", "v0.38.2", true},
		{"", "v0.38.2", false},
	} {
		if got := namesVersion(c.output, c.version); got != c.want {
			t.Errorf("namesVersion(%q, %s) = %t", c.output, c.version, got)
		}
	}
}

func TestAdoptedModKeepsTheGraph(t *testing.T) {
	t.Parallel()
	got, err := adoptedMod([]byte(`module example.com/tool

go 1.25.6

tool example.com/tool/internal/gen

retract v0.9.0

require (
	example.com/a v1.0.0
	example.com/b v1.2.3 // indirect
)

exclude example.com/a v1.0.1

replace example.com/b => example.com/fork v1.2.4
`), "example.com/tool", "v1.1.0")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"module scratch\n", "go 1.25.6\n", "example.com/a v1.0.0\n", "example.com/b v1.2.3 // indirect\n",
		"exclude example.com/a v1.0.1\n", "replace example.com/b => example.com/fork v1.2.4\n", "example.com/tool v1.1.0\n",
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the scratch go.mod lacks %q:\n%s", want, got)
		}
	}
	for _, unwanted := range []string{"internal/gen", "retract"} {
		if strings.Contains(string(got), unwanted) {
			t.Errorf("the scratch go.mod holds %q:\n%s", unwanted, got)
		}
	}
}

func TestBuildCommand(t *testing.T) {
	t.Parallel()
	base := []string{"HOME=/root", "SSL_CERT_FILE=/ca", "GOFLAGS=-mod=vendor", "GOOS=plan9", "GOWORK=/w", "GOPROXY=direct"}
	command := buildCommand(trivy(), "/scratch", "/out/trivy", base)
	if command.Dir != "/scratch" || command.Argv[len(command.Argv)-1] != "github.com/aquasecurity/trivy/cmd/trivy" {
		t.Errorf("the command is %v in %s", command.Argv, command.Dir)
	}
	if !slices.Contains(command.Argv, "-s -w -X github.com/aquasecurity/trivy/pkg/version/app.ver=0.69.3") {
		t.Errorf("the link flags are missing: %v", command.Argv)
	}
	want := []string{"HOME=/root", "SSL_CERT_FILE=/ca", "GOPROXY=direct", "GOWORK=off", "GOFLAGS=-mod=mod", "CGO_ENABLED=0", "GOEXPERIMENT=jsonv2"}
	if !slices.Equal(command.Env, want) {
		t.Errorf("the environment is %v, want %v", command.Env, want)
	}
	own := buildCommand(tool{name: "buildx", module: "example.com/buildx", ours: true}, "/", "/out", base)
	if !slices.Contains(own.Env, "GOFLAGS=") {
		t.Errorf("a build of this module may change it: %v", own.Env)
	}
}

func TestParseModules(t *testing.T) {
	t.Parallel()
	got := parseModules("github.com/org/ghcr-publish==/src/with=sign\ngithub.com/docker/buildx=v0.38.2=/mod/buildx\ngithub.com/moby/buildkit=v0.34.2=/mod/buildkit\n")
	if want := (modules{root: "/src/with=sign", buildx: "v0.38.2", buildkit: "v0.34.2"}); got != want {
		t.Errorf("parseModules() = %+v, want %+v", got, want)
	}
}

func newSetup(t *testing.T) *setup {
	t.Helper()
	s := &setup{Options: Options{Cache: t.TempDir()}}
	for _, dir := range []string{s.bin(), s.stamps(), s.debs()} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestPlaceAndAvailable(t *testing.T) {
	s := newSetup(t)
	t.Setenv("PATH", t.TempDir())
	older, newer := tool{name: "x", version: "v1"}, tool{name: "x", version: "v2"}
	for _, step := range []tool{older, newer} {
		built := filepath.Join(s.Cache, "built")
		write(t, built, step.version)
		if err := s.place(step, built); err != nil {
			t.Fatal(err)
		}
		if !s.available(t.Context(), step) {
			t.Errorf("%s was placed, yet is not available", step.version)
		}
	}
	if s.available(t.Context(), older) {
		t.Error("the older version counts as available after the newer took its place")
	}
	if err := os.Remove(filepath.Join(s.bin(), "x")); err != nil {
		t.Fatal(err)
	}
	if s.available(t.Context(), newer) {
		t.Error("a stamp alone counts as the tool")
	}
}

func TestAvailableLinksTheRightVersion(t *testing.T) {
	s := newSetup(t)
	elsewhere := t.TempDir()
	t.Setenv("PATH", elsewhere+":"+os.Getenv("PATH"))
	program := filepath.Join(elsewhere, "lab-test-tool")
	x := tool{name: "lab-test-tool", version: "v1.0.0", report: "--version"}

	write(t, program, "#!/bin/sh\necho Version: 0.9.0\n")
	if s.available(t.Context(), x) {
		t.Error("another version on PATH was taken")
	}
	write(t, program, "#!/bin/sh\necho Version: 1.0.0\n")
	if !s.available(t.Context(), x) {
		t.Fatal("the right version on PATH was not taken")
	}
	if target, err := os.Readlink(filepath.Join(s.bin(), x.name)); target != program {
		t.Errorf("the bin directory leads to %q (%v)", target, err)
	}
	write(t, program, "#!/bin/sh\necho Version: 1.1.0\n")
	if s.available(t.Context(), x) {
		t.Error("a linked tool that was replaced since still counts")
	}
}

func TestInterruptedBuildLeavesNothing(t *testing.T) {
	s := newSetup(t)
	t.Setenv("PATH", t.TempDir())
	write(t, filepath.Join(os.Getenv("PATH"), "go"), "#!/bin/sh\nexit 1\n")
	s.module.root = t.TempDir()
	x := tool{name: "x", module: "example.com/x", version: "v1", ours: true}
	if err := s.build(t.Context(), x); err == nil || !strings.Contains(err.Error(), "building x v1") {
		t.Errorf("build() = %v, want its failure", err)
	}
	if _, err := os.Stat(s.stamp(x)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a failed build left a stamp: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.Cache, scratchPattern)); len(left) != 0 {
		t.Errorf("a failed build left %v", left)
	}
}
