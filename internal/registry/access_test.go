package registry

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestWritableLeavesNothing(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.Method+" "+r.URL.Path[:min(len(r.URL.Path), len("/v2/octo/api/blobs/uploads/"))])
		mu.Unlock()
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	c := &Client{Host: host, Username: "me", Password: "secret"}
	if err := c.Writable(t.Context(), host+"/octo/api"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"GET /v2/", "POST /v2/octo/api/blobs/uploads/", "DELETE /v2/octo/api/blobs/uploads/"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	if tags, err := c.Tags(t.Context(), host+"/octo/api"); err != nil || len(tags) > 0 {
		t.Errorf("there is %q (%v)", tags, err)
	}
	if err := (&Client{Host: host}).Writable(t.Context(), host+"/octo/api"); err == nil {
		t.Error("without a login it can be pushed")
	}
}

func TestWritableTellsTheRegistrysWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
		want   string
	}{
		{http.StatusForbidden, `{"errors":[{"code":"DENIED","message":"permission_denied: write_package"}]}`, "DENIED: permission_denied: write_package"},
		{http.StatusForbidden, `<!DOCTYPE html><html>blocked</html>`, "<!DOCTYPE html>"},
		{http.StatusNotFound, `{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}`, "NAME_UNKNOWN"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			}
		}))
		host := strings.TrimPrefix(server.URL, "http://")
		err := (&Client{Host: host, Username: "me", Password: "secret"}).Writable(t.Context(), host+"/octo/api")
		server.Close()
		if err == nil || !strings.Contains(err.Error(), c.want) || Advice(err.Error()) == "" {
			t.Errorf("%d %s: %v", c.status, c.body, err)
		}
	}
	if err := (&Client{Host: "127.0.0.1:1"}).Writable(t.Context(), "127.0.0.1:1/octo/api"); err == nil {
		t.Error("a registry that is not there takes images")
	}
}

// TestWritableGoesNowhereElse has a registry name another place for the upload: the login must not go there.
func TestWritableGoesNowhereElse(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s", r.Method, r.URL) }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Location", elsewhere.URL+"/upload")
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	if err := (&Client{Host: host, Username: "me", Password: "secret"}).Writable(t.Context(), host+"/octo/api"); err != nil {
		t.Error(err)
	}
}

func TestIsPublic(t *testing.T) {
	t.Parallel()
	private := false
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); private && password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	tag, err := name.NewTag(host + "/octo/api:main")
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(10, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		t.Fatal(err)
	}
	c := &Client{Host: host, Username: "me", Password: "secret"}
	for _, private = range []bool{false, true} {
		if public, err := c.IsPublic(t.Context(), host+"/octo/api", "main"); public == private || err != nil {
			t.Errorf("private is %v, and it is public: %v, %v", private, public, err)
		}
	}
	if public, err := c.IsPublic(t.Context(), "127.0.0.1:1/octo/api", "main"); public || err == nil {
		t.Errorf("of a registry that is not there: %v, %v", public, err)
	}
	if c.Holds("docker.io/octo/api") || !c.Holds(host+"/octo/api") {
		t.Error("the login is for another registry")
	}
}
