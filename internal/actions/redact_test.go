package actions

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRedacted(t *testing.T) {
	t.Parallel()
	type inner struct {
		Words []string
		When  time.Time
	}
	type outer struct {
		Name   string
		Parts  []inner
		Labels map[string]string
		Counts map[string]int
		None   []string
		N      int
		Before *inner
		Never  *inner
	}
	now := time.Unix(0, 0)
	before := outer{"a secret", []inner{{[]string{"secret", "x"}, now}}, map[string]string{"secret": "the secret"}, map[string]int{"a": 1}, nil, 7, &inner{[]string{"secret"}, now}, nil}
	got := Redacted(before, func(text string) string { return strings.ReplaceAll(text, "secret", "***") })
	want := outer{"a ***", []inner{{[]string{"***", "x"}, now}}, map[string]string{"***": "the ***"}, map[string]int{"a": 1}, nil, 7, &inner{[]string{"***"}, now}, nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Redacted() (-want +got):\n%s", diff)
	}
	if before.Name != "a secret" || before.Parts[0].Words[0] != "secret" || before.Labels["secret"] != "the secret" || before.Before.Words[0] != "secret" {
		t.Errorf("the value itself was changed: %+v", before)
	}
}
