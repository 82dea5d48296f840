package githubtest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestAnswersAreHeldToTheDescription gives answers that GitHub would not.
func TestAnswersAreHeldToTheDescription(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer any
		status int
		want   int
	}{
		"as described":      {map[string]any{"processing_status": "complete", "analyses_url": "https://x/y", "errors": nil}, 200, 200},
		"another status":    {map[string]any{"processing_status": "done"}, 200, 500},
		"errors of a kind":  {map[string]any{"processing_status": "failed", "errors": "none"}, 200, 500},
		"not of this route": {map[string]any{}, 201, 500},
		"a refusal":         {map[string]any{"message": "no"}, 404, 404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &Server{URL: "http://127.0.0.1:1" + base}
			held := s.hold(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, c.status, c.answer) }))
			w := httptest.NewRecorder()
			held.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/repos/o/r/code-scanning/sarifs/1", nil))
			if w.Code != c.want || (len(s.Problems()) > 0) != (c.want == 500) || c.want == 500 && !strings.Contains(w.Body.String(), "own answer") {
				t.Errorf("%d %s, problems %q", w.Code, w.Body, s.Problems())
			}
		})
	}
}
