package insight

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/dockerfile"
)

// bad copies all sources before it installs. The progress of its builds for two platforms was recorded of buildx and BuildKit: "first" on a
// new builder, "changed" after that with another src/main.js. So was that of good: "moved" after those, and "movedchanged" with yet another
// src/main.js.
const bad = `FROM busybox AS node
RUN mkdir -p /usr/local/bin && printf '#!/bin/sh\nsleep 2\necho "$@"\n' >/usr/local/bin/npm && chmod +x /usr/local/bin/npm
ARG VERSION=1
FROM node
ENV PATH=/usr/local/bin:/bin
WORKDIR /app
COPY . .
RUN npm ci
maintainer me
RUN npm run build
CMD httpd -f
`

var good = strings.Replace(bad, "COPY . .\nRUN npm ci\n", "COPY package.json package-lock.json ./\nRUN npm ci\nCOPY --exclude=big.bin . .\n", 1)

// recorded is a build whose progress was recorded, of a commit that changed files of its context.
func recorded(t testing.TB, name, text string, changed ...string) Build {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var p buildx.Progress
	if _, err := p.Write(data); err != nil {
		t.Fatal(err)
	}
	return Build{Steps: p.Steps(), Dockerfile: []byte(text), Options: dockerfile.Options{Platforms: []string{"linux/amd64", "linux/arm64"}},
		Since: &Since{Commit: "0123456789abcdef0123456789abcdef01234567", Changed: changed}}
}

// accounted is an account without what each step took.
func accounted(a Account) Account {
	a.Steps = nil
	return a
}

