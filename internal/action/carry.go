package action

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/carry"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/results"
)

// A carried memory is one that travels from run to run.
type carried struct {
	carrier *carry.Carrier
	access  results.Access
	// still says why it does not travel; empty if it does.
	still string
	// home is where it lives besides; nil where it has no other home.
	home *carry.Home
	// notices say what was lost on the way, for a person.
	notices []string
	cost    learn.Figures // of bringing it
}

// fetchMemory brings the memory of earlier runs to where it belongs. Where there is one already, somebody has brought it, and sees to
// the next runs as well.
func fetchMemory(ctx context.Context, p Process, j job, log *actions.Log) carried {
	c := j.carried(p)
	if c.still == "" && exists(j.memoryPath()) {
		c.still = "it was there when the run began, so whoever brought it keeps it"
	}
	if c.still == "" && c.access.Read {
		c.bring(p, log, func() error { return c.fetch(ctx, log) })
	}
	if c.home != nil {
		c.bring(p, log, func() error { return j.atHome(ctx, p, log, c.home.Take) })
	}
	return c
}

// conflicts are how many entries this run and others have written otherwise at the same time.
func (c *carried) conflicts() (n int) {
	if c.carrier != nil {
		n = c.carrier.Conflicts
	}
	if c.home != nil {
		n += c.home.Conflicts()
	}
	return n
}

// bring takes what it costs to bring a memory, and notes what was lost of it.
func (c *carried) bring(p Process, log *actions.Log, how func() error) {
	begun := p.Now()
	err := how()
	c.cost.Restore += p.Now().Sub(begun).Seconds()
	c.cost.Count(err)
	if err != nil {
		notice := log.Redact(fmt.Sprintf("The memory of earlier runs was not to be had: %v. At most, this run takes longer for it.", err))
		log.Warning(actions.Annotation{Title: "Memory", Message: notice})
		c.notices = append(c.notices, notice)
	}
}

// fetch brings it from the cache. Not to know what was kept beside the newest is usual, as it takes a right of its own.
func (c *carried) fetch(ctx context.Context, log *actions.Log) error {
	keys, err := c.carrier.Fetch(ctx)
	if len(keys) > 0 {
		log.Printf("the memory of earlier runs is %s", strings.Join(keys, " with "))
	}
	if errors.Is(err, carry.ErrUnlisted) {
		log.Printf("  %v", err)
		return nil
	}
	return err
}

// homeTime bounds what is done with a memory's other home at once.
const homeTime = time.Minute

// atHome does something with the memory and its other home, one step after the other whatever becomes of them.
func (j job) atHome(ctx context.Context, p Process, log *actions.Log, do ...func(context.Context, *memory.Store) error) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, homeTime, fmt.Errorf("it took longer than %s", homeTime))
	defer cancel()
	store, err := j.openMemory(ctx, p, log, j.memoryPath())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	for _, step := range do {
		failed := step(ctx, store)
		if failed != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err = errors.Join(err, failed)
	}
	return err
}

// openMemory opens the memory as this job. One that cannot be used is set aside.
func (j job) openMemory(ctx context.Context, p Process, log *actions.Log, path string) (*memory.Store, error) {
	store, notice, err := memory.OpenOrSetAside(ctx, path, p.Now, memory.WithWriter(j.writer(p)), memory.WithSecrets(log.Secrets()...))
	if notice != "" {
		log.Warning(actions.Annotation{Title: "Memory", Message: notice})
	}
	return store, err
}

// writer is what the memory knows this job as.
func (j job) writer(p Process) string {
	if !j.onRunner() {
		return ""
	}
	return fmt.Sprintf("%s/%s/%s", j.Event.Repository, runID(j.Event, p.Now()), cmp.Or(j.Config.Row, j.Config.Mode))
}

// shareMemory gives what the run has learnt to the memory's other home, and puts together what is there.
func (s *session) shareMemory(ctx context.Context) error {
	home := s.job.memory.home
	if home == nil || home.ReadOnly {
		return nil
	}
	steps := []func(context.Context, *memory.Store) error{home.Take, home.Give}
	if s.job.Config.Mode != "publish" { // else the job that finalizes does it
		steps = append(steps, s.settleHome)
	}
	err := s.job.atHome(ctx, s.process, s.log, steps...)
	if err == nil {
		s.log.Printf("the memory is shared in %s", home.Repository)
	}
	return err
}

// settleHome puts together what is in the memory's other home. That old parts stay is no loss.
func (s *session) settleHome(ctx context.Context, store *memory.Store) error {
	err := s.job.memory.home.Settle(ctx, store)
	if errors.Is(err, carry.ErrInTheWay) {
		s.log.Printf("%v", err)
		return nil
	}
	return err
}

