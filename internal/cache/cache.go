// Package cache holds the rules by which the layers of a service's builds are kept between runs: in which tier, who reads them
// and who writes them. It decides, and does nothing.
package cache

import (
	"fmt"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
)

// A Grant is what a run may do with a tier.
type Grant struct {
	Read, Write bool
	Why         string // why it may not write
	Asked       string // why it is used only where the configuration names it; empty if it need not be
}

// A Run is what there is to choose from.
type Run struct {
	Grants map[string]Grant // by tier: service.CacheActions and so on
	// Crowded says why little should be written to the cache of GitHub Actions; empty if there is room.
	Crowded string
}

// tiers in the order in which they are preferred: the first is nearest to GitHub's runners and costs the image's users nothing.
var tiers = [...]string{service.CacheActions, service.CacheRegistry, service.CacheLocal}

// A Policy is what a build does with its cache. One tier at most is written to.
type Policy struct {
	Writes string   `json:"writes"` // tier; "off" for none
	Reads  []string `json:"reads"`  // tiers, in order
	Mode   string   `json:"mode"`   // "max": the layers of all stages; "min": those of the image alone; empty where nothing is written
	Reason string   `json:"reason"` // why it writes there, or does not
}

// Choose decides for one service. What the configuration wants is service.CacheAuto, a tier or service.CacheOff; what the memory
// knows of the tiers is advice, and counts with auto alone.
func (r Run) Choose(wanted string, known map[string]Worth) Policy {
	switch wanted {
	case service.CacheOff:
		return Policy{Writes: service.CacheOff, Reads: []string{}, Reason: "the configuration says off"}
	case service.CacheAuto:
		return r.auto(known)
	}
	p, grant := Policy{Writes: service.CacheOff, Reads: []string{}, Reason: "the configuration says " + wanted}, r.Grants[wanted]
	if grant.Read {
		p.Reads = append(p.Reads, wanted)
	}
	if !grant.Write {
		p.Reason += ", and " + grant.Why
		return p
	}
	return r.writing(p, wanted)
}

// auto reads from every tier there is and writes to the best of them.
func (r Run) auto(known map[string]Worth) Policy {
	p := Policy{Writes: service.CacheOff, Reads: []string{}}
	var open, lost []string
	for _, tier := range tiers {
		grant, worth := r.Grants[tier], known[tier]
		if grant.Read && grant.Asked == "" {
			p.Reads = append(p.Reads, tier)
		}
		switch {
		case grant.Asked != "":
			lost = append(lost, grant.Asked)
		case !grant.Write:
			lost = append(lost, grant.Why)
		case worth.proven() && worth.Saved < worth.Spent:
			lost = append(lost, fmt.Sprintf("%s does not pay: %s", tier, worth))
		case tier == service.CacheActions && r.Crowded != "" && r.Grants[service.CacheRegistry].Write:
			lost = append(lost, r.Crowded)
		default:
			open = append(open, tier)
		}
	}
	if len(open) == 0 {
		p.Reason = strings.Join(slices.Compact(lost), "; ")
		return p
	}
	best := slices.MaxFunc(open, func(a, b string) int { return compare(known[a], known[b]) })
	lost = slices.DeleteFunc(lost, func(why string) bool { return !strings.Contains(why, "pay") && why != r.Crowded })
	p.Reason = strings.Join(append([]string{because(best, known[best])}, lost...), "; ")
	return r.writing(p, best)
}

func because(tier string, worth Worth) string {
	if worth.proven() {
		return fmt.Sprintf("%s pays: %s", tier, worth)
	}
	return tier + " is the first that this run may write to"
}

// writing has a policy write to a tier: everything, unless there is little room.
func (r Run) writing(p Policy, tier string) Policy {
	p.Writes, p.Mode = tier, "max"
	if tier == service.CacheActions && r.Crowded != "" {
		p.Mode = "min"
		p.Reason += "; " + r.Crowded
	}
	if i := slices.Index(p.Reads, tier); i > 0 {
		p.Reads = slices.Insert(slices.Delete(p.Reads, i, i+1), 0, tier)
	}
	return p
}
