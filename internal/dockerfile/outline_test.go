package dockerfile

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestReadStages(t *testing.T) {
	t.Parallel()
	const text = `ARG BASE=alpine
FROM $BASE:3 AS build
ARG VERSION=1 MODE
WORKDIR /src
COPY --exclude=*.md --exclude=docs ${VERSION}/a go.* ./
RUN --mount=type=cache,target=/c --mount=type=bind,source=tools,target=/t \
    make
FROM build
RUN <<EOF
npm ci
EOF
RUN ["make"]
FROM busybox AS unused
COPY x y
FROM scratch
COPY --from=build /a /a
COPY --from=1 /b /b
COPY --from=busybox /c /c
ADD https://example.com/x local /d/
`
	got, err := ReadStages([]byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []Stage{
		{Name: "build", Line: 2, Base: -1, Image: "alpine:3", from: true, Instructions: []Instruction{
			{Line: 3, Name: "ARG", Text: "ARG VERSION=1 MODE", From: -1, Args: []string{"VERSION", "MODE"}},
			{Line: 4, Name: "WORKDIR", Text: "WORKDIR /src", From: -1},
			{Line: 5, Name: "COPY", Text: "COPY --exclude=*.md --exclude=docs ${VERSION}/a go.* ./", From: -1, Sources: []string{"1/a", "go.*"}, Exclude: []string{"*.md", "docs"}},
			{Line: 6, Name: "RUN", Text: "RUN --mount=type=cache,target=/c --mount=type=bind,source=tools,target=/t make", From: -1, Sources: []string{"tools"}, Command: "make", Mounts: true},
		}},
		{Name: "stage-1", Line: 8, Base: 0, Instructions: []Instruction{
			{Line: 9, Name: "RUN", Text: "RUN <<EOF", From: -1, Command: "npm ci\n"}, {Line: 12, Name: "RUN", Text: `RUN ["make"]`, From: -1}}},
		{Name: "stage-3", Line: 15, Base: -1, Instructions: []Instruction{
			{Line: 16, Name: "COPY", Text: "COPY --from=build /a /a"}, {Line: 17, Name: "COPY", Text: "COPY --from=1 /b /b", From: 1},
			{Line: 18, Name: "COPY", Text: "COPY --from=busybox /c /c", From: -1},
			{Line: 19, Name: "ADD", Text: "ADD https://example.com/x local /d/", From: -1, Sources: []string{"local"}},
		}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Stage{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	var steps [][]int
	for _, s := range got {
		steps = append(steps, s.Steps())
	}
	if diff := cmp.Diff([][]int{{-1, 1, 2, 3}, {0, 1}, {0, 1, 2, 3}}, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestReadStagesOfWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	for text, fails := range map[string]bool{"# syntax=example.com/other\nFROM x": false, "FROM": true, "COPY a b": true} {
		if got, err := ReadStages([]byte(text), Options{}); len(got) > 0 || (err != nil) != fails {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// FuzzReadStages holds that what an instruction takes is part of what the Dockerfile takes.
func FuzzReadStages(f *testing.F) {
	f.Add("FROM busybox AS a\nCOPY a b\nFROM a\nRUN --mount=type=bind,target=/x make\n")
	f.Add("FROM busybox AS a\nONBUILD COPY a b\nFROM a AS b\nCOPY --from=b . .\nADD c d\n")
	f.Fuzz(func(t *testing.T, text string) {
		o := Options{Platforms: []string{"linux/amd64"}}
		use, err := Read([]byte(text), o)
		stages, failed := ReadStages([]byte(text), o)
		if foreign(syntaxOf([]byte(text), nil)) || err != nil || failed != nil {
			return
		}
		for _, s := range stages {
			for _, in := range s.Instructions {
				for _, source := range in.Sources {
					if !slices.Contains(use.Sources, source) && !newCover(use.Sources).holdsInside(source) {
						t.Errorf("%s takes %q, and the Dockerfile takes %q", in.Text, source, use.Sources)
					}
				}
			}
		}
	})
}
