package action_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/org/ghcr-publish/internal/githubtest"
	"github.com/org/ghcr-publish/internal/sample"
	"github.com/rogpeppe/go-internal/testscript"
)

// packages orgs|users: the registry is as GitHub's own, and its owner is an organization, or a user.
func useGitHubsRegistry(ts *testscript.TestScript, _ bool, args []string) {
	s := stageOf(ts)
	s.owners = args[0]
	githubs := s.github.Registry(args[0], s.manifests)
	s.githubs.Store(&githubs)
	s.github.SetBranches("main")
}

// branches NAME...: the repository has these.
func setBranches(ts *testscript.TestScript, _ bool, args []string) {
	stageOf(ts).github.SetBranches(args...)
}

// pulls N=BRANCH...: these pull requests came from these branches; N! is open, the others are closed.
func setPulls(ts *testscript.TestScript, _ bool, args []string) {
	var pulls []githubtest.Pull
	for _, arg := range args {
		text, branch, _ := strings.Cut(arg, "=")
		n, err := strconv.Atoi(strings.TrimSuffix(text, "!"))
		ts.Check(err)
		pulls = append(pulls, githubtest.Pull{Number: n, Branch: branch, Open: strings.HasSuffix(text, "!")})
	}
	stageOf(ts).github.SetPulls(pulls...)
}

// released TAG TEXT: there is such a release.
func addRelease(ts *testscript.TestScript, _ bool, args []string) {
	stageOf(ts).github.AddRelease(githubtest.Release{Tag: args[0], Body: args[1]})
}

func (s *stage) versions(service string) []int {
	return s.github.Versions(s.owners, strings.ToLower(sample.Owner), sample.Images[service])
}

// versions SERVICE N: the package has so many versions.
func checkVersions(ts *testscript.TestScript, _ bool, args []string) {
	if got := stageOf(ts).versions(args[0]); fmt.Sprint(len(got)) != args[1] {
		ts.Fatalf("%d versions, want %s", len(got), args[1])
	}
}

// popular SERVICE DIGEST: it was downloaded so often that GitHub does not delete it.
func makePopular(ts *testscript.TestScript, _ bool, args []string) {
	s := stageOf(ts)
	s.github.Popular(s.owners, strings.ToLower(sample.Owner), sample.Images[args[0]], args[1])
}

// listing-lags N: GitHub's lists of versions do not know of the last N changes.
func makeListingLag(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	stageOf(ts).github.Lag(n)
}

// whole SERVICE TAG: the tag points to an index, and all images that this lists are there.
func checkWhole(ts *testscript.TestScript, _ bool, args []string) {
	for _, m := range indexOf(ts, args[0], args[1]).Manifests {
		ref, err := name.NewDigest(stageOf(ts).repository(args[0]) + "@" + m.Digest.String())
		ts.Check(err)
		_, err = remote.Head(ref)
		ts.Check(err)
	}
}

// breaks SERVICE TAG: somebody deletes the first image of the index that the tag points to.
func breakImage(ts *testscript.TestScript, _ bool, args []string) {
	s := stageOf(ts)
	s.github.Remove(s.owners, strings.ToLower(sample.Owner), sample.Images[args[0]], indexOf(ts, args[0], args[1]).Manifests[0].Digest.String())
}

// lose SERVICE DIGEST: the registry has lost a manifest that GitHub lists.
func loseManifest(ts *testscript.TestScript, _ bool, args []string) {
	s := stageOf(ts)
	_, path, _ := strings.Cut(s.repository(args[0]), "/")
	kept := httptest.NewRecorder()
	s.manifests.ServeHTTP(kept, httptest.NewRequest(http.MethodDelete, "/v2/"+path+"/manifests/"+args[1], nil))
	if kept.Code != http.StatusAccepted {
		ts.Fatalf("losing %s: %d", args[1], kept.Code)
	}
}

// there SERVICE DIGEST: the registry has it. With ! it has not.
func checkThere(ts *testscript.TestScript, neg bool, args []string) {
	ref, err := name.NewDigest(stageOf(ts).repository(args[0]) + "@" + args[1])
	ts.Check(err)
	if _, err := remote.Head(ref); (err != nil) != neg {
		ts.Fatalf("%s: %v", args[1], err)
	}
}
