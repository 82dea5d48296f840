package service

import (
	"errors"
	"slices"
	"time"
)

// A Peer is a container that a service needs beside its own when it is tried out, such as a database.
type Peer struct {
	Name        string // under which the service reaches it
	Image       string
	Entrypoint  []string // replaces the image's own; nil keeps it
	Command     []string // so does this
	Env         map[string]string
	Healthcheck *Healthcheck // instead of the image's; nil keeps that
	Tmpfs       []string     // absolute paths
	Volumes     []string     // absolute paths, each an anonymous volume
	Port        int          // that it listens on; 0 where only the image tells
	After       []string     // peers that must be up before it
	Ends        bool         // it does its work and ends, with exit code 0
	// Withheld are the keys of its definition that it is not given.
	Withheld []string
}

// A Healthcheck is a command that tells whether a container is well. What is zero is as the engine has it.
// https://docs.docker.com/reference/compose-file/services/#healthcheck
type Healthcheck struct {
	Test                           []string // as the engine has it: CMD, CMD-SHELL or NONE, and what follows
	Interval, Timeout, StartPeriod time.Duration
	Retries                        int
}

// peers reads what the services name as their peers.
func (src Sources) peers(config *Config, problems *Problems) {
	secret := slices.Clone(config.SecretEnv)
	for _, s := range config.Services {
		secret = append(secret, s.SecretVariables()...)
	}
	for i := range config.Services {
		s := &config.Services[i]
		if len(s.PeerNames) == 0 || src.Peers == nil {
			continue
		}
		var err error
		var wrong Problems
		if s.Peers, err = src.Peers(secret, *s); errors.As(err, &wrong) {
			for _, w := range wrong { // of a file that is wrong for several services
				if !slices.Contains(*problems, w) {
					*problems = append(*problems, w)
				}
			}
		} else if err != nil {
			problems.Add(s.At, "", "reading the peers of %s: %v", s.Name, err)
		}
	}
}
