package plan

import (
	"cmp"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/registry"
)

// TestBaseByEvent tells for each kind of event what a service is compared with, and why. One service is published from
// the first commit of main, and the second one changed it; what an event names beside is believed only where nothing can be lost.
func TestBaseByEvent(t *testing.T) {
	t.Parallel()
	const published = "it is the revision that is published"
	side := func(w *world) {
		w.git("checkout", "--quiet", "-b", "feat")
		w.planner.Event.Ref = "refs/heads/feat"
		w.commit(map[string]string{"README.md": "of the branch"})
	}
	unreadable := func(w *world) { w.failing["ghcr.io/octo/docs:main"] = errors.New("denied") }
	pull := func(w *world) {
		side(w)
		w.planner.Event.Name, w.planner.Event.Ref, w.planner.Event.BaseRef, w.planner.Event.BaseSHA = "pull_request", "refs/pull/7/merge", "main", w.git("rev-parse", "main")
		w.planner.Pushes = false
	}
	cases := []struct {
		event  string
		change func(w *world)
		base   string // FIRST, SECOND or nothing
		why    string
		want   Action
		reason string // its beginning
	}{
		{"push", func(*world) {}, "FIRST", published, Build, "changed since FIRST: docs/index.md"},
		{"a push after a failed one", func(w *world) { w.commit(map[string]string{"README.md": "2"}) }, "FIRST", published, Build, "changed since FIRST: docs/index.md"},
		{"a force push", func(w *world) {
			w.publish()
			w.git("reset", "--quiet", "--hard", "HEAD~1")
			w.commit(map[string]string{"README.md": "2"})
		}, "SECOND", published, Build, "commit SECOND, which is published, is not part of this history"},
		{"a new branch", side, "FIRST", published, Build, "changed since FIRST: docs/index.md"},
		{"a new branch off an older commit", func(w *world) {
			w.publish()
			w.git("checkout", "--quiet", "HEAD~1")
			side(w)
		}, "FIRST", "there this history left the one of SECOND, which is published as main", Build, "what is published as main has changed since FIRST"},
		{"a new branch off an older commit, where that is the same", func(w *world) {
			w.publish()
			w.commit(map[string]string{"README.md": "main goes on"})
			w.publish()
			w.git("checkout", "--quiet", "HEAD~1")
			side(w)
		}, "SECOND", "there this history left the one of THIRD, which is published as main", Reuse, "unchanged since SECOND"},
		{"tag", func(w *world) { w.planner.Event.Ref = "refs/tags/v1.0.0" }, "FIRST", published, Build, "changed since FIRST"},
		{"release", func(w *world) { w.planner.Event.Name, w.planner.Event.Ref = "release", "refs/tags/v1.0.0" }, "FIRST", published, Build, "changed since FIRST"},
		{"pull_request", pull, "FIRST", published, Build, "changed since FIRST"},
		{"pull_request to another branch", func(w *world) {
			w.git("checkout", "--quiet", "-b", "lts")
			w.planner.Event.Ref = "refs/heads/lts"
			w.publish()
			pull(w)
			w.planner.Event.BaseRef = "lts"
		}, "SECOND", published, Skip, "unchanged since SECOND, and this run pushes nothing"},
		{"pull_request, and the registry cannot be read", func(w *world) { pull(w); unreadable(w) }, "SECOND",
			"the published image cannot be read, and there the changes that are tried began", Skip, "unchanged since SECOND, and this run pushes nothing"},
		{"pull_request that changes the service, and the registry cannot be read", func(w *world) {
			pull(w)
			unreadable(w)
			w.commit(map[string]string{"docs/new": "1"})
		}, "SECOND", "the published image cannot be read, and there the changes that are tried began", Build, "changed since SECOND: docs/new"},
		{"pull_request that changes the configuration, and the registry cannot be read", func(w *world) {
			w.planner.Config.From = []string{"config.yml"}
			pull(w)
			unreadable(w)
			w.commit(map[string]string{"config.yml": "1"})
		}, "SECOND", "the published image cannot be read, and there the changes that are tried began", Build, "changed since SECOND: config.yml"},
		{"merge_group, and the registry cannot be read", func(w *world) {
			pull(w)
			unreadable(w)
			w.planner.Event.Name, w.planner.Event.Ref = "merge_group", "refs/heads/gh-readonly-queue/main/pr-7"
		}, "SECOND", "the published image cannot be read, and there the changes that are tried began", Skip, "unchanged since SECOND"},
		{"a push that publishes nothing, and the registry cannot be read", func(w *world) {
			unreadable(w)
			w.planner.Pushes = false
			w.planner.Event.Before = w.head()
			w.commit(map[string]string{"README.md": "2"})
		}, "SECOND", "the published image cannot be read, and it was pushed before", Skip, "unchanged since SECOND"},
		{"a push that publishes, and the registry cannot be read", func(w *world) {
			unreadable(w)
			w.planner.Event.Before = w.head()
			w.commit(map[string]string{"README.md": "2"})
		}, "", "the published image cannot be read", Build, "the published image cannot be read: denied"},
		{"schedule", func(w *world) { w.planner.Event.Name = "schedule" }, "FIRST", published, Build, "changed since FIRST"},
		{"workflow_dispatch", func(w *world) { w.planner.Event.Name = "workflow_dispatch" }, "FIRST", published, Build, "changed since FIRST"},
		{"workflow_run", func(w *world) { w.planner.Event.Name = "workflow_run" }, "FIRST", published, Build, "changed since FIRST"},
		{"the first commit", func(w *world) { clear(w.images) }, "", "nothing is published yet", Build, "nothing is published yet"},
		{"a new service", func(w *world) {
			w.publish()
			for ref := range w.images {
				if strings.Contains(ref, "docs") {
					delete(w.images, ref)
				}
			}
		}, "", "nothing is published yet", Build, "nothing is published yet"},
		{"a shallow clone", func(w *world) {
			for range 3 {
				w.commit(nil)
			}
			shallow := clone{t, filepath.Join(t.TempDir(), "clone")}
			w.git("clone", "--quiet", "--depth=1", "file://"+w.dir, shallow.dir)
			w.clone, w.planner.Repo = shallow, shallow.repo()
		}, "FIRST", published, Build, "changed since FIRST: docs/index.md"},
	}
	for _, c := range cases {
		t.Run(c.event, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish()
			first := w.head()
			second := w.commit(map[string]string{"docs/index.md": "2"})
			w.planner.Config.Only = []string{"docs"}
			c.change(w)
			got := w.make().Services[0]
			third := cmp.Or(w.images["ghcr.io/octo/docs:main"].Revision, "none yet")
			named := strings.NewReplacer(first, "FIRST", second, "SECOND", git.Short(first), "FIRST", git.Short(second), "SECOND", git.Short(third), "THIRD")
			if diff := gocmp.Diff(Base{c.base, c.why}, Base{named.Replace(got.Base.SHA), named.Replace(got.Base.Why)}); diff != "" {
				t.Errorf("base (-want +got):\n%s", diff)
			}
			if reason := named.Replace(got.Reason); got.Action != c.want || !strings.HasPrefix(reason, c.reason) {
				t.Errorf("%s, %s; want %s, %s", got.Action, reason, c.want, c.reason)
			}
		})
	}
}

