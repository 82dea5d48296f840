package report

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/clean"
	"github.com/org/ghcr-publish/internal/github"
)

func cleaning() Cleaning {
	item := func(id int64, outcome string, tags ...string) clean.Item {
		return clean.Item{Version: github.Version{ID: id, Digest: sha("0"), Tags: append([]string{}, tags...)}, Why: "pr-1: pull request 1 is closed", Outcome: outcome}
	}
	return Cleaning{Program: "ghcr-publish v1.2.3", RunURL: "https://github.com/octo/cards/actions/runs/1", StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Seconds: 1.5, Packages: []Cleaned{{Service: "backend", Plan: clean.Plan{Image: "ghcr.io/octo/backend", Bytes: 25_000_000,
		Gone: []clean.Item{item(3, clean.Deleted, "pr-1"), item(2, clean.Stayed)}, Kept: []clean.Item{item(1, "", "main|", "latest"), item(4, "")},
		Idle: []clean.Idle{{Tag: "pr-9", Why: "pull request 9 is closed"}}, Restored: []clean.Item{}, Broken: []string{"main lacks 1 of the 3 manifests that it lists"}}}}, Notices: []string{"The memory was not kept."}}
}

func TestCleaningOutcomes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change    func(*Cleaning)
		confirmed bool
		outcome   string
		code      int
		answer    string
	}{
		"planned": {nil, false, "planned", 0, "🧹 2 of 4 versions would go, up to 25MB. Nothing was deleted: `confirm: true` does it."},
		"cleaned": {nil, true, "cleaned", 0, "✅ Deleted 1 of the 2 versions that nobody needs, of 4 in all."},
		"mended":  {func(c *Cleaning) { c.Packages[0].Gone, c.Packages[0].Restored = []clean.Item{}, c.Packages[0].Gone }, true, "cleaned", 0, "✅ Deleted 0 of the 0 versions that nobody needs, of 2 in all. 2 come back, which an earlier run deleted and something needs."},
		"nothing": {func(c *Cleaning) { c.Packages[0].Gone = []clean.Item{} }, true, "nothing-to-do", 0, "✅ Nothing to clean up: all 2 versions stay."},
		"refused": {func(c *Cleaning) { c.Packages[0].Refused = "too many" }, true, "refused", 3, "❌ Refused: backend. Nothing of it was deleted."},
		"failed":  {func(c *Cleaning) { c.Packages[0].Refused, c.Packages[0].Error = "too many", "it is dark" }, true, "failed", 1, "❌ Failed: backend. Deleted: 1 of the 2 versions that nobody needs."},
	} {
		c := cleaning()
		if test.change != nil {
			test.change(&c)
		}
		c.Settle(test.confirmed)
		if c.Outcome != test.outcome || c.ExitCode != test.code || c.Answer() != test.answer {
			t.Errorf("%s: %s, %d, %q", name, c.Outcome, c.ExitCode, c.Answer())
		}
		conforms(t, CleanSchema, c)
	}
	if got := cleaning().Deleted(); !slices.Equal(got, []int64{3}) {
		t.Errorf("deleted %d", got)
	}
}

func TestCleaningSummary(t *testing.T) {
	t.Parallel()
	c := cleaning()
	c.Settle(true)
	const golden = "testdata/cleaned.md"
	if *update {
		if err := os.WriteFile(golden, []byte(c.Summary()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if diff := cmp.Diff(string(want), c.Summary()); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for range mostRows {
		c.Packages[0].Gone = append(c.Packages[0].Gone, c.Packages[0].Gone[0])
	}
	if !strings.Contains(c.Summary(), "and 2 more, which the report names.") {
		t.Error("a long list is not cut")
	}
}

func TestCleanSchemaIsStrict(t *testing.T) {
	t.Parallel()
	c := cleaning()
	c.Settle(true)
	checkStrict(t, CleanSchema, c, "packages", "outcome", "extra", "exit_code", "started_at")
}
