package actions

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMaskProof(t *testing.T) {
	t.Parallel()
	rows := map[string]any{"include": []any{map[string]any{"name": "backend", "image": "ghcr.io/octo/prompt-card-backend", "port": 3001.0, "more": []any{0.0, 7.0, 10.0, 65535.0, -12.0, 2.55, 1e30, 123456.0, true}, "odd": "é\"\\\n<ü7>"}}}
	got, err := MaskProof(rows, false)
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal([]byte(got), &back); err != nil || cmp.Diff(rows, back) != "" {
		t.Errorf("%s reads as %v, %v", got, back, err)
	}
	for _, secret := range []string{"backend", "octo", "back", "en", "prompt-card", "ghcr.io", "3001", "65535"} {
		if strings.Contains(got, secret) {
			t.Errorf("a runner that masks %q would drop %s", secret, got)
		}
	}
	if !strings.HasPrefix(got, `{"include":[{"image":`) {
		t.Errorf("keys are changed: %s", got)
	}
	if keyed, err := MaskProof(map[string]string{"backend": "sha256:ab"}, true); err != nil || strings.Contains(keyed, "backend") {
		t.Errorf("a key is as it was: %s, %v", keyed, err)
	}
	if empty, err := MaskProof(map[string][]int{"include": {}}, false); err != nil || empty != `{"include":[]}` {
		t.Errorf("nothing is %s, %v", empty, err)
	}
}

func FuzzMaskProof(f *testing.F) {
	f.Add("backend", "a\"b")
	f.Add("\\u0041", "\u2028<&>\x00\xff")
	f.Fuzz(func(t *testing.T, key, value string) {
		in := map[string]string{strings.ToValidUTF8(key, "?"): strings.ToValidUTF8(value, "?")}
		out, err := MaskProof(in, true)
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]string
		if err := json.Unmarshal([]byte(out), &back); err != nil || cmp.Diff(in, back) != "" {
			t.Errorf("%q reads as %q, %v", out, back, err)
		}
		// What is left between two escapes is one letter, so no word of somebody's can be found.
		if word := regexp.MustCompile(`[A-Za-z0-9]{7}`).FindString(out); word != "" {
			t.Errorf("%q holds %q", out, word)
		}
	})
}
