package insight

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/org/ghcr-publish/internal/memory"
)

// sightingTTL is how long it is remembered when tags were first seen; each look at them renews it.
const sightingTTL = 180 * 24 * time.Hour

// mostSightings is how many tags of an image are remembered, the first seen: an entry of the memory takes no more.
const mostSightings = 5000

// A Sighting is the first time that a tag was seen to point to a digest. The tag is at least as old.
type Sighting struct {
	Tag    string    `json:"tag"`
	Digest string    `json:"digest"`
	Since  time.Time `json:"since"`
}

// OfTags renders when the tags of images were first seen, by image. It takes the place of what was known before.
func OfTags(seen map[string][]Sighting) ([]memory.Entry, error) {
	var w writer
	for image, tags := range seen {
		tags = slices.SortedFunc(slices.Values(tags), func(a, b Sighting) int { return a.Since.Compare(b.Since) })
		w.add("tags", image, sightingTTL, tags[:min(len(tags), mostSightings)])
	}
	return w.entries, w.err
}

// TagsSeen reads when the tags of images were first seen, by image and tag.
func TagsSeen(entries []memory.Entry) map[string]map[string]Sighting {
	all := map[string]map[string]Sighting{}
	for _, e := range entries {
		var seen []Sighting
		if json.Unmarshal(e.Value, &seen) != nil {
			continue
		}
		all[e.Key] = map[string]Sighting{}
		for _, s := range seen {
			all[e.Key][s.Tag] = s
		}
	}
	return all
}
