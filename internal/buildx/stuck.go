package buildx

import (
	"context"
	"errors"
	"strings"
	"time"
)

// silence is how long a build may tell nothing while all it does is read or write layers of other runs. BuildKit goes on trying for a
// quarter of an hour where a store of blobs is down, and longer where it does not answer.
const silence = 5 * time.Minute

const (
	unread    = "no layer of other runs was read for "
	unwritten = "no layer was written for other runs for "
)

// stuck says what a build waits for in vain; empty where it has other things to do, or did something lately.
func (p *Progress) stuck() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.running) == 0 || time.Since(p.heard) < silence {
		return ""
	}
	what := unwritten
	for id := range p.running {
		_, writes, ok := cacheWork(p.steps[id].Name)
		if !ok {
			return ""
		}
		if !writes {
			what = unread
		}
	}
	return what + silence.String()
}

// watch ends a build that is stuck. It returns when the context does.
func (p *Progress) watch(ctx context.Context, end context.CancelCauseFunc) {
	ticker := time.NewTicker(silence / 30)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if what := p.stuck(); what != "" {
				end(errors.New(what))
			}
		}
	}
}

// without takes from a build what it was stuck with.
func (b *Build) without(said string) bool {
	switch {
	case strings.Contains(said, unread):
		b.CacheFrom = nil
	case strings.Contains(said, unwritten):
		b.CacheTo = nil
	default:
		return false
	}
	return true
}
