package action_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/org/ghcr-publish/internal/action"
	"github.com/org/ghcr-publish/internal/carry"
	"github.com/org/ghcr-publish/internal/enginetest"
	"github.com/org/ghcr-publish/internal/githubtest"
	"github.com/org/ghcr-publish/internal/plan"
	published "github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/resultstest"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/sample"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/sign"
	"github.com/org/ghcr-publish/internal/sigstoretest"
	"github.com/org/ghcr-publish/internal/traffic"
	"github.com/org/ghcr-publish/internal/verdict"
	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts run the program as a process of its own, with real git, a real registry protocol, a
// Docker Engine and a GitHub API that speak theirs, and toolstest in the place of buildx and Trivy.
func TestMain(m *testing.M) {
	testscript.Main(withTools{m}, map[string]func(){
		"ghcr-publish":      program,
		"ghcr-publish-post": program,
		"gh-ghcr-publish":   program,
		"docker-compose":    fakeCompose,
	})
}

// withTools has tests find toolstest on their PATH. It is a program of its own since it is started thousands of times: this test
// binary takes ten times as long to start.
type withTools struct{ *testing.M }

func (m withTools) Run() int {
	// What ignores a signal, as under nohup, has its children ignore it, too; what handles it has not.
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	dir, err := os.MkdirTemp("", "toolstest")
	if err == nil {
		defer os.RemoveAll(dir)
		err = makeTools(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.M.Run()
}

func makeTools(dir string) error {
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "trivy"), "github.com/org/ghcr-publish/internal/toolstest")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building toolstest: %w\n%s", err, out)
	}
	return errors.Join(os.Symlink("trivy", filepath.Join(dir, "buildx")), os.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH")))
}

func program() {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(action.Main(ctx, action.Process{Name: filepath.Base(os.Args[0]), Args: os.Args[1:], Environ: os.Environ(), Dir: dir,
		Stdout: os.Stdout, Stderr: os.Stderr, Run: run.OS, Now: time.Now, Version: "v0.0.0-test"}))
}

const scriptToken = "ghs_scripttoken00000000000000000000000"

func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "../../testdata/script",
		Setup:               setup,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "sample": makeSample, "commit": commit, "tag": checkTag, "moved": checkMoved, "delete": deleteImage, "forge": forgeImage, "merged": mergeCommit,
			"engine": setEngine, "uploads": checkUploads, "uploads-answer": answerUploads, "uploads-fail": failUploads, "uploads-silent": silenceUploads, "uploaded": checkUploaded, "github-ref": setRef, "engine-empty": checkEngine, "engine-networks": limitNetworks,
			"artifacts": checkArtifacts, "output": readOutput, "platforms": checkPlatforms, "tags": checkTags, "has": setFindings, "base": pushBase, "annotation": checkAnnotation, "api-silent": checkSilence,
			"services": checkServices, "key": makeKey, "signed": checkSigned, "registry-refuses": refuseRequests, "registry-clock": setClock, "sigstore": useSigstore, "sigstore-fails": failSigstore, "sigstore-claim": claimOfJob, "attestations": checkAttestations, "attestations-withheld": withholdAttestations, "issues": checkIssues, "comments": checkComments, "comment-by": addComment, "comments-withheld": withholdComments, "speaks-for": speakFor, "releases": checkReleases, "issue-note": noteIssue, "cache-token": giveCache, "cache-filled": fillCache, "no-token": searchToken,
			"ask": askServer, "comes": waitForText, "memories": checkMemories, "cache-evicts": evictFromCache, "cache-breaks": breakCache, "cache-quota": limitCache, "cache-listed": listCaches, "parcels": checkParcels,
			"mirrors": addMirrors, "mirror-down": stopMirror, "mirrored": checkMirrored,
			"digest": readDigest, "is": checkDigest, "same": checkSame, "deployments": checkDeployments, "recorded": checkRecorded, "deployments-elsewhere": addDeployments, "deployments-withheld": withholdDeployments,
			"deployed": checkDeployed, "deployed-none": checkNoneDeployed, "ends": endDeployed, "passes": passTime, "pins": pinVolumes, "remembers": checkVolumes, "forget": forgetVolumes, "proxy-refuses": refuseTraffic,
			"packages": useGitHubsRegistry, "branches": setBranches, "pulls": setPulls, "released": addRelease, "versions": checkVersions, "popular": makePopular, "whole": checkWhole, "listing-lags": makeListingLag, "lose": loseManifest, "breaks": breakImage, "there": checkThere,
		},
	})
}

