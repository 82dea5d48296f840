package action

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A hidden memory is out of the workspace while images are built from that: it changes with every run,
// so it would make every context another, and what it says is not for those who pull an image.
type hidden struct {
	path  string // of the database
	aside string // the folder it is in meanwhile
}

// In a private folder, what the folder aside holds belongs to where the file home says.
const (
	homeFile    = "memory.home"
	asideFolder = "memory"
)

// memoryPath is the absolute path of the memory; empty without one.
func (j job) memoryPath() string {
	switch path := j.Config.Memory; {
	case path == "off":
		return ""
	case filepath.IsAbs(path):
		return path
	default:
		return filepath.Join(j.Workspace, path)
	}
}

// file is where the memory is meanwhile, or would be.
func (h hidden) file() string { return filepath.Join(h.aside, filepath.Base(h.path)) }

// hide moves a memory out of its folder. Where there is none, nothing is done.
func hide(path, dir string) (hidden, error) {
	if path == "" {
		return hidden{}, nil
	}
	h := hidden{path, filepath.Join(dir, asideFolder)}
	if err := os.WriteFile(filepath.Join(dir, homeFile), []byte(path), 0o600); err != nil {
		return hidden{}, fmt.Errorf("setting the memory aside: %w", err)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		if err := moveAll(filepath.Dir(path), h.aside, filepath.Base(path), filepath.Base(path)); err != nil {
			return hidden{}, errors.Join(fmt.Errorf("setting the memory aside: %w", err), h.putBack())
		}
	}
	_ = syscall.Rmdir(filepath.Dir(path)) // an empty folder would be part of a context too
	return h, nil
}

// putBack moves the memory to where it was. Where another run put one meanwhile, that one stays, and this
// goes beside it.
func (h hidden) putBack() error {
	name := filepath.Base(h.path)
	if _, err := os.Lstat(filepath.Join(h.aside, name)); err != nil {
		return nil // there was none
	}
	as := name
	if _, err := os.Lstat(h.path); err == nil {
		as = fmt.Sprintf("%s.set-aside-%d", name, time.Now().UnixNano())
	}
	if err := moveAll(h.aside, filepath.Dir(h.path), name, as); err != nil {
		return fmt.Errorf("putting the memory back: %w", err)
	}
	if as != name {
		return fmt.Errorf("another run made %s meanwhile; what was there before is kept as %s", h.path, as)
	}
	return nil
}

// rescue puts back the memory that a killed run had set aside, if its workspace is still there. Only
// folders of one's own are trusted.
func rescue(dir string) {
	if !isOwn(dir) {
		return
	}
	home, err := os.ReadFile(filepath.Join(dir, homeFile))
	if err != nil || !filepath.IsAbs(string(home)) {
		return
	}
	if _, err := os.Stat(filepath.Dir(filepath.Dir(string(home)))); err == nil {
		_ = hidden{string(home), filepath.Join(dir, asideFolder)}.putBack() // whose it is can do without
	}
}

func isOwn(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Getuid()
}

// whereNow is where the memory of a path is: there, or out of the workspace while a run of one's own builds images.
func whereNow(path, temp string) string {
	if _, err := os.Lstat(path); err == nil {
		return path
	}
	homes, _ := filepath.Glob(filepath.Join(temp, privatePrefix+"*", homeFile))
	for _, file := range homes {
		aside := filepath.Join(filepath.Dir(file), asideFolder, filepath.Base(path))
		home, err := os.ReadFile(file)
		if err == nil && string(home) == path && exists(aside) && isOwn(filepath.Dir(file)) {
			return aside
		}
	}
	return path
}

// moveAll moves the files of a memory from one folder to another: the database, and what is kept beside
// it under a name that begins with its own, all under a new name. The database itself goes last: its presence counts.
func moveAll(from, to, name, as string) error {
	entries, err := os.ReadDir(from)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return err
	}
	var files []string
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasPrefix(e.Name(), name) {
			files = append(files, e.Name())
		}
	}
	slices.Reverse(files) // sorted by name, the shortest came first
	for _, file := range files {
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		err := move(filepath.Join(from, file), filepath.Join(to, as+strings.TrimPrefix(file, name)))
		if errors.Is(err, fs.ErrNotExist) && file != name {
			continue // who had the memory open has closed it, and what stood beside it is gone
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// move renames a file, or copies it where the two places are on different file systems.
func move(from, to string) error {
	err := os.Rename(from, to)
	if errors.Is(err, syscall.EXDEV) {
		return moveByCopy(from, to)
	}
	return err
}

func moveByCopy(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	beside := filepath.Join(filepath.Dir(to), ".new-"+filepath.Base(to)+"."+rand.Text()) // where nobody else writes, and no commit can have put a link
	out, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(beside, to)
	}
	if err != nil {
		_ = os.Remove(beside)
		return err
	}
	return os.Remove(from)
}
