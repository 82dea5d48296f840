package enginetest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/api/types/registry"
)

// A storedImage was pulled.
type storedImage struct {
	reference         string
	os, arch, variant string
}

// pull stores an image as if a registry had sent it.
func (s *Server) pull(w http.ResponseWriter, r *http.Request) {
	reference, err := pullReference(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.mu.Lock()
	missing := s.behaviour(reference).Missing
	if !missing {
		s.pulled = append(s.pulled, reference)
		s.images[reference] = newImage(reference, r.URL.Query().Get("platform"))
	}
	s.mu.Unlock()
	if missing {
		s.fail(w, r, &apiError{http.StatusNotFound, "manifest for " + reference + " not found: manifest unknown: manifest unknown"})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	progress := json.NewEncoder(w)
	for _, status := range []string{"Pulling from " + repository(reference), "Status: Downloaded newer image for " + reference} {
		_ = progress.Encode(jsonstream.Message{Status: status})
	}
}

func pullReference(r *http.Request) (string, error) {
	name, tag := r.URL.Query().Get("fromImage"), r.URL.Query().Get("tag")
	if login := r.Header.Get(registry.AuthHeader); login != "" {
		if _, err := authconfig.Decode(login); err != nil {
			return "", malform("reading %s: %v", registry.AuthHeader, err)
		}
	}
	switch {
	case name == "" || tag == "":
		return "", malform("an image's name and its tag or digest are required")
	case !strings.Contains(tag, ":"):
		return familiar(name) + ":" + tag, nil
	case !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(tag):
		return "", malform("invalid digest %q", tag)
	}
	return familiar(name) + "@" + tag, nil
}

func newImage(reference, platform string) storedImage {
	if platform == "" {
		platform = "linux/" + runtime.GOARCH
	}
	parts := append(strings.Split(platform, "/"), "", "")
	return storedImage{reference, parts[0], parts[1], parts[2]}
}

func (s *Server) inspectImage(r *http.Request) (answer, error) {
	name, ok := strings.CutSuffix(r.PathValue("path"), "/json")
	if !ok {
		return answer{}, malform("page not found")
	}
	i, err := s.image(name)
	if err != nil {
		return answer{}, err
	}
	// The engine's type names a package of its own for the configuration; this one has the same JSON.
	type config struct{ Healthcheck *container.HealthConfig }
	return answer{http.StatusOK, struct {
		image.InspectResponse
		Config config
	}{i.response(s.behaviour(i.reference)), config{s.behaviour(i.reference).healthCheck()}}}, nil
}

// removeImage takes an image out of the store, unless a container was made of it.
func (s *Server) removeImage(r *http.Request) (answer, error) {
	i, err := s.image(r.PathValue("path"))
	if err != nil {
		return answer{}, err
	}
	for _, c := range s.containers {
		if used, err := s.image(c.config.Image); err == nil && used.id() == i.id() {
			return answer{}, &apiError{http.StatusConflict, "conflict: unable to remove repository reference: container " + c.id + " is using its referenced image"}
		}
	}
	delete(s.images, i.reference)
	return answer{http.StatusOK, []image.DeleteResponse{{Untagged: i.reference}, {Deleted: i.id()}}}, nil
}

func (i storedImage) response(b Behaviour) image.InspectResponse {
	got := image.InspectResponse{
		ID: i.id(), RepoTags: []string{}, RepoDigests: []string{}, Created: time.Unix(0, 0).UTC().Format(time.RFC3339Nano),
		Os: i.os, Architecture: i.arch, Variant: i.variant, Size: orDefault(b.Size, 10<<20),
		RootFS: image.RootFS{Type: "layers", Layers: []string{"sha256:" + hexDigest("layer of "+i.reference)}},
	}
	if strings.Contains(i.reference, "@") {
		got.RepoDigests = append(got.RepoDigests, i.reference)
	} else {
		got.RepoTags = append(got.RepoTags, i.reference)
	}
	return got
}

func (i storedImage) id() string { return "sha256:" + hexDigest(i.reference) }

// image finds a stored image by its reference or id.
func (s *Server) image(name string) (storedImage, error) {
	if i, ok := s.images[qualified(name)]; ok {
		return i, nil
	}
	for _, i := range s.images {
		if i.id() == name {
			return i, nil
		}
	}
	return storedImage{}, notFound("image", name)
}

// behaviour is what Behave chose for an image's repository, with or without the registry's host.
func (s *Server) behaviour(reference string) Behaviour {
	name := repository(reference)
	_, pinned, _ := strings.Cut(reference, "/")
	for _, key := range []string{pinned, name} {
		if b, ok := s.behaviours[key]; ok {
			return b
		}
	}
	_, path, _ := strings.Cut(name, "/")
	return s.behaviours[path]
}

// familiar takes off what a client puts before the name of an image of the default registry.
func familiar(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, "docker.io/"), "library/")
}

// qualified is the form under which images are stored.
func qualified(reference string) string {
	reference = familiar(reference)
	if reference == repository(reference) {
		return reference + ":latest"
	}
	return reference
}

// repository takes the tag and the digest off a reference.
func repository(reference string) string {
	name, _, _ := strings.Cut(reference, "@")
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		name = name[:colon]
	}
	return name
}

// healthCheck is what the image's HEALTHCHECK says, nil without one.
func (b Behaviour) healthCheck() *container.HealthConfig {
	if !b.HealthCheck {
		return nil
	}
	return &container.HealthConfig{Test: []string{"CMD", "healthcheck"}, Interval: orDefault(b.HealthInterval, time.Second), Timeout: time.Second, Retries: 1}
}

func orDefault[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