// A stage is what one script plays on.
type stage struct {
	registry *httptest.Server
	engine   *enginetest.Server
	proxy    *enginetest.Proxy // of the service that is switched, if one is
	github   *githubtest.Server
	results  *resultstest.Server
	repo     *sample.Repo
	seen     map[string]string // what tags pointed to when last looked at
	refused  atomic.Pointer[regexp.Regexp]
	clock    atomic.Int64         // how far the registry's is ahead
	sigstore *sigstoretest.Server // once a script wants one
	copies   map[string]*copyOf   // in other registries, by the name of the mirror
	// manifests are what the registry keeps, and githubs is how GitHub's own deals with them, once a script wants that.
	manifests http.Handler
	githubs   atomic.Pointer[http.Handler]
	owners    string // orgs or users, then
}

func (s *stage) handler() http.Handler {
	if githubs := s.githubs.Load(); githubs != nil {
		return *githubs
	}
	return s.manifests
}

// refusing makes a registry refuse what registry-refuses names.
func (s *stage) refusing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(time.Duration(s.clock.Load())).UTC().Format(http.TimeFormat))
		if refused := s.refused.Load(); refused != nil && refused.MatchString(r.Method+" "+r.URL.Path) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintln(w, `{"errors":[{"code":"DENIED","message":"storage quota exceeded"}]}`)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// registry-clock AHEAD: the registry's clock is so far ahead.
func setClock(ts *testscript.TestScript, _ bool, args []string) {
	ahead, err := time.ParseDuration(args[0])
	ts.Check(err)
	stageOf(ts).clock.Store(int64(ahead))
}

// registry-refuses [PATTERN] makes the registry refuse requests, "METHOD PATH", or none again.
func refuseRequests(ts *testscript.TestScript, _ bool, args []string) {
	stageOf(ts).refused.Store(nil)
	if len(args) > 0 {
		stageOf(ts).refused.Store(regexp.MustCompile(args[0]))
	}
}

// issues STATE...: these are the states of the issues there are; every one has the last body that was written, as $WORK/issue-N.md.
func checkIssues(ts *testscript.TestScript, _ bool, args []string) {
	var states []string
	for _, i := range stageOf(ts).github.Issues() {
		states = append(states, i.State)
		ts.Check(os.WriteFile(ts.MkAbs(filepath.Join(ts.Getenv("WORK"), fmt.Sprintf("issue-%d.md", i.Number))), []byte(i.Title+"\n"+i.Body), 0o644))
	}
	if !slices.Equal(states, args) {
		ts.Fatalf("issues are %q, want %q", states, args)
	}
}

// comments AUTHOR...: these have written the comments there are on pull request 7; every one is in $WORK/comment-N.md.
func checkComments(ts *testscript.TestScript, _ bool, args []string) {
	var authors []string
	for i, c := range stageOf(ts).github.Comments() {
		if authors = append(authors, c.Author); c.On != 7 {
			ts.Fatalf("a comment is on %d", c.On)
		}
		ts.Check(os.WriteFile(ts.MkAbs(filepath.Join(ts.Getenv("WORK"), fmt.Sprintf("comment-%d.md", i+1))), []byte(c.Body), 0o644))
	}
	if !slices.Equal(authors, args) {
		ts.Fatalf("comments are by %q, want %q", authors, args)
	}
}

// comment-by AUTHOR FILE: somebody comments on pull request 7.
func addComment(ts *testscript.TestScript, _ bool, args []string) {
	stageOf(ts).github.AddComments(githubtest.Comment{On: 7, Author: args[0], Body: ts.ReadFile(args[1])})
}

