package plan

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/org/ghcr-publish/internal/dockerfile"
	"github.com/org/ghcr-publish/internal/git"
	"golang.org/x/sync/errgroup"
)

// ownFolder holds the memory, which changes with every run and decides no image.
const ownFolder = ".swarm/"

// A tree is a commit with its files, and of the one that is checked out the work tree: read once, asked for every service.
type tree struct {
	repo      git.Repo
	commit    string
	time      time.Time
	past      bool // the commit is not what is checked out
	files     []git.File
	links     map[string]bool // the files that stand for submodules
	symlinks  []string
	unwatched []string // files that git does not look at
	dirty     []string // files that differ from the commit
	hidden    []string // files and folders, ending in a slash, that git ignores
	// touched are the files that the builder may get otherwise than the commit has them, in order.
	touched []string

	distances map[string]git.Distance         // from commits that are published
	changed   memo[string, []string]          // files, by base commit
	ignores   memo[string, dockerfile.Ignore] // by ignore file
	disk      memo[string, git.File]          // files of the work tree
}

// A memo computes what it is asked for once for each key, for many askers at the same time.
type memo[K comparable, V any] struct {
	mu    sync.Mutex
	known map[K]func() (V, error)
}

func (m *memo[K, V]) get(key K, compute func() (V, error)) (V, error) {
	m.mu.Lock()
	if m.known == nil {
		m.known = map[K]func() (V, error){}
	}
	once, ok := m.known[key]
	if !ok {
		once = sync.OnceValues(compute)
		m.known[key] = once
	}
	m.mu.Unlock()
	return once()
}

// readTree reads the commit that is checked out; look tells where the work tree is not as the commit has it.
func (p Planner) readTree(ctx context.Context) (*tree, error) {
	t := &tree{repo: p.Repo, commit: p.Event.SHA}
	group, together := errgroup.WithContext(ctx)
	group.Go(func() (err error) { t.time, err = p.Repo.Time(together, t.commit); return err })
	group.Go(func() (err error) { t.files, t.unwatched, err = p.Repo.Tracked(together); return err })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	t.findLinks()
	return t, nil
}

// look finds the files that the builder may get otherwise than the commit has them. In a repository of very many folders
// it takes longer than all the rest.
func (t *tree) look(ctx context.Context) error {
	status, err := t.repo.Status(ctx)
	if err != nil {
		return err
	}
	converted, err := t.converted(ctx)
	if err != nil {
		return err
	}
	own := func(file string) bool { return strings.HasPrefix(file, ownFolder) }
	t.dirty, t.hidden = slices.DeleteFunc(status.Dirty, own), slices.DeleteFunc(status.Ignored, own)
	slices.Sort(t.dirty) // git lists new files apart
	t.touched = slices.Concat(t.dirty, t.unwatched, converted, t.hollow())
	slices.Sort(t.touched)
	t.touched = slices.Compact(t.touched)
	return nil
}

// checkedOut reads the commit that is checked out, and the work tree.
func (p Planner) checkedOut(ctx context.Context) (*tree, error) {
	t, err := p.readTree(ctx)
	if err == nil {
		err = t.look(ctx)
	}
	return t, err
}

// treeAt reads another commit of the clone.
func (p Planner) treeAt(ctx context.Context, commit string) (*tree, error) {
	t := &tree{repo: p.Repo, commit: commit, past: true}
	var err error
	t.files, err = p.Repo.Files(ctx, commit)
	slices.SortFunc(t.files, byPath)
	t.findLinks()
	return t, err
}

func (t *tree) findLinks() {
	t.links = map[string]bool{}
	for _, f := range t.files {
		switch f.Mode {
		case git.Submodule:
			t.links[f.Path] = true
		case git.Symlink:
			t.symlinks = append(t.symlinks, f.Path)
		}
	}
}

