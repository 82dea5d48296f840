package clean

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/github"
)

// A robot is GitHub, as far as an executor knows it.
type robot struct {
	looked   map[int64]github.Version
	refuses  map[int64]error
	lost     map[int64]bool // what it does though it refuses: the answer does not arrive
	deleted  []int64
	restored []int64
	there    map[string]bool // what the registry has though it is not found
	after    Package         // what there is in the end
	written  []Record        // what runs before have written down
	wrote    int             // journals
}

func (r *robot) executor() Executor {
	return Executor{
		Look: func(_ context.Context, id int64) (github.Version, bool, error) {
			v, found := r.looked[id]
			return v, found && !slices.Contains(r.deleted, id), nil
		},
		Delete: func(_ context.Context, id int64) error {
			if err := r.refuses[id]; err != nil && !r.lost[id] {
				return err
			}
			r.deleted = append(r.deleted, id)
			return r.refuses[id]
		},
		Restore: func(_ context.Context, id int64) error {
			r.restored = append(r.restored, id)
			return r.refuses[-id]
		},
		Pace:  func(ctx context.Context) error { return ctx.Err() },
		There: func(_ context.Context, digest string) (bool, error) { return r.there[digest], r.refuses[-1] },
		Write: func(context.Context, []byte) (string, error) {
			r.wrote++
			return digestOf("j"), nil
		},
		Survey: func(_ context.Context, known Known) (Package, error) {
			now := r.after
			now.Manifests = maps.Clone(now.Manifests)
			now.addLost(known.Records, nil)
			return now, r.refuses[0]
		},
		Tell: func(string, ...any) {},
	}
}

