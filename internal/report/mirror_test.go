package report

import (
	"errors"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/mirror"
	"github.com/org/ghcr-publish/internal/tags"
)

func copies() []mirror.Result {
	return []mirror.Result{
		{Mirror: "docker.io/octo/{{name}}", Service: "api", Name: "docker.io/octo/api", Missing: 3, Copied: 3, Present: 1, Behind: []string{"main"},
			Moves: []tags.Move{{Tag: "main", From: sha("b"), To: sha("a")}, {Tag: "1.2", To: sha("a"), Kept: "it is there already"}}},
		{Mirror: "quay.io/octo/{{name}}", Service: "api", Name: "quay.io/octo/api", Err: errors.New("no | way")},
	}
}

// TestMirrorsOfAReport tells of copies beside what was published, and changes nothing about how that ended.
func TestMirrorsOfAReport(t *testing.T) {
	t.Parallel()
	r := filled(true, published("api"))
	r.AddMirrors(copies())
	checkSchema(t, r)
	if r.Outcome != "published" || r.ExitCode != ExitDone {
		t.Errorf("outcome %s, exit code %d", r.Outcome, r.ExitCode)
	}
	for _, want := range []string{"| ✅ docker.io/octo/api | 3 of 3 missing | 1 | main | 1.2 |", "| ❌ quay.io/octo/api | 0 of 0 missing", "❌ **quay.io/octo/api**: no &#124; way", "Published api"} {
		if !strings.Contains(r.Summary(), want) {
			t.Errorf("the summary lacks %q:\n%s", want, r.Summary())
		}
	}
}

func TestMirrorsAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		results []mirror.Result
		look    bool
		outcome string
		code    int
		answer  string
	}{
		"one is down":    {copies(), false, "failed", ExitFault, "❌ Not mirrored: quay.io/octo/api."},
		"copied":         {copies()[:1], false, "mirrored", ExitDone, "3 manifests were copied, and 1 tags moved"},
		"only looked":    {copies()[:1], true, "planned", ExitDone, "Nothing was copied, as this run pushes nothing. 3 manifests are missing, and 1 tags are behind"},
		"nothing to do":  {[]mirror.Result{{Mirror: "m", Service: "api", Name: "m/api", Present: 4}}, false, "nothing-to-do", ExitDone, "Nothing to do"},
		"looked in vain": {copies()[1:], true, "failed", ExitFault, "Not mirrored"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := filled(true)
			r.AddMirrors(c.results)
			r.SettleMirrors(c.look)
			checkSchema(t, r)
			if r.Outcome != c.outcome || r.ExitCode != c.code || !strings.Contains(r.Summary(), c.answer) || strings.Contains(r.Summary(), "| verdict |") {
				t.Errorf("outcome %s, exit code %d\n%s", r.Outcome, r.ExitCode, r.Summary())
			}
		})
	}
}
