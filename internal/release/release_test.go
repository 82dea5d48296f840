package release

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/githubtest"
)

func startHost(t *testing.T) (*githubtest.Server, *github.Client) {
	t.Helper()
	server := githubtest.Start("token")
	t.Cleanup(server.Close)
	client, err := github.New(server.URL, "o/r", "token")
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

func wanted(tag string) Release {
	return Release{Tag: tag, Commit: strings.Repeat("a", 40), Version: semver.MustParse(tag), Notes: "notes of " + tag, Judged: true, Assets: []Asset{
		{Name: "digests.txt", MediaType: "text/plain", Data: []byte("digests\n")},
		{Name: "report.json", MediaType: "application/json", Data: []byte("{}"), Once: true},
	}}
}

func listAndPublish(ctx context.Context, host Host, want Release) (github.Release, []string, error) {
	all, err := host.Releases(ctx)
	if err != nil {
		return github.Release{}, nil, err
	}
	return Publish(ctx, host, want, all)
}

func mustPublish(t *testing.T, host Host, want Release) github.Release {
	t.Helper()
	made, notices, err := listAndPublish(t.Context(), host, want)
	if err != nil || notices != nil {
		t.Fatalf("Publish() = %v, %v", notices, err)
	}
	return made
}

// checkOne demands one release of a tag, published, with all of its files.
func checkOne(t *testing.T, server *githubtest.Server, tag string) githubtest.Release {
	t.Helper()
	all := slices.DeleteFunc(server.Releases(), func(r githubtest.Release) bool { return r.Tag != tag })
	if len(all) != 1 {
		t.Fatalf("there are %d releases of %s", len(all), tag)
	}
	r := all[0]
	if r.Draft || strings.Count(r.Body, "notes of "+tag) != 1 {
		t.Errorf("the release is %+v", r)
	}
	files := map[string]string{}
	for _, a := range r.Assets {
		if !a.Whole {
			t.Errorf("%s is there by halves", a.Name)
		}
		files[a.Name] = string(a.Data)
	}
	want := map[string]string{"digests.txt": "digests\n", "report.json": files["report.json"], "checksums.txt": fmt.Sprintf("%s  digests.txt\n%s  report.json\n",
		strings.TrimPrefix(Asset{Data: []byte("digests\n")}.digest(), "sha256:"), strings.TrimPrefix(Asset{Data: []byte(files["report.json"])}.digest(), "sha256:"))}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("the files differ (-want +got):\n%s", diff)
	}
	if problems := server.Problems(); problems != nil {
		t.Errorf("GitHub refused %q", problems)
	}
	return r
}

func TestPublish(t *testing.T) {
	t.Parallel()
	server, host := startHost(t)
	first := mustPublish(t, host, wanted("v1.0.0"))
	r := checkOne(t, server, "v1.0.0")
	if r.Latest != "true" || r.Prerelease || r.Name != "v1.0.0" {
		t.Errorf("the release is %+v", r)
	}
	// Again it changes nothing, whatever the new report says.
	again := wanted("v1.0.0")
	again.Assets[1].Data = []byte(`{"later": true}`)
	before := server.Releases()
	if second := mustPublish(t, host, again); second.ID != first.ID {
		t.Errorf("again it is release %d, not %d", second.ID, first.ID)
	}
	if diff := cmp.Diff(before, server.Releases()); diff != "" {
		t.Errorf("again it changed (-before +after):\n%s", diff)
	}
	checkOne(t, server, "v1.0.0")
}

func TestWhatPeopleWroteStays(t *testing.T) {
	t.Parallel()
	server, host := startHost(t)
	server.AddRelease(githubtest.Release{Tag: "v1.0.0", Name: "The first", Body: "We are proud.", Draft: true, Prerelease: true, Assets: []githubtest.ReleaseAsset{{ID: 90, Name: "digests.txt", Data: []byte("others"), Whole: true}}})
	mustPublish(t, host, wanted("v1.0.0"))
	if r := checkOne(t, server, "v1.0.0"); r.Name != "The first" || !strings.HasPrefix(r.Body, "We are proud.") || !r.Prerelease {
		t.Errorf("the release is %+v", r)
	}
	// What is published already is completed; what it is stays.
	server.AddRelease(githubtest.Release{Tag: "v2.0.0", Name: "The second", Body: "Prouder still.", Prerelease: true, Latest: "false"})
	mustPublish(t, host, wanted("v2.0.0"))
	if r := checkOne(t, server, "v2.0.0"); r.Latest != "false" || !r.Prerelease || !strings.HasPrefix(r.Body, "Prouder still.") {
		t.Errorf("the release is %+v", r)
	}
}

