package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/enginetest"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/traffic"
)

// A ground is a host to deploy to, whose Compose does what up says.
type ground struct {
	Host
	server *enginetest.Server
	mu     sync.Mutex
	calls  []string
	up     func() error
	pull   func() error
	told   []string
}

func newGround(t *testing.T) *ground {
	t.Helper()
	g := &ground{server: enginetest.Start(), up: func() error { return nil }, pull: func() error { return nil }}
	t.Cleanup(g.server.Close)
	e, err := engine.Open(func(name string) string { return map[string]string{"DOCKER_HOST": g.server.Host()}[name] })
	if err != nil {
		t.Fatal(err)
	}
	tell := func(format string, args ...any) { g.told = append(g.told, fmt.Sprintf(format, args...)) }
	g.Host = Host{Engine: e, Project: "cards", By: "somebody", Wait: time.Second, Every: time.Millisecond, Tell: tell,
		Program: Program{Run: g.run, Argv: []string{"compose"}, Folder: "/", Private: t.TempDir(), Project: "cards", Profiles: []string{"production"}, Tell: tell}}
	return g
}

func (g *ground) run(_ context.Context, c run.Command) ([]byte, error) {
	verbs := []string{"pull", "up", "down", "config"}
	at := slices.IndexFunc(c.Argv, func(arg string) bool { return slices.Contains(verbs, arg) })
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, c.Argv[at])
	switch c.Argv[at] {
	case "pull":
		return nil, g.pull()
	case "up":
		return nil, g.up()
	}
	return nil, nil
}

func version(number int) Version {
	return Version{File: fmt.Sprintf("services: {} # %d", number), Images: map[string]string{}, Commit: fmt.Sprint(number)}
}

// deploy deploys under the lock.
func (g *ground) deploy(t *testing.T, v Version) Result {
	t.Helper()
	lock, err := g.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	past, err := g.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := lock.Deploy(t.Context(), v, past)
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
	return r
}

func (g *ground) commits(t *testing.T) (all []string) {
	t.Helper()
	past, err := g.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range past.Versions {
		all = append(all, v.Commit)
	}
	return all
}

// TestHistory keeps the last ten, none twice in a row, and forgets what is gone back from.
func TestHistory(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	for n := 1; n <= 12; n++ {
		for range 2 {
			if r := g.deploy(t, version(n)); !r.Good() {
				t.Fatal(r.Err)
			}
		}
	}
	if diff := cmp.Diff([]string{"3", "4", "5", "6", "7", "8", "9", "10", "11", "12"}, g.commits(t)); diff != "" {
		t.Errorf("remembered (-want +got):\n%s", diff)
	}
	for want := 11; want >= 3; want-- {
		past, err := g.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		v, err := past.Previous()
		if err != nil || v.Commit != fmt.Sprint(want) || v.File != version(want).File {
			t.Fatalf("%+v, %v; want that of %d", v, err, want)
		}
		if r := g.deploy(t, v); !r.Good() {
			t.Fatal(r.Err)
		}
	}
	past, err := g.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v, err := past.Previous(); err == nil {
		t.Errorf("there is still %+v", v)
	}
	past.Interrupted = true
	if v, err := past.Previous(); err != nil || v.Commit != "3" {
		t.Errorf("after a killed one: %+v, %v", v, err)
	}
}

