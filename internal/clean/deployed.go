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

// Deployed says of the digests that deployments name which environment they are live in, or were right before. Deployments are listed the
// newest first, and state tells how one is by now.
func Deployed(ctx context.Context, listed []github.Recorded, state func(ctx context.Context, id int64) (string, error)) (map[string]string, error) {
	used, seen := map[string]string{}, map[string]*environment{}
	for _, d := range listed {
		e := seen[d.Environment]
		if e == nil {
			e = &environment{newest: d.ID, well: map[string][]string{}}
			seen[d.Environment] = e
		}
		if err := e.add(ctx, d, used, state); err != nil {
			return nil, err
		}
	}
	return used, nil
}

// An environment is what is known of one so far.
type environment struct {
	newest int64
	asked  bool
	now    string              // how the newest is; what is inactive as a whole is no more
	well   map[string][]string // digests by what they are of, of deployments that were well
}

// add adds what a deployment says is live. One that has failed, or goes on, may be as well, as long as no newer one is well.
func (e *environment) add(ctx context.Context, d github.Recorded, used map[string]string, state func(context.Context, int64) (string, error)) error {
	named := digestsIn(d.Payload)
	maps.DeleteFunc(named, func(of, digest string) bool { return len(e.well[of]) >= wells || slices.Contains(e.well[of], digest) })
	if len(named) == 0 {
		return nil
	}
	now, removed, err := e.state(ctx, d.ID, state)
	if err != nil || removed {
		return err
	}
	for of, digest := range named {
		well := now == "success" || now == "inactive" // which what was well is after the next
		if well {
			e.well[of] = append(e.well[of], digest)
		}
		if well || len(e.well[of]) == 0 {
			used[digest] = "the environment " + d.Environment
		}
	}
	return nil
}

// state tells how a deployment is by now, and whether its environment is no more.
func (e *environment) state(ctx context.Context, id int64, ask func(context.Context, int64) (string, error)) (now string, removed bool, err error) {
	if !e.asked {
		e.now, err = ask(ctx, e.newest)
		e.asked = err == nil
	}
	if err != nil || e.now == "inactive" {
		return "", true, err
	}
	if id == e.newest {
		return e.now, false, nil
	}
	now, err = ask(ctx, id)
	return now, false, err
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
