package buildx

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/run"
)

// A Client runs buildx.
type Client struct {
	Run  run.Func
	Argv []string // the program: {"buildx"} or {"docker", "buildx"}
	Env  []string
}

// Find returns the buildx to use: the program itself where it is on the PATH of an environment, else
// docker's plugin.
func Find(env []string) ([]string, error) {
	if path, err := run.Find(env, "buildx", "docker-buildx"); err == nil {
		return []string{path}, nil
	}
	path, err := run.Find(env, "docker")
	if err != nil {
		return nil, errors.New("docker buildx is not installed; see https://docs.docker.com/build/install-buildx")
	}
	return []string{path, "buildx"}, nil
}

func (c *Client) run(ctx context.Context, args ...string) (string, error) {
	out, err := c.Run(ctx, run.Command{Argv: append(slices.Clone(c.Argv), args...), Env: c.Env})
	return string(out), err
}

// release finds a release in what buildx says of itself: "github.com/docker/buildx v0.35.0 0123abc".
var release = regexp.MustCompile(`[0-9]+\.[0-9]+\.[0-9]+`)

// Version returns buildx's own: "0.35.0"; all that it says of itself where it is no release.
func (c *Client) Version(ctx context.Context) (string, error) {
	out, err := c.run(ctx, "version")
	return cmp.Or(release.FindString(out), strings.TrimSpace(out)), err
}

// A Started builder is up.
type Started struct {
	Platforms []string // that it can build for
	New       bool     // its container was made just now, so it has no layers of its own
}

// Start makes the builder, or adopts a running one of the same name, and waits until it is up.
func (c *Client) Start(ctx context.Context, b Builder) (Started, error) {
	if _, err := c.run(ctx, b.CreateArgs()...); err != nil && !strings.Contains(err.Error(), "existing instance for") {
		return Started{}, fmt.Errorf("making builder %s: %w", b.Name, err)
	}
	started, err := c.Boot(ctx, b.Name)
	if err != nil && strings.Contains(err.Error(), "is already in use by container") {
		return c.Boot(ctx, b.Name) // another job started it at the same moment
	}
	return started, err
}

// Assemble makes one builder of several nodes, and waits until all of them are up.
func (c *Client) Assemble(ctx context.Context, name string, nodes []Node, config string) (Started, error) {
	_, _ = c.run(ctx, "rm", "--keep-daemon", "--keep-state", "--force", "--", name) // which an earlier lot of this run may have made
	for i, n := range nodes {
		if _, err := c.run(ctx, CreateNodeArgs(name, n, i, config)...); err != nil {
			return Started{}, fmt.Errorf("making builder %s of %s: %w", name, n, err)
		}
	}
	return c.Boot(ctx, name)
}

// Boot starts a builder where it does not run.
func (c *Client) Boot(ctx context.Context, builder string) (started Started, err error) {
	var told bytes.Buffer
	argv := append(slices.Clone(c.Argv), "inspect", "--bootstrap", "--", builder)
	out, err := c.Run(ctx, run.Command{Argv: argv, Env: c.Env, Stderr: &told})
	if err != nil {
		return started, fmt.Errorf("starting builder %s: %w", builder, err)
	}
	for line := range strings.SplitSeq(string(out), "\n") {
		if list, ok := strings.CutPrefix(line, "Platforms:"); ok {
			for p := range strings.SplitSeq(list, ",") {
				if p = strings.TrimRight(strings.TrimSpace(p), "*"); p != "" {
					started.Platforms = append(started.Platforms, p)
				}
			}
		}
	}
	started.New = strings.Contains(told.String(), "creating container "+Container(builder))
	return started, nil
}

// Build builds, telling progress as it goes, and returns the digest of the pushed image index. Where the registry fails for a
// reason that passes, it is done again: what was built is in the builder's cache by then. At last it is tried without the layers
// of other runs, of which one may be listed and gone.
func (c *Client) Build(ctx context.Context, b Build, progress *Progress) (digest string, err error) {
	if err := os.MkdirAll(filepath.Dir(b.Metadata), 0o700); err != nil {
		return "", fmt.Errorf("building: %w", err)
	}
	err = c.build(ctx, b, progress)
	for try := 0; err != nil && ctx.Err() == nil && try < run.Tries; try++ {
		next := again(&b, err.Error(), progress)
		if next == nil || !run.Pause(ctx, try) {
			break
		}
		err = c.build(ctx, b, next)
	}
	if err != nil {
		progress.acquit()
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", err
	}
	return readDigest(b.Metadata)
}

