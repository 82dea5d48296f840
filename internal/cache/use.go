package cache

import (
	"fmt"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/org/ghcr-publish/internal/service"
)

// A Use is what a build did with its cache, and what came of it.
type Use struct {
	Policy
	Tiers []Gave `json:"tiers"`
}

// Gave is what one tier gave to a build.
type Gave struct {
	Tier    string  `json:"tier"`
	Hits    int     `json:"hits"`           // instructions of the Dockerfile whose layers it had
	Bytes   int64   `json:"bytes_read"`     // compressed, of layers that were needed here
	Written int     `json:"layers_written"` // which it was given, whether it had them or not
	Seconds float64 `json:"seconds"`        // that reading and writing took
	Lost    string  `json:"lost,omitempty"` // what went wrong
}

// String tells of it in one line.
func (u Use) String() string {
	var told []string
	for _, t := range u.Tiers {
		if t.Tier == u.Writes || t.Hits > 0 {
			told = append(told, t.String())
		}
	}
	if u.Writes == service.CacheOff {
		told = append(told, "none kept")
	}
	return strings.Join(told, ", ") + " (" + u.Reason + ")"
}

func (g Gave) String() string {
	if g.Lost != "" {
		return g.Tier + " was of no use"
	}
	return fmt.Sprintf("%s had those of %d instructions (%s read) and was given %d, in %.1f s", g.Tier, g.Hits, units.HumanSize(float64(g.Bytes)), g.Written, g.Seconds)
}

// Join puts together what the builds of one service's platforms did.
func (u Use) Join(other Use) Use {
	if u.Writes == "" {
		return other
	}
	u.Tiers = slices.Clone(u.Tiers)
	for _, gave := range other.Tiers {
		u.add(gave)
	}
	return u
}

func (u *Use) add(gave Gave) {
	for i := range u.Tiers {
		if t := &u.Tiers[i]; t.Tier == gave.Tier {
			t.Hits, t.Bytes, t.Written, t.Seconds = t.Hits+gave.Hits, t.Bytes+gave.Bytes, t.Written+gave.Written, t.Seconds+gave.Seconds
			if t.Lost == "" {
				t.Lost = gave.Lost
			}
			return
		}
	}
	u.Tiers = append(u.Tiers, gave)
}
