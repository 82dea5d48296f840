package dockerfile

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func library(names ...string) []Image {
	var all []Image
	for _, name := range names {
		ref := "docker.io/library/" + name
		if !strings.ContainsAny(name, ":@") {
			ref += ":latest"
		}
		all = append(all, Image{Name: name, Ref: ref})
	}
	return all
}

var whole = []string{"."}

func TestRead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text    string
		options Options
		want    Use
	}{
		// Images
		"an image": {
			text: "FROM busybox",
			want: Use{Images: library("busybox")},
		},
		"a tag, a registry, a digest": {
			text: "FROM alpine:3.20 AS a\nFROM ghcr.io/org/x AS b\nCOPY --from=a x y\nFROM debian@sha256:" + strings.Repeat("a", 64) + "\nCOPY --from=b x y",
			want: Use{Images: []Image{
				{Name: "alpine:3.20", Ref: "docker.io/library/alpine:3.20"},
				{Name: "debian@sha256:" + strings.Repeat("a", 64), Ref: "docker.io/library/debian@sha256:" + strings.Repeat("a", 64)},
				{Name: "ghcr.io/org/x", Ref: "ghcr.io/org/x:latest"},
			}},
		},
		"a stage named as its image without a tag": {
			text: "FROM golang:1.26 AS golang\nCOPY a b",
			want: Use{Images: library("golang:1.26"), Sources: []string{"a"}},
		},
		"one image by several names is one": {
			text: "FROM docker.io/library/busybox:latest\nCOPY --from=busybox x y\nCOPY --from=busybox:latest x y",
			want: Use{Images: []Image{{Name: "busybox", Ref: "docker.io/library/busybox:latest"}}},
		},
		"nothing": {
			text: "FROM scratch\nCOPY --from=scratch x y",
		},
		"copied and mounted from": {
			text: "FROM scratch\nCOPY --from=busybox x y\nRUN --mount=from=alpine,target=/a --mount=type=cache,from=debian,target=/d true",
			want: Use{Images: library("alpine", "busybox", "debian")},
		},
		"a mount's number is an image": {
			text: "FROM alpine AS a\nFROM scratch\nRUN --mount=from=0,target=/a true",
			want: Use{Images: library("0")},
		},

		// Stages
		"only stages that the last reaches": {
			text: "FROM a AS one\nCOPY a .\nFROM b AS two\nCOPY b .\nFROM c AS three\nCOPY c .\nFROM two\nCOPY d .",
			want: Use{Images: library("b"), Sources: []string{"b", "d"}},
		},
		"only stages that the target reaches": {
			text:    "FROM a AS one\nCOPY a .\nFROM b AS two\nCOPY b .\nCOPY --from=one a .\nFROM two\nCOPY d .",
			options: Options{Target: "TWO"},
			want:    Use{Images: library("a", "b"), Sources: []string{"a", "b"}},
		},
		"a stage by name in any case, by number, by mount": {
			text: "FROM a AS one\nFROM b\nFROM c AS Three\nFROM d AS four\nFROM scratch\nCOPY --from=ONE x y\nCOPY --from=1 x y\nRUN --mount=type=cache,target=/x,from=three --mount=from=FOUR,target=/y true",
			want: Use{Images: library("a", "b", "c", "d")},
		},
		"a stage comes before an image": {
			text: "FROM a AS busybox\nFROM busybox\nCOPY --from=busybox x y",
			want: Use{Images: library("a")},
		},
		"a stage named as its image": {
			text: "FROM busybox AS busybox\nFROM busybox",
			want: Use{Images: []Image{{Name: "busybox", Ref: "docker.io/library/busybox:latest", Shadowed: true}}},
		},
		"a later stage is no base": {
			text: "FROM b AS a\nFROM c AS b\nFROM a",
			want: Use{Images: []Image{{Name: "b", Ref: "docker.io/library/b:latest", Shadowed: true}}},
		},
		"of two stages with a name, FROM takes the one before it and COPY the last": {
			text: "FROM a AS x\nFROM x AS y\nFROM b AS x\nFROM y\nCOPY --from=x 1 2",
			want: Use{Images: library("a", "b")},
		},
		"a stage named scratch": {
			text: "FROM a AS scratch\nCOPY a .\nFROM b\nRUN --mount=type=cache,target=/c true",
			want: Use{Images: library("a", "b"), Sources: []string{"a"}},
		},

		// Arguments of FROM
		"a default": {
			text: "ARG V=3.20\nARG IMAGE=alpine:$V\nFROM ${IMAGE}",
			want: Use{Images: library("alpine:3.20")},
		},
		"a build argument before a default": {
			text:    "ARG V=3.20\nFROM alpine:${V}",
			options: Options{Args: map[string]string{"V": "3.21"}},
			want:    Use{Images: library("alpine:3.21")},
		},
		"one that is not declared": {
			text:    "FROM alpine${V:-:1}",
			options: Options{Args: map[string]string{"V": ":2"}},
			want:    Use{Images: library("alpine:1")},
		},
		"a stage by argument": {
			text:    "ARG MODE=dev\nFROM a AS dev\nCOPY dev .\nFROM b AS prod\nCOPY prod .\nFROM $MODE",
			options: Options{Args: map[string]string{"MODE": "prod"}},
			want:    Use{Images: library("b"), Sources: []string{"prod"}},
		},
		"an image for each platform": {
			text:    "FROM alpine-$TARGETARCH$TARGETVARIANT AS a\nFROM --platform=$BUILDPLATFORM golang-$BUILDARCH\nCOPY --from=a x y",
			options: Options{Platforms: []string{"linux/amd64", "linux/arm64", "linux/arm/v7"}},
			want:    Use{Images: library("alpine-amd64", "alpine-arm64", "alpine-armv7", "golang-amd64", "golang-arm", "golang-arm64")},
		},
		"a variable that goes on in the next line": {
			text:    "FROM x-$TAR\\\nGETARCH",
			options: Options{Platforms: []string{"linux/amd64", "linux/arm64"}},
			want:    Use{Images: library("x-amd64", "x-arm64")},
		},
		"a platform without any": {
			text: "FROM x-$TARGETOS-$TARGETARCH-$BUILDARCH",
			want: Use{Images: library("x-linux-amd64-amd64", "x-linux-amd64-arm64")},
		},
		"stages for each platform": {
			text:    "FROM scratch AS build-amd64\nCOPY a .\nFROM scratch AS build-arm64\nCOPY b .\nFROM scratch AS build-s390x\nCOPY c .\nFROM build-$TARGETARCH",
			options: Options{Platforms: []string{"linux/amd64", "linux/arm64"}},
			want:    Use{Sources: []string{"a", "b"}},
		},
		"a platform argument that is given": {
			text:    "FROM x-$TARGETARCH",
			options: Options{Args: map[string]string{"TARGETARCH": "mine"}},
			want:    Use{Images: library("x-mine")},
		},
		"the target's name": {
			text: "FROM x-$TARGETSTAGE AS last",
			want: Use{Images: library("x-last")},
		},

		// Named contexts
		"a named context for an image": {
			text:    "FROM docker.io/library/busybox:latest\nCOPY --from=ghcr.io/org/x:1 a b\nRUN --mount=from=tools,target=/t true",
			options: Options{Contexts: []string{"tools", "busybox", "ghcr.io/org/x:1", "other"}},
			want:    Use{Contexts: []string{"busybox", "ghcr.io/org/x:1", "tools"}},
		},
		"its name as it is given": {
			text:    "FROM busybox",
			options: Options{Contexts: []string{"docker.io/library/busybox:latest", "No name"}},
			want:    Use{Contexts: []string{"docker.io/library/busybox:latest"}},
		},
		"another tag is another image": {
			text:    "FROM busybox:1",
			options: Options{Contexts: []string{"busybox"}},
			want:    Use{Images: library("busybox:1")},
		},
		"a named context replaces a stage": {
			text:    "FROM a AS deps\nCOPY a .\nFROM b\nCOPY --from=deps x y",
			options: Options{Contexts: []string{"deps"}},
			want:    Use{Images: library("b"), Contexts: []string{"deps"}},
		},
		"a named context replaces a base and the stages below it": {
			text:    "FROM a AS deps\nCOPY a .\nFROM deps AS more\nENV D=d\nFROM more\nCOPY $D .",
			options: Options{Contexts: []string{"deps"}},
			want:    Use{Contexts: []string{"deps"}, Sources: []string{"d"}},
		},
		"a named context replaces a later stage": {
			text:    "FROM b AS main\nCOPY --from=deps x y\nFROM a AS deps",
			options: Options{Contexts: []string{"deps"}, Target: "main"},
			want:    Use{Images: library("b"), Contexts: []string{"deps"}},
		},
		"a stage that no named context replaces comes first": {
			text:    "FROM a AS deps\nFROM deps",
			options: Options{Contexts: []string{"dep"}},
			want:    Use{Images: library("a")},
		},
		"scratch is no named context": {
			text:    "FROM scratch\nCOPY --from=scratch a b",
			options: Options{Contexts: []string{"scratch"}},
		},

		// Sources
		"files and folders": {
			text: "FROM scratch\nCOPY go.mod go.sum ./\nADD [\"cmd\", \"in ternal\", \"/\"]\nCOPY ./web/ /web",
			want: Use{Sources: []string{"cmd", "go.mod", "go.sum", "in ternal", "web"}},
		},
		"the whole context": {
			text: "FROM scratch\nCOPY a .\nCOPY . .",
			want: Use{Sources: whole},
		},
		"no way out of the context": {
			text: "FROM scratch\nWORKDIR /w\nCOPY /abs ../up ../../up/../x/./y a//b/ .",
			want: Use{Sources: []string{"a/b", "abs", "up", "x/y"}},
		},
		"the root by other names": {
			text: "FROM scratch\nCOPY ../.. .",
			want: Use{Sources: whole},
		},
		"those inside another": {
			text: "FROM scratch\nCOPY a/b a a/b/c ab x* x*/y xyz xyz/a y/[a-z] .",
			want: Use{Sources: []string{"a", "ab", "x*", "y/[a-z]"}},
		},
		"an ill-formed pattern": {
			text: "FROM scratch\nCOPY a[ .",
			want: Use{Sources: whole},
		},
		"a path of Windows": {
			text: "# escape=`\nFROM scratch\nCOPY dir\\file .",
			want: Use{Sources: whole},
		},
		"a drive of Windows": {
			text: "FROM scratch\nCOPY c:/file .",
			want: Use{Sources: whole},
		},
		"quotes": {
			text: "FROM scratch\nCOPY 'a' \"b\" c\\$d .",
			want: Use{Sources: []string{"a", "b", "c$d"}},
		},
		"addresses and repositories": {
			text: "FROM scratch\nARG V\nADD https://example.com/$V/x.tgz http://example.com/y git@github.com:org/repo.git#v1 git://host/repo ssh://git@host/repo https://github.com/org/repo.git#main github.com/org/local /",
			want: Use{Sources: []string{"github.com/org/local"}},
		},
		"an address in an argument": {
			text: "FROM scratch\nARG FILE=https://example.com/x\nADD $FILE /",
		},
		"heredocs": {
			text: "FROM scratch\nCOPY <<EOF a b.txt /\nFROM other\nCOPY . .\nEOF\nRUN <<EOF\nCOPY c .\nEOF\nCOPY d .",
			want: Use{Sources: []string{"a", "b.txt", "d"}},
		},
		"what is left out counts": {
			text: "FROM scratch\nCOPY --exclude=*.md docs .\nADD --exclude=x --link src .",
			want: Use{Sources: []string{"docs", "src"}},
		},
		"parents": {
			text: `FROM scratch
COPY --parents ["./a/b.txt", "x/./y/z", "pkg/**/*.go", "p/./../q", "in/a b", "in2/!c", "."]`,
			want: Use{Sources: []string{"a/b.txt", "in", "in2", "p/q", "pkg", "x/y/z"}},
		},
		"parents of anything": {
			text: "FROM scratch\nCOPY --parents **/package.json .",
			want: Use{Sources: whole},
		},
		"parents on Windows": {
			text: "FROM scratch\nCOPY --parents [\"a\\\\\\\\b\", \".\"]",
			want: Use{Sources: whole},
		},
		"parents are not, if false": {
			text: "FROM scratch\nCOPY --parents=false *.go .",
			want: Use{Sources: []string{"*.go"}},
		},

		// Variables of sources
		"an argument": {
			text: "FROM a\nARG D=src\nARG E=${D}/x\nCOPY $E .",
			want: Use{Images: library("a"), Sources: []string{"src/x"}},
		},
		"a build argument": {
			text:    "FROM a\nARG D=src\nARG E\nCOPY $D $E .",
			options: Options{Args: map[string]string{"D": "lib", "E": "etc"}},
			want:    Use{Images: library("a"), Sources: []string{"etc", "lib"}},
		},
		"a global argument": {
			text: "ARG D=src\nFROM a\nARG D\nCOPY $D .",
			want: Use{Images: library("a"), Sources: []string{"src"}},
		},
		"a global argument that the stage does not declare": {
			text: "ARG D=src\nFROM a\nCOPY $D .",
			want: Use{Images: library("a"), Sources: whole},
		},
		"an argument of its own before a global one": {
			text: "ARG D=src\nFROM a\nARG D=lib\nCOPY $D .",
			want: Use{Images: library("a"), Sources: []string{"lib"}},
		},
		"a platform argument": {
			text:    "FROM a\nARG TARGETARCH\nCOPY bin/$TARGETARCH .",
			options: Options{Platforms: []string{"linux/amd64", "linux/arm64"}},
			want:    Use{Images: library("a"), Sources: []string{"bin/amd64", "bin/arm64"}},
		},
		"a platform argument that the stage does not declare": {
			text: "FROM a\nCOPY bin/$TARGETARCH .",
			want: Use{Images: library("a"), Sources: whole},
		},
		"an environment": {
			text: "FROM a\nENV A=x B=$A\nENV C=${A}y\nCOPY $C .",
			want: Use{Images: library("a"), Sources: []string{"xy"}},
		},
		"the environment of a stage below": {
			text: "FROM a AS one\nENV D=src\nFROM one AS two\nFROM two\nCOPY $D .",
			want: Use{Images: library("a"), Sources: []string{"src"}},
		},
		"an argument of a stage below, which the image may have set otherwise": {
			text: "FROM a AS one\nARG D=src\nFROM one\nCOPY $D .",
			want: Use{Images: library("a"), Sources: whole},
		},
		"the environment before an argument of a stage below": {
			text: "FROM a AS one\nENV D=env\nARG D=arg\nCOPY $D .\nFROM one\nCOPY $D/x .",
			want: Use{Images: library("a"), Sources: []string{"arg", "env/x"}},
		},
		"a default that the image may not need": {
			text: "FROM a\nCOPY ${D:-src} .",
			want: Use{Images: library("a"), Sources: whole},
		},
		"an argument without a value keeps what there is": {
			text: "FROM a\nENV D=src\nARG D\nCOPY $D .",
			want: Use{Images: library("a"), Sources: []string{"src"}},
		},
		"what is not known spreads": {
			text: "FROM a\nENV D=src\nENV D=$PATH\nCOPY $D .",
			want: Use{Images: library("a"), Sources: whole},
		},
		"an argument that is not known": {
			text: "FROM a\nARG D=src\nARG D=$HOME\nCOPY $D .",
			want: Use{Images: library("a"), Sources: whole},
		},
		"a variable whose name is not known may be any": {
			text: "FROM a\nENV D=src\nENV $X=lib\nCOPY $D .",
			want: Use{Images: library("a"), Sources: whole},
		},
		"a variable that grows": {
			text: "FROM a\nENV A=0123456789abcdef\n" + strings.Repeat("ENV A=$A$A\n", 60) + "COPY $A .",
			want: Use{Images: library("a"), Sources: whole},
		},

		// Mounts
		"a bind mount": {
			text: "FROM a\nRUN --mount=type=bind,source=src,target=/src --mount=src=go.mod,dst=/go.mod true",
			want: Use{Images: library("a"), Sources: []string{"go.mod", "src"}},
		},
		"a bind mount of all": {
			text: "FROM a\nRUN --mount=target=. true",
			want: Use{Images: library("a"), Sources: whole},
		},
		"a bind mount with a pattern's sign": {
			text: "FROM a\nRUN --mount=source=[a],target=/a true",
			want: Use{Images: library("a"), Sources: whole},
		},
		"a mount with variables": {
			text: "FROM a\nARG D=src\nRUN --mount=source=$D,target=$HOME/x true",
			want: Use{Images: library("a"), Sources: []string{"src"}},
		},
		"a mount of what is not known": {
			text: "FROM a\nRUN --mount=source=$D,target=/x true",
			want: Use{Images: library("a"), Sources: whole},
		},
		"a mount of a type that is not known": {
			text: "FROM a\nRUN --mount=type=$T,target=/x true",
			want: Use{Images: library("a"), Sources: whole},
		},
		"mounts of nothing": {
			text: "FROM a\nRUN --mount=type=cache,target=$HOME/.cache --mount=type=tmpfs,target=/t --mount=type=secret,id=$S --mount=type=ssh true",
			want: Use{Images: library("a")},
		},

		// ONBUILD
		"ONBUILD is for stages built on it": {
			text: "FROM a AS one\nONBUILD ARG D=src\nONBUILD COPY $D .\nONBUILD COPY --from=b x y\nONBUILD RUN --mount=from=c,target=/c true\nFROM one\nCOPY $D/x lib .",
			want: Use{Images: library("a", "b", "c"), Sources: []string{"lib", "src"}},
		},
		"ONBUILD is not for the stage itself, nor for stages further on": {
			text: "FROM a AS one\nONBUILD COPY a .\nFROM one AS two\nONBUILD COPY b .\nCOPY c .\nFROM x AS three\nONBUILD COPY d .",
			want: Use{Images: library("x")},
		},
		"ONBUILD of the stage before the last": {
			text: "FROM a AS one\nONBUILD COPY a .\nFROM one AS two\nONBUILD COPY b .\nFROM two",
			want: Use{Images: library("a"), Sources: []string{"a", "b"}},
		},
		"ONBUILD may name the stage that it gets into": {
			text: "FROM a AS one\nONBUILD COPY --from=two x y\nFROM one AS two\nCOPY a .",
			want: Use{Images: library("a"), Sources: []string{"a"}},
		},
		"ONBUILD of a stage that a named context replaces": {
			text:    "FROM a AS one\nONBUILD COPY a .\nFROM one",
			options: Options{Contexts: []string{"one"}},
			want:    Use{Contexts: []string{"one"}, Sources: []string{"a"}},
		},

		// Syntax
		"Docker's frontend": {
			text: "# syntax=docker/dockerfile:1.7-labs\nFROM a\nCOPY a .",
			want: Use{Syntax: "docker/dockerfile:1.7-labs", Images: library("a"), Sources: []string{"a"}},
		},
		"Docker's frontend by its registry": {
			text: "#syntax = docker.io/docker/dockerfile-upstream:master\nFROM a\nCOPY a .",
			want: Use{Syntax: "docker.io/docker/dockerfile-upstream:master", Images: library("a"), Sources: []string{"a"}},
		},
		"another frontend": {
			text:    "# syntax=ghcr.io/org/dockerfile:1\nFROM a\nCOPY a .",
			options: Options{Contexts: []string{"y", "x"}},
			want:    Use{Syntax: "ghcr.io/org/dockerfile:1", Images: library("a"), Contexts: []string{"x", "y"}, Sources: whole},
		},
		"another frontend's language": {
			text: "// syntax=org/other\n{}",
			want: Use{Syntax: "org/other", Sources: whole},
		},
		"a frontend without a name": {
			text: "# syntax=$X\nFROM a",
			want: Use{Syntax: "$X", Images: library("a"), Sources: whole},
		},
		"a frontend by build argument": {
			text:    "# syntax=docker/dockerfile:1\nFROM a\nCOPY a .",
			options: Options{Args: map[string]string{"BUILDKIT_SYNTAX": " org/other with words"}},
			want:    Use{Syntax: "org/other", Images: library("a"), Sources: whole},
		},
		"a syntax after a comment is none": {
			text: "# A comment.\n# syntax=org/other\nFROM a",
			want: Use{Images: library("a")},
		},

		// What the parser does
		"another escape": {
			text: "# escape=`\nFROM a\nCOPY a `\n b .",
			want: Use{Images: library("a"), Sources: []string{"a", "b"}},
		},
		"line ends, a byte order mark, comments, case": {
			text: "\ufeff# syntax=docker/dockerfile:1\r\nfrom a\r\n# COPY no .\r\ncopy a \\\r\n  # COPY no .\r\n  b .\r\n",
			want: Use{Syntax: "docker/dockerfile:1", Images: library("a"), Sources: []string{"a", "b"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Read([]byte(test.text), test.options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreUnexported(Use{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s\n%s", test.text, diff)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text    string
		options Options
		want    string
	}{
		"nothing":                     {"", Options{}, "file with no instructions"},
		"no stage":                    {"ARG X=1", Options{}, "has no stage"},
		"an instruction before FROM":  {"COPY a .", Options{}, "no build stage in current context"},
		"an unknown instruction":      {"FROM a\nFOO x", Options{}, "line 2: unknown instruction: FOO"},
		"an unknown flag":             {"FROM a\n\nCOPY --foo a .", Options{}, "line 3: unknown flag"},
		"a heredoc without end":       {"FROM a\nCOPY <<EOF .\nx", Options{}, "unterminated heredoc"},
		"an empty name":               {"FROM a\nFROM $X", Options{}, `line 2: the name "$X" expands to nothing`},
		"a name with an empty tag":    {"FROM a:$X", Options{}, "line 1: image \"a:\": invalid reference format"},
		"a name that does not expand": {"FROM a${X:?missing}", Options{}, "line 1: failed to process \"a${X:?missing}\": X: missing"},
		"an argument that is bad":     {"ARG A=1\nARG X=${A\nFROM a", Options{}, "line 2: failed to process"},
		"an argument that grows":      {"ARG A=0123456789abcdef\n" + strings.Repeat("ARG A=$A$A\n", 60) + "FROM $A", Options{}, "line 10: a variable grows too long"},
		"a stage in capitals":         {"FROM a AS one\nFROM ONE", Options{}, "line 2: image \"ONE\""},
		"no such target":              {"FROM a AS one", Options{Target: "two"}, `there is no stage "two"`},
		"no such number":              {"FROM a\nCOPY --from=7 a b", Options{}, "line 2: --from=7: there is no such stage"},
		"a variable in --from":        {"ARG X=1\nFROM a\nCOPY --from=$X a b", Options{}, "line 3: --from=$X: variables are not expanded here"},
		"a bad name in --from":        {"FROM a\nCOPY --from=A a b", Options{}, "line 2: image \"A\""},
		"a variable in a mount":       {"FROM a\nRUN --mount=from=$X,target=/x true", Options{}, "line 2: 'from' doesn't support variable expansion"},
		"a bad mount":                 {"FROM a\nRUN --mount=type=foo,target=/x true", Options{}, "line 2: unsupported mount type"},
		"a later stage":               {"FROM a AS one\nCOPY --from=two a b\nFROM one AS two", Options{Target: "one"}, `line 2: stage "two" has to stand before`},
		"a bad source":                {"FROM a\nCOPY ${ .", Options{}, "line 2: failed to process"},
		"a bad address":               {"FROM a\nADD x${} .", Options{}, "line 2: failed to process"},
		"a bad argument of a stage":   {"FROM a\nARG X=${}", Options{}, "line 2: failed to process"},
		"a bad variable":              {"FROM a\nENV X=${}", Options{}, "line 2: failed to process"},
		"a bad variable's name":       {"FROM a\nENV ${}=x", Options{}, "line 2: failed to process"},
		"a bad ONBUILD":               {"FROM a AS one\nONBUILD FOO\nFROM one", Options{}, "line 3: unknown instruction: FOO"},
		"a bad instruction ONBUILD":   {"FROM a AS one\nONBUILD COPY --from=9 a b\nFROM one", Options{}, "line 3: --from=9"},
		"a bad base":                  {"FROM a AS one\nCOPY ${} .\nFROM one", Options{}, "line 2: failed to process"},
		"no platform":                 {"FROM a", Options{Platforms: []string{"linux/amd64/x/y"}}, `platform "linux/amd64/x/y"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Read([]byte(test.text), test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s\ngot %v and error %v, want %q", test.text, got, err, test.want)
			}
		})
	}
}

func TestCopies(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		source  string
		yes, no []string
	}{
		{"go.mod", []string{"go.mod", "go.mod/x"}, []string{"go.mod2", "x/go.mod", "go", ""}},
		{"a/b", []string{"a/b", "a/b/c", "a/b/c/d"}, []string{"a", "a/bc", "b"}},
		{"*.go", []string{"a.go", ".go", "dir.go/x/y"}, []string{"a/b.go", "a.god", "a"}},
		{"a/*/c", []string{"a/b/c", "a/b/c/d"}, []string{"a/c", "a/b", "a/b/x/c", "b/b/c"}},
		{"*", []string{"a", "a/b", ".hidden"}, nil},
		{"a/**", []string{"a/b", "a/b/c"}, []string{"a", "b/a"}},
		{"[a-c]?/x", []string{"a1/x", "c2/x/y"}, []string{"d1/x", "a/x", "a1/y"}},
		{"a[", []string{"a", "anything"}, nil}, // ill-formed
		{".", []string{"a", "a/b", "."}, nil},
		{"a$b", []string{"a$b"}, []string{"a"}},
	} {
		read, err := Read([]byte("FROM scratch\nCOPY [\""+strings.ReplaceAll(test.source, "$", `\\$`)+"\", \"/x\"]"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range []Use{read, {Sources: []string{test.source}}} {
			for _, file := range test.yes {
				if !u.Copies(file) {
					t.Errorf("%q does not copy %q", u.Sources, file)
				}
			}
			for _, file := range test.no {
				if u.Copies(file) {
					t.Errorf("%q copies %q", u.Sources, file)
				}
			}
		}
	}
	if (Use{}).Copies("a") {
		t.Error("no source copies a file")
	}
}

func BenchmarkCopies(b *testing.B) {
	u, err := Read([]byte("FROM scratch\nCOPY go.mod go.sum cmd internal/a internal/b *.json web/*/dist .\n"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		u.Copies("services/some/deep/folder/with/a/file.go")
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"", "FROM a", "ARG X=a\nFROM $X AS b\nCOPY --from=b x y", "# syntax=x/y\nFROM a",
		"FROM a AS one\nONBUILD COPY $X .\nFROM one\nADD https://x/y ../z* a[ .", "FROM a\nCOPY --parents a/./b/*.go ${X:-y} .",
		"FROM a\nENV A=b C=$A\nRUN --mount=source=$C,target=/c --mount=type=cache,from=d,target=/d true",
		"# escape=`\nFROM a\nCOPY <<EOF `\n x .\nhi\nEOF", "FROM a\nCOPY [\"a\", \"b\"]\nADD a a/b a*/c a* .",
	} {
		f.Add(seed, "one", "x")
	}
	f.Fuzz(func(t *testing.T, text, target, value string) {
		o := Options{Args: map[string]string{"X": value}, Platforms: []string{"linux/arm64", "linux/amd64"}, Contexts: []string{"one", value}}
		if strings.Contains(text, target) {
			o.Target = target
		}
		got, err := Read([]byte(text), o)
		again, errAgain := Read([]byte(text), o)
		if (err == nil) != (errAgain == nil) || !cmp.Equal(got, again, cmpopts.IgnoreUnexported(Use{})) {
			t.Fatalf("read once: %v, %v; read twice: %v, %v", got, err, again, errAgain)
		}
		if !strictlySorted(got.Sources) || !strictlySorted(got.Contexts) {
			t.Errorf("sources %q or contexts %q are not sorted", got.Sources, got.Contexts)
		}
		for _, source := range got.Sources {
			if !filepath.IsLocal(source) || filepath.Clean(source) != source {
				t.Errorf("%q is not a clean path in the context", source)
			}
			if !strings.ContainsAny(source, `*?[`) && !got.Copies(source+"/x") {
				t.Errorf("%q does not copy what is in it", source)
			}
		}
	})
}

func strictlySorted(list []string) bool {
	return slices.IsSorted(list) && len(slices.Compact(slices.Clone(list))) == len(list)
}
