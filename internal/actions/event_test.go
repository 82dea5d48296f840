package actions

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/service"
)

const (
	head   = "0123456789abcdef0123456789abcdef01234567"
	before = "89abcdef0123456789abcdef0123456789abcdef"
	base   = "fedcba9876543210fedcba9876543210fedcba98"
	zero   = "0000000000000000000000000000000000000000"
)

const repository = `"repository": {"id": 1296269, "name": "Hello", "full_name": "Octo/Hello", "private": false, "visibility": "internal", "default_branch": "main", "description": "Says hello", "license": {"key": "mit", "spdx_id": "MIT"}, "owner": {"login": "Octo", "id": 1, "type": "Organization"}}`

// runner is the environment of a step on a runner, with the event's payload in its file.
func runner(t *testing.T, payload string, more map[string]string) func(string) string {
	t.Helper()
	env := map[string]string{
		"GITHUB_ACTIONS": "true", "CI": "true", "GITHUB_ACTOR": "mona", "GITHUB_REPOSITORY": "Octo/Hello", "GITHUB_REPOSITORY_OWNER": "Octo",
		"GITHUB_SHA": head, "GITHUB_REF": "refs/heads/main", "GITHUB_EVENT_NAME": "push", "GITHUB_RUN_ID": "8123456789", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_RUN_NUMBER": "42",
		"GITHUB_RETENTION_DAYS": "90", "GITHUB_REF_PROTECTED": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_API_URL": "https://api.github.com",
		"GITHUB_WORKSPACE": "/github/workspace", "RUNNER_TEMP": "/github/runner_temp",
	}
	if payload != "" {
		env["GITHUB_EVENT_PATH"] = filepath.Join(t.TempDir(), "event.json")
		if err := os.WriteFile(env["GITHUB_EVENT_PATH"], []byte(payload), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	maps.Copy(env, more)
	return func(name string) string { return env[name] }
}

func TestReadEvent(t *testing.T) {
	t.Parallel()
	push := Event{
		Name: "push", Ref: "refs/heads/main", SHA: head, TriggerSHA: head, DefaultBranch: "main", Description: "Says hello", License: "MIT", Repository: "Octo/Hello", Visibility: "internal", Owner: "Octo", OwnerKind: "Organization", Actor: "mona",
		RunID: "8123456789", Attempt: 2, ServerURL: "https://github.com", APIURL: "https://api.github.com", Workspace: "/github/workspace", Temp: "/github/runner_temp",
		Levels: []string{"index"}, Protected: true,
	}
	pull := `{"action": "synchronize", "number": 7, "before": "` + before + `", "after": "` + head + `", "pull_request": {"number": 7, "state": "open", "head": {"ref": "feat", "sha": "` + head +
		`", "repo": HEAD}, "base": {"ref": "main", "sha": "` + base + `", "repo": {"full_name": "Octo/Hello"}}, "merged": false}, ` + repository + `}`
	untold := func(e *Event) {
		e.DefaultBranch, e.Description, e.License, e.Visibility, e.OwnerKind = "", "", "", "", ""
	}
	cases := []struct {
		name    string
		payload string
		env     map[string]string
		want    func(*Event)
	}{
		{"a push", `{"ref": "refs/heads/main", "before": "` + before + `", "after": "` + head + `", "forced": false, "commits": [{"id": "` + head + `"}], ` + repository + `}`, nil,
			func(e *Event) { e.Before = before }},
		{"a new branch", `{"ref": "refs/heads/new", "before": "` + zero + `", "created": true, ` + repository + `}`, map[string]string{"GITHUB_REF": "refs/heads/new"},
			func(e *Event) { e.Ref, e.Before = "refs/heads/new", zero }},
		{"a tag", `{"ref": "refs/tags/v1.2.3", "before": "` + zero + `", "base_ref": "refs/heads/main", ` + repository + `}`, map[string]string{"GITHUB_REF": "refs/tags/v1.2.3"},
			func(e *Event) { e.Ref, e.BaseRef, e.Before = "refs/tags/v1.2.3", "refs/heads/main", zero }},
		{"a pull request", strings.Replace(pull, "HEAD", `{"full_name": "octo/hello", "fork": false}`, 1), map[string]string{"GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/7/merge"},
			func(e *Event) {
				e.Name, e.Ref, e.BaseRef, e.BaseSHA, e.Before, e.Pull = "pull_request", "refs/pull/7/merge", "main", base, before, 7
			}},
		{"a pull request from a fork", strings.Replace(pull, "HEAD", `{"full_name": "stranger/hello", "fork": true}`, 1), map[string]string{"GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/7/merge"},
			func(e *Event) {
				e.Name, e.Ref, e.BaseRef, e.BaseSHA, e.Before, e.Pull, e.Fork = "pull_request", "refs/pull/7/merge", "main", base, before, 7, true
			}},
		{"a pull request from a fork that is gone", strings.Replace(pull, "HEAD", "null", 1), map[string]string{"GITHUB_EVENT_NAME": "pull_request_target"},
			func(e *Event) {
				e.Name, e.BaseRef, e.BaseSHA, e.Before, e.Pull, e.Fork = "pull_request_target", "main", base, before, 7, true
			}},
		{"a pull request whose head is to be named", strings.Replace(pull, "HEAD", `{"full_name": "Octo/Hello"}`, 1),
			map[string]string{"GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/7/merge", "GITHUB_SHA": before, "DOCKER_METADATA_PR_HEAD_SHA": "True"},
			func(e *Event) {
				e.Name, e.Ref, e.BaseRef, e.SHA, e.TriggerSHA, e.HeadSHA = "pull_request", "refs/pull/7/merge", "main", before, before, head
				e.BaseSHA, e.Before, e.Pull = base, before, 7
			}},
		{"a pull request whose head is not", strings.Replace(pull, "HEAD", `{"full_name": "Octo/Hello"}`, 1),
			map[string]string{"GITHUB_EVENT_NAME": "pull_request", "DOCKER_METADATA_PR_HEAD_SHA": "false"},
			func(e *Event) {
				e.Name, e.BaseRef, e.BaseSHA, e.Before, e.Pull = "pull_request", "main", base, before, 7
			}},
		{"no pull request, whose head could be named", `{` + repository + `}`, map[string]string{"DOCKER_METADATA_PR_HEAD_SHA": "true"}, func(*Event) {}},
		{"a longer short form", `{` + repository + `}`, map[string]string{"DOCKER_METADATA_SHORT_SHA_LENGTH": "12"}, func(e *Event) { e.ShortSHA = 12 }},
		{"levels of annotations", `{` + repository + `}`, map[string]string{"DOCKER_METADATA_ANNOTATIONS_LEVELS": "manifest, index,manifest,index-descriptor,manifest-descriptor"},
			func(e *Event) { e.Levels = []string{"manifest", "index", "index-descriptor", "manifest-descriptor"} }},
		{"a merge group", `{"action": "checks_requested", "merge_group": {"head_sha": "` + head + `", "head_ref": "refs/heads/gh-readonly-queue/main/pr-7", "base_sha": "` + base + `", "base_ref": "refs/heads/main"}, ` + repository + `}`,
			map[string]string{"GITHUB_EVENT_NAME": "merge_group", "GITHUB_REF": "refs/heads/gh-readonly-queue/main/pr-7-" + base},
			func(e *Event) {
				e.Name, e.Ref, e.BaseRef, e.BaseSHA = "merge_group", "refs/heads/gh-readonly-queue/main/pr-7-"+base, "refs/heads/main", base
			}},
		{"a schedule", `{"schedule": "0 3 * * *", ` + repository + `, "workflow": ".github/workflows/publish.yml"}`, map[string]string{"GITHUB_EVENT_NAME": "schedule"},
			func(e *Event) { e.Name = "schedule" }},
		{"a dispatch", `{"inputs": {"services": "backend", "force": "true"}, "ref": "refs/heads/main", ` + repository + `, "sender": {"login": "mona"}, "workflow": "publish.yml"}`, map[string]string{"GITHUB_EVENT_NAME": "workflow_dispatch"},
			func(e *Event) { e.Name = "workflow_dispatch" }},
		{"a server of one's own", `{` + repository + `}`, map[string]string{"GITHUB_SERVER_URL": "https://git.example", "GITHUB_API_URL": "https://git.example/api/v3", "GITHUB_REPOSITORY_OWNER": ""},
			func(e *Event) { e.ServerURL, e.APIURL = "https://git.example", "https://git.example/api/v3" }},
		{"no payload", "", nil, untold},
		{"a payload that is not there", "", map[string]string{"GITHUB_EVENT_PATH": "/no/such/event.json"}, untold},
		{"a payload of nothing", "null", nil, untold},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := push
			c.want(&want)
			var problems service.Problems
			got := ReadEvent(runner(t, c.payload, c.env), &problems)
			if diff := cmp.Diff(want, got); diff != "" || problems != nil {
				t.Errorf("problems %v, event (-want +got):\n%s", problems, diff)
			}
		})
	}
}