// listCaches asks GitHub what the cache holds. Rows of the matrix do not ask: what is planned from is enough for them. Nor is there
// anybody to ask with act.
func (j job) listCaches(p Process) func(context.Context, string) ([]github.Cache, error) {
	api, err := github.New(j.Event.APIURL, j.Event.Repository, j.Config.Token)
	if err != nil || j.Config.Token == "" || j.Config.Mode == "publish" || p.Getenv("ACT") != "" {
		return nil
	}
	return api.Caches
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// carried finds out how the memory can travel. GitHub Enterprise Server and act have a cache of their own.
func (j job) carried(p Process) carried {
	if j.Config.Memory == "off" || !filepath.IsLocal(j.Config.Memory) {
		return carried{still: "it is outside the workspace"}
	}
	c := carried{home: j.memoryHome(p), carrier: &carry.Carrier{Workspace: j.Workspace, Path: j.Config.Memory, Temp: tempDir(j.Event), Now: p.Now, Since: p.Now(), List: j.listCaches(p)}}
	var err error
	if onPremises(j.Event.ServerURL) || p.Getenv("ACT") != "" {
		c.access = results.Access{Read: true, Write: []string{j.Event.Ref}}
		c.carrier.Cache, err = memoryCache(results.NewCacheV1, p, "ACTIONS_CACHE_URL")
	} else if c.carrier.Cache, err = memoryCache(results.NewCacheV2, p, "ACTIONS_RESULTS_URL"); err == nil {
		c.access, err = results.CacheAccess(p.Getenv("ACTIONS_RUNTIME_TOKEN"), p.Getenv("ACTIONS_CACHE_MODE"))
	}
	if err != nil {
		c.still = fmt.Sprintf("the runner offers no cache of GitHub Actions: %v", err)
	}
	return c
}

// handIn gives what a row of the matrix has learnt to the memory's other home, lest it be lost where nobody finalizes.
func (s *session) handIn(ctx context.Context, learnt []memory.Entry) []string {
	if s.job.memory.home == nil || s.job.memory.home.ReadOnly {
		return nil
	}
	_, err := s.remember(ctx, learnt)
	return s.lost("shared", errors.Join(err, s.shareMemory(ctx)))
}

// memoryHome is where the memory lives besides; nil for nowhere. Everybody reads it, so nobody writes whose commits may never be a
// branch's.
func (j job) memoryHome(p Process) *carry.Home {
	if j.Config.MemoryHome == "" {
		return nil
	}
	home := &carry.Home{Registry: j.registryClient(), Repository: j.Config.MemoryHome, Now: p.Now, Since: p.Now(),
		ReadOnly: j.Event.Fork || strings.HasPrefix(j.Event.Name, "pull_request") || j.Event.Name == mergeQueue || !j.pushes()}
	if api, err := github.New(j.Event.APIURL, j.Event.Repository, j.Config.Token); err == nil && j.Config.Registry == "ghcr.io" {
		home.Forget = func(ctx context.Context, names []string) error {
			return forgetPackages(ctx, api, home.Repository, names)
		}
	}
	return home
}

// forgetPackages deletes parts of a memory from GitHub's registry, which takes that by GitHub's API alone.
func forgetPackages(ctx context.Context, api *github.Client, repository string, names []string) error {
	owner, name := github.PackageOf(repository)
	tags := make([]string, len(names))
	for i, name := range names {
		tags[i] = registry.MemoryTag(name)
	}
	return api.DeleteTagged(ctx, owner, name, tags)
}

// memoryCache opens the cache of whose address a variable tells.
func memoryCache[C carry.Cache](open func(address, token string) (C, error), p Process, variable string) (carry.Cache, error) {
	address, token := p.Getenv(variable), p.Getenv("ACTIONS_RUNTIME_TOKEN")
	if address == "" || token == "" {
		return nil, fmt.Errorf("%s and ACTIONS_RUNTIME_TOKEN are not set", variable)
	}
	return open(address, token)
}

// keepMemory saves the memory for later runs, where those may build on what this one has learnt. On a laptop it stays where it is.
func (s *session) keepMemory(ctx context.Context) error {
	if !s.job.onRunner() || s.job.Config.Memory == "off" {
		return nil
	}
	still := s.job.memory.still
	if still == "" {
		still = s.job.untrusted("memory")
	}
	if strings.HasPrefix(s.job.Event.Ref, "refs/tags/") && s.job.memory.still == "" && s.job.memory.home == nil && s.job.pushes() {
		return errors.New("what a git tag's run keeps is read by no branch; `memory: oci://HOST/OWNER/NAME` is read by all")
	}
	if still != "" {
		s.log.Printf("the memory is not kept for later runs: %s", still)
		return nil
	}
	if !slices.Contains(s.job.memory.access.Write, s.job.Event.Ref) {
		return errors.New("this run's token may not write to the cache of GitHub Actions")
	}
	unique := make([]byte, 4)
	_, _ = rand.Read(unique) // which never fails
	key := fmt.Sprintf("%s%s-%s", carry.Prefix, runID(s.job.Event, s.begun), hex.EncodeToString(unique))
	begun := s.process.Now()
	err := s.job.memory.carrier.Keep(ctx, key)
	s.figures.Save = s.process.Now().Sub(begun).Seconds()
	s.figures.Count(err)
	if err != nil {
		return err
	}
	s.log.Printf("the memory is kept for later runs as %s", key)
	return nil
}
