package insight

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/memory"
)

// origin is what entries say of where they are from, beside their values.
type origin struct {
	Repository string `json:"repository"` // owner/name
}

// metadata tells where the writer's entries are from; nil where that is not known.
func (w *writer) metadata() json.RawMessage {
	if w.repository == "" {
		return nil
	}
	data, err := json.Marshal(origin{w.repository})
	if err != nil && w.err == nil {
		w.err = err
	}
	return data
}

// from is the repository that an entry is from; empty where that is not known.
func from(e memory.Entry) string {
	var o origin
	if json.Unmarshal(e.Metadata, &o) != nil {
		return ""
	}
	return o.Repository
}

// elsewhere is the repository that an entry is from, where that is known to be another one.
func elsewhere(e memory.Entry, repository string) string {
	if whose := from(e); repository != "" && whose != repository {
		return whose
	}
	return ""
}

// Own are the entries among some that are not from another repository: a memory may be shared by several, whose services may have the same names.
func Own(entries []memory.Entry, repository string) []memory.Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e memory.Entry) bool { return elsewhere(e, repository) != "" })
}

// History reads builds that went well from what runs of a repository, and of others, wrote into the namespaces builds and cache.
func History(repository string, builds, caches []memory.Entry) learn.History {
	steps := map[string]memory.Entry{}
	for _, e := range caches {
		steps[e.Key] = e
	}
	var history learn.History
	for _, e := range builds {
		b, ok := readBuild(e)
		if !ok || !b.Success || b.Action != "build" || b.Seconds["build"] <= 0 {
			continue
		}
		told := learn.Build{Service: b.Service, Kind: b.Kind, Elsewhere: elsewhere(e, repository), Situation: b.Situation,
			Seconds: b.Seconds["build"] + b.Seconds["judge"], Building: b.Seconds["build"]}
		told.At = b.EndedAt
		told.Steps, told.Miss = recalled(steps[e.Key])
		history = append(history, told)
	}
	return history
}

// recalled reads from an entry of the namespace cache what a build's instructions took.
func recalled(e memory.Entry) ([]learn.Step, *learn.Miss) {
	b, ok := readCached(e)
	if !ok {
		return nil, nil
	}
	return Account{Steps: b.Steps}.learnt(), b.FirstMiss.learnt()
}

// Learn is what is to be learnt from a build, or what is unusual about it.
func (s Service) Learn(at time.Time) learn.Build {
	b := learn.Build{Service: s.Name, Kind: s.Kind, Situation: s.Situation, Seconds: s.Seconds["build"] + s.Seconds["judge"], Building: s.Seconds["build"],
		Steps: s.Account.learnt(), Miss: s.Account.FirstMiss.learnt()}
	b.At = at
	return b
}

// Trial is whether the service's image became healthy.
func (s Service) Trial() learn.Trial {
	return learn.Trial{Service: s.Name, Digest: s.Digest, Inputs: s.Inputs, Healthy: s.Healthy}
}

func (a Account) learnt() []learn.Step {
	var steps []learn.Step
	for _, s := range a.Steps {
		if s.Instruction() {
			steps = append(steps, learn.Step{Name: s.Name, Line: s.Line, Seconds: s.Seconds, Cached: s.Cached})
		}
	}
	return steps
}

func (m *Miss) learnt() *learn.Miss {
	if m == nil {
		return nil
	}
	return &learn.Miss{Instruction: m.Instruction, Line: m.Line, Why: m.Why, Files: m.Files}
}

// Trials reads from what runs of a repository wrote into the namespace validations which images started and became healthy.
func Trials(validations []memory.Entry) learn.Trials {
	var trials learn.Trials
	for _, e := range validations {
		var v struct {
			learn.Trial
			Tried   bool      `json:"tried"`
			EndedAt time.Time `json:"endedAt"`
		}
		if json.Unmarshal(e.Value, &v) == nil && v.Tried {
			v.At = v.EndedAt
			trials = append(trials, v.Trial)
		}
	}
	return trials
}

// figuresTTL is how long it is remembered what working together cost.
const figuresTTL = 90 * 24 * time.Hour

// OfCoordination renders what working together cost one job of a run, which is named by the run's id and, where the run has several, what the
// job does.
func OfCoordination(repository, job string, figures learn.Figures) ([]memory.Entry, error) {
	w := writer{repository: repository}
	w.add("coordination", figuresPrefix+job, figuresTTL, figures)
	return w.entries, w.err
}

const figuresPrefix = "figures:"

// Coordination reads what working together cost the jobs that wrote of it.
func Coordination(entries []memory.Entry) []learn.Figures {
	var all []learn.Figures
	for _, e := range entries {
		var f learn.Figures
		if strings.HasPrefix(e.Key, figuresPrefix) && json.Unmarshal(e.Value, &f) == nil {
			all = append(all, f)
		}
	}
	return all
}
