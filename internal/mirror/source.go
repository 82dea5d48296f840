package mirror

import (
	"context"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/run"
)

// A source reads each manifest once, for all mirrors.
type source struct {
	*registry.Client
	mu        sync.Mutex
	manifests map[string]registry.Stored // by their names
}

// belongings are all that makes up an image, and all that is said of it.
type belongings struct {
	root      name.Digest
	manifests []registry.Stored // each after those that it lists, and after what it refers to
	missing   []registry.Stored // those that a mirror does not have
	lists     []list
	tagged    map[string]registry.Stored // what is found by a tag that is made of an image's digest
	known     map[name.Digest]bool
}

// A list is of what refers to an image.
type list struct {
	image  string // digest
	refers []v1.Descriptor
	index  *registry.Stored // as it stands under a tag; nil where it does not
}

// belongings collects what belongs to an image: the platforms' images, attestations, signatures, and whatever refers to one of them.
func (s *source) belongings(ctx context.Context, image string, root name.Digest) (belongings, error) {
	set := belongings{root: root, tagged: map[string]registry.Stored{}, known: map[name.Digest]bool{}}
	var companions map[string][]string
	err := persist(ctx, func() (err error) { companions, err = s.Companions(ctx, image); return err })
	if err != nil {
		return set, err
	}
	if err := s.collect(ctx, &set, root); err != nil {
		return set, err
	}
	for _, m := range set.manifests {
		for _, tag := range companions[m.Ref.DigestStr()] {
			if err := s.companion(ctx, &set, image, tag); err != nil {
				return set, err
			}
		}
	}
	return set, nil
}

// companion adds what stands under a tag.
func (s *source) companion(ctx context.Context, set *belongings, image, tag string) error {
	var m registry.Stored
	err := persist(ctx, func() (err error) { m, err = s.Companion(ctx, image, tag); return err })
	if registry.IsNotFound(err) {
		return nil // it was taken away meanwhile
	}
	if err != nil {
		return err
	}
	set.tagged[tag] = m
	return s.collect(ctx, set, m.Ref)
}

// collect adds a manifest, after those that it lists and before those that refer to it.
func (s *source) collect(ctx context.Context, set *belongings, ref name.Digest) error {
	if set.known[ref] {
		return nil
	}
	set.known[ref] = true
	m, err := s.manifest(ctx, ref)
	if err != nil {
		delete(set.known, ref)
		return err
	}
	for _, part := range m.Manifests {
		if err := s.collect(ctx, set, ref.Repository.Digest(part.Digest.String())); err != nil {
			return err
		}
	}
	set.manifests = append(set.manifests, m)
	return s.collectReferrers(ctx, set, ref)
}

// collectReferrers adds what refers to a manifest. What is listed and not there any more is left out.
func (s *source) collectReferrers(ctx context.Context, set *belongings, ref name.Digest) error {
	l := list{image: ref.DigestStr()}
	var refers []v1.Descriptor
	err := persist(ctx, func() (err error) { refers, l.index, err = s.Referrers(ctx, ref); return err })
	if err != nil {
		return err
	}
	for _, desc := range refers {
		switch err := s.collect(ctx, set, ref.Repository.Digest(desc.Digest.String())); {
		case registry.IsNotFound(err):
			l.index = nil
		case err != nil:
			return err
		default:
			l.refers = append(l.refers, desc)
		}
	}
	if len(l.refers) > 0 {
		set.lists = append(set.lists, l)
	}
	return nil
}

func (s *source) manifest(ctx context.Context, ref name.Digest) (m registry.Stored, err error) {
	s.mu.Lock()
	m, known := s.manifests[ref.Name()]
	s.mu.Unlock()
	if known {
		return m, nil
	}
	if err = persist(ctx, func() (err error) { m, err = s.Stored(ctx, ref); return err }); err == nil {
		s.mu.Lock()
		s.manifests[ref.Name()] = m
		s.mu.Unlock()
	}
	return m, err
}

const (
	// tries is how often something is done whose requests are repeated each by itself, too.
	tries = 5
	// patience is how long that is tried.
	patience = time.Minute
)

// persist does something again that may succeed the next time, and that may be done twice.
func persist(ctx context.Context, do func() error) error {
	begun, err := time.Now(), do()
	for try := 0; try < tries-1 && err != nil && registry.MayPass(err) && time.Since(begun) < patience && run.Pause(ctx, try); try++ {
		err = do()
	}
	return err
}
