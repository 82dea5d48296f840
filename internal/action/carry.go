package action

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/carry"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/results"
)

// A carried memory is one that travels from run to run.
type carried struct {
	carrier carry.Carrier
	access  results.Access
	// still says why it does not travel; empty if it does.
	still string
	// notice says what was lost on the way, for a person.
	notice string
	cost   learn.Figures // of bringing it
}

// fetchMemory brings the memory of earlier runs to where it belongs. Where there is one already, somebody has brought it, and sees to
// the next runs as well.
func fetchMemory(ctx context.Context, p Process, j job, log *actions.Log) carried {
	c := j.carried(p)
	if c.still == "" && exists(j.memoryPath()) {
		c.still = "it was there when the run began, so whoever brought it keeps it"
	}
	if c.still != "" || !c.access.Read {
		return c
	}
	begun := p.Now()
	key, err := c.carrier.Fetch(ctx)
	c.cost.Restore = p.Now().Sub(begun).Seconds()
	c.cost.Count(err)
	if err != nil {
		c.notice = log.Redact(fmt.Sprintf("The memory of earlier runs was not to be had: %v. At most, this run takes longer for it.", err))
		log.Warning(actions.Annotation{Title: "Memory", Message: c.notice})
	} else if key != "" {
		log.Printf("the memory of earlier runs is %s", key)
	}
	return c
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
	c := carried{carrier: carry.Carrier{Workspace: j.Workspace, Path: j.Config.Memory, Temp: tempDir(j.Event)}}
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