// comments-withheld: the token may write no comments. With ! it may.
func withholdComments(ts *testscript.TestScript, neg bool, _ []string) {
	stageOf(ts).github.WithholdComments(!neg)
}

// speaks-for LOGIN: the token is a person's.
func speakFor(ts *testscript.TestScript, _ bool, args []string) {
	stageOf(ts).github.SpeakFor(args[0])
}

// releases TAG...: the repository has these releases, of drafts followed by a question mark. Their notes are in release-N.md, their files in release-N.
func checkReleases(ts *testscript.TestScript, _ bool, args []string) {
	var all []string
	for i, r := range stageOf(ts).github.Releases() {
		if r.Draft {
			r.Tag += "?"
		}
		all = append(all, r.Tag)
		at := ts.MkAbs(filepath.Join(ts.Getenv("WORK"), fmt.Sprintf("release-%d", i+1)))
		ts.Check(os.RemoveAll(at))
		ts.Check(os.Mkdir(at, 0o755))
		ts.Check(os.WriteFile(at+".md", []byte(r.Name+"\n"+r.Body), 0o644))
		for _, a := range r.Assets {
			ts.Check(os.WriteFile(filepath.Join(at, a.Name), a.Data, 0o644))
		}
	}
	if !slices.Equal(all, args) {
		ts.Fatalf("releases are %q, want %q", all, args)
	}
}

// issue-note N TEXT: somebody writes before and after what stands in an issue.
func noteIssue(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	stageOf(ts).github.NoteIssue(n, args[1])
}

// cache-token REF=N...: the runner's token permits N of the cache for runs of REF: 1 to read, 2 to write, 3 both.
func giveCache(ts *testscript.TestScript, _ bool, args []string) {
	var permissions []resultstest.Permission
	for _, arg := range args {
		ref, text, _ := strings.Cut(arg, "=")
		n, err := strconv.Atoi(text)
		ts.Check(err)
		permissions = append(permissions, resultstest.Permission{Scope: ref, Permission: n})
	}
	token := stageOf(ts).results.CacheToken("run", "job", permissions...)
	ts.Setenv("ACTIONS_RUNTIME_TOKEN", token)
}

// cache-filled BYTES: the repository's cache of GitHub Actions holds so many; none where the token may not know.
func fillCache(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		stageOf(ts).github.WithholdCacheUsage()
		return
	}
	n, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	stageOf(ts).github.FillCache(n, 0)
}

// no-token FILE...: none of the files holds the runner's token.
func searchToken(ts *testscript.TestScript, _ bool, args []string) {
	for _, file := range args {
		for line := range strings.Lines(ts.ReadFile(file)) {
			if strings.Contains(line, ts.Getenv("ACTIONS_RUNTIME_TOKEN")) && !strings.HasPrefix(line, "::add-mask::") {
				ts.Fatalf("%s holds the token: %s", file, line)
			}
		}
	}
}

// memories N REF: the cache of GitHub Actions has so many memories that runs of a ref have kept.
func checkMemories(ts *testscript.TestScript, _ bool, args []string) {
	keys := slices.DeleteFunc(stageOf(ts).results.Cached(args[1]), func(key string) bool { return !strings.HasPrefix(key, carry.Prefix) })
	if fmt.Sprint(len(keys)) != args[0] {
		ts.Fatalf("memories %q, want %s", keys, args[0])
	}
}

// cache-evicts PREFIX: the cache forgets what has such a key.
func evictFromCache(ts *testscript.TestScript, _ bool, args []string) {
	stageOf(ts).results.Evict(args[0])
}

// cache-breaks [PATH STATUS] has the results service answer so whatever is asked for under a path, or all go well again.
func breakCache(ts *testscript.TestScript, _ bool, args []string) {
	stageOf(ts).results.Forgive()
	if len(args) == 0 {
		return
	}
	status, err := strconv.Atoi(args[1])
	ts.Check(err)
	stageOf(ts).results.Break(args[0], status, http.Header{"Retry-After": {"3600"}}, "")
}

