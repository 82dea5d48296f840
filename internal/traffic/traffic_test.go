package traffic

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/ghcr-publish/internal/service"
)

var (
	update = flag.Bool("update", false, "rewrite testdata")
	seed   = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of random splits")
)

func shared(weights ...int) Split {
	s := First(service.Service{Name: "web", Port: 8080})
	s.Health = "/health"
	for n, weight := range weights {
		s.Backends[n].Weight = weight
	}
	return s
}

func examples() map[string]Split {
	sticky := shared(85, 15)
	sticky.Sticky, sticky.Port = true, 9180
	return map[string]Split{"first": First(service.Service{Name: "my-api", Port: 80}), "canary": shared(90, 10), "second": shared(0, 100), "sticky": sticky}
}

// TestFiles compares what each proxy is told with what is there.
func TestFiles(t *testing.T) {
	t.Parallel()
	for _, kind := range service.Proxies {
		for name, s := range examples() {
			got, err := Named(kind).Write(s)
			if err != nil {
				t.Fatal(err)
			}
			at := filepath.Join("testdata", name+"."+kind)
			if *update {
				if err := os.WriteFile(at, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(at)
			if diff := cmp.Diff(string(want), got); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got; -update writes it):\n%s", at, err, diff)
			}
		}
	}
}

// TestOnePort: a container is asked how it is at a port at which its proxy listens by whatever split it goes, and sends on what it is asked.
func TestOnePort(t *testing.T) {
	t.Parallel()
	asked := regexp.MustCompile(`http://127\.0\.0\.1:(\d+)/ `).FindStringSubmatch(strings.Join(Healthcheck(), " "))
	if asked == nil {
		t.Fatalf("it is asked by %q", Healthcheck())
	}
	for _, kind := range service.Proxies {
		for _, port := range []int{80, 9179, 9180, 9181} {
			s := First(service.Service{Name: "web", Port: port})
			text, err := Named(kind).Write(s)
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range []string{asked[1], fmt.Sprint(port), fmt.Sprint(s.ownPort())} {
				if got := strings.Count(text, "\t\tlisten "+at+";\n\t\tlocation / {\n\t\t\tproxy_pass http://$drawn;\n"); got != 1 {
					t.Errorf("%s: of a service at %d it listens %d times at %s:\n%s", kind, port, got, at, text)
				}
			}
		}
	}
}

// TestRandomSplits: whatever is written can be read back, and no change of it can.
func TestRandomSplits(t *testing.T) {
	t.Parallel()
	t.Logf("seed %d", *seed)
	d := rand.New(rand.NewPCG(*seed, 0))
	for range 2000 {
		p := Named(service.Proxies[d.IntN(len(service.Proxies))])
		s := Split{Service: "s", Port: 1 + d.IntN(65535), Sticky: d.IntN(2) == 0, Health: []string{"", "/", "/h?a=b#$c"}[d.IntN(3)]}
		left := 100
		for n := range 1 + d.IntN(4) {
			weight := d.IntN(left + 1)
			s.Backends = append(s.Backends, Backend{fmt.Sprintf("s-%d", n), 1 + d.IntN(65535), weight})
			left -= weight
		}
		s.Backends[0].Weight += left
		text, err := p.Write(s)
		if err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		read, err := Read(text)
		if err != nil || !reflect.DeepEqual(read, s) {
			t.Fatalf("%+v is read as %+v, %v", s, read, err)
		}
		for _, b := range s.Backends {
			_, rest, _ := strings.Cut(text, "\n")
			if there := strings.Contains(rest, b.address()); there != (b.Weight > 0) || read.Of(b.Host) != b {
				t.Fatalf("%+v is in the file: %t\n%s", b, there, text)
			}
		}
		changed := []byte(text)
		changed[d.IntN(len(changed))] ^= 1 << d.IntN(7)
		if other, err := Read(string(changed)); err == nil && reflect.DeepEqual(other, s) {
			t.Fatalf("a file that was changed is read as %+v:\n%s", other, changed)
		}
	}
}

func TestSplitsThatAreRefused(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(*Split){
		`"a b" is no name of a host`:        func(s *Split) { s.Backends[0].Host = "a b" },
		`"{$X}" is no name of a host`:       func(s *Split) { s.Backends[0].Host = "{$X}" },
		`"a;" is no name of a service`:      func(s *Split) { s.Service = "a;" },
		"web-blue is there twice":           func(s *Split) { s.Backends[1].Host = "web-blue" },
		"0 is no port of web-green":         func(s *Split) { s.Backends[1].Port = 0 },
		"70000 is no port":                  func(s *Split) { s.Port = 70000 },
		"web-green has a weight of -1":      func(s *Split) { s.Backends[1].Weight = -1 },
		"weights add up to 101, not to 100": func(s *Split) { s.Backends[1].Weight = 1 },
		"weights add up to 0, not to 100":   func(s *Split) { s.Backends = nil },
		`"health" is no path`:               func(s *Split) { s.Health = "health" },
		`"/{$HOME}" is no path`:             func(s *Split) { s.Health = "/{$HOME}" },
		`"/a\nb" is no path`:                func(s *Split) { s.Health = "/a\nb" },
	} {
		s := shared(100, 0)
		spoil(&s)
		for _, kind := range service.Proxies {
			if text, err := Named(kind).Write(s); err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%s: %v, want %s\n%s", kind, err, want, text)
			}
		}
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	p := Named("nginx")
	written, err := p.Write(shared(100, 0))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                         "not written by ghcr-publish",
		":80\nrespond hello\n":     "not written by ghcr-publish",
		head + sum("{\n") + " {\n": "unexpected end of JSON input",
		head + sum(`{"service":"web"}`+"\n") + " " + `{"service":"web"}` + "\n": "0 is no port",
		strings.Replace(written, "* web-blue:8080", "* web-green:8080", 1):      "somebody has changed the file",
		written + "\n": "somebody has changed the file",
	} {
		if s, err := Read(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is read as %+v, %v; want %s", text, s, err, want)
		}
	}
}

// TestAnswered judges what busybox's wget and that of GNU print.
func TestAnswered(t *testing.T) {
	t.Parallel()
	healthy, unknown := shared(90, 10), shared(90, 10)
	unknown.Health = ""
	const busybox = "  HTTP/1.1 200 OK\n  Server: nginx\n  X-Traffic-Split: web-blue:8080=90,web-green:8080=10\n"
	const gone = "wget: server returned error: HTTP/1.1 404 Not Found\n"
	for _, c := range []struct {
		printed string
		ended   bool
		split   Split
		want    string
	}{
		{busybox, true, healthy, ""},
		{busybox, true, unknown, ""},
		{strings.ToLower(busybox), true, healthy, "answers \"\""},
		{strings.Replace(busybox, "200", "404", 1), false, unknown, ""},
		{strings.Replace(busybox, "200", "404", 1) + gone, false, healthy, `asked for /health, the proxy answers "404"`},
		{strings.Replace(busybox, "200", "502", 1), false, unknown, `asked for /, the proxy answers "502"`},
		{busybox, true, shared(0, 100), `the proxy goes by "web-blue:8080=90,web-green:8080=10", not by "web-green:8080=100"`},
		{"wget: can't connect to remote host: Connection refused\n", false, healthy, `the proxy goes by ""`},
	} {
		err := Answered(c.printed, c.ended, c.split)
		if got := fmt.Sprint(err); c.want == "" && err != nil || !strings.Contains(got, c.want) {
			t.Errorf("%q: %v, want %q", c.printed, err, c.want)
		}
	}
}
