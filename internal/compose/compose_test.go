package compose

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/traffic"
)

var update = flag.Bool("update", false, "rewrite testdata")

func sha(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

// known are images of the services in testdata, by the service's name; any other has a HEALTHCHECK.
var known = map[string]Image{
	"backend":  {Tag: "1.2.3", Digest: sha("a"), Checked: true},
	"frontend": {Tag: "1.2.3", Digest: sha("b"), Programs: []string{"wget"}},
	"auth":     {Tag: "1.2.0", Digest: sha("c"), Programs: []string{"bash"}, Root: true},
	"search":   {Tag: "1.2.3", Digest: sha("d")},
	"migrate":  {Tag: "1.2.3", Digest: sha("e"), Mirrored: "eu.example/octo/migrate"},
	"worker":   {Tag: "1.2.3", Digest: sha("f")},
}

// project reads a configuration of testdata.
func project(t *testing.T, dir string) Project {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "config.yml"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := service.Load(service.Sources{Getenv: func(string) string { return "" }, Defaults: map[string]string{"owner": "octo"},
		ReadFile: fstest.MapFS{".github/ghcr-publish.yml": {Data: text}}.ReadFile})
	if err != nil {
		t.Fatal(err)
	}
	p := Project{Name: "cards", Wanted: *config.Compose, StartPeriod: 30 * time.Second,
		Pins: map[string]string{"postgres:17-alpine": sha("1"), "redis:8-alpine": sha("2"), "busybox:1.37": sha("3"), "nginx:1.28-alpine": sha("5")}}
	for _, s := range config.Services {
		if i := known[s.Name]; !s.InCompose().Out {
			i.Service = s
			p.Images = append(p.Images, i)
		}
	}
	return p
}

// TestKeep takes from a file that was written before what is the same image of others by its tag, and nothing else.
func TestKeep(t *testing.T) {
	t.Parallel()
	was := project(t, filepath.Join("testdata", "full"))
	delete(was.Pins, "busybox:1.37")
	written := was.file(t, "").Compose
	now := was
	now.Pins = map[string]string{}
	now.Wanted.Companions = slices.Clone(was.Wanted.Companions)
	for n := range now.Wanted.Companions {
		if c := &now.Wanted.Companions[n]; c.Name == "redis" {
			c.Image = "redis:9"
		}
	}
	if err := now.Keep(written); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"postgres:17-alpine": sha("1")}
	if diff := cmp.Diff(want, now.Pins); diff != "" {
		t.Errorf("kept (-want +got):\n%s\n%s", diff, written)
	}
}