// TestKilled says where a rollback goes after a deployment or a rollback that was killed at one moment or another.
func TestKilled(t *testing.T) {
	t.Parallel()
	for title, c := range map[string]struct {
		goes string // the version that is gone back to; empty for a new one
		far  int    // how far: it has begun, it is written down as well
		want string
	}{
		"a new one that has begun":               {"", 1, "3"},
		"a new one that is written down":         {"", 2, "3"},
		"a rollback that has begun":              {"2", 1, "2"},
		"a rollback past one that has begun":     {"1", 1, "1"},
		"a rollback that has forgotten the rest": {"2", 2, "2"},
	} {
		g := newGround(t)
		for n := 1; n <= 3; n++ {
			if r := g.deploy(t, version(n)); !r.Good() {
				t.Fatal(r.Err)
			}
		}
		past, err := g.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		v := version(4)
		for _, old := range past.Versions {
			if old.Commit == c.goes {
				v = old
			}
		}
		err = g.begin(t.Context(), v, past)
		if c.far > 1 {
			err = errors.Join(err, g.remember(t.Context(), v, past))
		}
		if err != nil {
			t.Fatal(err)
		}
		past, err = g.Read(t.Context())
		if err != nil || !past.Interrupted {
			t.Fatal(past, err)
		}
		got, err := past.Previous()
		if err != nil || got.Commit != c.want {
			t.Errorf("%s: back to %q, %v; want %q", title, got.Commit, err, c.want)
		}
		if r := g.deploy(t, got); !r.Good() {
			t.Error(r.Err)
		}
		if left := g.server.Volumes(); slices.ContainsFunc(left, func(name string) bool { return strings.Contains(name, "begun") }) {
			t.Errorf("%s: %q are left", title, left)
		}
	}
}

// TestNewAfterKilledRollback goes back, where it fails, to what that rollback went back to, and to nothing from which it did.
func TestNewAfterKilledRollback(t *testing.T) {
	t.Parallel()
	broken := errors.New("port is in use")
	for title, c := range map[string]struct {
		pulls, starts error
		version       Version
		calls         string
		remember      string
	}{
		"one that cannot be pulled":     {broken, nil, version(3), "pull pull up", "1"},
		"one that fails":                {nil, broken, version(3), "pull up pull up", "1"},
		"one that is well":              {nil, nil, version(3), "pull up", "1 3"},
		"what was gone back from, anew": {nil, nil, version(2), "pull up", "1 2"},
		"what was gone back to":         {nil, nil, version(1), "pull up", "1"},
	} {
		g := newGround(t)
		for n := 1; n <= 2; n++ {
			if r := g.deploy(t, version(n)); !r.Good() {
				t.Fatal(r.Err)
			}
		}
		past, err := g.Read(t.Context())
		if err == nil {
			err = g.begin(t.Context(), past.Versions[0], past)
		}
		if err != nil {
			t.Fatal(err)
		}
		if past, err = g.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		if of, found := past.Replaced(); !found || of.Commit != version(1).Commit {
			t.Errorf("%s: a new one takes the place of %+v", title, of)
		}
		once := func(err error) func() error {
			return func() (now error) { now, err = err, nil; return now }
		}
		g.calls, g.told, g.pull, g.up = nil, nil, once(c.pulls), once(c.starts)
		r := g.deploy(t, c.version)
		past, err = g.Read(t.Context())
		failed := errors.Join(c.pulls, c.starts)
		if errors.Is(r.Err, broken) != (failed != nil) || r.Unnoted != nil || (r.After == Restored) != (failed != nil) || strings.Join(g.calls, " ") != c.calls || strings.Join(g.commits(t), " ") != c.remember || err != nil || past.Interrupted {
			t.Errorf("%s: %+v by %q, %q is remembered: %+v, %v", title, r, g.calls, g.commits(t), past, err)
		}
		if failed != nil && !slices.Contains(g.told, "going back to deployment 1") {
			t.Errorf("%s: %q", title, g.told)
		}
	}
}

