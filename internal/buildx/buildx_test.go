package buildx

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/run"
)

// inspected is what `docker buildx inspect` said of a real builder.
const inspected = `Name:          engine
Driver:        docker-container
Last Activity: 2026-11-23 23:30:23 +0000 UTC

Nodes:
Name:                  engine0
Endpoint:              unix:///var/run/docker.sock
Driver Options:        network="host"
Status:                running
BuildKit daemon flags: --allow-insecure-entitlement=network.host
BuildKit version:      v0.34.2
Platforms:             linux/amd64, linux/amd64/v2, linux/amd64/v3, linux/amd64/v4, linux/arm64, linux/386
Labels:
 org.mobyproject.buildkit.worker.executor:         oci
 org.mobyproject.buildkit.worker.network:          host
GC Policy rule#0:
 All:            false
 Filters:        type==source.local type==exec.cachemount type==source.git.checkout
File#buildkitd.toml:
 > [registry]
 > Platforms: none
`

// existing is how buildx refuses to make a builder that is there.
var existing = &run.Error{Argv: []string{"buildx", "create"}, Code: 1, Err: errors.New("exit status 1"),
	Stderr: `ERROR: existing instance for "b" but no append mode, specify the node name to make changes for existing instances` + "\n"}

// A script answers commands by their first argument after the program.
type script struct {
	calls [][]string
	out   map[string]string
	err   map[string]error
}

func (s *script) run(_ context.Context, c run.Command) ([]byte, error) {
	s.calls = append(s.calls, c.Argv)
	return []byte(s.out[c.Argv[2]]), s.err[c.Argv[2]]
}

func (s *script) client() *Client { return &Client{Run: s.run, Argv: []string{"docker", "buildx"}} }

func TestStart(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		err  map[string]error
		want string // part of the error; empty for none
	}{
		{"a new builder", nil, ""},
		{"one that is there", map[string]error{"create": existing}, ""},
		{"one that cannot be made", map[string]error{"create": errors.New("permission denied")}, "making builder b: permission denied"},
		{"one that does not start", map[string]error{"inspect": errors.New("no such image")}, "starting builder b: no such image"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &script{out: map[string]string{"inspect": inspected}, err: c.err}
			started, err := s.client().Start(t.Context(), Builder{Name: "b", HostNet: true})
			if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
				t.Fatalf("Start() = %v, want %q", err, c.want)
			}
			if err == nil && !slices.Contains(started.Platforms, "linux/arm64") {
				t.Errorf("it builds for %q", started.Platforms)
			}
			want := [][]string{{"docker", "buildx", "create", "--name", "b", "--driver", "docker-container", "--driver-opt", "network=host"}, {"docker", "buildx", "inspect", "--bootstrap", "--", "b"}}
			if diff := cmp.Diff(want[:len(s.calls)], s.calls); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBoot(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		out  string
		want []string
	}{
		"a real builder":   {inspected, []string{"linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/amd64/v4", "linux/arm64", "linux/386"}},
		"asked-for ones":   {"Platforms:    linux/arm64*, linux/arm/v7\n", []string{"linux/arm64", "linux/arm/v7"}},
		"several nodes":    {"Name: a\nPlatforms: linux/amd64\nName: b\nPlatforms: linux/arm64\n", []string{"linux/amd64", "linux/arm64"}},
		"one that is down": {"Name: a\nStatus: inactive\n", nil},
		"none":             {"Platforms:   \n", nil},
	}
	for name, c := range cases {
		s := &script{out: map[string]string{"inspect": c.out}}
		got, err := s.client().Boot(t.Context(), "b")
		if diff := cmp.Diff(c.want, got.Platforms); diff != "" || err != nil {
			t.Errorf("%s: %v, platforms (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestBuild(t *testing.T) {
	t.Parallel()
	const digest = "sha256:0a10e22808acec346667cc7305198d8ab728d3fac5a13c5ce3636e8d8f9b3199"
	failed := &run.Error{Argv: []string{"buildx", "build"}, Code: 1, Err: errors.New("exit status 1")}
	cases := []struct {
		name, stream, metadata string
		err                    error
		want                   string // the digest, or part of the error
	}{
		{"a success", "fresh", `{"buildx.build.ref": "b/b0/x", "containerimage.descriptor": {"digest": "` + digest + `"}, "containerimage.digest": "` + digest + `"}`, nil, digest},
		{"a failure", "failed", "", failed, "building with buildx: [linux/amd64 stage-1 3/3] RUN echo"},
		{"a program that says nothing", "", "", &run.Error{Argv: []string{"buildx", "build"}, Code: -1, Err: errors.New("not found on PATH")}, "building with buildx: buildx build: not found on PATH"},
		{"no digest", "fresh", `{"buildx.build.ref": "b/b0/x"}`, nil, "reading buildx's metadata: it names no digest"},
		{"no metadata", "fresh", "", nil, "reading buildx's metadata: open "},
		{"broken metadata", "fresh", `{"containerimage.digest": `, nil, "reading buildx's metadata: unexpected end"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := Build{Builder: "b", Image: "ghcr.io/octo/web", Context: "/w", Dockerfile: "/w/Dockerfile", Metadata: filepath.Join(t.TempDir(), "metadata", "web.json")}
			told := 0
			client := &Client{Argv: []string{"docker", "buildx"}, Env: []string{"A=1"}, Run: func(_ context.Context, command run.Command) ([]byte, error) {
				if diff := cmp.Diff(append([]string{"docker", "buildx"}, b.Args()...), command.Argv); diff != "" || !slices.Equal(command.Env, []string{"A=1"}) {
					t.Errorf("environment %q, arguments (-want +got):\n%s", command.Env, diff)
				}
				if c.stream != "" {
					if _, err := command.Stderr.Write(recorded(t, c.stream)); err != nil {
						t.Error(err)
					}
				}
				if c.metadata != "" {
					if err := os.WriteFile(b.Metadata, []byte(c.metadata), 0o600); err != nil {
						t.Error(err)
					}
				}
				return nil, c.err
			}}
			got, err := client.Build(t.Context(), b, &Progress{Tell: func(string) { told++ }})
			if err != nil {
				got = err.Error()
			}
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("Build() = %q, want %q", got, c.want)
			}
			if (told > 0) != (c.stream != "") {
				t.Errorf("%d lines were told", told)
			}
		})
	}
}

func TestBuildEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the run is over")
	client := &Client{Argv: []string{"buildx"}, Run: func(context.Context, run.Command) ([]byte, error) { cancel(gone); return nil, errors.New("killed") }}
	if _, err := client.Build(ctx, Build{Metadata: filepath.Join(t.TempDir(), "m.json")}, &Progress{}); !errors.Is(err, gone) {
		t.Errorf("Build() = %v, want the context's end", err)
	}
}

