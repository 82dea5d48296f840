package insight

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/dockerfile"
)

// with gives a build a context of files, by their texts.
func with(b Build, files map[string]string) Build {
	b.Files = func() []File {
		var all []File
		for name, text := range files {
			all = append(all, File{name, int64(len(text))})
		}
		return all
	}
	b.ReadFile = func(name string) []byte { return []byte(files[name]) }
	return b
}

var npmFiles = map[string]string{"package.json": "{}", "package-lock.json": "{}", "src/main.js": "1"}

// TestOrderOfARecordedBuild is on what BuildKit told of a build: the advice is there where it would have helped, by the time that BuildKit
// says the installation took, and not where the advice was followed.
func TestOrderOfARecordedBuild(t *testing.T) {
	t.Parallel()
	slowest := 0.
	changed := recorded(t, "changed", bad, "src/main.js")
	for _, s := range changed.Steps {
		if strings.HasSuffix(s.Name, "RUN npm ci") {
			slowest = max(slowest, s.Seconds)
		}
	}
	want := []Advice{{Kind: "order", Line: 7, Seconds: slowest, Moves: []int{8},
		Text: "Move RUN npm ci in line 8 before COPY . . in line 7, after a COPY of package-lock.json, package.json alone: what it installs did not change."}}
	if diff := cmp.Diff(want, Explain(with(changed, npmFiles)).Advice, cmpopts.EquateEmpty()); diff != "" || slowest < 2 {
		t.Errorf("advice, of %.1f s (-want +got):\n%s", slowest, diff)
	}
	for name, b := range map[string]Build{
		"a lock file changed":              with(recorded(t, "changed", bad, "package-lock.json", "src/main.js"), npmFiles),
		"nothing is known to have":         with(recorded(t, "changed", bad), npmFiles),
		"the builder had nothing":          with(recorded(t, "first", bad, "src/main.js"), npmFiles),
		"it is in order":                   with(recorded(t, "movedchanged", good, "src/main.js"), npmFiles),
		"the installation runs a script":   with(recorded(t, "changed", bad, "src/main.js"), map[string]string{"package.json": `{"scripts": {"prepare": "husky"}}`}),
		"there is nothing to install":      with(recorded(t, "changed", bad, "src/main.js"), nil),
		"it is not known what there is":    recorded(t, "changed", bad, "src/main.js"),
		"another instruction stands first": with(recorded(t, "changed", strings.Replace(bad, "RUN npm run build\n", "", 1)+"RUN npm run build\n", "src/main.js"), map[string]string{}),
	} {
		if got := Explain(b).Advice; len(got) > 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// built is a build of a Dockerfile with one stage, of which each step took as many seconds as told; those without any came from the cache.
func built(text string, seconds ...float64) Build {
	b := Build{Dockerfile: []byte(text), Options: dockerfile.Options{Platforms: []string{"linux/amd64"}}, Since: &Since{Commit: "0123456789", Changed: []string{"src/main.js"}}}
	stages, err := dockerfile.ReadStages(b.Dockerfile, b.Options)
	if err != nil {
		panic(err)
	}
	stage := stages[0]
	order := stage.Steps()
	for i, j := range order {
		text := "FROM " + stage.Image
		if j >= 0 {
			text = stage.Instructions[j].Text
		}
		step := buildx.Step{Name: name(stage.Name, i+1, len(order), text), Cached: true}
		if j >= 0 && seconds[0] > 0 {
			step.Cached, step.Seconds = false, seconds[0]
		}
		if j >= 0 {
			seconds = seconds[1:]
		}
		b.Steps = append(b.Steps, step)
	}
	return b
}

func name(stage string, number, of int, text string) string {
	return "[" + stage + " " + string(rune('0'+number)) + "/" + string(rune('0'+of)) + "] " + text
}

func texts(advice []Advice) []string {
	var all []string
	for _, a := range advice {
		all = append(all, a.Kind+": "+a.Text)
	}
	return all
}

func TestOrder(t *testing.T) {
	t.Parallel()
	const installed = ": what it installs did not change."
	for name, c := range map[string]struct {
		build Build
		want  []string
	}{
		"packages of the system need no file": {built("FROM busybox\nCOPY . /app\nRUN apk add curl", 0.1, 3),
			[]string{"order: Move RUN apk add curl in line 3 before COPY . /app in line 2" + installed}},
		"several": {built("FROM busybox\nWORKDIR /app\nCOPY . .\nRUN apk add curl\nCOPY a b\nRUN npm ci\nRUN npm run build", 0, 0.1, 1.5, 0.1, 4, 100),
			[]string{"order: Move RUN apk add curl in line 4 and RUN npm ci in line 6 before COPY . . in line 3, after a COPY of package-lock.json, package.json alone" + installed}},
		"a script": {built("FROM busybox\nCOPY . .\nRUN <<EOF\nset -e\nnpm ci\nEOF", 0.1, 3),
			[]string{"order: Move RUN <<EOF in line 3 before COPY . . in line 2, after a COPY of package-lock.json, package.json alone" + installed}},
		"other sources are cached": {built("FROM busybox\nCOPY docs docs\nCOPY . .\nRUN npm ci", 0, 0.1, 3),
			[]string{"order: Move RUN npm ci in line 4 before COPY . . in line 3, after a COPY of package-lock.json, package.json alone" + installed}},
		"not worth a word":                     {built("FROM busybox\nCOPY . .\nRUN apk add curl", 0.1, 1.9), nil},
		"in another folder":                    {built("FROM busybox\nCOPY . .\nWORKDIR web\nRUN npm ci", 0.1, 0.1, 9), nil},
		"in other surroundings":                {built("FROM busybox\nCOPY . .\nENV NODE_ENV=production\nRUN npm ci", 0.1, 9), nil},
		"something else comes between":         {built("FROM busybox\nCOPY . .\nRUN ./prepare\nRUN npm ci", 0.1, 1, 9), nil},
		"it does more than install":            {built("FROM busybox\nCOPY . .\nRUN npm ci && npm run build", 0.1, 9), nil},
		"what comes before was done anew":      {built("FROM busybox\nRUN make\nCOPY . .\nRUN npm ci", 1, 0.1, 9), nil},
		"sources that did not change":          {built("FROM busybox\nCOPY docs .\nRUN npm ci", 0.1, 9), nil},
		"it was spared":                        {built("FROM busybox\nCOPY . .\nRUN npm ci", 0, 0), nil},
		"the sources come from another stage":  {built("FROM busybox\nCOPY --from=x . .\nRUN npm ci", 0.1, 9), nil},
		"it mounts the sources":                {built("FROM busybox\nCOPY . .\nRUN --mount=type=bind,target=/src npm ci", 0.1, 9), nil},
		"the sources are installed themselves": {built("FROM busybox\nCOPY . .\nRUN pip install .", 0.1, 9), nil},
	} {
		if diff := cmp.Diff(c.want, texts(Explain(with(c.build, npmFiles)).Advice)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestTheOutermostFilesCount holds that what tools keep deep below asks for nothing, and that nobody guesses which of two folders is meant.
func TestTheOutermostFilesCount(t *testing.T) {
	t.Parallel()
	b := built("FROM busybox\nCOPY . .\nRUN npm ci", 0.1, 9)
	found, _ := installs("npm ci")
	source := dockerfile.Instruction{Sources: []string{"."}}
	script := `{"scripts": {"postinstall": "x"}}`
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"the root's":   {map[string]string{"package.json": "{}", "node_modules/a/package.json": script, "web/package.json": script}, []string{"package.json"}},
		"one folder's": {map[string]string{"web/package.json": "{}", "web/a/package.json": script}, []string{"web/package.json"}},
		"of two":       {map[string]string{"web/package.json": "{}", "api/package.json": "{}"}, nil},
		"a script":     {map[string]string{"package.json": script}, nil},
	} {
		if needed, spared := with(b, c.files).spared(found, source); spared != (c.want != nil) || spared && !slices.Equal(needed, c.want) {
			t.Errorf("%s: %q, %v", name, needed, spared)
		}
	}
}

func TestFilesThatAskForMore(t *testing.T) {
	t.Parallel()
	for text, c := range map[string]struct {
		file string
		asks bool
	}{
		`{"dependencies": {"a": "^1"}, "scripts": {"build": "x"}}`: {"package.json", false},
		`{"scripts": {"postinstall": "x"}}`:                        {"web/package.json", true},
		`{"workspaces": ["a"]}`:                                    {"package.json", true},
		`{"dependencies": {"a": "file:../a"}}`:                     {"package.json", true},
		"module a\nrequire b v1.0.0\n":                             {"go.mod", false},
		"module a\nreplace b => ./b\n":                             {"go.mod", true},
		"go 1.26\nuse ./a\n":                                       {"go.work", true},
		"flask==3\n":                                               {"requirements.txt", false},
		"flask==3\n-e .\n":                                         {"requirements.txt", true},
		"-r more.txt\n":                                            {"requirements.txt", true},
		"<modules><module>a</module></modules>":                    {"pom.xml", true},
		`{"workspaces": 1}`:                                        {"package-lock.json", false},
	} {
		if got := asksForMore(c.file, []byte(text)); got != c.asks {
			t.Errorf("%s with %q asks for more: %v", c.file, text, got)
		}
	}
}

func TestCacheMounts(t *testing.T) {
	t.Parallel()
	before := func(b Build) Build { b.Since = nil; return b }
	fresh := func(b Build) Build { b.NewBuilder = true; return before(b) }
	for name, c := range map[string]struct {
		build Build
		want  []string
	}{
		"npm": {before(built("FROM busybox\nCOPY package.json .\nRUN npm ci", 0, 12)),
			[]string{"cache-mount: RUN npm ci in line 3 keeps no downloads for the next time: let it begin with RUN --mount=type=cache,target=/root/.npm."}},
		"apt": {before(built("FROM busybox\nRUN apt-get update && apt-get install -y gcc", 12)),
			[]string{"cache-mount: RUN apt-get update && apt-get install -y gcc in line 2 keeps no downloads for the next time: " +
				"let it begin with RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked."}},
		"not long":             {before(built("FROM busybox\nRUN npm ci", 9)), nil},
		"a new builder":        {fresh(built("FROM busybox\nRUN npm ci", 12)), nil},
		"from the cache":       {before(built("FROM busybox\nRUN npm ci", 0)), nil},
		"it has one":           {before(built("FROM busybox\nRUN --mount=type=cache,target=/root/.npm npm ci", 12)), nil},
		"another user":         {before(built("FROM busybox\nUSER app\nRUN npm ci", 12)), nil},
		"it keeps none":        {before(built("FROM busybox\nRUN pip install --no-cache-dir flask", 12)), nil},
		"no package manager":   {before(built("FROM busybox\nRUN make", 12)), nil},
		"told of by its order": {built("FROM busybox\nCOPY . .\nRUN npm ci", 0.1, 12), []string{"order: Move RUN npm ci in line 3 before COPY . . in line 2, after a COPY of package-lock.json, package.json alone: what it installs did not change."}},
	} {
		if diff := cmp.Diff(c.want, texts(Explain(with(c.build, npmFiles)).Advice)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 3<<20)
	sent := func(text string, bytes int64, files map[string]string) Build {
		b := with(built(text, 0, 0, 0, 0), files)
		b.Steps = append(b.Steps, buildx.Step{Name: "[internal] load build context", Sent: bytes})
		return b
	}
	all := map[string]string{"src/a": big, "node_modules/a/index.js": big, "web/node_modules/b.js": big, ".github/x": big, "data/big.bin": big, "data/small": "x", "lib/__pycache__/a.pyc": ""}
	const copies = "FROM busybox\nCOPY . .\nRUN npm ci"
	for name, c := range map[string]struct {
		build Build
		want  []Advice
	}{
		"what an installation replaces, and what nobody reads": {sent(copies, 20<<20, all), []Advice{{Bytes: 9 << 20, Ignore: []string{"**/.github", "**/node_modules"}}}},
		"what all leave out":                 {sent("FROM busybox\nCOPY --exclude=data/*.bin . .\nCOPY --exclude=data . /b", 20<<20, all), []Advice{{Bytes: 6 << 20, Ignore: []string{"**/.github", "data/*.bin"}}}},
		"what one of two leaves out whole":   {sent("FROM busybox\nCOPY --exclude=data . .\nCOPY data/small /b", 20<<20, map[string]string{"data/big.bin": big, "data/small": "x"}), nil},
		"what one leaves out":                {sent("FROM busybox\nCOPY --exclude=data/*.bin . .\nCOPY data /data", 5<<20, map[string]string{"data/big.bin": big}), nil},
		"no installation that replaces it":   {sent("FROM busybox\nCOPY . .\nRUN npm install", 20<<20, map[string]string{"node_modules/a": big}), nil},
		"copied for its own sake":            {sent("FROM busybox\nCOPY . .\nRUN npm ci\nCOPY node_modules/a /a", 20<<20, map[string]string{"node_modules/a": big}), nil},
		"what is not sent":                   {sent("FROM busybox\nCOPY src src\nRUN npm ci", 20<<20, all), nil},
		"mounted":                            {sent("FROM busybox\nRUN --mount=type=bind,target=/src npm ci", 20<<20, map[string]string{"node_modules/a": big}), nil},
		"the builder had most of it":         {sent(copies, 2<<20, all), []Advice{{Bytes: 2 << 20, Ignore: []string{"**/.github", "**/node_modules"}}}},
		"the builder had it all":             {sent(copies, 1000, all), nil},
		"a small part":                       {sent(copies, 100<<20, all), nil},
		"little":                             {sent(copies, 2<<20, map[string]string{"node_modules/a": "x"}), nil},
		"it is not known what the files are": {sent(copies, 20<<20, nil), nil},
	} {
		var got []Advice
		for _, a := range Explain(c.build).Advice {
			if a.Kind == "context" {
				got = append(got, Advice{Bytes: a.Bytes, Ignore: a.Ignore})
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestSingleStage(t *testing.T) {
	t.Parallel()
	sized := func(text string, whole int64, layers map[int]int64) Build {
		return Build{Dockerfile: []byte(text), Layers: layers, ImageBytes: whole}
	}
	const advice = ", and there to build with: build in a stage of its own, and COPY --from that what is needed to run."
	for name, c := range map[string]struct {
		build Build
		want  []string
	}{
		"on a toolchain": {sized("FROM golang:1.26\nCOPY . .\nRUN go build -o /app .", 260e6, map[int]int64{1: 250e6}),
			[]string{"stages: FROM golang:1.26 in line 1 is 250MB of the image's 260MB" + advice}},
		"tools are installed": {sized("FROM debian\nRUN apt-get install -y gcc make\nCOPY . .\nRUN make", 160e6, map[int]int64{1: 50e6, 2: 90e6}),
			[]string{"stages: RUN apt-get install -y gcc make in line 2 is 90MB of the image's 160MB" + advice}},
		"tools alone":             {sized("FROM debian\nRUN apt-get install -y gcc make\nCOPY . .", 160e6, map[int]int64{2: 90e6}), nil},
		"a small part":            {sized("FROM debian\nRUN apt-get install -y gcc\nRUN make", 800e6, map[int]int64{2: 90e6}), nil},
		"little":                  {sized("FROM debian\nRUN apt-get install -y gcc\nRUN make", 30e6, map[int]int64{2: 15e6}), nil},
		"a stage of its own":      {sized("FROM golang AS build\nRUN go build\nFROM debian\nCOPY --from=build /a /a\nRUN make", 260e6, map[int]int64{3: 250e6}), nil},
		"nothing is known of it":  {sized("FROM golang\nRUN go build", 0, nil), nil},
		"other packages":          {sized("FROM debian\nRUN apt-get install -y fonts\nRUN make", 160e6, map[int]int64{2: 90e6}), nil},
		"it is made for building": {sized("FROM golang\nRUN apt-get install -y git", 260e6, map[int]int64{1: 250e6}), nil},
	} {
		if diff := cmp.Diff(c.want, texts(Explain(c.build).Advice)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestWalk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"a", "out/b", "kept/c.md", "kept/d"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]File{{"a", 1}, {"kept/d", 6}}, Walk(dir, dockerfile.ReadIgnore([]byte("out\n**/*.md\n")))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := Walk(filepath.Join(dir, "nowhere"), dockerfile.Ignore{}); len(got) > 0 {
		t.Errorf("files %v of a folder that is not there", got)
	}
}

// FuzzContext holds that no line for the ignore file leaves out a file that an instruction takes, but for those that are known to be of no use to any.
func FuzzContext(f *testing.F) {
	f.Add("FROM busybox\nCOPY --exclude=a* --exclude=b/** . .\nCOPY b/c /d\nRUN npm ci", "a1 b/c b/d .github/x")
	f.Add("FROM busybox\nADD --exclude=b . .\nRUN --mount=type=bind,source=b,target=/b make", "b/__pycache__/x b/y")
	f.Fuzz(func(t *testing.T, text, names string) {
		stages, err := dockerfile.ReadStages([]byte(text), dockerfile.Options{})
		if err != nil {
			return
		}
		b := Build{Dockerfile: []byte(text), Steps: []buildx.Step{{Name: "[internal] load build context", Sent: 1 << 30}}}
		b.Files = func() (files []File) {
			for _, name := range strings.Fields(names) {
				files = append(files, File{name, 1 << 30})
			}
			return files
		}
		for _, a := range Explain(b).Advice {
			for _, line := range a.Ignore {
				for _, file := range b.Files() {
					if !dockerfile.ReadIgnore([]byte(line)).Matches(file.Path) {
						continue
					}
					for _, in := range slices.Concat(instructions(stages)...) {
						left := slices.Equal(in.Sources, []string{"."}) && dockerfile.ReadIgnore([]byte(strings.Join(in.Exclude, "\n"))).Matches(file.Path)
						if dockerfile.Covers(in.Sources)(file.Path) && (in.Name == "RUN" || !left && !strings.HasPrefix(line, "**/")) {
							t.Errorf("the line %q leaves out %s, which %s takes", line, file.Path, in.Text)
						}
					}
				}
			}
		}
	})
}

func instructions(stages []dockerfile.Stage) (all [][]dockerfile.Instruction) {
	for _, s := range stages {
		all = append(all, s.Instructions)
	}
	return all
}

// BenchmarkContext looks through a context of 100,000 files, of which an installation replaces half.
func BenchmarkContext(b *testing.B) {
	build := Build{Dockerfile: []byte("FROM busybox\nCOPY package.json .\nCOPY --exclude=docs --exclude=**/*.md . .\nRUN npm ci\nCOPY web web\n"), Steps: []buildx.Step{{Name: "[internal] load build context", Sent: 1 << 30}}}
	var files []File
	for i := range 50_000 {
		files = append(files, File{fmt.Sprintf("node_modules/p%d/lib/index.js", i), 10_000}, File{fmt.Sprintf("src/p%d/lib/index.js", i), 1000})
	}
	build.Files = func() []File { return files }
	for b.Loop() {
		if advice := Explain(build).Advice; len(advice) != 1 {
			b.Fatal(advice)
		}
	}
}

// FuzzAdvice holds that no advice promises more than the build took, and that there is never much of it.
func FuzzAdvice(f *testing.F) {
	f.Add(bad, 1.5, 3.5, int64(5<<20))
	f.Add("FROM golang\nCOPY . .\nRUN apk add gcc && npm ci\nRUN go build", 20., 30., int64(0))
	f.Fuzz(func(t *testing.T, text string, one, other float64, sent int64) {
		if stages, err := dockerfile.ReadStages([]byte(text), dockerfile.Options{}); err != nil || len(stages) == 0 || len(stages[0].Steps()) > 9 || !(one >= 0 && one < 1e6 && other >= 0 && other < 1e6) {
			return
		}
		b := with(built(text, slices.Repeat([]float64{one, other}, 9)...), npmFiles)
		b.Steps = append(b.Steps, buildx.Step{Name: "[internal] load build context", Sent: sent})
		total := 0.
		for _, s := range b.Steps {
			total += s.Seconds
		}
		a := Explain(b)
		if len(a.Advice) > mostAdvice {
			t.Errorf("%d pieces of advice", len(a.Advice))
		}
		for _, advice := range a.Advice {
			if advice.Seconds > total*(1+1e-9) || advice.Kind == "context" && advice.Bytes > sent {
				t.Errorf("%+v of a build that took %v s and was sent %d bytes", advice, total, sent)
			}
		}
	})
}