// TestMarkOfTheKilled stays where the same that was well last fails on top of it, and goes where it is well.
func TestMarkOfTheKilled(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	if r := g.deploy(t, version(1)); !r.Good() {
		t.Fatal(r.Err)
	}
	past, err := g.Read(t.Context())
	if err == nil {
		err = g.begin(t.Context(), version(2), past)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, fails := range []error{errors.New("manifest unknown"), nil} {
		g.up = func() error { return fails }
		r := g.deploy(t, version(1))
		past, err := g.Read(t.Context())
		if err != nil || r.Good() != (fails == nil) || past.Interrupted != (fails != nil) {
			t.Errorf("%+v, %+v, %v", r, past, err)
		}
	}
}

// TestProfiles are those of a deployment, not of whoever goes back to it. An older release wrote none down.
func TestProfiles(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	for n, profiles := range [][]string{{"a", "b"}, {}, {"production"}} {
		v := version(1)
		v.Profiles = profiles
		if r := g.deploy(t, v); !r.Good() {
			t.Fatal(r.Err)
		}
		past, err := g.Read(t.Context())
		if last, _ := past.Last(); err != nil || last.Number != n+1 || !slices.Equal(last.Profiles, profiles) {
			t.Errorf("%+v, %v; want the profiles %q", last, err, profiles)
		}
	}
	labels, err := g.labels(version(4))
	if err != nil {
		t.Fatal(err)
	}
	delete(labels, profileKey)
	if v, err := g.version(labels); err != nil || !slices.Equal(v.Profiles, g.Program.Profiles) {
		t.Errorf("of an older release: %+v, %v", v, err)
	}
	labels[profileKey] = "a,b"
	if v, err := g.version(labels); err == nil {
		t.Errorf("what somebody else wrote is read as %+v", v)
	}
}

// TestGoingBack says what becomes of what ran before.
func TestGoingBack(t *testing.T) {
	t.Parallel()
	broken := errors.New("port is in use")
	for title, c := range map[string]struct {
		before   []Version
		version  Version
		fails    int // of the times that it is started
		want     string
		calls    string
		remember string
		open     bool // what runs is not what is remembered
	}{
		"the first":                    {nil, version(1), 1, Removed, "pull up down", "", false},
		"one after another":            {[]Version{version(1)}, version(2), 1, Restored, "pull up pull up", "1", false},
		"the same again":               {[]Version{version(1)}, version(1), 1, Untouched, "pull up", "1", false},
		"where going back fails, too":  {[]Version{version(1)}, version(2), 2, Stranded, "pull up pull up", "1", true},
		"what is well is written down": {[]Version{version(1)}, version(2), 0, Untouched, "pull up", "1 2", false},
	} {
		g := newGround(t)
		for _, v := range c.before {
			if r := g.deploy(t, v); !r.Good() {
				t.Fatal(r.Err)
			}
		}
		g.calls, g.up = nil, func() error {
			if c.fails--; c.fails >= 0 {
				return broken
			}
			return nil
		}
		failing := c.fails > 0
		r := g.deploy(t, c.version)
		if r.After != c.want || strings.Join(g.calls, " ") != c.calls || strings.Join(g.commits(t), " ") != c.remember || errors.Is(r.Err, broken) != failing || (r.Astray != nil) != (c.want == Stranded) {
			t.Errorf("%s: %+v by %q, and %q is remembered", title, r, g.calls, g.commits(t))
		}
		if past, err := g.Read(t.Context()); err != nil || past.Interrupted != c.open {
			t.Errorf("%s: %+v, %v", title, past, err)
		}
	}
}

// place starts a container of a service by hand, and waits until it is known to be well, or not to be.
func (g *ground) place(t *testing.T, service string, well bool) {
	t.Helper()
	api, err := client.New(client.WithHost(g.server.Host()))
	if err != nil {
		t.Fatal(err)
	}
	image, want := imageOf(service), "healthy"
	if !well {
		g.server.Behave("octo/"+service, enginetest.Behaviour{Status: 500})
		want = "unhealthy"
	}
	progress, err := api.ImagePull(t.Context(), image, client.ImagePullOptions{})
	if err == nil {
		err = progress.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{"com.docker.compose.project": g.Project, "com.docker.compose.service": service}
	made, err := api.ContainerCreate(t.Context(), client.ContainerCreateOptions{Config: &container.Config{Image: image, Labels: labels,
		Healthcheck: &container.HealthConfig{Test: []string{"CMD", "true"}, Interval: time.Millisecond, Retries: 1}}})
	if err == nil {
		_, err = api.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{})
	}
	for health := ""; err == nil && health != want; {
		var s engine.State
		s, err = g.Engine.Container(made.ID).State(t.Context())
		health = s.Health
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestByHand says what becomes of what somebody started by hand where a deployment fails on top of it, and whether that was said beforehand.
func TestByHand(t *testing.T) {
	t.Parallel()
	broken := errors.New("port is in use")
	const stays = "is unhealthy, so it is not gone back to, and stays as this deployment leaves it"
	for title, c := range map[string]struct {
		well, sick []string // services that are known to be well, and not to be, of which web and db are the version's
		known      bool     // web is of a deployment that is written down
		lacks      map[string]string
		after      string
		calls      string
		left       []string
	}{
		"what is well":           {[]string{"db", "web"}, nil, false, map[string]string{}, Restored, "pull up pull up config", []string{"db", "web"}},
		"one that is not well":   {[]string{"web"}, []string{"db"}, false, map[string]string{"db": stays}, Partly, "pull up pull up config", []string{"db", "web"}},
		"none is well":           {nil, []string{"db", "web"}, false, map[string]string{"db": stays, "web": stays}, Untouched, "pull up", []string{"db", "web"}},
		"beside a known one":     {[]string{"debug", "web"}, nil, true, map[string]string{"debug": "is taken away, and not brought back"}, Partly, "pull up pull up", []string{"web"}},
		"what comes to be known": {[]string{"db", "web"}, nil, true, map[string]string{"db": "is taken away, and not brought back"}, Partly, "pull up pull up", []string{"web"}},
	} {
		g := newGround(t)
		v := version(2)
		v.Images = map[string]string{"db": imageOf("db"), "web": imageOf("web")}
		for _, service := range c.well {
			g.place(t, service, true)
		}
		for _, service := range c.sick {
			g.place(t, service, false)
		}
		if c.known {
			known := version(1)
			known.Images = map[string]string{"web": imageOf("web")}
			if err := g.remember(t.Context(), known, History{}); err != nil {
				t.Fatal(err)
			}
		}
		past, err := g.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		running, err := g.Engine.Project(t.Context(), g.Project)
		if err != nil {
			t.Fatal(err)
		}
		lacks, err := g.Lacks(t.Context(), v, past, running)
		said := map[string]string{}
		for _, l := range lacks {
			said[l.Service] = l.What
		}
		if diff := cmp.Diff(c.lacks, said); diff != "" || err != nil {
			t.Errorf("%s is said beforehand (-want +got), %v:\n%s", title, err, diff)
		}
		times := 0
		g.calls, g.up = nil, func() error {
			if times++; times == 1 {
				return broken
			}
			return nil
		}
		r := g.deploy(t, v)
		left := slices.Sorted(maps.Keys(g.server.Deployed()))
		if r.Good() || r.Astray != nil || r.After != c.after || strings.Join(g.calls, " ") != c.calls || !slices.Equal(left, c.left) {
			t.Errorf("%s: %+v by %q, and %q are left", title, r, g.calls, left)
		}
	}
}

// TestOneAtATime has many want the lock at the same moment: never have two of them it, and all get it.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.Wait, g.Tell = time.Minute, func(string, ...any) {}
	var all sync.WaitGroup
	var mu sync.Mutex
	holding, most, had := 0, 0, 0
	for range 8 {
		all.Go(func() {
			lock, err := g.Lock(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			holding++
			most, had = max(most, holding), had+1
			mu.Unlock()
			_, _ = g.Engine.Clock(t.Context()) // which takes a moment
			mu.Lock()
			holding--
			mu.Unlock()
			if err := lock.Release(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most != 1 || had != 8 {
		t.Errorf("%d held it at once, and %d of 8 had it", most, had)
	}
	if left := g.server.Volumes(); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

// TestLockOfTheDead is in nobody's way once its time is over, and before that is.
func TestLockOfTheDead(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	dead, err := g.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dead.stop()
	g.Wait = 20 * time.Millisecond
	g.server.Pass(lease - 10*time.Second)
	if _, err := g.Lock(t.Context()); err == nil || !strings.Contains(err.Error(), "another deployment of cards goes on there, by somebody") {
		t.Errorf("while it holds: %v", err)
	}
	g.server.Pass(11 * time.Second)
	lock, err := g.Lock(t.Context())
	if err != nil {
		t.Fatalf("once it is over: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
	if left := g.server.Volumes(); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

// TestLockIsRenewed keeps others away for as long as it is held, however long that is.
func TestLockIsRenewed(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	held := &Lock{host: g.Host}
	if holder, err := held.try(t.Context()); holder != "" || err != nil {
		t.Fatal(holder, err)
	}
	held.renew(t.Context(), time.Millisecond, held.again)
	for range 10 {
		g.server.Pass(lease / 4)
		for before := g.server.Volumes(); slices.Equal(before, g.server.Volumes()); { // until it is another note
			time.Sleep(time.Millisecond)
		}
		if holder, err := (&Lock{host: g.Host}).try(t.Context()); holder != "somebody" || err != nil {
			t.Fatalf("another is let in beside %q: %v", holder, err)
		}
	}
	if err := held.Release(); err != nil {
		t.Error(err)
	}
	if left := g.server.Volumes(); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

// TestLockIsLost has the holder notice that he has it no more, and say why.
func TestLockIsLost(t *testing.T) {
	t.Parallel()
	for title, c := range map[string]struct {
		happens func(*ground, *Lock)
		want    string
	}{
		"it was taken away": {func(g *ground, l *Lock) { _ = g.Engine.RemoveNote(t.Context(), l.name) }, "it ran out there, or was taken away"},
		"it ran out":        {func(g *ground, _ *Lock) { g.server.Pass(lease + time.Second) }, "it ran out there, or was taken away"},
		"the host is away":  {func(g *ground, l *Lock) { g.server.Close(); l.until = time.Now().Add(time.Millisecond) }, "it could not be renewed in time: "},
	} {
		g := newGround(t)
		l := &Lock{host: g.Host}
		if holder, err := l.try(t.Context()); holder != "" || err != nil {
			t.Fatal(holder, err)
		}
		c.happens(g, l)
		l.renew(t.Context(), time.Millisecond, l.again)
		<-l.held.Done()
		if got := fmt.Sprint(l.lost()); !strings.Contains(got, "the lock on the Docker host was lost, so another deployment of cards may be under way there: "+c.want) || !strings.Contains(got, "start this one again") {
			t.Errorf("%s: %q", title, got)
		}
		l.stop()
	}
}

// TestSlowHost has a lock be tried to be renewed more than once while it holds, however long the host takes to say nothing, and then as usual.
func TestSlowHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, begun, away := &Lock{until: time.Now().Add(lease - margin)}, time.Now(), errors.New("the host is away")
		var tries []string
		l.renew(t.Context(), renewal, func(context.Context) (bool, error) {
			tries = append(tries, fmt.Sprintf("%s of %s", time.Since(begun), time.Until(l.until)))
			switch len(tries) {
			case 2:
				l.until = time.Now().Add(lease - margin)
				return true, nil
			default:
				time.Sleep(min(patience, time.Until(l.until)))
			}
			if time.Now().Before(l.until) {
				return false, nil
			}
			return false, away
		})
		<-l.held.Done()
		want := []string{"15s of 30s", "26s of 19s", "41s of 30s", "52s of 19s", "1m3s of 8s"}
		if diff := cmp.Diff(want, tries); diff != "" || !errors.Is(l.lost(), away) {
			t.Errorf("%v, tried (-want +got):\n%s", l.lost(), diff)
		}
		l.stop()
	})
}

// TestMissedRenewal leaves nothing on the host that would keep others waiting once the lock is given back.
func TestMissedRenewal(t *testing.T) {
	t.Parallel()
	for _, fails := range []string{"GET", "POST"} { // of volumes: to list them, or to say that one was made
		g := newGround(t)
		l := &Lock{host: g.Host}
		if holder, err := l.try(t.Context()); holder != "" || err != nil {
			t.Fatal(holder, err)
		}
		var fail atomic.Bool
		fail.Store(true)
		g.front(t, func(r *http.Response) error {
			if r.Request.Method == fails && strings.Contains(r.Request.URL.Path, "/volumes") && fail.Load() {
				return errors.New("it broke")
			}
			return nil
		})
		l.host = g.Host
		held := g.server.Volumes()
		if renewed, lost := l.again(t.Context()); renewed || lost != nil || !slices.Equal(g.server.Volumes(), held) {
			t.Errorf("%s: %t, %v, and there are %q instead of %q", fails, renewed, lost, g.server.Volumes(), held)
		}
		fail.Store(false)
		if renewed, lost := l.again(t.Context()); !renewed || lost != nil || len(g.server.Volumes()) != 1 || slices.Equal(g.server.Volumes(), held) {
			t.Errorf("%s: the next: %t, %v, and there are %q after %q", fails, renewed, lost, g.server.Volumes(), held)
		}
	}
}

// TestUnwrittenLock leaves nothing on the host of a lock of which nobody said that it was written down.
func TestUnwrittenLock(t *testing.T) {
	t.Parallel()
	for _, fails := range []string{"/volumes/create", "/volumes", "/info"} {
		g := newGround(t)
		var fail atomic.Bool
		fail.Store(true)
		g.front(t, func(r *http.Response) error {
			if strings.HasSuffix(r.Request.URL.Path, fails) && fail.Load() {
				return errors.New("it broke")
			}
			return nil
		})
		if _, err := g.Lock(t.Context()); err == nil || !strings.Contains(err.Error(), "locking the Docker host") || len(g.server.Volumes()) > 0 {
			t.Errorf("%s: %v, and there are %q", fails, err, g.server.Volumes())
		}
		fail.Store(false)
		lock, err := g.Lock(t.Context())
		if err != nil {
			t.Fatalf("%s: the next: %v", fails, err)
		}
		if err := lock.Release(); err != nil {
			t.Error(err)
		}
	}
}

// front puts something between a host and who deploys to it that sees each answer, and may fail it.
func (g *ground) front(t *testing.T, modify func(*http.Response) error) {
	t.Helper()
	there := &url.URL{Scheme: "http", Host: strings.TrimPrefix(g.server.Host(), "tcp://")}
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(there) }, ModifyResponse: modify,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}})
	t.Cleanup(front.Close)
	e, err := engine.Open(func(name string) string {
		return map[string]string{"DOCKER_HOST": strings.Replace(front.URL, "http", "tcp", 1)}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	g.Engine = e
}

// TestWithoutTheLock has nothing more be done, nor undone, by who has lost the lock. What had begun stays marked as such.
func TestWithoutTheLock(t *testing.T) {
	t.Parallel()
	broken := errors.New("port is in use")
	for title, c := range map[string]struct {
		at    int // the time that something is started at which it is lost
		calls string
		open  bool
	}{
		"before anything is touched": {0, "pull", false},
		"while it is brought up":     {1, "pull up", true},
		"while it goes back":         {2, "pull up pull up", true},
	} {
		g := newGround(t)
		if r := g.deploy(t, version(1)); !r.Good() {
			t.Fatal(r.Err)
		}
		past, err := g.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l := &Lock{host: g.Host}
		held, lose := context.WithCancelCause(t.Context())
		l.held = held
		lost, times := errors.New("somebody else has it"), 0
		if g.calls = nil; c.at == 0 {
			g.pull = func() error { lose(lost); return lost }
		}
		g.up = func() error {
			if times++; times == c.at {
				lose(lost)
			}
			return broken
		}
		r := l.Deploy(t.Context(), version(2), past)
		if !errors.Is(r.Err, lost) || r.Astray != nil || (r.After == Left) != c.open || strings.Join(g.calls, " ") != c.calls {
			t.Errorf("%s: %+v by %q", title, r, g.calls)
		}
		if past, err := g.Read(t.Context()); err != nil || past.Interrupted != c.open || len(past.Versions) != 1 {
			t.Errorf("%s: %+v, %v", title, past, err)
		}
	}
}

// TestAtLast: what is done once the run is over is so as long as the lock is held, and has ended before another may have it.
func TestAtLast(t *testing.T) {
	t.Parallel()
	held, lose := context.WithCancelCause(t.Context())
	defer lose(nil)
	l, lost, calls := &Lock{held: held}, errors.New("somebody else has it"), 0
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		err := l.atLast(over, func(ctx context.Context) error {
			calls++
			if ends, bound := ctx.Deadline(); ctx.Err() != nil || !bound || time.Until(ends) >= margin {
				t.Errorf("it ends at %s, %v", ends, ctx.Err())
			}
			lose(lost)
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if !errors.Is(err, lost) || calls != 1 {
			t.Errorf("%d calls, the last of which %v", calls, err)
		}
	}
}

// TestCancelled goes back although the run itself is over.
func TestCancelled(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	if r := g.deploy(t, version(1)); !r.Good() {
		t.Fatal(r.Err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("somebody stopped it")
	g.up = func() error {
		if ctx.Err() == nil {
			cancel(stopped)
			return stopped
		}
		return nil
	}
	past, err := g.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lock, err := g.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.stop()
	if r := lock.Deploy(ctx, version(2), past); !errors.Is(r.Err, stopped) || r.After != Restored {
		t.Errorf("%+v", r)
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for want, i := range map[string]engine.Instance{
		"":                       {Status: "running", State: engine.State{Running: true}},
		"is starting":            {Status: "running", State: engine.State{Running: true, Health: "starting"}},
		"is unhealthy":           {Status: "running", State: engine.State{Running: true, Health: "unhealthy"}},
		"ended with exit code 0": {Status: "exited", Stays: true},
		"ended with exit code 7": {Status: "exited", State: engine.State{ExitCode: 7}},
		"ran out of memory":      {Status: "exited", State: engine.State{ExitCode: 137, OOMKilled: true}},
		"is created":             {Status: "created"},
		"ended with exit code 3, and is started again": {Status: "restarting", State: engine.State{ExitCode: 3, Running: true}},
	} {
		if got := judge(i); got != want {
			t.Errorf("%+v %q, want %q", i, got, want)
		}
	}
	if got := judge(engine.Instance{Status: "exited"}); got != "" {
		t.Errorf("one that has done its work %q", got)
	}
}

// TestLost tells containers that will not be well from those that may be.
func TestLost(t *testing.T) {
	t.Parallel()
	sick, ended := engine.State{Running: true, Health: "unhealthy"}, engine.State{ExitCode: 1}
	w := newWatch(Host{}, version(1), []engine.Instance{{ID: "old", Restarts: 7}})
	for title, c := range map[string]struct {
		engine.Instance
		want bool
	}{
		"a new one that is unhealthy":       {engine.Instance{ID: "new", State: sick, Status: "running"}, true},
		"a proxy before what needs longer":  {engine.Instance{ID: "new", State: sick, Status: "running", Labels: map[string]string{traffic.ProxyLabel: "nginx"}}, false},
		"an old one that is unhealthy":      {engine.Instance{ID: "old", State: sick, Status: "running", Restarts: 7}, false},
		"one that has failed for good":      {engine.Instance{ID: "new", State: ended, Status: "exited"}, true},
		"one that has done its work":        {engine.Instance{ID: "new", Status: "exited"}, false},
		"one that is started again":         {engine.Instance{ID: "new", State: ended, Status: "exited", Stays: true}, false},
		"one that is unhealthy meanwhile":   {engine.Instance{ID: "new", State: sick, Status: "restarting", Stays: true}, false},
		"one that does nothing else":        {engine.Instance{ID: "new", State: ended, Status: "restarting", Stays: true, Restarts: mostEnds}, true},
		"an old one that did so long ago":   {engine.Instance{ID: "old", State: ended, Status: "restarting", Restarts: 8}, false},
		"an old one that does nothing else": {engine.Instance{ID: "old", State: ended, Status: "restarting", Restarts: 7 + mostEnds}, true},
		"one that is only created":          {engine.Instance{ID: "new", Status: "created"}, false},
	} {
		w.lost = map[string]string{}
		if w.look([]engine.Instance{c.Instance}); (w.lost[c.ID] != "") != c.want {
			t.Errorf("%s: %q", title, w.lost)
		}
	}
}

// TestLate tells of what is not there in time.
func TestLate(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.Wait = 20 * time.Millisecond
	v := version(1)
	v.Images["backend"] = "a@sha256:0"
	r := g.deploy(t, v)
	if len(r.Troubles) != 1 || r.Troubles[0].What != "was not started after 20ms" || r.After != Removed {
		t.Errorf("%+v", r)
	}
}
