package clean

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/github"
)

// wells is how many images stay of each that was deployed: the one that is live, and the one before it, to go back to.
const wells = 2

// looks is how many of an environment's newest deployments are asked whether it is there at all.
const looks = 10

// A stateFunc tells how a deployment is by now.
type stateFunc func(ctx context.Context, id int64) (string, error)

// Deployed says of the digests that deployments name which environment they are live in, or were right before. Deployments are listed the
// newest first, and state tells how one is by now.
func Deployed(ctx context.Context, listed []github.Recorded, state func(ctx context.Context, id int64) (string, error)) (map[string]string, error) {
	used, all := map[string]string{}, map[string]*environment{}
	for _, d := range listed {
		if all[d.Environment] == nil {
			all[d.Environment] = &environment{state: once(state), well: map[string][]string{}}
		}
		all[d.Environment].listed = append(all[d.Environment].listed, d)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := all[name].use(ctx, used); err != nil {
			return nil, err
		}
	}
	return used, nil
}

// once asks no deployment twice.
func once(ask stateFunc) stateFunc {
	known := map[int64]string{}
	return func(ctx context.Context, id int64) (string, error) {
		if now, is := known[id]; is {
			return now, nil
		}
		now, err := ask(ctx, id)
		if err == nil {
			known[id] = now
		}
		return now, err
	}
}

// An environment is what is known of one.
type environment struct {
	listed []github.Recorded // its deployments, the newest first
	state  stateFunc
	well   map[string][]string // digests by what they are of, of deployments that were well
}

// use adds what is live in an environment, or was right before. What a deployment names that has failed, or goes on, may be live as well, as
// long as no newer one is well; so may what is inactive and newer than a success.
func (e *environment) use(ctx context.Context, used map[string]string) error {
	for i, d := range e.listed {
		named := digestsIn(d.Payload)
		maps.DeleteFunc(named, func(of, digest string) bool { return len(e.well[of]) >= wells || slices.Contains(e.well[of], digest) })
		if len(named) == 0 {
			continue
		}
		live, err := e.live(ctx)
		if err != nil || live < 0 {
			return err
		}
		now, err := e.state(ctx, d.ID)
		if err != nil {
			return err
		}
		e.add(d, named, now == "success" || now == "inactive" && i > live, used) // which what was well is after the next
	}
	return nil
}

func (e *environment) add(d github.Recorded, named map[string]string, well bool, used map[string]string) {
	for of, digest := range named {
		if well {
			e.well[of] = append(e.well[of], digest)
		}
		if well || len(e.well[of]) == 0 {
			used[digest] = "the environment " + d.Environment
		}
	}
}

// live is the place of the newest deployment that is a success, or else goes on; -1 in an environment that is no more, where there is none. The
// newest one of all need not be it: the jobs of a run each make one, in whatever order they end, and some tools go back to one that there was.
// One that has failed says that there is an environment only if it is the newest.
func (e *environment) live(ctx context.Context) (int, error) {
	live := -1
	for i, d := range e.listed[:min(looks, len(e.listed))] {
		now, err := e.state(ctx, d.ID)
		if err != nil || now == "success" {
			return i, err
		}
		failed := now == "failure" || now == "error"
		if live < 0 && now != "inactive" && (i == 0 || !failed) {
			live = i
		}
	}
	return live, nil
}

var digestText = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// digestsIn finds the digests in what programs want to know of a deployment, each with what it is of: where it stands, and what else is
// said beside. Two deployments that say the same of different digests are of the same thing.
func digestsIn(payload json.RawMessage) map[string]string {
	var value any
	if json.Unmarshal(payload, &value) != nil {
		return nil
	}
	found := map[string]string{}
	if text, is := value.(string); is && json.Unmarshal([]byte(text), &value) != nil {
		value = text
	}
	beside := ""
	if object, is := value.(map[string]any); is {
		for _, key := range []string{"project", "tag"} {
			beside += fmt.Sprint(object[key]) + " "
		}
	}
	collect(value, beside, found)
	return found
}

func collect(value any, at string, found map[string]string) {
	switch v := value.(type) {
	case map[string]any:
		for key, of := range v {
			collect(of, at+"."+key, found)
		}
	case []any:
		for i, of := range v {
			collect(of, fmt.Sprintf("%s.%d", at, i), found)
		}
	case string:
		for i, digest := range digestText.FindAllString(v, -1) {
			found[at+strings.Repeat("+", i)] = digest
		}
	}
}
