package buildx

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/service"
)

func TestCreateArgs(t *testing.T) {
	t.Parallel()
	for want, b := range map[string]Builder{
		"create --name b --driver docker-container":                                                                {Name: "b"},
		"create --name b --driver docker-container --driver-opt network=host":                                      {Name: "b", HostNet: true},
		"create --name b --driver docker-container --buildkitd-config /t/buildkitd.toml":                           {Name: "b", Config: "/t/buildkitd.toml"},
		"create --name b --driver docker-container --driver-opt network=host --buildkitd-config /t/buildkitd.toml": {Name: "b", HostNet: true, Config: "/t/buildkitd.toml"},
	} {
		if got := strings.Join(b.CreateArgs(), " "); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestArgs(t *testing.T) {
	t.Parallel()
	least := Build{Builder: "b", Image: "ghcr.io/octo/web", Context: "/w", Dockerfile: "/w/Dockerfile", Platforms: []string{"linux/amd64"}, Options: service.Options{Provenance: "max"}, Metadata: "/t/m.json"}
	pushed := "type=image,name=ghcr.io/octo/web,push-by-digest=true,name-canonical=true,push=true,oci-mediatypes=true"
	begin := []string{"build", "--builder", "b", "--progress", "rawjson", "--platform", "linux/amd64", "--file", "/w/Dockerfile", "--metadata-file", "/t/m.json"}
	cases := []struct {
		name   string
		change func(*Build)
		want   []string // after begin
	}{
		{"the least", func(*Build) {}, []string{"--output", pushed, "--attest", "type=provenance,mode=max", "/w"}},
		{"less provenance", func(b *Build) { b.Provenance = "min" }, []string{"--output", pushed, "--attest", "type=provenance,mode=min", "/w"}},
		{"no provenance", func(b *Build) { b.Provenance = "false" }, []string{"--output", pushed, "--attest", "type=provenance,disabled=true", "/w"}},
		{"a list of what is in it", func(b *Build) { b.SBOM = "true" }, []string{"--output", pushed, "--attest", "type=provenance,mode=max", "--attest", "type=sbom", "/w"}},
		{"the same, by another's scanner", func(b *Build) { b.Provenance, b.SBOM = "false", "octo/scanner:1" },
			[]string{"--output", pushed, "--attest", "type=provenance,disabled=true", "--attest", "type=sbom,generator=octo/scanner:1", "/w"}},
		{"no list", func(b *Build) { b.SBOM = "false" }, []string{"--output", pushed, "--attest", "type=provenance,mode=max", "/w"}},
		{"plain HTTP", func(b *Build) { b.PlainHTTP = true }, []string{"--output", pushed + ",registry.insecure=true", "--attest", "type=provenance,mode=max", "/w"}},
		{"everything, in a steady order", func(b *Build) {
			b.Target = "--runtime"
			b.BuildArgs = map[string]string{"VERSION": "1", "EMPTY": "", "A": "x=y z"}
			b.Labels = map[string]string{"b": "2", "a": "1"}
			b.Annotations = map[string]string{"org.opencontainers.image.description": "What, it does"}
			b.Levels, b.Marks = []string{"manifest", "index"}, map[string]string{"inputs": "sha256:1"}
		}, []string{"--output", pushed, "--attest", "type=provenance,mode=max", "--target", "--runtime",
			"--build-arg", "A=x=y z", "--build-arg", "EMPTY=", "--build-arg", "VERSION=1", "--label", "a=1", "--label", "b=2",
			"--annotation", "manifest,index:org.opencontainers.image.description=What, it does", "--annotation", "index:inputs=sha256:1", "/w"}},
		{"all that a build can be told", func(b *Build) {
			yes := true
			b.Options = service.Options{Provenance: "max", Contexts: map[string]string{"shared": "/w/shared", "base": "docker-image://busybox"},
				Secrets: map[string]string{"npm": "env:NPM_TOKEN", "ca": `file:/w/a,b "c".pem`}, SSH: []string{"default", "git=/k"}, Network: "host",
				ExtraHosts: map[string]string{"db": "10.0.0.1"}, ShmSize: 1 << 20, Ulimits: map[string]string{"nofile": "1024:2048"}, CgroupParent: "/x",
				NoCache: &yes, NoCacheFilters: []string{"deps"}}
		}, []string{"--output", pushed, "--attest", "type=provenance,mode=max", "--build-context", "base=docker-image://busybox", "--build-context", "shared=/w/shared",
			"--secret", `id=ca,"src=/w/a,b ""c"".pem"`, "--secret", "id=npm,env=NPM_TOKEN", "--ssh", "default", "--ssh", "git=/k", "--network", "host", "--allow", "network.host",
			"--add-host", "db=10.0.0.1", "--shm-size", "1048576", "--ulimit", "nofile=1024:2048", "--cgroup-parent", "/x", "--no-cache", "--no-cache-filter", "deps", "/w"}},
		{"kept in a layout", func(b *Build) {
			b.Layout, b.Annotations, b.Marks = "/t/l", map[string]string{"a": "1"}, map[string]string{"b": "2"}
		},
			[]string{"--provenance=false", "--output", "type=oci,tar=false,dest=/t/l", "/w"}},
		{"kept and loaded", func(b *Build) { b.Layout, b.Load = "/t/l", "ghcr-publish/web:candidate" },
			[]string{"--provenance=false", "--output", "type=oci,tar=false,dest=/t/l", "--output", "type=docker,name=ghcr-publish/web:candidate", "/w"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := least
			c.change(&b)
			if diff := cmp.Diff(append(append([]string{}, begin...), c.want...), b.Args()); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
			if b.Layout != "" && strings.Contains(strings.Join(b.Args(), " "), "push=true") {
				t.Error("a build that stays here pushes")
			}
		})
	}
}

func TestArgsJoinPlatforms(t *testing.T) {
	t.Parallel()
	b := Build{Platforms: []string{"linux/amd64", "linux/arm64"}}
	if got := strings.Join(b.Args(), " "); !strings.Contains(got, " --platform linux/amd64,linux/arm64 ") {
		t.Errorf("arguments: %s", got)
	}
}

func TestDefaultName(t *testing.T) {
	t.Parallel()
	config := append(make([]byte, 0, 64), "debug = true\n"...)
	names := map[string]bool{}
	for _, name := range []string{DefaultName(nil, false, ""), DefaultName(nil, true, ""), DefaultName(config, false, ""), DefaultName(config, true, ""), DefaultName(append(config, ' '), false, ""), DefaultName(nil, false, "one"), DefaultName(nil, false, "two")} {
		if names[name] || !strings.HasPrefix(name, "ghcr-publish-") {
			t.Errorf("%q is another builder's name, or not ours", name)
		}
		names[name] = true
	}
	rest := config[:cap(config)][len(config):]
	before := string(rest)
	if DefaultName(config, true, "") != DefaultName([]byte("debug = true\n"), true, "") || DefaultName(nil, false, "") != DefaultName([]byte{}, false, "") {
		t.Error("the same settings have two names")
	}
	if string(rest) != before {
		t.Error("the caller's memory was written to")
	}
}

func TestAnnotationsGoWhereTheyCan(t *testing.T) {
	t.Parallel()
	// BuildKit refuses index annotations where it makes no index.
	one, two := []string{"linux/amd64"}, []string{"linux/amd64", "linux/arm64"}
	for _, c := range []struct {
		platforms        []string
		provenance, sbom string
		levels           string
		want, mark       string
	}{
		{one, "false", "false", "index", "manifest:k=v", "manifest:m=1"},
		{one, "max", "false", "index", "index:k=v", "index:m=1"},
		{one, "false", "true", "index", "index:k=v", "index:m=1"},
		{two, "false", "false", "index", "index:k=v", "index:m=1"},
		{two, "false", "false", "manifest", "manifest:k=v", "index:m=1"},
		{two, "max", "false", "manifest-descriptor index-descriptor", "manifest-descriptor,index-descriptor:k=v", "index:m=1"},
		{one, "false", "false", "index manifest", "manifest:k=v", "manifest:m=1"},
		{one, "false", "false", "manifest index-descriptor manifest-descriptor", "manifest,manifest-descriptor:k=v", "manifest:m=1"},
	} {
		args := Build{Platforms: c.platforms, Options: service.Options{Provenance: c.provenance, SBOM: c.sbom}, Levels: strings.Fields(c.levels),
			Annotations: map[string]string{"k": "v"}, Marks: map[string]string{"m": "1"}}.Args()
		if !slices.Contains(args, c.want) || !slices.Contains(args, c.mark) {
			t.Errorf("%s of %q with provenance %s: %q lacks %s or %s", c.levels, c.platforms, c.provenance, args, c.want, c.mark)
		}
	}
}

func TestCreateNodeArgs(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		node   Node
		index  int
		config string
	}{
		"create --name b --node b0 --driver remote --platform linux/amd64 --driver-opt cacert=/t/ca.pem --driver-opt servername=amd -- tcp://amd:1234": {Node{"remote", "tcp://amd:1234", []string{"linux/amd64"}, map[string]string{"servername": "amd", "cacert": "/t/ca.pem"}}, 0, "/t/buildkitd.toml"},
		"create --name b --node b1 --driver remote --append --platform linux/arm64,linux/riscv64 -- unix:///a.sock":                                    {Node{"remote", "unix:///a.sock", []string{"linux/arm64", "linux/riscv64"}, nil}, 1, ""},
		`create --name b --node b0 --driver kubernetes --driver-opt "nodeselector=a=b,c=d" --driver-opt replicas=2 --buildkitd-config /t/b.toml`:       {Node{"kubernetes", "", nil, map[string]string{"replicas": "2", "nodeselector": "a=b,c=d"}}, 0, "/t/b.toml"},
		"create --name b --node b0 --driver docker-container":                                                                                          {Node{Driver: "docker-container"}, 0, ""},
	} {
		if got := strings.Join(CreateNodeArgs("b", c.node, c.index, c.config), " "); got != want {
			t.Errorf("%q\nwant %q", got, want)
		}
	}
}
