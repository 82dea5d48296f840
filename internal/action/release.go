package action

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/release"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
	"github.com/org/ghcr-publish/internal/telemetry"
)

const (
	releaseTime = 2 * time.Minute
	// slowest is how many bytes a second at least are taken to be uploaded.
	slowest = 500_000
	// mostChanges is how many commits the notes look at.
	mostChanges = 250
)

// Files of a release. The next one is compared with the report.
const (
	digestsAsset = "digests.txt"
	reportAsset  = "report.json"
	composeAsset = "compose.yaml"
	exampleAsset = "env.example" // GitHub gives files without a name before the dot one of its own
)

// release makes a release of GitHub of a git tag that is a version, once all images of it are published, and tells of it in the report. It fails no run.
func (s *session) release(ctx context.Context, told *report.Report, results []publish.Result) {
	notice := func(text string) { told.Notices = append(told.Notices, s.log.Redact(text)) }
	if !s.job.releases() || told.ExitCode != report.ExitDone {
		return
	}
	var planned []plan.Service
	for _, r := range results {
		planned = append(planned, r.Plan)
	}
	want, ok := s.job.wantedRelease(planned)
	if !ok {
		notice(fmt.Sprintf("There is no release of %s: no rule of `tags` makes a version of it.", want.Tag))
		return
	}
	ctx, end := telemetry.Start(ctx, "release")
	made, notices, err := s.makeRelease(ctx, want, *told, results)
	end(err)
	for _, text := range notices {
		notice(text)
	}
	if err != nil {
		notice(fmt.Sprintf("The release of %s is not as it should be: %v. Run this job again once that is mended; it goes on where it ended.", want.Tag, err))
		return
	}
	told.ReleaseURL = made.Page
	s.log.Printf("released %s: %s", want.Tag, made.Page)
}

// releases reports whether the run makes a release of its git tag where that is a version.
func (j job) releases() bool {
	c := j.Config
	return c.Release != "off" && (c.ReleaseTag != "" || strings.HasPrefix(j.Event.Ref, "refs/tags/")) && j.pushes() && c.Token != "" && j.Event.Repository != ""
}

// wantedRelease reads from the images' tags which version a git tag is.
func (j job) wantedRelease(services []plan.Service) (release.Release, bool) {
	planner := j.planner()
	if j.Config.ReleaseTag != "" {
		planner.Event.Ref = "refs/tags/" + j.Config.ReleaseTag
	}
	want := release.Release{Tag: strings.TrimPrefix(planner.Event.Ref, "refs/tags/"), Commit: j.Event.SHA, Draft: j.Config.Release == "draft"}
	want.Service, _ = planner.Released()
	for _, planned := range services {
		made, ok := j.versionTag(planned)
		if !ok {
			continue
		}
		version, err := semver.NewVersion(made.Release)
		at := strings.LastIndex(want.Tag, made.Release)
		if err != nil || at < 0 {
			return want, false
		}
		want.Version, want.Prefix = version, want.Tag[:at]
	}
	return want, want.Version != nil
}

// versionTag is the tag that a service is released under; false where it is not.
func (j job) versionTag(s plan.Service) (tags.Tag, bool) {
	i := slices.IndexFunc(s.TagSet.Tags, func(t tags.Tag) bool {
		if j.Config.ReleaseTag != "" {
			return t.Name == j.Config.Tag
		}
		return t.Kind == tags.Version && t.Release != ""
	})
	if i < 0 {
		return tags.Tag{}, false
	}
	made := s.TagSet.Tags[i]
	made.Release = cmp.Or(made.Release, made.Name) // what is asked for by its name is not looked into
	return made, true
}

