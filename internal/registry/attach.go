package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/org/ghcr-publish/internal/verdict"
)

// An Attachment is a file that says something of an image, such as a signature.
type Attachment struct {
	MediaType   string
	Annotations map[string]string // of the artifact that holds it
	Data        []byte
}

// Attach stores files beside an image that was approved, or beside one of its platforms, as artifacts that refer to
// it. Registries that know of such references list them by themselves. In all others, ghcr.io among them, they are
// listed in an index under a tag made of the image's digest, which is written once for all files.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests-with-subject
func (c *Client) Attach(ctx context.Context, approval verdict.Approval, image name.Digest, files []Attachment) error {
	if !slices.ContainsFunc(approval.Images(), func(i name.Digest) bool { return i.Name() == image.Name() }) {
		return fmt.Errorf("attaching to %s: it was not approved", image)
	}
	return c.again(func() error { return c.attach(ctx, image, files) })
}

func (c *Client) attach(ctx context.Context, image name.Digest, files []Attachment) error {
	subject, err := remote.Head(image, c.options(ctx, image.Repository)...)
	if err != nil {
		return fmt.Errorf("looking at %s: %w", image, err)
	}
	var added []v1.Descriptor
	listed := true
	for _, file := range files {
		desc, known, err := c.refer(ctx, image, *subject, file)
		if err != nil {
			return fmt.Errorf("attaching %s to %s: %w", file.MediaType, image, err)
		}
		added, listed = append(added, desc), listed && known
	}
	if listed || c.lists(ctx, image, added) {
		return nil
	}
	return c.list(ctx, image, added)
}

// refer stores one file, and reports whether the registry has understood what it refers to.
func (c *Client) refer(ctx context.Context, image name.Digest, subject v1.Descriptor, file Attachment) (v1.Descriptor, bool, error) {
	config, layer := static.NewLayer([]byte("{}"), emptyConfig), static.NewLayer(file.Data, types.MediaType(file.MediaType))
	artifact := artifactManifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: file.MediaType, Annotations: file.Annotations,
		Subject: v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}}
	for _, blob := range []v1.Layer{config, layer} {
		if err := remote.WriteLayer(image.Repository, blob, c.writing(ctx, image.Repository)...); err != nil {
			return v1.Descriptor{}, false, err
		}
		desc, err := partial.Descriptor(blob)
		if err != nil {
			return v1.Descriptor{}, false, err
		}
		artifact.Layers = append(artifact.Layers, *desc)
	}
	artifact.Config, artifact.Layers = artifact.Layers[0], artifact.Layers[1:]
	data, err := json.Marshal(artifact)
	if err != nil {
		return v1.Descriptor{}, false, err
	}
	digest, size, err := v1.SHA256(bytes.NewReader(data))
	if err != nil {
		return v1.Descriptor{}, false, err
	}
	known, err := c.put(ctx, image.Repository.Digest(digest.String()), data, subject.Digest.String())
	return v1.Descriptor{MediaType: artifact.MediaType, ArtifactType: file.MediaType, Digest: digest, Size: size, Annotations: file.Annotations}, known, err
}

// emptyConfig is the media type of a configuration that says nothing.
const emptyConfig = "application/vnd.oci.empty.v1+json"

