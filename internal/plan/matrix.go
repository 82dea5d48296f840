package plan

import (
	"cmp"
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
	return m
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
