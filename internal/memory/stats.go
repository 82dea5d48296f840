package memory

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Stats sums up the entries that have not expired.
type Stats struct {
	TotalEntries int     `json:"total_entries"`
	Namespaces   int     `json:"namespaces"`
	SizeKB       float64 `json:"size_kb"`
	SuccessRate  string  `json:"success_rate"`
}

// buildsNamespace holds one entry per build, whose value says whether it was a success.
const buildsNamespace = "builds"

const everything = `SELECT ` + columns + ` FROM memory_entries WHERE ` + alive

// Stats reads the whole memory and sums it up. The size is that of the entries
// exported as compact JSON, in kilobytes of 1024.
func (s *Store) Stats(ctx context.Context) (Stats, error) {
	var t tally
	err := retry(ctx, func() error {
		t = tally{namespaces: map[string]bool{}}
		return s.each(ctx, t.add, everything, s.now().Unix())
	})
	if err != nil {
		return Stats{}, fmt.Errorf("summing up the swarm memory: %w", err)
	}
	return t.stats(), nil
}

// A tally counts entries as they come, so that no more than one is held at a time.
type tally struct {
	namespaces       map[string]bool
	entries, bytes   int
	runs, successful int
}

// An exported entry is one of the export {"namespace":[entry,…],…}.
type exported struct {
	Key       string          `json:"key"`
	Value     json.RawMessage `json:"value"`
	Namespace string          `json:"namespace"`
	Timestamp int64           `json:"timestamp"` // milliseconds
}

func (t *tally) add(e Entry, sound bool) {
	if !sound {
		return
	}
	t.entries++
	t.bytes += len(marshal(exported{e.Key, e.Value, e.Namespace, e.UpdatedAt.UnixMilli()}))
	if !t.namespaces[e.Namespace] {
		t.namespaces[e.Namespace] = true
		t.bytes += len(marshal(e.Namespace)) + len(":[]")
	}
	if e.Namespace == buildsNamespace {
		t.addBuild(e.Value)
	}
}

func (t *tally) addBuild(value json.RawMessage) {
	var fields map[string]any
	if json.Unmarshal(value, &fields) != nil {
		return
	}
	success, ok := fields["success"].(bool)
	if !ok {
		return
	}
	t.runs++
	if success {
		t.successful++
	}
}

func (t *tally) stats() Stats {
	size := len("{}") + t.bytes + max(t.entries-1, 0) // a comma between entries, and between namespaces
	return Stats{
		TotalEntries: t.entries,
		Namespaces:   len(t.namespaces),
		SizeKB:       math.Round(float64(size)/1024*100) / 100,
		SuccessRate:  percent(t.successful, t.runs),
	}
}

// percent has one decimal where it needs one. Only all of them are 100%.
func percent(part, whole int) string {
	if part == whole {
		return "100%"
	}
	rate := min(math.Round(float64(part)/float64(whole)*1000)/10, 99.9)
	return strconv.FormatFloat(rate, 'f', -1, 64) + "%"
}
