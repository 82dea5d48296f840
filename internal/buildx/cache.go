package buildx

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/service"
)

// imported and exported are how BuildKit names its work on a cache. A source in the registry is named by its reference, any
// other by its type and a number.
// https://github.com/moby/buildkit/blob/master/solver/llbsolver/bridge.go
const imported = "importing cache manifest from "

var exported = map[string]string{
	"exporting to GitHub Actions Cache":   service.CacheActions,
	"exporting cache to registry":         service.CacheRegistry,
	"exporting cache to client directory": service.CacheLocal,
}

// cacheWork tells the work on a cache from all other steps.
func cacheWork(name string) (tier string, writes, ok bool) {
	if tier, ok = exported[name]; ok {
		return tier, true, true
	}
	from, ok := strings.CutPrefix(name, imported)
	kind, number, _ := strings.Cut(from, ":")
	switch {
	case !ok:
		return "", false, false
	case digits.MatchString(number) && kind == "gha":
		return service.CacheActions, false, true
	case digits.MatchString(number) && kind == "local":
		return service.CacheLocal, false, true
	default:
		return service.CacheRegistry, false, true
	}
}

var digits = regexp.MustCompile(`^[0-9]+$`)

// nothingThere reports whether a source of layers could not be read because there is none yet, or none for this token: a
// registry does not tell the two apart.
func nothingThere(tier, failure string) bool {
	return tier == service.CacheRegistry && absent.MatchString(failure)
}

var absent = regexp.MustCompile(`: not found$|\b(401|403|404)\b|insufficient_scope|denied`)

// A layer is one that a step reads or writes: "sha256:…", "writing layer sha256:…".
var layer = regexp.MustCompile(`^(` + written + `)?sha256:[0-9a-f]{64}$`)

const written = "writing layer "

// size notes how many bytes of a layer a step has read, or that it wrote it.
func (p *Progress) size(vertex, id string, bytes int64) {
	if !layer.MatchString(id) {
		return
	}
	if p.layers == nil {
		p.layers = map[string]map[string]int64{}
	}
	if p.layers[vertex] == nil {
		p.layers[vertex] = map[string]int64{}
	}
	p.layers[vertex][id] = max(p.layers[vertex][id], bytes)
}

// Gave tells what each tier of a policy gave to the build. BuildKit does not say where a layer came from: with a builder that had
// none of its own, all that were not built came from a tier; with another, those that were read just now. Where several tiers
// could be read the first gets the credit.
func (p *Progress) Gave(policy cache.Policy, newBuilder bool) []cache.Gave {
	p.mu.Lock()
	defer p.mu.Unlock()
	gave := []cache.Gave{}
	for _, tier := range append(slices.Clone(policy.Reads), policy.Writes) {
		if tier == service.CacheOff || slices.ContainsFunc(gave, func(g cache.Gave) bool { return g.Tier == tier }) {
			continue
		}
		g, readable := p.tier(tier)
		if credited := slices.ContainsFunc(gave, func(g cache.Gave) bool { return g.Hits > 0 }); readable && !credited {
			g.Hits, g.Bytes = p.hits(newBuilder)
		}
		gave = append(gave, g)
	}
	if p.forsaken != "" && len(gave) > 0 { // BuildKit does not say which it was
		gave[0].Lost = "the build failed with layers of other runs, and was done again without: " + p.forsaken
	}
	return gave
}

// forsake notes that the build failed and is done again without layers of other runs. What comes now is what it takes.
func (p *Progress) forsake(said string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forsaken = cmp.Or(p.forsaken, lastWords(said))
	p.order, p.steps, p.running, p.users, p.told, p.sent, p.layers, p.last = nil, nil, nil, nil, nil, nil, nil, nil
	p.tell("this is done again without the layers of other runs")
}

// acquit takes back what was said of layers of other runs: the build failed without them, too, so they are not known to be the reason.
func (p *Progress) acquit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forsaken = ""
}

// tier sums up the work on one tier, and says whether it could be read.
func (p *Progress) tier(tier string) (gave cache.Gave, readable bool) {
	gave.Tier = tier
	for _, id := range p.order {
		step := p.steps[id]
		at, writes, ok := cacheWork(step.Name)
		if !ok || at != tier {
			continue
		}
		gave.Seconds += step.Seconds
		if writes && step.Error == "" {
			gave.Written += len(p.layers[id])
		}
		switch {
		case step.Error == "":
			readable = readable || !writes
		case cutShort(step.Error):
		case writes:
			gave.Lost = cmp.Or(gave.Lost, "nothing was written: "+lastWords(step.Error))
		case !nothingThere(tier, step.Error):
			gave.Lost = cmp.Or(gave.Lost, "it could not be read: "+lastWords(step.Error))
		}
	}
	gave.Seconds = math.Round(gave.Seconds*1000) / 1000 // more digits would be noise
	return gave, readable
}

// lastWords is what an error says, in one line of no great length: some repeat whole answers.
func lastWords(failure string) string {
	line := strings.Join(strings.Fields(failure), " ")
	if len(line) > longestReason {
		line = strings.ToValidUTF8(line[:longestReason], "") + "…"
	}
	return line
}

const longestReason = 300

// hits counts the instructions whose layers were there, and the bytes that were read of them.
func (p *Progress) hits(newBuilder bool) (n int, bytes int64) {
	for _, id := range p.order {
		if step := p.steps[id]; !step.Instruction() || !step.Cached {
			continue
		}
		if newBuilder || len(p.layers[id]) > 0 {
			n++
		}
		for _, size := range p.layers[id] {
			bytes += size
		}
	}
	return n, bytes
}

// A signature in an address is as good as a token, and BuildKit repeats addresses that it could not reach.
var signature = regexp.MustCompile(`([?&]sig=)[^&"\s]+`)

func withoutSignatures(text string) string { return signature.ReplaceAllString(text, "${1}***") }
