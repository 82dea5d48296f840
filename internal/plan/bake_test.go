package plan

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestBakeOfOne(t *testing.T) {
	t.Parallel()
	made := Plan{Services: []Service{{Name: "backend", Image: "ghcr.io/octo/backend", Version: "1.2.3", Tags: []string{"ghcr.io/octo/backend:1.2.3", "ghcr.io/octo/backend:latest"},
		Labels: map[string]string{"a": "${b} %{c} $d \"<e>\"", "k": "v"}, Annotations: map[string]string{"k": "v", "a": "${b}", InputsKey: "sha256:1"}}}}
	data, err := json.Marshal(made.Bake([]string{"manifest", "index"}))
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"target": map[string]any{"docker-metadata-action": map[string]any{
		"tags":        []any{"ghcr.io/octo/backend:1.2.3", "ghcr.io/octo/backend:latest"},
		"labels":      map[string]any{"a": "$${b} %%{c} $d \"<e>\"", "k": "v"},
		"annotations": []any{"manifest:a=$${b}", "manifest:k=v", "index:a=$${b}", "index:k=v"},
		"args":        map[string]any{"DOCKER_META_IMAGES": "ghcr.io/octo/backend", "DOCKER_META_VERSION": "1.2.3"},
	}}}
	if diff := gocmp.Diff(any(want), got); diff != "" {
		t.Errorf("the file (-want +got):\n%s", diff)
	}
}

func TestBakeNamesItsTargets(t *testing.T) {
	t.Parallel()
	for want, services := range map[string][]string{
		"docker-metadata-action": {"a.b"},
		"docker-metadata-action-a-b docker-metadata-action-a-b-2 docker-metadata-action-a-b-2-2 docker-metadata-action-c_D9": {"a.b", "a-b", "a-b-2", "c_D9"},
		"": nil,
	} {
		var made Plan
		for _, name := range services {
			made.Services = append(made.Services, Service{Name: name, Image: name, Tags: []string{}})
		}
		file := made.Bake([]string{"index"})
		names := slices.Sorted(maps.Keys(file.Target))
		if diff := gocmp.Diff(want, strings.Join(names, " ")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", services, diff)
		}
		images := map[string]bool{}
		for _, target := range file.Target {
			images[target.Args["DOCKER_META_IMAGES"]] = true
		}
		if len(images) != len(services) {
			t.Errorf("%q: images %v", services, images)
		}
	}
}
