package lab

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

func openLab(t *testing.T) *Lab {
	t.Helper()
	l, err := new(setup).openRegistry(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestRegistryInThisProcess(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	l := openLab(t)
	if !answers(t.Context(), "http://"+l.Registry+"/v2/") {
		t.Fatal("the registry does not answer")
	}
	if err := s.writeBuildkitConfig(l); err != nil {
		t.Fatal(err)
	}
	named := &setup{Options: Options{Registry: l.Registry}}
	if other, err := named.openRegistry(t.Context()); err != nil || other.Registry != l.Registry || !other.plain {
		t.Errorf("openRegistry() = %+v, %v; want the one that runs", other, err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	}
	if _, err := os.Stat(l.BuildkitConfig); err == nil {
		t.Error("the configuration outlives its registry")
	}
	if _, err := named.openRegistry(t.Context()); err == nil || !strings.Contains(err.Error(), l.Registry) {
		t.Errorf("openRegistry() = %v; want an error that names the registry", err)
	}
}

func TestBuildkitConfig(t *testing.T) {
	t.Parallel()
	var got struct {
		Registry map[string]struct {
			Mirrors []string
			HTTP    bool
		}
	}
	if err := toml.Unmarshal([]byte(buildkitConfig("127.0.0.1:5000", true)), &got); err != nil {
		t.Fatal(err)
	}
	hub := got.Registry["docker.io"]
	if len(hub.Mirrors) != 1 || hub.Mirrors[0] != "127.0.0.1:5000" || !got.Registry["127.0.0.1:5000"].HTTP {
		t.Errorf("the configuration is %+v", got)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]bool{200: true, 401: true, 403: false, 404: false, 502: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		if got := answers(t.Context(), server.URL+"/v2/"); got != want {
			t.Errorf("a registry that says %d: %t", status, got)
		}
		server.Close()
	}
}
