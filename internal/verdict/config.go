package verdict

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
)

// A Config is what an image says of itself that a policy may ask for.
// https://github.com/opencontainers/image-spec/blob/main/config.md
type Config struct {
	Healthcheck bool     `json:"healthcheck"`       // it has one
	Exposed     []string `json:"exposed,omitempty"` // "3001/tcp"
	// Secrets are where it seems to hold some, in its environment and in the commands that it was made by; never the secrets themselves.
	Secrets []string `json:"secrets,omitempty"`
}

var (
	secretName  = regexp.MustCompile(`(?i)(^|_)(pass|passwd|password|passphrase|secret|token|api_?key|access_?key|private_?key|credentials?)(_|$)`)
	secretValue = regexp.MustCompile(`AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|xox[abprs]-\w{10,}|glpat-[\w-]{20,}`)
	assignment  = regexp.MustCompile(`\b([A-Za-z_][A-Za-z0-9_]*)=("[^"]+"|'[^']+'|[^\s"';|&]+)`)
)

// SeemsSecret lists what in an image's environment, NAME=value, and in the commands of its history looks like a secret: by its name,
// or by a form that only secrets have. A name that ends with FILE is one of a file, and a value that is a variable tells nothing.
func SeemsSecret(env, commands []string) []string {
	var found []string
	add := func(where, text string) {
		for _, m := range assignment.FindAllStringSubmatch(text, -1) {
			if secretName.MatchString(m[1]) && !strings.HasSuffix(strings.ToUpper(m[1]), "FILE") && !strings.HasPrefix(strings.Trim(m[2], `"'`), "$") {
				found = append(found, where+" "+m[1])
			}
		}
		if kind := secretValue.FindString(text); kind != "" {
			found = append(found, fmt.Sprintf("%s a value that begins with %q", where, kind[:4]))
		}
	}
	for _, e := range env {
		add("ENV", e)
	}
	for i, command := range commands {
		add(fmt.Sprintf("instruction %d of its history:", i+1), command)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// judgeConfig holds what an image says of itself against the policy.
func (v *Verdict) judgeConfig(p Platform, port int, gate service.ImageGate) {
	if gate.Healthcheck && !p.Config.Healthcheck {
		v.refuse("%s has no HEALTHCHECK; add one to the Dockerfile", p.Platform)
	}
	if at := fmt.Sprintf("%d/tcp", port); gate.ExposedPort && port > 0 && !slices.Contains(p.Config.Exposed, at) {
		v.refuse("%s exposes %s, and the service's port is %d; write EXPOSE %d", p.Platform, list(p.Config.Exposed), port, port)
	}
	if gate.NoSecrets && len(p.Config.Secrets) > 0 {
		v.refuse("%s seems to hold secrets, which everybody reads who pulls it: %s; give them to the build as `secrets`, and to the container when it starts", p.Platform, shorten(p.Config.Secrets, 3))
	}
}

func (v *Verdict) judgeBases(latest []string, gate service.ImageGate) {
	if gate.Versioned && len(latest) > 0 {
		v.refuse("it is made from %s, which is another image tomorrow; name a version, or a digest", strings.Join(latest, ", "))
	}
}

func list(items []string) string {
	if len(items) == 0 {
		return "no port"
	}
	return strings.Join(items, ", ")
}
