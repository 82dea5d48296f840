package insight

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/dockerfile"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/memory"
)

// written are what runs write of a service, by namespace.
func written(t *testing.T, repository string, services ...Service) map[string][]memory.Entry {
	t.Helper()
	run := whole(services...)
	run.Repository = repository
	kinds := map[string][]memory.Entry{}
	for _, e := range entries(t, run) {
		kinds[e.Namespace] = append(kinds[e.Namespace], e)
	}
	return kinds
}

// TestHistory reads back what Entries writes.
func TestHistory(t *testing.T) {
	t.Parallel()
	api, failed, reused := judged("api"), judged("web"), judged("docs")
	api.Seconds["judge"] = 0.5
	api.Account.FirstMiss = &Miss{Instruction: "RUN x", Line: 3, Why: "changed since abc: go.sum", Files: []string{"go.sum"}}
	failed.Success, reused.Action = false, "reuse"
	kinds := written(t, "org/cards", api, failed, reused)
	kinds["builds"] = append(kinds["builds"], memory.Entry{Value: []byte(`"somebody else's"`)}, memory.Entry{Value: []byte(`{"service":"api","action":"build","success":true,"seconds":{"build":1,"judge":-9}}`)})
	for repository, elsewhere := range map[string]string{"org/cards": "", "org/shop": "org/cards"} {
		want := api.Learn(ended)
		want.Elsewhere = elsewhere
		if diff := cmp.Diff(learn.History{want}, History(repository, kinds["builds"], kinds["cache"])); diff != "" {
			t.Errorf("history of %s (-want +got):\n%s", repository, diff)
		}
		if got := Own(kinds["builds"], repository); (len(got) == len(kinds["builds"])) != (elsewhere == "") || len(got) < 2 {
			t.Errorf("%d entries are %s's own", len(got), repository)
		}
	}
	if got := api.Learn(ended); got.Seconds != 2 || got.Building != 1.5 || len(got.Steps) != 1 || got.Miss.Files[0] != "go.sum" || got.Kind == "" || got.Runner == "" || !got.At.Equal(ended) {
		t.Errorf("%+v", got)
	}
}

// TestTrials reads back which images were tried out.
func TestTrials(t *testing.T) {
	t.Parallel()
	api, sick, untried := judged("api"), judged("web"), judged("docs")
	sick.Healthy, untried.Tried = false, false
	kinds := written(t, "org/cards", api, sick, untried)
	want := learn.Trials{{Service: "api", Digest: "sha256:a", Inputs: "sha256:1", At: ended, Healthy: true}, {Service: "web", Digest: "sha256:a", Inputs: "sha256:1", At: ended}}
	if diff := cmp.Diff(want, Trials(append(kinds["validations"], memory.Entry{Value: []byte(`[]`)}))); diff != "" {
		t.Errorf("trials (-want +got):\n%s", diff)
	}
}

// TestCoordination reads back what OfCoordination writes, and nothing else of that namespace.
func TestCoordination(t *testing.T) {
	t.Parallel()
	entries, err := OfCoordination("org/cards", "42-1@api", learn.Figures{Restore: 1, Save: 2, Operations: 4, Succeeded: 3})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"coordination/figures:42-1@api for 90 days"}, told(entries)); diff != "" {
		t.Error(diff)
	}
	entries = append(entries, memory.Entry{Key: "swarm/hello", Value: []byte(`{"operations":100}`)}, memory.Entry{Key: "figures:broken", Value: []byte(`"?"`)})
	if got := learn.Coordinate(Coordination(entries)); got.Jobs != 1 || got.Success != 0.75 || got.Save.Median != 2 {
		t.Errorf("%+v", got)
	}
}

func TestKind(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"FROM golang:1.26 AS build\nCOPY . .\nRUN go mod download && CGO_ENABLED=0 go build -o /x\nFROM alpine:3\nRUN apk add curl\nCOPY --from=build /x /x": "alpine+golang with go",
		"FROM node:22\nRUN npm ci && npm run build":                 "node with npm",
		"FROM docker.io/library/node:20-slim\nRUN npm install":      "node with npm",
		"FROM busybox\nCMD [\"httpd\"]":                             "busybox",
		"FROM scratch\nCOPY x /x":                                   "",
		"FROM rust AS a\nRUN cargo build --release\nFROM scratch\n": "",
		"no Dockerfile": "",
	} {
		if got := Kind([]byte(text), dockerfile.Options{}); got != want {
			t.Errorf("%q is of kind %q, want %q", text, got, want)
		}
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		base  string
		files []string
		want  []string
	}{
		{"", nil, []string{"everything"}},
		{"abc", nil, []string{"no file"}},
		{"abc", []string{"api/main.go", "api/go.sum", "api/main_test.go"}, []string{"dependencies", "sources"}},
		{"abc", []string{"api/Dockerfile"}, []string{"dockerfile"}},
	} {
		if diff := cmp.Diff(c.want, Changes(c.base, c.files, "api/Dockerfile")); diff != "" {
			t.Errorf("%q since %q:\n%s", c.files, c.base, diff)
		}
	}
}

func TestLayers(t *testing.T) {
	t.Parallel()
	reading := cache.Use{Policy: cache.Policy{Reads: []string{"registry"}}}
	if a, b, c := Layers(false, reading), Layers(true, reading), Layers(true, cache.Use{}); a != "kept" || b != "of other runs" || c != "none" {
		t.Errorf("%q, %q, %q", a, b, c)
	}
}
