package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
)

// SSHD returns the program of OpenSSH's server, which is installed where it is missing and that is allowed.
func (l *Lab) SSHD(ctx context.Context) (string, error) {
	const program = "/usr/sbin/sshd" // which wants to be called by its whole path
	if os.Geteuid() != 0 {
		return "", errors.New("OpenSSH's server takes root")
	}
	unlock, err := l.setup.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	_, missing := os.Stat(program)
	if _, err := user.Lookup("sshd"); missing != nil || err != nil {
		if !l.setup.Install {
			return "", errors.New("OpenSSH's server is missing: apt-get install openssh-server")
		}
		if err := l.setup.install(ctx, "openssh-server", "openssh-client"); err != nil {
			return "", fmt.Errorf("installing OpenSSH's server: %w", err)
		}
	}
	return program, os.MkdirAll("/run/sshd", 0o755)
}
