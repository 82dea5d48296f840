package action

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/run"
)

// borrowTime bounds what gh, whose keyring may ask somebody, and GitHub take to answer.
const borrowTime = 30 * time.Second

// borrow takes the token of GitHub's own program, gh, where none is given and somebody is signed in there. On a runner none is
// borrowed: what a job may do its workflow says.
//
// It is a person's token that reaches far, and the repository may be anybody's. So the registry gets it only where it is GitHub's
// own, and only with a scope for packages: ghcr.io refuses others even what everybody may pull.
func (j *job) borrow(ctx context.Context, p Process, log *actions.Log) {
	host := serverHost(j.Event.ServerURL)
	if p.Getenv("GITHUB_ACTIONS") == "true" || j.Config.Token != "" || host == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, borrowTime)
	defer cancel()
	out, err := p.Run(ctx, run.Command{Argv: []string{"gh", "auth", "token", "--hostname", host}, Dir: p.Dir, Env: p.Environ})
	token := strings.TrimSpace(string(out))
	if err != nil || token == "" || strings.ContainsAny(token, " \r\n") {
		return // it is not there, or nobody is signed in
	}
	log.Mask(token)
	j.Config.Token, j.personal = token, true
	if j.Config.Registry != "ghcr.io" || host != "github.com" || j.Config.RegistryToken != "" {
		log.Printf("GitHub's API is asked with the token of gh")
		return
	}
	scopes, err := github.Scopes(ctx, j.Event.APIURL, token)
	switch {
	case err != nil:
		log.Printf("ghcr.io is asked without a login: %v", err)
	case slices.Contains(scopes, "write:packages"):
		j.personal = false
		log.Printf("GitHub and ghcr.io are asked with the token of gh")
	case slices.Contains(scopes, "read:packages"):
		j.personal = false
		log.Printf("GitHub and ghcr.io are asked with the token of gh, which may not push: `gh auth refresh --scopes write:packages` lets it")
	default:
		log.Printf("GitHub's API is asked with the token of gh, and ghcr.io without a login: `gh auth refresh --scopes write:packages` lets it have one")
	}
}

func serverHost(server string) string {
	address, err := url.Parse(server)
	if err != nil {
		return ""
	}
	return address.Hostname()
}
