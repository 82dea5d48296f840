package deploy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/ghcr-publish/internal/run"
)

// TestFind takes the first that is not too old.
func TestFind(t *testing.T) {
	t.Parallel()
	for title, c := range map[string]struct {
		versions map[string]string // by program; those that are not there have none
		want     string
	}{
		"the program":              {map[string]string{"docker-compose": "2.40.3\n", "docker": "2.1.0"}, "docker-compose 2.40.3"},
		"the plugin":               {map[string]string{"docker": "v2.1.0"}, "docker compose 2.1.0"},
		"the plugin of an old one": {map[string]string{"docker-compose": "1.29.2", "docker": "5.0.0"}, "docker compose 5.0.0"},
		"docker without it":        {map[string]string{"docker": ""}, ""},
		"an old one alone":         {map[string]string{"docker-compose": "1.29.2"}, ""},
		"none":                     {nil, ""},
	} {
		bin := t.TempDir()
		for name := range c.versions {
			if err := os.WriteFile(filepath.Join(bin, name), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		argv, version, err := Find(t.Context(), func(_ context.Context, c2 run.Command) ([]byte, error) {
			if said := c.versions[filepath.Base(c2.Argv[0])]; said != "" {
				return []byte(said), nil
			}
			return nil, errors.New("unknown command compose")
		}, []string{"PATH=" + bin})
		got := strings.TrimSpace(strings.TrimPrefix(strings.Join(argv, " "), bin+"/") + " " + version)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), "https://docs.docker.com/compose/install") {
			t.Errorf("%s: %q, %v; want %q", title, got, err, c.want)
		}
	}
}

// TestLines tells each line of whatever comes in pieces, and none that is too long.
func TestLines(t *testing.T) {
	t.Parallel()
	var got []string
	l := &lines{tell: func(line string) { got = append(got, line) }}
	for _, piece := range []string{"a\nb", "c\r\n\n  ", "d\xff\n", strings.Repeat("x", 2*longest) + "\n", "end"} {
		if n, err := l.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	l.end()
	if diff := cmp.Diff([]string{"a", "bc", "d�", strings.Repeat("x", longest) + "…", "end"}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// TestSaid keeps the end of what a program said, and says why one was stopped.
func TestSaid(t *testing.T) {
	t.Parallel()
	if got := said(&run.Error{Code: 1, Stderr: "a\nb\r\nc\nd\r\n"}).Error(); got != "b\nc\nd" {
		t.Errorf("%q", got)
	}
	stopped := errors.New("stopped")
	if got := said(&run.Error{Argv: []string{"x"}, Code: -1, Stderr: "a", Err: stopped}); !errors.Is(got, stopped) {
		t.Errorf("%v", got)
	}
}

// TestStreams has Compose write to both of its streams, a bit to the one and a bit to the other: their lines do not mix.
func TestStreams(t *testing.T) {
	t.Parallel()
	var told []string
	p := Program{Argv: []string{"compose"}, Private: t.TempDir(), Tell: func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) },
		Run: func(_ context.Context, c run.Command) ([]byte, error) {
			fmt.Fprint(c.Stdout, "Container a ")
			fmt.Fprint(c.Stderr, "a warn")
			fmt.Fprint(c.Stdout, "started\n")
			fmt.Fprint(c.Stderr, "ing")
			return nil, nil
		}}
	if err := p.Down(t.Context(), Version{File: "services: {}"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"  Container a started", "  a warning"}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// TestNoContainers: of a service that is to have none, nothing is waited for.
func TestNoContainers(t *testing.T) {
	t.Parallel()
	p := Program{Argv: []string{"compose"}, Private: t.TempDir(), Run: func(context.Context, run.Command) ([]byte, error) {
		return []byte(`{"services": {"a": {"image": "a:1"}, "b": {"image": "b:1", "scale": 0}, "c": {"image": "c:1", "deploy": {"replicas": 0}}, "d": {"image": "d:1", "scale": 2, "deploy": {"replicas": 2}}, "e": {"image": "e:1", "deploy": {"mode": "replicated"}}}}`), nil
	}}
	got, err := p.Images(t.Context(), Version{File: "services: {}"})
	want := map[string]string{"a": "a:1", "d": "d:1", "e": "e:1"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
