package plan

import (
	"slices"
	"strings"
)

// A Choice is where a service is built for a platform, and what that is expected to cost.
type Choice struct {
	Platform string `json:"platform"`
	Runner   string `json:"runner,omitempty"` // label of the machine; empty where it is whichever the job runs on
	Emulated bool   `json:"emulated"`
	// Seconds are what its instructions took lately in this way, and Otherwise in the other; 0 where nobody remembers.
	Seconds   float64 `json:"seconds,omitempty"`
	Otherwise float64 `json:"otherwise_seconds,omitempty"`
}

// choices tell for each platform of a service that is built, in one of some rows, where that is done.
func (p Planner) choices(s Service, rows []Row) []Choice {
	var choices []Choice
	for _, platform := range s.Platforms {
		c, machine := Choice{Platform: platform}, p.Native
		i := slices.IndexFunc(rows, func(r Row) bool { return slices.Contains(r.Services, s.Name) && slices.Contains(r.Platforms, platform) })
		if i >= 0 {
			c.Runner, machine = p.machine(rows[i], platform)
		}
		cost := p.Costs[s.Name][platform]
		// What a builder is that the user has named, only those who were there know.
		c.Emulated = len(p.Config.Builders) == 0 && !RunsOn(machine, platform) && (p.Config.Builder == "" || cost.Emulated > 0)
		if c.Seconds, c.Otherwise = cost.Native, cost.Emulated; c.Emulated {
			c.Seconds, c.Otherwise = cost.Emulated, cost.Native
		}
		choices = append(choices, c)
	}
	return choices
}

// machine is what a row runs on, as a platform, and its label where the platforms have to do with that. In one job there are no rows.
func (p Planner) machine(r Row, platform string) (runner, machine string) {
	isDefault := r.Runner == defaultRunner
	switch {
	case p.Config.Mode == "all" || isDefault && p.Config.Split != "platform":
		return "", p.Native
	case isDefault:
		return r.Runner, "linux/amd64" // which it is
	case len(r.Platforms) == 1:
		return r.Runner, platform
	default: // it is one of them
		return r.Runner, p.Native
	}
}

// RunsOn reports whether a machine, given as a platform, runs what is for another platform without emulation.
func RunsOn(machine, platform string) bool {
	system, architecture, _ := strings.Cut(machine, "/")
	architecture, _, _ = strings.Cut(architecture, "/")
	parts := strings.Split(platform, "/")
	if len(parts) < 2 || parts[0] != system {
		return false
	}
	also := map[string][]string{"amd64": {"386"}}
	return parts[1] == architecture || slices.Contains(also[architecture], parts[1])
}
