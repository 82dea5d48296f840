// Package registry reads and tags images in an OCI registry. It writes a tag only for an
// Approval, which only an approved verdict yields.
package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/org/ghcr-publish/internal/verdict"
)

// Annotation keys of the OCI image specification that this program writes and reads.
// https://github.com/opencontainers/image-spec/blob/main/annotations.md
const (
	RevisionKey = "org.opencontainers.image.revision"
	VersionKey  = "org.opencontainers.image.version"
)

// A Client speaks to one registry.
type Client struct {
	// Host is the registry; Username and Password are sent to it and to no other.
	Host, Username, Password string
	// PlainHTTP speaks HTTP without TLS. Loopback hosts are spoken to so in any case.
	PlainHTTP bool
	// Transport carries the requests; nil means the default.
	Transport http.RoundTripper
}

// A Platform is one platform's image inside an index.
type Platform struct {
	Platform   string // "linux/arm64"
	Digest     v1.Hash
	Compressed int64  // bytes of the configuration and all layers
	User       string // who it runs as, from the image configuration
}

// An Image is an index with what is known of it.
type Image struct {
	Ref      name.Digest
	Revision string // commit it was built from; empty when it does not say
	Version  string
	// Annotations are the index's own, or those of an image that stands alone.
	Annotations map[string]string
	Platforms   []Platform
}

func (c *Client) options(ctx context.Context, repo name.Repository) []remote.Option {
	options := []remote.Option{remote.WithContext(ctx), remote.WithUserAgent("ghcr-publish")}
	if c.Transport != nil {
		options = append(options, remote.WithTransport(c.Transport))
	}
	if c.Password != "" && c.holds(repo) {
		options = append(options, remote.WithAuth(&authn.Basic{Username: c.Username, Password: c.Password}))
	}
	return options
}

// holds reports whether a repository is on Host. Names are compared as they are resolved: docker.io
// is spoken to as index.docker.io.
func (c *Client) holds(repo name.Repository) bool {
	host, err := name.NewRegistry(c.Host)
	return err == nil && repo.RegistryStr() == host.RegistryStr()
}

func (c *Client) nameOptions() []name.Option {
	if c.PlainHTTP {
		return []name.Option{name.Insecure}
	}
	return nil
}

// Digest makes a reference to an image by its digest.
func (c *Client) Digest(image, digest string) (name.Digest, error) {
	return name.NewDigest(image+"@"+digest, c.nameOptions()...)
}

// Resolve reads what a tag points to. A tag that is not there gives false and no error.
func (c *Client) Resolve(ctx context.Context, image, tag string) (Image, bool, error) {
	ref, err := name.NewTag(image+":"+tag, c.nameOptions()...)
	if err != nil {
		return Image{}, false, err
	}
	desc, err := remote.Get(ref, c.options(ctx, ref.Repository)...)
	if isNotFound(err) {
		return Image{}, false, nil
	}
	if err != nil {
		return Image{}, false, fmt.Errorf("reading %s: %w", ref, err)
	}
	img, err := describe(ref.Repository.Digest(desc.Digest.String()), desc)
	return img, err == nil, err
}

// Read reads an image by its digest.
func (c *Client) Read(ctx context.Context, ref name.Digest) (Image, error) {
	desc, err := remote.Get(ref, c.options(ctx, ref.Repository)...)
	if err != nil {
		return Image{}, fmt.Errorf("reading %s: %w", ref, err)
	}
	return describe(ref, desc)
}

// Tags lists the tags of an image; none where there is no such image yet.
func (c *Client) Tags(ctx context.Context, image string) ([]string, error) {
	repo, err := name.NewRepository(image, c.nameOptions()...)
	if err != nil {
		return nil, err
	}
	names, err := remote.List(repo, c.options(ctx, repo)...)
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the tags of %s: %w", repo, err)
	}
	return names, nil
}

