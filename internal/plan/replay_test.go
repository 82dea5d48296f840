package plan

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
)

// picked are paths that say themselves what counts, among them something in a submodule.
var picked = []string{"/picked/**", "!*.md", "keep.md", "shared/", "!/shared/[a-c]*", "/shared/sub/c.go", "/vendored/lib/src", "!/vendored/lib/src/*.md", "*.{b1,txt}"}

// replayed are services of different shapes in one repository.
func replayed() []service.Service {
	list := []service.Service{
		{Name: "own", Context: "own"},
		{Name: "app", Context: "."},
		{Name: "picked", Context: ".", Paths: picked},
		{Name: "outside", Context: outside + "/s*c", Dockerfile: outside + "/build/Dockerfile", DependsOn: []string{"picked"}},
		{Name: "mine", Context: "mine", DependsOn: []string{"own"}},
		{Name: "linked", Context: "linked", DependsOn: []string{"mine", "vendored"}},
		{Name: "vendored", Context: "vendored"},
	}
	for i := range list {
		s := &list[i]
		s.Image, s.Platforms = "ghcr.io/octo/"+s.Name, []string{"linux/amd64"}
		if s.Dockerfile == "" {
			s.Dockerfile = s.Name + "/Dockerfile"
		}
	}
	return list
}

// A replay runs the planner after each push of a history, and holds every plan to what the images are truly made of.
type replay struct {
	*world
	h       *history
	commits []string // their ids
	other   clone    // the same repository elsewhere
	// made tells what published images are made of, by reference; seen what gave an inputs digest, by service and digest.
	made, seen map[string]contents
	// needless counts builds of what is published already, by reason; rewound those after a force push, which are right.
	needless                        map[string]int
	runs, builds, rewound, emptyDir int
}

// TestReplay plans for a random history of 60 commits. REPLAY asks for another number, REPLAY_SEED for a history that
// was seen before.
func TestReplay(t *testing.T) {
	t.Parallel()
	seed := fromEnv(t, "REPLAY_SEED", uint64(time.Now().UnixNano()%1_000_000))
	t.Logf("REPLAY_SEED=%d", seed)
	r := newReplay(t, seed, int(fromEnv(t, "REPLAY", 60)))
	for _, push := range r.h.pushes {
		r.run(r.commits[push])
	}
	r.report()
}

func fromEnv(t *testing.T, key string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(key)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return n
}

func newHistory(seed uint64) *history { return &history{Rand: rand.New(rand.NewPCG(seed, 1))} }

func newReplay(t *testing.T, seed uint64, commits int) *replay {
	t.Helper()
	r := &replay{world: newWorld(t), h: newHistory(seed), other: clone{t, filepath.Join(t.TempDir(), "clone")},
		made: map[string]contents{}, seen: map[string]contents{}, needless: map[string]int{}}
	r.planner.Config.Services = replayed()
	library := newClone(t)
	r.h.library = library.imported(libraryCommits())
	r.h.draw(commits)
	for _, commit := range r.h.commits {
		commit.tree[".gitmodules"] = entry{plain, fmt.Sprintf("[submodule \"lib\"]\n\tpath = %s\n\turl = ../lib\n\tignore = all\n", submodule)}
	}
	r.commits = r.imported(r.h.commits)
	r.git("clone", "--quiet", "--shared", "--no-checkout", r.dir, r.other.dir)
	for _, c := range []clone{r.clone, r.other} {
		c.git("config", "submodule.lib.url", library.dir) // so that no commit names a folder of this test's
	}
	return r
}

// libraryCommits are those of the submodule.
func libraryCommits() []drawn {
	var commits []drawn
	for i := range 4 {
		commits = append(commits, drawn{tree: snapshot{}})
		for _, file := range libraryFiles {
			commits[i].tree[file] = entry{plain, strconv.Itoa(i)}
		}
	}
	return commits
}

// run does what a run does after a push: it plans, and mostly publishes. Some runs are cancelled, and of the others not
// every service is built well, so that services come to be published from different commits.
func (r *replay) run(commit string) {
	r.t.Helper()
	made := r.plan(commit)
	truth := r.checkedOut(commit)
	services := r.planner.Config.Services
	for _, s := range made.Services {
		content := truth.all(s.Definition, services)
		r.judge(made, s, content)
		r.follows(made, s)
		r.distinguishes(s, truth.of(s.Definition))
	}
	r.runs++
	if r.h.IntN(6) == 0 {
		return
	}
	for _, s := range made.Services {
		if s.Action == Reuse || s.Action == Build && r.h.IntN(4) > 0 {
			r.promote(s, truth.all(s.Definition, services))
		}
	}
}

