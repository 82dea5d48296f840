package discover

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/service"
)

func TestDockerfiles(t *testing.T) {
	t.Parallel()
	const scratch = "FROM scratch\n"
	cases := []struct {
		name  string
		files map[string]string // others are empty
		want  string            // name, context and Dockerfile of each
	}{
		{"root", map[string]string{"Dockerfile": scratch}, "shop . Dockerfile"},
		{"folders", map[string]string{"Dockerfile": scratch, "apps/web/Dockerfile": scratch, "api/Dockerfile": scratch}, "shop . Dockerfile\napi api api/Dockerfile\nweb apps/web apps/web/Dockerfile"},
		{"variants", map[string]string{"docker/api.Dockerfile": scratch, "docker/Dockerfile.web": scratch, "docker/Dockerfile.web.dockerignore": "", "docker/Dockerfile.tmpl": ""},
			"web docker docker/Dockerfile.web\napi docker docker/api.Dockerfile"},
		{"clash", map[string]string{"a/api/Dockerfile": scratch, "b/api/Dockerfile": scratch, "c/api.Dockerfile": scratch, "Dockerfile.api": scratch},
			"shop-api . Dockerfile.api\na-api a/api a/api/Dockerfile\nb-api b/api b/api/Dockerfile\nc-api c c/api.Dockerfile"},
		{"clash of case", map[string]string{"a/API/Dockerfile": scratch, "b/api/Dockerfile": scratch}, "a-API a/API a/API/Dockerfile\nb-api b/api b/api/Dockerfile"},
		{"elsewhere", map[string]string{"testdata/Dockerfile": scratch, "x/node_modules/y/Dockerfile": scratch, "vendor/Dockerfile": scratch, "third_party/a/Dockerfile": scratch,
			".devcontainer/Dockerfile": scratch, ".github/Dockerfile": scratch, "a/.b/Dockerfile": scratch, "Dockerfile.dockerignore": "", "MyDockerfile": ""}, ""},
		{"not for publishing", map[string]string{"api/Dockerfile": scratch, "api/Dockerfile.dev": scratch, "test.Dockerfile": scratch, "Dockerfile.CI": scratch}, "api api api/Dockerfile"},
		{"odd names", map[string]string{"_a__b..c/Dockerfile": scratch, "ünï/Dockerfile": scratch, "日本/Dockerfile": scratch}, "a__b-c _a__b..c _a__b..c/Dockerfile\nn ünï ünï/Dockerfile\nimage 日本 日本/Dockerfile"},
		{"files of the root", map[string]string{"api/Dockerfile": scratch + "COPY package.json api/ /app/\nCOPY --from=x /nowhere /\nCOPY $OTHER /\n", "package.json": ""}, "api . api/Dockerfile"},
		{"patterns of the root", map[string]string{"api/Dockerfile": scratch + "COPY go.* /app/\nADD https://example.com/a.tgz /\n", "go.mod": ""}, "api . api/Dockerfile"},
		{"files of the folder", map[string]string{"api/Dockerfile": scratch + "COPY package*.json /app/\nCOPY . /app\n", "package.json": "", "api/package.json": ""}, "api api api/Dockerfile"},
		{"files of neither", map[string]string{"api/Dockerfile": scratch + "COPY dist package.json /app/\n", "package.json": ""}, "api api api/Dockerfile"},
		{"heredoc", map[string]string{"api/Dockerfile": scratch + "COPY <<EOF /a\nb\nEOF\n"}, "api api api/Dockerfile"},
		{"ill-formed", map[string]string{"api/Dockerfile": "COPY"}, "api api api/Dockerfile"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			found, err := clone(t, c.files).Find(t.Context())
			var lines []string
			for _, s := range found.Services {
				lines = append(lines, s.Name+" "+s.Context+" "+s.Dockerfile)
				if s.At != s.Dockerfile || !slices.Contains(found.Files, s.At) {
					t.Errorf("%s is at %q, of %q", s.Name, s.At, found.Files)
				}
			}
			if diff := cmp.Diff(c.want, strings.Join(lines, "\n")); err != nil || diff != "" {
				t.Errorf("%v, services (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestExposedPort(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"FROM a\nEXPOSE 80":                         80,
		"FROM a\nEXPOSE 80/tcp":                     80,
		"FROM a\nEXPOSE 80/udp":                     0,
		"FROM a\nEXPOSE 80 443":                     0,
		"FROM a\nEXPOSE 80-90":                      0,
		"FROM a\nARG P\nEXPOSE $P":                  0,
		"FROM a AS b\nEXPOSE 80\nFROM a\nEXPOSE 81": 81,
		"FROM a AS b\nEXPOSE 80\nFROM a":            0,
		"FROM a AS b\nEXPOSE 80\nFROM b":            80,
		"FROM a":                                    0,
		"":                                          0,
	} {
		if got := readDockerfile([]byte(text), "").port(); got != want {
			t.Errorf("port of %q is %d, want %d", text, got, want)
		}
	}
}

// TestExposedPorts are those that somebody can choose from.
func TestExposedPorts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]int{
		"FROM a\nEXPOSE 9090 443/tcp 53/udp $P\nEXPOSE 9090/TCP 80-90": {443, 9090},
		"FROM a AS b\nEXPOSE 80\nFROM b\nEXPOSE 81":                    {80, 81},
		"FROM a": nil,
	} {
		if diff := cmp.Diff(want, readDockerfile([]byte(text), "").ports()); diff != "" {
			t.Errorf("ports of %q (-want +got):\n%s", text, diff)
		}
	}
}

// A deleted Dockerfile is still known to git.
func TestDeletedDockerfile(t *testing.T) {
	t.Parallel()
	f := clone(t, map[string]string{"api/Dockerfile": "FROM scratch"})
	f.Files = clone(t, map[string]string{"api/Dockerfile": "", "web/Dockerfile": ""}).Files
	if found, err := f.Find(t.Context()); err != nil || len(found.Services) != 1 {
		t.Errorf("%v, %+v", err, found.Services)
	}
}

// What a configuration accepts as the name of a service, and a registry as an image's.
var (
	validService = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)
	validImage   = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)
)

