package promote

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/tags"
)

// A page is where a journal is written. What another run writes comes between a look and a writing.
type page struct {
	data   []byte
	theirs [][]byte
	writes int
}

func (p *page) journal(run string) Journal {
	return Journal{Run: run,
		Read: func(context.Context) ([]byte, error) { return p.data, nil },
		Write: func(_ context.Context, data []byte) error {
			p.data = data
			if p.writes++; len(p.theirs) > 0 {
				p.data, p.theirs = p.theirs[0], p.theirs[1:]
			}
			return nil
		}}
}

func runs(entries []Entry) (runs []string) {
	for _, e := range entries {
		runs = append(runs, e.Run)
	}
	return runs
}

func intent(names ...string) Entry {
	var set []tags.Tag
	for _, n := range names {
		set = append(set, tags.Tag{Name: n, Kind: tags.Release, Release: "1.2.3", Line: "1"})
	}
	return Entry{Commit: at("a"), Ref: "refs/tags/v1.2.3", Intents: []Intent{{Service: "api", Image: image, Digest: ours.DigestStr(), Platforms: []string{"linux/amd64"}, Tags: set}}}
}

func TestJournal(t *testing.T) {
	t.Parallel()
	p := &page{}
	one, two := p.journal("1-1"), p.journal("2-1")
	for _, step := range []error{one.Begin(t.Context(), intent("latest")), two.Begin(t.Context(), intent("1", "1.2")), one.Begin(t.Context(), intent("latest"))} {
		if step != nil {
			t.Fatal(step)
		}
	}
	left, err := one.Left(t.Context())
	want := intent("1", "1.2")
	want.Run, want.Began = "2-1", 2
	if diff := cmp.Diff([]Entry{want}, left); diff != "" || err != nil {
		t.Errorf("%v, left by others (-want +got):\n%s", err, diff)
	}
	if err := one.End(t.Context(), "2-1"); err != nil {
		t.Fatal(err)
	}
	if left, err := two.Left(t.Context()); err != nil || !cmp.Equal(runs(left), []string{"1-1"}) {
		t.Errorf("after the other's is struck: %v, %v", runs(left), err)
	}
	if err := one.End(t.Context(), "1-1"); err != nil || strings.Contains(string(p.data), "latest") {
		t.Errorf("%s is left: %v", p.data, err)
	}
	before := p.writes
	if err := two.End(t.Context(), "2-1"); err != nil || p.writes != before {
		t.Errorf("what is struck already is written again: %v", err)
	}
}

// TestJournalOfTwoRunsAtOnce finds its entry overwritten, and writes it again beside the other's.
func TestJournalOfTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	theirs := &page{}
	if err := theirs.journal("2-1").Begin(t.Context(), intent("1")); err != nil {
		t.Fatal(err)
	}
	p := &page{theirs: [][]byte{theirs.data}}
	if err := p.journal("1-1").Begin(t.Context(), intent("latest")); err != nil {
		t.Fatal(err)
	}
	if all, err := p.journal("").Left(t.Context()); err != nil || !cmp.Equal(runs(all), []string{"2-1", "1-1"}) {
		t.Errorf("%v, %v", runs(all), err)
	}
	p.theirs = make([][]byte, 99)
	if err := p.journal("3-1").Begin(t.Context(), intent("latest")); err == nil {
		t.Error("an entry that never stays is taken to be written")
	}
}

func TestJournalThatIsNone(t *testing.T) {
	t.Parallel()
	p := &page{data: []byte("<html>")}
	if left, err := p.journal("1-1").Left(t.Context()); len(left) > 0 || err != nil {
		t.Errorf("%v, %v", left, err)
	}
	if err := p.journal("1-1").Begin(t.Context(), intent("latest")); err != nil {
		t.Error(err)
	}
	if err := p.journal("1-1").Begin(t.Context(), intent(registry.JournalTag)); err == nil || !strings.Contains(err.Error(), "is no tag for an image") {
		t.Errorf("an image under the journal's tag: %v", err)
	}
	broken := Journal{Read: func(context.Context) ([]byte, error) { return nil, errors.New("registry down") }}
	if err := broken.Begin(t.Context(), intent("latest")); err == nil || !strings.Contains(err.Error(), "which tags are to move: registry down") {
		t.Errorf("%v", err)
	}
}

// TestBeginTakesOver has a promotion decide on tags that an older one has left open. Tags that follow commits or versions are left to it unless both are
// of one commit: they tell by themselves which image is newer.
func TestBeginTakesOver(t *testing.T) {
	t.Parallel()
	of := func(commit, image string, kinds ...tags.Kind) Entry {
		e := Entry{Commit: at(commit), Ref: "refs/heads/main"}
		for _, k := range kinds {
			e.Intents = append(e.Intents, Intent{Service: "api", Image: image, Tags: []tags.Tag{{Name: string(k), Kind: k}}})
		}
		return e
	}
	all := []tags.Kind{tags.Version, tags.Commit, tags.Release, tags.Branch, tags.Pointer}
	for name, c := range map[string]struct {
		newer Entry
		left  string
	}{
		"of another commit":                    {of("b", image, all...), "version release branch"},
		"of the same commit":                   {of("a", image, all...), ""},
		"of another image":                     {of("a", "ghcr.io/octo/web", all...), "version commit release branch pointer"},
		"of another tag":                       {of("b", image, tags.Branch), "version commit release branch pointer"},
		"that takes a tag back, and is killed": {of("b", image, tags.Pointer), "version commit release branch"},
	} {
		p := &page{}
		p.run(t, "1-1", of("a", image, all...), false)
		p.run(t, "2-1", c.newer, false)
		left, err := p.journal("2-1").Left(t.Context())
		var names []string
		for _, i := range left[0].Intents {
			for _, tag := range i.Tags {
				names = append(names, tag.Name)
			}
		}
		if got := strings.Join(names, " "); err != nil || got != c.left {
			t.Errorf("%s: %q are left to finish, %v; want %q", name, got, err, c.left)
		}
	}
}
