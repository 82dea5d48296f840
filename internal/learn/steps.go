package learn

// Steps tells how long each instruction of a service takes where it is worked on and does not come from the cache, by its name.
func (h History) Steps(service string) map[string]Expectation {
	took := map[string][]float64{}
	for _, b := range h.own(service) {
		for _, s := range b.Steps {
			if !s.Cached && s.Seconds > 0 {
				took[s.Name] = append(took[s.Name], s.Seconds)
			}
		}
	}
	steps := map[string]Expectation{}
	for name, seconds := range took {
		steps[name] = Plain(seconds).rounded()
	}
	return steps
}
