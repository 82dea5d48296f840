package verdict

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/org/ghcr-publish/internal/service"
)

// Unmet lists what of an expectation an image's configuration is not like. Of its environment it tells no values: they may be secrets.
func Unmet(expect service.Expectation, config v1.Config) []string {
	var unmet []string
	say := func(format string, args ...any) { unmet = append(unmet, fmt.Sprintf(format, args...)) }
	if expect.User != "" && expect.User != config.User {
		say("its user is %q, not %q", config.User, expect.User)
	}
	if expect.Workdir != "" && expect.Workdir != config.WorkingDir {
		say("its WORKDIR is %q, not %q", config.WorkingDir, expect.Workdir)
	}
	if expect.Entrypoint != nil && !slices.Equal(expect.Entrypoint, config.Entrypoint) {
		say("its ENTRYPOINT is %q, not %q", config.Entrypoint, expect.Entrypoint)
	}
	if expect.Cmd != nil && !slices.Equal(expect.Cmd, config.Cmd) {
		say("its CMD is %q, not %q", config.Cmd, expect.Cmd)
	}
	for _, port := range expect.Ports {
		if _, exposed := config.ExposedPorts[fmt.Sprintf("%d/tcp", port)]; !exposed {
			say("it does not expose port %d", port)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(expect.Labels)) {
		if got := config.Labels[name]; got != expect.Labels[name] {
			say("its label %s is %q, not %q", name, got, expect.Labels[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(expect.Env)) {
		if !slices.Contains(config.Env, name+"="+expect.Env[name]) {
			say("its environment has no %s=%s", name, expect.Env[name])
		}
	}
	return unmet
}

func (v *Verdict) judgeExpectation(p Platform) {
	if len(p.Unmet) > 0 {
		v.refuse("%s is not as `expect` says: %s", p.Platform, strings.Join(p.Unmet, "; "))
	}
}
