package report

import (
	"encoding/json"
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
	Was                         []Platform      // what that release's own report says; nil where that is not known
}

// Reference pulls the image: by its tag, as its digest.
func (r Released) Reference() string { return fmt.Sprintf("%s:%s@%s", r.Image, r.Tag, r.Digest) }

// Notes tell people of a release: which images it is, how they are pulled and proven, and what is new in them. The figures are those of this report, of images
// that are the ones it speaks of, beside those of the release before.
func (r Report) Notes(images []Released) string {
	var b strings.Builder
	b.WriteString("### Images\n\n| image | digest | platforms | size | findings |\n|---|---|---|---|---|\n")
	for _, i := range images {
		s := r.of(i)
		found := "–"
		if r.Judges(i) {
			found = s.findings(r.Severities) + i.news(s.Platforms, r.Severities)
		}
		fmt.Fprintf(&b, "| `%s:%s` | `%s` | %s | %s%s | %s |\n", i.Image, i.Tag, i.Digest, i.platforms(), Service{Platforms: i.Platforms}.sizes(), i.growth(), found)
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
	return unmentioned(strings.TrimSuffix(b.String(), "\n"))
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

// growth is how the first platform's size compares with what the release before had for it.
func (r Released) growth() string {
	for _, now := range r.Platforms {
		i := slices.IndexFunc(r.Was, func(was Platform) bool { return was.Platform == now.Platform && was.CompressedBytes > 0 })
		if i < 0 {
			continue
		}
		was := float64(r.Was[i].CompressedBytes)
		f := Figure{Now: float64(now.CompressedBytes), Published: &was, Change: float64(now.CompressedBytes)/was - 1}
		return fmt.Sprintf(" (%s since %s)", f.arrow(), cell(r.Since))
	}
	return ""
}

// news counts the findings that are new since the release before, and those that are gone, whichever platforms have them.
func (r Released) news(now []Platform, shown []string) string {
	is, looked := foundIn(now, shown)
	was, known := foundIn(r.Was, shown)
	if !looked || !known {
		return ""
	}
	return fmt.Sprintf("; since %s %d new, %d gone", cell(r.Since), without(is, was), without(was, is))
}

// foundIn are the faults of severities in all of an image's platforms; false where one was not looked at.
func foundIn(platforms []Platform, shown []string) (found map[verdict.Fault]bool, looked bool) {
	found = map[verdict.Fault]bool{}
	for _, p := range platforms {
		if !p.Scanned {
			return nil, false
		}
		for _, f := range p.Findings {
			if slices.Contains(shown, f.Severity) {
				found[f.Fault()] = true
			}
		}
	}
	return found, len(platforms) > 0
}

// without counts the faults that are not among others.
func without(faults, others map[verdict.Fault]bool) (n int) {
	for f := range faults {
		if !others[f] {
			n++
		}
	}
	return n
}

// Before reads from an earlier report what it says of each service's platforms. What is given comes from elsewhere, and is taken for figures alone.
func Before(data []byte) (map[string][]Platform, error) {
	var read struct {
		SchemaVersion int `json:"schema_version"`
		Services      []struct {
			Name      string
			Platforms []Platform
		}
	}
	if err := json.Unmarshal(data, &read); err != nil {
		return nil, fmt.Errorf("reading an earlier report: %w", err)
	}
	if read.SchemaVersion != 1 {
		return nil, fmt.Errorf("an earlier report is of version %d, which is not known", read.SchemaVersion)
	}
	platforms := map[string][]Platform{}
	for _, s := range read.Services {
		platforms[s.Name] = s.Platforms
	}
	return platforms, nil
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