// hollow lists submodules that are not checked out: the builder gets an empty folder for them.
func (t *tree) hollow() []string {
	var hollow []string
	for link := range t.links {
		if _, err := os.Lstat(t.at(link + "/.git")); err != nil {
			hollow = append(hollow, link)
		}
	}
	return hollow
}

// converts finds the lines of a .gitattributes file by which a checked-out file may differ from the repository's.
var converts = regexp.MustCompile(`(?m)\s(filter=|ident\b|eol=crlf|working-tree-encoding=)`)

// converted lists the files that git changes as it checks them out. Most repositories have none, and tell so in
// very few attribute files.
func (t *tree) converted(ctx context.Context) ([]string, error) {
	var candidates []string
	for _, f := range t.files {
		if path.Base(f.Path) != ".gitattributes" {
			continue
		}
		if text, err := os.ReadFile(t.at(f.Path)); err == nil && !converts.Match(text) {
			continue
		}
		for _, f := range t.below([]string{asPrefix(path.Dir(f.Path))}) {
			candidates = append(candidates, f.Path)
		}
	}
	if len(candidates) == 0 {
		return nil, nil
	}
	slices.Sort(candidates)
	return t.repo.Converted(ctx, slices.Compact(candidates))
}

func (t *tree) at(file string) string { return filepath.Join(t.repo.Dir, filepath.FromSlash(file)) }

func (t *tree) has(file string) bool {
	if t.past {
		return t.id(file) != ""
	}
	_, err := os.Lstat(t.at(file))
	return err == nil
}

// read returns a file as the builder would get it, or as it was at a commit that is past.
func (t *tree) read(ctx context.Context, file string) ([]byte, error) {
	if t.past {
		return t.repo.Blob(ctx, t.id(file))
	}
	data, err := os.ReadFile(t.at(file))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return data, nil
}

// ignoreFile is the first of some ignore files that is there, which is the one that the builder reads; empty where none is.
func (t *tree) ignoreFile(ctx context.Context, files []string) string {
	for _, file := range files {
		if at := t.within(ctx, file); t.has(at) {
			return at
		}
	}
	return ""
}

// mostLinks is how many symbolic links are followed one after the other.
const mostLinks = 40

// within follows symbolic links as the builder does, which knows nothing but the folder that it is sent: whatever a link
// says, it leads to something in there.
func (t *tree) within(ctx context.Context, file string) string {
	folder, name := path.Split(file)
	for range mostLinks {
		target, is := t.target(ctx, folder+name)
		if !is {
			break
		}
		if !path.IsAbs(target) {
			target = path.Join("/", path.Dir(name), target)
		}
		name = path.Join("/", target)[1:]
	}
	return folder + name
}

// target is where a symbolic link leads.
func (t *tree) target(ctx context.Context, file string) (string, bool) {
	if t.past {
		if !slices.Contains(t.symlinks, file) {
			return "", false
		}
		text, err := t.repo.Blob(ctx, t.id(file))
		return string(text), err == nil
	}
	target, err := os.Readlink(t.at(file))
	return filepath.ToSlash(target), err == nil
}

// ignored reads an ignore file. What cannot be read lets all through.
func (t *tree) ignored(ctx context.Context, file string) dockerfile.Ignore {
	if file == "" {
		return dockerfile.Ignore{}
	}
	out, _ := t.ignores.get(file, func() (dockerfile.Ignore, error) {
		text, err := t.read(ctx, file)
		return dockerfile.ReadIgnore(text), err
	})
	return out
}

// id is the object id of a file; empty where the commit has no such file.
func (t *tree) id(file string) string {
	file = path.Clean(file)
	i, found := slices.BinarySearchFunc(t.files, git.File{Path: file}, byPath)
	if !found {
		return ""
	}
	return t.files[i].ID
}

func byPath(a, b git.File) int { return strings.Compare(a.Path, b.Path) }

