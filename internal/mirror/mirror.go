// Package mirror has other registries hold what one has: images whole and by their digests, with all that refers to them, and then
// the tags that point to them. What a mirror has already is left as it is, and what the registry does not have stays untouched there.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/tags"
	"golang.org/x/sync/errgroup"
)

// An Image is what is to be copied of one service.
type Image struct {
	Service string
	Name    string   // repository that it is copied from
	Tags    []string // that people pull by
	// Whole looks also at what belongs to images whose tags are in place at the mirror.
	Whole bool
}

// A Mirror is another registry.
type Mirror struct {
	Name     string // for a person
	Registry *registry.Client
	Names    map[string]string // of the repositories there, by service
}

// A Result is what became of one service's image at one mirror.
type Result struct {
	Mirror  string
	Service string
	Name    string   // of the repository there
	Missing int      // manifests that it did not have
	Copied  int      // of those
	Present int      // manifests that it had
	Behind  []string // tags that pointed elsewhere
	Moves   []tags.Move
	Absent  []string // tags that the registry does not have
	Err     error
}

// A Copier copies from one registry.
type Copier struct {
	From     *registry.Client
	Parallel int // blobs that are sent to a mirror at the same time, and images that are looked at
	// Look says what would be done, and does nothing.
	Look bool
	Tell func(format string, args ...any)
}

// Copy has mirrors hold some images. What goes wrong with one mirror stops none of the others.
func (c Copier) Copy(ctx context.Context, mirrors []Mirror, images []Image) []Result {
	results := make([]Result, len(mirrors)*len(images))
	from := &source{Client: c.From, manifests: map[string]registry.Stored{}}
	var all sync.WaitGroup
	for i, m := range mirrors {
		all.Go(func() { c.fill(ctx, m, from, images, results[i*len(images):][:len(images)]) })
	}
	all.Wait()
	return results
}

// fill copies images to one mirror. Where it is out of reach, or knows nobody of this name, each of them is told to have failed.
func (c Copier) fill(ctx context.Context, m Mirror, from *source, images []Image, results []Result) {
	turns, group := make(chan struct{}, c.Parallel), errgroup.Group{}
	group.SetLimit(c.Parallel)
	var closed error
	for i, image := range images {
		results[i] = Result{Mirror: m.Name, Service: image.Service, Name: m.Names[image.Service]}
		if i == 0 {
			_, closed = open(ctx, m.Registry, results[0].Name)
		}
		group.Go(func() error {
			one := &copying{Copier: c, result: &results[i], from: from, image: image, turns: turns, whole: map[string]bool{}}
			if one.result.Err = closed; closed == nil {
				one.result.Err = one.do(ctx, m)
			}
			return nil // each keeps its own
		})
	}
	_ = group.Wait()
}

func open(ctx context.Context, at *registry.Client, image string) (w *registry.Writer, err error) {
	err = persist(ctx, func() error { w, err = at.Writer(ctx, image); return err })
	return w, err
}

// A copying is that of one image to one mirror.
type copying struct {
	Copier
	result *Result
	from   *source
	image  Image
	to     *registry.Writer
	turns  chan struct{}
	whole  map[string]bool // digests that the mirror has, with all that belongs to them
}

func (c *copying) do(ctx context.Context, m Mirror) (err error) {
	r := c.result
	if c.to, err = open(ctx, m.Registry, r.Name); err != nil {
		return err
	}
	wanted, err := c.survey(ctx)
	if err != nil {
		return err
	}
	c.Tell("%s: %d of %d manifests are missing, and %d of %d tags are not where they are in %s",
		r.Name, r.Missing, r.Missing+r.Present, len(r.Behind), len(c.image.Tags)-len(r.Absent), c.image.Name)
	if c.Look {
		return nil
	}
	for _, set := range wanted {
		if err := c.bring(ctx, set); err != nil {
			return err
		}
	}
	for _, tag := range c.image.Tags {
		if slices.Contains(r.Absent, tag) {
			continue
		}
		move, err := c.follow(ctx, tag)
		if err != nil {
			return err
		}
		r.Moves = append(r.Moves, move)
	}
	return nil
}