// cache-listed: the token may know what the cache holds.
func listCaches(ts *testscript.TestScript, _ bool, _ []string) {
	s := stageOf(ts)
	s.github.ListCaches(func() (listed []githubtest.Cache) {
		for _, e := range s.results.Entries() {
			listed = append(listed, githubtest.Cache(e))
		}
		return listed
	})
}

// parcels: the registry has more parts of the memory than when this was last asked. With ! it has as many.
func checkParcels(ts *testscript.TestScript, neg bool, _ []string) {
	s := stageOf(ts)
	names, err := (&published.Client{Host: s.host()}).Memories(context.Background(), s.host()+"/octo-org/memory")
	ts.Check(err)
	before, _ := strconv.Atoi(s.seen["parcels"]) // none
	if len(names) > before == neg {
		ts.Fatalf("parts %q, and there were %d", names, before)
	}
	s.seen["parcels"] = fmt.Sprint(len(names))
}

// cache-quota BYTES: the cache takes nothing more once it holds so much.
func limitCache(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	stageOf(ts).results.Quota(n)
}

type stageKey struct{}

func setup(env *testscript.Env) error {
	s := &stage{engine: enginetest.Start(), proxy: enginetest.NewProxy(traffic.First(service.Service{Name: "frontend", Port: 3000, HealthEndpoint: "/"})), github: githubtest.Start(scriptToken), results: resultstest.Start(), seen: map[string]string{}, copies: map[string]*copyOf{}}
	s.manifests = registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s.registry = httptest.NewServer(s.refusing(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handler().ServeHTTP(w, r) })))
	env.Values[stageKey{}] = s
	env.Defer(s.registry.Close)
	env.Defer(s.engine.Close)
	env.Defer(s.github.Close)
	env.Defer(s.results.Close)
	temp := filepath.Join(env.WorkDir, "runner")
	if err := os.MkdirAll(temp, 0o755); err != nil {
		return err
	}
	host := strings.TrimPrefix(s.registry.URL, "http://")
	// What a job gets; scripts change some of it with env.
	repo := &sample.Repo{Dir: filepath.Join(env.WorkDir, "cards")}
	vars, err := repo.Environ(env.Vars, sample.Job{ID: "1", API: s.github.URL, Token: scriptToken, Temp: temp})
	env.Vars = append(vars, "DOCKER_HOST="+s.engine.Host(), "REGISTRY="+host, "CALLS="+filepath.Join(env.WorkDir, "calls"),
		"INPUT_REGISTRY="+host, "FINDINGS="+filepath.Join(env.WorkDir, "findings"), "HOME="+env.WorkDir,
		"HTTPS_PROXY=http://127.0.0.1:1", // no script is to depend on what the world's registries have
		"ACTIONS_RESULTS_URL="+s.results.URL, "ACTIONS_RUNTIME_TOKEN="+s.results.Token("run", "job"))
	return err
}

func stageOf(ts *testscript.TestScript) *stage { return ts.Value(stageKey{}).(*stage) }

// sigstore gives the job an identity, and a Sigstore that certifies it.
func useSigstore(ts *testscript.TestScript, _ bool, _ []string) {
	s := stageOf(ts)
	s.sigstore = sigstoretest.Start()
	s.sigstore.Claim("repository", sample.Owner+"/cards")
	ts.Defer(s.sigstore.Close)
	for _, variable := range s.sigstore.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		ts.Setenv(name, value)
	}
	for input, content := range map[string][]byte{"SIGNING-CONFIG": s.sigstore.SigningConfig(), "TRUSTED-ROOT": s.sigstore.TrustedRoot()} {
		path := filepath.Join(ts.Getenv("WORK"), strings.ToLower(input)+".json")
		ts.Check(os.WriteFile(path, content, 0o644))
		ts.Setenv("INPUT_"+input, path)
	}
}

