package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Row is one job of `strategy.matrix`.
type Row struct {
	Row            string   `json:"row"` // its name, unique in the matrix
	Services       []string `json:"services"`
	Name           string   `json:"name"`
	Image          string   `json:"image"`
	Platforms      []string `json:"platforms"`
	Port           int      `json:"port"`
	HealthEndpoint string   `json:"health_endpoint"`
	Runner         string   `json:"runner"`
}

// A Matrix is valid input for `strategy.matrix`. Include is never null.
type Matrix struct {
	Include []Row `json:"include"`
}

// defaultRunner is where a row runs whose platforms do not all have one runner of their own.
const defaultRunner = "ubuntu-latest"

// matrix gives each service a row, or each of its platforms where the configuration splits them, the longest first. What
// is only judged again is not split: that needs no machine of the platform. Services that are made from images of others
// which are built too share their rows, because rows know nothing of each other.
func (p Planner) matrix(work []Service) Matrix {
	m := Matrix{Include: []Row{}}
	var weights []float64
	for _, group := range together(work) {
		rows := p.rows(group)
		for _, r := range rows {
			weight := 0.0
			for _, s := range group {
				weight += p.part(s, r, len(rows))
			}
			m.Include, weights = append(m.Include, r), append(weights, weight)
		}
	}
	m.Include = atMost(mostRows, inFallingOrder(m.Include, weights))
	return m
}

func inFallingOrder(rows []Row, weights []float64) []Row {
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(weights[b], weights[a]) })
	sorted := make([]Row, len(rows))
	for i, from := range order {
		sorted[i] = rows[from]
	}
	return sorted
}

// together groups services of which one is made from the image of another that is built too.
func together(work []Service) [][]Service {
	group := make([]int, len(work)) // of each, by the first of its services
	for i := range work {
		group[i] = i
	}
	for i, s := range work {
		for _, b := range s.Bases {
			other := indexOf(work, b.Service)
			if s.Action != Build || other < 0 || work[other].Action != Build || group[other] == group[i] {
				continue
			}
			from, to := max(group[i], group[other]), min(group[i], group[other])
			for j := range group {
				if group[j] == from {
					group[j] = to
				}
			}
		}
	}
	var groups [][]Service
	at := map[int]int{}
	for i, s := range work {
		n, open := at[group[i]]
		if !open {
			n, at[group[i]] = len(groups), len(groups)
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], s)
	}
	return groups
}

// rows are those of one group.
func (p Planner) rows(group []Service) []Row {
	platforms := slices.Clone(group[0].Platforms)
	var more []string
	for _, s := range group[1:] {
		more = append(more, s.Name)
		for _, platform := range s.Platforms {
			if !slices.Contains(platforms, platform) {
				platforms = append(platforms, platform)
			}
		}
	}
	if p.Config.Split != "platform" || group[0].Action != Build || len(platforms) == 1 || !alike(group) {
		return []Row{shared(p.row(group[0].Name, group[0], platforms), more)}
	}
	var rows []Row
	for _, platform := range platforms {
		// No service has an @ in its name, so no two rows have one name.
		name := group[0].Name + "@" + strings.ReplaceAll(platform, "/", "-")
		rows = append(rows, shared(p.row(name, group[0], []string{platform}), more))
	}
	return rows
}

// alike reports whether services are for the same platforms. Of others one may need, on one platform, the image that
// another has for another one.
func alike(group []Service) bool {
	return !slices.ContainsFunc(group, func(s Service) bool {
		return !slices.Equal(slices.Sorted(slices.Values(s.Platforms)), slices.Sorted(slices.Values(group[0].Platforms)))
	})
}

// shared is a row that more services are worked on in. What is of one service alone is left out.
func shared(r Row, more []string) Row {
	if len(more) == 0 {
		return r
	}
	r.Services = slices.Concat(r.Services, more)
	r.Image, r.Port, r.HealthEndpoint = "", 0, ""
	// No service has a + in its name, so no two rows have one name.
	first, _, _ := strings.Cut(r.Row, "+")
	r.Row = fmt.Sprintf("%s+%d", first, len(r.Services)-1)
	r.Name = r.Row
	return r
}

// mostRows is how many jobs GitHub makes of one matrix.
// https://docs.github.com/en/actions/reference/limits#existing-system-limits
const mostRows = 256

// atMost lets services share rows where there would be too many, as few in a row as will do.
func atMost(most int, rows []Row) []Row {
	packed := rows
	for each := 2; len(packed) > most && each <= len(rows); each++ {
		packed = pack(rows, each)
	}
	return packed
}

// pack puts up to so many services into a row. Only what has the same platforms and runner shares one.
func pack(rows []Row, each int) []Row {
	var packed []Row
	open := map[string]int{} // the row that is being filled, by kind
	for _, r := range rows {
		kind := strings.Join(r.Platforms, " ") + " on " + r.Runner
		i, filling := open[kind]
		if !filling || len(packed[i].Services)+len(r.Services) > each {
			open[kind] = len(packed)
			packed = append(packed, r)
			continue
		}
		packed[i] = shared(packed[i], r.Services)
	}
	return packed
}

func (p Planner) row(name string, s Service, platforms []string) Row {
	return Row{Row: name, Services: []string{s.Name}, Name: s.Name, Image: s.Image, Platforms: platforms,
		Port: s.Definition.Port, HealthEndpoint: s.Definition.HealthEndpoint, Runner: p.runner(platforms)}
}

// runner is the one of all the platforms, if they have the same.
func (p Planner) runner(platforms []string) string {
	runner := p.Config.Runners[platforms[0]]
	for _, other := range platforms {
		if p.Config.Runners[other] != runner {
			runner = ""
		}
	}
	return cmp.Or(runner, defaultRunner)
}

// Row finds a row by its name.
func (p Plan) Row(name string) (Row, bool) {
	i := slices.IndexFunc(p.Matrix.Include, func(r Row) bool { return r.Row == name })
	if i < 0 {
		return Row{}, false
	}
	return p.Matrix.Include[i], true
}

// Rows lists the names of the rows that a service is made by.
func (p Plan) Rows(service string) []string {
	var names []string
	for _, r := range p.Matrix.Include {
		if slices.Contains(r.Services, service) {
			names = append(names, r.Row)
		}
	}
	return names
}

// Share lists the services of a row with its platforms alone.
func (p Plan) Share(r Row) []Service {
	var share []Service
	for _, s := range p.Services {
		if !slices.Contains(r.Services, s.Name) {
			continue
		}
		if len(p.Rows(s.Name)) > 1 {
			s.Platforms, s.Part = r.Platforms, true
		}
		share = append(share, s)
	}
	return share
}