// again changes what a build that failed is tried with once more, and returns what follows that; nil where it is not worth a try.
func again(b *Build, said string, progress *Progress) *Progress {
	readable := b.CacheFrom == nil || !unreadable.MatchString(said)
	switch {
	case b.without(said):
	case run.Own(said):
		return nil
	case readable && run.Passes(said):
		progress.tell("the registry failed, so this is done again")
		return &Progress{Tell: progress.Tell} // what the steps took is known from the first time
	case readable && refused.MatchString(said):
		return nil // a cache has no part in that
	case b.CacheFrom != nil:
		b.CacheFrom = nil // what is written takes the place of what cannot be read
	case b.CacheTo != nil:
		b.CacheTo = nil
	default:
		return nil
	}
	progress.forsake(said)
	return progress
}

// unreadable is how BuildKit says that layers of a cache are not as they are listed: they are read once they are needed.
var unreadable = regexp.MustCompile(`failed to compute cache key|short read`)

// refused is how registries refuse an image, or the one that it is made from.
var refused = regexp.MustCompile(`failed to push|failed to resolve source metadata|\] load metadata for |denied|unauthorized|insufficient_scope`)

func (c *Client) build(ctx context.Context, b Build, progress *Progress) error {
	watched, end := context.WithCancelCause(ctx)
	defer end(nil)
	go progress.watch(watched, end)
	_, err := c.Run(watched, run.Command{Argv: append(slices.Clone(c.Argv), b.Args()...), Env: c.Env, Stderr: progress})
	progress.end()
	if stuck := context.Cause(watched); err != nil && stuck != nil && ctx.Err() == nil {
		return fmt.Errorf("building with buildx: %w", stuck)
	}
	if err != nil {
		return fmt.Errorf("building with buildx: %s", cmp.Or(progress.Explanation(), err.Error()))
	}
	return nil
}

// Share makes a builder of one state of buildx's known to another, which then lists only what is asked for by way of that. It goes on sending only what has
// changed of a context, as the builder knows the sender again.
func Share(from, to, builder string) error {
	for _, file := range []string{filepath.Join("instances", strings.ToLower(builder)), ".buildNodeID"} {
		data, err := os.ReadFile(filepath.Join(from, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue // Docker's own builder is known everywhere
		}
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(to, file)), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, file), data, 0o600)
		}
		if err != nil {
			return fmt.Errorf("sharing builder %s: %w", builder, err)
		}
	}
	return nil
}

// Refs lists the builds that buildx, with its state in a folder, has asked a builder for. It keeps names in lower case.
func Refs(state, builder string) []string {
	files, _ := filepath.Glob(filepath.Join(state, "refs", strings.ToLower(builder), "*", "*"))
	refs := make([]string, len(files))
	for i, file := range files {
		refs[i] = filepath.Base(file)
	}
	return refs
}

// Forget has a builder forget builds. What it keeps of one holds all that it was asked with, secrets of caches too.
func (c *Client) Forget(ctx context.Context, builder string, refs []string) error {
	if _, err := c.run(ctx, append([]string{"history", "rm", "--builder", builder}, refs...)...); err != nil {
		return fmt.Errorf("having builder %s forget its builds: %w", builder, err)
	}
	return nil
}

// Trace is what BuildKit has recorded of a build that is over: spans of OpenTelemetry, in Jaeger's form. Of a build that has just ended it takes a second.
func (c *Client) Trace(ctx context.Context, builder, ref string) ([]byte, error) {
	trace, err := c.run(ctx, "history", "trace", "--builder", builder, ref)
	return []byte(trace), err
}

// readDigest reads the index's digest from buildx's metadata file.
func readDigest(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading buildx's metadata: %w", err)
	}
	var metadata struct {
		Digest string `json:"containerimage.digest"`
	}
	if err := json.Unmarshal(data, &metadata); err != nil {
		return "", fmt.Errorf("reading buildx's metadata: %w", err)
	}
	if metadata.Digest == "" {
		return "", errors.New("reading buildx's metadata: it names no digest")
	}
	return metadata.Digest, nil
}
