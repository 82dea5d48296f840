package plan

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/dockerfile"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
	"golang.org/x/sync/errgroup"
)

// BasesKey annotates an image index with the digests of the images it was made from, as a JSON object by reference.
const BasesKey = "io.github.ghcr-publish.bases"

// A BaseImage is an image that a service is made from.
type BaseImage struct {
	Name    string `json:"name"` // as the Dockerfile has it, or that of the named context
	Ref     string `json:"ref"`
	Digest  string `json:"digest,omitempty"`   // what the build gets; empty where the builder finds it out by itself
	Service string `json:"service,omitempty"`  // whose image it is, where it is one of the plan's
	Loose   bool   `json:"loose,omitempty"`    // the build cannot be given the digest: a stage has the name too
	OnBuild bool   `json:"on_build,omitempty"` // it may take files from whatever context it is used with
	Unread  string `json:"unread,omitempty"`   // why its digest is not known; empty if it is
}

// use reads what a service's Dockerfile takes from outside; false where that cannot be told. The builder says then what is wrong.
func (t *tree) use(ctx context.Context, s service.Service) (dockerfile.Use, bool) {
	text := []byte(s.Inline)
	if s.Inline == "" {
		var err error
		if text, err = t.read(ctx, s.Dockerfile); err != nil {
			return dockerfile.Use{}, false
		}
	}
	use, err := dockerfile.Read(text, dockerfile.Options{Target: s.Target, Args: s.BuildArgs, Platforms: s.Platforms, Contexts: slices.Sorted(maps.Keys(s.Contexts))})
	return use, err == nil
}

// bases lists the images that a service is made from, by Dockerfile and named contexts.
func (p Planner) bases(s service.Service, use dockerfile.Use, work *tree) []BaseImage {
	var bases []BaseImage
	for _, image := range use.Images {
		bases = append(bases, BaseImage{Name: image.Name, Ref: image.Ref, Service: p.makerOf(image.Ref, work), Loose: image.Shadowed})
	}
	for context, at := range s.Contexts {
		if other, ok := service.ImageOf(at); ok {
			bases = append(bases, BaseImage{Name: context, Ref: at, Service: other})
		} else if ref, ok := strings.CutPrefix(at, dockerImage); ok {
			bases = append(bases, BaseImage{Name: context, Ref: ref})
		}
	}
	slices.SortFunc(bases, func(a, b BaseImage) int { return strings.Compare(a.Name, b.Name) })
	return bases
}

const dockerImage = "docker-image://"

// makerOf is the service that makes an image: by its repository, under a tag that follows what this run publishes. What is
// named by its digest, or by any other tag, is an image that was made before.
func (p Planner) makerOf(ref string, work *tree) string {
	parsed, err := name.NewTag(ref)
	if err != nil {
		return ""
	}
	for _, s := range p.Config.Services {
		if own, err := name.NewRepository(s.Image); err == nil && own.Name() == parsed.Context().Name() {
			set := p.tagSet(s, work)
			if follows := append(set.Names(), append(p.tracked(set, work), "latest")...); slices.Contains(follows, parsed.TagStr()) {
				return s.Name
			}
		}
	}
	return ""
}

// lookUps is how many images are asked for at the same time.
const lookUps = 16

// resolveBases finds out the digests of all base images, each once.
func (p Planner) resolveBases(ctx context.Context, drafts []*draft) {
	var group errgroup.Group
	group.SetLimit(lookUps)
	var known memo[string, registry.Base]
	for _, d := range drafts {
		for i := range d.bases {
			b := &d.bases[i]
			if b.Service != "" {
				continue
			}
			group.Go(func() error {
				p.resolveBase(ctx, b, &known)
				return nil // each image carries its own error
			})
		}
	}
	_ = group.Wait()
}

