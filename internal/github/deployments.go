package github

import (
	"context"
	"fmt"
	"net/http"

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
// https://docs.github.com/en/rest/deployments/deployments#create-a-deployment
// https://docs.github.com/en/rest/deployments/statuses#create-a-deployment-status
func (c *Client) RecordDeployment(ctx context.Context, d Deployment) error {
	made, _, err := c.api.Repositories.CreateDeployment(ctx, c.owner, c.repo, &github.DeploymentRequest{Ref: &d.Commit, Environment: &d.Environment, Description: &d.Description,
		Payload: d.Payload, AutoMerge: github.Bool(false), RequiredContexts: &[]string{}}) // what it is made of was judged already
	if err != nil {
		return explainDeployment("recording a deployment to "+d.Environment, err)
	}
	state := "success"
	if d.Failed {
		state = "failure"
	}
	status := &github.DeploymentStatusRequest{State: &state, Environment: &d.Environment, Description: &d.Description, AutoInactive: github.Bool(true)}
	if d.LogURL != "" {
		status.LogURL = &d.LogURL
	}
	_, _, err = c.api.Repositories.CreateDeploymentStatus(ctx, c.owner, c.repo, made.GetID(), status)
	return explainDeployment("recording how the deployment to "+d.Environment+" ended", err)
}

func explainDeployment(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case Status(err) == http.StatusForbidden:
		return fmt.Errorf("%s: the token lacks `deployments: write`", what)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}