// below returns the files whose paths begin as one of some sorted prefixes does, in order. Most services of a large
// repository have a folder of their own, so this saves looking at all the rest.
func (t *tree) below(prefixes []string) []git.File {
	var below []git.File
	for from, to := range ranges(t.files, prefixes, func(f git.File) string { return f.Path }) {
		below = append(below, t.files[from:to]...)
	}
	return below
}

func (t *tree) changedSince(ctx context.Context, base string) ([]string, error) {
	if d := t.distances[base]; d.Ancestor {
		return d.Changed, nil
	}
	return t.changed.get(base, func() ([]string, error) { return t.repo.Changed(ctx, base, t.commit) })
}

// onDisk describes a file of the work tree as git would if it were committed, so that equal files count as equal
// whether they are or not. A file that is not there has no mode.
func (t *tree) onDisk(file string) (git.File, error) {
	return t.disk.get(file, func() (git.File, error) {
		found := git.File{Path: strings.TrimSuffix(file, "/")}
		info, err := os.Lstat(t.at(file))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return found, nil
		case err != nil:
			return found, fmt.Errorf("reading %s: %w", file, err)
		case info.IsDir():
			found.Mode = git.Submodule // or a clone beside; what is in it is not known here
		case info.Mode()&fs.ModeSymlink != 0:
			found.Mode = git.Symlink
			target, err := os.Readlink(t.at(file))
			if err != nil {
				return found, fmt.Errorf("reading %s: %w", file, err)
			}
			found.ID, err = t.blob(strings.NewReader(target), int64(len(target)))
			return found, err
		case info.Mode().IsRegular():
			return t.regular(found, info)
		}
		return found, nil
	})
}

func (t *tree) regular(file git.File, info fs.FileInfo) (git.File, error) {
	file.Mode = "100644"
	if info.Mode()&0o111 != 0 {
		file.Mode = "100755"
	}
	f, err := os.Open(t.at(file.Path))
	if err != nil {
		return file, fmt.Errorf("reading %s: %w", file.Path, err)
	}
	defer f.Close()
	file.ID, err = t.blob(f, info.Size())
	return file, err
}

// blob is the id of an object that holds what is read.
func (t *tree) blob(content io.Reader, size int64) (string, error) {
	sum := sha1.New()
	if len(t.commit) == hex.EncodedLen(sha256.Size) {
		sum = sha256.New()
	}
	fmt.Fprintf(sum, "blob %d\x00", size)
	if _, err := io.Copy(sum, content); err != nil {
		return "", fmt.Errorf("reading a file: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// dirtyIn lists the files that differ from the commit and count. A clone beside, of which git tells its folder alone, counts
// for what is in it.
func (t *tree) dirtyIn(c *scope) []string {
	dirty := c.hits(t.dirty)
	for _, file := range t.dirty {
		if strings.HasSuffix(file, "/") && slices.ContainsFunc(c.prefixes, func(p string) bool { return strings.HasPrefix(p, file) }) {
			dirty = append(dirty, file)
		}
	}
	return dirty
}

// unseen lists the files that git ignores and the builder gets all the same.
func (t *tree) unseen(c *scope) []string {
	var unseen []string
	for _, name := range t.hidden {
		folder, isFolder := strings.CutSuffix(name, "/")
		if !isFolder {
			unseen = append(unseen, c.hits([]string{name})...)
			continue
		}
		if !c.mayHold(folder) {
			continue
		}
		_ = filepath.WalkDir(t.at(folder), func(at string, entry fs.DirEntry, err error) error {
			relative, outside := filepath.Rel(t.repo.Dir, at)
			relative = filepath.ToSlash(relative)
			switch {
			case err != nil || outside != nil:
				return fs.SkipDir // what cannot be read cannot be sent either
			case entry.IsDir() && !c.mayHold(relative):
				return fs.SkipDir
			case !entry.IsDir():
				unseen = append(unseen, c.hits([]string{relative})...)
			}
			return nil
		})
	}
	return unseen
}
