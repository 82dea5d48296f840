package action

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
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
		environ  []string
		server   string // https://github.com by default
		says     string // gh
		fails    bool
		scopes   string
		status   int // of GitHub's API, 200 by default

		api, registry string // that get a token
		log           string
		unasked       bool
	}{
		"with a scope to push":        {settings: local, says: token, scopes: "repo, write:packages", api: token, registry: token, log: "GitHub and ghcr.io are asked with the token of gh\n"},
		"with a scope to pull":        {settings: local, says: token, scopes: "read:packages", api: token, registry: token, log: "which may not push: `gh auth refresh --scopes write:packages`"},
		"without a scope":             {settings: local, says: token, scopes: "gist, repo", api: token, log: "ghcr.io without a login: `gh auth refresh --scopes write:packages`"},
		"where GitHub does not know":  {settings: local, says: token, status: http.StatusUnauthorized, api: token, log: "ghcr.io is asked without a login: asking GitHub for the scopes of the token"},
		"for another registry":        {settings: service.Settings{Registry: "registry.example.com"}, says: token, scopes: "write:packages", api: token, log: "GitHub's API is asked with the token of gh\n"},
		"for a registry with a token": {settings: service.Settings{Registry: "ghcr.io", RegistryToken: "ghp_own"}, says: token, scopes: "write:packages", api: token, registry: "ghp_own", log: "GitHub's API is asked with the token of gh\n"},
		"of a server of one's own":    {settings: local, server: "https://git.example", says: token, scopes: "write:packages", api: token, log: "GitHub's API is asked with the token of gh\n"},
		"where nobody is signed in":   {settings: local, fails: true},
		"where gh says nothing":       {settings: local},
		"where gh says a sentence":    {settings: local, says: "no oauth token"},
		"with a token given":          {settings: service.Settings{Registry: "ghcr.io", Token: "ghp_given"}, says: token, api: "ghp_given", registry: "ghp_given", unasked: true},
		"on a runner":                 {settings: local, environ: []string{"GITHUB_ACTIONS=true"}, says: token, unasked: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-OAuth-Scopes", c.scopes)
				if c.status != 0 {
					w.WriteHeader(c.status)
				}
				_, _ = w.Write([]byte("{}"))
			}))
			defer api.Close()
			server := "https://github.com"
			if c.server != "" {
				server = c.server
			}
			asked := ""
			var out bytes.Buffer
			p := Process{Environ: append(c.environ, "HOME=/home/mona"), Dir: "/", Run: func(_ context.Context, command run.Command) ([]byte, error) {
				asked = strings.Join(command.Argv, " ")
				if c.fails {
					return nil, errors.New("no oauth token")
				}
				return []byte(c.says + "\n"), nil
			}}
			j := job{Config: service.Config{Settings: c.settings}, Event: actions.Event{ServerURL: server, APIURL: api.URL}}
			log := actions.NewLog(&out, false)
			j.borrow(t.Context(), p, log)
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
