package cache

import (
	"encoding/csv"
	"slices"
	"strings"
	"testing"

	"github.com/docker/buildx/util/buildflags"
	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/service"
)

var (
	all      = Grant{Read: true, Write: true}
	readOnly = Grant{Read: true, Why: "it is read-only"}
	none     = Grant{Why: "there is none"}
)

func TestChoose(t *testing.T) {
	t.Parallel()
	grants := func(actions, registry, local Grant) map[string]Grant {
		return map[string]Grant{service.CacheActions: actions, service.CacheRegistry: registry, service.CacheLocal: local}
	}
	good, bad, better := Worth{5, 2, 30}, Worth{5, 12, 3}, Worth{5, 1, 60}
	cases := map[string]struct {
		run    Run
		wanted string
		known  map[string]Worth
		want   Policy
	}{
		"all of them": {Run{Grants: grants(all, all, all)}, "auto", nil,
			Policy{"gha", []string{"gha", "registry", "local"}, "max", "gha is the first that this run may write to"}},
		"no Actions": {Run{Grants: grants(none, all, none)}, "auto", nil,
			Policy{"registry", []string{"registry"}, "max", "registry is the first that this run may write to"}},
		"a laptop": {Run{Grants: grants(none, readOnly, all)}, "auto", nil,
			Policy{"local", []string{"local", "registry"}, "max", "local is the first that this run may write to"}},
		"a pull request": {Run{Grants: grants(readOnly, readOnly, readOnly)}, "auto", nil,
			Policy{"off", []string{"gha", "registry", "local"}, "", "it is read-only"}},
		"nothing at all": {Run{}, "auto", nil, Policy{"off", []string{}, "", ""}},
		"off":            {Run{Grants: grants(all, all, all)}, "off", nil, Policy{"off", []string{}, "", "the configuration says off"}},
		"fixed":          {Run{Grants: grants(all, all, all)}, "registry", nil, Policy{"registry", []string{"registry"}, "max", "the configuration says registry"}},
		"fixed and read": {Run{Grants: grants(readOnly, all, all)}, "gha", nil, Policy{"off", []string{"gha"}, "", "the configuration says gha, and it is read-only"}},
		"fixed, although it does not pay": {Run{Grants: grants(all, all, all)}, "gha", map[string]Worth{"gha": bad},
			Policy{"gha", []string{"gha"}, "max", "the configuration says gha"}},
		"one that must be asked for": {Run{Grants: grants(Grant{Read: true, Write: true, Asked: "it would be kept"}, none, all)}, "auto", nil,
			Policy{"local", []string{"local"}, "max", "local is the first that this run may write to"}},
		"one that was asked for": {Run{Grants: grants(Grant{Read: true, Write: true, Asked: "it would be kept"}, none, all)}, "gha", nil,
			Policy{"gha", []string{"gha"}, "max", "the configuration says gha"}},
		"one that pays": {Run{Grants: grants(all, all, none)}, "auto", map[string]Worth{"gha": good},
			Policy{"gha", []string{"gha", "registry"}, "max", "gha pays: in 5 builds it took 2.0 s and saved 30.0 s on average"}},
		"another that pays more": {Run{Grants: grants(all, all, none)}, "auto", map[string]Worth{"gha": good, "registry": better},
			Policy{"registry", []string{"registry", "gha"}, "max", "registry pays: in 5 builds it took 1.0 s and saved 60.0 s on average"}},
		"one that does not pay": {Run{Grants: grants(all, all, none)}, "auto", map[string]Worth{"gha": bad},
			Policy{"registry", []string{"registry", "gha"}, "max", "registry is the first that this run may write to; gha does not pay: in 5 builds it took 12.0 s and saved 3.0 s on average"}},
		"none that pays": {Run{Grants: grants(none, all, none)}, "auto", map[string]Worth{"registry": bad},
			Policy{"off", []string{"registry"}, "", "there is none; registry does not pay: in 5 builds it took 12.0 s and saved 3.0 s on average; there is none"}},
		"too few builds to tell": {Run{Grants: grants(all, all, none)}, "auto", map[string]Worth{"gha": {2, 12, 3}},
			Policy{"gha", []string{"gha", "registry"}, "max", "gha is the first that this run may write to"}},
		"little room": {Run{grants(all, all, none), "it is full"}, "auto", nil,
			Policy{"registry", []string{"registry", "gha"}, "max", "registry is the first that this run may write to; it is full"}},
		"little room, and no other": {Run{grants(all, readOnly, none), "it is full"}, "auto", nil,
			Policy{"gha", []string{"gha", "registry"}, "min", "gha is the first that this run may write to; it is full"}},
		"little room where it is fixed": {Run{grants(all, all, all), "it is full"}, "gha", nil,
			Policy{"gha", []string{"gha"}, "min", "the configuration says gha; it is full"}},
	}
	for name, c := range cases {
		if diff := cmp.Diff(c.want, c.run.Choose(c.wanted, c.known)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestNobodyWritesWithoutAGrant tries every grant, wish and memory there is.
func TestNobodyWritesWithoutAGrant(t *testing.T) {
	t.Parallel()
	some := []Grant{all, readOnly, none}
	for i := range 27 {
		run := Run{Grants: map[string]Grant{service.CacheActions: some[i%3], service.CacheRegistry: some[i/3%3], service.CacheLocal: some[i/9]}}
		for _, wanted := range []string{"auto", "gha", "registry", "local", "off"} {
			for _, crowded := range []string{"", "full"} {
				for _, worth := range []Worth{{}, {3, 1, 2}, {3, 2, 1}} {
					run.Crowded = crowded
					got := run.Choose(wanted, map[string]Worth{"gha": worth, "registry": worth, "local": worth})
					if got.Writes != "off" && !run.Grants[got.Writes].Write || (got.Writes == "off") != (got.Mode == "") {
						t.Errorf("%+v, %s: %+v", run, wanted, got)
					}
					for _, tier := range got.Reads {
						if !run.Grants[tier].Read {
							t.Errorf("%+v reads %s", run, tier)
						}
					}
				}
			}
		}
	}
}

// TestPlacesAreReadByBuildx gives them to buildx's own parser.
func TestPlacesAreReadByBuildx(t *testing.T) {
	t.Parallel()
	p := Place{Service: "api", Image: "ghcr.io/octo/api", Folder: `/odd, "folder`, Exists: func(string) bool { return true }, Branches: []string{"feature/ä,b", "main"},
		Platforms: []string{"linux/arm64"}, Whole: []string{"linux/amd64", "linux/arm64"}, PlainHTTP: true}
	every := Policy{Writes: "local", Reads: []string{"local", "gha", "registry"}, Mode: "max"}
	from, to := p.From(every), p.To(every)
	if len(from) != 4+2+4 || len(to) != 1 {
		t.Fatalf("from %q to %q", from, to)
	}
	for _, writes := range []string{"gha", "registry"} {
		to = append(to, p.To(Policy{Writes: writes, Mode: "max"})...)
	}
	entries, err := buildflags.ParseCacheEntry(append(from, to...))
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		writes := i >= len(from)
		if (e.Attrs["ignore-error"] == "true") != writes || (e.Attrs["mode"] == "max") != writes || e.Attrs["token"]+e.Attrs["url"]+e.Attrs["url_v2"]+e.Attrs["ghtoken"] != "" {
			t.Errorf("%+v", e)
		}
		switch folder := e.Attrs["src"] + e.Attrs["dest"]; e.Type {
		case "gha":
			if e.Attrs["version"] != "2" || e.Attrs["timeout"] == "" {
				t.Errorf("%+v", e)
			}
		case "local":
			if !strings.HasPrefix(folder, p.Folder+"/ghcr.io/octo/api/ghcr-publish-cache-") || writes && e.Attrs["reset"] != "true" {
				t.Errorf("%+v", e)
			}
		case "registry":
			_, tag, _ := strings.Cut(e.Attrs["ref"], "octo/api:")
			if !IsTag(tag) {
				t.Errorf("%+v", e)
			}
		}
	}
	if to := p.To(Policy{Writes: "off"}); to != nil {
		t.Errorf("off writes to %q", to)
	}
	p.Exists = func(string) bool { return false }
	if from := p.From(Policy{Reads: []string{"local"}}); from != nil {
		t.Errorf("it reads %q, which are not there", from)
	}
}

// TestScopesAreKeptApart: other branches, platforms and images have other layers, and the order of platforms is none.
func TestScopesAreKeptApart(t *testing.T) {
	t.Parallel()
	both := []string{"linux/amd64", "linux/arm64"}
	tags := []string{Tag("main", both), Tag("main", both[:1]), Tag("main", both[1:]), Tag("a/b", both), Tag("a-b", both), Tag(strings.Repeat("x", 200), both), Tag(strings.Repeat("x", 201), both)}
	for i, tag := range tags {
		if !IsTag(tag) || len(tag) > 128 || slices.Contains(tags[:i], tag) {
			t.Errorf("%q is no tag, or twice", tag)
		}
	}
	if Tag("main", both) != Tag("main", []string{both[1], both[0]}) {
		t.Error("the order of platforms counts")
	}
	scope := func(service, image string) string {
		return Place{Service: service, Image: image}.actions(both)
	}
	if scope("a", "x/a") == scope("b", "x/a") || scope("a", "x/a") == scope("a", "x/b") {
		t.Error("services share a scope")
	}
	for _, tag := range []string{"main", "latest", "ghcr-publish-cache-", "ghcr-publish-cache-main", "my-ghcr-publish-cache-main-0123456789abcdef", "ghcr-publish-cache-main-01234567"} {
		if IsTag(tag) {
			t.Errorf("%s is no tag of layers", tag)
		}
	}
}

func FuzzPlace(f *testing.F) {
	f.Add("main", "/tmp/layers")
	f.Add("-\n,\"", "/a,b=\"c\"\n")
	f.Fuzz(func(t *testing.T, branch, folder string) {
		p := Place{Service: "a", Image: "ghcr.io/o/a", Folder: "/" + folder, Branches: []string{branch}, Platforms: []string{"linux/amd64"}, Exists: func(string) bool { return true }}
		for _, tier := range []string{"gha", "registry", "local"} {
			for _, value := range append(p.To(Policy{Writes: tier, Mode: "max"}), p.From(Policy{Reads: []string{tier}})...) {
				fields, err := csv.NewReader(strings.NewReader(value)).Read()
				if err != nil || fields[0] != "type="+tier || slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, "token=") }) {
					t.Errorf("%q: %v", value, err)
				}
			}
		}
		if tag := Tag(branch, p.Platforms); !IsTag(tag) || len(tag) > 128 {
			t.Errorf("%q", tag)
		}
	})
}

func TestUsesOfPlatformsAreJoined(t *testing.T) {
	t.Parallel()
	policy := Policy{Writes: "registry", Reads: []string{"registry"}, Mode: "max", Reason: "why"}
	first := Use{policy, []Gave{{"registry", 1, 10, 2, 0.5, ""}}}
	got := Use{}.Join(first).Join(Use{policy, []Gave{{"registry", 2, 5, 0, 1, "lost"}, {Tier: "local", Hits: 1}}})
	want := Use{policy, []Gave{{"registry", 3, 15, 2, 1.5, "lost"}, {Tier: "local", Hits: 1}}}
	if diff := cmp.Diff(want, got); diff != "" || first.Tiers[0].Hits != 1 {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := got.String(); got != "registry was of no use, local had those of 1 instructions (0B read) and was given 0, in 0.0 s (why)" {
		t.Error(got)
	}
	if got := (Use{Policy: Policy{Writes: "off", Reason: "why"}}).String(); got != "none kept (why)" {
		t.Error(got)
	}
}
