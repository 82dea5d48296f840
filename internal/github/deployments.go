package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-github/v62/github"
)

// A Deployment is something that is live in an environment since now.
type Deployment struct {
	Commit      string
	Environment string
	Description string // at most 140 characters
	Payload     any    // what programs may want to know of it
	LogURL      string
	Failed      bool
}

// RecordDeployment has GitHub list a deployment, with how it ended. Those of the environment before it are inactive then.
func (c *Client) RecordDeployment(ctx context.Context, d Deployment) error {
	id, err := c.createDeployment(ctx, d)
	if err != nil {
		return err
	}
	return c.EndDeployment(ctx, id, d)
}

// BeginDeployment has GitHub list a deployment that goes on, until EndDeployment says how it ended.
func (c *Client) BeginDeployment(ctx context.Context, d Deployment) (id int64, err error) {
	if id, err = c.createDeployment(ctx, d); err != nil {
		return 0, err
	}
	return id, explainDeployment("recording that the deployment to "+d.Environment+" has begun", c.setDeployment(ctx, id, d, "in_progress"))
}

// EndDeployment has GitHub list how a deployment ended.
func (c *Client) EndDeployment(ctx context.Context, id int64, d Deployment) error {
	return explainDeployment("recording how the deployment to "+d.Environment+" ended", c.setDeployment(ctx, id, d, d.state()))
}

// NotWell begins the description of a deployment that a later look has found unwell.
const NotWell = "Not well: "

// JudgeDeployment has GitHub list how the newest deployment to an environment is by now, unless it does already. It reports whether there is one.
// That what runs is well makes no success of a deployment that was none, since something else runs then.
// https://docs.github.com/en/rest/deployments/deployments#list-deployments
func (c *Client) JudgeDeployment(ctx context.Context, d Deployment) (found bool, err error) {
	what := "recording how the deployment to " + d.Environment + " is"
	newest, _, err := c.api.Repositories.ListDeployments(ctx, c.owner, c.repo, &github.DeploymentsListOptions{Environment: d.Environment, ListOptions: github.ListOptions{PerPage: 1}})
	if err != nil || len(newest) == 0 {
		return false, explainDeployment(what, err)
	}
	id := newest[0].GetID()
	all, err := c.statuses(ctx, id, 2)
	if err != nil || stateOf(all) == d.state() || !d.Failed && !endedWell(all) {
		return true, err
	}
	return true, explainDeployment(what, c.setDeployment(ctx, id, d, d.state()))
}

// endedWell reports whether a deployment was a success, whatever a look has found since.
func endedWell(all []*github.DeploymentStatus) bool {
	if len(all) > 0 && strings.HasPrefix(all[0].GetDescription(), NotWell) {
		all = all[1:]
	}
	return stateOf(all) == "success" || stateOf(all) == "inactive"
}

func (d Deployment) state() string {
	if d.Failed {
		return "failure"
	}
	return "success"
}

// https://docs.github.com/en/rest/deployments/deployments#create-a-deployment
func (c *Client) createDeployment(ctx context.Context, d Deployment) (id int64, err error) {
	made, _, err := c.api.Repositories.CreateDeployment(ctx, c.owner, c.repo, &github.DeploymentRequest{Ref: &d.Commit, Environment: &d.Environment, Description: &d.Description,
		Payload: d.Payload, AutoMerge: github.Bool(false), RequiredContexts: &[]string{}}) // what it is made of was judged already
	return made.GetID(), explainDeployment("recording a deployment to "+d.Environment, err)
}

// https://docs.github.com/en/rest/deployments/statuses#create-a-deployment-status
func (c *Client) setDeployment(ctx context.Context, id int64, d Deployment, state string) error {
	status := &github.DeploymentStatusRequest{State: &state, Environment: &d.Environment, Description: &d.Description, AutoInactive: github.Bool(true)}
	if d.LogURL != "" {
		status.LogURL = &d.LogURL
	}
	_, _, err := c.api.Repositories.CreateDeploymentStatus(ctx, c.owner, c.repo, id, status)
	return err
}

func explainDeployment(what string, err error) error { return orLacks("deployments: write", what, err) }

// A Recorded deployment is one that GitHub lists.
type Recorded struct {
	ID          int64
	Environment string
	Payload     json.RawMessage // an object, or a text
}

// ErrHidden tells that the token may not read deployments.
var ErrHidden = errors.New("the token lacks `deployments: read`")

// mostDeployments is how many pages of a hundred are listed.
const mostDeployments = 10

// Deployments lists the last thousand deployments of all environments, the newest first, and tells whether there are more.
// https://docs.github.com/en/rest/deployments/deployments#list-deployments
func (c *Client) Deployments(ctx context.Context) (all []Recorded, more bool, err error) {
	options := &github.DeploymentsListOptions{ListOptions: github.ListOptions{Page: 1, PerPage: 100}}
	for options.Page > 0 && options.Page <= mostDeployments {
		found, response, err := c.api.Repositories.ListDeployments(ctx, c.owner, c.repo, options)
		if err != nil {
			return nil, false, hidden("listing the deployments", err)
		}
		for _, d := range found {
			all = append(all, Recorded{d.GetID(), d.GetEnvironment(), d.Payload})
		}
		options.Page = response.NextPage
	}
	return all, options.Page > 0, nil
}

// DeploymentState tells how a deployment is by now, such as success or inactive; empty where nobody has said.
// https://docs.github.com/en/rest/deployments/statuses#list-deployment-statuses
func (c *Client) DeploymentState(ctx context.Context, id int64) (string, error) {
	all, err := c.statuses(ctx, id, 1)
	return stateOf(all), err
}

// statuses are the last few that a deployment got, the last first.
func (c *Client) statuses(ctx context.Context, id int64, most int) ([]*github.DeploymentStatus, error) {
	all, _, err := c.api.Repositories.ListDeploymentStatuses(ctx, c.owner, c.repo, id, &github.ListOptions{PerPage: most})
	return all, hidden("asking how a deployment is", err)
}

func stateOf(all []*github.DeploymentStatus) string {
	if len(all) == 0 {
		return ""
	}
	return all[0].GetState()
}

func hidden(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case Status(err) == http.StatusForbidden:
		return fmt.Errorf("%s: %w", what, ErrHidden)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}