func TestReadEventOnALaptop(t *testing.T) {
	t.Parallel()
	var problems service.Problems
	got := ReadEvent(func(string) string { return "" }, &problems)
	want := Event{Attempt: 1, Levels: []string{"index"}, ServerURL: "https://github.com", APIURL: "https://api.github.com"}
	if diff := cmp.Diff(want, got); diff != "" || problems != nil {
		t.Errorf("problems %v, event (-want +got):\n%s", problems, diff)
	}
}

func TestReadEventNotesMistakes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, payload string
		env           map[string]string
		want          []string // where
	}{
		{"no commit and no ref", "", map[string]string{"GITHUB_SHA": "--upload-pack=x", "GITHUB_REF": "main"}, []string{"GITHUB_SHA", "GITHUB_REF"}},
		{"a short commit", "", map[string]string{"GITHUB_SHA": head[:12]}, []string{"GITHUB_SHA"}},
		{"a payload of other types", `{"repository": 5}`, map[string]string{"GITHUB_SHA": "x"}, []string{"GITHUB_EVENT_PATH", "GITHUB_SHA"}},
		{"what metadata-action is told", `{"pull_request": {"head": {"sha": "-x"}}}`, map[string]string{"DOCKER_METADATA_SHORT_SHA_LENGTH": "0", "DOCKER_METADATA_PR_HEAD_SHA": "yes",
			"DOCKER_METADATA_ANNOTATIONS_LEVELS": "manifest,indices", "GITHUB_REF": "main"},
			[]string{"DOCKER_METADATA_SHORT_SHA_LENGTH", "DOCKER_METADATA_PR_HEAD_SHA", "DOCKER_METADATA_ANNOTATIONS_LEVELS", "GITHUB_REF"}},
		{"a length that is no number", "", map[string]string{"DOCKER_METADATA_SHORT_SHA_LENGTH": "7.5"}, []string{"DOCKER_METADATA_SHORT_SHA_LENGTH"}},
		{"levels with a gap", "", map[string]string{"DOCKER_METADATA_ANNOTATIONS_LEVELS": "manifest,"}, []string{"DOCKER_METADATA_ANNOTATIONS_LEVELS"}},
		{"a head that is no commit", `{"pull_request": {"head": {"sha": "-x"}}}`, map[string]string{"DOCKER_METADATA_PR_HEAD_SHA": "true"}, []string{"GITHUB_EVENT_PATH"}},
		{"a payload that is cut", `{"repository": "`, nil, []string{"the runner's environment"}},
		{"a run that is no number", "", map[string]string{"GITHUB_RUN_ID": "x"}, []string{"the runner's environment"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var problems service.Problems
			ReadEvent(runner(t, c.payload, c.env), &problems)
			var got []string
			for _, p := range problems {
				got = append(got, p.Where)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%v (-want +got):\n%s", problems, diff)
			}
		})
	}
}

