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

// matrix gives each service a row, or each of its platforms where the configuration splits them. What is only
// judged again is not split: that needs no machine of the platform.
func (p Planner) matrix(work []Service) Matrix {
	m := Matrix{Include: []Row{}}
	for _, s := range work {
		if p.Config.Split != "platform" || s.Action != Build || len(s.Platforms) == 1 {
			m.Include = append(m.Include, p.row(s.Name, s, s.Platforms))
			continue
		}
		for _, platform := range s.Platforms {
			// No service has an @ in its name, so no two rows have one name.
			m.Include = append(m.Include, p.row(s.Name+"@"+strings.ReplaceAll(platform, "/", "-"), s, []string{platform}))
		}
	}
	m.Include = atMost(mostRows, m.Include)
	return m
}

// mostRows is how many jobs GitHub makes of one matrix.
// https://docs.github.com/en/actions/reference/limits#existing-system-limits
const mostRows = 256

// atMost lets services share rows where there would be too many, as few in a row as will do. Only what has the same
// platforms and runner shares one.
func atMost(most int, rows []Row) []Row {
	alike := func(r Row) string { return strings.Join(r.Platforms, " ") + " on " + r.Runner }
	kinds := map[string]int{}
	for _, r := range rows {
		kinds[alike(r)]++
	}
	each := 1
	for rowsFor(kinds, each) > most && each < len(rows) {
		each++
	}
	if each == 1 {
		return rows
	}
	var shared []Row
	open := map[string]int{} // the row that is being filled, by kind
	for _, r := range rows {
		i, filling := open[alike(r)]
		if !filling || len(shared[i].Services) == each {
			open[alike(r)] = len(shared)
			shared = append(shared, r)
			continue
		}
		to := &shared[i]
		to.Services = append(to.Services, r.Services...)
		to.Image, to.Port, to.HealthEndpoint = "", 0, "" // which are of one service
	}
	for i := range shared {
		if more := len(shared[i].Services) - 1; more > 0 {
			// No service has a + in its name either.
			shared[i].Row = fmt.Sprintf("%s+%d", shared[i].Row, more)
			shared[i].Name = shared[i].Row
		}
	}
	return shared
}

// rowsFor counts the rows of so many kinds, with so many services in each.
func rowsFor(kinds map[string]int, each int) int {
	rows := 0
	for _, n := range kinds {
		rows += (n + each - 1) / each
	}
	return rows
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
