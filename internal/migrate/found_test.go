package migrate

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/service"
	"go.yaml.in/yaml/v3"
)

// TestTake lists all that is known of a service that was found: taken out of its comment, the list says the same.
func TestTake(t *testing.T) {
	t.Parallel()
	yes := true
	full := service.Service{At: "docker-bake.hcl: target api", Name: "api", Image: "ghcr.io/octo/api", Context: "api", Dockerfile: "docker/api.Dockerfile", Target: "run",
		BuildArgs: map[string]string{"A": "1", "LINES": "one\n\ntwo # no comment", "BREAKS": "a\u2028b: []", "MORE": "a\n\u2029b: c\n", "OTHERS": "\u0085 \r"}, Labels: map[string]string{"a": "true"}, Annotations: map[string]string{"b": "2"},
		Platforms: []string{"linux/arm64"}, DependsOn: []string{"web"}, Port: 3000, HealthEndpoint: "/up", Env: map[string]string{"B": "yes"}, ReadOnly: true, Tmpfs: []string{"/tmp"},
		PeerNames: []string{"db"}, Resources: service.Resources{MemoryLimit: 3 << 29, CPUs: 0.5, MemoryReservation: 1000, Processes: 7},
		Options: service.Options{Contexts: map[string]string{"shared": "shared"}, Secrets: map[string]string{"npm": "env:NPM", "rc": "file:.npmrc"}, SSH: []string{"default"}, Network: "host",
			ExtraHosts: map[string]string{"db": "10.0.0.1"}, ShmSize: 64 << 20, Ulimits: map[string]string{"nofile": "1:2"}, NoCache: &yes, NoCacheFilters: []string{"run"}, Provenance: "max", SBOM: "true"}}
	web := service.Service{At: "docker-bake.hcl: target web", Name: "web", Image: "ghcr.io/octo/web", Context: ".", Inline: "FROM a\nEXPOSE 80\n", Platforms: []string{"linux/amd64"}}
	var r Reading
	found := service.Found{Services: []service.Service{full, web}, Left: []string{"left"}}
	r.Take(found, found)
	text, err := r.Config()
	if err != nil || strings.Contains(text, "\nservices") || r.FoundIn != "docker-bake.hcl" || !cmp.Equal(r.Left, []string{"left"}) {
		t.Fatalf("%v, %+v\n%s", err, r, text)
	}
	var keys map[string]any
	if err := yaml.Unmarshal([]byte(text), &keys); err != nil || len(keys) != 2 || strings.ContainsAny(text, "\r\u0085\u2028\u2029") { // platforms and gates
		t.Errorf("%v, outside the comment is %q of\n%q", err, keys, text)
	}
	config, err := service.Load(service.Sources{Flags: map[string]string{"config": "c"}, Getenv: func(string) string { return "" },
		ReadFile: func(name string) ([]byte, error) {
			if name != "c" {
				return nil, fs.ErrNotExist
			}
			return []byte(uncommented(text)), nil
		},
		Defaults: map[string]string{"owner": "octo", "actor": "a"},
		Peers:    func([]string, service.Service) ([]service.Peer, error) { return nil, nil }})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for n := range config.Services {
		config.Services[n].At = []service.Service{full, web}[n].At
	}
	if diff := cmp.Diff([]service.Service{full, web}, config.Services); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, text)
	}
	if w := r.Workflow(); strings.Count(w, "          NPM: ${{ secrets.NPM }}\n") != 1 {
		t.Errorf("the step that builds has no secret:\n%s", w)
	}
}

