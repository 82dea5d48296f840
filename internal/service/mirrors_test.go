package service

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMirrors(t *testing.T) {
	t.Parallel()
	src := workspace(`services: [{name: api, image: mono/api}, {name: web, image: Other/web}]
mirrors:
  - {image: "docker.io/octo/{{name}}", username: octo, password: env:HUB}
  - {image: "localhost:5000/all/{{name}}-copy", plain_http: true}
`)
	src.Getenv = func(string) string { return token }
	config := mustLoad(t, src)
	want := []Mirror{{At: "ghcr-publish.yml:3:5", Image: "docker.io/octo/{{name}}", Username: "octo", Password: token}, {At: "ghcr-publish.yml:4:5", Image: "localhost:5000/all/{{name}}-copy", PlainHTTP: true}}
	for i := range config.Mirrors {
		_, place, _ := strings.Cut(config.Mirrors[i].At, "ghcr-publish.yml")
		config.Mirrors[i].At = "ghcr-publish.yml" + place
	}
	if diff := cmp.Diff(want, config.Mirrors); diff != "" {
		t.Errorf("mirrors (-want +got):\n%s", diff)
	}
	if !slices.Contains(config.SecretEnv, "HUB") {
		t.Error("children would get the password")
	}
	for i, want := range []string{"docker.io/octo/api", "docker.io/octo/web"} {
		if got := config.Mirrors[0].Of(config.Services[i]); got != want {
			t.Errorf("the copy is %s, want %s", got, want)
		}
	}
	if got := config.Mirrors[1].Host(); got != "localhost:5000" {
		t.Errorf("host %s", got)
	}
}

func TestWrongMirrors(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"mirrors: {}":                                 "mirrors must be a list of at least one; write each as `- image: docker.io/owner/{{name}}`",
		"mirrors: [{}]":                               "a mirror has no image",
		"mirrors: [x]":                                "must be a mapping",
		"mirrors: [{image: 'octo/{{name}}'}]":         `"octo/{{name}}" does not begin with a registry`,
		"mirrors: [{image: 'docker.io/A/B'}]":         `"docker.io/A/B" is no image name`,
		"mirrors: [{image: 'q.io/{{nam}}'}]":          `"q.io/{{nam}}" is no image name`,
		"mirrors: [{image: 'q.io/a/b'}]":              "q.io/a/b is the copy of a already; give each its own, with {{name}} where there are several services",
		"mirrors: [{image: 'q.io/octo/A'}]":           "is no image name",
		"mirrors: [{image: 'ghcr.io/octo/{{name}}'}]": "ghcr.io/octo/a is the image of a itself",
		"mirrors: [{image: 'docker.io/o/{{name}}'}, {image: 'index.docker.io/o/{{name}}'}]": "index.docker.io/o/a is the copy of a already",
		"mirrors: [{image: 'q.io/o/{{name}}', username: me}]":                               "username and password belong together",
		"mirrors: [{image: 'q.io/o/{{name}}', username: me, password: hunter2}]":            "a secret does not belong here",
		"mirrors: [{image: 'q.io/o/{{name}}', username: me, password: 'file:/none'}]":       "the file that it names cannot be read",
	} {
		_, err := Load(workspace("services: [{name: a}, {name: b}]\n" + file + "\n"))
		if got := strings.Join(texts(t, err), "\n"); !strings.Contains(got, want) || strings.Contains(got, "hunter2") {
			t.Errorf("%s: %s\nwant %s", file, got, want)
		}
	}
}