func TestReadEventTakesLongCommits(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 64)
	var problems service.Problems
	if got := ReadEvent(runner(t, "{}", map[string]string{"GITHUB_SHA": long}), &problems); got.SHA != long || problems != nil {
		t.Errorf("SHA %q, problems %v", got.SHA, problems)
	}
}

func TestInputs(t *testing.T) {
	t.Parallel()
	env := map[string]string{"INPUT_MAX-PARALLEL": " 3 ", "INPUT_DRY_RUN": "true", "INPUT_SERVICES": "a\nb"}
	input := Inputs(func(name string) string { return env[name] })
	for name, want := range map[string]string{"max-parallel": "3", "Max-Parallel": "3", "dry run": "true", "dry-run": "", "services": "a\nb", "none": ""} {
		if got := input(name); got != want {
			t.Errorf("input %q is %q, want %q", name, got, want)
		}
	}
}

// FuzzReadEvent reads payloads and variables of any kind. What comes of them is proven, or told as a mistake.
func FuzzReadEvent(f *testing.F) {
	f.Add(`{"ref": "refs/heads/main", "base_ref": null, `+repository+`}`, "push", "refs/heads/main", head, "1")
	f.Add(`{"pull_request": {"head": {"repo": null}}}`, "pull_request", "refs/pull/7/merge", head, "2")
	f.Add(`[1]`, "x", "main", "0", "-1")
	f.Fuzz(func(t *testing.T, payload, name, ref, sha, attempt string) {
		for _, v := range []string{name, ref, sha, attempt} {
			if strings.ContainsRune(v, 0) {
				t.Skip("no variable holds that")
			}
		}
		var problems service.Problems
		e := ReadEvent(runner(t, payload, map[string]string{"GITHUB_EVENT_NAME": name, "GITHUB_REF": ref, "GITHUB_SHA": sha, "GITHUB_RUN_ATTEMPT": attempt}), &problems)
		if len(problems) > 0 {
			return
		}
		if e.SHA != "" && !commit.MatchString(e.SHA) || e.Ref != "" && !strings.HasPrefix(e.Ref, "refs/") || e.Attempt < 1 {
			t.Errorf("it was taken without a word: %+v", e)
		}
	})
}
