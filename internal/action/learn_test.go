package action

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/report"
)

// TestAnomaliesAreTold of builds that took much longer than those before, with the instruction that did and why.
func TestAnomaliesAreTold(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := &session{process: Process{Now: time.Now}, log: actions.NewLog(&log, false)}
	var history learn.History
	for range 6 {
		history = append(history, learn.Build{Service: "web", Seconds: 21, Building: 20, Situation: learn.Situation{Platforms: []string{"linux/amd64"}},
			Steps: []learn.Step{{Name: "[2/3] RUN npm ci", Line: 3, Cached: true}}})
	}
	s.history = func() learn.History { return history }
	result := func(seconds float64) publish.Result {
		return publish.Result{Plan: plan.Service{Name: "web", Action: plan.Build, Platforms: []string{"linux/amd64"}, Expected: &learn.Expectation{Seconds: 21, Low: 18, High: 25, By: "the median", Builds: 6}},
			Seconds: map[string]float64{"build": seconds}, Candidate: publish.Candidate{Account: insight.Account{
				Steps:     []insight.Step{{Name: "[2/3] RUN npm ci", Line: 3, Seconds: seconds - 20}},
				FirstMiss: &insight.Miss{Instruction: "RUN npm ci", Line: 3, Why: "changed since abc: package-lock.json", Files: []string{"package-lock.json"}}}}}
	}
	tell := func(seconds float64) report.Report {
		log.Reset()
		var told report.Report
		results := []publish.Result{result(seconds)}
		told.Fill(results, false)
		s.judgeByHistory(&told, results)
		return told
	}
	if told := tell(48); told.Services[0].Anomaly == nil || !strings.Contains(log.String(), "📈 web: the build took 2.4 times its usual time (48s instead of 20s): RUN npm ci in line 3 lost its cache because package-lock.json changed") ||
		!strings.Contains(told.Summary(), "took 48s; expected were 21s (18s to 25s), by the median of 6 builds") {
		t.Errorf("%+v\n%s\n%s", told.Services[0].Anomaly, log.String(), told.Summary())
	}
	if told := tell(21); told.Services[0].Anomaly != nil || log.Len() > 0 {
		t.Errorf("%+v\n%s", told.Services[0].Anomaly, log.String())
	}
}

func TestExpectedOfAPlan(t *testing.T) {
	t.Parallel()
	service := func(action plan.Action, seconds float64) plan.Service {
		s := plan.Service{Action: action}
		if seconds > 0 {
			s.Expected = &learn.Expectation{Seconds: seconds, Low: seconds / 2, High: seconds * 2, Builds: 1}
		}
		return s
	}
	for want, services := range map[string][]plan.Service{
		"":                               {service(plan.Build, 0), service(plan.Reuse, 0)},
		"30s (15s to 1m0s), 2 at a time": {service(plan.Build, 10), service(plan.Build, 20), service(plan.Build, 20), service(plan.Skip, 0)},
		"20s (10s to 40s), 2 at a time; nothing is known of 1 more": {service(plan.Build, 20), service(plan.Build, 0)},
	} {
		if got := expectedOf(plan.Plan{Services: services}, 2); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
