package plan

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
)

// An asked is what people want of a run beside what changed.
type asked struct {
	nothing string   // why nothing is to be done; empty if something may be
	publish []string // services that the commit message names
	notices []string
}

// marks are what a commit message may ask for: [publish NAME], with several names too, or [skip publish].
var marks = regexp.MustCompile(`(?i)\[(?:(skip publish|publish skip)|publish ([^\]\r\n]*))\]`)

// asked reads the message of the commit that is pushed, or of the pull request's last one. A message says nothing about
// other events: a release or a dispatch is somebody's wish of its own.
func (p Planner) asked(ctx context.Context) asked {
	var a asked
	if !strings.HasPrefix(p.Event.Ref, "refs/heads/") && p.Event.Name != "pull_request" {
		return a
	}
	if p.Event.Name != "push" && p.Event.Name != "pull_request" && p.Event.Name != "local" {
		return a
	}
	message := ""
	if p.Event.Name == "pull_request" {
		message = p.Repo.Message(ctx, p.Event.SHA+"^2") // of the merge that GitHub makes for it
	}
	if message == "" {
		message = p.Repo.Message(ctx, p.Event.SHA)
	}
	for _, mark := range marks.FindAllStringSubmatch(message, -1) {
		if mark[1] != "" {
			a.nothing = fmt.Sprintf("the commit message says %s", mark[0])
			continue
		}
		a.add(strings.FieldsFunc(mark[2], func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }), p)
	}
	return a
}

func (a *asked) add(names []string, p Planner) {
	for _, name := range names {
		i := slices.IndexFunc(p.Config.Services, func(s service.Service) bool { return strings.EqualFold(s.Name, name) })
		if i < 0 {
			a.notices = append(a.notices, fmt.Sprintf("The commit message asks to publish %q, and there is no such service.", name))
			continue
		}
		a.publish = append(a.publish, p.Config.Services[i].Name)
	}
}