// TestNotesOfOneRun keeps notes that say what was found in the same images, and more of them, where a run has nothing to say of that; other images have others.
func TestNotesOfOneRun(t *testing.T) {
	t.Parallel()
	one, other, platform := "sha256:"+strings.Repeat("1", 64), "sha256:"+strings.Repeat("2", 64), "sha256:"+strings.Repeat("3", 64)
	server, host := startHost(t)
	want := wanted("v1.0.0")
	publish := func(judged bool, notes string) string {
		want.Judged, want.Notes = judged, notes
		mustPublish(t, host, want)
		return server.Releases()[0].Body
	}
	first := publish(true, "image "+one+" has 3 findings, proven by "+platform)
	if got := publish(false, "image "+one); got != first {
		t.Errorf("they became %q", got)
	}
	for _, notes := range []string{"image " + other, "images " + one + " and " + other} {
		if got := publish(false, notes); !strings.Contains(got, notes) {
			t.Errorf("they are still %q", got)
		}
		publish(true, "image "+one)
	}
	if got := publish(true, "image "+one+" has 4 findings"); !strings.Contains(got, "4 findings") {
		t.Errorf("they are still %q", got)
	}
}

func TestDraftIsLeft(t *testing.T) {
	t.Parallel()
	server, host := startHost(t)
	want := wanted("v1.0.0")
	want.Draft = true
	mustPublish(t, host, want)
	mustPublish(t, host, want)
	if all := server.Releases(); len(all) != 1 || !all[0].Draft || len(all[0].Assets) != 3 {
		t.Fatalf("there are %+v", all)
	}
	mustPublish(t, host, wanted("v1.0.0"))
	mustPublish(t, host, want) // and never comes back
	checkOne(t, server, "v1.0.0")
}

// TestImmutable has a release freeze as it is published: it has all of its files by then, and later its notes alone change.
func TestImmutable(t *testing.T) {
	t.Parallel()
	server, host := startHost(t)
	server.KeepReleases()
	mustPublish(t, host, wanted("v1.0.0"))
	checkOne(t, server, "v1.0.0")
	want := wanted("v1.0.0")
	want.Notes += ", mended"
	mustPublish(t, host, want)
	if r := checkOne(t, server, "v1.0.0"); !strings.Contains(r.Body, "mended") {
		t.Errorf("the notes are %q", r.Body)
	}
	want.Assets[0].Data = []byte("others")
	_, notices, err := listAndPublish(t.Context(), host, want)
	if err != nil || len(notices) != 1 || !strings.Contains(notices[0], "without this run's digests.txt") {
		t.Errorf("Publish() = %q, %v", notices, err)
	}
	checkOne(t, server, "v1.0.0")
}

// TestKilled ends a run after each of its requests in turn. The next one ends in one whole release.
func TestKilled(t *testing.T) {
	t.Parallel()
	for requests := range 9 {
		server, host := startHost(t)
		server.KeepReleases()
		ctx, kill := context.WithCancel(t.Context())
		_, _, _ = listAndPublish(ctx, &mortal{Client: host, left: requests, kill: kill}, wanted("v1.0.0"))
		kill()
		mustPublish(t, host, wanted("v1.0.0"))
		checkOne(t, server, "v1.0.0")
	}
}

// A mortal dies after so many requests.
type mortal struct {
	*github.Client
	left int
	kill func()
}

func (m *mortal) live() {
	if m.left--; m.left < 0 {
		m.kill()
	}
}

func (m *mortal) CreateRelease(ctx context.Context, r github.Release) (github.Release, error) {
	defer m.live()
	return m.Client.CreateRelease(ctx, r)
}

func (m *mortal) EditRelease(ctx context.Context, r github.Release) (github.Release, error) {
	defer m.live()
	return m.Client.EditRelease(ctx, r)
}

func (m *mortal) Assets(ctx context.Context, id int64) ([]github.Asset, error) {
	defer m.live()
	return m.Client.Assets(ctx, id)
}

func (m *mortal) UploadAsset(ctx context.Context, r github.Release, f github.File) (github.Asset, error) {
	defer m.live()
	return m.Client.UploadAsset(ctx, r, f)
}

// TestBrokenUpload has an upload break off, which leaves an asset by that name that is none.
func TestBrokenUpload(t *testing.T) {
	t.Parallel()
	server, host := startHost(t)
	server.BreakUploads(1)
	mustPublish(t, host, wanted("v1.0.0"))
	checkOne(t, server, "v1.0.0")
}

