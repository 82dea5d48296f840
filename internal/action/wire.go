package action

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/mirror"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/probe"
	"github.com/org/ghcr-publish/internal/promote"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/scan"
	"github.com/org/ghcr-publish/internal/sign"
	"github.com/org/ghcr-publish/internal/tags"
	"github.com/org/ghcr-publish/internal/trivy"
	"github.com/org/ghcr-publish/internal/verdict"
)

// A session has the parts of one run, wired.
type session struct {
	job       job
	process   Process
	log       *actions.Log
	begun     time.Time
	private   *privateDir
	memory    hidden
	documents []trivy.Document // VEX
	scanner   *scan.Scanner
	registry  *registry.Client
	buildx    *buildx.Client
	engine    *engine.Engine
	place     engine.Place // of this program's own container
	networks  func() []engine.Attachment
	builder   string
	adopted   bool // it is the user's
	// newBuilder says that it had no layers when the run began.
	newBuilder bool
	caches     cache.Run
	worth      map[string]map[string]cache.Worth // of the tiers, by service, as the memory has it
	native     string                            // the engine's platform
	noEngine   error
	usual      map[string]verdict.History   // of each service, as the memory has it
	args       map[string]map[string]string // fingerprints of build arguments by the inputs of images, likewise
	found      map[string]map[string]int    // how many findings each of its images had, by digest, likewise
	history    func() learn.History         // builds, likewise, which are read once they are needed
	trials     learn.Trials                 // likewise
	// figures are what working together costs this run, and cost those that the memory knows of.
	figures learn.Figures
	before  []learn.Figures
	runner  string // that the work is done on

	alone    bool // one service is worked on, and no other
	underway live // what is done with each service

	known    insight.Known // what the memory has
	member   *member       // among those who share it
	started  time.Time     // the run, whose plan may have been made by another job
	planning publish.Span  // of it; nothing where nothing was planned

	mu          sync.Mutex
	loaded      []string          // images that this run put into the engine
	sigstore    *sign.Instance    // that certifies; nil until it is needed
	notices     []string          // of what was let be, for a person
	checked     []string          // what build checks have told
	inventories map[string][]byte // what images hold, as it was attested, by the name of a file
	gaveToken   bool              // builds got the runner's token, for the cache

	leaving  sync.WaitGroup // of networks that are being taken away
	remained []error        // why what was to be taken away could not be
	changes  changes

	mirrored []mirror.Result
}

func (j job) registryClient() *registry.Client {
	return &registry.Client{Host: j.Config.Registry, Username: j.Config.Username, Password: j.registryToken(), PlainHTTP: j.plainHTTP()}
}

// planner decides what the run does; it needs the clone and, where it can be read, the registry.
func (j job) planner() plan.Planner {
	registry := j.registryClient()
	return plan.Planner{Config: j.Config, Event: j.Event, Native: "linux/" + runtime.GOARCH, Rules: j.Rules, Repo: j.Repo, Pushes: j.pushes(),
		Resolve: registry.Resolve, Read: registry.Read, Digest: registry.Digest, Base: j.baseImages()}
}

// open makes what a run works with. The caller closes the session, which removes the login.
func open(ctx context.Context, p Process, j job, log *actions.Log, started time.Time) (*session, error) {
	dir, err := newPrivateDir(tempDir(j.Event))
	if err != nil {
		return nil, err
	}
	s := &session{job: j, process: p, log: log, begun: p.Now(), started: started, private: dir, registry: j.registryClient(), runner: j.runner(), figures: j.memory.cost}
	s.notices = append(s.notices, j.memory.notices...)
	s.remind(ctx)
	if err := dir.login(p.Getenv("HOME"), j.registryLogin()); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	if s.documents, err = s.keepDocuments(); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	if s.memory, err = hide(j.memoryPath(), dir.path); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	s.native = "linux/" + runtime.GOARCH
	s.engine, s.noEngine = engine.Open(p.Getenv)
	if s.noEngine != nil {
		return s, nil
	}
	if native, err := s.engine.Platform(ctx); err != nil {
		s.noEngine = fmt.Errorf("no Docker Engine is within reach (mount /var/run/docker.sock or set DOCKER_HOST): %w", err)
	} else {
		s.native = native
		s.engine.Owner, s.engine.Gone = dir.owner(), ownerGone
		s.settle(ctx)
		sweep(ctx, s.engine, p, log)
	}
	return s, nil
}

// Close takes away what the run made for itself and puts the memory back. What of that fails is for a
// person to know, and changes nothing about what was published.
func (s *session) Close() (notices []string) {
	note := func(err error) {
		if err != nil {
			s.log.Warning(actions.Annotation{Title: "Cleaning up", Message: err.Error()})
			notices = append(notices, "Cleaning up: "+err.Error())
		}
	}
	if s.scanner != nil {
		s.scanner.Close()
	}
	for _, image := range s.loaded {
		note(s.engine.Discard(image))
	}
	s.leaving.Wait()
	note(errors.Join(s.remained...))
	note(s.forgetBuilds())
	note(s.memory.putBack())
	note(s.private.Close())
	return notices
}

func (s *session) environ() []string { return s.private.environ(s.job.Environ, s.job.Workspace) }