// An artifactManifest is an image manifest that holds an artifact; the library's has no artifactType.
// https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidelines-for-artifact-usage
type artifactManifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        v1.Descriptor     `json:"config"`
	Layers        []v1.Descriptor   `json:"layers"`
	Subject       v1.Descriptor     `json:"subject"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// put writes a manifest, and reports whether the answer names the subject that it refers to. The library's own writing hides
// that, and writes the index of what refers to an image anew for each.
func (c *Client) put(ctx context.Context, ref name.Digest, data []byte, subject string) (bool, error) {
	authorized, err := c.authorized(ctx, ref.Repository)
	if err != nil {
		return false, err
	}
	address := fmt.Sprintf("%s://%s/v2/%s/manifests/%s", ref.Scheme(), ref.RegistryStr(), ref.RepositoryStr(), ref.DigestStr())
	request, err := newRequest(ctx, http.MethodPut, address, manifest{data, types.OCIManifestSchema1})
	if err != nil {
		return false, err
	}
	answer, err := authorized.RoundTrip(request)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	return answer.Header.Get("OCI-Subject") == subject, transport.CheckError(answer, http.StatusCreated)
}

// newRequest puts a manifest, or asks for one where there is none.
func newRequest(ctx context.Context, method, address string, m manifest) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(m.data))
	if err != nil {
		return nil, err
	}
	if m.mediaType != "" {
		request.Header.Set("Content-Type", string(m.mediaType))
	}
	request.Header.Set("Accept", manifestTypes)
	return request, nil
}

// authorized carries requests that write to a repository, with its login.
func (c *Client) authorized(ctx context.Context, repo name.Repository) (http.RoundTripper, error) {
	login := authn.Anonymous
	if c.Password != "" && c.holds(repo) {
		login = &authn.Basic{Username: c.Username, Password: c.Password}
	}
	return transport.NewWithContext(ctx, repo.Registry, login, transport.NewUserAgent(c.carrier(), "ghcr-publish"), []string{repo.Scope(transport.PushScope)})
}

// lists reports whether the registry itself lists what refers to an image, though it did not say so.
func (c *Client) lists(ctx context.Context, image name.Digest, added []v1.Descriptor) bool {
	index, err := remote.Referrers(image, append(c.options(ctx, image.Repository), remote.WithReferrersTagFallback(false))...)
	if err != nil {
		return false
	}
	manifest, err := index.IndexManifest()
	return err == nil && holdsAll(manifest.Manifests, added)
}

func holdsAll(has, wanted []v1.Descriptor) bool {
	return !slices.ContainsFunc(wanted, func(w v1.Descriptor) bool {
		return !slices.ContainsFunc(has, func(h v1.Descriptor) bool { return h.Digest == w.Digest })
	})
}

// list adds to the index of what refers to an image. Another writer may do the same meanwhile, so it is read back.
func (c *Client) list(ctx context.Context, image name.Digest, added []v1.Descriptor) error {
	tag := referrersTag(image)
	for range attempts {
		index, err := c.listing(ctx, tag)
		if err != nil {
			return err
		}
		if holdsAll(index.Manifests, added) {
			return nil
		}
		for _, desc := range added {
			if !holdsAll(index.Manifests, []v1.Descriptor{desc}) {
				index.Manifests = append(index.Manifests, desc)
			}
		}
		data, err := json.Marshal(index)
		if err != nil {
			return err
		}
		if err := remote.Put(tag, manifest{data, types.OCIImageIndex}, c.options(ctx, image.Repository)...); err != nil {
			return fmt.Errorf("writing %s: %w", tag, err)
		}
	}
	return fmt.Errorf("writing %s: other runs write it all the time; run this one again", tag)
}

// attempts is how often the index is looked at where other writers are in the way.
const attempts = 5

// listing reads the index under a tag; an empty one where there is none.
func (c *Client) listing(ctx context.Context, tag name.Tag) (*v1.IndexManifest, error) {
	desc, err := remote.Get(tag, c.options(ctx, tag.Repository)...)
	if IsNotFound(err) {
		return &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", tag, err)
	}
	if !desc.MediaType.IsIndex() {
		return nil, fmt.Errorf("reading %s: it is no index", tag)
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(desc.Manifest))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", tag, err)
	}
	return index, nil
}

// Attached reads the files of a media type that refer to an image and have an annotation. What is of another form is
// none of them.
func (c *Client) Attached(ctx context.Context, image name.Digest, mediaType, key, value string) ([][]byte, error) {
	return asked(c, func() ([][]byte, error) { return c.attached(ctx, image, mediaType, key, value) })
}

func (c *Client) attached(ctx context.Context, image name.Digest, mediaType, key, value string) ([][]byte, error) {
	index, err := remote.Referrers(image, c.options(ctx, image.Repository)...)
	if err != nil {
		return nil, fmt.Errorf("reading what refers to %s: %w", image, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("reading what refers to %s: %w", image, err)
	}
	var files [][]byte
	for _, desc := range manifest.Manifests {
		if desc.Annotations[key] != value {
			continue
		}
		if data, err := c.Fetch(ctx, image.Digest(desc.Digest.String()).Name(), mediaType); err == nil {
			files = append(files, data)
		}
	}
	return files, nil
}
