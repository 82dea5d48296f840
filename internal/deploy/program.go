package deploy

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/run"
)

// A Program is Docker Compose, for one project.
type Program struct {
	Run      run.Func
	Argv     []string // the program: {"docker-compose"} or {"docker", "compose"}
	Env      []string // with where the engine is, the registry's login and what fills the file in
	Folder   string   // what relative paths in the file are meant from
	Private  string   // a folder for what nobody else is to read
	Project  string
	Profiles []string // that are asked for now
	Tell     func(format string, args ...any)
}

// Find returns the Docker Compose to use, and its version: the program itself where it is on the PATH of an environment, else docker's plugin. The
// first of both that is not too old is taken: version 1, which is still about, cannot wait.
func Find(ctx context.Context, start run.Func, env []string) (argv []string, version string, err error) {
	for _, program := range [][]string{{"docker-compose"}, {"docker", "compose"}} {
		path, missing := run.Find(env, program[0])
		if missing != nil {
			continue
		}
		argv = append([]string{path}, program[1:]...)
		out, failed := start(ctx, run.Command{Argv: append(slices.Clone(argv), "version", "--short"), Env: env})
		version = strings.TrimPrefix(strings.TrimSpace(string(out)), "v")
		if failed == nil && version != "" && !strings.HasPrefix(version, "1.") {
			return argv, version, nil
		}
	}
	return nil, "", errors.New("there is no Docker Compose 2 here: use the action's own image, which brings it, or see https://docs.docker.com/compose/install")
}

// command is one of Compose for a version, whose files it writes.
func (p Program) command(v Version, args ...string) (run.Command, error) {
	argv := append(slices.Clone(p.Argv), "--project-name", p.Project, "--project-directory", p.Folder, "--progress", "plain", "--ansi", "never")
	for i, text := range []string{v.File, v.Over} {
		if text == "" {
			continue
		}
		file := filepath.Join(p.Private, fmt.Sprintf("compose-%d.yaml", i))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return run.Command{}, fmt.Errorf("writing the Compose file: %w", err)
		}
		argv = append(argv, "--file", file)
	}
	for _, profile := range v.Profiles {
		argv = append(argv, "--profile", profile)
	}
	return run.Command{Argv: append(argv, args...), Env: p.Env}, nil
}

// Images are those of the services of which a version runs any containers in its profiles.
func (p Program) Images(ctx context.Context, v Version) (map[string]string, error) {
	services, err := p.services(ctx, v)
	if err != nil {
		return nil, err
	}
	images := map[string]string{}
	for name, s := range services {
		if s.containers() != 0 {
			images[name] = s.Image
		}
	}
	return images, nil
}

// A configured is a service as Compose reads it.
type configured struct {
	Image       string
	Labels      map[string]string
	Environment map[string]string
	Scale       *int
	Deploy      struct{ Replicas *int }
}

// containers is how many there are to be of a service.
func (c configured) containers() int {
	one := 1
	return *cmp.Or(c.Scale, c.Deploy.Replicas, &one)
}

// services are those that a version runs in its profiles.
func (p Program) services(ctx context.Context, v Version) (map[string]configured, error) {
	c, err := p.command(v, "config", "--format", "json")
	if err != nil {
		return nil, err
	}
	out, err := p.Run(ctx, c)
	if err != nil {
		return nil, said(err)
	}
	var config struct{ Services map[string]configured }
	if err := json.Unmarshal(out, &config); err != nil {
		return nil, fmt.Errorf("reading what Docker Compose says: %w", err)
	}
	return config.Services, nil
}

// hashes are how Compose tells one definition of a service from another; its containers bear them.
func (p Program) hashes(ctx context.Context, v Version) (map[string]string, error) {
	c, err := p.command(v, "config", "--hash", "*")
	if err != nil {
		return nil, err
	}
	out, err := p.Run(ctx, c)
	if err != nil {
		return nil, said(err)
	}
	hashes := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, hash, _ := strings.Cut(strings.TrimSpace(line), " ")
		hashes[name] = hash
	}
	return hashes, nil
}

// Pull fetches the images that the host lacks. What it has is not asked for, so no companion is replaced by a newer one.
func (p Program) Pull(ctx context.Context, v Version) error {
	p.Tell("pulling what the host lacks of %d images", len(v.Images))
	return p.tell(ctx, "pulling the images", v, "pull", "--policy", "missing", "--ignore-buildable", "--quiet")
}

// Up starts the services of a version that are not as the file says, whatever others they need, and takes away what is not in it any more.
func (p Program) Up(ctx context.Context, v Version) error {
	args := []string{"up", "--detach", "--remove-orphans", "--no-build", "--quiet-pull", "--no-deps"}
	return p.tell(ctx, "starting the services", v, append(args, slices.Sorted(maps.Keys(v.Images))...)...)
}

// Down takes all away but the volumes.
func (p Program) Down(ctx context.Context, v Version) error {
	return p.tell(ctx, "taking the services down", v, "down", "--remove-orphans")
}

func (p Program) tell(ctx context.Context, what string, v Version, args ...string) error {
	c, err := p.command(v, args...)
	if err != nil {
		return err
	}
	tell := func(line string) { p.Tell("  %s", line) }
	out, problems := &lines{tell: tell}, &lines{tell: tell}
	c.Stdout, c.Stderr = out, problems
	patient := p.Run
	if args[0] == "pull" {
		patient = run.Patient(p.Run)
	}
	_, err = patient(ctx, c)
	out.end()
	problems.end()
	if err != nil {
		return fmt.Errorf("%s: %w", what, said(err))
	}
	return nil
}

// said keeps of a program's failure what it said last.
func said(err error) error {
	var failed *run.Error
	if !errors.As(err, &failed) || failed.Code < 0 || strings.TrimSpace(failed.Stderr) == "" {
		return err
	}
	all := strings.Split(strings.TrimSpace(strings.ReplaceAll(failed.Stderr, "\r", "")), "\n")
	return errors.New(strings.Join(all[max(0, len(all)-3):], "\n"))
}

// lines tells of each line that is written. It is one for each stream of a program: both are written to at the same time.
type lines struct {
	tell func(string)
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		l.say(line)
		l.rest = rest
	}
}

func (l *lines) say(line []byte) {
	if text := strings.TrimSpace(string(line)); text != "" {
		l.tell(cut(text))
	}
}

func (l *lines) end() {
	l.say(l.rest)
	l.rest = nil
}

// longest is how many characters of a line are told that others wrote.
const longest = 300

func cut(line string) string {
	line = strings.ToValidUTF8(line, "�")
	if all := []rune(line); len(all) > longest {
		return string(all[:longest]) + "…"
	}
	return line
}