// gitTag is a name of a git tag that needs no quoting anywhere.
var gitTag = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/@+-]*$`)

// checkReleaseTag demands that the git tag of a release tells the version that its images have.
func (j job) checkReleaseTag(problems *service.Problems) {
	const fix = "give a tag such as v1.2.3, and `tag: 1.2.3` beside it"
	at, tag := j.Config.ReleaseTag, j.Config.Tag
	_, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v"))
	switch {
	case at == "":
	case !gitTag.MatchString(at):
		problems.Add("release-tag", fix, "%q is no name of a git tag", at)
	case err != nil || !strings.HasSuffix(at, tag):
		problems.Add("release-tag", fix, "%q does not end in a version that is given as `tag`, which is %q", at, tag)
	}
}

// checkRelease looks, before anything is built, whether the files are there that a release is to have.
func (j job) checkRelease(services []plan.Service) error {
	if !j.releases() {
		return nil
	}
	if _, ok := j.wantedRelease(services); !ok {
		return nil
	}
	_, err := j.releaseFiles()
	return err
}

// releaseFiles are the files of the workspace that a release is to have.
func (j job) releaseFiles() ([]release.Asset, error) {
	if len(j.Config.ReleaseAssets) == 0 {
		return nil, nil
	}
	var problems service.Problems
	files := release.Files(j.Workspace, j.Config.ReleaseAssets, []string{digestsAsset, reportAsset, composeAsset, exampleAsset}, &problems)
	if len(problems) > 0 {
		return nil, problems
	}
	return files, nil
}

// timeFor is how long a release with such files may take.
func timeFor(files []release.Asset) time.Duration {
	bytes := int64(0)
	for _, f := range files {
		bytes += f.Size
	}
	return releaseTime + time.Duration(bytes/slowest)*time.Second
}

func (s *session) makeRelease(ctx context.Context, want release.Release, told report.Report, results []publish.Result) (github.Release, []string, error) {
	files, err := s.job.releaseFiles()
	if err != nil {
		return github.Release{}, nil, err
	}
	most := timeFor(files)
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("it took longer than %s", most))
	defer cancel()
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
	if err := compareWith(ctx, api, all, images); err != nil {
		notices = append(notices, fmt.Sprintf("The notes of the release do not compare its figures with those of %s: %v", since, err))
	}
	written, err := api.ReleaseNotes(ctx, want.Tag, since, want.Commit)
	if err != nil {
		notices = append(notices, fmt.Sprintf("The notes of the release lack what GitHub writes: %v", err))
	}
	want.Notes = strings.TrimSpace(told.Notes(images) + "\n\n" + written)
	want.Judged = !slices.ContainsFunc(images, func(i report.Released) bool { return !told.Judges(i) })
	if want.Assets, err = s.releaseAssets(told, images, files); err != nil {
		return github.Release{}, notices, err
	}
	made, more, err := release.Publish(ctx, api, want, all)
	return made, append(notices, more...), err
}

// released are the images of a release, as the registry has them now.
func (s *session) released(ctx context.Context, results []publish.Result, since string) (images []report.Released, notices []string, err error) {
	for _, r := range results {
		tag, ok := s.job.versionTag(r.Plan)
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

// mostReport is how many bytes of an earlier report are read.
const mostReport = 16 << 20

// compareWith adds to images what the report says that the release before them has.
func compareWith(ctx context.Context, api *github.Client, all []github.Release, images []report.Released) error {
	since := images[0].Since
	before := slices.IndexFunc(all, func(r github.Release) bool { return r.Tag == since && !r.Draft })
	if since == "" || before < 0 {
		return nil
	}
	at := slices.IndexFunc(all[before].Assets, func(a github.Asset) bool { return a.Name == reportAsset && a.Uploaded() })
	if at < 0 {
		return nil // it was not made by this program
	}
	data, err := api.ReadAsset(ctx, all[before].Assets[at], mostReport)
	if err != nil {
		return err
	}
	was, err := report.Before(data)
	for i := range images {
		images[i].Was = was[images[i].Service]
	}
	return err
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

// releaseAssets are the files of a release: what is published, what was found, what images hold where that was listed, and the workspace's own.
func (s *session) releaseAssets(told report.Report, images []report.Released, files []release.Asset) ([]release.Asset, error) {
	var digests strings.Builder
	for _, i := range images {
		fmt.Fprintln(&digests, i.Reference())
	}
	data, err := report.JSON(actions.Redacted(told, s.log.Redact))
	if err != nil {
		return nil, err
	}
	assets := []release.Asset{
		{Name: digestsAsset, MediaType: "text/plain", Data: []byte(digests.String())},
		{Name: reportAsset, MediaType: "application/json", Data: data, Once: true},
	}
	if told.Compose != nil {
		for name, file := range map[string]string{composeAsset: told.Compose.File, exampleAsset: filepath.Join(filepath.Dir(told.Compose.File), exampleFile)} {
			data, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("reading what the release is to have: %w", err)
			}
			assets = append(assets, release.Asset{Name: name, MediaType: "application/yaml", Data: data})
		}
	}
	for name, list := range s.inventories {
		if slices.ContainsFunc(files, func(f release.Asset) bool { return f.Name == name }) {
			return nil, fmt.Errorf("`release-assets` name a file %s, which is the list of what an image holds; give it another name", name)
		}
		assets = append(assets, release.Asset{Name: name, MediaType: "application/json", Data: list, Once: true})
	}
	return append(assets, files...), nil
}
