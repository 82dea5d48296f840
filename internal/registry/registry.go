// Package registry reads and tags images in an OCI registry. It writes a tag only for an
// Approval, which only an approved verdict yields.
package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

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
	Config     verdict.Config
	Settings   v1.Config // the image configuration's own
	Layers     []Layer   // what its history tells, in order
}

// A Layer is what one step of making an image added to it.
type Layer struct {
	CreatedBy string
	Size      int64 // compressed bytes; 0 of a step that added no files
}

// An Image is an index with what is known of it.
type Image struct {
	Ref      name.Digest
	Revision string // commit it was built from; empty when it does not say
	Version  string
	// Annotations are the index's own, or those of an image that stands alone.
	Annotations map[string]string
	Platforms   []Platform // empty unless the image was read whole
}

func (c *Client) options(ctx context.Context, repo name.Repository) []remote.Option {
	options := []remote.Option{remote.WithContext(ctx), remote.WithUserAgent("ghcr-publish"), remote.WithTransport(c.carrier()), remote.WithRetryStatusCodes()}
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

// Resolve reads what a tag points to, without its platforms. A tag that is not there gives false and no error.
func (c *Client) Resolve(ctx context.Context, image, tag string) (img Image, found bool, err error) {
	err = c.again(func() error {
		img, found, err = c.resolve(ctx, image, tag)
		return err
	})
	return img, found, err
}

func (c *Client) resolve(ctx context.Context, image, tag string) (Image, bool, error) {
	ref, err := name.NewTag(image+":"+tag, c.nameOptions()...)
	if err != nil {
		return Image{}, false, err
	}
	desc, err := remote.Get(ref, c.options(ctx, ref.Repository)...)
	if IsNotFound(err) {
		return Image{}, false, nil
	}
	if err != nil {
		return Image{}, false, fmt.Errorf("reading %s: %w", ref, err)
	}
	img, err := glance(ref.Repository.Digest(desc.Digest.String()), desc)
	if err != nil {
		return Image{}, false, fmt.Errorf("reading %s: %w", ref, err)
	}
	return img, true, nil
}

// Read reads an image by its digest, whole.
func (c *Client) Read(ctx context.Context, ref name.Digest) (Image, error) {
	return asked(c, func() (Image, error) { return c.read(ctx, ref) })
}

func (c *Client) read(ctx context.Context, ref name.Digest) (Image, error) {
	desc, err := remote.Get(ref, c.options(ctx, ref.Repository)...)
	if err != nil {
		return Image{}, fmt.Errorf("reading %s: %w", ref, err)
	}
	img, err := describe(ref, desc)
	if err != nil {
		return Image{}, fmt.Errorf("reading %s: %w", ref, err)
	}
	return img, nil
}

// Clock tells what time it is where the registry is, to the second.
// https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1
func (c *Client) Clock(ctx context.Context) (time.Time, error) {
	host, err := name.NewRegistry(c.Host, c.nameOptions()...)
	if err != nil {
		return time.Time{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s://%s/v2/", host.Scheme(), host.RegistryStr()), nil)
	if err != nil {
		return time.Time{}, err
	}
	answer, err := c.wire().RoundTrip(request)
	if err != nil {
		return time.Time{}, fmt.Errorf("asking %s for the time: %w", c.Host, err)
	}
	defer answer.Body.Close()
	return http.ParseTime(answer.Header.Get("Date"))
}

// Tags lists the tags of an image that people pull by; none where there is no such image yet.
func (c *Client) Tags(ctx context.Context, image string) ([]string, error) {
	return asked(c, func() ([]string, error) { return c.tags(ctx, image) })
}

func (c *Client) tags(ctx context.Context, image string) ([]string, error) {
	names, err := c.allTags(ctx, image)
	return slices.DeleteFunc(names, func(tag string) bool { return !IsUserTag(tag) }), err
}

func (c *Client) allTags(ctx context.Context, image string) ([]string, error) {
	repo, err := name.NewRepository(image, c.nameOptions()...)
	if err != nil {
		return nil, err
	}
	names, err := remote.List(repo, c.options(ctx, repo)...)
	if IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the tags of %s: %w", repo, err)
	}
	return names, nil
}

// ErrMoved tells that a tag points elsewhere than it did when its move was decided.
var ErrMoved = errors.New("another run moved it")

// ErrUnsure tells that a tag may have been moved or not: the request failed on its way, or its answer did.
var ErrUnsure = errors.New("it may have been moved or not")

// Tag points a tag at the digest that was approved, and reads it back. From is the digest that the tag
// pointed to when that was decided, empty for a new one. Registries cannot compare and set, so the
// tag is looked at right before and right after; where it is found to have gone elsewhere, the error is ErrMoved. The move itself is
// not repeated by itself, since another run may have moved the tag meanwhile: the error is ErrUnsure then.
func (c *Client) Tag(ctx context.Context, approval verdict.Approval, tag, from string) error {
	return c.again(func() error { return c.tag(ctx, approval, tag, from) }) // what is refused was not done
}

func (c *Client) tag(ctx context.Context, approval verdict.Approval, tag, from string) error {
	ref, err := approval.Candidate()
	if err != nil {
		return fmt.Errorf("tagging: %w", err)
	}
	return c.point(ctx, ref, tag, from)
}

// point points a tag at an image, unless it points elsewhere than from.
func (c *Client) point(ctx context.Context, ref name.Digest, tag, from string) error {
	options := c.options(ctx, ref.Repository)
	desc, err := remote.Get(ref, options...)
	if err != nil {
		return fmt.Errorf("reading %s: %w", ref, err)
	}
	to := ref.Repository.Tag(tag)
	if err := pointsTo(to, from, options); err != nil {
		return err
	}
	err = remote.Tag(to, desc, append(options, remote.WithTransport(c.once()), remote.WithRetryPredicate(never))...)
	if err != nil && MayPass(err) {
		return fmt.Errorf("tagging %s: %w: %w", to, ErrUnsure, err)
	}
	if err != nil {
		return fmt.Errorf("tagging %s: %w", to, err)
	}
	return pointsTo(to, ref.DigestStr(), options)
}

// pointsTo proves that a tag points to a digest; an empty one means that the tag is not there.
func pointsTo(tag name.Tag, digest string, options []remote.Option) error {
	at := ""
	switch desc, err := remote.Head(tag, options...); {
	case err == nil:
		at = desc.Digest.String()
	case !IsNotFound(err):
		return fmt.Errorf("looking at %s: %w", tag, err)
	}
	if at != digest {
		return fmt.Errorf("%s points to %q, not to %q: %w", tag, at, digest, ErrMoved)
	}
	return nil
}

// glance reads of an image what its own manifest tells. Images of other tools may say in their
// configuration alone what they were built from; where that is broken, or gone, they do not say. What cannot be asked for just now is an error.
func glance(ref name.Digest, desc *remote.Descriptor) (Image, error) {
	img := Image{Ref: ref}
	var manifest struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(desc.Manifest, &manifest); err == nil {
		img.annotate(manifest.Annotations)
	}
	if img.Revision == "" {
		whole, err := describe(ref, desc)
		if isUnanswered(err) {
			return Image{}, err
		}
		img.Revision, img.Version = whole.Revision, whole.Version
	}
	return img, nil
}

// isUnanswered reports whether a request came to nothing, and not what was answered.
func isUnanswered(err error) bool {
	var failed *url.Error
	var refused *transport.Error
	return errors.As(err, &failed) || errors.As(err, &refused) && MayPass(err)
}

// describe reads the platforms of an index, or of an image that stands alone.
func describe(ref name.Digest, desc *remote.Descriptor) (Image, error) {
	img := Image{Ref: ref}
	if !desc.MediaType.IsIndex() {
		one, err := desc.Image()
		if err != nil {
			return Image{}, err
		}
		manifest, err := one.Manifest()
		if err != nil {
			return Image{}, err
		}
		img.annotate(manifest.Annotations)
		return img, img.add(one, nil)
	}
	index, err := desc.ImageIndex()
	if err != nil {
		return Image{}, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return Image{}, err
	}
	img.annotate(manifest.Annotations)
	for _, child := range manifest.Manifests {
		// Attestations are listed as images of the platform unknown/unknown.
		if child.Platform == nil || child.Platform.OS == "unknown" {
			continue
		}
		one, err := index.Image(child.Digest)
		if err != nil {
			return Image{}, fmt.Errorf("%s: %w", child.Platform, err)
		}
		if err := img.add(one, child.Platform); err != nil {
			return Image{}, fmt.Errorf("%s: %w", child.Platform, err)
		}
	}
	return img, nil
}

func (i *Image) annotate(annotations map[string]string) {
	i.Annotations = annotations
	i.Revision, i.Version = annotations[RevisionKey], annotations[VersionKey]
}

// add adds one platform's image. What stands alone and is of no platform, such as a Helm chart, is no image to run.
func (i *Image) add(image v1.Image, platform *v1.Platform) error {
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	if platform == nil {
		platform = config.Platform()
	}
	if platform == nil || platform.OS == "" || platform.Architecture == "" {
		return nil
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
	p := Platform{Platform: platform, Digest: digest, Compressed: manifest.Config.Size, User: config.Config.User, Config: configOf(config), Settings: config.Config}
	for _, layer := range manifest.Layers {
		p.Compressed += layer.Size
	}
	p.Layers = layersOf(config.History, manifest.Layers)
	return p, nil
}

// layersOf gives the steps of a history their layers; none where the two do not fit.
func layersOf(history []v1.History, sizes []v1.Descriptor) []Layer {
	var layers []Layer
	for _, h := range history {
		layer := Layer{CreatedBy: h.CreatedBy}
		if !h.EmptyLayer {
			if len(sizes) == 0 {
				return nil
			}
			layer.Size, sizes = sizes[0].Size, sizes[1:]
		}
		layers = append(layers, layer)
	}
	if len(sizes) > 0 {
		return nil
	}
	return layers
}

func configOf(file *v1.ConfigFile) verdict.Config {
	check := file.Config.Healthcheck
	c := verdict.Config{Healthcheck: check != nil && len(check.Test) > 0 && check.Test[0] != "NONE", Exposed: slices.Sorted(maps.Keys(file.Config.ExposedPorts))}
	var commands []string
	for _, h := range file.History {
		commands = append(commands, h.CreatedBy)
	}
	c.Secrets = verdict.SeemsSecret(file.Config.Env, commands)
	return c
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

// IsNotFound reports whether a registry has no such image or repository.
func IsNotFound(err error) bool {
	var failed *transport.Error
	return errors.As(err, &failed) && failed.StatusCode == http.StatusNotFound
}