func (p Project) file(t *testing.T, dir string) File {
	t.Helper()
	var f File
	var err error
	if p.Wanted.From == "" {
		f, err = p.Write(t.Context())
	} else {
		var source []byte
		if source, err = os.ReadFile(filepath.Join(dir, "source.yaml")); err == nil {
			f, err = p.Pin(t.Context(), source)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func folders(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("testdata/*/config.yml")
	for i := range dirs {
		dirs[i] = filepath.Dir(dirs[i])
	}
	if err != nil || len(dirs) < 3 {
		t.Fatalf("testdata has %q (%v)", dirs, err)
	}
	return dirs
}

// TestFiles compares the files of each configuration in testdata with those that are there.
func TestFiles(t *testing.T) {
	t.Parallel()
	for _, dir := range folders(t) {
		f := project(t, dir).file(t, dir)
		for name, got := range map[string][]byte{"compose.yaml": f.Compose, "example.env": f.Example} {
			at := filepath.Join(dir, name)
			if *update {
				if err := os.WriteFile(at, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(at)
			if diff := cmp.Diff(string(want), string(got)); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got; -update writes it):\n%s", at, err, diff)
			}
		}
	}
}

// load reads a file as Compose does, with some profiles.
func load(ctx context.Context, text []byte, profiles ...string) (*types.Project, error) {
	details := types.ConfigDetails{WorkingDir: "/nowhere", Environment: types.Mapping{"DATABASE_URL": "x", "API_KEY": "x"},
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: text}}}
	return loader.LoadWithContext(ctx, details, loader.WithProfiles(profiles), func(o *loader.Options) { o.SetProjectName("cards", false) })
}

// TestComposeReadsThem holds every file to what Compose itself demands, with each profile, and to what is promised of all of them.
func TestComposeReadsThem(t *testing.T) {
	t.Parallel()
	for _, dir := range folders(t) {
		p := project(t, dir)
		text := p.file(t, dir).Compose
		for _, profiles := range [][]string{nil, {"production"}, {"development"}, {"production", "development"}} {
			read, err := load(t.Context(), text, profiles...)
			if err != nil {
				t.Errorf("%s with %q: %v", dir, profiles, err)
				continue
			}
			for name, s := range read.Services {
				if p.Wanted.From == "" {
					checkSafe(t, dir+" "+name, s)
				}
			}
		}
	}
}

func checkSafe(t *testing.T, at string, s types.ServiceConfig) {
	t.Helper()
	if !strings.Contains(s.Image, "@sha256:") || s.Build != nil {
		t.Errorf("%s is started from %q", at, s.Image)
	}
	if s.Deploy == nil || s.Deploy.Resources.Limits == nil || s.Deploy.Resources.Limits.MemoryBytes == 0 || s.Deploy.Resources.Limits.NanoCPUs == 0 || s.Deploy.Resources.Limits.Pids == 0 || s.Deploy.Resources.Reservations.MemoryBytes == 0 {
		t.Errorf("%s is not bounded: %+v", at, s.Deploy)
	}
	if s.Restart == "" || s.Logging == nil || s.Logging.Options["max-size"] == "" || s.Privileged {
		t.Errorf("%s has restart %q, logging %+v, privileged %t", at, s.Restart, s.Logging, s.Privileged)
	}
	if len(s.Networks) == 0 || s.NetworkMode != "" {
		t.Errorf("%s is on networks %v, %q", at, s.Networks, s.NetworkMode)
	}
	for name, value := range s.Environment {
		if strings.HasSuffix(name, "PASSWORD") {
			t.Errorf("%s has %s=%v", at, name, value)
		}
	}
}

// TestSameBytes: neither chance nor the order in which services come changes a file.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	for _, dir := range folders(t) {
		p := project(t, dir)
		want := p.file(t, dir)
		for range 20 {
			slices.Reverse(p.Images)
			if got := p.file(t, dir); !bytes.Equal(got.Compose, want.Compose) || !bytes.Equal(got.Example, want.Example) {
				t.Fatalf("%s gives another file:\n%s", dir, cmp.Diff(string(want.Compose), string(got.Compose)))
			}
		}
	}
}