// uncommented takes the list of services out of its comment.
func uncommented(text string) string {
	var b strings.Builder
	listed := false
	for line := range strings.Lines(text) {
		if listed = listed && strings.HasPrefix(line, "# ") || line == "# services:\n"; listed {
			line = strings.TrimPrefix(line, "# ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// TestTakeDockerfiles lists services that nothing else says anything of, in one job or in several.
func TestTakeDockerfiles(t *testing.T) {
	t.Parallel()
	var found service.Found
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		found.Services = append(found.Services, service.Service{At: name + "/Dockerfile", Name: name, Context: name, Dockerfile: name + "/Dockerfile"})
	}
	r := Reading{Secrets: map[string]string{"T": "${{ secrets.T }}"}}
	r.Take(found, service.Found{})
	text, err := r.Config()
	if err != nil || !strings.Contains(text, "\n  - name: e\n    image: e\n    context: e\n") {
		t.Errorf("%v\n%s", err, text)
	}
	w := r.Workflow()
	if before, after, several := strings.Cut(w, "T: ${{ secrets.T }}"); !several || strings.Contains(before, "mode: finalize") || strings.Contains(after, "T: ${{ secrets.T }}") || !strings.HasPrefix(after, "\n        with:\n          mode: publish\n") {
		t.Errorf("the job that builds rows, and it alone, has the secret:\n%s", w)
	}
}

// TestChoose names the ports of a service of which none is told, wherever its entry ends, and of no other. Taken out of its comment one of them is the port.
func TestChoose(t *testing.T) {
	t.Parallel()
	several := []service.Service{{Name: "plain", Context: "plain", Dockerfile: "plain/Dockerfile"}, {Name: "inline", Context: ".", Inline: "FROM a\nEXPOSE 1 2\n"},
		{Name: "env", Context: "env", Dockerfile: "env/Dockerfile", Env: map[string]string{"A": "1"}}, {Name: "told", Context: "told", Dockerfile: "told/Dockerfile", Port: 9},
		{Name: "one", Context: "one", Dockerfile: "one/Dockerfile"}, {Name: "varies", Context: "varies", Dockerfile: "varies/Dockerfile"}}
	for n := range several {
		several[n].At = "compose.yaml: service " + several[n].Name
	}
	alone := slices.Clone(several)
	alone[5].Port = 7
	var r Reading
	r.Take(service.Found{Services: several}, service.Found{Services: alone})
	r.Choose(func(s service.Service) []int {
		if s.Dockerfile == "one/Dockerfile" {
			return []int{443}
		}
		return []int{443, 8080, 9090}
	})
	text, err := r.Config()
	if err != nil {
		t.Fatal(err)
	}
	const asked = "    # port: 443  # the Dockerfile exposes 443, 8080 and 9090: say which one answers\n"
	var got struct{ Services []struct{ Name, Port string } }
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(uncommented(text), asked, strings.Replace(asked, "# ", "", 1))), &got); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	ports := map[string]string{}
	for _, s := range got.Services {
		ports[s.Name] = s.Port
	}
	if diff := cmp.Diff(map[string]string{"plain": "443", "inline": "443", "env": "443", "told": "9", "one": "", "varies": ""}, ports); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, text)
	}
}

// TestSecrets are had from variables that the new workflow sets as the old one did.
func TestSecrets(t *testing.T) {
	t.Parallel()
	r := readAll(t, `
on: push
concurrency: x
env: {GIT_PASSWORD: "${{ secrets.GIT }}"}
jobs:
  build:
    steps:
      - uses: docker/build-push-action@v6
        with:
          push: true
          context: api
          tags: ghcr.io/acme/api
          secrets: |
            npm=${{ secrets.NPM_TOKEN }}
            git-token=${{ github.token }}
            gh=${{ secrets.GH_TOKEN }}
            multi="a
            b"
          secret-envs: |
            password=GIT_PASSWORD
            other=OTHER
          secret-files: rc=.npmrc
          build-contexts: shared=./shared
          labels: ${{ steps.meta.outputs.labels }}
`)
	if diff := cmp.Diff(map[string]string{"npm": "env:NPM_TOKEN", "git-token": "env:GIT_TOKEN", "gh": "env:BUILD_GH_TOKEN", "password": "env:GIT_PASSWORD", "other": "env:OTHER", "rc": "file:.npmrc"}, r.Services[0].Secrets); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"NPM_TOKEN": "${{ secrets.NPM_TOKEN }}", "GIT_TOKEN": "${{ github.token }}", "BUILD_GH_TOKEN": "${{ secrets.GH_TOKEN }}", "GIT_PASSWORD": "${{ secrets.GIT }}", "OTHER": "${{ secrets.OTHER }}"}, r.Secrets); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	want := []string{
		".github/workflows/docker.yml:12: a secret of the build is written in a way that is not read: name it under `secrets` of the service, and give its value by `env:` of the step.",
		".github/workflows/docker.yml:9 names the tags itself: here `tags` has the rules, by default of branches, versions and commits.",
	}
	for _, said := range want {
		if !strings.Contains(strings.Join(r.Left, "\n"), said[strings.Index(said, ":"):][3:]) {
			t.Errorf("%q is not among\n%s", said, strings.Join(r.Left, "\n"))
		}
	}
}

