package plan

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/service"
)

// ownFolder holds the memory, which changes with every run and decides no image.
const ownFolder = ".swarm/"

// A tree is the checked-out commit: read once, asked for every service.
type tree struct {
	repo    git.Repo
	commit  string
	time    time.Time
	files   []git.File
	dirty   []string            // files that differ from the commit
	changed map[string][]string // by base commit
}

func (p Planner) readTree(ctx context.Context) (*tree, error) {
	t := &tree{repo: p.Repo, commit: p.Event.SHA, changed: map[string][]string{}}
	var err error
	if t.time, err = p.Repo.Time(ctx, t.commit); err != nil {
		return nil, err
	}
	if t.files, err = p.Repo.Files(ctx, t.commit); err != nil {
		return nil, err
	}
	t.dirty, err = p.Repo.Dirty(ctx)
	t.dirty = slices.DeleteFunc(t.dirty, func(f string) bool { return strings.HasPrefix(f, ownFolder) })
	return t, err
}

// revision names the commit that an image is built from. With uncommitted files there is none, and
// the name says so: no later run will take it for a commit.
func (t *tree) revision() string {
	if len(t.dirty) > 0 {
		return t.commit + "-dirty"
	}
	return t.commit
}

func (t *tree) changedSince(ctx context.Context, base string) ([]string, error) {
	if files, known := t.changed[base]; known {
		return files, nil
	}
	files, err := t.repo.Changed(ctx, base, t.commit)
	if err != nil {
		return nil, err
	}
	t.changed[base] = files
	return files, nil
}

// inputs is the digest of what decides a service's image: its definition, and mode, name and
// content of each watched file. Labels that this program makes do not count.
func (t *tree) inputs(s service.Service) (string, error) {
	definition, err := json.Marshal([]any{s.Context, s.Dockerfile, s.Target, s.BuildArgs, s.Labels, s.Platforms})
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n", definition)
	patterns := s.WatchedPaths()
	watched := selector(patterns)
	for _, f := range t.files {
		if watched(f.Path) {
			fmt.Fprintf(sum, "%s %s %q\n", f.Mode, f.ID, f.Path)
		}
	}
	for _, name := range matching(patterns, t.dirty) {
		if err := hashFile(sum, t.repo.Dir, name); err != nil {
			return "", err
		}
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// hashFile adds a file of the work tree; one that was deleted, or is no plain file, counts by its name.
func hashFile(sum io.Writer, dir, name string) error {
	fmt.Fprintf(sum, "dirty %q\n", name)
	path := filepath.Join(dir, filepath.FromSlash(name))
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	defer f.Close()
	_, err = io.Copy(sum, f)
	return err
}
