package service

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/blues/jsonata-go"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// samples is a repository whose files name images in every place and form, and what only looks like images.
const samples = "testdata/renovate"

// A manager is what a preset of Renovate says of finding dependencies.
// https://docs.renovatebot.com/modules/manager/jsonata/
// https://docs.renovatebot.com/modules/manager/regex/
type manager struct {
	Type       string   `json:"customType"`
	Files      []string `json:"managerFilePatterns"`
	Matches    []string `json:"matchStrings"`
	Datasource string   `json:"datasourceTemplate"`
}

// TestRenovatePresetFinds evaluates the preset's expressions. That Renovate does so, too, is tested end to end.
func TestRenovatePresetFinds(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../.github/renovate-preset.json")
	if err != nil {
		t.Fatal(err)
	}
	var preset struct {
		Managers []manager `json:"customManagers"`
	}
	if err := json.Unmarshal(data, &preset); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range []string{".github/ghcr-publish.yml", ".github/workflows/publish.yml"} {
		text, err := os.ReadFile(filepath.Join(samples, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range preset.Managers {
			if m.reads(file) {
				found = append(found, m.find(t, file, string(text))...)
			}
		}
	}
	want, err := os.ReadFile(filepath.Join(samples, "expected.txt"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(string(want)), "\n"), found); diff != "" {
		t.Errorf("what is found (-want +got):\n%s", diff)
	}
	if m := preset.Managers[0]; m.reads(".github/dependabot.yml") || m.reads("docs/ghcr-publish.yml") {
		t.Error("files of others are read")
	}
}

// TestRenovateSample is that all those places are places of a configuration.
func TestRenovateSample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(samples, ".github/ghcr-publish.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(workspace(string(text))); err != nil {
		t.Error(err)
	}
}

func (m manager) reads(file string) bool {
	return slices.ContainsFunc(m.Files, func(pattern string) bool {
		return regexp.MustCompile(strings.Trim(pattern, "/")).MatchString(file)
	})
}

func (m manager) find(t *testing.T, file, text string) (found []string) {
	t.Helper()
	for _, match := range m.Matches {
		var dependencies []map[string]string
		if m.Type == "jsonata" {
			dependencies = query(t, match, text)
		} else {
			dependencies = groups(match, text)
		}
		for _, d := range dependencies {
			if d["currentValue"] != "" || d["currentDigest"] != "" { // as Renovate leaves out others
				found = append(found, fmt.Sprintf("%s %s %s %s %s@%s", file, m.Type, m.Datasource+d["datasource"], d["depName"], d["currentValue"], d["currentDigest"]))
			}
		}
	}
	return found
}

// query evaluates an expression over the documents of a file.
func query(t *testing.T, expression, text string) (found []map[string]string) {
	t.Helper()
	var document any
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	result, err := jsonata.MustCompile(expression).Eval([]any{document})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &found); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return found
}

// groups are the named ones of each match.
func groups(expression, text string) (found []map[string]string) {
	pattern := regexp.MustCompile(expression)
	for _, match := range pattern.FindAllStringSubmatch(text, -1) {
		named := map[string]string{}
		for i, name := range pattern.SubexpNames() {
			named[name] = match[i]
		}
		found = append(found, named)
	}
	return found
}