// sigstore-fails PATH STATUS has what is asked for under a path be refused; STATUS 0 ends that.
func failSigstore(ts *testscript.TestScript, _ bool, args []string) {
	status, err := strconv.Atoi(args[1])
	ts.Check(err)
	stageOf(ts).sigstore.Fail(args[0], status)
}

// sigstore-claim NAME VALUE has the job's tokens say something else.
func claimOfJob(ts *testscript.TestScript, _ bool, args []string) {
	stageOf(ts).sigstore.Claim(args[0], args[1])
}

// attestations N: GitHub's store has so many.
func checkAttestations(ts *testscript.TestScript, _ bool, args []string) {
	if got := stageOf(ts).github.Attestations(); fmt.Sprint(len(got)) != args[0] {
		ts.Fatalf("%d attestations, want %s", len(got), args[0])
	}
}

// attestations-withheld: the token may not write to GitHub's store. With ! it may.
func withholdAttestations(ts *testscript.TestScript, neg bool, _ []string) {
	stageOf(ts).github.WithholdAttestations(!neg)
}

// exits CODE PROGRAM ARGS... runs a program and demands its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var failed *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &failed) {
		got = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	s := stageOf(ts)
	if problems := slices.Concat(s.engine.Problems(), s.github.Problems(), s.results.Problems()); len(problems) > 0 {
		ts.Fatalf("a server refused: %s", strings.Join(problems, "; "))
	}
	if running, networks := s.engine.Running(), s.engine.Networks(); len(running)+len(networks) > 0 {
		ts.Fatalf("containers %q and networks %q are left", running, networks)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// sample makes the clone of the sample monorepo and goes there.
func makeSample(ts *testscript.TestScript, _ bool, _ []string) {
	dir := ts.MkAbs("cards")
	here, err := os.Getwd()
	ts.Check(err)
	repo, err := sample.New(context.Background(), here, dir)
	ts.Check(err)
	stageOf(ts).repo = repo
	ts.Check(ts.Chdir(dir))
}

// commit MESSAGE [FILE...] commits the work tree; a FILE named is changed first. $SHA is the commit.
func commit(ts *testscript.TestScript, _ bool, args []string) {
	files := map[string]string{}
	for _, file := range args[1:] {
		old, _ := stageOf(ts).repo.Read(file)
		files[file] = old + "changed\n"
	}
	sha, err := stageOf(ts).repo.Commit(context.Background(), args[0], files)
	ts.Check(err)
	ts.Setenv("SHA", sha)
	ts.Setenv("SHORT", sha[:7])
}

func (s *stage) tag(service, tag string) string {
	ref, err := name.NewTag(s.repository(service) + ":" + tag)
	if err != nil {
		return ""
	}
	desc, err := remote.Head(ref)
	if err != nil {
		return ""
	}
	return desc.Digest.String()
}

// tag SERVICE TAG: the tag is there. With ! it is not.
func checkTag(ts *testscript.TestScript, neg bool, args []string) {
	if at := stageOf(ts).tag(args[0], args[1]); (at == "") != neg {
		ts.Fatalf("%s:%s is %q", args[0], args[1], at)
	}
}

// moved SERVICE TAG: the tag points elsewhere than when this was last asked. With ! it does not.
func checkMoved(ts *testscript.TestScript, neg bool, args []string) {
	s, key := stageOf(ts), args[0]+":"+args[1]
	at := s.tag(args[0], args[1])
	if (at == s.seen[key]) != neg {
		ts.Fatalf("%s was %q and is %q", key, s.seen[key], at)
	}
	s.seen[key] = at
}

// delete SERVICE TAG: somebody deletes the image that the tag points to, and so all its tags.
func deleteImage(ts *testscript.TestScript, _ bool, args []string) {
	ref, err := name.NewDigest(stageOf(ts).repository(args[0]) + "@" + stageOf(ts).tag(args[0], args[1]))
	ts.Check(err)
	ts.Check(remote.Delete(ref))
}

// forge SERVICE TAG: somebody publishes another image under the tag, which says of itself all that the one before said.
func forgeImage(ts *testscript.TestScript, _ bool, args []string) {
	var forged v1.ImageIndex = mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	was := indexOf(ts, args[0], args[1])
	for _, m := range was.Manifests {
		img, err := random.Image(10, 1)
		ts.Check(err)
		img, err = mutate.ConfigFile(img, &v1.ConfigFile{OS: m.Platform.OS, Architecture: m.Platform.Architecture, Config: v1.Config{User: "65534"}})
		ts.Check(err)
		forged = mutate.AppendManifests(forged, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: m.Platform}})
	}
	ref, err := name.NewTag(stageOf(ts).repository(args[0]) + ":" + args[1])
	ts.Check(err)
	ts.Check(remote.WriteIndex(ref, mutate.Annotations(forged, was.Annotations).(v1.ImageIndex)))
}

