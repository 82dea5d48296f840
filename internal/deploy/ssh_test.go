package deploy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/run"
)

func TestParseSSH(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]SSH{
		"ssh://host":                     {Host: "host", Socket: usualSocket},
		"ssh://me@host:22/":              {User: "me", Host: "host", Port: "22", Socket: usualSocket},
		"ssh://me@[::1]:22/run/docker.s": {User: "me", Host: "::1", Port: "22", Socket: "/run/docker.s"},
	} {
		if got, err := ParseSSH(text); got != want || err != nil {
			t.Errorf("%s is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "host", "tcp://host", "ssh://", "ssh://me@", "ssh://me:pass@host", "ssh://host?x=y", "ssh://host#x", "ssh://ho st", "ssh://host:x"} {
		if got, err := ParseSSH(text); err == nil || strings.Contains(err.Error(), "pass@") {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
}

// TestReach leads a socket to the host with what it is given, and speaks to no other.
func TestReach(t *testing.T) {
	t.Parallel()
	private := t.TempDir()
	var argv []string
	ssh := func(ctx context.Context, c run.Command) ([]byte, error) {
		argv = c.Argv
		if err := os.WriteFile(filepath.Join(private, "docker.sock"), nil, 0o600); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	s := SSH{User: "-oProxyCommand=x", Host: "-oProxyCommand=y", Port: "2222", Socket: usualSocket, Key: "PRIVATE", KnownHosts: "host ssh-ed25519 A"}
	socket, done, err := s.Reach(t.Context(), ssh, nil, private)
	if err != nil {
		t.Fatal(err)
	}
	done()
	if end := argv[len(argv)-2:]; !slices.Equal(end, []string{"--", "-oProxyCommand=y"}) || argv[slices.Index(argv, "-l")+1] != "-oProxyCommand=x" {
		t.Errorf("%q", argv)
	}
	if !slices.Contains(argv, socket+":"+usualSocket) || !slices.Contains(argv, "StrictHostKeyChecking=yes") || strings.Contains(strings.Join(argv, " "), "PRIVATE") {
		t.Errorf("%q", argv)
	}
	for name, want := range map[string]string{"key": "PRIVATE\n", "known_hosts": "host ssh-ed25519 A\n"} {
		if got, err := os.ReadFile(filepath.Join(private, name)); string(got) != want || err != nil {
			t.Errorf("%s is %q, %v", name, got, err)
		}
		if info, err := os.Stat(filepath.Join(private, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"Host key verification failed.":    "give `ssh-known-hosts` what `ssh-keyscan host` prints",
		"me@host: Permission denied (pub)": "give `ssh-key` a private key",
		"ssh: not found on PATH":           "install OpenSSH's client",
		"no route to host":                 "reaching host by ssh: no route to host",
	} {
		_, _, err := SSH{Host: "host"}.Reach(t.Context(), func(context.Context, run.Command) ([]byte, error) { return nil, errors.New(said) }, nil, t.TempDir())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", said, err, want)
		}
	}
}
