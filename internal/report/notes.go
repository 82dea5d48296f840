package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/release"
	"github.com/org/ghcr-publish/internal/verdict"
)

// A Released image is one of a release, as the registry has it under the release's tag.
type Released struct {
	Service, Image, Tag, Digest string
	Platforms                   []Platform // and their sizes
	Port                        int        // that it listens on; 0 where none is known
	Since                       string
	Changes                     []release.Group // since the release of that tag
}

// Reference pulls the image: by its tag, as its digest.
func (r Released) Reference() string { return fmt.Sprintf("%s:%s@%s", r.Image, r.Tag, r.Digest) }

// Notes tell people of a release: which images it is, how they are pulled and proven, and what is new in them. The figures are those of this report, of images
// that are the ones it speaks of.
func (r Report) Notes(images []Released) string {
	var b strings.Builder
	b.WriteString("### Images\n\n| image | digest | platforms | size | findings |\n|---|---|---|---|---|\n")
	for _, i := range images {
		s := r.of(i)
		found := "–"
		if r.Judges(i) {
			found = s.findings(r.Severities)
		}
		fmt.Fprintf(&b, "| `%s:%s` | `%s` | %s | %s%s | %s |\n", i.Image, i.Tag, i.Digest, i.platforms(), Service{Platforms: i.Platforms}.sizes(), s.sizeChange(), found)
	}
	b.WriteString("\n```sh\n")
	for _, i := range images {
		fmt.Fprintf(&b, "docker pull %s@%s\n", i.Image, i.Digest)
		if i.Port > 0 {
			fmt.Fprintf(&b, "docker run --rm --publish %d:%d %s@%s\n", i.Port, i.Port, i.Image, i.Digest)
		}
		if signed := r.of(i).Signature; signed != nil {
			fmt.Fprintln(&b, strings.Join(signed.Verify, "\n"))
		}
	}
	b.WriteString("```\n")
	for _, i := range images {
		i.writeChanges(&b)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// of is what the report tells of an image; nothing of one that it does not speak of.
func (r Report) of(i Released) Service {
	at := slices.IndexFunc(r.Services, func(s Service) bool { return s.Name == i.Service && s.Digest == i.Digest })
	if at < 0 {
		return Service{}
	}
	return r.Services[at]
}

// Judges reports whether the report says what was found in an image.
func (r Report) Judges(i Released) bool { return len(r.of(i).Platforms) > 0 }

func (r Released) platforms() string {
	var names []string
	for _, p := range r.Platforms {
		names = append(names, p.Platform)
	}
	return strings.Join(names, ", ")
}

// sizeChange is how the first platform's size compares with what was published before.
func (s Service) sizeChange() string {
	for _, f := range s.Compared {
		if strings.HasPrefix(f.Name, verdict.Size("")) && f.Published != nil && f.Change != 0 {
			return " (" + f.arrow() + ")"
		}
	}
	return ""
}

func (r Released) writeChanges(b *strings.Builder) {
	if len(r.Changes) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### %s since %s\n", cell(r.Service), cell(r.Since))
	for _, group := range r.Changes {
		fmt.Fprintf(b, "\n%s:\n\n", group.Title)
		for _, change := range group.Changes {
			fmt.Fprintf(b, "- %s\n", cell(change))
		}
	}
}