// survey looks at what the tags point to, here and there, and returns what the mirror lacks of that.
func (c *copying) survey(ctx context.Context) ([]belongings, error) {
	var sets []belongings
	for _, tag := range c.image.Tags {
		live, found, at, err := c.look(ctx, tag)
		switch {
		case err != nil:
			return nil, err
		case !found:
			c.result.Absent = append(c.result.Absent, tag)
			continue
		case at != live.Ref().DigestStr():
			c.result.Behind = append(c.result.Behind, tag)
		case !c.image.Whole:
			continue
		}
		if slices.ContainsFunc(sets, func(b belongings) bool { return b.root == live.Ref() }) {
			continue
		}
		set, err := c.lacking(ctx, live)
		if err != nil {
			return nil, err
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// look reads where a tag points to, and its namesake there.
func (c *copying) look(ctx context.Context, tag string) (live registry.Live, found bool, at string, err error) {
	err = persist(ctx, func() (err error) {
		live, found, err = c.from.Live(ctx, c.image.Name, tag)
		return err
	})
	if err != nil || !found {
		return live, found, "", err
	}
	err = persist(ctx, func() (err error) { at, err = c.to.At(ctx, tag); return err })
	return live, found, at, err
}

// lacking is what belongs to an image, with what of it the mirror does not have.
func (c *copying) lacking(ctx context.Context, live registry.Live) (belongings, error) {
	set, err := c.from.belongings(ctx, c.image.Name, live.Ref())
	if err != nil {
		return set, err
	}
	at := make([]string, len(set.manifests))
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(c.Parallel)
	for i, m := range set.manifests {
		group.Go(func() error {
			return persist(asking, func() (err error) { at[i], err = c.to.At(asking, m.Ref.DigestStr()); return err })
		})
	}
	err = group.Wait()
	for i, m := range set.manifests {
		if at[i] != "" {
			c.result.Present++
			continue
		}
		c.result.Missing++
		set.missing = append(set.missing, m)
	}
	return set, err
}

// bring copies what the mirror lacks of an image: parts before the wholes that list them, and what refers to it last.
func (c *copying) bring(ctx context.Context, set belongings) error {
	if err := c.blobs(ctx, set.missing); err != nil {
		return err
	}
	for _, m := range set.missing {
		if err := persist(ctx, func() error { return c.to.Put(ctx, m, m.Ref.DigestStr()) }); err != nil {
			return err
		}
		c.result.Copied++
	}
	for _, l := range set.lists {
		if err := persist(ctx, func() error { return c.to.List(ctx, l.image, l.refers, l.index) }); err != nil {
			return err
		}
	}
	for tag, m := range set.tagged {
		at := ""
		err := persist(ctx, func() (err error) {
			if at, err = c.to.At(ctx, tag); err != nil || at == m.Ref.DigestStr() {
				return err
			}
			return c.to.Put(ctx, m, tag)
		})
		if err != nil {
			return err
		}
	}
	c.whole[set.root.DigestStr()] = true
	return nil
}

// blobs copies what manifests are made of, several at the same time.
func (c *copying) blobs(ctx context.Context, of []registry.Stored) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, m := range of {
		for _, blob := range m.Blobs {
			group.Go(func() error {
				c.turns <- struct{}{}
				defer func() { <-c.turns }()
				return persist(ctx, func() error { return c.to.Upload(ctx, c.From, m.Ref.Repository, blob) })
			})
		}
	}
	return group.Wait()
}

// attempts is how often a tag is looked at anew because another run moves it at the same time.
const attempts = 5

// follow points a tag where it points in the registry. Where that changes meanwhile, it goes along.
func (c *copying) follow(ctx context.Context, tag string) (tags.Move, error) {
	move := tags.Move{Tag: tag, Kept: "it is there already"}
	for try := range attempts {
		live, found, at, err := c.look(ctx, tag)
		if err != nil || !found {
			return move, err
		}
		if try == 0 {
			move.From = at
		}
		if move.To = live.Ref().DigestStr(); at == move.To {
			return move, nil
		}
		if err := c.complete(ctx, live); err != nil {
			return move, err
		}
		err = persist(ctx, func() error { return c.to.Follow(ctx, live, at) })
		if err != nil && !errors.Is(err, registry.ErrMoved) {
			return move, err
		}
		move.Kept = ""
	}
	return move, fmt.Errorf("pointing %s of %s where it points in %s: other runs move it all the time; run this one again", tag, c.result.Name, c.image.Name)
}

// complete copies an image that a tag has come to point to since the mirror was looked at.
func (c *copying) complete(ctx context.Context, live registry.Live) error {
	if c.whole[live.Ref().DigestStr()] {
		return nil
	}
	set, err := c.lacking(ctx, live)
	if err != nil {
		return err
	}
	return c.bring(ctx, set)
}
