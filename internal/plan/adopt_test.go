package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/service"
)

// handed is the plan as another job gets it.
func handed(t *testing.T, made Plan) []byte {
	t.Helper()
	data, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		change func(w *world)
		want   string // part of the refusal; empty: none
	}{
		{"what was planned is here", func(*world) {}, ""},
		{"another commit", func(w *world) { w.planner.Event.SHA = w.commit(map[string]string{"README.md": "2"}) }, "it is of commit"},
		{"another ref", func(w *world) { w.planner.Event.Ref = "refs/heads/side" }, "refs/heads/side"},
		{"a plan for a run that pushes nothing", func(w *world) { w.planner.Pushes = !w.planner.Pushes }, "it was made for a run that pushes"},
		{"another definition", func(w *world) { w.service(0).BuildArgs = map[string]string{"A": "1"} }, "api is made of other files or settings"},
		{"another image", func(w *world) { w.service(0).Image = "ghcr.io/octo/other" }, "api is made of other files or settings"},
		{"other platforms", func(w *world) { w.service(0).Platforms = []string{"linux/amd64"} }, "api is made of other files or settings"},
		{"a file that a step before wrote", func(w *world) { w.write(map[string]string{"web/new": ""}) }, "web is made of other files or settings"},
		{"a file that belongs to no service", func(w *world) { w.write(map[string]string{"other/new": ""}) }, ""},
		{"a service less", func(w *world) { w.planner.Config.Services = w.planner.Config.Services[1:] }, `it has a service "api"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			clear(w.images)
			made := w.make()
			c.change(w)
			adopted, err := w.planner.Adopt(t.Context(), handed(t, made))
			problems, ok := err.(service.Problems)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want == "":
				if diff := gocmp.Diff(made, adopted); diff != "" {
					t.Errorf("it came over as another (-made +adopted):\n%s", diff)
				}
			case !ok || len(problems) != 1 || !strings.Contains(err.Error(), c.want):
				t.Errorf("refused by %v; want %q", err, c.want)
			}
		})
	}
}

func TestAdoptRefusesOtherVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.make()
	made.SchemaVersion++
	if _, err := w.planner.Adopt(t.Context(), handed(t, made)); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("refused by %v", err)
	}
	if _, err := w.planner.Adopt(t.Context(), []byte("{")); err == nil {
		t.Error("half a plan was taken over")
	}
}

func TestMatrixSplitByPlatform(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clear(w.images)
	w.planner.Config.Split = "platform"
	w.planner.Config.Runners = map[string]string{"linux/arm64": "arm"}
	w.service(1).Platforms = []string{"linux/arm64"}
	w.service(2).Platforms = []string{"linux/amd64", "linux/arm/v7"}
	made := w.make()
	var rows []string
	for _, r := range made.Matrix.Include {
		rows = append(rows, r.Row+" "+strings.Join(r.Platforms, ",")+" "+r.Runner)
	}
	want := []string{"web linux/arm64 arm", "api@linux-amd64 linux/amd64 ubuntu-latest", "api@linux-arm64 linux/arm64 arm",
		"docs@linux-amd64 linux/amd64 ubuntu-latest", "docs@linux-arm-v7 linux/arm/v7 ubuntu-latest"}
	if diff := gocmp.Diff(want, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	row, ok := made.Row("api@linux-arm64")
	share := made.Share(row)
	if !ok || len(share) != 1 || !share[0].Part || !slices.Equal(share[0].Platforms, []string{"linux/arm64"}) || share[0].Inputs != made.Services[0].Inputs {
		t.Errorf("its share is %+v", share)
	}
	if row, _ = made.Row("web"); made.Share(row)[0].Part {
		t.Error("all of a service's platforms are a part of it")
	}
	if _, ok := made.Row("nothing"); ok {
		t.Error("there is a row of any name")
	}
}

// TestMatrixDoesNotSplitWhatIsUsedAgain because judging needs no machine of the platform.
func TestMatrixDoesNotSplitWhatIsUsedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()
	w.commit(map[string]string{"README.md": "2"})
	w.planner.Config.Split = "platform"
	if rows := w.make().Matrix.Include; len(rows) != 3 || len(rows[0].Platforms) != 2 {
		t.Errorf("rows %+v", rows)
	}
}

// TestMatrixHoldsAsManyRowsAsGitHubMakes shares rows out among very many services.
func TestMatrixHoldsAsManyRowsAsGitHubMakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ amd, arm, want, most int }{
		{256, 0, 256, 1}, {257, 0, 129, 2}, {200, 56, 256, 1}, {300, 300, 200, 3}, {1000, 1, 251, 4}, {0, 0, 0, 0}, {10_000, 0, 250, 40},
	} {
		var rows []Row
		for i := range c.amd + c.arm {
			name, runner := fmt.Sprintf("s%d", i), "ubuntu-latest"
			if i >= c.amd {
				runner = "arm"
			}
			rows = append(rows, Row{Row: name, Services: []string{name}, Name: name, Platforms: []string{runner}, Runner: runner})
		}
		got := atMost(mostRows, rows)
		names, services, most := map[string]bool{}, map[string]bool{}, 0
		for _, r := range got {
			names[r.Row], most = true, max(most, len(r.Services))
			for _, s := range r.Services {
				services[s] = true
			}
		}
		if len(got) != c.want || len(got) > mostRows || len(names) != len(got) || len(services) != c.amd+c.arm || most != c.most {
			t.Errorf("%d and %d services: %d rows, %d names, %d services, %d in one at most; want %d rows of %d", c.amd, c.arm, len(got), len(names), len(services), most, c.want, c.most)
		}
	}
}

func TestMatrixBeginsWithTheLongest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit(map[string]string{"docs/large": strings.Repeat("x", 10_000)})
	order := func() string {
		var names []string
		for _, r := range w.make().Matrix.Include {
			names = append(names, r.Row)
		}
		return strings.Join(names, " ")
	}
	if got, want := order(), "docs api web"; got != want {
		t.Errorf("by size: %s, want %s", got, want)
	}
	took := map[string]float64{"web": 300, "docs": 2}
	w.planner.Expect = func(s Service, _ []string, _ string) learn.Expectation {
		if took[s.Name] == 0 {
			return learn.Expectation{}
		}
		return learn.Expectation{Seconds: took[s.Name], Builds: 1}
	}
	if got, want := order(), "web docs api"; got != want {
		t.Errorf("by what they took: %s, want %s", got, want)
	}
}

func TestServicesThatAreMadeFromEachOtherShareARow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.service(0).Contexts = map[string]string{"base": "service:docs"}
	w.service(2).Platforms = []string{"linux/amd64", "linux/arm64"}
	rows := func() []string {
		var rows []string
		for _, r := range w.make().Matrix.Include {
			rows = append(rows, r.Row+" of "+strings.Join(r.Services, ",")+" for "+strings.Join(r.Platforms, ","))
		}
		return rows
	}
	if diff := gocmp.Diff([]string{"api+1 of api,docs for linux/amd64,linux/arm64", "web of web for linux/amd64"}, rows()); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	w.planner.Config.Split = "platform"
	if diff := gocmp.Diff([]string{"api@linux-amd64+1 of api,docs for linux/amd64", "api@linux-arm64+1 of api,docs for linux/arm64", "web of web for linux/amd64"}, sorted(rows())); diff != "" {
		t.Errorf("rows by platform (-want +got):\n%s", diff)
	}
	// What is published already is no reason to wait.
	w.planner.Config.Split = ""
	w.publish()
	w.commit(map[string]string{"api/main.go": "2"})
	if diff := gocmp.Diff([]string{"api of api for linux/amd64,linux/arm64", "docs of docs for linux/amd64,linux/arm64", "web of web for linux/amd64"}, sorted(rows())); diff != "" {
		t.Errorf("rows of the second run (-want +got):\n%s", diff)
	}
	if b := w.make().Services[0].Bases; len(b) != 1 || b[0].Digest == "" || b[0].Ref != "ghcr.io/octo/docs" {
		t.Errorf("api is made from %+v", b)
	}
}

func sorted(list []string) []string { slices.Sort(list); return list }
