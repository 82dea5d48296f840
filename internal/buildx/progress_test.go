package buildx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recorded is what `docker buildx build --progress rawjson` wrote for two platforms.
func recorded(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// follow feeds a Progress, as much at a time as size says, and returns what it told.
func follow(data []byte, size int) (p *Progress, told []string) {
	p = &Progress{Tell: func(line string) { told = append(told, line) }}
	for piece := range slices.Chunk(data, size) {
		if n, err := p.Write(piece); n != len(piece) || err != nil {
			panic(fmt.Sprint(n, err))
		}
	}
	p.end()
	return p, told
}

var instructions = []string{"[linux/arm64 build 2/4] WORKDIR /src", "[linux/arm64 build 3/4] COPY main.txt .", "[linux/arm64 build 4/4] RUN printf 'compiling'; sleep 0.3; echo ' main'; echo done >&2",
	"[linux/arm64 stage-1 2/3] COPY --from=build /src/main.txt /main.txt", `[linux/arm64 stage-1 3/3] RUN echo "checking $(uname -m)" && cat /main.txt`,
	"[linux/amd64 build 2/4] WORKDIR /src", "[linux/amd64 build 3/4] COPY main.txt .", "[linux/amd64 build 4/4] RUN printf 'compiling'; sleep 0.3; echo ' main'; echo done >&2",
	"[linux/amd64 stage-1 2/3] COPY --from=build /src/main.txt /main.txt", `[linux/amd64 stage-1 3/3] RUN echo "checking $(uname -m)" && cat /main.txt`}

func TestProgressOfABuild(t *testing.T) {
	t.Parallel()
	p, told := follow(recorded(t, "fresh"), 512)
	want := []string{
		"[linux/amd64 build 2/4] WORKDIR /src (0.0 s)",
		"[linux/arm64 build 2/4] WORKDIR /src (0.0 s)",
		"[linux/amd64 build 3/4] COPY main.txt . (0.0 s)",
		"[linux/arm64 build 3/4] COPY main.txt . (0.0 s)",
		"compiling main", // which came in two pieces, with another step's between
		"done",
		"[linux/amd64 build 4/4] RUN printf 'compiling'; sleep 0.3; echo ' main'; echo done >&2 (0.5 s)",
		"[linux/amd64 stage-1 2/3] COPY --from=build /src/main.txt /main.txt (0.0 s)",
		"compiling main",
		"done",
		"[linux/arm64 build 4/4] RUN printf 'compiling'; sleep 0.3; echo ' main'; echo done >&2 (0.5 s)",
		"[linux/arm64 stage-1 2/3] COPY --from=build /src/main.txt /main.txt (0.0 s)",
		"checking x86_64",
		"hello",
		"checking aarch64",
		"hello",
		`[linux/amd64 stage-1 3/3] RUN echo "checking $(uname -m)" && cat /main.txt (0.2 s)`,
		`[linux/arm64 stage-1 3/3] RUN echo "checking $(uname -m)" && cat /main.txt (0.2 s)`,
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if hits, n := cached(p); hits != 0 || n != 10 {
		t.Errorf("%d of %d instructions are cached, want none of 10", hits, n)
	}
	for _, s := range p.Steps() {
		if s.Error != "" || s.Instruction() && (s.Cached || s.Seconds <= 0) || strings.Contains(s.Name, "RUN printf") && (s.Seconds < 0.3 || s.Seconds > 1) {
			t.Errorf("step %+v", s)
		}
	}
}

func TestProgressOfACachedBuild(t *testing.T) {
	t.Parallel()
	p, told := follow(recorded(t, "cached"), 512)
	want := make([]string, len(instructions))
	for i, name := range instructions {
		want[i] = name + " (cached)"
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if hits, n := cached(p); hits != 10 || n != 10 {
		t.Errorf("%d of %d instructions are cached, want all of 10", hits, n)
	}
}

func TestProgressOfAFailedBuild(t *testing.T) {
	t.Parallel()
	p, _ := follow(recorded(t, "failed"), 512)
	want := `[linux/amd64 stage-1 3/3] RUN echo "checking $(uname -m)" && false: process "/bin/sh -c echo \"checking $(uname -m)\" && false" did not complete successfully: exit code: 1
checking x86_64
Bad:8
--------------------
   6 |     FROM busybox
   7 |     COPY --from=build /src/main.txt /main.txt
   8 | >>> RUN echo "checking $(uname -m)" && false
   9 |     
--------------------
ERROR: failed to build: failed to solve: process "/bin/sh -c echo \"checking $(uname -m)\" && false" did not complete successfully: exit code: 1`
	if diff := cmp.Diff(want, p.Explanation()); diff != "" {
		t.Errorf("explanation, which leaves out the step that was cancelled (-want +got):\n%s", diff)
	}
	if hits, n := cached(p); hits != 8 || n != 10 {
		t.Errorf("%d of %d instructions are cached, want 8 of 10", hits, n)
	}
}

func TestProgressIsTheSameHoweverItIsSplit(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"fresh", "cached", "failed"} {
		data := recorded(t, name)
		whole, want := follow(data, len(data))
		for _, size := range []int{1, 2, 3, 7, 100, 4096} {
			p, told := follow(data, size)
			if diff := cmp.Diff(want, told) + cmp.Diff(whole.Steps(), p.Steps()) + cmp.Diff(whole.Explanation(), p.Explanation()); diff != "" {
				t.Errorf("%s, %d bytes at a time (-want +got):\n%s", name, size, diff)
			}
		}
	}
}

func TestProgressIsTheSameSplitAtEveryByte(t *testing.T) {
	t.Parallel()
	data := recorded(t, "failed")
	data = data[bytes.LastIndex(data, []byte(`{"logs"`)):]
	_, want := follow(data, len(data))
	for i := range data {
		var told []string
		p := &Progress{Tell: func(line string) { told = append(told, line) }}
		_, _ = p.Write(data[:i])
		_, _ = p.Write(data[i:])
		p.end()
		if !slices.Equal(told, want) {
			t.Fatalf("split at byte %d: told %q, want %q", i, told, want)
		}
	}
}

// line is a rawjson line with one vertex, and one piece of its output.
func line(vertex, output string) string {
	data, _ := json.Marshal([]byte(output))
	log := ""
	if output != "" {
		log = fmt.Sprintf(`,"logs":[{"vertex":"sha256:a","stream":1,"data":%s,"timestamp":"2026-01-02T03:04:05Z"}]`, data)
	}
	return fmt.Sprintf(`{"vertexes":[{"digest":"sha256:a",%s}]%s}`+"\n", vertex, log)
}

const (
	began = `"name":"[1/2] RUN make","started":"2026-01-02T03:04:05Z"`
	ended = began + `,"completed":"2026-01-02T03:04:07.5Z"`
)

func TestProgress(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, stream string
		want         []string
		step         Step
	}{
		{"a step reported twice", line(began, "") + line(ended, "") + line(ended, ""), []string{"[1/2] RUN make (2.5 s)"}, Step{Name: "[1/2] RUN make", Seconds: 2.5}},
		{"a cached step reported twice", strings.Repeat(line(began+`,"completed":"2026-01-02T03:04:05Z","cached":true`, ""), 2), []string{"[1/2] RUN make (cached)"}, Step{Name: "[1/2] RUN make", Cached: true}},
		{"stretches of one step", line(began+`,"completed":"2026-01-02T03:04:06Z"`, "") + line(ended, ""), []string{"[1/2] RUN make (1.0 s)"}, Step{Name: "[1/2] RUN make", Seconds: 2.5}},
		{"an error", line(ended+`,"error":"exit code: 2"`, ""), []string{"[1/2] RUN make: exit code: 2"}, Step{Name: "[1/2] RUN make", Seconds: 2.5, Error: "exit code: 2"}},
		{"output in pieces", line(began, "one\ntw") + line(began, "o\n\nthree\n"), []string{"one", "two", "", "three"}, Step{Name: "[1/2] RUN make"}},
		{"output without its end", line(began, "half") + line(ended, ""), []string{"half", "[1/2] RUN make (2.5 s)"}, Step{Name: "[1/2] RUN make", Seconds: 2.5}},
		{"output cut off", line(began, "half"), []string{"half"}, Step{Name: "[1/2] RUN make"}},
		{"output that never ends", line(began, strings.Repeat("x", longestLine+1)) + line(began, "y\n"), []string{strings.Repeat("x", longestLine+1), "y"}, Step{Name: "[1/2] RUN make"}},
		{"work of BuildKit's own", line(`"name":"[internal] load build context","started":"2026-01-02T03:04:05Z","completed":"2026-01-02T03:04:06Z"`, ""), nil, Step{Name: "[internal] load build context", Seconds: 1}},
		{"plain text, and JSON that is something else", line(began, "") + "WARNING: no cache\n{\"vertexes\": 5}\n{nonsense\n\n[1]\nlast", []string{"WARNING: no cache", `{"vertexes": 5}`, "{nonsense", "[1]", "last"}, Step{Name: "[1/2] RUN make"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, told := follow([]byte(c.stream), len(c.stream))
			if diff := cmp.Diff(c.want, told); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]Step{c.step}, p.Steps()); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProgressNeedsNobodyToListen(t *testing.T) {
	t.Parallel()
	var p Progress
	fmt.Fprint(&p, line(ended, "text\n"))
	p.end()
	if got := p.Steps(); len(got) != 1 {
		t.Errorf("steps: %+v", got)
	}
	if got := p.Explanation(); got != "text" {
		t.Errorf("explanation: %q", got)
	}
}

func TestExplanationIsBounded(t *testing.T) {
	t.Parallel()
	var p Progress
	for i := range 10 * lastLines {
		fmt.Fprintf(&p, "line %d\n", i)
	}
	if got := strings.Split(p.Explanation(), "\n"); len(got) != lastLines || got[lastLines-1] != fmt.Sprintf("line %d", 10*lastLines-1) {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
}

// cached counts the instructions that came from the cache, and all of them.
func cached(p *Progress) (hits, all int) {
	for _, s := range p.Steps() {
		if s.Instruction() {
			all++
			if s.Cached {
				hits++
			}
		}
	}
	return hits, all
}

func TestInstructions(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"[internal] load .dockerignore": false, "exporting to image": false, "[auth] octo/web:pull token": false, "[1/3] FROM busybox": false,
		"[linux/arm64 build 1/3] FROM busybox": false, "[2/3] RUN a": true, "[2/3] COPY --link a b": true, "[2/3] LINK COPY --link a b": false, "[stage-1 10/12] COPY 1/2 x": true, "[build 1/2 of x] RUN": false,
	} {
		if got := (Step{Name: name}).Instruction(); got != want {
			t.Errorf("%q is an instruction: %v", name, got)
		}
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Place{
		"[linux/arm64 build 2/4] WORKDIR /src":                     {"linux/arm64", "build", 2, 4},
		"[linux/amd64->arm64 build  2/10] RUN make":                {"linux/arm64", "build", 2, 10},
		"[linux/amd64->arm/v7 build 10/10] RUN make":               {"linux/arm/v7", "build", 10, 10},
		"[linux/amd64->windows/amd64 build 3/3] RUN make":          {"windows/amd64", "build", 3, 3},
		"[linux/arm/v7 stage-1 3/3] COPY --from=build 1/2 a]":      {"linux/arm/v7", "stage-1", 3, 3},
		"[stage-0 1/2] FROM docker.io/library/busybox@sha256:0a10": {"", "stage-0", 1, 2},
		"[2/3] RUN a":                        {"", "", 2, 3},
		"[internal] load build context":      {},
		"exporting to image":                 {},
		"[context busybox] load from client": {},
	} {
		got, ok := Step{Name: name}.Place()
		if got != want || ok != (want != Place{}) {
			t.Errorf("%q is at %+v, %v", name, got, ok)
		}
	}
}

// TestBytes are as BuildKit counts them: what this machine sent and what came of registries, each once though it is told many times.
// What stands for a base image is for the platform of the step that needs it.
func TestBytes(t *testing.T) {
	t.Parallel()
	var got []Step
	p, _ := follow(recorded(t, "pulled"), 300)
	for _, s := range p.Steps() {
		if s.Sent > 0 || s.Pulled > 0 {
			s.Seconds = 0
			got = append(got, s)
		}
	}
	base := "[context busybox] docker.io/library/busybox@sha256:e71e9da91343686c5223b28974ae9c2f6f5bcfe4b6ce9c52d13b006a27cb330a"
	want := []Step{{Name: "[internal] load build definition from Dockerfile", Sent: 314}, {Name: "[internal] load .dockerignore", Sent: 2}, {Name: "[internal] load build context", Sent: 3001238},
		{Name: base, Platform: "linux/amd64", Pulled: 1149941}, {Name: base, Platform: "linux/arm64", Pulled: 1095100}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bytes (-want +got):\n%s", diff)
	}
}

func FuzzProgress(f *testing.F) {
	failed := recorded(f, "failed")
	f.Add(failed[bytes.LastIndex(failed, []byte(`{"logs"`)):], 100)
	f.Add([]byte(line(began, "a")+line(began, "b\n")), 3)
	f.Add([]byte(line(ended, "a\nb")), 1)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		whole, want := follow(data, max(len(data), 1))
		p, told := follow(data, max(1, size))
		if !slices.Equal(told, want) || whole.Explanation() != p.Explanation() || len(whole.Steps()) != len(p.Steps()) {
			t.Errorf("split at %d: told %q, want %q", size, told, want)
		}
		for _, line := range told {
			if strings.Contains(line, "\n") && !strings.Contains(line, ": ") {
				t.Errorf("told two lines as one: %q", line)
			}
		}
	})
}

// TestStepsThatNeverBegan are those of a build at the same time that does the same: they are neither a miss nor a hit of this one.
func TestStepsThatNeverBegan(t *testing.T) {
	t.Parallel()
	p, _ := follow([]byte(`{"vertexes":[{"digest":"sha256:1","name":"[1/2] RUN other"},{"digest":"sha256:2","name":"[1/3] RUN own","started":"2026-01-02T03:04:05Z","completed":"2026-01-02T03:04:06Z"},`+
		`{"digest":"sha256:3","name":"[2/3] RUN cached","cached":true},{"digest":"sha256:4","name":"[3/3] RUN bad","error":"exit code: 1"}]}`+"\n"), 512)
	var names []string
	for _, s := range p.Steps() {
		names = append(names, s.Name)
	}
	if want := []string{"[1/3] RUN own", "[2/3] RUN cached", "[3/3] RUN bad"}; !slices.Equal(names, want) {
		t.Errorf("steps %q, want %q", names, want)
	}
}

func TestCurrent(t *testing.T) {
	t.Parallel()
	p := &Progress{}
	at := func(line string) string {
		_, _ = p.Write([]byte(line + "\n"))
		step, since, ok := p.Current()
		if ok != (step != "") || ok && time.Since(since) > time.Minute {
			t.Errorf("Current() = %q, %s, %v", step, since, ok)
		}
		return step
	}
	for _, c := range []struct{ line, want string }{
		{`{"vertexes":[{"digest":"sha256:0","name":"[internal] load metadata","started":"2020-01-02T03:04:05Z"}]}`, ""},
		{`{"vertexes":[{"digest":"sha256:1","name":"[1/3] RUN one"},{"digest":"sha256:2","name":"[2/3] RUN two","started":"2020-01-02T03:04:05Z"}]}`, "[2/3] RUN two"},
		{`{"vertexes":[{"digest":"sha256:1","name":"[1/3] RUN one","started":"2020-01-02T03:04:06Z"}]}`, "[2/3] RUN two"},
		{`{"vertexes":[{"digest":"sha256:2","name":"[2/3] RUN two","started":"2020-01-02T03:04:05Z","completed":"2020-01-02T03:04:09Z"}]}`, "[1/3] RUN one"},
		{`{"vertexes":[{"digest":"sha256:1","name":"[1/3] RUN one","started":"2020-01-02T03:04:06Z","completed":"2020-01-02T03:04:09Z"}]}`, ""},
	} {
		if got := at(c.line); got != c.want {
			t.Errorf("after %s: at %q, want %q", c.line, got, c.want)
		}
	}
	// A build that was killed has no end of its steps to tell of.
	at(`{"vertexes":[{"digest":"sha256:3","name":"[3/3] RUN three","started":"2020-01-02T03:04:06Z"}]}`)
	p.end()
	if step, _, ok := p.Current(); ok {
		t.Errorf("after its end: at %q", step)
	}
}
