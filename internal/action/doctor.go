package action

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/deploy"
	"github.com/org/ghcr-publish/internal/doctor"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/service"
	"golang.org/x/sync/errgroup"
)

const (
	// examining bounds all questions together: starting a builder may take its image's download.
	examining = 3 * time.Minute
	// imagesAtOnce is how many images are asked about at the same time.
	imagesAtOnce = 8
)

// doctorMode tells what is wrong with the configuration, its rights and its surroundings, and what mends it. It changes nothing,
// but for a builder that it starts as every run does. Mistakes of the configuration are among what is wrong.
func doctorMode(ctx context.Context, p Process, j job, log *actions.Log, mistakes service.Problems) (int, error) {
	s, err := open(ctx, p, j, log, p.Now())
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, examining)
	defer cancel()
	facts := s.examine(ctx)
	facts.Mistakes = mistakes
	s.Close() // which tells what remains
	told := doctor.Conclude(actions.Redacted(doctor.Examine(facts), log.Redact), report.ExitConfig)
	tellFindings(told, j.onRunner(), log)
	if err := actions.AppendSummary(p.Getenv("GITHUB_STEP_SUMMARY"), told.Summary()); err != nil {
		return 0, err
	}
	return told.ExitCode, printJSON(p, j, told)
}

func tellFindings(told doctor.Examination, annotate bool, log *actions.Log) {
	for _, found := range told.Findings {
		say := log.Printf
		if found.State != doctor.Fine {
			say = log.Answer
		}
		for _, line := range found.Lines() {
			say("%s", line)
		}
		if annotate && found.State == doctor.Problem {
			log.Error(actions.Annotation{Title: found.Check, Message: found.Found + "\n" + found.Fix})
		}
	}
	log.Answer("%s", told)
}

// examine gathers all facts at the same time. Each question fills fields of its own.
func (s *session) examine(ctx context.Context) doctor.Facts {
	f := s.circumstances()
	f.Cache, f.CacheMode = s.job.caches(s.process), s.process.Getenv("ACTIONS_CACHE_MODE")
	f.Engine, f.Kubernetes = s.noEngine, s.process.Getenv("KUBERNETES_SERVICE_HOST") != ""
	for _, d := range s.job.Config.Services {
		f.Lacking = append(f.Lacking, slices.DeleteFunc(d.SecretVariables(), func(name string) bool { return s.process.Getenv(name) != "" })...)
	}
	slices.Sort(f.Lacking)
	f.Lacking = slices.Compact(f.Lacking)
	var asking sync.WaitGroup
	for _, ask := range []func(context.Context, *doctor.Facts){s.askMachine, s.askClone, s.askGitHub, s.askRegistry, s.askMirrors, s.askSources, s.askBuilder, s.askPrograms} {
		asking.Go(func() { ask(ctx, &f) })
	}
	asking.Wait()
	return f
}

func (s *session) askClone(ctx context.Context, f *doctor.Facts) {
	repo := s.job.Repo
	f.Credential = plan.HoldsCredentials(s.job.Workspace)
	if shallow, err := repo.Shallow(ctx); err == nil && shallow {
		_, err := repo.Tip(ctx, s.job.Event.Ref)
		f.Shallow, f.Origin = true, doctor.Asked(err)
	}
}

// askGitHub asks the API what the token may read. GitHub does not tell what a token may write.
func (s *session) askGitHub(ctx context.Context, f *doctor.Facts) {
	c, e := s.job.Config, s.job.Event
	if c.Token == "" || e.Repository == "" {
		return
	}
	api, err := github.New(e.APIURL, e.Repository, c.Token)
	if err != nil {
		f.Contents = doctor.Asked(err)
		return
	}
	_, err = api.Tip(ctx, "refs/heads/"+e.DefaultBranch)
	f.Contents = doctor.Asked(err)
	if github.Status(err) == http.StatusUnauthorized {
		return // the rest would say the same
	}
	if c.CodeScanning != "off" {
		f.Scanning = doctor.Asked(api.ScanningEnabled(ctx))
	}
	if f.Cache.Grants[service.CacheActions].Read {
		used, limit, err := api.CacheUsage(ctx)
		if f.CacheUsage = doctor.Asked(err); err == nil {
			f.Cache.Crowded = crowding(used, limit)
		}
	}
}

