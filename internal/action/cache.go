package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/results"
	"github.com/org/ghcr-publish/internal/service"
)

// caches says what the run may do with each tier.
func (j job) caches(p Process) cache.Run {
	return cache.Run{Grants: map[string]cache.Grant{
		service.CacheActions: j.actionsCache(p), service.CacheRegistry: j.registryCache(), service.CacheLocal: j.localCache(p),
	}}
}

// prepareCaches finds out what there is to choose from.
func (s *session) prepareCaches(ctx context.Context) {
	s.caches = s.job.caches(s.process)
	if s.caches.Grants[service.CacheActions].Write {
		s.caches.Crowded = s.crowded(ctx)
	}
}

const (
	// full is the share of its limit from which on more layers would push out what other jobs need.
	full = 0.9
	// askingTime bounds the question: the answer is worth no more.
	askingTime = 10 * time.Second
)

// crowded says why little should be written to the cache of GitHub Actions; empty where there is room, or nobody knows.
func (s *session) crowded(ctx context.Context) string {
	ctx, cancel := context.WithTimeoutCause(ctx, askingTime, fmt.Errorf("no answer within %s", askingTime))
	defer cancel()
	api, err := github.New(s.job.Event.APIURL, s.job.Event.Repository, s.job.Config.Token)
	if err != nil {
		return ""
	}
	used, limit, err := api.CacheUsage(ctx)
	if err != nil {
		s.log.Printf("%v", err)
		return ""
	}
	return crowding(used, limit)
}

// crowding tells a cache that is full, or nearly; empty for another.
func crowding(used, limit int64) string {
	if share := float64(used) / float64(limit); share > full {
		return fmt.Sprintf("the cache of GitHub Actions is full to %.0f%% of %s", 100*share, units.BytesSize(float64(limit)))
	}
	return ""
}

// untrusted says why other runs must not build on things of this one, such as its layers; empty if they may. Only what a branch has reached is built on:
// whoever opens a pull request would otherwise decide what is in the image of the default branch.
func (j job) untrusted(things string) string {
	switch {
	case j.Event.Fork || strings.HasPrefix(j.Event.Name, "pull_request"):
		return "a pull request keeps no " + things + ", so that none gets into the images of a branch"
	case !strings.HasPrefix(j.Event.Ref, "refs/heads/") || j.Event.Name == mergeQueue:
		return "only a branch keeps " + things
	case j.Event.Name != "local" && !j.pushes():
		return "a run that pushes nothing keeps no " + things
	default:
		return ""
	}
}

// actionsCache reads the grant from the runner's own token.
func (j job) actionsCache(p Process) cache.Grant {
	token := p.Getenv("ACTIONS_RUNTIME_TOKEN")
	if token == "" || p.Getenv("ACTIONS_RESULTS_URL") == "" || onPremises(j.Event.ServerURL) || p.Getenv("ACT") != "" {
		return cache.Grant{Why: "the runner offers no cache of GitHub Actions"}
	}
	access, err := results.CacheAccess(token, p.Getenv("ACTIONS_CACHE_MODE"))
	if err != nil {
		return cache.Grant{Why: fmt.Sprintf("the runner offers no cache of GitHub Actions: %v", err)}
	}
	grant := cache.Grant{Read: access.Read, Why: j.untrusted("layers")}
	if j.Event.Runner == "self-hosted" || j.Config.Builder != "" || len(j.Config.Builders) > 0 {
		grant.Asked = "a builder that outlives the job could keep the runner's token, so the cache of GitHub Actions must be asked for"
	}
	if grant.Why == "" && !slices.Contains(access.Write, j.Event.Ref) {
		grant.Why = "this run's token may not write to the cache of GitHub Actions"
	}
	grant.Write = grant.Why == ""
	return grant
}

// registryCache is there wherever the images are. On a machine of one's own nothing is written to it.
func (j job) registryCache() cache.Grant {
	grant := cache.Grant{Read: true, Why: j.untrusted("layers")}
	if grant.Why == "" && j.Event.Name == "local" {
		grant.Why = "only workflows keep layers in the registry"
	}
	grant.Write = grant.Why == ""
	return grant
}

// localCache is a folder of this machine: a runner has one only where somebody names one that is kept.
func (j job) localCache(p Process) cache.Grant {
	if j.onRunner() && j.Config.CacheDir == j.layersDir(p) {
		return cache.Grant{Why: "no folder is kept on this runner; cache-dir names one"}
	}
	why := j.untrusted("layers")
	return cache.Grant{Read: true, Write: why == "", Why: why}
}

// layersDir is where layers are kept unless another folder is named.
func (j job) layersDir(p Process) string { return filepath.Join(j.filesDir(p), "layers") }