// sweep removes what killed runs left on the engine. It is a courtesy: failing it fails nothing.
func sweep(ctx context.Context, e *engine.Engine, p Process, log *actions.Log) {
	if n, err := e.Sweep(ctx, p.Now()); err != nil {
		log.Printf("sweeping what earlier runs left: %v", err)
	} else if n > 0 {
		log.Printf("removed %d containers and networks that an earlier run left", n)
	}
}

// publisher wires the steps of a run. What scans is set where there is something to scan.
func (s *session) publisher() publish.Publisher {
	config := s.job.Config
	p := publish.Publisher{
		Build: s.build, Reuse: s.reuse, Published: s.published, Index: s.index,
		Promote: func(ctx context.Context, service plan.Service, approval verdict.Approval) ([]tags.Move, error) {
			moves, err := s.promoter(s.job.Event.SHA, s.job.Event.Ref).Promote(ctx, service, approval)
			return moves, hint(err)
		},
		Tell: s.log.Printf, Enter: s.underway.enter, Now: s.process.Now, Gates: config.Gates, Usual: s.usual, Found: s.found, Native: s.native, NoEngine: s.noEngine,
		MaxParallel: config.MaxParallel, PerService: config.Promote == "per-service", NoPush: !s.job.pushes(),
	}
	if config.Sign != "off" {
		p.Sign = func(ctx context.Context, r publish.Result, approval verdict.Approval) (sign.Record, error) {
			record, err := s.sign(ctx, r, approval)
			return record, hint(err)
		}
	}
	s.keepJournal(&p)
	login := engine.Credentials{Host: config.Registry, Username: config.Username, Password: s.job.registryToken()}
	p.Probe = (&probe.Prober{Engine: s.engine, Login: login, Networks: s.networks, Every: 50 * time.Millisecond, SmokeTime: time.Minute, PeerTime: peerTime}).Probe
	return p
}

// trivy is the scanner's program. It takes nothing from the environment that would change what it does.
func (s *session) trivy() *trivy.Client {
	env := slices.DeleteFunc(s.environ(), func(entry string) bool { return strings.HasPrefix(entry, "TRIVY_") })
	return &trivy.Client{Run: s.process.Run, Env: env, Dir: s.private.path, CacheDir: s.trivyCache(), PlainHTTP: s.job.plainHTTP(),
		Scanners: scan.Scanners(s.job.Config.Gates), VEX: s.documents}
}

// startScanner fetches the database while the builds run.
func (s *session) startScanner(ctx context.Context) *scan.Scanner {
	if s.scanner != nil {
		return s.scanner // what is to be scanned comes in several lots
	}
	config := s.job.Config
	s.scanner = scan.Start(ctx, s.trivy(), trivy.Supply{Repositories: config.TrivyDB, MaxAge: config.Gates.Vulnerabilities.MaxAge, Now: s.process.Now})
	s.scanner.ReadFile = s.readFile
	return s.scanner
}

func (s *session) readFile(name string) ([]byte, error) { return s.job.readFile(name) }

// readFile reads a file of the workspace, and none outside it.
func (j job) readFile(name string) ([]byte, error) {
	root, err := os.OpenRoot(j.Workspace)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.ReadFile(name)
}

// promoter moves tags for a run of a commit and a ref: this one, or another that was killed.
func (s *session) promoter(commit, ref string) promote.Promoter {
	p := promote.Promoter{Resolve: s.registry.Resolve, Tag: s.registry.Tag, Tags: s.registry.Tags, Versions: s.job.Rules.Published,
		Commit: commit, IsAncestor: s.job.Repo.IsAncestor, Tip: s.job.tip(ref),
		GitTag: strings.HasPrefix(ref, "refs/tags/"), Fetch: s.job.Repo.Fetch, InputsAt: s.job.planner().InputsAt, Force: s.job.Config.ForceMove}
	if trunk := "refs/heads/" + s.job.Event.DefaultBranch; s.job.Event.DefaultBranch != "" && ref != trunk {
		p.Trunk = s.job.tip(trunk)
	}
	return p
}

// trivyCache keeps the database between runs on one machine.
func (s *session) trivyCache() string {
	if dir := s.process.Getenv("TRIVY_CACHE_DIR"); dir != "" {
		return dir
	}
	return filepath.Join(workDir(s.process, s.job.Event), "trivy")
}

func (s *session) reuse(ctx context.Context, service plan.Service, _ map[string]publish.Candidate) (publish.Candidate, error) {
	image, err := s.published(ctx, service.Image, service.Reused)
	return publish.Candidate{Image: image}, err
}

// index joins what rows have pushed.
func (s *session) index(ctx context.Context, service plan.Service, digests []string) (registry.Image, error) {
	annotations, whole := unmarked(service)
	if slices.Contains(s.job.Event.Levels, "index") {
		maps.Copy(whole, annotations)
	}
	if !slices.Contains(s.job.Event.Levels, "manifest-descriptor") {
		annotations = nil
	}
	ref, err := s.registry.Join(ctx, service.Image, digests, whole, annotations)
	if err != nil {
		return registry.Image{}, hint(err)
	}
	joined, err := s.registry.Read(ctx, ref)
	return joined, hint(err)
}

// published reads an image by its digest, whole.
func (s *session) published(ctx context.Context, image, digest string) (registry.Image, error) {
	ref, err := s.registry.Digest(image, digest)
	if err != nil {
		return registry.Image{}, err
	}
	read, err := s.registry.Read(ctx, ref)
	return read, hint(err)
}
