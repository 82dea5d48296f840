package github

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A witness records what reaches a server, and answers as it is told.
type witness struct {
	mu     sync.Mutex
	seen   []*http.Request
	answer http.HandlerFunc
}

func (s *witness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.seen = append(s.seen, r)
	s.mu.Unlock()
	s.answer(w, r)
}

func serve(t *testing.T, answer http.HandlerFunc) (*witness, string) {
	t.Helper()
	s := &witness{answer: answer}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

func accept(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write([]byte(`{"id":"1","url":"x"}`))
}

// bearing counts the places of a request that hold the token.
func bearing(r *http.Request) (places []string) {
	for key, values := range r.Header {
		if strings.Contains(strings.Join(values, " "), token) {
			places = append(places, key)
		}
	}
	if strings.Contains(r.URL.String(), token) {
		places = append(places, "address")
	}
	return places
}

func upload(t *testing.T, apiURL string) error {
	t.Helper()
	client, err := New(apiURL, "octo/cards", token)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.UploadSARIF(t.Context(), sha, "refs/heads/main", []byte(sarif))
	return err
}

func TestTokenIsInOneHeader(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"", "/", "/api/v3", "/api/v3/"} {
		s, address := serve(t, accept)
		if err := upload(t, address+suffix); err != nil {
			t.Fatal(err)
		}
		r := s.seen[0]
		if got := bearing(r); len(got) != 1 || r.Header.Get("Authorization") != "Bearer "+token {
			t.Errorf("the token is in %q, want it in Authorization alone", got)
		}
		if want := strings.TrimSuffix(suffix, "/") + "/repos/octo/cards/code-scanning/sarifs"; r.URL.Path != want {
			t.Errorf("API at %q: asked for %s, want %s", suffix, r.URL.Path, want)
		}
	}
}

func TestTokenDoesNotFollowARedirect(t *testing.T) {
	t.Parallel()
	other, elsewhere := serve(t, accept)
	// Another name of the loopback, as ports alone make no other host to a client.
	elsewhere = strings.Replace(elsewhere, "127.0.0.1", "localhost", 1)
	_, address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere+r.URL.Path, http.StatusTemporaryRedirect)
	})
	_ = upload(t, address)
	for _, r := range other.seen {
		if got := bearing(r); got != nil {
			t.Errorf("another host got the token in %q", got)
		}
	}
	if len(other.seen) == 0 {
		t.Error("the redirect was not followed, so nothing was tried")
	}
}

func TestRefusalsAreNotRepeated(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 404, 413, 422} {
		s, address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"message":"no such commit"}`))
		})
		err := upload(t, address)
		unavailable := status == 403 || status == 404
		if err == nil || errors.Is(err, ErrUnavailable) != unavailable || !strings.Contains(err.Error(), "no such commit") || strings.Contains(err.Error(), token) {
			t.Errorf("%d gives %v", status, err)
		}
		if len(s.seen) != 1 {
			t.Errorf("%d was asked for %d times", status, len(s.seen))
		}
	}
}