// chooseCache decides where a service's layers come from and go to.
func (s *session) chooseCache(d service.Service) cache.Policy {
	if d.NoCache != nil && *d.NoCache {
		return cache.Policy{Writes: service.CacheOff, Reads: []string{}, Reason: "no_cache builds everything anew"}
	}
	return s.caches.Choose(cmp.Or(d.Cache, s.job.Config.Cache), s.worth[d.Name])
}

// withCache has a build read and keep layers.
func (s *session) withCache(request *buildx.Build, of plan.Service, policy cache.Policy) {
	place := cache.Place{Service: of.Name, Image: of.Image, Folder: s.job.at(s.job.Config.CacheDir), Branches: s.job.branches(),
		Platforms: request.Platforms, Whole: of.Platforms, PlainHTTP: s.job.plainHTTP()}
	place.Exists = func(folder string) bool { return s.hasLayers(of.Name, folder, policy.Writes == service.CacheLocal) }
	request.CacheFrom, request.CacheTo = place.From(policy), place.To(policy)
}

// hasLayers reports whether a folder holds layers that can be read. One that is damaged is taken away where layers are written: what is
// there by its name would not be written again. BuildKit finds out only in the middle of a build, and may be left unable to build anything.
func (s *session) hasLayers(name, folder string, writes bool) bool {
	err := soundLayers(folder)
	if err == nil || errors.Is(err, errNoLayers) {
		return err == nil
	}
	if writes {
		err = errors.Join(err, os.RemoveAll(folder))
	}
	s.note(lostCache(name, service.CacheLocal, fmt.Sprintf("it is damaged: %v", err)))
	return false
}

var errNoLayers = errors.New("there are no layers")

// soundLayers proves that each layer that a folder lists is there, as long as it should be.
func soundLayers(folder string) error {
	if _, err := os.Stat(filepath.Join(folder, "index.json")); errors.Is(err, fs.ErrNotExist) {
		return errNoLayers
	}
	image, err := layoutImage(folder)
	if err != nil {
		return err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	for _, layer := range append(manifest.Layers, manifest.Config) {
		info, err := os.Stat(filepath.Join(folder, "blobs", layer.Digest.Algorithm, layer.Digest.Hex))
		if err != nil {
			return err
		}
		if info.Size() != layer.Size {
			return fmt.Errorf("%s has %d bytes instead of %d", layer.Digest, info.Size(), layer.Size)
		}
	}
	return nil
}

// lostCache says that a tier was of no use.
func lostCache(name, tier, why string) string {
	if advice := registry.Advice(why); advice != "" {
		why += "; " + advice
	}
	return fmt.Sprintf("%s: the cache in %s was of no use: %s. The image does not suffer, only the time that it or the next one takes.", name, tier, why)
}

// branches are those whose layers a build may begin with, its own first, whatever that is called.
func (j job) branches() []string {
	own, isBranch := strings.CutPrefix(j.Event.Ref, "refs/heads/")
	if !isBranch {
		own = ""
	}
	var branches []string
	for _, branch := range []string{own, strings.TrimPrefix(j.Event.BaseRef, "refs/heads/"), j.Event.DefaultBranch} {
		if branch != "" && !slices.Contains(branches, branch) {
			branches = append(branches, branch)
		}
	}
	return branches
}

// cacheVariables are what buildx finds the cache of GitHub Actions by. Runners tell containers all but the last of it.
func (s *session) cacheVariables(policy cache.Policy) []string {
	if policy.Writes != service.CacheActions && !slices.Contains(policy.Reads, service.CacheActions) {
		return nil
	}
	token := s.process.Getenv("ACTIONS_RUNTIME_TOKEN")
	s.log.Mask(token)
	s.mu.Lock()
	s.gaveToken = true
	s.mu.Unlock()
	return []string{"ACTIONS_RUNTIME_TOKEN=" + token, "ACTIONS_CACHE_SERVICE_V2=true"}
}

// forgetTime bounds the cleaning up.
const forgetTime = 10 * time.Second

// forgetBuilds has the builder forget the run's builds: its history would tell the runner's token, with which they read the cache.
func (s *session) forgetBuilds() error {
	if !s.gaveToken {
		return nil
	}
	refs := s.builds()
	if len(refs) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), forgetTime)
	defer cancel()
	return s.buildx.Forget(ctx, s.builder, refs)
}

// usedCache tells what came of a policy. What was lost is for a person to know.
func (s *session) usedCache(of plan.Service, policy cache.Policy, progress *buildx.Progress) cache.Use {
	use := cache.Use{Policy: policy, Tiers: progress.Gave(policy, s.newBuilder)}
	for _, gave := range use.Tiers {
		if gave.Lost != "" {
			s.note(lostCache(of.Name, gave.Tier, gave.Lost))
		}
	}
	return use
}
