package tags

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// pick draws one of several.
func pick[T any](dice *rand.Rand, from ...T) T { return from[dice.IntN(len(from))] }

func randomRule(dice *rand.Rand) string {
	rule := pick(dice, "type=schedule", "type=schedule,pattern={{date 'YYYYMMDD'}}", "type=semver,pattern={{version}}", "type=semver,pattern={{major}}.{{minor}}", "type=semver,pattern=v{{major}}",
		"type=semver,pattern={{raw}},match=api-(.*)", "type=semver,pattern={{version}},value=1.2.3", "type=channel", "type=channel,value=1.2.3-beta.1", "type=channel,match=api-(.*)", "type=pep440,pattern={{version}}", "type=pep440,pattern={{major}}", "type=match,pattern=v(.*),group=1", "type=match,pattern=\\d.\\d",
		"type=edge", "type=edge,branch=dev", "type=ref,event=branch", "type=ref,event=tag", "type=ref,event=pr", "type=raw,value=foo", "type=raw,value=latest", "type=raw,value={{branch}}-{{sha}}", "type=sha", "type=sha,format=long,prefix=")
	for _, more := range []string{",priority=" + fmt.Sprint(dice.IntN(1200)), ",prefix=p-", ",suffix=-{{sha}}", ",prefix={{branch}}-", ",enable={{is_default_branch}}", ",enable=false", ",prefix={{base_ref}}."} {
		if dice.IntN(6) == 0 {
			rule += more
		}
	}
	return rule
}

func randomFlavor(dice *rand.Rand) string {
	return pick(dice, "", "latest=true", "latest=false", "prefix=f-,onlatest=true", "suffix=-alpine", "latest=true\nsuffix=-{{sha}},onlatest=true", "prefix=.")
}

func randomEvent(dice *rand.Rand) Event {
	e := Event{SHA: strings.Repeat(pick(dice, "a", "0", "f1"), 40)[:40], DefaultBranch: pick(dice, "main", "dev", ""), BaseRef: pick(dice, "", "refs/heads/main", "x"),
		Now: time.Unix(dice.Int64N(4e9), 0), Committed: time.Unix(dice.Int64N(4e9), 0)}
	e.ShortSHA = pick(dice, 0, 0, 1, 12, 64)
	e.Name = pick(dice, "push", "pull_request", "schedule", "workflow_dispatch", "release", "create")
	e.Ref = pick(dice, "refs/heads/", "refs/tags/", "refs/pull/") + pick(dice, "main", "dev", "feat/ü x", "v1.2.3", "1.2", "v2.0.0-rc.1+b", "api-1.0.0", "7/merge", ".x", strings.Repeat("long/", 40), "1.2.3.dev1", "a&b", "v1.2.3-beta.1", "backend/v1.2.3-beta", "backend@1.2.3", "backend/1.2rc1", "-", "x/.-y")
	_, e.Released = Releases(e.Ref, []string{"backend", "api"})
	return e
}

// TestEverySetIsSound draws rules, flavors and events, and holds what comes of them to what must always be.
func TestEverySetIsSound(t *testing.T) {
	t.Parallel()
	const seed = 5
	dice := rand.New(rand.NewPCG(seed, 0))
	for range 20_000 {
		var lines []string
		for range 1 + dice.IntN(5) {
			lines = append(lines, randomRule(dice))
		}
		rules, mistakes := Parse(strings.Join(lines, "\n"))
		var more []error
		rules.Flavor, more = ParseFlavor(randomFlavor(dice))
		if mistakes != nil || more != nil {
			t.Fatal(lines, mistakes, more)
		}
		e := randomEvent(dice)
		set := rules.Render(e)
		checkSet(t, rules, e, set)
		if again := rules.Render(e); fmt.Sprint(again) != fmt.Sprint(set) {
			t.Fatalf("%q on %+v gives\n%v, and then\n%v", lines, e, set, again)
		}
		if len(set.Tags)+len(set.Silent) < 1 {
			t.Fatalf("%q on %+v gives nothing, and no reason", lines, e)
		}
	}
}

func checkSet(t *testing.T, rules Rules, e Event, set Set) {
	t.Helper()
	if n := strings.Count(" "+strings.Join(set.Names(), "  ")+" ", " latest "); n > 1 {
		t.Fatalf("latest comes %d times on %+v", n, e)
	}
	names := set.Names()
	slices.Sort(names)
	if len(slices.Compact(names)) != len(set.Tags) {
		t.Fatalf("twice the same on %+v: %q", e, set.Names())
	}
	if len(set.Tags) > 0 && set.Tags[0].Name != set.Version || len(set.Tags) == 0 && set.Version != "" {
		t.Fatalf("on %+v the version is %q of %q", e, set.Version, set.Names())
	}
	last := 1e9
	for _, tag := range set.Tags {
		if !Valid(tag.Name) || tag.Rule == "" || tag.Kind == "" {
			t.Fatalf("on %+v there is %+v", e, tag)
		}
		if strings.HasPrefix(tag.Rule, "type=channel") && (tag.Kind != Release || !tag.Follows(parseVersion(tag.Release))) {
			t.Fatalf("on %+v %+v does not follow its own version", e, tag)
		}
		if was := tag.Repaired; was != "" && (Valid(was) || sanitise(was) != was || repaired(was) != tag.Name) {
			t.Fatalf("on %+v %q was repaired to %q", e, was, tag.Name)
		}
		i := slices.IndexFunc(rules.list, func(r rule) bool { return r.text == tag.Rule })
		if i < 0 {
			continue // latest, which comes along
		}
		if p := rules.list[i].priority; p > last {
			t.Fatalf("on %+v %q comes after one of less priority", e, tag.Name)
		} else {
			last = p
		}
	}
}
