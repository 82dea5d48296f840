package action

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPrivateDirsOfDeadRunsAreSwept(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	alive, err := newPrivateDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(temp, privatePrefix+"dead")
	fresh := filepath.Join(temp, privatePrefix+"fresh") // not locked yet: it is just being made
	for _, dir := range []string{dead, fresh} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dead, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if ownerGone(alive.owner()) || !ownerGone(mounts()+" "+dead) || ownerGone("elsewhere "+dead) || ownerGone("") {
		t.Errorf("gone: alive %v, dead %v, of another machine %v, unnamed %v",
			ownerGone(alive.owner()), ownerGone(mounts()+" "+dead), ownerGone("elsewhere "+dead), ownerGone(""))
	}
	sweepPrivate(temp)
	for dir, want := range map[string]bool{alive.path: true, fresh: true, dead: false} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", filepath.Base(dir), err == nil, want)
		}
	}
	if err := alive.Close(); err != nil {
		t.Error(err)
	}
	if !ownerGone(alive.owner()) {
		t.Error("a run that closed is not gone")
	}
}

func TestLoginStaysPrivate(t *testing.T) {
	t.Parallel()
	dir, err := newPrivateDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := dir.login("/home/octocat", login{"ghcr.io", "octocat", "secret"}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir.path, "config.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the login has mode %v, %v", info.Mode(), err)
	}
	data, err := os.ReadFile(filepath.Join(dir.path, "config.json"))
	if want := `"auths":{"ghcr.io":{"auth":"b2N0b2NhdDpzZWNyZXQ="}}`; err != nil || !strings.Contains(string(data), want) {
		t.Errorf("config.json is %s, %v; want %s", data, err, want)
	}
	env := dir.environ([]string{"GIT_CONFIG_COUNT=2"}, "/ws")
	for _, want := range []string{"DOCKER_CONFIG=" + dir.path, "GIT_CONFIG_COUNT=3", "GIT_CONFIG_KEY_2=safe.directory", "GIT_CONFIG_VALUE_2=/ws"} {
		if !strings.Contains(strings.Join(env, "\n"), want) {
			t.Errorf("the environment lacks %s: %q", want, env)
		}
	}
}

func TestLoginOnDockerHub(t *testing.T) {
	t.Parallel()
	dir, err := newPrivateDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := dir.login("/home/octocat", login{"docker.io", "octocat", "secret"}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir.path, "config.json"))
	if err != nil || !strings.Contains(string(data), `"https://index.docker.io/v1/"`) {
		t.Errorf("config.json is %s, %v; want the key under which Docker looks", data, err)
	}
}

func TestRepositoryOf(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"https://github.com/octo/cards.git": "octo/cards",
		"https://github.com/octo/cards":     "octo/cards",
		"git@github.com:octo/cards.git":     "octo/cards",
		"ssh://git@github.com/octo/cards":   "octo/cards",
		"/srv/git/cards":                    "",
		"https://example.com/a/b/c":         "",
		"":                                  "",
	} {
		if got := repositoryOf(remote); got != want {
			t.Errorf("repositoryOf(%q) = %q, want %q", remote, got, want)
		}
	}
}
