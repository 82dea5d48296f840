package github

import (
	"context"
	"fmt"
	"strings"
)

// Scopes returns what somebody's token may do at apiURL, such as "write:packages"; nothing for a token that has none to tell of, as
// fine-grained ones. The question counts for no budget, and is asked once: off the net nobody waits for its answer.
// https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps
func Scopes(ctx context.Context, apiURL, token string) ([]string, error) {
	api, err := client(apiURL, token)
	if err != nil {
		return nil, err
	}
	_, response, err := api.RateLimit.Get(once(ctx))
	if err != nil {
		return nil, fmt.Errorf("asking GitHub for the scopes of the token: %w", err)
	}
	return strings.FieldsFunc(response.Header.Get("X-OAuth-Scopes"), func(r rune) bool { return r == ',' || r == ' ' }), nil
}
