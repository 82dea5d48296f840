package github

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestOpenIssueOnce opens no second issue where nobody knows whether the first is open.
func TestOpenIssueOnce(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(server.Close)
	client, err := New(server.URL, "octo/cards", "ghs_token")
	if err != nil {
		t.Fatal(err)
	}
	if err := client.OpenIssue(t.Context(), "title", "body"); err == nil || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}