// merged NUMBER: GitHub says that the commit that is checked out came by this pull request.
func mergeCommit(ts *testscript.TestScript, _ bool, args []string) {
	number, err := strconv.Atoi(args[0])
	ts.Check(err)
	sha, err := stageOf(ts).repo.Git(context.Background(), "rev-parse", "HEAD")
	ts.Check(err)
	stageOf(ts).github.Merge(sha, number, true)
}

// engine SERVICE[:TAG] BEHAVIOUR sets how containers of a service behave, or those of what a tag points to, or of another image. With SERVICE@TAG
// those do that are made of the index itself.
func setEngine(ts *testscript.TestScript, _ bool, args []string) {
	behaviour, known := map[string]enginetest.Behaviour{
		"silent":  {Silent: true, Stdout: "I will not answer\n"},
		"exits":   {Exits: true, ExitCode: 7, Stdout: "no configuration\n"},
		"failing": {Status: 500},
		"fades":   {Exits: true, ExitCode: 3, Delay: 500 * time.Millisecond},
		"sound":   {},
		"tells":   {Exec: func([]string) (int, string) { return 1, "no module " + scriptToken + `, nor odd"<&\token>` }},
		"slow":    {Delay: 1500 * time.Millisecond},
		"hungry":  {Memory: 40 << 20},
		"lonely":  {Needs: "postgres"},
		"sick":    {HealthCheck: true, Status: 500, Stdout: "database files are incompatible\n"},
		"missing": {Missing: true},
		"proxy":   {Exec: stageOf(ts).proxy.Exec},
		"smokes":  {Exec: func([]string) (int, string) { return 1, "no such module" }},
	}[args[1]]
	if !known {
		ts.Fatalf("no behaviour %q", args[1])
	}
	service, whole, byIndex := strings.Cut(args[0], "@")
	service, tag, tagged := strings.Cut(service, ":")
	image := strings.ToLower(sample.Owner) + "/" + sample.Images[service]
	if sample.Images[service] == "" {
		image = service // which is somebody else's
	}
	if tagged {
		image += "@" + indexOf(ts, service, tag).Manifests[0].Digest.String()
	}
	if byIndex {
		image += "@" + stageOf(ts).tag(service, whole)
	}
	stageOf(ts).engine.Behave(image, behaviour)
}

// engine-empty: the engine's store holds no image.
func checkEngine(ts *testscript.TestScript, _ bool, _ []string) {
	if stored := stageOf(ts).engine.Stored(); len(stored) > 0 {
		ts.Fatalf("images are left: %q", stored)
	}
}

// engine-networks exhausted: the engine makes no further network.
func limitNetworks(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 || args[0] != "exhausted" {
		ts.Fatalf("usage: engine-networks exhausted")
	}
	stageOf(ts).engine.ExhaustNetworks()
}

// github-ref REF SHA: GitHub says that a ref, heads/main, is at a commit.
func setRef(ts *testscript.TestScript, _ bool, args []string) {
	stageOf(ts).github.SetRef(args[0], args[1])
}

// artifacts NAME...: the run has these artifacts and no others.
func checkArtifacts(ts *testscript.TestScript, _ bool, args []string) {
	if got := stageOf(ts).results.Names(); !slices.Equal(got, args) {
		ts.Fatalf("artifacts %q, want %q", got, args)
	}
}

