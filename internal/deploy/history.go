package deploy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/org/ghcr-publish/internal/engine"
)

// The labels of what is written down on the host.
const (
	projectKey = "ghcr-publish.project"
	kindKey    = "ghcr-publish.kind" // a deployment that was well, one that has begun, or a lock
	numberKey  = "ghcr-publish.number"
	backKey    = "ghcr-publish.back" // instead of the number, of one that has begun to go back to what has it
	fileKey    = "ghcr-publish.file"
	overKey    = "ghcr-publish.over"
	weightKey  = "ghcr-publish.weight"
	profileKey = "ghcr-publish.profiles"
	imagesKey  = "ghcr-publish.images"
	commitKey  = "ghcr-publish.commit"
	byKey      = "ghcr-publish.by"
	untilKey   = "ghcr-publish.until"
)

// kept is how many versions the host remembers.
const kept = 10

// A History is what a host remembers of a project: the versions that were well, the newest last.
type History struct {
	Versions    []Version
	Interrupted bool // one that had begun did not come to an end, so what runs may be some of it
	aim         int  // number that it was to have
	back        bool // it was on the way back to a version that is remembered
}

// Last is the version that was well last.
func (p History) Last() (Version, bool) {
	if len(p.Versions) == 0 {
		return Version{}, false
	}
	return p.Versions[len(p.Versions)-1], true
}

// Previous is the version that a rollback goes back to: the one before the last. Where a deployment was killed it is the last itself, unless
// it was that one and came as far as to be written down; a rollback that was killed is gone on with.
func (p History) Previous() (Version, error) {
	n, aimed := len(p.Versions)-2, p.aimed()
	switch {
	case p.back && aimed >= 0:
		n = aimed
	case p.Interrupted && aimed < 0:
		n++
	}
	if n < 0 {
		return Version{}, errors.New("the host remembers no earlier deployment that was well")
	}
	return p.Versions[n], nil
}

// aimed is where the version is that had begun; negative where it is not remembered.
func (p History) aimed() int {
	return slices.IndexFunc(p.Versions, func(v Version) bool { return v.Number == p.aim })
}

// under is the history for a version that is deployed. After a rollback that did not come to an end, a new one has none of those under it from
// which that went back: somebody did not want them any more.
func (p History) under(v Version) History {
	if aimed := p.aimed(); v.Number == 0 && p.back && aimed >= 0 {
		p.Versions = p.Versions[:aimed+1]
	}
	return p
}

// Replaced is the version whose place a new one takes; false where there is none.
func (p History) Replaced() (Version, bool) { return p.under(Version{}).Last() }

// behind is what runs again where a version fails; nil for nothing.
func (p History) behind(v Version, before []engine.Instance) *Version {
	if last, found := p.under(v).Last(); found {
		return &last
	}
	return adopted(v, before)
}

// Strangers are services that run, are not a version's and of no deployment: they would be taken away, and nobody could go back to them.
func (p History) Strangers(v Version, running []engine.Instance) (services []string) {
	if len(p.Versions) > 0 || p.Interrupted {
		return nil
	}
	for _, i := range running {
		if _, known := v.Images[i.Service]; !known {
			services = append(services, i.Service)
		}
	}
	slices.Sort(services)
	return slices.Compact(services)
}

// Read returns what the host remembers.
func (h Host) Read(ctx context.Context) (History, error) {
	notes, err := h.Engine.Notes(ctx, map[string]string{projectKey: h.Project, kindKey: "deployment"})
	if err != nil {
		return History{}, err
	}
	begun, err := h.Engine.Notes(ctx, map[string]string{projectKey: h.Project, kindKey: "begun"})
	if err != nil {
		return History{}, err
	}
	past := History{Interrupted: len(begun) > 0}
	if past.Interrupted {
		labels := begun[0].Labels
		past.back = labels[backKey] != ""
		past.aim, _ = strconv.Atoi(cmp.Or(labels[backKey], labels[numberKey])) // of an older release, which had none, it is 0
	}
	for _, n := range notes {
		v, err := h.version(n.Labels)
		if err != nil {
			return History{}, fmt.Errorf("reading the volume %s on the Docker host, which is to tell of a deployment: %w", n.Name, err)
		}
		past.Versions = append(past.Versions, v)
	}
	slices.SortFunc(past.Versions, func(a, b Version) int { return a.Number - b.Number })
	return past, nil
}

