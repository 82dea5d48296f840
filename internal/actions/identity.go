package actions

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	githubactions "github.com/sethvargo/go-githubactions"
)

// HasIdentity reports whether the job may ask for a token of its identity.
func HasIdentity(getenv func(string) string) bool {
	return getenv("ACTIONS_ID_TOKEN_REQUEST_URL") != "" && getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN") != ""
}

// An Identity is who a job is, as GitHub vouches for it.
// https://docs.github.com/en/actions/reference/security/oidc#oidc-token-claims
type Identity struct {
	Token      string `json:"-"` // a secret
	Issuer     string `json:"iss"`
	Visibility string `json:"repository_visibility"`
}

// Public reports whether everybody may know of the repository.
func (i Identity) Public() bool { return i.Visibility == "public" }

// AskIdentity asks the runner for a token that tells an audience who the job is.
// https://docs.github.com/en/actions/reference/security/oidc#methods-for-requesting-the-oidc-token
func AskIdentity(ctx context.Context, getenv func(string) string, client *http.Client, audience string) (Identity, error) {
	if !HasIdentity(getenv) {
		return Identity{}, errors.New("the job may not ask for an OpenID Connect token; give it `permissions: id-token: write`")
	}
	token, err := githubactions.New(githubactions.WithGetenv(getenv), githubactions.WithHTTPClient(client)).GetIDToken(ctx, audience)
	if err != nil {
		return Identity{}, fmt.Errorf("asking for the job's OpenID Connect token: %w", err)
	}
	return readIdentity(token)
}

// readIdentity reads what a token says. Nobody here has to prove it: who is shown the token does.
func readIdentity(token string) (Identity, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Identity{}, errors.New("asking for the job's OpenID Connect token: the answer is no token")
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Identity{}, fmt.Errorf("reading the job's OpenID Connect token: %w", err)
	}
	identity := Identity{Token: token}
	if err := json.Unmarshal(claims, &identity); err != nil {
		return Identity{}, fmt.Errorf("reading the job's OpenID Connect token: %w", err)
	}
	return identity, nil
}
