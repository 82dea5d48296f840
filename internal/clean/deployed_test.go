package clean

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/github"
)

// TestDeployed keeps what is live, and what was before. Deployments are "environment state payload", the newest first; a letter stands
// for its digest.
func TestDeployed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		deployments []string
		want        string
	}{
		"none":                            {nil, ""},
		"live and the one before":         {[]string{`production success {"tag":"p","digests":{"api":"c"}}`, `production inactive {"tag":"p","digests":{"api":"b"}}`, `production inactive {"tag":"p","digests":{"api":"a"}}`}, "b c"},
		"the same again":                  {[]string{`production success {"digests":{"api":"c"}}`, `production inactive {"digests":{"api":"c"}}`, `production success {"digests":{"api":"b"}}`, `production success {"digests":{"api":"a"}}`}, "b c"},
		"each service":                    {[]string{`production success {"digests":{"api":"c"}}`, `production inactive {"digests":{"web":"b"}}`}, "b c"},
		"each environment":                {[]string{`production success {"digests":{"api":"c"}}`, `staging success {"digests":{"api":"b"}}`}, "b c"},
		"each project":                    {[]string{`h success {"project":"x","images":{"api":"r@c"}}`, `h inactive {"project":"x","images":{"api":"r@b"}}`, `h inactive {"project":"y","images":{"api":"r@a"}}`}, "a b c"},
		"one that failed may be live":     {[]string{`production failure {"digests":{"api":"c"}}`, `production success {"digests":{"api":"b"}}`}, "b c"},
		"one that goes on will be":        {[]string{`production in_progress {"digests":{"api":"c"}}`, `production success {"digests":{"api":"b"}}`}, "b c"},
		"one that nobody tells of":        {[]string{`production - {"digests":{"api":"c"}}`}, "c"},
		"what failed before is not":       {[]string{`production success {"digests":{"api":"c"}}`, `production failure {"digests":{"api":"b"}}`, `production inactive {"digests":{"api":"a"}}`}, "a c"},
		"an environment that is gone":     {[]string{`preview inactive {"digests":{"api":"c"}}`, `preview inactive {"digests":{"api":"b"}}`}, ""},
		"the job's own deployment":        {[]string{`production success {}`, `production inactive {"digests":{"api":"c"}}`}, "c"},
		"the job's own, which is gone":    {[]string{`production inactive {}`, `production inactive {"digests":{"api":"c"}}`}, ""},
		"two jobs of a run":               {[]string{`production inactive {}`, `production success {}`, `production inactive {"digests":{"api":"c"}}`, `production inactive {"digests":{"api":"b"}}`}, "b c"},
		"gone back to an older one":       {[]string{`h inactive {"digests":{"api":"d"}}`, `h inactive {"digests":{"api":"c"}}`, `h inactive {"digests":{"api":"b"}}`, `h success {"digests":{"api":"a"}}`}, "a b c d"},
		"an older one that goes on":       {[]string{`h inactive {"digests":{"api":"b"}}`, `h in_progress {"digests":{"api":"a"}}`}, "a b"},
		"gone back while one goes on":     {[]string{`h in_progress {}`, `h inactive {"digests":{"api":"c"}}`, `h inactive {"digests":{"api":"b"}}`, `h success {"digests":{"api":"a"}}`}, "a b c"},
		"nothing but what failed is left": {[]string{`h failure {"digests":{"api":"d"}}`, `h inactive {"digests":{"api":"c"}}`, `h inactive {"digests":{"api":"b"}}`, `h inactive {"digests":{"api":"a"}}`}, "b c d"},
		"gone, and failed before":         {[]string{`preview inactive {"digests":{"api":"c"}}`, `preview failure {"digests":{"api":"b"}}`, `preview error {"digests":{"api":"a"}}`}, ""},
		"gone, unlike another":            {[]string{`preview inactive {"digests":{"api":"c"}}`, `production success {"digests":{"api":"b"}}`, `preview inactive {"digests":{"api":"a"}}`}, "b"},
		"a text":                          {[]string{`production success "deployed c with b"`, `production inactive "deployed a with b"`}, "a b c"},
		"JSON in a text":                  {[]string{`production success "{\"digests\":{\"api\":\"c\"}}"`}, "c"},
		"a list, and what is no document": {[]string{`production success ["c", 1, null]`, `production success {`}, "c"},
	} {
		var listed []github.Recorded
		states := map[int64]string{}
		for i, line := range test.deployments {
			words := strings.SplitN(line, " ", 3)
			payload := words[2]
			for _, letter := range []string{"a", "b", "c", "d"} {
				for _, before := range []string{`"`, `@`, " ", `\"`} {
					for _, after := range []string{`"`, " ", `\"`} {
						payload = strings.ReplaceAll(payload, before+letter+after, before+digestOf(letter)+after)
					}
				}
			}
			states[int64(i)] = strings.Trim(words[1], "-")
			listed = append(listed, github.Recorded{ID: int64(i), Environment: words[0], Payload: json.RawMessage(payload)})
		}
		used, err := Deployed(t.Context(), listed, func(_ context.Context, id int64) (string, error) { return states[id], nil })
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, digest := range slices.Sorted(maps.Keys(used)) {
			got = append(got, digest[7:8])
		}
		if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestDeployedAsksLittle asks for no more states than it takes.
func TestDeployedAsksLittle(t *testing.T) {
	t.Parallel()
	var listed []github.Recorded
	for _, c := range []struct {
		state               string
		images, used, asked int
	}{{"success", 900, 6, 6}, {"success", 1, 1, 3}, {"inactive", 900, 0, 3 * looks}} { // in each of three environments
		listed = nil
		for i := range 900 {
			digest := fmt.Sprintf("sha256:%064x", i%c.images)
			listed = append(listed, github.Recorded{ID: int64(i), Environment: fmt.Sprintf("e%d", i%3), Payload: json.RawMessage(`{"digests":{"api":"` + digest + `"}}`)})
		}
		asked := 0
		used, err := Deployed(t.Context(), listed, func(context.Context, int64) (string, error) {
			asked++
			return c.state, nil
		})
		if err != nil || len(used) != c.used || asked != c.asked {
			t.Errorf("%s: %d digests by %d questions, %v", c.state, len(used), asked, err)
		}
	}
	if _, err := Deployed(t.Context(), listed, func(context.Context, int64) (string, error) { return "", errors.New("it is dark") }); err == nil {
		t.Error("what cannot be read is left out")
	}
}
