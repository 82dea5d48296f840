package buildx

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/service"
)

// checking is a client whose buildx writes a text and ends as told, and the arguments that it was given.
func checking(text string, err error) (client *Client, args *[]string) {
	args = new([]string)
	return &Client{Argv: []string{"buildx"}, Run: func(_ context.Context, c run.Command) ([]byte, error) {
		*args = c.Argv
		_, _ = c.Stdout.Write([]byte(text))
		return nil, err
	}}, args
}

func TestChecks(t *testing.T) {
	t.Parallel()
	recorded, err := os.ReadFile(filepath.Join("testdata", "check.json")) // by buildx, which ended with exit code 1
	if err != nil {
		t.Fatal(err)
	}
	client, args := checking(string(recorded), errors.New("exit status 1"))
	b := Build{Builder: "b", Context: "/src", Dockerfile: "/src/Dockerfile", Target: "t", Platforms: []string{"linux/amd64", "linux/arm64"}, BuildArgs: map[string]string{"A": "1"},
		Options: service.Options{Contexts: map[string]string{"busybox": "docker-image://busybox@sha256:0"}, Secrets: map[string]string{"npm": "env:NPM"}}}
	got, err := client.Checks(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	const rule = "https://docs.docker.com/go/dockerfile/rule/"
	want := []Check{
		{"ConsistentInstructionCasing", "Command 'maintainer' should match the case of the command majority (uppercase)", rule + "consistent-instruction-casing/", 10},
		{"MaintainerDeprecated", "Maintainer instruction is deprecated in favor of using label", rule + "maintainer-deprecated/", 10},
		{"JSONArgsRecommended", "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals", rule + "json-args-recommended/", 12},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	wantArgs := "buildx build --builder b --call check,format=json --progress quiet --platform linux/amd64 --file /src/Dockerfile --target t --build-arg A=1 --build-context busybox=docker-image://busybox@sha256:0 /src"
	if got := strings.Join(*args, " "); got != wantArgs {
		t.Errorf("arguments\n%s, want\n%s", got, wantArgs)
	}
}

func TestChecksThatFail(t *testing.T) {
	t.Parallel()
	down := errors.New("no builder")
	for text, c := range map[string]struct{ failed, want error }{
		`{"warnings": []}`: {nil, nil},
		`{}`:               {down, nil},
		"":                 {down, down},
		"ERROR: {":         {down, down},
	} {
		client, _ := checking(text, c.failed)
		if got, err := client.Checks(t.Context(), Build{Platforms: []string{"linux/amd64"}}); !errors.Is(err, c.want) || len(got) > 0 {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	client, _ := checking("no JSON", nil)
	if _, err := client.Checks(t.Context(), Build{Platforms: []string{"linux/amd64"}}); err == nil {
		t.Error("what is no JSON is read")
	}
}

func FuzzChecks(f *testing.F) {
	f.Add([]byte(`{"warnings": [{"ruleName": "A", "location": {"ranges": [{"start": {"line": 2}}]}}, {"ruleName": "A"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		checks, _ := readChecks(data)
		if !slices.IsSortedFunc(checks, func(a, b Check) int { return a.Line - b.Line }) {
			t.Errorf("not in order: %+v", checks)
		}
	})
}