// TestSourceIsKept compares all that a source says, but for what is ours, before and after.
func TestSourceIsKept(t *testing.T) {
	t.Parallel()
	const dir = "testdata/source"
	source, err := os.ReadFile(filepath.Join(dir, "source.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	before, err := load(t.Context(), source, "*")
	if err != nil {
		t.Fatal(err)
	}
	p := project(t, dir)
	f := p.file(t, dir)
	after, err := load(t.Context(), f.Compose, "*")
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]string{"backend": "a", "worker": "a", "web": "b"}
	for name, digit := range ours {
		s := after.Services[name]
		if !strings.HasSuffix(s.Image, "@"+sha(digit)) || s.Build != nil || s.PullPolicy != "" {
			t.Errorf("%s is started from %q, built by %v, pulled by %q", name, s.Image, s.Build, s.PullPolicy)
		}
		was := before.Services[name]
		s.Image, s.Build, s.PullPolicy = was.Image, was.Build, was.PullPolicy
		after.Services[name] = s
	}
	if diff := cmp.Diff(render(t, before), render(t, after)); diff != "" {
		t.Errorf("more has changed (-before +after):\n%s", diff)
	}
	for line := range strings.Lines(string(source)) {
		if before, comment, found := strings.Cut(line, "# "); found && !strings.Contains(before, "image:") && !strings.Contains(string(f.Compose), strings.TrimSpace(comment)) {
			t.Errorf("the comment %q is gone", comment)
		}
	}
	if want := []string{"auth is no service of compose.yaml, so its image is not in the Compose file."}; !slices.Equal(f.Notices, want) {
		t.Errorf("notices %q, want %q", f.Notices, want)
	}
}

func render(t *testing.T, p *types.Project) string {
	t.Helper()
	text, err := p.MarshalYAML()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTextsAreKept has texts of several lines that look like comments, or end in what does.
func TestTextsAreKept(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"at the end":       "x-a: |\n  one\n  # two\n",
		"at the beginning": "x-a: &a |\n  # one\n\n  two\nx-b: *a\n",
		"with all lines":   "x-a: |+\n  # one\n\n\nx-b: 1\n",
		"folded":           "x-a: >-\n  # one\n\n  two\n  # three\n\n",
		"in a list":        "x-a:\n  - |\n    # one\n\n    # two\n  - 2\n",
		"in quotes":        "x-a: 'one\n\n  # two\n\n  three'\n",
		"in double quotes": "x-a: \"one\n\n  # two\\n\n  three\"\n",
		"with a comment":   "x-a: | # why\n  # one\n\n  two\n  # three\n# a comment\n",
		"plain":            "x-a: one\n  two\n",
	} {
		source := text + "services:\n  b:\n    build: .\n"
		p := Project{Wanted: service.Compose{From: "compose.yaml"}, Images: []Image{{Service: service.Service{Name: "b", Image: "ghcr.io/octo/b"}, Tag: "1", Digest: sha("a")}}}
		f, err := p.Pin(t.Context(), []byte(source))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var before, after map[string]any
		if err := errors.Join(yaml.Unmarshal([]byte(source), &before), yaml.Unmarshal(f.Compose, &after)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		delete(before, "services")
		delete(after, "services")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s: (-before +after)\n%s\n%s", name, diff, f.Compose)
		}
	}
}

func TestSourcesThatAreRefused(t *testing.T) {
	t.Parallel()
	p := Project{Wanted: service.Compose{From: "compose.yaml"}, Images: []Image{{Service: service.Service{Name: "a", Image: "ghcr.io/octo/a"}, Digest: sha("a")}}}
	for source, want := range map[string]string{
		"":                                     "reading it: EOF",
		"services: [":                          "reading it: ",
		"services: {a: {image: x}}\n---\na: 1": "more than one YAML document",
		"name: x":                              "it has no services",
		"services: {b: {image: x}}":            "none of what is published is a service there",
		"services: {a: {imagine: x}}":          "imagine",
		"services: {a: x}":                     "none of what is published is a service there",
	} {
		if _, err := p.Pin(t.Context(), []byte(source)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", source, err, want)
		}
	}
}

// withoutImages takes out of a file's services what is set in them.
func withoutImages(t *testing.T, text []byte) any {
	t.Helper()
	var file map[string]any
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	services, _ := file["services"].(map[string]any)
	for _, s := range services {
		if definition, ok := s.(map[string]any); ok {
			for _, key := range built {
				delete(definition, key)
			}
		}
	}
	return file
}

// FuzzPin puts an image into whatever may be a Compose file: nothing else of it changes, and once more changes nothing at all.
func FuzzPin(f *testing.F) {
	source, err := os.ReadFile("testdata/source/source.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(source)
	for _, seed := range []string{"services: {a: {build: .}}", "x: &x {build: ., pull_policy: build}\nservices:\n  a: {<<: [*x, {image: y}], command: [x]}\n  b: *x\n", "services:\n  a: &a\n    build: . # here\n    labels: [x]\n  b: {<<: *a}\n",
		"services: {a: {image: 'ghcr.io/octo/a:${T}', environment: {A: |\n  b\n}}}", "services:\n  a:\n    environment:\n      A: |\n        b\n\n        c\n  b: {image: x}\n", "services:\n  a.b: {image: ghcr.io/octo/a}\nvolumes:\n  v:\n# end\n", "services: {a: {image: x, <<: {<<: {build: .}}}}"} {
		f.Add([]byte(seed))
	}
	p := Project{Images: []Image{{Service: service.Service{Name: "a", Image: "ghcr.io/octo/a"}, Tag: "1", Digest: sha("a")}}}
	f.Fuzz(func(t *testing.T, source []byte) {
		once, err := p.Pin(t.Context(), source)
		if err != nil {
			return
		}
		if diff := cmp.Diff(withoutImages(t, source), withoutImages(t, once.Compose)); diff != "" {
			t.Errorf("more has changed (-before +after):\n%s", diff)
		}
		var read struct {
			Services map[string]struct{ Image, Build any }
		}
		if err := yaml.Unmarshal(once.Compose, &read); err != nil {
			t.Fatal(err)
		}
		if a, there := read.Services["a"]; there && (a.Image != "ghcr.io/octo/a@"+sha("a") || a.Build != nil) {
			t.Errorf("a is %+v", a)
		}
		again, err := p.Pin(t.Context(), once.Compose)
		if err != nil || !bytes.Equal(again.Compose, once.Compose) {
			t.Errorf("once more: %v\n%s", err, cmp.Diff(string(once.Compose), string(again.Compose)))
		}
	})
}

// TestPeersThatAreNotThere are told of, since an image was judged with them.
func TestPeersThatAreNotThere(t *testing.T) {
	t.Parallel()
	p := Project{Name: "cards", Wanted: service.Compose{Companions: []service.Companion{{Name: "redis"}}},
		Images: []Image{{Service: service.Service{Name: "a", Image: "ghcr.io/octo/a", PeerNames: []string{"redis", "db"}}, Tag: "1", Digest: sha("a")}}}
	f := p.file(t, "")
	if want := []string{"a is tried out with db, which is no service of the Compose file: have a companion, or have the file made from the one that has it."}; !slices.Equal(f.Notices, want) {
		t.Errorf("notices %q, want %q", f.Notices, want)
	}
	if !strings.Contains(string(f.Compose), "\n    image: redis:8-alpine\n") {
		t.Errorf("without its digest redis is not there by its name:\n%s", f.Compose)
	}
}

func TestRepository(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]string{"a": "a", "a:1": "a", "a@sha256:1": "a", "h:5000/a/b:1@sha256:1": "h:5000/a/b", "ghcr.io/o/a:${TAG:-latest}": "ghcr.io/o/a", "${IMAGE}": "${IMAGE}", "h:5000/a": "h:5000/a"} {
		if got := repository(image); got != want {
			t.Errorf("repository(%q) = %q, want %q", image, got, want)
		}
	}
}

// TestAsk compares how a service is asked by what its image has.
func TestAsk(t *testing.T) {
	t.Parallel()
	served := service.Service{Name: "a", Port: 80, HealthEndpoint: "/a$b'c"}
	open := service.Service{Name: "a", Port: 80}
	for _, c := range []struct {
		service  service.Service
		programs string
		want     string
	}{
		{served, "curl wget", "CMD wget -q -O /dev/null http://127.0.0.1:80/a$$b'c"},
		{served, "curl", "CMD curl -fsS -o /dev/null http://127.0.0.1:80/a$$b'c"},
		{served, "node", `CMD node -e require('http').get('http://127.0.0.1:80/a$$b\'c', r => process.exit(r.statusCode < 400 ? 0 : 1)).on('error', () => process.exit(1))`},
		{served, "python3", `CMD python3 -c import urllib.request; urllib.request.urlopen('http://127.0.0.1:80/a$$b\'c')`},
		{served, "bash", `CMD bash -c exec 3<>/dev/tcp/127.0.0.1/80 && printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' '/a$$b'\''c' >&3 && read -r _ code _ <&3 && [ "$$code" -lt 400 ]`},
		{open, "wget node", "CMD node -e require('net').connect(80, '127.0.0.1', () => process.exit(0)).on('error', () => process.exit(1))"},
		{open, "python3", "CMD python3 -c import socket; socket.create_connection(('127.0.0.1', 80))"},
		{open, "bash", "CMD bash -c exec 3<>/dev/tcp/127.0.0.1/80"},
		{open, "wget curl", ""},
		{served, "", ""},
		{service.Service{Name: "a"}, "wget", ""},
	} {
		i := Image{Service: c.service, Programs: strings.Fields(c.programs)}
		if got := strings.Join(i.ask(), " "); got != c.want {
			t.Errorf("with %q: %s\nwant %s", c.programs, got, c.want)
		}
		if elsewhere := c.want == "" && c.service.Port != 0; i.asked() != elsewhere {
			t.Errorf("with %q it is asked from elsewhere: %t", c.programs, i.asked())
		}
	}
}

// TestAsking runs what asks, as far as this machine has the programs, against what is well, what is not, and what is not there.
func TestAsking(t *testing.T) {
	t.Parallel()
	var sick atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sick.Load() || r.URL.Path != "/a'b" || r.URL.RawQuery != "c=$d" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	port := server.Listener.Addr().(*net.TCPAddr).Port
	run := func(test []string) error {
		argv := slices.Clone(test[1:])
		for i := range argv {
			argv[i] = strings.ReplaceAll(argv[i], "$$", "$") // as Compose does
		}
		c := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		c.Env = []string{"PATH=" + os.Getenv("PATH")} // and no proxy
		return c.Run()
	}
	there := slices.DeleteFunc(slices.Clone(Programs[:]), func(program string) bool { _, err := exec.LookPath(program); return err != nil })
	if len(there) == 0 {
		t.Fatal("this machine has none of the programs that ask")
	}
	t.Logf("asking with %q", there)
	for _, program := range there {
		at := Image{Service: service.Service{Port: port, HealthEndpoint: "/a'b?c=$d"}, Programs: []string{program}}
		sick.Store(false)
		if err := run(at.ask()); err != nil {
			t.Errorf("%s finds a well service sick: %v", program, err)
		}
		sick.Store(true)
		if run(at.ask()) == nil {
			t.Errorf("%s finds a sick service well", program)
		}
		at.Service.HealthEndpoint = ""
		if test := at.ask(); test != nil {
			if err := run(test); err != nil {
				t.Errorf("%s finds nobody at an open port: %v", program, err)
			}
			at.Service.Port = 1
			if run(at.ask()) == nil {
				t.Errorf("%s finds somebody at a closed port", program)
			}
		}
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{1 << 30: "1G", 512 << 20: "512M", 1536 << 20: "1536M", 1 << 10: "1K", 1000: "1000"} {
		if got := bytesText(n); got != want {
			t.Errorf("bytesText(%d) = %s, want %s", n, got, want)
		}
	}
	for name, want := range map[string]string{"backend": "BACKEND", "my-api.v2": "MY_API_V2", "2nd": "_2ND", "é": "_"} {
		if got := variable(name); got != want {
			t.Errorf("variable(%q) = %s, want %s", name, got, want)
		}
	}
	for image, want := range map[string]string{"postgres:17-alpine": "/var/lib/postgresql/data", "postgres:18.1": "/var/lib/postgresql", "postgres": "/var/lib/postgresql", "h:5000/postgres:16": "/var/lib/postgresql/data",
		"h:5000/postgres": "/var/lib/postgresql", "postgres:16@" + sha("a"): "/var/lib/postgresql/data",
		"pgvector/pgvector:pg17": "/var/lib/postgresql/data", "pgvector/pgvector:0.8.1-pg18-trixie": "/var/lib/postgresql", "timescale/timescaledb:latest-pg16": "/var/lib/postgresql/data",
		"postgis/postgis:17-3.5": "/var/lib/postgresql/data", "pg17:5000/postgres": "/var/lib/postgresql", "pg17:5000/postgres:18": "/var/lib/postgresql"} {
		if got := postgresFolder(image); got != want {
			t.Errorf("postgresFolder(%q) = %s, want %s", image, got, want)
		}
	}
	for ref, want := range map[string]string{"postgres:17": "postgres@" + sha("a") + " 17", "postgres": "postgres@" + sha("a") + " latest", "h:5000/a": "h:5000/a@" + sha("a") + " latest", "a@" + sha("b"): "a@" + sha("b") + " "} {
		if n := pinnedRef(ref, sha("a")); n.Value+" "+n.LineComment != want {
			t.Errorf("%s is pinned as %s # %s", ref, n.Value, n.LineComment)
		}
	}
	if n := pinnedRef("postgres:17", ""); n.Value != "postgres:17" {
		t.Errorf("without a digest it is %s", n.Value)
	}
}

// TestEveryCompanion is known here.
func TestEveryCompanion(t *testing.T) {
	t.Parallel()
	images := map[string]bool{}
	for _, name := range service.Companions {
		images[CompanionImage(service.Companion{Name: name})] = true
	}
	if want := map[string]bool{"postgres:17-alpine": true, "redis:8-alpine": true}; !maps.Equal(images, want) {
		t.Errorf("images %v, want %v", images, want)
	}
}

// TestLikeness: what the label of a proxy's container says changes with what only another container can be, and with nothing else.
func TestLikeness(t *testing.T) {
	t.Parallel()
	likeness := func(change func(*Project), environment ...string) string {
		p := project(t, "testdata/switch")
		for n := range p.Images { // which the project has to itself
			in := p.Images[n].Service.InCompose()
			p.Images[n].Service.Compose = &in
		}
		change(&p)
		details := types.ConfigDetails{Environment: types.NewMapping(environment), ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: p.file(t, "").Compose}}}
		read, err := loader.LoadWithContext(t.Context(), details, func(o *loader.Options) { o.SetProjectName("cards", false) })
		if err != nil {
			t.Fatal(err)
		}
		return read.Services["frontend"].Labels[traffic.ContainerLabel]
	}
	of := func(p *Project, name string) *service.Service {
		at := slices.IndexFunc(p.Images, func(i Image) bool { return i.Service.Name == name })
		return &p.Images[at].Service
	}
	was := likeness(func(*Project) {})
	if was == "" || !strings.HasSuffix(was, " 80:3000") {
		t.Errorf("the label says %q", was)
	}
	for title, c := range map[string]struct {
		change      func(*Project)
		environment []string
		same        bool
	}{
		"no cookie":                    {func(p *Project) { of(p, "frontend").Compose.Sticky = false }, nil, true},
		"another one that is switched": {func(p *Project) { of(p, "worker").Port, of(p, "worker").Compose.Switch = 1, true }, nil, true},
		"another one that is not":      {func(p *Project) { of(p, "search").Compose.Switch = false }, nil, true},
		"more time to start":           {func(p *Project) { p.StartPeriod = time.Hour }, nil, true},
		"another path":                 {func(p *Project) { of(p, "frontend").HealthEndpoint = "/" }, nil, true},
		"profiles":                     {func(p *Project) { of(p, "worker").Compose.Profiles = []string{"x"} }, nil, true},
		"another image":                {func(p *Project) { p.Pins["nginx:1.28-alpine"] = sha("6") }, nil, false},
		"nobody outside":               {func(p *Project) { of(p, "frontend").Compose.Publish = "" }, nil, false},
		"another place":                {func(p *Project) { of(p, "frontend").Compose.Publish = "127.0.0.1:80" }, nil, false},
		"another port":                 {func(p *Project) { of(p, "frontend").Port = 3001 }, nil, false},
		"another one outside":          {func(*Project) {}, []string{"FRONTEND_PORT=81"}, false},
	} {
		if got := likeness(c.change, c.environment...); (got == was) != c.same {
			t.Errorf("%s: the label says %q, and said %q", title, got, was)
		}
	}
}