// version is what labels tell of one. An older release wrote no profiles down: those that are asked for now take their place.
func (h Host) version(labels map[string]string) (Version, error) {
	v := Version{File: labels[fileKey], Over: labels[overKey], Profiles: h.Program.Profiles, Commit: labels[commitKey], By: labels[byKey]}
	var wrong, bad, unknown error
	v.Number, wrong = strconv.Atoi(labels[numberKey])
	v.Weight, bad = strconv.Atoi(cmp.Or(labels[weightKey], "0"))
	if text, told := labels[profileKey]; told {
		unknown = json.Unmarshal([]byte(text), &v.Profiles)
	}
	return v, errors.Join(wrong, bad, unknown, json.Unmarshal([]byte(labels[imagesKey]), &v.Images))
}

// labels are what is written down of a version, of which empty ones are left out.
func (h Host) labels(v Version) (map[string]string, error) {
	images, err := json.Marshal(v.Images)
	profiles, wrong := json.Marshal(v.Profiles)
	labels := map[string]string{projectKey: h.Project, kindKey: "deployment", numberKey: strconv.Itoa(v.Number), weightKey: strconv.Itoa(v.Weight), fileKey: v.File, overKey: v.Over,
		profileKey: string(profiles), imagesKey: string(images), commitKey: v.Commit, byKey: v.By}
	maps.DeleteFunc(labels, func(_, value string) bool { return value == "" })
	return labels, errors.Join(err, wrong)
}

// write has the host remember that a version is well: as the newest, or, if it was written down before, in place of those after it.
func (h Host) write(ctx context.Context, v Version, past History) error {
	v, err := h.given(ctx, v)
	if err == nil {
		err = h.remember(ctx, v, past)
	}
	if err != nil {
		return err
	}
	return h.end(ctx)
}

// given is a version with the weight that it has: where nothing is shared it has all of the requests, whatever was asked for.
func (h Host) given(ctx context.Context, v Version) (Version, error) {
	if v.Weight == 0 {
		return v, nil
	}
	shares, err := h.Shares(ctx)
	for _, share := range shares {
		if share > 0 && share < 100 {
			return v, err
		}
	}
	v.Weight = 0
	return v, err
}

func (h Host) remember(ctx context.Context, v Version, past History) error {
	if v.Number > 0 {
		return h.forget(ctx, past, func(old Version) bool { return old.Number > v.Number })
	}
	last, _ := past.Last()
	if v.is(last) {
		return nil
	}
	v.Number = last.Number + 1
	labels, err := h.labels(v)
	if err == nil {
		err = h.Engine.WriteNote(ctx, engine.Note{Name: h.note(v.Number), Labels: labels})
	}
	if err != nil {
		return err
	}
	// What was on trial is nothing to go back to.
	return h.forget(ctx, past, func(old Version) bool { return old.Number <= v.Number-kept || old.Weight > 0 })
}

// abandon forgets what is not under a version, and returns what is.
func (h Host) abandon(ctx context.Context, v Version, past History) (History, error) {
	under := past.under(v)
	last, _ := under.Last()
	return under, h.forget(ctx, past, func(old Version) bool { return old.Number > last.Number })
}

func (h Host) note(number int) string {
	return fmt.Sprintf("ghcr-publish.%s.deployment.%06d", h.Project, number)
}

func (h Host) forget(ctx context.Context, past History, which func(Version) bool) error {
	var failed []error
	for _, v := range past.Versions {
		if which(v) {
			failed = append(failed, h.Engine.RemoveNote(ctx, h.note(v.Number)))
		}
	}
	return errors.Join(failed...)
}

// begin writes down that what runs is about to change, and to what. A note cannot be changed: whoever was killed
// before left one that is taken away once the new one is there.
func (h Host) begin(ctx context.Context, v Version, past History) error {
	last, _ := past.Last()
	key, aim := numberKey, last.Number+1
	if v.Number > 0 {
		key, aim = backKey, v.Number
	}
	n := engine.Note{Name: fmt.Sprintf("ghcr-publish.%s.begun.%06d", h.Project, aim),
		Labels: map[string]string{projectKey: h.Project, kindKey: "begun", key: strconv.Itoa(aim), byKey: h.By}}
	if err := h.Engine.WriteNote(ctx, n); err != nil || !past.Interrupted {
		return err
	}
	return h.endBut(ctx, n.Name)
}

// end says that what runs is what is remembered.
func (h Host) end(ctx context.Context) error { return h.endBut(ctx, "") }

// endBut takes away what was written down of deployments that had begun, but for one.
func (h Host) endBut(ctx context.Context, but string) error {
	begun, err := h.Engine.Notes(ctx, map[string]string{projectKey: h.Project, kindKey: "begun"})
	failed := []error{err}
	for _, n := range begun {
		if n.Name != but {
			failed = append(failed, h.Engine.RemoveNote(ctx, n.Name))
		}
	}
	return errors.Join(failed...)
}
