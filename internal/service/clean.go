package service

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"go.yaml.in/yaml/v3"
)

// Clean says which versions of the images' packages stay when they are cleaned up. Whatever it does not name stays.
type Clean struct {
	After    bool        // runs that publish from the default branch clean up at their end
	Protect  []string    // patterns of tags that never go
	Tags     []TagLimits // of tags, in order; the first that matches a tag decides
	Closed   bool        // images of closed pull requests and deleted branches go
	Untagged Limits      // of images without a tag
	Grace    time.Duration
	Most     int     // versions that one run deletes
	Share    float64 // of a package's tagged images that one run may delete
}

// Limits are what stays: the newest, and what is younger than an age. What either lets stay stays.
type Limits struct {
	Newest  int
	Younger time.Duration
}

// TagLimits are those of the tags that match one of some patterns.
type TagLimits struct {
	Match []string
	Limits
}

// DefaultClean applies where the configuration is silent.
func DefaultClean() Clean {
	return Clean{Protect: []string{"latest", "v[0-9]*", "[0-9]*"}, Closed: true, Untagged: Limits{Newest: 3, Younger: 7 * day}, Grace: 3 * day, Most: 200, Share: 0.5}
}

const day = 24 * time.Hour

func (r reader) clean(n *yaml.Node, c *Clean) {
	r.mapping(n, map[string]field{
		"after":   r.boolean(&c.After),
		"protect": r.tagPatterns(&c.Protect),
		"tags": func(n *yaml.Node) {
			if n.Kind != yaml.SequenceNode {
				r.add(n, "write it as [{match: sha-*, newest: 20}]", "must be a list")
				return
			}
			for _, item := range n.Content {
				c.Tags = append(c.Tags, r.tagLimits(item))
			}
		},
		"closed":   r.demandOr(&c.Closed, "delete", "keep"),
		"untagged": func(n *yaml.Node) { r.mapping(n, r.limits(&c.Untagged)) },
		"grace":    r.age(&c.Grace),
		"most":     r.whole(&c.Most, 1),
		"share":    r.percent(&c.Share),
	})
}

func (r reader) tagLimits(n *yaml.Node) (l TagLimits) {
	fields := r.limits(&l.Limits)
	fields["match"] = r.tagPatterns(&l.Match)
	r.mapping(n, fields)
	if n.Kind == yaml.MappingNode && (len(l.Match) == 0 || l.Limits == Limits{}) {
		r.add(n, "write it as {match: sha-*, newest: 20, younger: 90d}", "limits of tags need match, and newest or younger")
	}
	return l
}

func (r reader) limits(l *Limits) map[string]field {
	return map[string]field{"newest": r.whole(&l.Newest, 0), "younger": r.age(&l.Younger)}
}

// tagPatterns reads one pattern or a list of them.
func (r reader) tagPatterns(into *[]string) field {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			n = &yaml.Node{Kind: yaml.SequenceNode, Line: n.Line, Column: n.Column, Content: []*yaml.Node{n}}
		}
		r.patterns(into)(n)
	}
}

// age reads a duration in days too.
func (r reader) age(into *time.Duration) field {
	return r.parsed(func(v string) error {
		d, err := time.ParseDuration(v)
		if days, ok := strings.CutSuffix(v, "d"); ok {
			var n int
			n, err = strconv.Atoi(days)
			d = time.Duration(n) * day
		}
		if err != nil || d <= 0 || d > longestAge {
			return fmt.Errorf("%q is no age", v)
		}
		*into = d
		return nil
	}, "write it as 12h or 30d")
}

// longestAge is a hundred years, in days.
const longestAge = 36500 * day

// whole reads a whole number of at least some size.
func (r reader) whole(into *int, least int) field {
	return r.parsed(func(v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < least {
			return fmt.Errorf("%q is no whole number of %d or more", v, least)
		}
		*into = n
		return nil
	}, "")
}

// Matches reports whether a tag is one of those that patterns name.
func Matches(patterns []string, tag string) bool {
	for _, p := range patterns {
		if ok, err := doublestar.Match(p, tag); ok && err == nil {
			return true
		}
	}
	return false
}