// Tag points a tag at the digest that was approved, and reads it back.
func (c *Client) Tag(ctx context.Context, approval verdict.Approval, tag string) error {
	ref, err := approval.Candidate()
	if err != nil {
		return fmt.Errorf("tagging: %w", err)
	}
	options := c.options(ctx, ref.Repository)
	desc, err := remote.Get(ref, options...)
	if err != nil {
		return fmt.Errorf("reading %s: %w", ref, err)
	}
	to := ref.Repository.Tag(tag)
	if err := remote.Tag(to, desc, options...); err != nil {
		return fmt.Errorf("tagging %s: %w", to, err)
	}
	back, err := remote.Head(to, options...)
	if err != nil {
		return fmt.Errorf("reading %s back: %w", to, err)
	}
	if back.Digest.String() != ref.DigestStr() {
		return fmt.Errorf("%s points to %s right after it was moved to %s; another run moved it", to, back.Digest, ref.DigestStr())
	}
	return nil
}

// describe reads the platforms of an index, or of an image that stands alone.
func describe(ref name.Digest, desc *remote.Descriptor) (Image, error) {
	img := Image{Ref: ref}
	if !desc.MediaType.IsIndex() {
		one, err := desc.Image()
		if err != nil {
			return Image{}, fmt.Errorf("reading %s: %w", ref, err)
		}
		manifest, err := one.Manifest()
		if err != nil {
			return Image{}, fmt.Errorf("reading %s: %w", ref, err)
		}
		img.annotate(manifest.Annotations)
		err = img.add(one, nil)
		return img, err
	}
	index, err := desc.ImageIndex()
	if err != nil {
		return Image{}, fmt.Errorf("reading %s: %w", ref, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return Image{}, fmt.Errorf("reading %s: %w", ref, err)
	}
	img.annotate(manifest.Annotations)
	for _, child := range manifest.Manifests {
		// Attestations are listed as images of the platform unknown/unknown.
		if child.Platform == nil || child.Platform.OS == "unknown" {
			continue
		}
		one, err := index.Image(child.Digest)
		if err != nil {
			return Image{}, fmt.Errorf("reading %s of %s: %w", child.Platform, ref, err)
		}
		if err := img.add(one, child.Platform); err != nil {
			return Image{}, fmt.Errorf("reading %s of %s: %w", child.Platform, ref, err)
		}
	}
	return img, nil
}

func (i *Image) annotate(annotations map[string]string) {
	i.Annotations = annotations
	i.Revision, i.Version = annotations[RevisionKey], annotations[VersionKey]
}

func (i *Image) add(image v1.Image, platform *v1.Platform) error {
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	if platform == nil {
		platform = config.Platform()
	}
	p, err := Describe(image, normalise(platform))
	if err != nil {
		return err
	}
	if i.Revision == "" {
		i.Revision, i.Version = config.Config.Labels[RevisionKey], config.Config.Labels[VersionKey]
	}
	i.Platforms = append(i.Platforms, p)
	return nil
}

// Describe reads what is known of one platform's image.
func Describe(image v1.Image, platform string) (Platform, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return Platform{}, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return Platform{}, err
	}
	digest, err := image.Digest()
	if err != nil {
		return Platform{}, err
	}
	p := Platform{Platform: platform, Digest: digest, Compressed: manifest.Config.Size, User: config.Config.User}
	for _, layer := range manifest.Layers {
		p.Compressed += layer.Size
	}
	return p, nil
}

// normalise writes a platform as it is asked for: arm64 has v8 as its only variant, and BuildKit leaves it out or not.
func normalise(p *v1.Platform) string {
	short := *p
	short.OSVersion, short.OSFeatures, short.Features = "", nil, nil
	if short.Architecture == "arm64" && short.Variant == "v8" {
		short.Variant = ""
	}
	return short.String()
}

func isNotFound(err error) bool {
	var failed *transport.Error
	return errors.As(err, &failed) && failed.StatusCode == http.StatusNotFound
}
