package dockerfile

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func image(name, ref string) Image { return Image{Name: name, Ref: "docker.io/library/" + ref} }

func TestRead(t *testing.T) {
	t.Parallel()
	busybox := image("busybox", "busybox:latest")
	cases := []struct {
		name, text string
		options    Options
		want       Use
	}{
		{"one image, all files", "FROM busybox\nCOPY . /\n", Options{}, Use{Images: []Image{busybox}, Sources: []string{"."}}},
		{"nothing", "FROM scratch\n", Options{}, Use{}},
		{"files and folders", "FROM scratch\nCOPY go.mod ./go.sum /src/\nADD cmd/ /src/cmd\nCOPY [\"a b\", \"/x\"]\n", Options{}, Use{Sources: []string{"a b", "cmd", "go.mod", "go.sum"}}},
		{"a file in a folder that is copied too", "FROM scratch\nCOPY web/package.json /\nCOPY web /web\n", Options{}, Use{Sources: []string{"web"}}},
		{"wildcards", "FROM scratch\nCOPY package*.json src/*/x ./\n", Options{}, Use{Sources: []string{"package*.json", "src/*/x"}}},
		{"ways out of the context", "FROM scratch\nCOPY ../x /y ../../a/../b ./\n", Options{}, Use{Sources: []string{"b", "x", "y"}}},
		{"what is fetched from elsewhere", "FROM scratch\nADD https://example.com/x.tar git@github.com:a/b.git /\nCOPY <<EOF /made\nhello\nEOF\n", Options{}, Use{}},
		{"parents with a pivot", "# syntax=docker/dockerfile:1\nFROM scratch\nCOPY --parents a/./b/c /\n", Options{}, Use{Sources: []string{"a/b/c"}}},
		{"a mount", "FROM busybox\nRUN --mount=type=bind,source=lib,target=/lib true\n", Options{}, Use{Images: []Image{busybox}, Sources: []string{"lib"}}},
		{"a mount of everything", "FROM busybox\nRUN --mount=target=/src true\n", Options{}, Use{Images: []Image{busybox}, Sources: []string{"."}}},
		{"other mounts", "FROM busybox\nRUN --mount=type=cache,target=/c --mount=type=secret,id=x --mount=type=tmpfs,target=/t true\n", Options{}, Use{Images: []Image{busybox}}},
		{"a mount from an image", "FROM scratch\nRUN --mount=from=busybox,target=/b true\n", Options{}, Use{Images: []Image{busybox}}},
		{"stages", "FROM golang:1.26 AS build\nCOPY src /src\nFROM alpine:3 AS unused\nCOPY . /\nFROM busybox\nCOPY --from=build /bin /\n", Options{},
			Use{Images: []Image{busybox, image("golang:1.26", "golang:1.26")}, Sources: []string{"src"}}},
		{"stages by number, and in capitals", "FROM busybox AS Build\nCOPY a /\nFROM scratch\nCOPY --from=0 / /\nCOPY --from=bUILD / /\n", Options{}, Use{Images: []Image{busybox}, Sources: []string{"a"}}},
		{"a target", "FROM busybox AS build\nCOPY a /\nFROM alpine AS run\nCOPY b /\n", Options{Target: "build"}, Use{Images: []Image{busybox}, Sources: []string{"a"}}},
		{"a stage on a stage", "FROM busybox AS base\nCOPY a /\nFROM base\nCOPY b /\n", Options{}, Use{Images: []Image{busybox}, Sources: []string{"a", "b"}}},
		{"a stage named like its image", "FROM busybox AS busybox\nFROM busybox\n", Options{}, Use{Images: []Image{{Name: "busybox", Ref: busybox.Ref, Shadowed: true}}}},
		{"an image by digest", "FROM busybox@sha256:" + strings.Repeat("a", 64) + "\n", Options{}, Use{Images: []Image{image("busybox@sha256:"+strings.Repeat("a", 64), "busybox@sha256:"+strings.Repeat("a", 64))}}},
		{"an image of another registry", "FROM ghcr.io/octo/base\n", Options{}, Use{Images: []Image{{Name: "ghcr.io/octo/base", Ref: "ghcr.io/octo/base:latest"}}}},
		{"copied from an image", "FROM scratch\nCOPY --from=busybox:1 /bin /\n", Options{}, Use{Images: []Image{image("busybox:1", "busybox:1")}}},
		{"arguments of the file", "ARG V=1\nARG IMAGE=alpine:$V\nFROM ${IMAGE}\n", Options{}, Use{Images: []Image{image("alpine:1", "alpine:1")}}},
		{"arguments that are given", "ARG V=1\nFROM alpine:${V:-9}\n", Options{Args: map[string]string{"V": "3"}}, Use{Images: []Image{image("alpine:3", "alpine:3")}}},
		{"a default of a variable", "ARG V\nFROM alpine:${V:-9}\n", Options{}, Use{Images: []Image{image("alpine:9", "alpine:9")}}},
		{"an image for each platform", "FROM --platform=$BUILDPLATFORM base-$TARGETARCH\n", Options{Platforms: []string{"linux/amd64", "linux/arm64"}},
			Use{Images: []Image{image("base-amd64", "base-amd64:latest"), image("base-arm64", "base-arm64:latest")}}},
		{"a file for each platform", "FROM scratch\nARG TARGETARCH\nCOPY bin/$TARGETARCH /\n", Options{Platforms: []string{"linux/amd64", "linux/arm64"}}, Use{Sources: []string{"bin/amd64", "bin/arm64"}}},
		{"a variable of the stage", "ARG DIR=global\nFROM scratch AS a\nENV APP=web\nFROM a\nARG DIR\nCOPY $DIR/$APP /\n", Options{}, Use{Sources: []string{"global/web"}}},
		{"a variable that only the image knows", "FROM busybox\nCOPY $APP_DIR /\n", Options{}, Use{Images: []Image{busybox}, Sources: []string{"."}}},
		{"an argument ends with its stage", "FROM scratch AS a\nARG DIR=x\nFROM a\nCOPY $DIR /\n", Options{}, Use{Sources: []string{"."}}},
		{"a named context in place of an image", "FROM docker.io/library/busybox:latest\n", Options{Contexts: []string{"busybox", "other"}}, Use{Contexts: []string{"busybox"}}},
		{"a named context in place of a stage", "FROM alpine AS deps\nCOPY a /\nFROM scratch\nCOPY --from=deps / /\n", Options{Contexts: []string{"deps"}}, Use{Contexts: []string{"deps"}}},
		{"copied from a named context", "FROM scratch\nCOPY --from=shared lib /\n", Options{Contexts: []string{"shared"}}, Use{Contexts: []string{"shared"}}},
		{"what is built on it", "FROM busybox AS base\nONBUILD COPY a /\nONBUILD RUN --mount=from=alpine true\nFROM base\n", Options{}, Use{Images: []Image{image("alpine", "alpine:latest"), busybox}, Sources: []string{"a"}}},
		{"another frontend", "# syntax=example.com/mine:1\nFROM busybox\nCOPY a /\n", Options{}, Use{Images: []Image{busybox}, Sources: []string{"."}}},
		{"Docker's own frontend, pinned", "# syntax=docker.io/docker/dockerfile:1.7\r\nFROM busybox\r\nCOPY a /\r\n", Options{}, Use{Images: []Image{busybox}, Sources: []string{"a"}}},
		{"another escape", "# escape=`\nFROM busybox\nCOPY a `\n b /\n", Options{}, Use{Images: []Image{busybox}, Sources: []string{"a", "b"}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.options.Platforms == nil {
				c.options.Platforms = []string{"linux/amd64"}
			}
			got, err := Read([]byte(c.text), c.options)
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreUnexported(Use{}), cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                               "file with no instructions",
		"FRM busybox\n":                  "unknown instruction",
		"ARG X\n":                        "it has no stage",
		"FROM $NAME\n":                   `line 1: what "$NAME" stands for is not known`,
		"FROM Busy Box\n":                "FROM requires",
		"FROM UPPER\n":                   `"UPPER" is no image`,
		"FROM busybox\nONBUILD FROM x\n": "FROM isn't allowed as an ONBUILD trigger",
	} {
		if _, err := Read([]byte(text), Options{Platforms: []string{"linux/amd64"}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := Read([]byte("FROM scratch AS a\n"), Options{Target: "b", Platforms: []string{"linux/amd64"}}); err == nil || !strings.Contains(err.Error(), `there is no stage "b"`) {
		t.Errorf("a target that is not there: %v", err)
	}
}

func TestCopies(t *testing.T) {
	t.Parallel()
	for sources, files := range map[string]map[string]bool{
		"web":           {"web": true, "web/a/b": true, "website": false, "a/web": false, "we": false},
		"web/src a":     {"web/src/x": true, "web": false, "web/other": false, "a": true},
		"package*.json": {"package.json": true, "package-lock.json": true, "a/package.json": false, "package.json/in/a/folder": true, "other.json": false},
		"*/src":         {"a/src": true, "a/src/b/c": true, "a/b/src": false, "src": false},
		"a/**":          {"a/b/c": true, "b": false},
		"a/**/x":        {"a/b/c/x": true, "b": false},
		".":             {"anything/at/all": true},
		`a\*b`:          {"a*b": true, "b": false},
	} {
		u, err := Read([]byte("FROM scratch\nCOPY "+sources+" /\n"), Options{Platforms: []string{"linux/amd64"}})
		if err != nil {
			t.Fatal(err)
		}
		for file, want := range files {
			if got := u.Copies(file); got != want {
				t.Errorf("COPY %s copies %s: %v, want %v", sources, file, got, want)
			}
		}
	}
	if (Use{}).Copies("a") {
		t.Error("nothing copies a file")
	}
}

func FuzzRead(f *testing.F) {
	f.Add("FROM busybox AS a\nCOPY --from=b x /\n", "a/b", "a")
	f.Add("# syntax=docker/dockerfile:1\nARG V=1\nFROM a:$V\nRUN --mount=type=bind,source=../x,target=/y true\nONBUILD COPY * /\n", "x", "")
	f.Fuzz(func(t *testing.T, text, file, target string) {
		o := Options{Target: target, Platforms: []string{"linux/amd64", "linux/arm/v7"}, Contexts: []string{"x"}, Args: map[string]string{"V": "2"}}
		u, err := Read([]byte(text), o)
		if err != nil {
			return
		}
		if !slices.IsSorted(u.Sources) || len(slices.Compact(slices.Clone(u.Sources))) != len(u.Sources) {
			t.Errorf("sources %q are in no order", u.Sources)
		}
		for _, source := range u.Sources {
			if !filepath.IsLocal(source) {
				t.Errorf("%q leads out of the context", source)
			}
			if !isPattern(source) && source != "." && !u.Copies(source+"/"+file) {
				t.Errorf("%q is copied without %q in it", source, file)
			}
		}
		again, err := Read([]byte(text), o)
		if diff := cmp.Diff(u, again, cmp.AllowUnexported(Use{})); diff != "" || err != nil {
			t.Errorf("read again: %v\n%s", err, diff)
		}
	})
}
