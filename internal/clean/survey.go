package clean

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/registry"
	"golang.org/x/sync/errgroup"
)

// A Survey finds out what there is of a package.
type Survey struct {
	// List lists what GitHub knows, which may be some seconds old, and Look looks at one version.
	List func(context.Context) ([]github.Version, error)
	Look func(ctx context.Context, id int64) (v github.Version, found bool, err error)
	// Tags are the digests under the registry's tags, which are never old.
	Tags func(context.Context) (map[string]string, error)
	// Manifest reads a manifest by its digest; false where the registry has none.
	Manifest func(ctx context.Context, digest string) (data []byte, found bool, err error)
	// Journal reads what an earlier run wrote down before it deleted anything; it is asked where the registry has its tag.
	Journal func(context.Context) ([]byte, error)
}

// Known is what need not be asked again.
type Known struct {
	Manifests map[string]Manifest
	Deleted   map[int64]bool // versions that lists may still have
	Records   []Record       // what was written down, which another run's may have replaced
}

// parallel is how many manifests are read at once: more is refused by registries as too many.
const parallel = 3

// Of surveys the package of an image. What cannot be read is an error: nobody knows then what it needs.
func (s Survey) Of(ctx context.Context, image string, known Known) (Package, error) {
	versions, err := s.List(ctx)
	if err != nil {
		return Package{}, err
	}
	tags, err := s.Tags(ctx)
	if err != nil {
		return Package{}, err
	}
	versions = slices.DeleteFunc(versions, func(v github.Version) bool { return known.Deleted[v.ID] })
	p := Package{Image: image, Versions: versions, Manifests: map[string]Manifest{}, Missing: map[string]bool{}, Unlisted: map[string][]string{}}
	p.addTags(tags)
	wanted := slices.Collect(maps.Keys(p.Unlisted))
	for _, v := range p.Versions {
		wanted = append(wanted, v.Digest)
	}
	for len(wanted) > 0 {
		if err := s.read(ctx, &p, wanted, known.Manifests); err != nil {
			return Package{}, err
		}
		wanted = p.unread()
	}
	if err := s.proveListed(ctx, &p); err != nil {
		return Package{}, err
	}
	p.Journal = tags[registry.CleaningTag]
	p.Written, err = s.recorded(ctx, tags)
	p.addLost(slices.Concat(known.Records, p.Written), tags)
	return p, err
}

// addTags adds what the registry says of tags to what GitHub says.
func (p *Package) addTags(tags map[string]string) {
	at := map[string]int{}
	for i, v := range p.Versions {
		at[v.Digest] = i
	}
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		i, listed := at[tags[tag]]
		switch {
		case !listed:
			p.Unlisted[tags[tag]] = append(p.Unlisted[tags[tag]], tag)
		case !slices.Contains(p.Versions[i].Tags, tag):
			p.Versions[i].Tags = append(p.Versions[i].Tags, tag)
		}
	}
}

// read reads manifests that are not known, each once.
func (s Survey) read(ctx context.Context, p *Package, digests []string, known map[string]Manifest) error {
	var mu sync.Mutex
	keep := func(digest string, m Manifest, found bool) {
		mu.Lock()
		defer mu.Unlock()
		if found {
			p.Manifests[digest] = m
		} else {
			p.Missing[digest] = true
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, digest := range digests {
		if m, ok := known[digest]; ok {
			keep(digest, m, true)
			continue
		}
		group.Go(func() error {
			m, found, err := s.manifest(ctx, digest)
			if err == nil {
				keep(digest, m, found)
			}
			return err
		})
	}
	return group.Wait()
}

func (s Survey) manifest(ctx context.Context, digest string) (Manifest, bool, error) {
	data, found, err := s.Manifest(ctx, digest)
	if err != nil || !found {
		return Manifest{}, false, err
	}
	m, err := ReadManifest(data)
	if err != nil {
		return Manifest{}, false, fmt.Errorf("%s: %w", digest, err)
	}
	return m, true, nil
}

// unread are the digests that something refers to and nobody has looked for.
func (p *Package) unread() (digests []string) {
	asked := map[string]bool{"": true}
	want := func(digest string) {
		if _, read := p.Manifests[digest]; !read && !p.Missing[digest] && !asked[digest] {
			digests, asked[digest] = append(digests, digest), true
		}
	}
	for _, m := range p.Manifests {
		want(m.Subject)
		for _, child := range m.Children {
			want(child)
		}
	}
	for _, v := range p.Versions {
		for _, tag := range v.Tags {
			want(registry.SubjectOf(tag))
		}
	}
	return digests
}

// proveListed leaves out versions that are deleted and still listed. One that is there and cannot be read leaves open what it needs.
func (s Survey) proveListed(ctx context.Context, p *Package) error {
	var there []github.Version
	for _, v := range p.Versions {
		if p.Missing[v.Digest] {
			if _, found, err := s.Look(ctx, v.ID); err != nil {
				return err
			} else if found {
				return fmt.Errorf("GitHub has version %d, %s, and the registry cannot read it", v.ID, v.Digest)
			}
			continue
		}
		there = append(there, v)
	}
	p.Versions = there
	return nil
}
