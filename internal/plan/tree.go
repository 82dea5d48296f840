package plan

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
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
	links   map[string]bool     // the files that stand for submodules
	dirty   []string            // files that differ from the commit
	changed map[string][]string // by base commit
	// unusable are bases that were asked for, with the reason why none can be compared with them; empty for the others.
	unusable map[string]string
	ignores  map[string]ignored // by ignore file
	past     bool               // the commit is not what is checked out
}

func (p Planner) readTree(ctx context.Context) (*tree, error) {
	t := &tree{repo: p.Repo, commit: p.Event.SHA, changed: map[string][]string{}, unusable: map[string]string{}, ignores: map[string]ignored{}}
	var err error
	if t.time, err = p.Repo.Time(ctx, t.commit); err != nil {
		return nil, err
	}
	if err = t.readFiles(ctx); err != nil {
		return nil, err
	}
	t.dirty, err = p.Repo.Dirty(ctx)
	if err == nil {
		err = t.readIgnores(ctx, p.Config.Services)
	}
	t.dirty = slices.DeleteFunc(t.dirty, func(f string) bool { return strings.HasPrefix(f, ownFolder) })
	return t, err
}

func (t *tree) readFiles(ctx context.Context) error {
	var err error
	t.files, err = t.repo.Files(ctx, t.commit)
	slices.SortFunc(t.files, byPath)
	t.links = map[string]bool{}
	for _, f := range t.files {
		if f.Mode == git.Submodule {
			t.links[f.Path] = true
		}
	}
	return err
}

// InputsAt returns the inputs digest that a service has at another commit of the clone, as far as its
// definition tells, which must be the same there.
func (p Planner) InputsAt(ctx context.Context, s Service, commit string) (string, error) {
	here, there := &tree{repo: p.Repo, commit: p.Event.SHA}, &tree{repo: p.Repo, commit: commit, ignores: map[string]ignored{}, past: true}
	if err := errors.Join(here.readFiles(ctx), there.readFiles(ctx)); err != nil {
		return "", err
	}
	for _, file := range p.Config.From {
		if here.id(file) != there.id(file) {
			return "", fmt.Errorf("%s is another at %s", file, shortSHA(commit))
		}
	}
	if err := there.readIgnores(ctx, p.Config.Services); err != nil {
		return "", err
	}
	return there.inputs(s.Definition)
}

// readIgnores reads the ignore files that decide what is in a context.
func (t *tree) readIgnores(ctx context.Context, services []service.Service) error {
	for _, s := range services {
		if len(s.Paths) > 0 {
			continue // which say themselves what counts
		}
		file := t.ignoreFile(s)
		if _, known := t.ignores[file]; known || file == "" {
			continue
		}
		text, err := t.read(ctx, file)
		if err != nil {
			return err
		}
		t.ignores[file] = readIgnored(text)
	}
	return nil
}

// ignoreFile names the ignore file that the builder reads for a service; empty where there is none. The
// Dockerfile's own comes before the context's.
func (t *tree) ignoreFile(s service.Service) string {
	for _, file := range ignoreFiles(s) {
		if t.has(file) {
			return file
		}
	}
	return ""
}

func (t *tree) has(file string) bool {
	if t.past {
		return t.id(file) != ""
	}
	_, err := os.Lstat(filepath.Join(t.repo.Dir, filepath.FromSlash(file)))
	return err == nil
}

// read returns a file as the builder would get it, or as it was at a commit that is past.
func (t *tree) read(ctx context.Context, file string) ([]byte, error) {
	if t.past {
		return t.repo.Blob(ctx, t.id(file))
	}
	data, err := os.ReadFile(filepath.Join(t.repo.Dir, filepath.FromSlash(file)))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return data, nil
}

// watched tells which files count for a service: those that its paths say, or else what the builder gets of its
// context. Dockerfile and ignore files always count.
func (t *tree) watched(s service.Service) func(file string) bool {
	selected := selector(s.WatchedPaths(), t.links)
	out := t.ignores[t.ignoreFile(s)]
	if len(s.Paths) > 0 || out.matcher == nil {
		return selected
	}
	always := append(ignoreFiles(s), s.Dockerfile)
	return func(file string) bool {
		if !selected(file) || slices.Contains(always, file) {
			return selected(file)
		}
		inside, below := strings.CutPrefix(file, s.Context+"/")
		if s.Context != "." && !below {
			return true
		}
		if t.links[file] {
			return !out.wholly(inside) // what is in a submodule is not known here
		}
		return !out.matches(inside)
	}
}

// id is the object id of a file; empty where the commit has no such file.
func (t *tree) id(file string) string { return t.file(path.Clean(file)).ID }

// file is a file of the commit; the zero value where it has none of that path.
func (t *tree) file(name string) git.File {
	i, found := slices.BinarySearchFunc(t.files, git.File{Path: name}, byPath)
	if !found {
		return git.File{}
	}
	return t.files[i]
}

// near returns the files that may count for a service, and few others: those that begin as one of its patterns
// does. Most services of a large repository have a folder of their own, so this saves looking at all the rest.
func (t *tree) near(s service.Service) []git.File {
	var prefixes []string
	for _, text := range s.WatchedPaths() {
		if p := newPattern(text); !p.negative {
			prefixes = append(prefixes, p.literal)
		}
	}
	slices.Sort(prefixes)
	var near []git.File
	covered := 0 // files before this one were looked at
	for _, prefix := range prefixes {
		from, _ := slices.BinarySearchFunc(t.files, prefix, func(f git.File, prefix string) int { return strings.Compare(f.Path, prefix) })
		to := from + sort.Search(len(t.files)-from, func(i int) bool { return !strings.HasPrefix(t.files[from+i].Path, prefix) })
		if from = max(from, covered); from < to {
			near, covered = append(near, t.files[from:to]...), to
		}
	}
	// A pattern for something in a submodule begins below its link.
	for link := range t.links {
		if !slices.ContainsFunc(near, func(n git.File) bool { return n.Path == link }) {
			near = append(near, t.file(link))
		}
	}
	slices.SortFunc(near, byPath)
	return near
}

func byPath(a, b git.File) int { return strings.Compare(a.Path, b.Path) }

// matching returns the files that count for a service.
func (t *tree) matching(s service.Service, files []string) []string {
	var hits []string
	watched := t.watched(s)
	for _, file := range files {
		if watched(file) {
			hits = append(hits, file)
		}
	}
	return hits
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
	definition, err := json.Marshal([]any{s.Context, s.Dockerfile, s.Target, s.BuildArgs, s.Labels, s.Annotations, s.Platforms})
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n", definition)
	watched := t.watched(s)
	var line []byte
	for _, f := range t.near(s) {
		if watched(f.Path) {
			line = append(append(append(append(line[:0], f.Mode...), ' '), f.ID...), ' ')
			sum.Write(append(strconv.AppendQuote(line, f.Path), '\n'))
		}
	}
	for _, name := range t.matching(s, t.dirty) {
		if err := hashFile(sum, t.repo.Dir, name); err != nil {
			return "", err
		}
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// hashFile adds a file of the work tree; one that was deleted, or is no plain file, counts by its name.
func hashFile(sum io.Writer, dir, name string) error {
	fmt.Fprintf(sum, "dirty %q\n", name)
	at := filepath.Join(dir, filepath.FromSlash(name))
	if info, err := os.Lstat(at); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(at)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	defer f.Close()
	_, err = io.Copy(sum, f)
	return err
}
