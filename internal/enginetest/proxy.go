package enginetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/org/ghcr-publish/internal/traffic"
)

// A Proxy stands for what is run in the container of a proxy.
type Proxy struct {
	mu      sync.Mutex
	refuses bool
	deaf    bool
	file    string
	goes    string
}

// NewProxy is one that has begun with a split.
func NewProxy(first traffic.Split) *Proxy {
	p := &Proxy{}
	p.Leave(first)
	p.goes = p.file
	return p
}

// Refuse has it take nothing over.
func (p *Proxy) Refuse() { p.set(func() { p.refuses = true }) }

// Ignore has it take nothing over, and say that it does.
func (p *Proxy) Ignore() { p.set(func() { p.deaf = true }) }

// Leave writes a split into its file, of which it is not told.
func (p *Proxy) Leave(s traffic.Split) {
	text, err := traffic.Named("").Write(s)
	if err != nil {
		panic(err)
	}
	p.Write(text)
}

// Write puts anything into its file.
func (p *Proxy) Write(text string) { p.set(func() { p.file = text }) }

func (p *Proxy) set(what func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	what()
}

// Split is what it goes by.
func (p *Proxy) Split() traffic.Split {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := traffic.Read(p.goes)
	if err != nil {
		panic(err)
	}
	return s
}

// Exec is a Behaviour's.
func (p *Proxy) Exec(argv []string) (exitCode int, output string) {
	kind := traffic.Named("")
	switch {
	case slices.Equal(argv, kind.Show()):
		p.set(func() { output = p.file })
	case slices.Equal(argv, kind.Reload()):
		p.set(func() { p.goes = p.file })
	case slices.Equal(argv, kind.Switch(argv[len(argv)-1])):
		exitCode, output = p.take(argv[len(argv)-1])
	default:
		var shares []string
		for _, b := range p.Split().Backends {
			if b.Weight > 0 {
				shares = append(shares, fmt.Sprintf("%s:%d=%d", b.Host, b.Port, b.Weight))
			}
		}
		output = "HTTP/1.1 200 OK\nX-Traffic-Split: " + strings.Join(shares, ",")
	}
	return exitCode, output
}

func (p *Proxy) take(text string) (exitCode int, output string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuses {
		return 1, "nginx: configuration file test failed"
	}
	if p.file = text; !p.deaf {
		p.goes = text
	}
	return 0, ""
}
