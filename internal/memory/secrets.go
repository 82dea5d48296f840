package memory

import (
	"fmt"
	"regexp"
	"strings"
)

// WithSecrets names values that are never written.
func WithSecrets(values ...string) Option {
	return func(s *Store) {
		for _, v := range values {
			if len(v) >= shortest {
				s.secrets = append(s.secrets, v)
			}
		}
	}
}

// shortest is how long a value must be to be told from ordinary words.
const shortest = 6

// A shape is how secrets of a kind look. Looking for the marker first is what makes it cheap.
type shape struct {
	kind    string
	markers []string
	pattern *regexp.Regexp
}

// shapes are those that GitHub's secret scanning takes for certain, of what jobs that build images have to do with:
// https://docs.github.com/code-security/secret-scanning/introduction/supported-secret-scanning-patterns
var shapes = [...]shape{
	{"a GitHub token", []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_"}, regexp.MustCompile(`gh[pousr]_[A-Za-z0-9_.-]{20,}`)},
	{"a GitHub token", []string{"github_pat_"}, regexp.MustCompile(`github_pat_\w{20,}`)},
	{"an AWS access key", []string{"AKIA", "ASIA"}, regexp.MustCompile(`\b(AKIA|ASIA)[0-9A-Z]{16}\b`)},
	{"a private key", []string{"PRIVATE KEY-----"}, regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)},
	{"a Slack token", []string{"xoxa-", "xoxb-", "xoxp-", "xoxr-", "xoxs-"}, regexp.MustCompile(`xox[abprs]-[\w-]{10,}`)},
	{"a GitLab token", []string{"glpat-"}, regexp.MustCompile(`glpat-[\w-]{20,}`)},
	{"a Docker Hub token", []string{"dckr_pat_", "dckr_oat_"}, regexp.MustCompile(`dckr_[po]at_[\w-]{20,}`)},
	{"an npm token", []string{"npm_"}, regexp.MustCompile(`\bnpm_[A-Za-z0-9]{36}\b`)},
	{"a PyPI token", []string{"pypi-AgE"}, regexp.MustCompile(`pypi-AgE[\w-]{40,}`)},
	{"a Google key", []string{"AIza"}, regexp.MustCompile(`\bAIza[\w-]{35}`)},
	{"an Anthropic key", []string{"sk-ant-"}, regexp.MustCompile(`sk-ant-[\w-]{20,}`)},
	{"a Stripe key", []string{"sk_live_", "rk_live_"}, regexp.MustCompile(`[sr]k_live_[A-Za-z0-9]{20,}`)},
	{"a signed token", []string{"eyJ"}, regexp.MustCompile(`\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}`)},
	{"a password in a URL", []string{"://"}, regexp.MustCompile(`\b(https?|ftp|ssh|git|postgres|postgresql|mysql|mongodb|mongodb\+srv|rediss?|amqps?)://[^\s/:@"'<>*]*:[^\s/:@"'<>*]{3,}@`)},
}

// checkSecrets refuses a record that holds a secret in any of its parts. The error does not tell it.
func (s *Store) checkSecrets(c checked) error {
	for _, part := range [...]struct{ name, text string }{{"namespace", c.Namespace}, {"key", c.Key}, {"value", c.text}, {"metadata", c.stored.metadata}} {
		kind := s.secretIn(part.text)
		if kind == "" && strings.Contains(part.text, `\`) {
			kind = s.secretIn(words(part.text)) // an escape may stand for any letter
		}
		if kind != "" {
			return fmt.Errorf("the %s holds what looks like %s: %w", part.name, kind, ErrSecret)
		}
	}
	return nil
}

func (s *Store) holdsSecret(r Record) bool {
	return s.checkSecrets(checked{Record: r, stored: stored{string(r.Value), string(r.Metadata)}}) != nil
}

// secretIn says what kind of secret a text holds, if any.
func (s *Store) secretIn(text string) string {
	for _, secret := range s.secrets {
		if strings.Contains(text, secret) {
			return "a secret of this run"
		}
	}
	for _, shape := range shapes {
		for _, marker := range shape.markers {
			if strings.Contains(text, marker) && shape.pattern.MatchString(text) {
				return shape.kind
			}
		}
	}
	return ""
}
