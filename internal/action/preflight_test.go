package action

import (
	"testing"
	"time"
)

func TestPreflightNotices(t *testing.T) {
	t.Parallel()
	for free, want := range map[int64]string{
		leastFree: "", 1 << 40: "",
		250_000_000: "Only 250MB are free in /tmp/x: if a build or a scan fails, that is likely why; free some, such as by `docker builder prune`.",
	} {
		if got := diskNotice(free, "/tmp/x"); got != want {
			t.Errorf("of %d bytes it says %q", free, got)
		}
	}
	for ahead, want := range map[time.Duration]string{
		0: "", 4 * time.Minute: "", -5 * time.Minute: "",
		7*time.Minute + 400*time.Millisecond: "This machine's clock is 7m0s ahead of that of ghcr.io: tokens and certificates may be refused, and exceptions end at another time; set it by NTP.",
		-48 * time.Hour:                      "This machine's clock is 48h0m0s behind that of ghcr.io: tokens and certificates may be refused, and exceptions end at another time; set it by NTP.",
	} {
		if got := clockNotice(ahead, "ghcr.io"); got != want {
			t.Errorf("%s ahead it says %q", ahead, got)
		}
	}
}
