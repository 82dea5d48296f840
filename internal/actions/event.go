// Package actions speaks the GitHub Actions runner's protocol: what started the run, the inputs,
// the log with its groups and annotations, the outputs and the summary. Off a runner it reads as
// a plain terminal program.
package actions

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
	githubactions "github.com/sethvargo/go-githubactions"
)

// An Event is what started the run and where it runs. On a laptop, where nothing did, the
// fields about the commit are empty until they are read from git.
type Event struct {
	Name          string // push, pull_request, workflow_dispatch, …
	Ref           string // refs/heads/main
	SHA           string // commit that is checked out
	TriggerSHA    string // commit the event names, which need not be the one checked out
	DefaultBranch string
	BaseRef       string // branch that a git tag was pushed from, or that a pull request or a merge queue is for; often not known
	BaseSHA       string // commit that a pull request or a merge queue starts from
	Before        string // commit that a branch was at before the push; zeros for a new one
	Pull          int    // number of the pull request; 0 where the run is for none
	Repository    string // owner/name
	Description   string // of the repository; often empty
	License       string // its SPDX identifier, where GitHub knows it
	Public        bool   // everybody may know of the repository
	Visibility    string // of the repository: public, private or internal; empty where the event does not say
	Owner         string
	OwnerKind     string // Organization or User; empty where the event does not say
	Actor         string
	Fork          bool // a pull request from another repository
	Protected     bool // the ref is protected by rules of the repository
	// HeadSHA is a pull request's head, where tags and labels are to name it instead of the commit that is checked out; else empty.
	HeadSHA   string
	ShortSHA  int      // digits of a commit in tags; the usual seven where it is 0
	Levels    []string // what annotations go onto: manifest, index, manifest-descriptor, index-descriptor
	Workflow  string   // file of the workflow, as owner/name/.github/workflows/x.yml@ref
	Runner    string   // github-hosted or self-hosted
	RunID     string
	Attempt   int // of the run; 1 unless it was run again
	ServerURL string
	APIURL    string
	Workspace string
	Temp      string
}

// payload is the part of GitHub's event payloads that is of interest.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads
type payload struct {
	BaseRef    string `json:"base_ref"`
	Before     string `json:"before"`
	MergeGroup struct {
		BaseSHA string `json:"base_sha"`
		BaseRef string `json:"base_ref"`
	} `json:"merge_group"`
	Repository struct {
		DefaultBranch string `json:"default_branch"`
		Visibility    string `json:"visibility"`
		Description   string `json:"description"`
		License       struct {
			SPDX string `json:"spdx_id"`
		} `json:"license"`
		Owner struct {
			Type string `json:"type"`
		} `json:"owner"`
	} `json:"repository"`
	PullRequest struct {
		Number int `json:"number"`
		Base   struct {
			Ref string `json:"ref"`
			SHA string `json:"sha"`
		} `json:"base"`
		Head struct {
			SHA  string `json:"sha"`
			Repo struct {
				FullName string `json:"full_name"`
			} `json:"repo"`
		} `json:"head"`
	} `json:"pull_request"`
}

var commit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// ReadEvent reads the runner's variables and the event payload once. Mistakes are noted, all of them.
func ReadEvent(getenv func(string) string, problems *service.Problems) Event {
	context, err := githubactions.New(githubactions.WithGetenv(getenv)).Context()
	if err != nil {
		problems.Add("the runner's environment", "", "%v", err)
		return Event{}
	}
	e := Event{
		Name: context.EventName, Ref: context.Ref, SHA: context.SHA, TriggerSHA: context.SHA,
		Repository: context.Repository, Owner: context.RepositoryOwner, Actor: context.Actor,
		Workflow: getenv("GITHUB_WORKFLOW_REF"), Runner: getenv("RUNNER_ENVIRONMENT"), RunID: getenv("GITHUB_RUN_ID"), Attempt: 1,
		Protected: getenv("GITHUB_REF_PROTECTED") == "true",
		ServerURL: context.ServerURL, APIURL: context.APIURL, Workspace: context.Workspace, Temp: getenv("RUNNER_TEMP"),
	}
	if e.Owner == "" {
		e.Owner, _, _ = strings.Cut(e.Repository, "/")
	}
	if err := e.readPayload(context.Event); err != nil {
		problems.Add("GITHUB_EVENT_PATH", "", "%v", err)
	}
	e.readMetadata(getenv, problems)
	if attempt := getenv("GITHUB_RUN_ATTEMPT"); attempt != "" {
		if e.Attempt, err = strconv.Atoi(attempt); err != nil || e.Attempt < 1 {
			problems.Add("GITHUB_RUN_ATTEMPT", "", "%q is no attempt", attempt)
		}
	}
	if e.SHA != "" && !commit.MatchString(e.SHA) {
		problems.Add("GITHUB_SHA", "", "%q is no commit", e.SHA)
	}
	if e.Ref != "" && !strings.HasPrefix(e.Ref, "refs/") {
		problems.Add("GITHUB_REF", "", "%q does not begin with refs/", e.Ref)
	}
	return e
}

func (e *Event) readPayload(event map[string]any) error {
	data, err := json.Marshal(event)
	if err != nil {
		return err
	}
	var p payload
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("reading the event: %w", err)
	}
	e.DefaultBranch, e.Description, e.License = p.Repository.DefaultBranch, p.Repository.Description, p.Repository.License.SPDX
	e.Visibility, e.OwnerKind = p.Repository.Visibility, p.Repository.Owner.Type
	e.Public = e.Visibility == "public"
	e.BaseRef = cmp.Or(p.BaseRef, p.PullRequest.Base.Ref, p.MergeGroup.BaseRef)
	e.BaseSHA, e.Before = cmp.Or(p.PullRequest.Base.SHA, p.MergeGroup.BaseSHA), p.Before
	head := p.PullRequest.Head.Repo.FullName
	e.HeadSHA, e.Pull = p.PullRequest.Head.SHA, p.PullRequest.Number
	e.Fork = strings.HasPrefix(e.Name, "pull_request") && !strings.EqualFold(head, e.Repository)
	return nil
}

// Inputs returns the lookup of the action's inputs: the runner sets INPUT_<NAME> with spaces as
// underscores and everything else, dashes too, as it stands.
func Inputs(getenv func(string) string) func(name string) string {
	return githubactions.New(githubactions.WithGetenv(getenv)).GetInput
}
