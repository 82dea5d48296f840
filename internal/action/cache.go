package action

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/results"
	"github.com/org/ghcr-publish/internal/service"
)

// caches says what the run may do with each tier.
func (j job) caches(p Process) cache.Run {
	return cache.Run{Grants: map[string]cache.Grant{
		service.CacheActions: j.actionsCache(p), service.CacheRegistry: j.registryCache(), service.CacheLocal: j.localCache(p),
	}}
}

// untrusted says why other runs must not build on the layers of this one; empty if they may. Only what a branch has reached is built on:
// whoever opens a pull request would otherwise decide what is in the image of the default branch.
func (j job) untrusted() string {
	switch {
	case j.Event.Fork || strings.HasPrefix(j.Event.Name, "pull_request"):
		return "a pull request keeps no layers, so that none gets into the images of a branch"
	case !strings.HasPrefix(j.Event.Ref, "refs/heads/"):
		return "only a branch keeps layers"
	case j.Event.Name != "local" && !j.pushes():
		return "a run that pushes nothing keeps no layers"
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
	grant := cache.Grant{Read: access.Read, Why: j.untrusted()}
	if grant.Why == "" && !slices.Contains(access.Write, j.Event.Ref) {
		grant.Why = "this run's token may not write to the cache of GitHub Actions"
	}
	grant.Write = grant.Why == ""
	return grant
}

// registryCache is there wherever the images are. On a machine of one's own nothing is written to it.
func (j job) registryCache() cache.Grant {
	grant := cache.Grant{Read: true, Why: j.untrusted()}
	if grant.Why == "" && j.Event.Name == "local" {
		grant.Why = "only workflows keep layers in the registry"
	}
	grant.Write = grant.Why == ""
	return grant
}

// localCache is a folder of this machine: a runner has one only where somebody names one that is kept.
func (j job) localCache(p Process) cache.Grant {
	if j.onRunner() && j.Config.CacheDir == filepath.Join(workDir(p, j.Event), "layers") {
		return cache.Grant{Why: "no folder is kept on this runner; cache-dir names one"}
	}
	why := j.untrusted()
	return cache.Grant{Read: true, Write: why == "", Why: why}
}

// chooseCache decides where a service's layers come from and go to.
func (s *session) chooseCache(d service.Service) cache.Policy {
	if d.NoCache != nil && *d.NoCache {
		return cache.Policy{Writes: service.CacheOff, Reads: []string{}, Reason: "no_cache builds everything anew"}
	}
	return s.caches.Choose(cmp.Or(d.Cache, s.job.Config.Cache), nil)
}

// withCache has a build read and keep layers.
func (s *session) withCache(request *buildx.Build, of plan.Service, policy cache.Policy) {
	place := cache.Place{Service: of.Name, Image: of.Image, Folder: s.job.at(s.job.Config.CacheDir), Exists: hasLayers, Branches: s.job.branches(),
		Platforms: request.Platforms, Whole: of.Platforms, PlainHTTP: s.job.plainHTTP()}
	request.CacheFrom, request.CacheTo = place.From(policy), place.To(policy)
}

// hasLayers reports whether a folder holds layers: buildx warns about one that does not.
func hasLayers(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "index.json"))
	return !errors.Is(err, fs.ErrNotExist)
}

// branches are those whose layers a build may begin with, its own first.
func (j job) branches() []string {
	var branches []string
	for _, branch := range []string{strings.TrimPrefix(j.Event.Ref, "refs/heads/"), strings.TrimPrefix(j.Event.BaseRef, "refs/heads/"), j.Event.DefaultBranch} {
		if branch != "" && !strings.HasPrefix(branch, "refs/") && !slices.Contains(branches, branch) {
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
	return []string{"ACTIONS_RUNTIME_TOKEN=" + token, "ACTIONS_CACHE_SERVICE_V2=true"}
}

// usedCache tells what came of a policy. What was lost is for a person to know.
func (s *session) usedCache(of plan.Service, policy cache.Policy, progress *buildx.Progress) cache.Use {
	use := cache.Use{Policy: policy, Tiers: progress.Gave(policy, s.newBuilder)}
	for _, gave := range use.Tiers {
		if gave.Lost != "" {
			s.note(fmt.Sprintf("%s: the cache in %s was of no use: %s. The image does not suffer, only the time that it or the next one takes.", of.Name, gave.Tier, gave.Lost))
		}
	}
	return use
}