// askRegistry asks of each image who may do what with it.
func (s *session) askRegistry(ctx context.Context, f *doctor.Facts) {
	services, cleans := s.job.Config.Services, f.Cleans()
	f.Images = make([]doctor.Image, len(services))
	var asking errgroup.Group
	asking.SetLimit(imagesAtOnce)
	for i, d := range services {
		asking.Go(func() error {
			f.Images[i] = s.askImage(ctx, d.Image)
			if cleans && f.Images[i].Tag != "" {
				f.Images[i].Versions = doctor.Asked(s.askVersions(ctx, d.Image))
			}
			return nil
		})
	}
	_ = asking.Wait() // no question fails the others
}

func (s *session) askImage(ctx context.Context, name string) doctor.Image {
	image := doctor.Image{Name: name}
	if !s.registry.Holds(name) {
		return image
	}
	if s.job.pushes() {
		image.Write = doctor.Asked(s.registry.Writable(ctx, name))
	}
	tags, err := s.registry.Tags(ctx, name)
	if image.Listed = doctor.Asked(err); len(tags) == 0 {
		return image
	}
	image.Tag = tags[len(tags)-1]
	image.Public, err = s.registry.IsPublic(ctx, name, image.Tag)
	image.Seen = doctor.Asked(err)
	return image
}

// askVersions asks whether GitHub lists the versions of an image's package.
func (s *session) askVersions(ctx context.Context, image string) error {
	api, err := s.job.packagesAPI()
	if err != nil {
		return err
	}
	owner, name := github.PackageOf(image)
	_, err = api.Package(ctx, owner, name)
	return err
}

// askMirrors asks of each copy whether it can be pushed, as the registry is asked.
func (s *session) askMirrors(ctx context.Context, f *doctor.Facts) {
	at := s.job.Config.Mirrors
	for i, m := range s.mirrors() {
		for _, name := range slices.Sorted(maps.Values(m.Names)) {
			found := doctor.Copy{Name: name, At: at[i].At}
			if s.job.pushes() {
				found.Write = doctor.Asked(m.Registry.Writable(ctx, name))
			}
			f.Mirrors = append(f.Mirrors, found)
		}
	}
}

// askSources asks for the vulnerability database, without fetching it.
func (s *session) askSources(ctx context.Context, f *doctor.Facts) {
	for _, at := range s.job.Config.TrivyDB {
		ctx, cancel := context.WithTimeout(ctx, askingTime)
		_, err := s.registry.Base(ctx, at, false, nil)
		cancel()
		f.Sources = append(f.Sources, doctor.Source{Answer: doctor.Asked(err), Name: at})
		if err == nil {
			return // it is the first that is taken
		}
	}
}

// askBuilder starts the builder that a run would start.
func (s *session) askBuilder(ctx context.Context, f *doctor.Facts) {
	f.Wanted = wantedBy(s.job.Config.Services)
	if s.noEngine != nil && s.job.Config.Builder == "" && len(s.job.Config.Builders) == 0 {
		return // which says it
	}
	started, err := s.bootBuilder(ctx)
	f.Builder = doctor.Builder{Answer: doctor.Asked(err), Name: s.builder, Adopted: s.adopted, New: started.New, Platforms: started.Platforms}
}

func wantedBy(services []service.Service) []string {
	var builds []plan.Service
	for _, d := range services {
		builds = append(builds, plan.Service{Platforms: d.Platforms})
	}
	return wanted(builds)
}

func (s *session) askPrograms(ctx context.Context, f *doctor.Facts) {
	type program struct {
		name    string
		version func(context.Context) (string, error)
	}
	all := []program{{"git", s.job.Repo.Version}, {"buildx", s.buildxVersion}, {"trivy", s.trivy().Version}}
	if s.job.Config.Deploy.At != "" {
		all = append(all, program{"docker compose", s.composeVersion})
	}
	for _, program := range all {
		version, err := program.version(ctx)
		f.Programs = append(f.Programs, doctor.Program{Name: program.name, Version: version, Err: err})
	}
}

func (s *session) buildxVersion(ctx context.Context) (string, error) {
	argv, err := buildx.Find(s.job.Environ)
	if err != nil {
		return "", err
	}
	return (&buildx.Client{Run: s.process.Run, Argv: argv, Env: s.environ()}).Version(ctx)
}

func (s *session) composeVersion(ctx context.Context) (string, error) {
	_, version, err := deploy.Find(ctx, s.process.Run, s.environ())
	return version, err
}
