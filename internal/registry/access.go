package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Holds reports whether an image is of the registry that the login is for.
func (c *Client) Holds(image string) bool {
	repo, err := name.NewRepository(image, c.nameOptions()...)
	return err == nil && c.holds(repo)
}

// Writable proves that an image can be pushed, by beginning an upload and cancelling it. Nothing is left by that: a registry that
// cancels none, such as ghcr.io, forgets the upload after a while. What a token says of itself proves nothing, as ghcr.io's are opaque.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-blobs
func (c *Client) Writable(ctx context.Context, image string) error {
	repo, err := name.NewRepository(image, c.nameOptions()...)
	if err != nil {
		return err
	}
	return c.again(func() error { return c.writable(ctx, repo) })
}

func (c *Client) writable(ctx context.Context, repo name.Repository) error {
	login := authn.Anonymous
	if c.Password != "" && c.holds(repo) {
		login = &authn.Basic{Username: c.Username, Password: c.Password}
	}
	carrier, err := transport.NewWithContext(ctx, repo.Registry, login, c.carrier(), []string{repo.Scope(transport.PushScope)})
	if err != nil {
		return fmt.Errorf("logging in to push to %s: %w", repo, err)
	}
	uploads := fmt.Sprintf("%s://%s/v2/%s/blobs/uploads/", repo.Scheme(), repo.RegistryStr(), repo.RepositoryStr())
	begun, err := send(ctx, carrier, http.MethodPost, uploads)
	if err != nil {
		return fmt.Errorf("beginning an upload: %w", err)
	}
	defer begun.Body.Close()
	if err := transport.CheckError(begun, http.StatusAccepted, http.StatusCreated); err != nil {
		return fmt.Errorf("beginning an upload: %w", err)
	}
	if at, err := begun.Location(); err == nil && at.Host == repo.RegistryStr() {
		if cancelled, err := send(ctx, carrier, http.MethodDelete, at.String()); err == nil {
			cancelled.Body.Close() // whatever it says
		}
	}
	return nil
}

func send(ctx context.Context, carrier http.RoundTripper, method, address string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	return carrier.RoundTrip(request)
}

// isRefused reports whether a registry does not let one know of an image, or says that there is none.
func isRefused(err error) bool {
	var refused *transport.Error
	return errors.As(err, &refused) && slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound}, refused.StatusCode)
}

// IsPublic reports whether everybody may pull what a tag points to: it is asked for without a login.
func (c *Client) IsPublic(ctx context.Context, image, tag string) (bool, error) {
	stranger := &Client{Host: c.Host, PlainHTTP: c.PlainHTTP, Transport: c.Transport}
	ref, err := name.NewTag(image+":"+tag, c.nameOptions()...)
	if err != nil {
		return false, err
	}
	_, err = remote.Head(ref, stranger.options(ctx, ref.Repository)...)
	if isRefused(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking for %s without a login: %w", ref, err)
	}
	return true, nil
}
