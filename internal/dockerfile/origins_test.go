package dockerfile

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const staged = `# syntax=docker/dockerfile:1
ARG VERSION=3.20
FROM golang AS build
RUN go build
FROM alpine:${VERSION} AS base
ENV A=b
RUN apk add curl \
    && rm -rf /var/cache
ONBUILD RUN later
FROM base
WORKDIR /app
COPY --from=build /x /app/
CMD ["/app/x"]
`

// of renders the origins of a history as lines.
func of(t *testing.T, text string, o Options, history ...string) string {
	t.Helper()
	origins, err := ReadOrigins([]byte(text), o)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, origin := range origins.Of(history) {
		b.WriteString(strings.TrimSpace(strings.Repeat("#", origin.Line)+" "+origin.Instruction) + "\n")
	}
	return b.String()
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		text    string
		options Options
		history []string
		want    string
	}{
		{"through the stages", staged, Options{}, []string{"ADD alpine-minirootfs.tar.gz / # buildkit", `CMD ["/bin/sh"]`, "ENV A=b", "RUN /bin/sh -c apk add curl     && rm -rf /var/cache # buildkit",
			"WORKDIR /app", "COPY /x /app/ # buildkit", `CMD ["/app/x"]`}, `##### FROM alpine:${VERSION} AS base
##### FROM alpine:${VERSION} AS base
###### ENV A=b
####### RUN apk add curl && rm -rf /var/cache
########### WORKDIR /app
############ COPY --from=build /x /app/
############# CMD ["/app/x"]
`},
		{"of a target", staged, Options{Target: "build"}, []string{"RUN x", "RUN /bin/sh -c go build # buildkit"}, "### FROM golang AS build\n#### RUN go build\n"},
		{"an argument in the shell's words", "FROM scratch\nARG V=1\nRUN x $V\n", Options{}, []string{"ARG V=2", "RUN |1 V=2 /bin/sh -c x $V # buildkit"}, "## ARG V=1\n### RUN x $V\n"},
		{"a command that is a list", "FROM a\nRUN [\"x\", \"y\"]\n", Options{}, []string{"RUN x y # buildkit"}, "## RUN [\"x\", \"y\"]\n"},
		{"a command in a document of its own", "FROM a\nRUN <<EOF\nx\ny\nEOF\n", Options{}, []string{"RUN /bin/sh -c x\ny\n # buildkit"}, "## RUN <<EOF\n"},
		{"in small letters", "from a\nrun x\n", Options{}, []string{"RUN /bin/sh -c x # buildkit"}, "## run x\n"},
		{"of another Dockerfile", "FROM a\nRUN x\n", Options{}, []string{"RUN /bin/sh -c y # buildkit"}, "\n"},
		{"of a shorter Dockerfile", "FROM a\nRUN x\nRUN y\n", Options{}, []string{"RUN /bin/sh -c y # buildkit"}, "\n"},
		{"another instruction", "FROM a\nCOPY x y\n", Options{}, []string{"base", "RUN /bin/sh -c y # buildkit"}, "\n\n"},
		{"a stage that a context replaces", "FROM a AS b\nRUN x\nFROM b\nRUN y\n", Options{Contexts: []string{"b"}}, []string{"RUN /bin/sh -c z", "RUN /bin/sh -c y"}, "# FROM a AS b\n#### RUN y\n"},
		{"another language", "# syntax=example.com/other\nFROM a\nRUN y\n", Options{}, []string{"RUN /bin/sh -c y"}, "\n"},
		{"a long line", "FROM a\nRUN " + strings.Repeat("x", 200), Options{}, []string{"RUN /bin/sh -c " + strings.Repeat("x", 200)}, "## RUN " + strings.Repeat("x", 115) + "…\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, of(t, c.text, c.options, c.history...)); diff != "" {
				t.Errorf("origins (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFinalStage(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]int{"": 10, "build": 3, "base": 5} {
		if got, err := ReadOrigins([]byte(staged), Options{Target: target}); err != nil || got.Final != want {
			t.Errorf("target %q: line %d, %v; want %d", target, got.Final, err, want)
		}
	}
	if got, err := ReadOrigins([]byte("# syntax=example.com/other\nFROM a\n"), Options{}); err != nil || got.Final != 0 {
		t.Errorf("another language: line %d, %v", got.Final, err)
	}
}

func TestOriginsOfWhatIsNoDockerfile(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "RUN x", "FROM a\nNONE b", "FROM a AS b"} {
		if got, err := ReadOrigins([]byte(text), Options{Target: "other"}); err == nil || cmp.Diff(Origins{}, got, cmp.AllowUnexported(Origins{}), cmpopts.EquateComparable(Origin{})) != "" {
			t.Errorf("ReadOrigins(%q) = %+v, %v", text, got, err)
		}
	}
}