func (p Planner) resolveBase(ctx context.Context, b *BaseImage, known *memo[string, registry.Base]) {
	official := strings.HasPrefix(b.Ref, "docker.io/library/")
	b.OnBuild = strings.Contains(b.Ref, "onbuild")
	if p.Base == nil {
		return
	}
	found, err := known.get(b.Ref, func() (registry.Base, error) { return p.Base(ctx, b.Ref, !official) })
	if err != nil {
		b.Unread = err.Error()
		b.OnBuild = b.OnBuild || !official // nobody knows
		return
	}
	b.Digest, b.OnBuild = found.Digest, b.OnBuild || found.OnBuild
}

// as completes bases by what a published image was made from: what cannot be read now is taken to be unchanged, and so
// is what nobody wants fresh.
func (p Planner) as(bases []BaseImage, published registry.Image) []BaseImage {
	recorded := recordOf(published)
	bases = slices.Clone(bases)
	for i := range bases {
		if was := recorded[bases[i].Ref]; was != "" && (bases[i].Digest == "" || p.Config.RefreshBase == "never") {
			bases[i].Digest = was
		}
	}
	return bases
}

// record is the text of the annotation that tells what an image is made from; empty where nothing is known.
func record(bases []BaseImage) string {
	known := map[string]string{}
	for _, b := range bases {
		if b.Digest != "" && b.Service == "" {
			known[b.Ref] = b.Digest
		}
	}
	if len(known) == 0 {
		return ""
	}
	text, _ := json.Marshal(known) // maps of texts always can be
	return string(text)
}

// recordOf reads that annotation: digests by reference, none where it tells none.
func recordOf(published registry.Image) map[string]string {
	var recorded map[string]string
	if json.Unmarshal([]byte(published.Annotations[BasesKey]), &recorded) != nil {
		return nil
	}
	return recorded
}

// movedBase says which base image is another than the published image was made from; empty if that is not what differs.
func (p Planner) movedBase(planned Service, content string, published registry.Image) string {
	recorded, all := recordOf(published), planned.Moved(published)
	before := slices.Clone(planned.Bases)
	moved := ""
	for i, b := range before {
		if all[b.Ref] != "" {
			before[i].Digest, moved = recorded[b.Ref], all[b.Ref]
		}
	}
	if moved == "" || inputs(content, before, planned.Needs) != published.Annotations[InputsKey] {
		return ""
	}
	return moved
}

// Moved says of base images, by reference, how they are others than a published image was made from.
func (s Service) Moved(published registry.Image) map[string]string {
	recorded, moved := recordOf(published), map[string]string{}
	for _, b := range s.Bases {
		if was := recorded[b.Ref]; b.Service == "" && was != "" && was != b.Digest {
			moved[b.Ref] = fmt.Sprintf("its base image %s moved from %s to %s", b.Ref, shortDigest(was), shortDigest(b.Digest))
		}
	}
	return moved
}

// shortDigest is enough of a digest to tell it from others.
func shortDigest(digest string) string { return digest[:min(len("sha256:")+7, len(digest))] }

// settle gives images of services their digests where these are not made in this run. A service that nothing is to be done
// with is made all the same, without a tag, if another one is built on it and what is published of it is made from other inputs.
func settle(services []Service) {
	for again := true; again; {
		again = false
		for i := range services {
			for j := range services[i].Bases {
				b := &services[i].Bases[j]
				other := indexOf(services, b.Service)
				if b.Service == "" || other < 0 || other == i {
					continue
				}
				again = services[other].makeFor(services[i]) || again
				b.Ref = services[other].Image
				if b.Digest = cmp.Or(services[other].Reused, services[other].Digest); services[other].Action == Build {
					b.Digest = ""
				}
			}
		}
	}
}

// makeFor has a service be made for one that is built on it; false where it need not.
func (s *Service) makeFor(user Service) bool {
	if user.Action != Build || s.Action != Skip || !s.Stale {
		return false
	}
	s.Action, s.Tags = Build, []string{}
	s.TagSet = tags.Set{Version: s.TagSet.Version, Tags: []tags.Tag{}, Silent: s.TagSet.Silent}
	s.Reason = fmt.Sprintf("%s, but %s is made from it, and what is published is made from something else; it gets no tag", s.Reason, user.Name)
	return true
}
