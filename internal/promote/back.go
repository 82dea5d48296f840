package promote

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// remembered is how many promotions to a tag are.
const remembered = 10

// newest leaves of each tag's promotions the newest.
func newest(done []Entry) []Entry {
	seen := map[string]int{}
	var kept []Entry
	for _, e := range slices.Backward(done) {
		if seen[e.To]++; seen[e.To] <= remembered {
			kept = append(kept, e)
		}
	}
	slices.Reverse(kept)
	return kept
}

// inTurn orders entries as they began.
func inTurn(entries []Entry) []Entry {
	slices.SortStableFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Began, b.Began) })
	return entries
}

// Back finds the newest promotion to a tag, finished or not, that nobody has taken back to its end, with those of its services that are
// considered; false where there is none. What an earlier attempt of this very run has taken back it finds again.
func (j Journal) Back(ctx context.Context, tag string, considered func(service string) bool) (Entry, bool, error) {
	w, err := j.read(ctx)
	if err != nil {
		return Entry{}, false, err
	}
	by := map[[2]string]string{} // the run that took a service's promotion back, by the run that had promoted it
	for _, e := range w.Done {
		for _, intent := range e.Intents {
			if e.To == tag && e.Undoes != "" {
				by[[2]string{e.Undoes, intent.Service}] = e.Run
			}
		}
	}
	for _, e := range slices.Backward(inTurn(slices.Concat(w.Done, w.Entries))) {
		if e.To != tag || e.Undoes != "" {
			continue
		}
		e.Intents = slices.DeleteFunc(slices.Clone(e.Intents), func(i Intent) bool {
			taken := by[[2]string{e.Run, i.Service}]
			return !considered(i.Service) || taken != "" && !sameRun(taken, j.Run)
		})
		if len(e.Intents) > 0 {
			return e, true, nil
		}
	}
	return Entry{}, false, nil
}

// sameRun reports whether two attempts are of one run.
func sameRun(a, b string) bool {
	id, _, attempted := strings.Cut(a, "-")
	other, _, _ := strings.Cut(b, "-")
	return a == b || attempted && id == other && id != "local"
}