// TestCancelledBuildIsNotDoneAgain holds that a build which was stopped blames no cache and announces nothing.
func TestCancelledBuildIsNotDoneAgain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := &Client{Argv: []string{"buildx"}, Run: func(context.Context, run.Command) ([]byte, error) {
		cancel()
		return nil, errors.New("signal: terminated")
	}}
	var told []string
	progress := &Progress{Tell: func(line string) { told = append(told, line) }}
	_, err := c.Build(ctx, Build{Metadata: filepath.Join(t.TempDir(), "m"), CacheFrom: []string{"type=gha"}}, progress)
	if !errors.Is(err, context.Canceled) || len(told) > 0 || progress.forsaken != "" {
		t.Errorf("%v, told %q, forsaken %q", err, told, progress.forsaken)
	}
}

// TestCacheIsBlamedOnlyWhereItIsToBlame holds that layers of other runs are said to be of no use where the build succeeds without them, and not where it fails all the same.
func TestCacheIsBlamedOnlyWhereItIsToBlame(t *testing.T) {
	t.Parallel()
	for _, succeeds := range []bool{true, false} {
		b := Build{Metadata: filepath.Join(t.TempDir(), "m"), CacheFrom: []string{"type=gha"}}
		c := &Client{Argv: []string{"buildx"}, Run: func(_ context.Context, command run.Command) ([]byte, error) {
			if !succeeds || slices.ContainsFunc(command.Argv, func(arg string) bool { return strings.Contains(arg, "cache-from") }) {
				return nil, errors.New("out of luck")
			}
			return nil, os.WriteFile(b.Metadata, []byte(`{"containerimage.digest":"sha256:1"}`), 0o600)
		}}
		progress := &Progress{Tell: func(string) {}}
		_, err := c.Build(t.Context(), b, progress)
		blamed := progress.Gave(cache.Policy{Writes: "off", Reads: []string{"gha"}}, false)[0].Lost != ""
		if (err == nil) != succeeds || blamed != succeeds {
			t.Errorf("succeeds %v: %v, blamed %v", succeeds, err, blamed)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	program := func(names ...string) string {
		dir := t.TempDir()
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	own, plugin, both := program("buildx"), program("docker"), program("docker", "docker-buildx")
	for path, want := range map[string][]string{
		own:                {filepath.Join(own, "buildx")},
		plugin:             {filepath.Join(plugin, "docker"), "buildx"},
		both:               {filepath.Join(both, "docker-buildx")},
		plugin + ":" + own: {filepath.Join(own, "buildx")},
		program():          nil,
	} {
		got, err := Find([]string{"PATH=" + path})
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("Find() = %q, %v; want %q", got, err, want)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{"github.com/docker/buildx v0.35.0 73c8eb2\n": "0.35.0", "github.com/docker/buildx v0.38.2 \n": "0.38.2", "github.com/docker/buildx 73c8eb2\n": "github.com/docker/buildx 73c8eb2"} {
		s := script{out: map[string]string{"version": said}}
		if got, err := s.client().Version(t.Context()); got != want || err != nil {
			t.Errorf("%q is %q, %v", said, got, err)
		}
	}
}
