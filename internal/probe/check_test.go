package probe

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/service"
)

func TestOften(t *testing.T) {
	t.Parallel()
	test := []string{"CMD", "true"}
	for name, c := range map[string]struct{ check, want *service.Healthcheck }{
		"none":               {nil, nil},
		"as it usually is":   {&service.Healthcheck{Test: test}, &service.Healthcheck{Test: test, Interval: time.Second, Retries: 90}},
		"slow":               {&service.Healthcheck{Test: test, Interval: 2500 * time.Millisecond, Retries: 1, StartPeriod: time.Minute}, &service.Healthcheck{Test: test, Interval: time.Second, Retries: 3, StartPeriod: time.Minute}},
		"often as it is":     {&service.Healthcheck{Test: test, Interval: time.Second}, &service.Healthcheck{Test: test, Interval: time.Second}},
		"that is taken away": {&service.Healthcheck{Test: []string{"NONE"}}, &service.Healthcheck{Test: []string{"NONE"}}},
	} {
		if diff := cmp.Diff(c.want, often(c.check)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestAsked(t *testing.T) {
	t.Parallel()
	own := &service.Healthcheck{Test: []string{"CMD", "own"}, Interval: time.Minute, Retries: 2}
	for name, c := range map[string]struct{ given, own, want *service.Healthcheck }{
		"none":             {nil, nil, nil},
		"the image's":      {nil, own, own},
		"taken away":       {&service.Healthcheck{Test: []string{"NONE"}}, own, &service.Healthcheck{Test: []string{"NONE"}}},
		"another":          {&service.Healthcheck{Test: []string{"CMD", "a"}}, nil, &service.Healthcheck{Test: []string{"CMD", "a"}}},
		"another interval": {&service.Healthcheck{Interval: time.Second}, own, &service.Healthcheck{Test: own.Test, Interval: time.Second, Retries: 2}},
		"of nothing":       {&service.Healthcheck{Interval: time.Second}, nil, nil},
	} {
		if diff := cmp.Diff(c.want, asked(c.given, c.own)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}