// TestTwoAtOnce has several runs make the same release at the same moment.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	for round := range 6 {
		server, host := startHost(t)
		if round%2 == 0 {
			server.KeepReleases()
		}
		var working sync.WaitGroup
		for n := range 3 {
			working.Go(func() {
				want := wanted("v1.0.0")
				want.Assets[1].Data = fmt.Appendf(nil, `{"run": %d}`, n)
				if _, _, err := listAndPublish(t.Context(), host, want); err != nil {
					t.Error(err)
				}
			})
		}
		working.Wait()
		checkOne(t, server, "v1.0.0")
	}
}

// TestLostAnswer has GitHub make a draft and nobody hear of it: the request is sent again, and one release is left of the two.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for _, immutable := range []bool{false, true} {
		server, _ := startHost(t)
		if immutable {
			server.KeepReleases()
		}
		there, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		var made atomic.Int32
		front := httptest.NewServer(&httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = there.Scheme, there.Host, there.Host
			},
			ModifyResponse: func(r *http.Response) error {
				if r.Request.Method == http.MethodPost && strings.HasSuffix(r.Request.URL.Path, "/releases") && made.Add(1) == 1 {
					return errors.New("the connection broke")
				}
				return nil
			},
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		})
		t.Cleanup(front.Close)
		host, err := github.New(front.URL+there.Path, "o/r", "token")
		if err != nil {
			t.Fatal(err)
		}
		mustPublish(t, host, wanted("v1.0.0"))
		if made.Load() != 2 {
			t.Errorf("%d drafts were made", made.Load())
		}
		checkOne(t, server, "v1.0.0")
	}
}

// TestGoneMeanwhile is given a draft that another run has taken away since it was listed.
func TestGoneMeanwhile(t *testing.T) {
	t.Parallel()
	server, host := startHost(t)
	gone := github.Release{ID: 99, Tag: "v1.0.0", Draft: true}
	if _, _, err := Publish(t.Context(), host, wanted("v1.0.0"), []github.Release{gone}); err != nil {
		t.Fatal(err)
	}
	checkOne(t, server, "v1.0.0")
}

