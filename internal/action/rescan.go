package action

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
)

// rescanMode judges what is live by today's database, and tells what is new since the last time. It builds and moves nothing.
func rescanMode(ctx context.Context, p Process, j job, log *actions.Log) (int, error) {
	begun, before := p.Now(), insight.LastLive(insight.Own(j.recall(ctx, p, "live")["live"], j.Event.Repository))
	s, err := open(ctx, p, j, log, begun)
	if err != nil {
		return 0, err
	}
	live, err := s.live(ctx)
	if err != nil {
		return 0, errors.Join(err, notices(s.Close()))
	}
	results := s.rescan(ctx, live)
	told := s.conclude(ctx, begun, results, nil)
	found := append(foundLive(results), j.goneLive(live, before)...)
	for i := range found {
		found[i].EndedAt = p.Now()
		told.Notices = append(told.Notices, log.Redact(sinceLast(found[i], before)))
	}
	told.Notices = append(told.Notices, s.alarm(ctx, found, before)...)
	entries, err := insight.OfLive(j.Event.Repository, runID(j.Event, told.StartedAt), actions.Redacted(found, log.Redact))
	return s.record(ctx, told, entries, err)
}

// goneLive are the services of which images were live at the last rescan, and none is now: without tags, or not in the configuration any more. Of one that
// this rescan does not look at nothing is known.
func (j job) goneLive(live []plan.Service, before map[string]insight.Live) []insight.Live {
	var gone []insight.Live
	considered := j.Config.Considered()
	for _, name := range slices.Sorted(maps.Keys(before)) {
		of := func(s service.Service) bool { return s.Name == name }
		_, configured := j.Config.Service(name)
		looked := slices.ContainsFunc(considered, of) || !configured && len(considered) == len(j.Config.Services)
		isLive := slices.ContainsFunc(live, func(s plan.Service) bool { return s.Name == name })
		if was := before[name]; looked && !isLive && was.Images+len(was.Findings) > 0 {
			gone = append(gone, insight.Live{Service: name, Findings: []string{}, Counts: map[string]int{}})
		}
	}
	return gone
}

// notices makes an error of what a session that did nothing has to say.
func notices(lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	return errors.New(strings.Join(lines, "; "))
}

// live lists the images under all tags of the services that are considered, each once. What holds no image, such as a chart, is
// left out.
func (s *session) live(ctx context.Context) ([]plan.Service, error) {
	var live []plan.Service
	for _, d := range s.job.Config.Considered() {
		images, err := s.liveImages(ctx, d)
		if err != nil {
			return nil, err
		}
		live = append(live, images...)
	}
	return live, nil
}

func (s *session) liveImages(ctx context.Context, d service.Service) ([]plan.Service, error) {
	names, err := s.registry.Tags(ctx, d.Image)
	if err != nil {
		return nil, err
	}
	var order []string
	tags := map[string][]string{}
	for _, tag := range slices.DeleteFunc(names, func(tag string) bool { return !registry.IsUserTag(tag) }) {
		at, found, err := s.registry.Resolve(ctx, d.Image, tag)
		if err != nil {
			return nil, err
		}
		if !found {
			continue // it was taken away meanwhile
		}
		digest := at.Ref.DigestStr()
		if len(tags[digest]) == 0 {
			order = append(order, digest)
		}
		tags[digest] = append(tags[digest], tag)
	}
	var live []plan.Service
	for _, digest := range order {
		image, err := s.published(ctx, d.Image, digest)
		if err != nil {
			return nil, err
		}
		if len(image.Platforms) > 0 {
			live = append(live, plan.Service{Name: d.Name, Image: d.Image, Action: plan.Reuse, Digest: digest, Reused: digest, Definition: d, Reason: "live as " + strings.Join(tags[digest], ", ")})
		}
	}
	return live, nil
}

func (s *session) rescan(ctx context.Context, live []plan.Service) []publish.Result {
	publisher := s.publisher()
	if len(live) > 0 {
		scanner := s.startScanner(ctx)
		publisher.Scan, publisher.Database = scanner.Scan, scanner.Database
	}
	defer s.log.Group(fmt.Sprintf("Scan %d live images", len(live)))()
	return publisher.Rescan(ctx, live)
}

// foundLive collects by service what was found in its live images. A service of which an image could not be scanned is left out:
// what was not looked for is not gone.
func foundLive(results []publish.Result) []insight.Live {
	var all []insight.Live
	unknown, seen := map[string]bool{}, map[[3]string]bool{}
	for _, r := range results {
		if len(all) == 0 || all[len(all)-1].Service != r.Plan.Name {
			all = append(all, insight.Live{Service: r.Plan.Name, Findings: []string{}, Counts: map[string]int{}})
			for _, severity := range service.Severities() {
				all[len(all)-1].Counts[severity] = 0
			}
		}
		last := &all[len(all)-1]
		last.Images++
		unknown[r.Plan.Name] = unknown[r.Plan.Name] || r.Err != nil
		for _, p := range r.Evidence.Platforms {
			unknown[r.Plan.Name] = unknown[r.Plan.Name] || p.Unscanned != ""
			for _, f := range p.Findings {
				last.Findings = append(last.Findings, liveName(f))
				if one := [3]string{r.Plan.Name, p.Platform, liveName(f)}; !seen[one] {
					seen[one] = true
					last.Counts[f.Severity]++
				}
			}
		}
		slices.Sort(last.Findings)
		last.Findings = slices.Compact(last.Findings)
	}
	return slices.DeleteFunc(all, func(l insight.Live) bool { return unknown[l.Service] })
}

func liveName(f verdict.Finding) string {
	return fmt.Sprintf("%s in %s (%s)", f.ID, f.Package, f.Severity)
}

// sinceLast says what changed since the last rescan.
func sinceLast(now insight.Live, last map[string]insight.Live) string {
	if now.Images == 0 {
		return now.Service + ": none of its images is live any more."
	}
	before, known := last[now.Service]
	if !known {
		return fmt.Sprintf("%s: %d findings are live. The memory has no earlier rescan to compare with.", now.Service, len(now.Findings))
	}
	added, gone := now.Since(before)
	if len(added)+len(gone) == 0 {
		return fmt.Sprintf("%s: nothing changed since %s.", now.Service, before.EndedAt.UTC().Format("2006-01-02 15:04 MST"))
	}
	return fmt.Sprintf("%s, since %s: new %s; gone %s.", now.Service, before.EndedAt.UTC().Format("2006-01-02 15:04 MST"), some(added), some(gone))
}

// mostNamed is how many findings a notice names.
const mostNamed = 10

func some(findings []string) string {
	switch {
	case len(findings) == 0:
		return "none"
	case len(findings) > mostNamed:
		return fmt.Sprintf("%s and %d more", strings.Join(findings[:mostNamed], ", "), len(findings)-mostNamed)
	default:
		return strings.Join(findings, ", ")
	}
}