// TestSecretsOfSeveral have variables of their own where their values are others, and none where the new workflow has no such value.
func TestSecretsOfSeveral(t *testing.T) {
	t.Parallel()
	r := readAll(t, `
on: push
concurrency: x
env: {PASSWORD: "${{ steps.vault.outputs.password }}"}
jobs:
  build:
    strategy: {matrix: {token: [A, B]}}
    steps:
      - uses: docker/build-push-action@v6
        with:
          push: true
          context: api
          tags: ghcr.io/acme/api
          secrets: |
            token=${{ format('{0}{1}', secrets.A, 'steps.x') }}
            npm=${{ secrets.NPM }}
            vault=${{ steps.vault.outputs.token }}
            mine=${{ secrets[matrix.token] }}
            asked=${{ inputs.token || secrets.NPM }}
            job=${{ needs.a.outputs.b }}
            set=${{ env.TOKEN }}
          secret-envs: password=PASSWORD
      - uses: docker/build-push-action@v6
        with:
          push: true
          context: web-app
          tags: ghcr.io/acme/web-app
          secrets: |
            token=${{ github.token }}
            npm=${{ secrets.NPM }}
            OTEL_KEY=${{ github.token }}
      - uses: docker/build-push-action@v6
        with:
          push: true
          context: 3d
          tags: ghcr.io/acme/3d
          secrets: |
            token=${{ secrets.A || secrets.B }}
      - uses: docker/build-push-action@v6
        with:
          push: true
          context: 4d
          tags: ghcr.io/acme/4d
          secrets: |
            token=${{ secrets.C || secrets.D }}
`)
	var got []map[string]string
	for _, s := range r.Services {
		got = append(got, s.Secrets)
	}
	if diff := cmp.Diff([]map[string]string{{"token": "env:TOKEN", "npm": "env:NPM"}, {"token": "env:WEB_APP_TOKEN", "npm": "env:NPM", "OTEL_KEY": "env:BUILD_OTEL_KEY"},
		{"token": "env:BUILD_TOKEN"}, {"token": "env:BUILD_TOKEN_2"}}, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"TOKEN": "${{ format('{0}{1}', secrets.A, 'steps.x') }}", "NPM": "${{ secrets.NPM }}", "WEB_APP_TOKEN": "${{ github.token }}", "BUILD_OTEL_KEY": "${{ github.token }}",
		"BUILD_TOKEN": "${{ secrets.A || secrets.B }}", "BUILD_TOKEN_2": "${{ secrets.C || secrets.D }}"}, r.Secrets); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	for _, id := range []string{"vault", "mine", "asked", "job", "set", "password"} {
		if !strings.Contains(strings.Join(r.Left, "\n"), ": the secret "+id+" of the build is ${{ ") {
			t.Errorf("nothing is said of %s:\n%s", id, strings.Join(r.Left, "\n"))
		}
	}
}

