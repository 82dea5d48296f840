package action

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/clean"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
	"github.com/org/ghcr-publish/internal/telemetry"
	"golang.org/x/time/rate"
)

// cleanMode says which versions of the images' packages nobody needs and, where that is confirmed, deletes them. With ids to restore
// it brings those back instead.
func cleanMode(ctx context.Context, p Process, j job, log *actions.Log) (int, error) {
	begun := p.Now()
	api, err := j.packagesAPI()
	if err != nil {
		return 0, err
	}
	if len(j.Config.Restore) > 0 {
		return report.ExitDone, restore(ctx, api, j, log)
	}
	seen := j.tagsSeen(ctx, p) // before the memory is out of the builds' way
	s, err := open(ctx, p, j, log, begun)
	if err != nil {
		return 0, err
	}
	told, found, err := s.clean(ctx, api, seen, begun)
	if err != nil {
		return 0, errors.Join(err, notices(s.Close()))
	}
	return s.recordCleaning(ctx, told, found)
}

// tagsSeen tells when earlier runs first saw tags where they are, by image and tag.
func (j job) tagsSeen(ctx context.Context, p Process) map[string]map[string]insight.Sighting {
	return insight.TagsSeen(j.recall(ctx, p, "tags")["tags"])
}

// clean cleans up all packages, and returns when their tags were first seen, by image.
func (s *session) clean(ctx context.Context, api *github.Client, seen map[string]map[string]insight.Sighting, begun time.Time) (told report.Cleaning, found map[string][]insight.Sighting, err error) {
	told = report.Cleaning{Program: "ghcr-publish " + s.process.Version, RunURL: runURL(s.job.Event), StartedAt: begun.UTC().Truncate(time.Second), Packages: []report.Cleaned{}, Notices: []string{}}
	c := &cleaner{session: s, api: api, budget: s.job.Config.Clean.Most, told: &told}
	if found, err = c.clean(ctx, seen); err != nil {
		return told, nil, err
	}
	told.Settle(c.confirmed())
	told.Seconds = s.process.Now().Sub(begun).Round(time.Millisecond).Seconds()
	return told, found, nil
}

// cleanTime is how long a run that publishes cleans up at its end. The next one goes on.
const cleanTime = 5 * time.Minute

// cleanAfter cleans up after a run that has published from the default branch, where the configuration says so, and tells of it in the
// report. It returns what that learnt, and fails no run.
func (s *session) cleanAfter(ctx context.Context, told *report.Report) []memory.Entry {
	j := s.job
	if !j.Config.Clean.After || !j.pushes() || told.ExitCode != report.ExitDone || j.Event.Ref != "refs/heads/"+j.Event.DefaultBranch {
		return nil
	}
	notice := func(text string) { told.Notices = append(told.Notices, s.log.Redact(text)) }
	ctx, cancel := context.WithTimeoutCause(ctx, cleanTime, fmt.Errorf("it took longer than %s", cleanTime))
	defer cancel()
	api, err := j.packagesAPI()
	if err != nil {
		notice(fmt.Sprintf("Nothing was cleaned up: %v", err))
		return nil
	}
	ctx, end := telemetry.Start(ctx, "clean up")
	cleaned, found, err := s.clean(ctx, api, j.tagsSeen(ctx, s.process), s.process.Now())
	end(err)
	if err != nil {
		notice(fmt.Sprintf("Nothing was cleaned up: %v", err))
		return nil
	}
	cleaned = actions.Redacted(cleaned, s.log.Redact)
	told.Cleaning = &cleaned
	s.log.Printf("%s", cleaned.Answer())
	entries, err := insight.OfTags(found)
	if err != nil {
		notice(fmt.Sprintf("When tags were first seen is not remembered: %v", err))
	}
	return entries
}

