package action

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/service"
)

// TestBorrow has gh signed in, or not, and looks who gets its token.
func TestBorrow(t *testing.T) {
	t.Parallel()
	const token = "gho_abcdefghijklmnop"
	local := service.Settings{Registry: "ghcr.io"}
	for name, c := range map[string]struct {
		settings service.Settings
		builders []service.Builder
		environ  []string
		server   string // https://github.com by default
		at       string // GitHub's API, https://api.github.com by default
		says     string // gh
		fails    bool
		scopes   []string
		away     bool // GitHub's API does not answer

		api, registry string // that get a token
		log           string
		unasked       bool
	}{
		"with a scope to push":        {settings: local, says: token, scopes: []string{"repo", "write:packages"}, api: token, registry: token, log: "GitHub and ghcr.io are asked with the token of gh\n"},
		"with a scope to pull":        {settings: local, says: token, scopes: []string{"read:packages"}, api: token, registry: token, log: "which may not push: `gh auth refresh --scopes write:packages`"},
		"without a scope":             {settings: local, says: token, scopes: []string{"gist", "repo"}, api: token, log: "ghcr.io without a login: `gh auth refresh --scopes write:packages`"},
		"where GitHub does not know":  {settings: local, says: token, away: true, api: token, log: "ghcr.io is asked without a login: it is away"},
		"for another registry":        {settings: service.Settings{Registry: "registry.example.com"}, says: token, scopes: []string{"write:packages"}, api: token, log: "GitHub's API is asked with the token of gh\n"},
		"for a registry with a token": {settings: service.Settings{Registry: "ghcr.io", RegistryToken: "ghp_own"}, says: token, scopes: []string{"write:packages"}, api: token, registry: "ghp_own", log: "GitHub's API is asked with the token of gh\n"},
		"of a server of one's own":    {settings: local, server: "https://git.example", at: "https://git.example/api/v3", says: token, scopes: []string{"write:packages"}, api: token, log: "GitHub's API is asked with the token of gh\n"},
		"of an enterprise":            {settings: local, server: "https://octo.ghe.com", at: "https://api.octo.ghe.com", says: token, api: token, log: "GitHub's API is asked with the token of gh\n"},
		"for the API of another":      {settings: local, server: "https://git.example", says: token, unasked: true, log: "the token of gh is for git.example, which https://api.github.com is not the API of"},
		"for an API of somebody":      {settings: local, at: "https://api.example.com", says: token, unasked: true, log: "GITHUB_SERVER_URL and GITHUB_API_URL go together"},
		"for an API in the clear":     {settings: local, at: "http://api.github.com", says: token, unasked: true},
		"in the clear":                {settings: service.Settings{Registry: "ghcr.io", PlainHTTP: true}, says: token, scopes: []string{"write:packages"}, api: token, log: "GitHub's API is asked with the token of gh\n"},
		"within a builder's reach":    {settings: service.Settings{Registry: "ghcr.io"}, builders: []service.Builder{{Endpoint: "tcp://build.example:1234"}}, says: token, scopes: []string{"write:packages"}, api: token, log: "GitHub's API is asked with the token of gh\n"},
		"where nobody is signed in":   {settings: local, fails: true},
		"where gh says nothing":       {settings: local},
		"where gh says a sentence":    {settings: local, says: "no oauth token"},
		"with a token given":          {settings: service.Settings{Registry: "ghcr.io", Token: "ghp_given"}, says: token, api: "ghp_given", registry: "ghp_given", unasked: true},
		"on a runner":                 {settings: local, environ: []string{"GITHUB_ACTIONS=true"}, says: token, unasked: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := cmp.Or(c.server, "https://github.com")
			asked := ""
			var out bytes.Buffer
			p := Process{Environ: append(c.environ, "HOME=/home/mona"), Dir: "/", Run: func(_ context.Context, command run.Command) ([]byte, error) {
				asked = strings.Join(command.Argv, " ")
				if c.fails {
					return nil, errors.New("no oauth token")
				}
				return []byte(c.says + "\n"), nil
			}}
			scopes := func(context.Context, string, string) ([]string, error) {
				if c.away {
					return nil, errors.New("it is away")
				}
				return c.scopes, nil
			}
			j := job{Config: service.Config{Settings: c.settings, Builders: c.builders}, Event: actions.Event{ServerURL: server, APIURL: cmp.Or(c.at, "https://api.github.com")}}
			log := actions.NewLog(&out, false)
			j.borrow(t.Context(), p, log, scopes)
			log.Printf("the token is %s", token)
			if j.Config.Token != c.api || j.registryToken() != c.registry {
				t.Errorf("the API gets %q and the registry %q, want %q and %q", j.Config.Token, j.registryToken(), c.api, c.registry)
			}
			if got := out.String(); !strings.Contains(got, c.log) || c.api == token && strings.Contains(got, token) {
				t.Errorf("the log says %q, want %q and no token", got, c.log)
			}
			if want := "gh auth token --hostname " + strings.TrimPrefix(server, "https://"); c.unasked == (asked == want) {
				t.Errorf("%q was run", asked)
			}
		})
	}
}
