package action

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/release"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/tags"
)

const (
	releaseTime = 2 * time.Minute
	// mostChanges is how many commits the notes look at.
	mostChanges = 250
)

// release makes a release of GitHub of a git tag that is a version, once all images of it are published, and tells of it in the report. It fails no run.
func (s *session) release(ctx context.Context, told *report.Report, results []publish.Result) {
	e, c := s.job.Event, s.job.Config
	tag, tagged := strings.CutPrefix(e.Ref, "refs/tags/")
	if c.Release == "off" || !tagged || !s.job.pushes() || told.ExitCode != report.ExitDone || c.Token == "" || e.Repository == "" {
		return
	}
	notice := func(text string) { told.Notices = append(told.Notices, s.log.Redact(text)) }
	want, ok := s.wantedRelease(tag, results)
	if !ok {
		notice(fmt.Sprintf("There is no release of %s: no rule of `tags` makes a version of it.", tag))
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, releaseTime, fmt.Errorf("it took longer than %s", releaseTime))
	defer cancel()
	want.Commit, want.Draft = e.SHA, c.Release == "draft"
	made, notices, err := s.makeRelease(ctx, want, *told, results)
	for _, text := range notices {
		notice(text)
	}
	if err != nil {
		notice(fmt.Sprintf("The release of %s is not as it should be: %v. Run this job again once that is mended; it goes on where it ended.", tag, err))
		return
	}
	told.ReleaseURL = made.Page
	s.log.Printf("released %s: %s", tag, made.Page)
}

// wantedRelease reads from the images' tags which version a git tag is.
func (s *session) wantedRelease(tag string, results []publish.Result) (release.Release, bool) {
	want := release.Release{Tag: tag}
	want.Service, _ = s.job.planner().Released()
	for _, r := range results {
		made, ok := versionTag(r)
		if !ok {
			continue
		}
		version, err := semver.NewVersion(made.Release)
		at := strings.LastIndex(tag, made.Release)
		if err != nil || at < 0 {
			return want, false
		}
		want.Version, want.Prefix = version, tag[:at]
	}
	return want, want.Version != nil
}

// versionTag is the tag that a service is released under; false where it is not.
func versionTag(r publish.Result) (tags.Tag, bool) {
	i := slices.IndexFunc(r.Plan.TagSet.Tags, func(t tags.Tag) bool { return t.Kind == tags.Version && t.Release != "" })
	if i < 0 {
		return tags.Tag{}, false
	}
	return r.Plan.TagSet.Tags[i], true
}

func (s *session) makeRelease(ctx context.Context, want release.Release, told report.Report, results []publish.Result) (github.Release, []string, error) {
	api, err := github.New(s.job.Event.APIURL, s.job.Event.Repository, s.job.Config.Token)
	if err != nil {
		return github.Release{}, nil, err
	}
	all, err := api.Releases(ctx)
	if err != nil {
		return github.Release{}, nil, err
	}
	since := want.Previous(all)
	images, notices, err := s.released(ctx, results, since)
	if err != nil {
		return github.Release{}, notices, err
	}
	want.Notes = told.Notes(images)
	want.Judged = !slices.ContainsFunc(images, func(i report.Released) bool { return !told.Judges(i) })
	if written, err := api.ReleaseNotes(ctx, want.Tag, since, want.Commit); err == nil {
		want.Notes += "\n\n" + written
	} else {
		notices = append(notices, fmt.Sprintf("The notes of the release lack what GitHub writes: %v", err))
	}
	if want.Assets, err = s.releaseAssets(told, images); err != nil {
		return github.Release{}, notices, err
	}
	made, more, err := release.Publish(ctx, api, want, all)
	return made, append(notices, more...), err
}

// released are the images of a release, as the registry has them now.
func (s *session) released(ctx context.Context, results []publish.Result, since string) (images []report.Released, notices []string, err error) {
	for _, r := range results {
		tag, ok := versionTag(r)
		if !ok {
			continue
		}
		image, found, err := s.registry.Resolve(ctx, r.Plan.Image, tag.Name)
		if err == nil && !found {
			err = fmt.Errorf("%s:%s is not published", r.Plan.Image, tag.Name)
		}
		if err != nil {
			return nil, notices, err
		}
		if image, err = s.registry.Read(ctx, image.Ref); err != nil {
			return nil, notices, err
		}
		one := report.Released{Service: r.Plan.Name, Image: r.Plan.Image, Tag: tag.Name, Digest: image.Ref.DigestStr(), Port: r.Plan.Definition.Port, Since: since}
		for _, p := range image.Platforms {
			one.Platforms = append(one.Platforms, report.Platform{Platform: p.Platform, CompressedBytes: p.Compressed})
		}
		if since != "" {
			if one.Changes, err = s.changesSince(ctx, r, since); err != nil {
				notices = append(notices, s.log.Redact(fmt.Sprintf("The notes of the release do not say what changed in %s: %v", r.Plan.Name, err)))
			}
		}
		images = append(images, one)
	}
	return images, notices, nil
}

// changesSince are the commits since a git tag that changed what a service's image is made of.
func (s *session) changesSince(ctx context.Context, r publish.Result, since string) ([]release.Group, error) {
	from, err := s.job.Repo.Commit(ctx, "refs/tags/"+since)
	if err != nil {
		return nil, fmt.Errorf("the clone has no tag %s (`fetch-depth: 0` of actions/checkout brings it)", since)
	}
	counts, err := s.job.planner().Counts(ctx, r.Plan.Definition)
	if err != nil {
		return nil, err
	}
	changes, err := s.job.Repo.Changes(ctx, from, s.job.Event.SHA, mostChanges)
	if err != nil {
		return nil, err
	}
	ours := changes[:0]
	for _, c := range changes {
		if slices.ContainsFunc(c.Files, counts) {
			ours = append(ours, c)
		}
	}
	return release.Groups(ours), nil
}

// releaseAssets are the files of a release: what is published, what was found, and what images hold where that was listed.
func (s *session) releaseAssets(told report.Report, images []report.Released) ([]release.Asset, error) {
	var digests strings.Builder
	for _, i := range images {
		fmt.Fprintln(&digests, i.Reference())
	}
	data, err := report.JSON(actions.Redacted(told, s.log.Redact))
	if err != nil {
		return nil, err
	}
	assets := []release.Asset{
		{Name: "digests.txt", MediaType: "text/plain", Data: []byte(digests.String())},
		{Name: "report.json", MediaType: "application/json", Data: data, Once: true},
	}
	if told.Compose != nil {
		// GitHub gives files without a name before the dot one of its own.
		for name, file := range map[string]string{"compose.yaml": told.Compose.File, "env.example": filepath.Join(filepath.Dir(told.Compose.File), exampleFile)} {
			data, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("reading what the release is to have: %w", err)
			}
			assets = append(assets, release.Asset{Name: name, MediaType: "application/yaml", Data: data})
		}
	}
	for name, list := range s.inventories {
		assets = append(assets, release.Asset{Name: name, MediaType: "application/json", Data: list, Once: true})
	}
	return assets, nil
}
