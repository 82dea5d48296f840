package service

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestCompose(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file string
		want *Compose
	}{
		{"", nil},
		{"compose: {}\n", &Compose{}},
		{"compose: ./deploy/compose.yaml\n", &Compose{From: "deploy/compose.yaml"}},
		{"compose: {from: compose.yaml}\n", &Compose{From: "compose.yaml"}},
		{"compose: {environment: {A: 1, B: '${C:-x}'}, health_image: 'h:5000/box:1'}\n", &Compose{Environment: map[string]string{"A": "1", "B": "${C:-x}"}, HealthImage: "h:5000/box:1"}},
		{"compose: {proxy: nginx}\n", &Compose{Proxy: Proxy{Kind: "nginx"}}},
		{"compose: {proxy: {kind: nginx, image: 'h:5000/nginx:1'}}\n", &Compose{Proxy: Proxy{Kind: "nginx", Image: "h:5000/nginx:1"}}},
		{"compose: {companions: [redis, postgres]}\n", &Compose{Companions: []Companion{{Name: "postgres"}, {Name: "redis"}}}},
		{"compose: {companions: {redis: , postgres: {image: 'postgres:18', profiles: [development], resources: {limits: {memory: 1G}}}}}\n",
			&Compose{Companions: []Companion{{Name: "postgres", Image: "postgres:18", Profiles: []string{"development"}, Resources: Resources{MemoryLimit: 1 << 30}}, {Name: "redis"}}}},
	} {
		if diff := cmp.Diff(c.want, mustLoad(t, workspace(minimal+c.file)).Compose, cmpopts.IgnoreFields(Compose{}, "At")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.file, diff)
		}
	}
}

func TestInCompose(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file string
		want ComposeService
	}{
		{"", ComposeService{}},
		{"run_once: [x]", ComposeService{Out: true}},
		{"run_once: [x], compose: {}", ComposeService{}},
		{"compose: false", ComposeService{Out: true}},
		{"compose: true", ComposeService{}},
		{"port: 80, compose: {publish: true}", ComposeService{Publish: "80"}},
		{"port: 80, compose: {publish: 8080}", ComposeService{Publish: "8080"}},
		{"port: 80, compose: {publish: '[::1]:8080'}", ComposeService{Publish: "[::1]:8080"}},
		{"port: 80, compose: {switch: true}", ComposeService{Switch: true}},
		{"port: 80, compose: {switch: false}", ComposeService{}},
		{"port: 80, compose: {switch: {sticky: true}}", ComposeService{Switch: true, Sticky: true}},
		{"compose: {read_only: false, needs: [b], volumes: {v: /v}, secrets: [s], profiles: [production]}",
			ComposeService{Writable: true, Needs: []string{"b"}, Volumes: map[string]string{"v": "/v"}, Secrets: []string{"s"}, Profiles: []string{"production"}}},
	} {
		config := mustLoad(t, workspace("compose: {}\nservices: [{name: a, "+c.file+"}, {name: b}]\n"))
		if diff := cmp.Diff(c.want, config.Services[0].InCompose()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.file, diff)
		}
	}
}

// TestComposeOfFoundServices is made from the file that they were found in, unless something is said of it.
func TestComposeOfFoundServices(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{"compose: {}\n": "compose.yaml", "compose: other.yaml\n": "other.yaml", "compose: {companions: [redis]}\n": ""} {
		src := workspace(file)
		src.Discover = func([]string) (Found, error) {
			return Found{Services: []Service{{At: "compose.yaml", Name: "a", Context: "."}}, Compose: "compose.yaml"}, nil
		}
		if got := mustLoad(t, src).Compose.From; got != want {
			t.Errorf("%s is made from %q, want %q", file, got, want)
		}
	}
}

// TestComposeRefuses tells where, and what.
func TestComposeRefuses(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		minimal + "compose: {from: a.yaml, companions: [redis]}\n":                                        ".github/ghcr-publish.yml:3:10: compose is made from a.yaml, and says with environment, companions, health_image or proxy what only that file can say; write it into a.yaml",
		minimal + "compose: ../a.yaml\n":                                                                  `"../a.yaml" leaves the workspace`,
		minimal + "mirrors: [{image: 'q.io/a/{{name}}'}]\ncompose: {mirror: 'q.io/b/{{name}}'}\n":         `there is no mirror "q.io/b/{{name}}"; name one as it is written under ` + "`mirrors:`",
		minimal + "compose: {health_image: 'a b'}\n":                                                      "could not parse reference: a b",
		minimal + "compose: {environment: {'A B': 1}}\n":                                                  `"A B" is no name of a variable`,
		"compose: a.yaml\nservices: [{name: a, compose: {needs: []}}]\n":                                  "a: compose is made from a.yaml, which says what its services are like; write it there",
		"compose: {companions: [redis]}\nservices: [{name: redis}]\n":                                     "redis is a service, and a companion; leave the companion out",
		"compose: {}\nservices: [{name: a, compose: {needs: [a]}}]\n":                                     "services need each other to start in a circle: a → a",
		"compose: {}\nservices: [{name: a, port: 1, compose: {publish: 'x:80'}}]\n":                       `"x:80" is no port`,
		"compose: {}\nservices: [{name: a, port: 1, compose: {publish: 70000}}]\n":                        `"70000" is no port`,
		"compose: {}\nservices: [{name: a, compose: {volumes: {'a/b': /v}}}]\n":                           `"a/b" is no name of a volume`,
		"compose: {}\nservices: [{name: a, compose: {volumes: {v: '/v:rw'}}}]\n":                          `"/v:rw" is no folder of the container`,
		"compose: {}\nservices: [{name: a, compose: {secrets: ['../../etc/x']}}]\n":                       `"../../etc/x" is no name of a secret`,
		"compose: {}\nservices: [{name: a, compose: {profiles: [x]}}]\n":                                  `"x" is no name of a profile`,
		minimal + "compose: {proxy: envoy}\n":                                                             `"envoy" is none of nginx`,
		minimal + "compose: {from: a.yaml, proxy: nginx}\n":                                               "health_image or proxy what only that file can say",
		"compose: {}\nservices: [{name: a, compose: {switch: true}}]\n":                                   "a is to be switched, and has no port; add `port: …`",
		"compose: {}\nservices: [{name: a, run_once: [b], compose: {switch: true}}]\n":                    "a is to be switched, and does its work and ends",
		"compose: {}\nservices: [{name: A, port: 1, compose: {switch: true}}]\n":                          "A is to be switched, and proxies do not look up such a name",
		"compose: {}\nservices: [{name: a, port: 1, compose: {switch: true}}, {name: a-blue}]\n":          "a is to be switched, and a-blue is a service of its own",
		"compose: {}\nservices: [{name: a, port: 1, health_endpoint: '/{b}', compose: {switch: true}}]\n": "its health_endpoint has braces; write them as %7B and %7D",
		"compose: {}\nservices: [{name: a, compose: {needs: [postgres, redis]}}]\n":                       `a needs "postgres", which is neither`,
		"compose: {}\nservices: [{name: a, compose: {needs: [b]}}, {name: b, compose: false}]\n":          "a needs b, which is left out of the Compose file",
	} {
		_, err := Load(workspace(file))
		if got := strings.Join(texts(t, err), "\n"); !strings.Contains(got, want) {
			t.Errorf("%sgives %q, want %q", file, got, want)
		}
	}
}