// plan plans in two clones, one of which has files of another time; the plans must be the same.
func (r *replay) plan(commit string) Plan {
	r.t.Helper()
	for _, c := range []clone{r.clone, r.other} {
		c.fresh(commit)
		c.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init", "--force")
	}
	r.other.age()
	r.planner.Event.SHA = commit
	again := r.planner
	again.Repo = r.other.repo()
	one, err := r.planner.Make(r.t.Context())
	r.must(err)
	two, err := again.Make(r.t.Context())
	r.must(err)
	if diff := gocmp.Diff(one, two); diff != "" {
		r.t.Errorf("%s: the plans in two clones (-one +other):\n%s", commit, diff)
	}
	return one
}

// fresh makes the work tree be what a new clone would have.
func (c clone) fresh(commit string) {
	c.t.Helper()
	c.replace(nil)
	c.must(os.RemoveAll(filepath.Join(c.dir, ".git", "index")))
	c.git("reset", "--quiet", "--hard", commit)
}

// age gives the files of the work tree other times.
func (c clone) age() {
	c.t.Helper()
	c.must(filepath.WalkDir(c.dir, func(file string, e os.DirEntry, err error) error {
		if e.IsDir() && e.Name() == ".git" {
			return filepath.SkipDir
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		then := time.Unix(1_000_000_000+int64(len(file)), 0)
		return os.Chtimes(file, then, then)
	}))
}

// judge says whether a service had to be built, and was.
func (r *replay) judge(made Plan, s Service, content contents) {
	r.t.Helper()
	published, known := r.made[s.Image+"@"+s.Digest]
	differ := differing(published.files(), content.files())
	switch {
	case s.Action != Build && (!known || len(differ) > 0):
		r.t.Errorf("commit %s: %s is not built (%s, %s) and differs from %s by %q", made.Commit, s.Name, s.Action, s.Reason, s.Digest, differ)
	case s.Action != Build:
		if len(differing(published, content)) > 0 {
			r.emptyDir++
		}
	default:
		r.builds++
		if why := r.why(made, s); strings.Contains(why, "not part of this history") {
			r.rewound++
		} else if known && len(differ) == 0 {
			r.needless[why]++
		}
	}
}

// why is the reason for a build, without what is particular to one; of a service that is built since another is, that one's.
func (r *replay) why(made Plan, s Service) string {
	if name, is := strings.CutSuffix(s.Reason, ", which is built"); is {
		name = strings.TrimPrefix(name, "depends on ")
		i := slices.IndexFunc(made.Services, func(other Service) bool { return other.Name == name })
		return "depends on: " + r.why(made, made.Services[i])
	}
	reason, _, _ := strings.Cut(s.Reason, " since ")
	return s.Name + ": " + reason
}

// distinguishes reports an inputs digest that two images share which are not made of the same.
func (r *replay) distinguishes(s Service, content contents) {
	r.t.Helper()
	key := s.Name + s.Inputs
	if before, known := r.seen[key]; known {
		if differ := differing(before.files(), content.files()); len(differ) > 0 {
			r.t.Errorf("commit %s: %s has the inputs digest of an image that differs by %q: %q and %q", r.planner.Event.SHA, s.Name, differ, before[differ[0]], content[differ[0]])
		}
	}
	r.seen[key] = content
}

// follows reports a service that stays as it is while one that it is built upon is built.
func (r *replay) follows(made Plan, s Service) {
	r.t.Helper()
	for _, other := range made.Builds() {
		if s.Action != Build && slices.Contains(s.Definition.DependsOn, other.Name) {
			r.t.Errorf("commit %s: %s is not built (%s, %s) and depends on %s, which is", made.Commit, s.Name, s.Action, s.Reason, other.Name)
		}
	}
}

// promote moves the tags of a service to its image; one run in ten ends before it comes to the last of them.
func (r *replay) promote(s Service, content contents) {
	image := r.reused(s)
	if s.Action == Build {
		image = registry.Image{Ref: digest(r.t, s.Image, fmt.Sprint(s.Name, r.runs)), Revision: s.Labels[registry.RevisionKey], Version: s.Version,
			Annotations: s.Annotations, Platforms: []registry.Platform{{Platform: s.Platforms[0]}}}
		r.made[image.Ref.String()] = content
	}
	moved := s.Tags
	if r.h.IntN(10) == 0 {
		moved = moved[:1]
	}
	for _, tag := range moved {
		r.images[tag] = image
	}
}

// reused finds the image that a plan uses again.
func (r *replay) reused(s Service) (image registry.Image) {
	for _, image = range r.images {
		if image.Ref.String() == s.Image+"@"+s.Digest {
			break
		}
	}
	return image
}

func (r *replay) report() {
	needless := 0
	for _, why := range slices.Sorted(maps.Keys(r.needless)) {
		needless += r.needless[why]
		r.t.Logf("%4d unnecessary: %s", r.needless[why], why)
	}
	r.t.Logf("%d commits, %d runs: %d of %d builds were unnecessary, and %d more since history was rewound; %d services that were left alone differ by an empty folder",
		len(r.commits), r.runs, needless, r.builds, r.rewound, r.emptyDir)
}
