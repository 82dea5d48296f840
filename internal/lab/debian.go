package lab

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/run"
)

// enginePackages is what Docker Engine takes on Debian; iptables is only recommended by its package, yet needed.
var enginePackages = []string{"docker.io", "iptables"}

func (s *setup) installEngine(ctx context.Context) error {
	if err := s.install(ctx, enginePackages...); err != nil {
		return fmt.Errorf("installing Docker Engine: %w", err)
	}
	return nil
}

// install installs Debian packages on this machine.
func (s *setup) install(ctx context.Context, packages ...string) error {
	s.say("installing Debian packages: %s", strings.Join(packages, " "))
	env := append(systemEnv(os.Environ()), "DEBIAN_FRONTEND=noninteractive")
	install := append([]string{"apt-get", "install", "-y", "-qq", "--no-install-recommends"}, packages...)
	for _, argv := range [][]string{{"apt-get", "update", "-qq"}, install} {
		if _, err := run.OS(ctx, run.Command{Argv: argv, Env: env}); err != nil {
			return err
		}
	}
	return nil
}

// packages returns the paths of Debian packages named NAME:ARCHITECTURE, downloaded once and
// never installed: installing an emulator would register it, and that is the product's to do.
func (s *setup) packages(ctx context.Context, names ...string) (map[string]string, error) {
	have, lack := s.downloaded(names)
	if len(lack) == 0 {
		return have, nil
	}
	if !onPath("apt-get") || !onPath("dpkg-deb") {
		return nil, fmt.Errorf("downloading Debian packages %s: no public registry is in reach, and this is not a Debian system", strings.Join(lack, ", "))
	}
	s.say("downloading Debian packages: %s", strings.Join(lack, " "))
	if err := s.download(ctx, lack); err != nil {
		return nil, fmt.Errorf("downloading Debian packages: %w", err)
	}
	have, lack = s.downloaded(names)
	if len(lack) > 0 {
		return nil, fmt.Errorf("downloading Debian packages: apt-get left no file for %s", strings.Join(lack, ", "))
	}
	return have, nil
}

func (s *setup) downloaded(names []string) (have map[string]string, lack []string) {
	have = map[string]string{}
	for _, name := range names {
		pkg, arch, _ := strings.Cut(name, ":")
		files, _ := filepath.Glob(filepath.Join(s.debs(), pkg+"_*_"+arch+".deb"))
		if len(files) == 0 {
			lack = append(lack, name)
			continue
		}
		have[name] = files[0]
	}
	return have, lack
}

// download fetches packages with package lists of its own: another architecture's packages then
// need neither root nor a change to the machine's.
func (s *setup) download(ctx context.Context, names []string) error {
	dir, remove, err := s.scratch()
	if err != nil {
		return err
	}
	defer remove()
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial", "debs"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	apt := []string{"apt-get", "-qq",
		"-o", "Dir::State=" + filepath.Join(dir, "state"),
		"-o", "Dir::State::status=/var/lib/dpkg/status",
		"-o", "Dir::Cache=" + filepath.Join(dir, "cache"),
		"-o", "APT::Architectures=" + strings.Join(archsOf(names), ","),
		"-o", "APT::Sandbox::User=root", // its usual user may not enter this directory
	}
	debs := filepath.Join(dir, "debs")
	for _, args := range [][]string{{"update"}, append([]string{"download"}, names...)} {
		if _, err := run.OS(ctx, run.Command{Argv: slices.Concat(apt, args), Dir: debs, Env: os.Environ()}); err != nil {
			return err
		}
	}
	return moveAll(debs, s.debs())
}

// archsOf are the architectures of packages: a mirror need not have others.
func archsOf(names []string) (all []string) {
	for _, name := range names {
		if _, arch, _ := strings.Cut(name, ":"); !slices.Contains(all, arch) {
			all = append(all, arch)
		}
	}
	return all
}

func moveAll(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// extract returns the first of paths that a Debian package holds.
func extract(ctx context.Context, deb string, paths ...string) ([]byte, error) {
	r, w := io.Pipe()
	go func() {
		_, err := run.OS(ctx, run.Command{Argv: []string{"dpkg-deb", "--fsys-tarfile", deb}, Env: os.Environ(), Stdout: w})
		w.CloseWithError(err)
	}()
	defer r.Close()
	data, err := find(tar.NewReader(r), paths)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", filepath.Base(deb), err)
	}
	return data, nil
}

func find(r *tar.Reader, paths []string) ([]byte, error) {
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("it holds none of %s", strings.Join(paths, ", "))
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag == tar.TypeReg && slices.Contains(paths, strings.TrimPrefix(header.Name, "./")) {
			return io.ReadAll(r)
		}
	}
}
