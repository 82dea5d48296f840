package verdict

import (
	"time"

	"github.com/org/ghcr-publish/internal/service"
)

// A Database is what the scans know vulnerabilities from.
type Database struct {
	Updated time.Time     `json:"updated"`        // when it was made
	Age     time.Duration `json:"age"`            // when it was used; nanoseconds in JSON
	From    string        `json:"from,omitempty"` // repository that gave it; empty if an earlier run fetched it
	Kept    string        `json:"kept,omitempty"` // why no newer one could be fetched; empty if that was not needed
}

func (d Database) String() string {
	told := d.Updated.UTC().Format("2006-01-02 15:04 UTC") + ", " + d.Age.Round(time.Minute).String() + " old"
	if d.From != "" {
		told += " (from " + d.From + ")"
	}
	return told
}

// Oldest picks the database that knows least of late.
func Oldest(a, b Database) Database {
	if a.Updated.IsZero() || !b.Updated.IsZero() && b.Age > a.Age {
		return b
	}
	return a
}

// judgeDatabase looks at how old the database is. Where nothing was scanned there is none, which is told of each platform.
func (v *Verdict) judgeDatabase(d Database, gate service.VulnerabilityGate) {
	why := ""
	if d.Kept != "" {
		why = "; no newer one could be fetched: " + d.Kept
	}
	switch {
	case d.Updated.IsZero():
	case d.Age > gate.MaxAge:
		v.unavailable(gate.OnUnavailable, "the vulnerability database is too old to judge by: it is of %s, and max_age in gates.vulnerabilities is %s%s (`on_unavailable: warn` there lets it pass)", d, gate.MaxAge, why)
	case d.Kept != "":
		v.note("the vulnerability database is of %s%s", d, why)
	}
}
