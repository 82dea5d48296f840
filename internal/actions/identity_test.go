package actions

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAskIdentity(t *testing.T) {
	t.Parallel()
	token := "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"repository_visibility":"public","sub":"x"}`)) + ".c2ln"
	for name, c := range map[string]struct {
		status       int
		answer, want string // part of the error; empty for none
	}{
		"granted":        {200, `{"value":"` + token + `"}`, ""},
		"refused":        {403, `{"message":"no"}`, "no"},
		"no JSON":        {200, `<html>`, "JSON"},
		"no token":       {200, `{"value":"a.b"}`, "no token"},
		"no claims":      {200, `{"value":"a.!.c"}`, "reading"},
		"no such claims": {200, `{"value":"a.W10.c"}`, "reading"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer request" || r.URL.RawQuery != "a=b&audience=sigstore" {
					t.Errorf("asked with %q and %q", r.URL.RawQuery, r.Header.Get("Authorization"))
				}
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.answer))
			}))
			defer server.Close()
			env := map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": server.URL + "?a=b", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request"}
			got, err := AskIdentity(t.Context(), func(name string) string { return env[name] }, server.Client(), "sigstore")
			if c.want == "" {
				if err != nil || got.Token != token || !got.Public() {
					t.Errorf("identity %+v, %v", got, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "request") {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}

func TestAskIdentityWithoutPermission(t *testing.T) {
	t.Parallel()
	for _, env := range []map[string]string{{}, {"ACTIONS_ID_TOKEN_REQUEST_URL": "http://127.0.0.1:1"}, {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request"}} {
		if _, err := AskIdentity(t.Context(), func(name string) string { return env[name] }, http.DefaultClient, "sigstore"); err == nil || !strings.Contains(err.Error(), "id-token: write") {
			t.Errorf("with %v: %v", env, err)
		}
	}
}