// packagesAPI speaks to GitHub, which alone lists and deletes versions.
func (j job) packagesAPI() (*github.Client, error) {
	var problems service.Problems
	if j.Config.Token == "" {
		problems.Add("token", "give the input token, or GITHUB_TOKEN; off a runner, `gh auth login --scopes read:packages,delete:packages` will do", "without a token for GitHub's API nothing can be cleaned up")
	}
	if j.Event.Repository == "" {
		problems.Add("repository", "set GITHUB_REPOSITORY to owner/name", "it is not known whose branches and pull requests count")
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return github.New(j.Event.APIURL, j.Event.Repository, j.Config.Token)
}

// A cleaner cleans up the packages of one run.
type cleaner struct {
	*session
	api    *github.Client
	budget int // versions that may still be deleted
	told   *report.Cleaning
}

// confirmed reports whether anything is deleted.
func (c *cleaner) confirmed() bool { return c.job.Config.Confirm && !c.job.Config.DryRun }

// A surveyed package is one that could be read.
type surveyed struct {
	service service.Service
	from    *github.Package
	clean.Package
}

// clean surveys all packages first, so that whatever they are compared with is newer than what is listed of them. It returns when the tags were first
// seen, by image.
func (c *cleaner) clean(ctx context.Context, seen map[string]map[string]insight.Sighting) (map[string][]insight.Sighting, error) {
	var all []surveyed
	for _, s := range c.job.Config.Considered() {
		one, err := c.look(ctx, s)
		switch {
		case errors.Is(err, errUnpublished):
			c.told.Notices = append(c.told.Notices, fmt.Sprintf("%s: nothing is published yet.", s.Name))
		case err != nil:
			c.log.Error(actions.Annotation{Title: s.Name + " is left alone", Message: err.Error()})
			c.told.Packages = append(c.told.Packages, report.Cleaned{Service: s.Name, Plan: clean.Plan{Image: s.Image, Gone: []clean.Item{}, Kept: []clean.Item{}, Restored: []clean.Item{}, Idle: []clean.Idle{}, Broken: []string{}}, Error: c.log.Redact(err.Error())})
		default:
			one.Seen = seen[s.Image]
			all = append(all, one)
		}
	}
	rules, err := c.rules(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string][]insight.Sighting{}
	for _, one := range all {
		plan, problem := c.one(ctx, rules, one)
		found[one.Image] = plan.Sightings()
		c.told.Packages = append(c.told.Packages, report.Cleaned{Service: one.service.Name, Plan: plan, Error: problem})
	}
	return found, nil
}

// errUnpublished tells that there is no package, since nothing was ever pushed.
var errUnpublished = errors.New("nothing is published")

func (c *cleaner) look(ctx context.Context, s service.Service) (surveyed, error) {
	owner, name := github.PackageOf(s.Image)
	from, err := c.api.Package(ctx, owner, name)
	if err != nil {
		if tags, none := c.registry.Tagged(ctx, s.Image); none == nil && len(tags) == 0 && errors.Is(err, github.ErrNoPackage) {
			return surveyed{}, errUnpublished
		}
		return surveyed{}, err
	}
	found, err := c.survey(from, s.Image).Of(ctx, s.Image, clean.Known{})
	return surveyed{s, from, found}, err
}

func (c *cleaner) survey(from *github.Package, image string) clean.Survey {
	return clean.Survey{
		List: func(ctx context.Context) ([]github.Version, error) { return from.Versions(ctx, false) },
		Look: from.Version,
		Tags: func(ctx context.Context) (map[string]string, error) { return c.registry.Tagged(ctx, image) },
		Manifest: func(ctx context.Context, digest string) ([]byte, bool, error) {
			return c.registry.Manifest(ctx, image, digest)
		},
		Journal: func(ctx context.Context) ([]byte, error) { return c.registry.ReadCleaning(ctx, image) },
	}
}

// rules are what holds for all packages.
func (c *cleaner) rules(ctx context.Context) (clean.Rules, error) {
	j := c.job
	refs := clean.Refs{Rules: j.Rules, Event: tags.Event{DefaultBranch: j.Event.DefaultBranch, ShortSHA: j.Event.ShortSHA, Now: c.process.Now()}}
	var err error
	if refs.Branches, err = c.api.Branches(ctx); err != nil {
		return clean.Rules{}, err
	}
	if !slices.Contains(refs.Branches, j.Event.DefaultBranch) {
		return clean.Rules{}, fmt.Errorf("GitHub lists the branches %q of %s, and not its default branch %q", refs.Branches, j.Event.Repository, j.Event.DefaultBranch)
	}
	if refs.Open, err = c.api.OpenPulls(ctx); err != nil {
		return clean.Rules{}, err
	}
	if refs.Left, err = c.api.LeftBranches(ctx); err != nil {
		return clean.Rules{}, err
	}
	used, err := c.inUse(ctx)
	if err == nil {
		err = c.deployed(ctx, used)
	}
	return clean.Rules{Keep: j.Config.Clean, Now: c.process.Now(), Tags: refs.Tags(), InUse: used}, err
}

// inUse says of the digests that files of the repository, releases, promotions that can be taken back, and the setting name which of
// these does.
func (c *cleaner) inUse(ctx context.Context) (map[string]string, error) {
	used := map[string]string{}
	files, err := c.job.Repo.Mentions(ctx, digests.String())
	if err != nil {
		return nil, err
	}
	maps.Copy(used, files)
	releases, err := c.api.Releases(ctx)
	if err != nil {
		return nil, err
	}
	journal, err := c.journal().Read(ctx)
	if err != nil {
		return nil, err
	}
	texts := map[string]string{"the setting in-use": c.job.Config.InUse, "a promotion that can be taken back": string(journal)}
	for _, r := range releases {
		texts["release "+r.Tag] = r.Body
	}
	for where, text := range texts {
		for _, digest := range digests.FindAllString(text, -1) {
			used[digest] = where
		}
	}
	return used, nil
}

// deployed adds the digests that deployments say are live. Where the token may not read those, that is told.
func (c *cleaner) deployed(ctx context.Context, used map[string]string) error {
	listed, more, err := c.api.Deployments(ctx)
	if more {
		c.told.Notices = append(c.told.Notices, fmt.Sprintf("GitHub knows of more than %d deployments. What only older ones say is live does not stay for that: name it with `in-use`.", len(listed)))
	}
	if err == nil {
		var live map[string]string
		if live, err = clean.Deployed(ctx, listed, c.api.DeploymentState); err == nil {
			maps.Copy(used, live)
		}
	}
	if errors.Is(err, github.ErrHidden) {
		c.told.Notices = append(c.told.Notices, fmt.Sprintf("What deployments say is live does not stay for that: %v. Give the job `permissions: deployments: read`, or name what is deployed with `in-use`.", err))
		return nil
	}
	return err
}

// one decides on a package, says what that came to and, where it is confirmed, does it. It returns what went wrong as well.
func (c *cleaner) one(ctx context.Context, rules clean.Rules, s surveyed) (plan clean.Plan, problem string) {
	rules.Platforms, rules.IsVersion = layerSets(s.service), func(tag string) bool { return c.job.Rules.Published(s.service.Name)(tag) != nil }
	plan = rules.Plan(s.Package)
	defer c.log.Group(fmt.Sprintf("Clean up %s: %d of %d versions go", s.service.Name, len(plan.Gone), len(plan.Gone)+len(plan.Kept)))()
	for _, item := range plan.Gone {
		c.log.Printf("goes: %d: %s: %s", item.ID, named(item), item.Why)
	}
	for _, item := range plan.Restored {
		c.log.Printf("comes back: %d: %s: %s", item.ID, named(item), item.Why)
	}
	if plan.Refused != "" {
		c.log.Printf("nothing is deleted: %s", plan.Refused)
	}
	if len(plan.Missing()) > 0 {
		c.tellRestorable(ctx, s, plan.Missing())
	}
	if !c.confirmed() {
		return plan, ""
	}
	var err error
	if c.budget, err = c.executor(rules, s).Run(ctx, &plan, c.budget); err != nil {
		return plan, c.log.Redact(err.Error())
	}
	return plan, ""
}

// tellRestorable says how what is missing comes back, where somebody deleted it. Why that was done nobody knows, so nothing is done about it.
func (c *cleaner) tellRestorable(ctx context.Context, s surveyed, missing []string) {
	deleted, err := s.from.Versions(ctx, true)
	if err != nil {
		return
	}
	var ids []string
	for _, v := range deleted {
		if slices.Contains(missing, v.Digest) {
			ids = append(ids, fmt.Sprint(v.ID))
		}
	}
	if len(ids) > 0 {
		c.told.Notices = append(c.told.Notices, fmt.Sprintf("%s: somebody deleted what images lack that stay. `restore: %s` brings it back.", s.service.Name, strings.Join(ids, " ")))
	}
}

func (c *cleaner) executor(rules clean.Rules, s surveyed) clean.Executor {
	return clean.Executor{
		Rules: rules, Package: s.Package, Look: s.from.Version, Delete: s.from.Delete, Restore: s.from.Restore, Pace: rate.NewLimiter(mostDeletions, 20).Wait, Tell: c.log.Printf,
		There: func(ctx context.Context, digest string) (bool, error) {
			_, found, err := c.registry.Manifest(ctx, s.Image, digest)
			return found, err
		},
		Relist: func(ctx context.Context, digest, tag string) error {
			return c.registry.Relist(ctx, s.Image, digest, tag)
		},
		Write: func(ctx context.Context, data []byte) (string, error) {
			return c.registry.WriteCleaning(ctx, s.Image, data)
		},
		Survey: func(ctx context.Context, known clean.Known) (clean.Package, error) {
			return c.survey(s.from, s.Image).Of(ctx, s.Image, known)
		},
	}
}

// mostDeletions is how many versions are deleted in a second: GitHub counts five points for each and one for the look before it, of
// 900 in a minute.
// https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits
const mostDeletions rate.Limit = 2

func named(item clean.Item) string {
	if len(item.Tags) == 0 {
		return item.Digest
	}
	return strings.Join(item.Tags, ", ")
}

// layerSets are the sets of platforms that the layers of a service are kept for: all, and each where it has a row of its own.
func layerSets(s service.Service) [][]string {
	sets := [][]string{s.Platforms}
	for _, p := range s.Platforms {
		sets = append(sets, []string{p})
	}
	return sets
}

// recordCleaning keeps what was seen, and tells of the run.
func (s *session) recordCleaning(ctx context.Context, told report.Cleaning, found map[string][]insight.Sighting) (int, error) {
	told.Notices = append(append(told.Notices, s.notices...), s.Close()...)
	entries, err := insight.OfTags(found)
	stats, lost := s.keepLearnt(ctx, entries, err)
	told.MemoryStats, told.Notices = stats, append(told.Notices, lost...)
	told = actions.Redacted(told, s.log.Redact)
	s.log.Answer("%s", told.Answer())
	if err := errors.Join(writeJSON(s.job.Config.Report, told), actions.AppendSummary(s.process.Getenv("GITHUB_STEP_SUMMARY"), told.Summary())); err != nil {
		return 0, err
	}
	if err := writeOutputs(s.process, [][2]string{{"outcome", told.Outcome}, {"deleted", deletedBy(told)}, {"report", hostPath(ctx, s.process, s.job.Config.Report)}}); err != nil {
		return 0, err
	}
	return told.ExitCode, printJSON(s.process, s.job, told)
}

// deletedBy are the ids of the versions that were deleted, as the input restore takes them.
func deletedBy(told report.Cleaning) string { return strings.Trim(fmt.Sprint(told.Deleted()), "[]") }

// restore brings versions back, of whichever package they are; with a dry run it says which there are.
func restore(ctx context.Context, api *github.Client, j job, log *actions.Log) error {
	wanted := slices.Clone(j.Config.Restore)
	for _, s := range j.Config.Considered() {
		owner, name := github.PackageOf(s.Image)
		from, err := api.Package(ctx, owner, name)
		if errors.Is(err, github.ErrNoPackage) {
			continue
		}
		if err != nil {
			return err
		}
		deleted, err := from.Versions(ctx, true)
		if err != nil {
			return err
		}
		for _, v := range deleted {
			if !slices.Contains(wanted, v.ID) {
				continue
			}
			wanted = slices.DeleteFunc(wanted, func(id int64) bool { return id == v.ID })
			if j.Config.DryRun {
				log.Printf("would restore %d, %s of %s", v.ID, v.Digest, s.Image)
				continue
			}
			if err := from.Restore(ctx, v.ID); err != nil {
				return err
			}
			log.Printf("restored %d, %s of %s", v.ID, v.Digest, s.Image)
		}
	}
	if len(wanted) > 0 {
		return fmt.Errorf("restoring versions: %d are among none that were deleted of these services in the last thirty days", wanted)
	}
	return nil
}
