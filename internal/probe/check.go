package probe

import (
	"cmp"
	"time"

	"github.com/org/ghcr-publish/internal/service"
)

// What a HEALTHCHECK is where it does not say otherwise.
// https://docs.docker.com/reference/dockerfile/#healthcheck
const usualInterval, usualRetries = 30 * time.Second, 3

// checkEvery is how often a HEALTHCHECK runs in a trial at least.
const checkEvery = time.Second

// often is a HEALTHCHECK that runs each second. By its own interval, which is half a minute unless it says otherwise, an image would be found healthy long
// after it is, or not within the time that it has. It may fail for as long as before. Nil where there is none, or where it runs as often by itself.
func often(check *service.Healthcheck) *service.Healthcheck {
	if check == nil {
		return nil
	}
	interval, retries := cmp.Or(check.Interval, usualInterval), cmp.Or(check.Retries, usualRetries)
	if interval <= checkEvery || check.Test[0] == "NONE" {
		return check
	}
	faster := *check
	faster.Interval = checkEvery
	faster.Retries = int((interval*time.Duration(retries) + checkEvery - 1) / checkEvery)
	return &faster
}

// asked is the HEALTHCHECK of a container: what it is given, and the image's own for what that leaves out; nil where there is none.
func asked(given, own *service.Healthcheck) *service.Healthcheck {
	switch {
	case given == nil || own == nil && len(given.Test) == 0:
		return own
	case own == nil || len(given.Test) > 0 && given.Test[0] == "NONE":
		return given
	}
	merged := *given
	if len(merged.Test) == 0 {
		merged.Test = own.Test
	}
	merged.Interval, merged.Timeout = cmp.Or(merged.Interval, own.Interval), cmp.Or(merged.Timeout, own.Timeout)
	merged.StartPeriod, merged.Retries = cmp.Or(merged.StartPeriod, own.StartPeriod), cmp.Or(merged.Retries, own.Retries)
	return &merged
}
