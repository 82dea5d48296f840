package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A Stored manifest is one as a registry keeps it, with what must be there before it.
type Stored struct {
	Ref       name.Digest
	MediaType types.MediaType
	Data      []byte
	Manifests []v1.Descriptor // that an index lists
	Blobs     []v1.Descriptor // configuration and layers, but for those that no registry keeps
}

// Stored reads a manifest by its digest.
func (c *Client) Stored(ctx context.Context, ref name.Digest) (Stored, error) {
	return asked(c, func() (Stored, error) { return c.stored(ctx, ref) })
}

func (c *Client) stored(ctx context.Context, ref name.Reference) (Stored, error) {
	desc, err := remote.Get(ref, c.options(ctx, ref.Context())...)
	if err != nil {
		return Stored{}, fmt.Errorf("reading %s: %w", ref, err)
	}
	var parts struct {
		Config    *v1.Descriptor  `json:"config"`
		Layers    []v1.Descriptor `json:"layers"`
		Manifests []v1.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(desc.Manifest, &parts); err != nil {
		return Stored{}, fmt.Errorf("reading %s: %w", ref, err)
	}
	m := Stored{Ref: ref.Context().Digest(desc.Digest.String()), MediaType: desc.MediaType, Data: desc.Manifest, Manifests: parts.Manifests}
	if parts.Config != nil {
		m.Blobs = append(m.Blobs, *parts.Config)
	}
	for _, layer := range parts.Layers {
		if layer.MediaType.IsDistributable() {
			m.Blobs = append(m.Blobs, layer)
		}
	}
	return m, nil
}

// Referrers lists what refers to an image, by the registry's own list or, where it keeps none, by the index under the tag that is
// made of the image's digest. That index is returned, too; nil where there is none.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers
func (c *Client) Referrers(ctx context.Context, image name.Digest) (refers []v1.Descriptor, index *Stored, err error) {
	err = c.again(func() error {
		refers, index, err = c.referrers(ctx, image)
		return err
	})
	return refers, index, err
}

func (c *Client) referrers(ctx context.Context, image name.Digest) ([]v1.Descriptor, *Stored, error) {
	list, err := remote.Referrers(image, c.options(ctx, image.Repository)...)
	if err != nil {
		return nil, nil, fmt.Errorf("reading what refers to %s: %w", image, err)
	}
	known, err := list.IndexManifest()
	if err != nil {
		return nil, nil, fmt.Errorf("reading what refers to %s: %w", image, err)
	}
	if len(known.Manifests) == 0 {
		return nil, nil, nil
	}
	index, err := c.stored(ctx, referrersTag(image))
	if IsNotFound(err) || err == nil && !index.MediaType.IsIndex() {
		return known.Manifests, nil, nil
	}
	return known.Manifests, &index, err
}

// referrersTag is where what refers to an image is listed in registries that keep no list.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
func referrersTag(image name.Digest) name.Tag {
	return image.Tag(strings.Replace(image.DigestStr(), ":", "-", 1))
}

// Companions lists the tags by which cosign finds signatures and attestations, which name their image and refer to none: sha256-….sig
// and the like.
func (c *Client) Companions(ctx context.Context, image string) (map[string][]string, error) {
	all, err := asked(c, func() ([]string, error) { return c.allTags(ctx, image) })
	tags := map[string][]string{} // by digest
	for _, tag := range all {
		if m := companion.FindStringSubmatch(tag); m != nil {
			tags["sha256:"+m[1]] = append(tags["sha256:"+m[1]], tag)
		}
	}
	return tags, err
}

var companion = regexp.MustCompile(`^sha256-([0-9a-f]{64})\.[a-z]+$`)

// Companion reads what one of those tags points to.
func (c *Client) Companion(ctx context.Context, image, tag string) (Stored, error) {
	ref, err := name.NewTag(image+":"+tag, c.nameOptions()...)
	if err != nil {
		return Stored{}, err
	}
	return asked(c, func() (Stored, error) { return c.stored(ctx, ref) })
}

// A Live is what a tag that people pull by points to in its own registry. It is the right to have another registry's tag of that
// name point there, too.
type Live struct {
	ref name.Digest
	tag string
}

// Tag is the tag's name.
func (l Live) Tag() string { return l.tag }

// Ref is the image.
func (l Live) Ref() name.Digest { return l.ref }

// Live reads what a tag of an image points to. A tag that is not there gives false and no error.
func (c *Client) Live(ctx context.Context, image, tag string) (live Live, found bool, err error) {
	ref, err := name.NewTag(image+":"+tag, c.nameOptions()...)
	if err != nil {
		return Live{}, false, err
	}
	if !IsUserTag(tag) {
		return Live{}, false, fmt.Errorf("%s is no tag that people pull by", ref)
	}
	err = c.again(func() error {
		desc, err := remote.Head(ref, c.options(ctx, ref.Repository)...)
		if found = err == nil; found {
			live = Live{ref.Repository.Digest(desc.Digest.String()), tag}
		}
		if err != nil && !IsNotFound(err) {
			return fmt.Errorf("looking at %s: %w", ref, err)
		}
		return nil
	})
	return live, found, err
}

// A Writer writes to one repository what another registry has.
type Writer struct {
	client  *Client
	repo    name.Repository
	carrier http.RoundTripper
	pusher  *remote.Pusher
}

// Writer asks for the right to write to a repository.
func (c *Client) Writer(ctx context.Context, image string) (*Writer, error) {
	repo, err := name.NewRepository(image, c.nameOptions()...)
	if err != nil {
		return nil, err
	}
	w := &Writer{client: c, repo: repo}
	if err := c.again(func() error { w.carrier, err = c.authorized(ctx, repo); return err }); err != nil {
		return nil, fmt.Errorf("logging in to %s: %w", c.Host, err)
	}
	// Many blobs are sent here, so that none waits for long before it is sent again.
	w.pusher, err = remote.NewPusher(append(c.writing(ctx, repo), remote.WithRetryBackoff(remote.Backoff{Duration: firstPause, Factor: 1.5, Jitter: 0.1, Steps: 8}))...)
	return w, err
}

// At is the digest that the repository has under a digest or a tag; empty where it has none.
func (w *Writer) At(ctx context.Context, reference string) (digest string, err error) {
	err = w.client.again(func() error {
		digest, err = w.at(ctx, reference)
		return err
	})
	return digest, err
}

func (w *Writer) at(ctx context.Context, reference string) (string, error) {
	answer, err := w.send(ctx, http.MethodHead, reference, manifest{})
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	// Some registries refuse to say of what is not there that it is not.
	if answer.StatusCode == http.StatusNotFound || answer.StatusCode == http.StatusForbidden {
		return "", nil
	}
	if err := transport.CheckError(answer, http.StatusOK); err != nil {
		return "", fmt.Errorf("looking at %s of %s: %w", reference, w.repo, err)
	}
	return answer.Header.Get("Docker-Content-Digest"), nil
}

var manifestTypes = strings.Join([]string{string(types.OCIImageIndex), string(types.DockerManifestList), string(types.OCIManifestSchema1), string(types.DockerManifestSchema2)}, ",")

// send asks for a manifest, or puts one.
func (w *Writer) send(ctx context.Context, method, reference string, m manifest) (*http.Response, error) {
	address := fmt.Sprintf("%s://%s/v2/%s/manifests/%s", w.repo.Scheme(), w.repo.RegistryStr(), w.repo.RepositoryStr(), reference)
	request, err := newRequest(ctx, method, address, m)
	if err != nil {
		return nil, err
	}
	return w.carrier.RoundTrip(request)
}

// Upload writes a blob that another registry has, unless it is there.
func (w *Writer) Upload(ctx context.Context, from *Client, source name.Repository, blob v1.Descriptor) error {
	layer, err := remote.Layer(source.Digest(blob.Digest.String()), from.options(ctx, source)...)
	if err != nil {
		return err
	}
	err = w.client.again(func() error { return w.pusher.Upload(ctx, w.repo, sized{layer, blob}) })
	if err != nil {
		return fmt.Errorf("copying %s of %s to %s: %w", blob.Digest, source, w.repo, err)
	}
	return nil
}

// A sized layer knows without a question what a manifest says of it.
type sized struct {
	v1.Layer
	desc v1.Descriptor
}

func (s sized) Size() (int64, error)                { return s.desc.Size, nil }
func (s sized) MediaType() (types.MediaType, error) { return s.desc.MediaType, nil }

// Compressed is asked for once more often than it is read.
func (s sized) Compressed() (io.ReadCloser, error) { return &late{open: s.Layer.Compressed}, nil }

// A late reader opens what it reads when somebody does.
type late struct {
	open   func() (io.ReadCloser, error)
	opened io.ReadCloser
}

func (l *late) Read(p []byte) (n int, err error) {
	if l.opened == nil {
		if l.opened, err = l.open(); err != nil {
			return 0, err
		}
	}
	return l.opened.Read(p)
}

func (l *late) Close() error {
	if l.opened == nil {
		return nil
	}
	return l.opened.Close()
}

// Put writes a manifest as it is, by its digest or under a tag that nobody pulls by, and reads back that it is there.
func (w *Writer) Put(ctx context.Context, m Stored, reference string) error {
	if reference != m.Ref.DigestStr() && IsUserTag(reference) {
		return fmt.Errorf("writing %s of %s: people pull by that tag", reference, w.repo)
	}
	return w.client.again(func() error { return w.put(ctx, m, reference) })
}

func (w *Writer) put(ctx context.Context, m Stored, reference string) error {
	answer, err := w.send(ctx, http.MethodPut, reference, manifest{m.Data, m.MediaType})
	if err != nil {
		return fmt.Errorf("writing %s of %s: %w", reference, w.repo, err)
	}
	defer answer.Body.Close()
	if err := transport.CheckError(answer, http.StatusOK, http.StatusCreated, http.StatusAccepted); err != nil {
		return fmt.Errorf("writing %s of %s: %w", reference, w.repo, err)
	}
	// By its digest it is proven while it is read.
	_, err = remote.Get(w.repo.Digest(m.Ref.DigestStr()), w.client.options(ctx, w.repo)...)
	if err != nil {
		return fmt.Errorf("reading back %s of %s: %w", m.Ref.DigestStr(), w.repo, err)
	}
	return nil
}

// List has the repository list what refers to an image: as the index that another registry has of it says, where nothing is listed
// that the index does not know.
func (w *Writer) List(ctx context.Context, image string, refers []v1.Descriptor, index *Stored) error {
	ref := w.repo.Digest(image)
	if w.client.lists(ctx, ref, refers) {
		return nil
	}
	there, err := w.client.listing(ctx, referrersTag(ref))
	if err != nil {
		return err
	}
	if index != nil && !holdsAll(there.Manifests, refers) && holdsAll(refers, there.Manifests) {
		if err := w.Put(ctx, *index, referrersTag(ref).TagStr()); err != nil {
			return err
		}
	}
	return w.client.again(func() error { return w.client.list(ctx, ref, refers) }) // which reads it back
}

// Follow points a tag where its namesake points in another registry, once the image is there, and reads it back. The errors are
// those of Client.Tag.
func (w *Writer) Follow(ctx context.Context, live Live, from string) error {
	if live == (Live{}) {
		return errors.New("following a tag that nobody has looked at")
	}
	return w.client.again(func() error { return w.client.point(ctx, w.repo.Digest(live.ref.DigestStr()), live.tag, from) })
}
