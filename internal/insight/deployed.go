package insight

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/memory"
)

// deployedTTL is how long it is remembered how a project was that nobody has looked at since.
const deployedTTL = 90 * 24 * time.Hour

// A Deployed is what became of deploying a project, or how it was when somebody looked.
type Deployed struct {
	Project     string            `json:"project"`
	Environment string            `json:"environment,omitempty"`
	Outcome     string            `json:"outcome"`
	After       string            `json:"after,omitempty"`    // what became of what a deployment that failed had begun
	Images      map[string]string `json:"images"`             // of the deployment, or that run, by service
	Troubles    []string          `json:"troubles,omitempty"` // "backend is unhealthy"
	SickSince   time.Time         `json:"sickSince,omitzero"` // the first look of those in a row that found it unwell
	EndedAt     time.Time         `json:"endedAt"`
}

func (d Deployed) key() string { return strings.TrimSuffix(d.Project+"@"+d.Environment, "@") }

// Following is what is known of a project now, with what was known before, and that in a sentence where it is unwell.
func (d Deployed) Following(before Deployed) (Deployed, string) {
	const minute = "2006-01-02 15:04 MST"
	switch {
	case d.Outcome != "unwell":
		return d, ""
	case !before.SickSince.IsZero():
		d.SickSince = before.SickSince
		return d, fmt.Sprintf("It has been found unwell since %s.", d.SickSince.UTC().Format(minute))
	case before.EndedAt.IsZero():
		d.SickSince = d.EndedAt
		return d, ""
	default:
		d.SickSince = d.EndedAt
		return d, fmt.Sprintf("Before, at %s, it was %s.", before.EndedAt.UTC().Format(minute), before.Outcome)
	}
}

// OfDeployed renders how a repository's project is. It takes the place of how it was.
func OfDeployed(repository string, d Deployed) ([]memory.Entry, error) {
	w := writer{repository: repository}
	w.add("deployments", keyIn(repository, d.key()), deployedTTL, d)
	return w.entries, w.err
}

// LastDeployed reads how a project was, zero where that is not known. Entries that were named by the project alone count too.
func LastDeployed(entries []memory.Entry, project, environment string) (last Deployed) {
	for _, e := range entries {
		var d Deployed
		if json.Unmarshal(e.Value, &d) != nil || e.Key != d.key() && e.Key != keyIn(from(e), d.key()) {
			continue
		}
		if d.Project == project && d.Environment == environment && d.EndedAt.After(last.EndedAt) {
			last = d
		}
	}
	return last
}