// output VARIABLE NAME reads the action's output of that name that was written last.
func readOutput(ts *testscript.TestScript, _ bool, args []string) {
	lines := strings.Split(ts.ReadFile(ts.Getenv("GITHUB_OUTPUT")), "\n")
	for i, line := range slices.Backward(lines) {
		if strings.HasPrefix(line, args[1]+"<<") {
			ts.Setenv(args[0], lines[i+1])
			return
		}
	}
	ts.Fatalf("there is no output %s", args[1])
}

func (s *stage) host() string { return strings.TrimPrefix(s.registry.URL, "http://") }

func (s *stage) repository(service string) string {
	return s.host() + "/" + strings.ToLower(sample.Owner) + "/" + sample.Images[service]
}

// indexOf reads the index that a service's tag points to.
func indexOf(ts *testscript.TestScript, service, tag string) *v1.IndexManifest {
	ref, err := name.NewTag(stageOf(ts).repository(service) + ":" + tag)
	ts.Check(err)
	index, err := remote.Index(ref)
	ts.Check(err)
	manifest, err := index.IndexManifest()
	ts.Check(err)
	return manifest
}

// platforms SERVICE TAG PLATFORM...: the tag points to an index of these platforms.
func checkPlatforms(ts *testscript.TestScript, _ bool, args []string) {
	var got []string
	for _, m := range indexOf(ts, args[0], args[1]).Manifests {
		got = append(got, m.Platform.String())
	}
	if !slices.Equal(got, args[2:]) {
		ts.Fatalf("platforms %q, want %q", got, args[2:])
	}
}

// has SERVICE TAG PLATFORM FILE: a scan of the image that is published there finds what the file lists.
func setFindings(ts *testscript.TestScript, _ bool, args []string) {
	for _, m := range indexOf(ts, args[0], args[1]).Manifests {
		if m.Platform.String() == args[2] {
			name := filepath.Join(ts.Getenv("FINDINGS"), strings.ReplaceAll(m.Digest.String(), ":", "-"))
			ts.Check(os.WriteFile(name, []byte(ts.ReadFile(args[3])), 0o644))
		}
	}
}

// tags SERVICE TAG...: the image has these tags and no others.
func checkTags(ts *testscript.TestScript, _ bool, args []string) {
	repo, err := name.NewRepository(stageOf(ts).repository(args[0]))
	ts.Check(err)
	got, err := remote.List(repo)
	ts.Check(err)
	got = slices.DeleteFunc(got, func(tag string) bool { return !published.IsUserTag(tag) })
	if slices.Sort(got); !slices.Equal(got, args[1:]) {
		ts.Fatalf("tags %q, want %q", got, args[1:])
	}
}

// base NAME TAG [ONBUILD]: the registry has another image under this name, on which others may be built.
func pushBase(ts *testscript.TestScript, _ bool, args []string) {
	ref, err := name.NewTag(strings.TrimPrefix(stageOf(ts).registry.URL, "http://") + "/" + args[0] + ":" + args[1])
	ts.Check(err)
	img, err := random.Image(10, 1)
	ts.Check(err)
	img, err = mutate.Config(img, v1.Config{OnBuild: args[2:]})
	ts.Check(err)
	ts.Check(remote.Write(ref, img))
	digest, err := img.Digest()
	ts.Check(err)
	ts.Setenv("BASE", digest.String())
}

// annotation SERVICE TAG KEY VALUE: the index has the annotation, with VALUE in it. With ! it has not.
func checkAnnotation(ts *testscript.TestScript, neg bool, args []string) {
	if got := indexOf(ts, args[0], args[1]).Annotations[args[2]]; (got != "" && strings.Contains(got, args[3])) == neg {
		ts.Fatalf("annotation %s is %q", args[2], got)
	}
}

// api-silent: GitHub's API was asked nothing.
func checkSilence(ts *testscript.TestScript, _ bool, _ []string) {
	if n := stageOf(ts).github.Requests(); n > 0 {
		ts.Fatalf("there were %d requests", n)
	}
}

