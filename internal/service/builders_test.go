package service

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBuilders(t *testing.T) {
	t.Parallel()
	src := workspace(`services: [{name: a, platforms: [linux/amd64, linux/arm64]}]
builders:
  - {endpoint: "tcp://amd:1234", platforms: [linux/amd64], ca: env:CA, cert: env:CERT, key: env:KEY, options: {servername: amd}}
  - {driver: remote, endpoint: "unix:///run/buildkit/buildkitd.sock", platforms: [linux/arm64]}
`)
	src.Getenv = func(name string) string { return "PEM of " + name }
	config := mustLoad(t, src)
	want := []Builder{
		{At: configFile + ":3:5", Driver: "remote", Endpoint: "tcp://amd:1234", Platforms: []string{"linux/amd64"}, Options: map[string]string{"servername": "amd"}, CA: "PEM of CA", Cert: "PEM of CERT", Key: "PEM of KEY"},
		{At: configFile + ":4:5", Driver: "remote", Endpoint: "unix:///run/buildkit/buildkitd.sock", Platforms: []string{"linux/arm64"}},
	}
	if diff := cmp.Diff(want, config.Builders); diff != "" {
		t.Errorf("builders (-want +got):\n%s", diff)
	}
	// The environment of the programs that are run has none of them.
	if !slices.Contains(config.SecretEnv, "KEY") {
		t.Errorf("secrets come from %q", config.SecretEnv)
	}
	for text, driver := range map[string]string{"{}": "docker-container", "{endpoint: 'ssh://me@arm'}": "docker-container", "{driver: kubernetes, options: {namespace: ci, replicas: 2}}": "kubernetes",
		"{driver: docker-container, endpoint: 'tcp://engine:2375'}": "docker-container"} {
		if got := mustLoad(t, workspace(minimal+"builders: ["+text+"]\n")).Builders[0].Driver; got != driver {
			t.Errorf("%s is a %s, want %s", text, got, driver)
		}
	}
}

func TestMistakesInBuilders(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"builders: {}":                                                                              "builders must be a list of at least one",
		"builders: [{driver: remote}]":                                                              "a remote BuildKit has no endpoint",
		"builders: [{endpoint: arm}]":                                                               `"arm" is no endpoint; write it as tcp://host:1234`,
		"builders: [{endpoint: 'tcp://arm'}]":                                                       "is no endpoint",
		"builders: [{endpoint: 'tcp://a:1,b'}]":                                                     "is no endpoint",
		"builders: [{endpoint: 'unix://relative'}]":                                                 "is no endpoint",
		"builders: [{driver: remote, endpoint: 'ssh://arm'}]":                                       "is no endpoint",
		"builders: [{endpoint: 'ssh://-oProxyCommand=x'}]":                                          "is no endpoint",
		"builders: [{driver: kubernetes, endpoint: 'tcp://a:1'}]":                                   "a cluster has no endpoint",
		"builders: [{endpoint: 'unix:///a', key: env:K, cert: env:C}]":                              "ca, cert and key belong to a remote BuildKit at tcp://",
		"builders: [{endpoint: 'tcp://a:1', key: env:K}]":                                           "cert and key belong together",
		"builders: [{endpoint: 'tcp://a:1', ca: hunter2}]":                                          "a secret does not belong here; say where it is, as env:NAME or file:PATH",
		"builders: [{endpoint: 'tcp://a:1', ca: 'file:/none'}]":                                     "the file that it names cannot be read",
		"builders: [{options: {'a b': c}}]":                                                         `"a b" is no option of a driver`,
		"builder: mine\nbuilders: [{}]":                                                             "there are `builders` and a `builder`; keep one",
		"builders: [{platforms: [linux/amd64]}, {endpoint: 'tcp://a:1', platforms: [linux/arm64]}]": "its driver is remote, and that of the first is docker-container",
		"builders: [{platforms: [linux/amd64]}, {}]":                                                "it does not say which platforms are its",
		"builders: [{platforms: [linux/amd64]}, {platforms: [linux/amd64]}]":                        "linux/amd64 is built at " + configFile,
		"builders: [{platforms: [linux/amd64]}]":                                                    "a is for linux/arm64, which none of the builders builds; give a builder this platform",
	} {
		src := workspace("services: [{name: a}]\n" + text + "\n")
		src.Getenv = func(name string) string { return "PEM of " + name }
		_, err := Load(src)
		if said := strings.Join(texts(t, err), "\n"); !strings.Contains(said, want) || strings.Contains(said, "hunter2") {
			t.Errorf("%s: %s, want %q", text, said, want)
		}
	}
}
