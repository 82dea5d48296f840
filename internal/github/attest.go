package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/google/go-github/v62/github"
)

// ErrNoStore marks a store of attestations that this run cannot use: there is none, or the token may not.
var ErrNoStore = errors.New("GitHub's attestation store is not available to this run")

// Attest stores a Sigstore bundle among the repository's attestations.
// https://docs.github.com/en/rest/repos/attestations#create-an-attestation
func (c *Client) Attest(ctx context.Context, bundle []byte) error {
	request, err := c.api.NewRequest(http.MethodPost, c.attestations(), map[string]json.RawMessage{"bundle": bundle})
	if err != nil {
		return fmt.Errorf("storing an attestation: %w", err)
	}
	_, err = c.api.Do(ctx, request, nil)
	var refused *github.ErrorResponse
	if errors.As(err, &refused) {
		switch refused.Response.StatusCode {
		case http.StatusForbidden:
			return fmt.Errorf("%w: %s (it needs `permissions: attestations: write`, and for a private repository GitHub Enterprise Cloud)", ErrNoStore, refused.Message)
		case http.StatusNotFound:
			return fmt.Errorf("%w: %s", ErrNoStore, refused.Message)
		}
	}
	if err != nil {
		return fmt.Errorf("storing an attestation: %w", err)
	}
	return nil
}

// Attested returns the Sigstore bundles of a predicate's type that the repository's attestations have of an image, by its
// digest "sha256:…". What GitHub only names the address of is left out.
// https://docs.github.com/en/rest/repos/attestations#list-attestations
func (c *Client) Attested(ctx context.Context, digest, predicateType string) ([][]byte, error) {
	request, err := c.api.NewRequest(http.MethodGet, c.attestations()+"/"+digest+"?per_page=100&predicate_type="+url.QueryEscape(predicateType), nil)
	if err != nil {
		return nil, fmt.Errorf("listing attestations: %w", err)
	}
	var list struct {
		Attestations []struct{ Bundle json.RawMessage }
	}
	_, err = c.api.Do(ctx, request, &list)
	if status := Status(err); status == http.StatusNotFound || status == http.StatusForbidden {
		return nil, nil // there are none, or none to be seen
	}
	if err != nil {
		return nil, fmt.Errorf("listing attestations: %w", err)
	}
	var bundles [][]byte
	for _, a := range list.Attestations {
		bundles = append(bundles, a.Bundle)
	}
	return bundles, nil
}

func (c *Client) attestations() string {
	return fmt.Sprintf("repos/%s/%s/attestations", c.owner, c.repo)
}
