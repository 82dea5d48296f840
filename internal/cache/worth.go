package cache

import "fmt"

// A Worth is what a tier did for a service lately: seconds of a build on average, of so many. What is saved is rare and large, which a median would not see.
type Worth struct {
	Builds       int
	Spent, Saved float64
}

// enough is how many builds tell whether a tier pays: dependencies and base images may well change in a few of them in a row.
const enough = 5

func (w Worth) proven() bool { return w.Builds >= enough }

func (w Worth) String() string {
	return fmt.Sprintf("in %d builds it took %.1f s and saved %.1f s on average", w.Builds, w.Spent, w.Saved)
}

// compare orders by what is gained, where that is known of both; else the first is as good.
func compare(a, b Worth) int {
	if !a.proven() || !b.proven() {
		return 0
	}
	switch gainA, gainB := a.Saved-a.Spent, b.Saved-b.Spent; {
	case gainA > gainB:
		return 1
	case gainA < gainB:
		return -1
	default:
		return 0
	}
}
