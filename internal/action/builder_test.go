package action

import (
	"testing"

	"github.com/org/ghcr-publish/internal/service"
)

// TestAssembledName gives another name to all that a running BuildKit would not take over.
func TestAssembledName(t *testing.T) {
	t.Parallel()
	one := func() service.Builder {
		return service.Builder{Driver: "docker-container", Endpoint: "ssh://a", Platforms: []string{"linux/amd64"}, Options: map[string]string{"a": "1", "b": "2"}, Key: "secret"}
	}
	name := func(change func(*service.Builder)) string {
		b := one()
		change(&b)
		return assembledName([]byte("config"), []service.Builder{b}, "runner")
	}
	same := name(func(*service.Builder) {})
	if got := name(func(b *service.Builder) { b.Key, b.At = "another", "elsewhere" }); got != same {
		t.Error("it is named after its key")
	}
	for what, change := range map[string]func(*service.Builder){
		"driver":    func(b *service.Builder) { b.Driver = "remote" },
		"endpoint":  func(b *service.Builder) { b.Endpoint = "ssh://b" },
		"platforms": func(b *service.Builder) { b.Platforms = []string{"linux/amd64", "linux/386"} },
		"options":   func(b *service.Builder) { b.Options = map[string]string{"a": "1", "b": "3"} },
		"option":    func(b *service.Builder) { b.Options = map[string]string{"a": "1 b:2"} },
	} {
		if name(change) == same {
			t.Errorf("another %s gives the same name", what)
		}
	}
	if assembledName([]byte("other"), []service.Builder{one()}, "runner") == same || assembledName([]byte("config"), []service.Builder{one(), one()}, "runner") == same {
		t.Error("another configuration or another node gives the same name")
	}
}
