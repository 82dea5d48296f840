package action

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
)

// TestLive follows two services and tells every quarter of a minute what is done with them.
func TestLive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l live
		long := "[linux/arm64 2/3] RUN " + strings.Repeat("x", 99)
		var told []string
		expected := func(seconds float64) *learn.Expectation {
			return &learn.Expectation{Seconds: seconds, Low: seconds * 0.8, High: seconds * 1.5, Builds: 9}
		}
		l.expect([]plan.Service{{Name: "api", Expected: expected(44.6)}, {Name: "web", Expected: expected(10)}, {Name: "docs", Action: plan.Reuse}}, 1)
		stop := l.tell(func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) })
		l.enter("web", publish.Making)
		time.Sleep(5 * time.Second)
		l.enter("api", publish.Making)
		progress := &buildx.Progress{}
		l.watch("api", progress, map[string]learn.Expectation{long: *expected(20)})
		_, _ = progress.Write([]byte(`{"vertexes":[{"digest":"sha256:1","name":"` + long + `","started":"2020-01-02T03:04:05Z"}]}` + "\n"))
		time.Sleep(15 * time.Second)
		l.enter("web", publish.Judging)
		time.Sleep(15 * time.Second)
		l.enter("api", publish.Judging)
		l.enter("web", publish.Over)
		time.Sleep(15 * time.Second)
		l.enter("api", publish.Over)
		time.Sleep(time.Minute)
		stop()
		step := ", at [linux/arm64 2/3] RUN " + strings.Repeat("x", 57) + "… since "
		want := []string{
			"… api: building for 10s, about 35s left" + step + "10s of about 20s; web: building for 15s, longer than nearly all before (8s to 15s)",
			"… api: building for 25s, about 20s left" + step + "25s of about 20s; web: judging for 10s, longer than nearly all before (8s to 15s)",
			"… about 15s left: api: judging for 10s, about 15s left",
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
