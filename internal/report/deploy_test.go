package report

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/deploy"
	"github.com/org/ghcr-publish/internal/engine"
)

func deployment() Deployment {
	return Deployment{SchemaVersion: 1, Program: "ghcr-publish v1.2.3", StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Seconds: 4.5, Host: "ssh://host", Project: "cards", Environment: "production",
		Services: []Deployed{{Service: "auth", Image: "ghcr.io/octo/auth@" + sha("a"), Before: "ghcr.io/octo/auth@" + sha("a")}, {Service: "backend", Image: "ghcr.io/octo/backend@" + sha("b")}, {Service: "old", Before: "busybox"}},
		Troubles: []deploy.Trouble{}, Notices: []string{"GitHub | was not told."}}
}

func TestDeploymentOutcomes(t *testing.T) {
	t.Parallel()
	sick := []deploy.Trouble{{Service: "backend", What: "is unhealthy", Health: "<b>", Log: []string{"::error::x"}}}
	for title, c := range map[string]struct {
		result  deploy.Result
		outcome string
		code    int
		answer  string
	}{
		"well":                      {deploy.Result{}, "deployed", 0, "✅ Deployed cards on ssh://host in 4.5s: all of it is well."},
		"not well":                  {deploy.Result{Troubles: sick, After: deploy.Restored}, "refused", 3, "❌ Not deployed cards on ssh://host: backend. What ran before runs again, and is well."},
		"the first":                 {deploy.Result{Troubles: sick, After: deploy.Removed}, "refused", 3, "❌ Not deployed cards on ssh://host: backend. It was the first deployment, and was taken down; volumes are kept."},
		"a fault":                   {deploy.Result{Err: errors.New("port is in use"), After: deploy.Restored}, "failed", 1, "❌ Not deployed cards on ssh://host: it could not be done. What ran before runs again, and is well."},
		"no going back":             {deploy.Result{Troubles: sick, After: deploy.Stranded, Astray: errors.New("it is dark")}, "failed", 1, "❌ Not deployed cards on ssh://host: backend. GOING BACK FAILED TOO: the host needs somebody now."},
		"not written down":          {deploy.Result{Unnoted: errors.New("it is in use")}, "deployed", 1, "❌ Deployed cards on ssh://host in 4.5s: all of it is well, but the host does not remember it."},
		"not ended":                 {deploy.Result{Troubles: sick, After: deploy.Restored, Unnoted: errors.New("it is in use")}, "refused", 3, "❌ Not deployed cards on ssh://host: backend. What ran before runs again, and is well."},
		"what was not written down": {deploy.Result{Troubles: sick, After: deploy.Partly}, "refused", 3, "❌ Not deployed cards on ssh://host: backend. The images that were well before run again; what else was not written down is not restored."},
		"without the lock":          {deploy.Result{Err: errors.New("the lock was lost"), After: deploy.Left}, "failed", 1, "❌ Not deployed cards on ssh://host: it could not be done. What it had begun is left as it is: the next deployment, or a rollback, sets it right."},
		"not begun":                 {deploy.Result{Err: errors.New("no such image")}, "failed", 1, "❌ Not deployed cards on ssh://host: it could not be done. Nothing was gone back to."},
	} {
		d := deployment()
		d.Settle(c.result, "deployed")
		if d.Outcome != c.outcome || d.ExitCode != c.code || d.Answer() != c.answer {
			t.Errorf("%s: %s, %d, %q", title, d.Outcome, d.ExitCode, d.Answer())
		}
		for _, err := range []error{c.result.Err, c.result.Astray} {
			if err != nil && !strings.Contains(d.Error, err.Error()) {
				t.Errorf("%s: %q does not say %v", title, d.Error, err)
			}
		}
		conforms(t, DeploySchema, d)
		if text := d.Summary(); strings.Contains(text, "<b>") || !strings.Contains(text, "| auth | sha256:aaaaaaaaaaaa | unchanged |\n| backend | – | sha256:bbbbbbbbbbbb |\n| old | busybox | – |\n") || !strings.Contains(text, "GitHub &#124; was not told.") {
			t.Errorf("%s:\n%s", title, text)
		}
	}
	d := deployment()
	d.Outcome = "planned"
	if d.Answer() != "✅ cards on ssh://host was left as it is, as this run changes nothing." {
		t.Error(d.Answer())
	}
	checkStrict(t, DeploySchema, d, "services", "outcome", "after", "extra", "exit_code")
}

// TestUnnoted has what could not be written down be done again, not undone.
func TestUnnoted(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[string]string{"deployed": "so deploy it once more: it is in use", "rolled-back": "so roll back once more: it is in use"} {
		d := deployment()
		d.Settle(deploy.Result{Unnoted: errors.New("it is in use")}, outcome)
		if !strings.HasSuffix(d.Error, want) || d.Outcome != outcome || d.ExitCode != ExitFault {
			t.Errorf("%s: %q with %d, want %q", d.Outcome, d.Error, d.ExitCode, want)
		}
	}
}

func TestDeploymentStatus(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	running := []engine.Instance{{Service: "backend", Image: "ghcr.io/octo/backend@" + sha("b"), Status: "running", State: engine.State{Running: true, Health: "healthy"}, Restarts: 2, Since: at}}
	sick := []deploy.Trouble{{Service: "auth", What: "is not there"}}
	for want, s := range map[string]deploy.Status{
		"✅ All of cards on ssh://host is well.":               {Running: running},
		"❌ Not well of cards on ssh://host: auth.":            {Running: running, Troubles: sick},
		"✅ A deployment of cards on ssh://host is under way.": {Running: running, Troubles: sick, Busy: "somebody"},
	} {
		d := deployment()
		d.Services = []Deployed{}
		d.SettleStatus(s)
		if d.Answer() != want || (d.ExitCode != 0) != strings.HasPrefix(want, "❌") {
			t.Errorf("%q with %d, want %q", d.Answer(), d.ExitCode, want)
		}
		if text := d.Summary(); !strings.Contains(text, "| backend | running healthy | 2026-01-02 03:04:05 UTC | 2 | sha256:bbbbbbbbbbbb | the same |\n") {
			t.Errorf("%s", text)
		}
		conforms(t, DeploySchema, d)
	}
}

// TestShares tells who gets what part of the requests, of services that are switched alone.
func TestShares(t *testing.T) {
	t.Parallel()
	d := deployment()
	d.Settle(deploy.Result{}, "deployed")
	d.Share(map[string]int{"backend": 10, "elsewhere": 90})
	if text := d.Summary(); !strings.Contains(text, "| backend (10 % of the requests) |") || !strings.Contains(text, "| auth |") {
		t.Error(text)
	}
	conforms(t, DeploySchema, d)
}
