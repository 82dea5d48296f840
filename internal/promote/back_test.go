package promote

import (
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/tags"
)

// asked is a promotion of services, written as "api=after<before", to a tag.
func asked(to, undoes string, services ...string) Entry {
	e := Entry{Commit: at("a"), Ref: "refs/heads/main", To: to, Undoes: undoes}
	for _, s := range services {
		name, digests, _ := strings.Cut(s, "=")
		after, before, _ := strings.Cut(digests, "<")
		e.Intents = append(e.Intents, Intent{Service: name, Image: image, Digest: after, Published: before, Tags: []tags.Tag{{Name: to, Kind: tags.Pointer}}})
	}
	return e
}

func (p *page) run(t *testing.T, run string, e Entry, finished bool) {
	t.Helper()
	j := p.journal(run)
	err := j.Begin(t.Context(), e)
	if err == nil && finished {
		err = j.End(t.Context(), run)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// goesBack demands what a run would go back to, written as "run: api=before …".
func (p *page) goesBack(t *testing.T, run, tag, want string, only ...string) {
	t.Helper()
	e, found, err := p.journal(run).Back(t.Context(), tag, func(name string) bool { return len(only) == 0 || name == only[0] })
	got := "nothing"
	if found {
		got = e.Run + ":"
		for _, i := range e.Intents {
			got += " " + i.Service + "=" + i.Published
		}
	}
	if err != nil || got != want {
		t.Errorf("run %s goes back to %s, %v; want %s", run, got, err, want)
	}
}

func TestBack(t *testing.T) {
	t.Parallel()
	p := &page{}
	p.goesBack(t, "1-1", "production", "nothing")
	p.run(t, "1-1", asked("production", "", "api=b<a", "web=y<x"), true)
	p.run(t, "2-1", asked("staging", "", "api=z<b"), true)
	p.run(t, "3-1", intent("latest"), true) // which nobody asked for
	p.run(t, "4-1", asked("production", "", "api=c<b"), true)
	p.goesBack(t, "5-1", "production", "4-1: api=b")
	p.goesBack(t, "5-1", "staging", "2-1: api=b")
	p.goesBack(t, "5-1", "production", "1-1: web=x", "web")
	p.goesBack(t, "5-1", "canary", "nothing")

	// What was taken back is not taken back again, but by the same run.
	p.run(t, "5-1", asked("production", "4-1", "api=b<c"), true)
	p.goesBack(t, "6-1", "production", "1-1: api=a web=x")
	p.goesBack(t, "5-2", "production", "4-1: api=b")
	p.run(t, "6-1", asked("production", "1-1", "web=x<y"), true)
	p.goesBack(t, "7-1", "production", "1-1: api=a")

	// Who was killed while he went back is followed by who does it again.
	p.run(t, "8-1", asked("production", "", "api=d<b"), true)
	p.run(t, "9-1", asked("production", "8-1", "api=b<d"), false)
	p.goesBack(t, "10-1", "production", "8-1: api=b")

	// A promotion that broke off is the newest.
	p.run(t, "11-1", asked("production", "", "api=e<b"), false)
	p.goesBack(t, "12-1", "production", "11-1: api=b")
	if left, err := p.journal("12-1").Left(t.Context()); err != nil || len(left) != 2 {
		t.Errorf("%v are left to finish, %v", runs(left), err)
	}
}

// TestBackFindsWhatBeganLast, whichever of two promotions was finished last.
func TestBackFindsWhatBeganLast(t *testing.T) {
	t.Parallel()
	p := &page{}
	p.run(t, "1-1", asked("production", "", "api=b<a"), false)
	p.run(t, "2-1", asked("production", "", "api=c<b"), true)
	p.goesBack(t, "3-1", "production", "2-1: api=b")
	if err := p.journal("3-1").End(t.Context(), "1-1"); err != nil {
		t.Fatal(err)
	}
	p.goesBack(t, "3-1", "production", "2-1: api=b")
	p.run(t, "3-1", asked("production", "2-1", "api=b<c"), true)
	p.goesBack(t, "4-1", "production", "1-1: api=a")
}

// TestBackRemembers the newest of each tag, and each once.
func TestBackRemembers(t *testing.T) {
	t.Parallel()
	p := &page{}
	p.run(t, "1-1", asked("production", "", "api=b<a"), true)
	for range remembered + 3 {
		p.run(t, "2-1", asked("staging", "", "api=b<a"), true)
	}
	p.goesBack(t, "9-1", "production", "1-1: api=a")
	for i := range remembered {
		p.run(t, "3-"+string(rune('a'+i)), asked("production", "", "api=c<b"), true)
	}
	if n := strings.Count(string(p.data), `"run":"1-1"`); n != 0 {
		t.Errorf("the oldest is there %d times", n)
	}
	if n := strings.Count(string(p.data), `"run":"2-1"`); n != 1 {
		t.Errorf("one run is there %d times", n)
	}
}

func TestSameRun(t *testing.T) {
	t.Parallel()
	for pair, want := range map[[2]string]bool{{"1-1", "1-2"}: true, {"1-1", "1-1"}: true, {"1-1", "11-1"}: false, {"local-5", "local-6"}: false, {"local-5", "local-5"}: true, {"", ""}: true, {"1", "1-1"}: false} {
		if got := sameRun(pair[0], pair[1]); got != want {
			t.Errorf("%q: %v", pair, got)
		}
	}
}