func TestExplain(t *testing.T) {
	t.Parallel()
	pulled := map[string]int64{"linux/amd64": 1149941, "linux/arm64": 1095100}
	unchanged := &Miss{Instruction: "COPY . .", Line: 7, Why: "changed since 0123456: src/main.js", Files: []string{"src/main.js"}}
	first := recorded(t, "first", bad)
	first.Since = nil
	for name, c := range map[string]struct {
		build Build
		want  Account
	}{
		"on a new builder": {first, Account{Dependencies: 4, ContextBytes: 3001554, PulledBytes: pulled, FirstMiss: &Miss{Line: 2,
			Instruction: `RUN mkdir -p /usr/local/bin && printf '#!/bin/sh\nsleep 2\necho "$@"\n' >/usr/l…`, Why: "nothing is published yet that it could be compared with"}}},
		"a source changed":                   {recorded(t, "changed", bad, "src/main.js"), Account{HitRate: 0.4, Dependencies: 4, DependencyHitRate: 0.5, ContextBytes: 508, FirstMiss: unchanged}},
		"a source changed, and is no matter": {recorded(t, "movedchanged", good, "src/main.js"), Account{HitRate: 4. / 6, Dependencies: 6, DependencyHitRate: 1, ContextBytes: 565, FirstMiss: &Miss{Instruction: "COPY --exclude=big.bin . .", Line: 9, Why: "changed since 0123456: src/main.js", Files: []string{"src/main.js"}}}},
	} {
		if c.want.PulledBytes == nil {
			c.want.PulledBytes = map[string]int64{}
		}
		if diff := cmp.Diff(c.want, accounted(Explain(c.build)), cmpopts.EquateApprox(0, 1e-9)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// cross compiles for another platform than it runs on. Its progress is of a build on a builder that had built it, with another src/main.js.
const cross = `FROM --platform=$BUILDPLATFORM busybox AS build
ARG TARGETARCH
WORKDIR /src
RUN --mount=type=cache,target=/c <<EOF
echo hi $TARGETARCH
sleep 1
EOF
COPY --link src src
RUN echo $TARGETARCH && sleep 1
FROM busybox
COPY --link --from=build /src /src
RUN true
`

func TestCrossCompiling(t *testing.T) {
	t.Parallel()
	a := Explain(recorded(t, "cross", cross, "src/main.js"))
	type at struct {
		line     int
		platform string
	}
	cached := map[at]bool{}
	for _, s := range a.Steps {
		if s.Line > 0 {
			cached[at{s.Line, s.Platform}] = s.Cached
		}
	}
	want := map[at]bool{}
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		want[at{4, platform}], want[at{9, platform}], want[at{12, platform}] = true, false, false
	}
	want[at{3, "linux/arm64"}], want[at{8, "linux/arm64"}] = true, false // of what platforms share it is told once
	want[at{11, "linux/amd64"}], want[at{11, "linux/arm64"}] = true, false
	if diff := cmp.Diff(want, cached, cmp.AllowUnexported(at{})); diff != "" {
		t.Errorf("what came from the cache, by line and platform (-want +got):\n%s", diff)
	}
	if m := a.FirstMiss; m == nil || m.Line != 8 || m.Why != "changed since 0123456: src/main.js" || len(a.Advice) > 0 {
		t.Errorf("first miss %+v, advice %+v", m, a.Advice)
	}
}

func TestStepsAreOfLines(t *testing.T) {
	t.Parallel()
	lines := map[int]int{}
	dependencies := 0
	for _, s := range Explain(recorded(t, "first", bad)).Steps {
		lines[s.Line]++
		if s.Dependency {
			dependencies++
		}
		if s.Line > 0 && (s.Seconds <= 0 || s.Platform == "" || !s.Instruction()) {
			t.Errorf("step %+v", s)
		}
	}
	delete(lines, 0) // BuildKit's own work
	if diff := cmp.Diff(map[int]int{2: 2, 6: 2, 7: 2, 8: 2, 10: 2}, lines); diff != "" {
		t.Errorf("steps by line (-want +got):\n%s", diff)
	}
	// The lines of another Dockerfile, which has another number of steps, are not guessed.
	for _, s := range Explain(recorded(t, "first", good)).Steps {
		if s.Line > 2 {
			t.Errorf("step %+v", s)
		}
	}
}

func TestWhyItMissed(t *testing.T) {
	t.Parallel()
	const text = "FROM busybox\nARG VERSION\nARG OTHER\nRUN make\nCOPY go.mod docs/ ./\nLABEL a=b\nRUN --mount=type=bind,source=src,target=/src make all\n"
	at := func(missed int, since *Since, change func(*Build)) Build {
		names := []string{"[stage-0 1/4] RUN make", "[stage-0 2/4] COPY go.mod docs/ ./", "[stage-0 3/4] RUN --mount=type=bind,source=src,target=/src make all"}
		b := Build{Dockerfile: []byte(text), Since: since}
		for i, name := range names {
			b.Steps = append(b.Steps, buildx.Step{Name: name, Cached: i < missed, Seconds: 1})
		}
		if change != nil {
			change(&b)
		}
		return b
	}
	since := func(change Since) *Since {
		change.Commit = "0123456789"
		return &change
	}
	moved := map[string]string{"busybox": "its base image moved"}
	nothing := "nothing that is known of has changed: the builder's cache does not have it"
	for name, c := range map[string]struct {
		build Build
		why   string // empty where nothing missed
		line  int
	}{
		"everything is cached":              {at(3, since(Since{}), nil), "", 0},
		"nothing is known":                  {at(0, since(Since{}), nil), nothing, 4},
		"a commit that is away":             {at(0, since(Since{Unread: true}), nil), "what changed since 0123456 cannot be told: that commit is not in this clone", 4},
		"no cache":                          {at(0, since(Since{}), func(b *Build) { b.NoCache = true }), "nothing was to come from the cache, as is configured", 4},
		"no cache for the stage":            {at(0, nil, func(b *Build) { b.NoCacheFilters = []string{"stage-0"} }), "nothing was to come from the cache, as is configured", 4},
		"a file that it copies":             {at(1, since(Since{Changed: []string{"README.md", "docs/a/b"}}), nil), "changed since 0123456: docs/a/b", 5},
		"many files":                        {at(1, since(Since{Changed: []string{"docs/1", "docs/2", "docs/3", "docs/4", "go.mod"}}), nil), "changed since 0123456: docs/1, docs/2, docs/3 and 2 more", 5},
		"a file that it does not copy":      {at(1, since(Since{Changed: []string{"src/main.go"}}), nil), nothing, 5},
		"a file that it mounts":             {at(2, since(Since{Changed: []string{"src/main.go"}}), nil), "changed since 0123456: src/main.go", 7},
		"its base image":                    {at(0, since(Since{Bases: moved}), nil), "its base image moved", 4},
		"not its base image, as others hit": {at(1, since(Since{Bases: moved}), nil), nothing, 5},
		"another image moved":               {at(0, since(Since{Bases: map[string]string{"alpine": "x"}}), nil), nothing, 4},
		"a build argument":                  {at(0, since(Since{Args: []string{"OTHER", "NOBODY"}}), nil), "other build arguments: OTHER", 4},
		"an argument that names its base image": {at(0, since(Since{Args: []string{"OTHER", "TAG"}}), func(b *Build) {
			b.Dockerfile = []byte(strings.Replace("ARG TAG=1\n"+text, "busybox", "busybox:$TAG", 1))
		}), "other build arguments: OTHER, TAG", 5},
		"such a one, as others hit": {at(1, since(Since{Args: []string{"TAG"}}), func(b *Build) {
			b.Dockerfile = []byte(strings.Replace("ARG TAG=1\n"+text, "busybox", "busybox:$TAG", 1))
		}), nothing, 6},
		"it is from another image":               {at(0, since(Since{Dockerfile: []byte(strings.Replace(text, "busybox", "busybox:1", 1))}), nil), "the Dockerfile changed since 0123456: FROM busybox in line 1", 4},
		"it was from another, as others hit":     {at(1, since(Since{Dockerfile: []byte(strings.Replace(text, "busybox", "busybox:1", 1))}), nil), nothing, 5},
		"the instruction is new":                 {at(0, since(Since{Dockerfile: []byte(strings.Replace(text, "RUN make\n", "RUN make it\n", 1))}), nil), "the Dockerfile changed since 0123456: RUN make in line 4", 4},
		"an argument's default is new":           {at(0, since(Since{Dockerfile: []byte(strings.Replace(text, "ARG OTHER", "ARG OTHER=1", 1))}), nil), "the Dockerfile changed since 0123456: ARG OTHER in line 3", 4},
		"a label is new, which is no matter":     {at(2, since(Since{Dockerfile: []byte(strings.Replace(text, "a=b", "a=c", 1)), Changed: []string{"src/x"}}), nil), "changed since 0123456: src/x", 7},
		"a later instruction is new":             {at(1, since(Since{Dockerfile: []byte(strings.Replace(text, "make all", "make", 1)), Changed: []string{"go.mod"}}), nil), "changed since 0123456: go.mod", 5},
		"the stage is new":                       {at(0, since(Since{Dockerfile: []byte("FROM busybox AS other")}), nil), "the Dockerfile changed since 0123456: the stage stage-0 is new", 4},
		"a step that never began":                {at(1, nil, func(b *Build) { b.Steps[1].Seconds, b.Steps[2].Seconds = 0, 0 }), "", 0},
		"steps of another Dockerfile than there": {at(0, nil, func(b *Build) { b.Dockerfile = []byte("FROM busybox\nCOPY a b\nRUN c\nCOPY e f") }), "", 0},
	} {
		got := Explain(c.build).FirstMiss
		switch {
		case c.why == "" && got != nil:
			t.Errorf("%s: %+v", name, got)
		case c.why != "" && (got == nil || got.Why != c.why || got.Line != c.line):
			t.Errorf("%s: %+v, want %q in line %d", name, got, c.why, c.line)
		}
	}
}

func TestDependencyLayers(t *testing.T) {
	t.Parallel()
	const text = `FROM busybox AS base
WORKDIR /a
RUN apk add make
FROM base AS deps
COPY package*.json requirements-dev.txt ./
RUN make tools
COPY --from=alpine /etc/x /etc/x
FROM deps AS build
COPY src src
RUN make
RUN npm run build && npm ci
FROM base
COPY --from=deps /x /x
COPY --from=build /y /y
RUN make
ADD --checksum=sha256:0123456789012345678901234567890123456789012345678901234567890123 https://example.com/x /x
`
	stages, err := dockerfile.ReadStages([]byte(text), dockerfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	lines := map[int]bool{}
	for at := range dependencies(stages) {
		lines[stages[at.stage].Instructions[at.instruction].Line] = true
	}
	if diff := cmp.Diff(map[int]bool{3: true, 5: true, 6: true, 7: true, 11: true, 13: true}, lines); diff != "" {
		t.Errorf("lines of dependency layers (-want +got):\n%s", diff)
	}
}

// TestWith holds that a build in two jobs is accounted for as one.
func TestWith(t *testing.T) {
	t.Parallel()
	whole := Explain(recorded(t, "changed", bad, "src/main.js"))
	one, other := whole, whole
	one.Steps, other.Steps = nil, nil
	for _, s := range whole.Steps {
		if s.Platform == "linux/arm64" {
			other.Steps = append(other.Steps, s)
		} else {
			one.Steps = append(one.Steps, s)
		}
	}
	one.FirstMiss = nil
	if diff := cmp.Diff(accounted(whole), accounted(one.With(other))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