// outcomes are what came of a plan, by digests' words.
func outcomes(plan Plan) string {
	var list []string
	for _, i := range plan.Gone {
		list = append(list, words([]Item{i})[0]+" "+i.Outcome)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// run executes the plan for a package of which b is to go with its parts, and e which tells of it.
func (r *robot) run(ctx context.Context, budget int) (Plan, int, error) {
	p := newFixture().index("a", 9, "main").index("b", 9).add("e", 9, Manifest{Subject: digestOf("b")}).Package
	if r.looked == nil {
		r.looked = map[int64]github.Version{}
		for _, v := range p.Versions {
			r.looked[v.ID] = v
		}
	}
	if r.after.Manifests == nil {
		r.after = newFixture().index("a", 9, "main").Package
	}
	rules := rulesWith(nil)
	plan := rules.Plan(p)
	executor := r.executor()
	p.Written = r.written
	executor.Rules, executor.Package = rules, p
	left, err := executor.Run(ctx, &plan, budget)
	return plan, left, err
}

func TestRun(t *testing.T) {
	t.Parallel()
	all := "b deleted, b0 deleted, b1 deleted, b2 deleted, e deleted"
	versions := map[int64]github.Version{}
	for _, v := range newFixture().index("a", 9, "main").index("b", 9).add("e", 9, Manifest{}).Versions {
		versions[v.ID] = v
	}
	const b, b0 = 8, 5
	changed := func(change func(*github.Version)) map[int64]github.Version {
		looked := map[int64]github.Version{}
		for id, v := range versions {
			if looked[id] = v; id == b {
				change(&v)
				looked[id] = v
			}
		}
		return looked
	}
	stayed := "b stayed, b0 stayed, b1 stayed, b2 stayed, e stayed"
	for name, test := range map[string]struct {
		robot  robot
		budget int
		want   string
		note   string
		err    string
	}{
		"all":                        {budget: 9, want: all},
		"budget":                     {budget: 2, want: "b deleted, b0 deleted, b1 stayed, b2 stayed, e stayed", note: "a later run deletes it: `most` allows 200"},
		"no budget":                  {want: stayed},
		"a new tag":                  {robot: robot{looked: changed(func(v *github.Version) { v.Tags = []string{"rollback"} })}, budget: 9, want: stayed, note: "it changed meanwhile"},
		"another time":               {robot: robot{looked: changed(func(v *github.Version) { v.Updated = v.Updated.Add(time.Second) })}, budget: 9, want: stayed, note: "it changed meanwhile"},
		"another digest":             {robot: robot{looked: changed(func(v *github.Version) { v.Digest = digestOf("c") })}, budget: 9, want: stayed, note: "it changed meanwhile"},
		"a lost answer":              {robot: robot{refuses: map[int64]error{b: errors.New("EOF")}, lost: map[int64]bool{b: true}}, budget: 9, want: all},
		"a lost answer, asked again": {robot: robot{refuses: map[int64]error{b: github.ErrAbsent}, lost: map[int64]bool{b: true}}, budget: 9, want: all},
		"an answer of nothing done":  {robot: robot{refuses: map[int64]error{b: errors.New("EOF")}}, budget: 9, want: stayed, note: "EOF", err: "EOF"},
		"withheld":                   {robot: robot{refuses: map[int64]error{b: github.ErrAbsent}, there: map[string]bool{digestOf("b"): true}}, budget: 9, want: stayed, note: "does not find it when it is to be deleted", err: "the role Admin"},
		"what stays keeps all":       {robot: robot{refuses: map[int64]error{b: fmt.Errorf("%w: popular", github.ErrUndeletable)}}, budget: 9, want: stayed, note: "bbbbbbbbbbbb stays, and needs it"},
		"a part may stay alone":      {robot: robot{refuses: map[int64]error{b0: fmt.Errorf("%w: popular", github.ErrUndeletable)}}, budget: 9, want: "b deleted, b0 stayed, b1 deleted, b2 deleted, e deleted", note: "GitHub does not delete it: popular"},
		"a fault ends it":            {robot: robot{refuses: map[int64]error{b0: github.ErrSpent}}, budget: 9, want: "b deleted, b0 stayed, b1 stayed, b2 stayed, e stayed", note: "the run ended before", err: "budget of requests is spent"},
		"nobody can look again":      {robot: robot{refuses: map[int64]error{0: errors.New("it is dark")}}, budget: 9, want: all, err: "it is dark"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan, left, err := test.robot.run(t.Context(), test.budget)
			if got := outcomes(plan); got != test.want {
				t.Errorf("got %s\nwant %s", got, test.want)
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
			if left != test.budget-len(test.robot.deleted) {
				t.Errorf("%d of a budget of %d are left, after %d deletions", left, test.budget, len(test.robot.deleted))
			}
			if !slices.ContainsFunc(plan.Gone, func(i Item) bool { return strings.Contains(i.Note, test.note) }) {
				t.Errorf("no note says %q", test.note)
			}
		})
	}
}

// TestRunAbsent takes what somebody else deleted as done.
func TestRunAbsent(t *testing.T) {
	t.Parallel()
	r := &robot{looked: map[int64]github.Version{}}
	plan, left, err := r.run(t.Context(), 1)
	if got := outcomes(plan); err != nil || left != 1 || got != "b absent, b0 absent, b1 absent, b2 absent, e absent" {
		t.Errorf("%s, %d left, %v", got, left, err)
	}
	// Where GitHub shows nothing to the token, nothing is gone.
	r = &robot{looked: map[int64]github.Version{}, there: map[string]bool{digestOf("b"): true}}
	plan, _, err = r.run(t.Context(), 9)
	if got := outcomes(plan); err != nil || got != "b stayed, b0 stayed, b1 stayed, b2 stayed, e stayed" {
		t.Errorf("%s, %v", got, err)
	}
	r = &robot{looked: map[int64]github.Version{}, refuses: map[int64]error{-1: errors.New("it is dark")}}
	if plan, _, err = r.run(t.Context(), 9); err == nil || !strings.Contains(outcomes(plan), "b stayed") {
		t.Errorf("%s, %v", outcomes(plan), err)
	}
}

func TestRunCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := &robot{}
	if _, _, err := r.run(ctx, 9); !errors.Is(err, context.Canceled) || r.deleted != nil {
		t.Errorf("deleted %d, %v", r.deleted, err)
	}
}

// TestRunMends restores what something needs that came meanwhile, what others need first.
func TestRunMends(t *testing.T) {
	t.Parallel()
	came := newFixture().index("a", 9, "main").add("c", 0, Manifest{Image: true, Children: []string{digestOf("b")}}).Package
	r := &robot{after: came}
	plan, _, err := r.run(t.Context(), 9)
	if got := outcomes(plan); err != nil || got != "b restored, b0 restored, b1 restored, b2 restored, e restored" {
		t.Errorf("%s, %v", got, err)
	}
	if len(r.restored) != 5 || r.restored[4] != 8 {
		t.Errorf("restored in the order %d", r.restored)
	}
	r = &robot{after: came, refuses: map[int64]error{-8: errors.New("it is too late")}}
	if plan, _, err = r.run(t.Context(), 9); err == nil || !strings.Contains(outcomes(plan), "b deleted") {
		t.Errorf("%s, %v", outcomes(plan), err)
	}
}

// TestRunTriesFirst: a token that may not delete leaves one journal, and not one more each night.
func TestRunTriesFirst(t *testing.T) {
	t.Parallel()
	var written []Record
	for _, v := range newFixture().index("a", 9, "main").index("b", 9).Versions {
		written = append(written, Record{Version: v})
	}
	const b = 8
	forbidden := errors.New("403 Resource not accessible by integration")
	for name, test := range map[string]struct {
		robot robot
		wrote int
		want  string
		err   string
	}{
		"the first night":     {robot{refuses: map[int64]error{b: forbidden}}, 1, "b stayed, b0 stayed, b1 stayed, b2 stayed, e stayed", "403"},
		"the next":            {robot{refuses: map[int64]error{b: forbidden}, written: written}, 0, "b stayed, b0 stayed, b1 stayed, b2 stayed, e stayed", "403"},
		"withheld":            {robot{refuses: map[int64]error{b: github.ErrAbsent}, written: written}, 0, "b stayed, b0 stayed, b1 stayed, b2 stayed, e stayed", "the role Admin"},
		"once it may":         {robot{written: written}, 1, "b deleted, b0 deleted, b1 deleted, b2 deleted, e deleted", ""},
		"one that never goes": {robot{refuses: map[int64]error{b: github.ErrUndeletable}, written: written}, 1, "b stayed, b0 stayed, b1 stayed, b2 stayed, e stayed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan, left, err := test.robot.run(t.Context(), 9)
			if got := outcomes(plan); got != test.want || test.robot.wrote != test.wrote || left != 9-len(test.robot.deleted) {
				t.Errorf("%d journals, %d left, got %s\nwant %d, %s", test.robot.wrote, left, got, test.wrote, test.want)
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
		})
	}
}