// TestOddSecrets are in the workflow as they were.
func TestOddSecrets(t *testing.T) {
	t.Parallel()
	want := map[string]string{"A": "a: b # c", "B": "two\nlines\n", "C": "${{ format('a: {0}', secrets.X) }}", "D": ""}
	var made struct {
		Jobs map[string]struct {
			Steps []struct {
				Uses string
				Env  map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(Reading{Secrets: want}.Workflow()), &made); err != nil {
		t.Fatal(err)
	}
	for _, s := range made.Jobs["publish"].Steps {
		if diff := cmp.Diff(want, s.Env); strings.HasPrefix(s.Uses, "org/ghcr-publish@") && diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// TestBakeAction says what goes besides a bake file.
func TestBakeAction(t *testing.T) {
	t.Parallel()
	r := readAll(t, `
on: push
concurrency: x
jobs:
  build:
    env: {REGISTRY: ghcr.io/acme}
    steps:
      - uses: docker/bake-action@v6
        env: {TAG: "${{ github.ref_name }}"}
        with:
          files: |
            ./docker-bake.hcl
            build/more.hcl
          targets: all
          set: |
            *.cache-from=type=gha
            *.platform=linux/amd64
      - uses: docker/bake-action@v6
        with: {targets: default, push: true}
      - uses: docker/build-push-action@v6
        with: {context: web, outputs: "type=image,name=ghcr.io/acme/web,push=true"}
`)
	want := []string{
		".github/workflows/docker.yml:8 builds what build/more.hcl says, where no services are looked for: have it be docker-bake.hcl at the repository's root, or list its targets as services.",
		".github/workflows/docker.yml:8 builds the targets all: here those of the group default are published, or all where there is no such group: have it name these.",
		".github/workflows/docker.yml:15 sets \"*.platform=linux/amd64\" over the bake file: write it there, or under `defaults`.",
		".github/workflows/docker.yml:8 gives the bake file the variables REGISTRY, TAG: give them to the new workflow's step by `env:`, where its targets are to have them.",
		".github/workflows/docker.yml:18 gives the bake file the variables REGISTRY: give them to the new workflow's step by `env:`, where its targets are to have them.",
		".github/workflows/docker.yml:18 builds the targets of a bake file, which are not found where services are listed: list them, too.",
	}
	if diff := cmp.Diff(want, r.Left); diff != "" || len(r.Files) != 1 {
		t.Errorf("%q, left (-want +got):\n%s", r.Files, diff)
	}
}

// TestLeftOfBuilds says of all that a build is given what becomes of it.
func TestLeftOfBuilds(t *testing.T) {
	t.Parallel()
	r := readAll(t, `
on: push
concurrency: x
env: {HOST: "${{ vars.HOST }}"}
jobs:
  build:
    steps:
      - uses: docker/build-push-action@v6
        with:
          push: true
          context: api
          outputs: type=image,name=ghcr.io/octo/api,push=true
          sbom: true
          no-cache: true
          pull: true
          provenance: mode=max
          load: false
          allow: network.host
          labels: ${{ steps.meta.outputs.labels }}
          build-args: |
            TOKEN=${{ secrets.NPM_TOKEN }}
            JOB=x-${{ github.token }}
            SHA=${{ github.sha }}
            VERSION=${{ fromJSON(steps.meta.outputs.json).labels['org.opencontainers.image.version'] }}
            API=https://${{ env.HOST }}/
            AGENT=${{ env.AGENT }}
            PLAIN=1
`)
	want := []string{
		".github/workflows/docker.yml:20: the build argument TOKEN is a secret, which the image tells everybody: have the build read it as a secret, and name it under `secrets` of the service.",
		".github/workflows/docker.yml:20: the build argument JOB is a secret, which the image tells everybody: have the build read it as a secret, and name it under `secrets` of the service.",
		".github/workflows/docker.yml:20: the build argument SHA is another one each time, so nothing would be used again: labels tell version, commit and date.",
		".github/workflows/docker.yml:20: the build argument VERSION is another one each time, so nothing would be used again: labels tell version, commit and date.",
		".github/workflows/docker.yml:20: the build argument API is https://${{ vars.HOST }}/, which is only known when it runs: write what it is under `build_args` of the service, or give it to the new workflow's step as `build-args`.",
		".github/workflows/docker.yml:20: the build argument AGENT is ${{ env.AGENT }}, which is only known when it runs: write what it is under `build_args` of the service, or give it to the new workflow's step as `build-args`.",
		".github/workflows/docker.yml:18: allow is \"network.host\", and nothing here stands for it.",
	}
	if diff := cmp.Diff(want, r.Left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// TestGiven takes over what else a build is given as far as a configuration says the same, and names the rest.
func TestGiven(t *testing.T) {
	t.Parallel()
	r := readAll(t, `
on: push
concurrency: x
jobs:
  build:
    strategy: {matrix: {include: [{memory: 1g}]}}
    steps:
      - uses: docker/build-push-action@v6
        with:
          push: true
          context: api
          outputs: type=image,name=ghcr.io/octo/api,push=true
          add-hosts: |
            db:10.0.0.1
            six:fe80::1
          allow: network.host
          annotations: org.opencontainers.image.description=An API
          build-contexts: |
            shared=./shared
            alpine=docker-image://alpine:3.20
          cgroup-parent: builds
          labels: |
            ${{ steps.meta.outputs.labels }}
            com.example.team=api=1
          network: host
          no-cache: true
          no-cache-filters: deps, tools
          sbom: true
          shm-size: ${{ matrix.memory }}
          ssh: default
          ulimit: nofile=1024:2048
      - uses: docker/build-push-action@v6
        with:
          push: true
          context: web
          outputs: type=image,name=ghcr.io/octo/web,push=true
          add-hosts: db:somewhere
          allow: security.insecure
          annotations: index:a=b
          network: container:x
          no-cache: ${{ vars.FRESH }}
          shm-size: much
          ulimit: nofile
`)
	want := options{Labels: map[string]string{"com.example.team": "api=1"}, Annotations: map[string]string{"org.opencontainers.image.description": "An API"}, SSH: []string{"default"}, Network: "host",
		ExtraHosts: map[string]string{"db": "10.0.0.1", "six": "fe80::1"}, ShmSize: "1g", Ulimits: map[string]string{"nofile": "1024:2048"}, CgroupParent: "builds", NoCache: new(true), NoCacheFilters: []string{"deps", "tools"}, SBOM: "true"}
	if diff := cmp.Diff(want, r.Services[0].Options); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"shared": "./shared", "alpine": "docker-image://alpine:3.20"}, r.Services[0].Contexts); diff != "" {
		t.Errorf("contexts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(options{}, r.Services[1].Options); diff != "" {
		t.Errorf("options of what cannot be written (-want +got):\n%s", diff)
	}
	left := []string{
		".github/workflows/docker.yml:37: add-hosts is \"db:somewhere\", which `extra_hosts` of a service does not take.",
		".github/workflows/docker.yml:38: allow is \"security.insecure\", and nothing here stands for it.",
		".github/workflows/docker.yml:39: annotations is \"index:a=b\", which `annotations` of a service does not take.",
		".github/workflows/docker.yml:40: network is \"container:x\", which `network` of a service does not take.",
		".github/workflows/docker.yml:41: no-cache is \"${{ vars.FRESH }}\", which is only known when it runs: write what it is under `no_cache` of the service.",
		".github/workflows/docker.yml:42: shm-size is \"much\", which `shm_size` of a service does not take.",
		".github/workflows/docker.yml:43: ulimit is \"nofile\", which `ulimits` of a service does not take.",
	}
	if diff := cmp.Diff(left, r.Left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// TestTry takes over how a container runs from what builds the same alone.
func TestTry(t *testing.T) {
	t.Parallel()
	web := service.Service{At: "compose.yaml: service web", Name: "web", Context: "web", Dockerfile: "web/Dockerfile", Port: 8081, HealthEndpoint: "/ready", PeerNames: []string{"db"}}
	other, stage, again, third := web, web, web, web
	other.Dockerfile, stage.Target, again.Name, again.Port, third.Name = "web/Dockerfile.dev", "dev", "worker", 9, "third"
	for title, c := range map[string]struct {
		found []service.Service
		had   Service
		want  string
	}{
		"the same":               {[]service.Service{web}, Service{}, "8081 /ready [db]"},
		"another Dockerfile":     {[]service.Service{other}, Service{}, "3  []"},
		"another stage":          {[]service.Service{stage}, Service{}, "3  []"},
		"one of two by its name": {[]service.Service{again, web}, Service{}, "8081 /ready [db]"},
		"two of other names":     {[]service.Service{again, third}, Service{}, "3  []"},
		"what its row says":      {[]service.Service{web}, Service{Port: 8081, Health: "/own"}, "8081 /own [db]"},
		"another port":           {[]service.Service{web}, Service{Port: 80}, "80  [db]"},
	} {
		c.had.Name, c.had.Context = "web", "web"
		r := Reading{Services: []Service{c.had}}
		r.Try(service.Found{Services: c.found, Compose: "compose.yaml", Left: []string{web.At + ": a", "compose.yaml: service webs: b"}}, func(service.Service) int { return 3 })
		s := r.Services[0]
		if got := fmt.Sprint(s.Port, " ", s.Health, " ", s.Trial.Peers); got != c.want || slices.Contains(r.Left, "compose.yaml: service webs: b") {
			t.Errorf("%s: %s and %q, not %s", title, got, r.Left, c.want)
		}
	}
}
