package deploy

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/run"
)

// An SSH says how to reach the engine of another machine.
type SSH struct {
	User, Host, Port string // of which all but the host may be empty
	Socket           string // of the engine there
	Key, KnownHosts  string // texts; empty for what the machine's ssh has
}

// usualSocket is where an engine listens.
const usualSocket = "/var/run/docker.sock"

// ParseSSH reads ssh://USER@HOST:PORT/SOCKET, of which only the host must be there.
func ParseSSH(text string) (SSH, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "ssh" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return SSH{}, fmt.Errorf("%q is not of the form ssh://USER@HOST", text)
	}
	s := SSH{User: u.User.Username(), Host: u.Hostname(), Port: u.Port(), Socket: u.Path}
	if _, password := u.User.Password(); password {
		return SSH{}, errors.New("a password is in it: log in with a key")
	}
	if s.Socket == "" || s.Socket == "/" {
		s.Socket = usualSocket
	}
	return s, nil
}

// argv is the command that leads a socket of this machine to the one there, with files of a private folder. It asks nobody anything, and speaks to
// no host that it does not know.
func (s SSH) argv(private, socket string) ([]string, error) {
	argv := []string{"ssh", "-N", "-T"}
	option := func(text string) { argv = append(argv, "-o", text) }
	for _, text := range []string{"BatchMode=yes", "StrictHostKeyChecking=yes", "ExitOnForwardFailure=yes", "ConnectTimeout=20", "ServerAliveInterval=15", "ServerAliveCountMax=4"} {
		option(text)
	}
	for name, text := range map[string]string{"key": s.Key, "known_hosts": s.KnownHosts} {
		if text == "" {
			continue
		}
		file := filepath.Join(private, name)
		if err := os.WriteFile(file, []byte(strings.TrimSpace(text)+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("keeping what ssh needs: %w", err)
		}
		if name == "key" {
			option("IdentitiesOnly=yes")
			argv = append(argv, "-i", file)
			continue
		}
		option("UserKnownHostsFile=" + file)
		option("GlobalKnownHostsFile=/dev/null")
	}
	if s.User != "" {
		argv = append(argv, "-l", s.User)
	}
	if s.Port != "" {
		argv = append(argv, "-p", s.Port)
	}
	return append(argv, "-L", socket+":"+s.Socket, "--", s.Host), nil
}

// Reach makes the engine there be reached at a socket in a private folder, until close is called.
func (s SSH) Reach(ctx context.Context, start run.Func, env []string, private string) (socket string, done func(), err error) {
	socket = filepath.Join(private, "docker.sock")
	argv, err := s.argv(private, socket)
	if err != nil {
		return "", nil, err
	}
	// What is gone back to when the run is cancelled goes through it too.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() {
		_, err := start(ctx, run.Command{Argv: argv, Env: env})
		ended <- err
	}()
	if err := s.await(socket, ended); err != nil {
		cancel()
		return "", nil, err
	}
	return socket, func() { cancel(); <-ended }, nil
}

// await waits until the socket is there, which is when the login has succeeded.
func (s SSH) await(socket string, ended <-chan error) error {
	for end := time.Now().Add(sshTime); time.Now().Before(end); {
		select {
		case err := <-ended:
			return fmt.Errorf("reaching %s by ssh: %w%s", s.Host, said(err), s.advice(err))
		case <-time.After(50 * time.Millisecond):
		}
		if _, err := os.Stat(socket); err == nil {
			return nil
		}
	}
	return fmt.Errorf("reaching %s by ssh: no answer within %s", s.Host, sshTime)
}

const sshTime = 40 * time.Second

// advice is what to do about what ssh says.
func (s SSH) advice(err error) string {
	switch said := fmt.Sprint(err); {
	case strings.Contains(said, "Host key verification failed"):
		return "\ngive `ssh-known-hosts` what `ssh-keyscan " + s.Host + "` prints, once you have compared it with the host's own keys"
	case strings.Contains(said, "Permission denied"):
		return "\ngive `ssh-key` a private key whose public key the host has in ~/.ssh/authorized_keys of that user"
	case strings.Contains(said, "not found on PATH"):
		return "\ninstall OpenSSH's client, or use the action's own image, which brings it"
	default:
		return ""
	}
}