// TestHistoryIsDeepenedAsFarAsNeeded and not further.
func TestHistoryIsDeepenedAsFarAsNeeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 250 {
		w.git("commit", "--quiet", "--allow-empty", "--message=x")
	}
	w.publish()
	for range 5 {
		w.git("commit", "--quiet", "--allow-empty", "--message=x")
	}
	shallow := clone{t, filepath.Join(t.TempDir(), "clone")}
	w.git("clone", "--quiet", "--depth=1", "file://"+w.dir, shallow.dir)
	w.clone, w.planner.Repo = shallow, shallow.repo()
	if got := w.make().Services[0]; got.Action != Reuse {
		t.Errorf("%s, %s", got.Action, got.Reason)
	}
	if got := w.git("rev-list", "--count", "HEAD"); got != "101" {
		t.Errorf("the clone has %s commits, want 101", got)
	}
	// A commit that is nowhere is looked for everywhere.
	w.alter("ghcr.io/octo/api", func(i *registry.Image) { i.Revision = strings.Repeat("ab", 20) })
	if got := w.make().Services[0]; got.Action != Build || w.git("rev-list", "--count", "HEAD") != "256" {
		t.Errorf("%s, %s, with %s commits", got.Action, got.Reason, w.git("rev-list", "--count", "HEAD"))
	}
}