func FuzzNames(f *testing.F) {
	for _, seed := range []string{"Dockerfile\na/b/Dockerfile\nc/b/Dockerfile", "a-b/Dockerfile\na/b/Dockerfile\nc/b/Dockerfile\nb-2/Dockerfile", "..Dockerfile\nDockerfile..", strings.Repeat("x", 70) + "/Dockerfile\n" + strings.Repeat("x", 71) + "/Dockerfile"} {
		f.Add(seed, "shop")
	}
	f.Fuzz(func(t *testing.T, lines, repository string) {
		files := slices.Compact(slices.Sorted(slices.Values(strings.Split(lines, "\n"))))
		names := serviceNames(files, repository)
		images := map[string]bool{}
		for _, name := range names {
			image := strings.ToLower(name)
			if !validService.MatchString(name) || !validImage.MatchString(image) || images[image] {
				t.Errorf("of %q and %q: %q", files, repository, names)
			}
			images[image] = true
		}
		if !slices.Equal(names, serviceNames(files, repository)) || len(names) != len(files) {
			t.Errorf("the names of %q are not always the same", files)
		}
	})
}

// Whatever a Compose or bake file says, it is read or refused.
func FuzzFiles(f *testing.F) {
	f.Add("docker-bake.hcl", `target "a" { matrix = {x = [1]}
		name = "a-${x}" }`)
	f.Add("docker-bake.json", `{"target": {"a": {}}}`)
	f.Add("compose.yaml", "services: {a: {build: ., ports: ['${A}:80'], environment: [A]}}")
	f.Add("compose.yaml", "services: {a: {image: b, env_file: [c], volumes: ['d:/e', './f:/g'], healthcheck: {test: h, retries: 9}, depends_on: [a], tmpfs: /i}}")
	f.Fuzz(func(t *testing.T, name, text string) {
		if !slices.Contains([]string{"docker-bake.hcl", "docker-bake.json", "compose.yaml"}, name) {
			t.Skip("no file that services are found in")
		}
		found, err := clone(t, map[string]string{name: text}).Find(t.Context())
		if _, told := err.(service.Problems); err != nil && !told {
			t.Errorf("%q: %v", text, err)
		}
		_, err = clone(t, map[string]string{name: text}).Peers(t.Context(), service.Service{Name: "b", PeerNames: []string{"a"}})
		if _, told := err.(service.Problems); err != nil && !told {
			t.Errorf("as a peer's, %q: %v", text, err)
		}
		names := map[string]bool{}
		for _, s := range found.Services {
			if s.Name == "" || names[s.Name] {
				t.Errorf("%q: %+v", text, found.Services)
			}
			names[s.Name] = true
		}
	})
}