// TestEditedMeanwhile has a person write into a draft, and publish it, while its files are sent.
func TestEditedMeanwhile(t *testing.T) {
	t.Parallel()
	server, host := startHost(t)
	want := wanted("v1.0.0")
	want.Draft = true
	mustPublish(t, host, want)
	var meanwhile sync.Once
	server.Watch(func(r *http.Request) {
		if strings.Contains(r.URL.Path, "/uploads/") {
			meanwhile.Do(func() {
				all, err := host.Releases(t.Context())
				if err == nil {
					all[0].Draft, all[0].Body = false, "We are proud.\n"+all[0].Body
					_, err = host.EditRelease(t.Context(), all[0])
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
	})
	want.Notes, want.Assets[0].Data = "other notes of v1.0.0", []byte("other digests\n")
	mustPublish(t, host, want)
	if r := server.Releases()[0]; r.Draft || !strings.HasPrefix(r.Body, "We are proud.\n") || !strings.Contains(r.Body, "other notes") {
		t.Errorf("the release is %+v", r)
	}
}

// TestLongNotes are cut where a line ends, and what people wrote is not.
func TestLongNotes(t *testing.T) {
	t.Parallel()
	server, host := startHost(t)
	want := wanted("v1.0.0")
	want.Notes = strings.Repeat("one more line of notes\n", 10_000)
	server.AddRelease(githubtest.Release{Tag: "v1.0.0", Body: strings.Repeat("We are proud. ", 1000), Draft: true})
	mustPublish(t, host, want)
	body := server.Releases()[0].Body
	if len(body) > longest || len(body) < longest-100 || !strings.HasPrefix(body, "We are proud. ") || !strings.Contains(body, "of notes\n\n\n… and more") || !strings.HasSuffix(body, "-->") {
		t.Errorf("%d bytes, which end with %q", len(body), body[max(0, len(body)-200):])
	}
}

// TestWordsOfPeople are in a draft that this program has made once: it stays beside the release that was published.
func TestWordsOfPeople(t *testing.T) {
	t.Parallel()
	server, host := startHost(t)
	want := wanted("v1.0.0")
	server.AddRelease(githubtest.Release{Tag: "v1.0.0", Body: "out"})
	server.AddRelease(githubtest.Release{Tag: "v1.0.0", Body: "My words.\n" + want.body(""), Draft: true})
	server.AddRelease(githubtest.Release{Tag: "v1.0.0", Body: want.body(""), Draft: true})
	mustPublish(t, host, want)
	if all := server.Releases(); len(all) != 2 || !strings.HasPrefix(all[1].Body, "My words.") {
		t.Errorf("there are %+v", all)
	}
}

// A mute host tells no digests of assets, as older servers do not.
type mute struct{ *github.Client }

func (m mute) Assets(ctx context.Context, release int64) ([]github.Asset, error) {
	all, err := m.Client.Assets(ctx, release)
	for n := range all {
		all[n].Digest = ""
	}
	return all, err
}

func TestNoDigests(t *testing.T) {
	t.Parallel()
	server, client := startHost(t)
	var before []githubtest.ReleaseAsset
	for range 2 {
		if _, _, err := listAndPublish(t.Context(), mute{client}, wanted("v1.0.0")); err != nil {
			t.Fatal(err)
		}
		r := server.Releases()[0]
		if r.Draft || len(r.Assets) != 3 || before != nil && !cmp.Equal(before, r.Assets) {
			t.Errorf("the release is %+v", r)
		}
		before = r.Assets
	}
}

// TestTwoVersionsAtOnce publishes a version while a lower one is about to be published: the higher one is the latest release in the end.
func TestTwoVersionsAtOnce(t *testing.T) {
	t.Parallel()
	server, host := startHost(t)
	var meanwhile sync.Once
	server.Watch(func(r *http.Request) {
		if r.Method == http.MethodPatch {
			meanwhile.Do(func() {
				server.Watch(nil)
				if _, _, err := listAndPublish(t.Context(), host, wanted("v1.2.0")); err != nil {
					t.Error(err)
				}
			})
		}
	})
	mustPublish(t, host, wanted("v1.1.0"))
	for tag, latest := range map[string]string{"v1.1.0": "false", "v1.2.0": "true"} {
		if r := checkOne(t, server, tag); r.Latest != latest {
			t.Errorf("%s is the latest: %s", tag, r.Latest)
		}
	}
}

func TestLatestAndPrevious(t *testing.T) {
	t.Parallel()
	all := []github.Release{{Tag: "v1.0.0"}, {Tag: "v1.1.0"}, {Tag: "v2.0.0-rc.1", Prerelease: true}, {Tag: "v3.0.0", Draft: true}, {Tag: "nightly"}, {Tag: "backend/v9.0.0"}, {Tag: "backend/v9.1.0"}}
	for tag, want := range map[string][2]string{
		"v1.2.0":         {"true", "v1.1.0"},
		"v1.0.1":         {"false", "v1.0.0"},
		"v0.9.0":         {"false", ""},
		"v2.0.0-rc.2":    {"false", "v2.0.0-rc.1"},
		"v2.0.0":         {"true", "v1.1.0"},
		"backend/v9.2.0": {"legacy", "backend/v9.1.0"},
		"backend/v9.0.1": {"legacy", "backend/v9.0.0"},
	} {
		r := Release{Tag: tag}
		if service, version, ok := strings.Cut(tag, "/"); ok {
			r.Service, r.Prefix, tag = service, service+"/", version
		}
		r.Version = semver.MustParse(tag)
		if got := [2]string{r.latest(all), r.Previous(all)}; got != want {
			t.Errorf("%s: latest %s after %q, want %s after %q", r.Tag, got[0], got[1], want[0], want[1])
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	var changes []git.Change
	for i, message := range []string{"feat: cards", "feat(api)!: no more XML", "fix: a typo\n\nBREAKING CHANGE: the word is another", "chore: tidy", "fix(web): wrap", "Mend the roof\n\nIt leaked.", "perf: less", "docs: more", "wip: half", ""} {
		changes = append(changes, git.Change{ID: fmt.Sprintf("%040d", i), Message: message})
	}
	want := []Group{
		{"Breaking changes", []string{"api: no more XML (0000000)", "a typo (0000000)"}},
		{"Features", []string{"cards (0000000)"}},
		{"Fixes", []string{"web: wrap (0000000)"}},
		{"Faster", []string{"less (0000000)"}},
		{"Other changes", []string{"Mend the roof (0000000)", "half (0000000)"}},
	}
	if diff := cmp.Diff(want, Groups(changes)); diff != "" {
		t.Errorf("Groups() differs (-want +got):\n%s", diff)
	}
}
