package learn

// Figures are what working together with other runs and jobs cost one job of a run. Times are seconds; one that was not taken is 0.
type Figures struct {
	Restore    float64   `json:"restoreSeconds"`           // to get the memory
	Save       float64   `json:"saveSeconds"`              // to hand it on
	Conflicts  int       `json:"mergeConflicts"`           // entries that two had written otherwise, of which the newest was kept
	Messages   []float64 `json:"messageSeconds,omitempty"` // of each message that was read: since it was left
	Operations int       `json:"operations"`               // that were tried on the memory
	Succeeded  int       `json:"succeeded"`                // of them
}

// Count counts an operation on the memory, and whether it succeeded.
func (f *Figures) Count(err error) {
	if f.Operations++; err == nil {
		f.Succeeded++
	}
}

// A Coordination sums up the figures of some jobs.
type Coordination struct {
	Jobs      int     `json:"jobs"`
	Restore   Times   `json:"restore_seconds"`
	Save      Times   `json:"save_seconds"`
	Conflicts int     `json:"merge_conflicts"`
	Messages  int     `json:"messages"`
	Latency   Times   `json:"message_seconds"`
	Success   float64 `json:"operations_succeeded"` // share of all that were tried, 0 to 1; 1 where none was
}

// Times are the median of some times, and what nine of ten of them keep to; in seconds.
type Times struct {
	Median float64 `json:"median"`
	Ninth  float64 `json:"p90"`
}

// Coordinate sums figures up.
func Coordinate(all []Figures) Coordination {
	c := Coordination{Jobs: len(all), Success: 1}
	var restore, save, latency []float64
	operations, succeeded := 0, 0
	for _, f := range all {
		restore, save, latency = taken(restore, f.Restore), taken(save, f.Save), taken(latency, f.Messages...)
		c.Conflicts += f.Conflicts
		operations, succeeded = operations+f.Operations, succeeded+f.Succeeded
	}
	if operations > 0 {
		c.Success = float64(succeeded) / float64(operations)
	}
	c.Restore, c.Save, c.Latency, c.Messages = times(restore), times(save), times(latency), len(latency)
	return c
}

// taken adds to times those that were taken.
func taken(times []float64, more ...float64) []float64 {
	for _, seconds := range more {
		if seconds > 0 {
			times = append(times, seconds)
		}
	}
	return times
}

func times(seconds []float64) Times {
	if len(seconds) == 0 {
		return Times{}
	}
	return Times{middle(seconds), quantile(0.9, seconds)}
}
