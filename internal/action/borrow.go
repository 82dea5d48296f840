package action

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/run"
)

// borrowTime bounds what gh takes to answer, whose keyring may ask somebody, and scopesTime what GitHub takes.
const borrowTime, scopesTime = 30 * time.Second, 5 * time.Second

// borrow takes the token of GitHub's own program, gh, where none is given and somebody is signed in there. On a runner none is
// borrowed: what a job may do its workflow says. The function scopes asks GitHub's API what a token may do.
//
// It is a person's token that reaches far, and the repository may be anybody's. So the API gets it only where that is the server's
// that gh has it for. The registry gets it only where it is GitHub's own, and only with a scope for packages: ghcr.io refuses others
// even what everybody may pull.
func (j *job) borrow(ctx context.Context, p Process, log *actions.Log, scopes func(ctx context.Context, api, token string) ([]string, error)) {
	server, err := url.Parse(j.Event.ServerURL)
	if p.Getenv("GITHUB_ACTIONS") == "true" || j.Config.Token != "" || err != nil || server.Hostname() == "" {
		return
	}
	if !answersFor(j.Event.APIURL, server.Hostname()) {
		log.Printf("the token of gh is for %s, which %s is not the API of: GITHUB_SERVER_URL and GITHUB_API_URL go together", server.Hostname(), j.Event.APIURL)
		return
	}
	asking, cancel := context.WithTimeout(ctx, borrowTime)
	defer cancel()
	out, err := p.Run(asking, run.Command{Argv: []string{"gh", "auth", "token", "--hostname", server.Hostname()}, Dir: p.Dir, Env: p.Environ})
	token := strings.TrimSpace(string(out))
	if err != nil || token == "" || strings.ContainsAny(token, " \r\n") {
		return // it is not there, or nobody is signed in
	}
	log.Mask(token)
	j.Config.Token, j.personal = token, true
	if j.Config.RegistryToken != "" || !j.lends(server.Hostname()) {
		log.Printf("GitHub's API is asked with the token of gh")
		return
	}
	asking, cancel = context.WithTimeout(ctx, scopesTime)
	defer cancel()
	may, err := scopes(asking, j.Event.APIURL, token)
	switch {
	case err != nil:
		log.Printf("ghcr.io is asked without a login: %v", err)
	case slices.Contains(may, "write:packages"):
		j.personal = false
		log.Printf("GitHub and ghcr.io are asked with the token of gh")
	case slices.Contains(may, "read:packages"):
		j.personal = false
		log.Printf("GitHub and ghcr.io are asked with the token of gh, which may not push: `gh auth refresh --scopes write:packages` lets it")
	default:
		log.Printf("GitHub's API is asked with the token of gh, and ghcr.io without a login: `gh auth refresh --scopes write:packages` lets it have one")
	}
}

// lends reports whether the registry may have a token of gh's. It goes over no wire in the clear, and to no builder that the
// configuration names: a builder may ask for whatever its client can log in with.
func (j job) lends(server string) bool {
	return server == "github.com" && j.Config.Registry == "ghcr.io" && !j.plainHTTP() && len(j.Config.Builders) == 0
}

// answersFor reports whether an API is that of a server: of GitHub itself, of an enterprise on GitHub's servers, or of one on its own.
// https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#schema
func answersFor(api, server string) bool {
	at, err := url.Parse(api)
	if err != nil || at.Scheme != "https" && !isLoopback(at.Host) {
		return false
	}
	if server == "github.com" || strings.HasSuffix(server, ".ghe.com") {
		return at.Hostname() == "api."+server
	}
	return at.Hostname() == server
}