// services FILE: the plan that was printed has the services that FILE lists: name, image, platforms and from where.
func checkServices(ts *testscript.TestScript, _ bool, args []string) {
	var made plan.Plan
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &made))
	var got strings.Builder
	for _, s := range made.Services {
		image := strings.Replace(s.Image, ts.Getenv("REGISTRY"), "REGISTRY", 1)
		fmt.Fprintf(&got, "%s %s %s %s\n", s.Name, image, strings.Join(s.Platforms, ","), s.From)
	}
	if want := ts.ReadFile(args[0]); got.String() != want {
		ts.Fatalf("services\n%swant\n%s", got.String(), want)
	}
}

// uploads N: code scanning got so many uploads.
func checkUploads(ts *testscript.TestScript, _ bool, args []string) {
	if got := stageOf(ts).github.SARIFs(); fmt.Sprint(len(got)) != args[0] {
		ts.Fatalf("%d uploads, want %s", len(got), args[0])
	}
}

// uploads-answer N STATUS MESSAGE makes the API answer the next requests so.
func answerUploads(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	status, err := strconv.Atoi(args[1])
	ts.Check(err)
	stageOf(ts).github.Fail(n, status, nil, fmt.Sprintf(`{"message":%q}`, args[2]))
}

// key NAME makes a private key in $WORK/NAME, and $NAME is its text.
func makeKey(ts *testscript.TestScript, _ bool, args []string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	ts.Check(err)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	ts.Check(os.WriteFile(filepath.Join(ts.Getenv("WORK"), args[0]), []byte(text), 0o600))
	ts.Setenv(args[0], text)
}

// signed SERVICE TAG KEY: the index that the tag points to, and each image in it, are signed by the key $KEY. With ! they are not.
func checkSigned(ts *testscript.TestScript, neg bool, args []string) {
	repo, err := name.NewRepository(stageOf(ts).repository(args[0]))
	ts.Check(err)
	evidence := verdict.Evidence{Candidate: repo.Digest(stageOf(ts).tag(args[0], args[1])), Probe: verdict.Probe{Healthy: true}}
	for _, m := range indexOf(ts, args[0], args[1]).Manifests {
		evidence.Wanted = append(evidence.Wanted, m.Platform.String())
		evidence.Platforms = append(evidence.Platforms, verdict.Platform{Platform: m.Platform.String(), Digest: m.Digest.String(), User: "app"})
	}
	approval, err := verdict.Judge(evidence, service.DefaultGates()).Approval()
	ts.Check(err)
	identity, err := sign.ByKey(ts.Getenv(args[2]), "")
	ts.Check(err)
	has := (&published.Client{Host: stageOf(ts).host()}).Attached
	signer := sign.Signer{Who: identity, Attached: has,
		Attach: func(context.Context, verdict.Approval, name.Digest, []published.Attachment) error {
			return errors.New("it is not signed")
		}}
	if _, err := signer.Sign(context.Background(), approval); (err != nil) != neg {
		ts.Fatalf("%s:%s: %v", args[0], args[1], err)
	}
}

// uploads-fail MESSAGE has GitHub find every upload wrong that it took.
func failUploads(ts *testscript.TestScript, _ bool, args []string) {
	stageOf(ts).github.Process(0, args[0])
}

// uploads-silent STATUS MESSAGE has GitHub answer so when it is asked what became of an upload.
func silenceUploads(ts *testscript.TestScript, _ bool, args []string) {
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	stageOf(ts).github.KeepSilent(status, args[1])
}

// uploaded REF SHA: the last upload was for this commit of this ref.
func checkUploaded(ts *testscript.TestScript, _ bool, args []string) {
	all := stageOf(ts).github.SARIFs()
	if len(all) == 0 {
		ts.Fatalf("nothing was uploaded")
	}
	if last := all[len(all)-1]; last.Ref != args[0] || last.CommitSHA != args[1] {
		ts.Fatalf("uploaded for %s of %s", last.CommitSHA, last.Ref)
	}
}
