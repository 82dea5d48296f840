package action

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// A private folder holds what only this run may see: the registry login in Docker's form, buildx's
// state and metadata. It is removed when the run ends; what a killed run left is removed by the next.
type privateDir struct {
	path string
	lock *os.File
}

const privatePrefix = "ghcr-publish-private-"

func newPrivateDir(temp string) (*privateDir, error) {
	sweepPrivate(temp)
	path, err := os.MkdirTemp(temp, privatePrefix)
	if err != nil {
		return nil, fmt.Errorf("making a private folder: %w", err)
	}
	// The lock goes when the process does, however it ends.
	lock, err := lockFile(path, os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("locking the private folder: %w", err)
	}
	return &privateDir{path, lock}, nil
}

func lockFile(dir string, flag int) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|flag, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sweepPrivate removes the folders of runs that are no more, and returns their paths. One without a lock
// is just being made, and one that cannot be looked into belongs to somebody else.
func sweepPrivate(temp string) (gone []string) {
	left, _ := filepath.Glob(filepath.Join(temp, privatePrefix+"*"))
	for _, dir := range left {
		if f, err := lockFile(dir, 0); err == nil {
			rescue(dir)
			os.RemoveAll(dir)
			f.Close()
			gone = append(gone, dir)
		}
	}
	return gone
}

// mounts names this process's view of the file system; empty where the system does not say. Runs in
// containers of their own may have folders of the same path.
func mounts() string {
	id, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return ""
	}
	return id
}

// owner names the run by its folder.
func (d *privateDir) owner() string { return mounts() + " " + d.path }

// ownerGone reports whether a run, by its owner's name, is surely no more: its folder is gone or
// nobody locks it. Of a run with another view of the file system nothing can be said.
func ownerGone(owner string) bool {
	id, path, ok := strings.Cut(owner, " ")
	if !ok || id == "" || id != mounts() {
		return false
	}
	f, err := lockFile(path, 0)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	f.Close()
	return true
}

// Close removes the folder.
func (d *privateDir) Close() error {
	err := os.RemoveAll(d.path)
	d.lock.Close()
	return err
}

// A login is to a registry; without a password it is none.
type login struct{ registry, username, password string }

// login writes a Docker configuration that knows the passwords of registries; of two for the same registry the last. Docker's own plugins
// stay in reach, because buildx may be one of them.
func (d *privateDir) login(home string, all ...login) error {
	config := map[string]any{"cliPluginsExtraDirs": []string{filepath.Join(home, ".docker", "cli-plugins")}}
	auths := map[string]any{}
	for _, l := range all {
		if l.password != "" {
			auth := base64.StdEncoding.EncodeToString([]byte(l.username + ":" + l.password))
			auths[loginKey(l.registry)] = map[string]string{"auth": auth}
		}
	}
	if len(auths) > 0 {
		config["auths"] = auths
	}
	data, err := json.Marshal(config)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.path, "config.json"), data, 0o600); err != nil {
		return fmt.Errorf("writing the private login: %w", err)
	}
	return nil
}

// loginKey is the name under which Docker looks a registry's login up.
func loginKey(registry string) string {
	if host, err := name.NewRegistry(registry); err == nil && host.RegistryStr() == name.DefaultRegistry {
		return authn.DefaultAuthKey
	}
	return registry
}

// buildxState is where buildx keeps its builders, and what they were asked for.
func (d *privateDir) buildxState() string { return filepath.Join(d.path, "buildx") }

// environ is what children inherit that speak to the registry: the private login, and a git that
// reads the workspace whoever owns it (buildx asks git for the provenance).
func (d *privateDir) environ(base []string, workspace string) []string {
	env := append(slices.Clone(base), "DOCKER_CONFIG="+d.path, "BUILDX_CONFIG="+d.buildxState(), "BUILDX_METADATA_PROVENANCE=disabled")
	n := 0
	for _, entry := range base {
		if count, ok := strings.CutPrefix(entry, "GIT_CONFIG_COUNT="); ok {
			n, _ = strconv.Atoi(count)
		}
	}
	return append(env, fmt.Sprintf("GIT_CONFIG_COUNT=%d", n+1), fmt.Sprintf("GIT_CONFIG_KEY_%d=safe.directory", n), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", n, workspace))
}
