package publish

import (
	"testing"

	"github.com/org/ghcr-publish/internal/plan"
)

// TestRescanJudgesByFindingsAlone plays every outcome on a live image: only what a scan can tell decides, and nothing moves.
func TestRescanJudgesByFindingsAlone(t *testing.T) {
	t.Parallel()
	for _, o := range outcomes {
		s := newStage()
		s.Gates.Vulnerabilities.OnlyNew = true // everything is, where nothing is compared
		live := planned("a", plan.Reuse)
		live.Digest = digest(live.Image, "b").DigestStr()
		s.outcomes["a"] = o
		r := s.Rescan(t.Context(), []plan.Service{live})[0]
		refused := o == vulnerable || o == unscanned
		if r.Err == nil && r.Approved() == refused || (r.Err != nil) != (o == buildFails) {
			t.Errorf("%s: approved %v, %v, error %v", o, r.Approved(), r.Verdict.Reasons, r.Err)
		}
		if _, err := r.Verdict.Approval(); err == nil {
			t.Errorf("%s: a rescan gives the right to tag", o)
		}
		if did := append(s.did("promote"), s.did("probe")...); len(did) > 0 {
			t.Errorf("%s: it did %q", o, did)
		}
		if scans := s.did("scan"); o == good && len(scans) != 2 {
			t.Errorf("scans %q, want one for each platform", scans)
		}
	}
}
