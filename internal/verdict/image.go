package verdict

import (
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/org/ghcr-publish/internal/service"
)

// smaller is what to do about an image that is too large.
const smaller = "`docker history` shows which instruction brings it in; leave that out, copy only what is needed into a last stage, or raise the limit in gates.size."

func (v *Verdict) judgeSize(p Platform, gate service.SizeGate) {
	if gate.Max > 0 && p.Compressed > gate.Max {
		v.refuse("%s is %s, more than %s", p.Platform, units.HumanSize(float64(p.Compressed)), units.HumanSize(float64(gate.Max)))
		v.advise(smaller)
	}
	if gate.Growth > 0 && p.Published > 0 && float64(p.Compressed) > float64(p.Published)*(1+gate.Growth) {
		v.refuse("%s grew from %s to %s, more than %.0f%%", p.Platform,
			units.HumanSize(float64(p.Published)), units.HumanSize(float64(p.Compressed)), gate.Growth*100)
		v.advise(smaller)
	}
}

// judgeUnpacked judges what the image takes on disk where it was tried out. Where it was not, that is another gate's affair.
func (v *Verdict) judgeUnpacked(p Probe, gate service.SizeGate) {
	if gate.Unpacked > 0 && p.Unpacked > gate.Unpacked {
		v.refuse("%s takes %s on disk, more than %s; `docker history` shows which instruction brings it in", p.Platform,
			units.HumanSize(float64(p.Unpacked)), units.HumanSize(float64(gate.Unpacked)))
	}
}

func (v *Verdict) judgeUser(p Platform, gates service.Gates) {
	if gates.NonRoot && IsRoot(p.User) {
		v.refuse("%s runs as root; add a USER to the Dockerfile", p.Platform)
	}
}

// IsRoot reports whether an image's USER is root.
func IsRoot(user string) bool {
	user, _, _ = strings.Cut(user, ":")
	id, err := strconv.Atoi(user) // as the engine reads it: 00 is root too
	return user == "" || user == "root" || err == nil && id == 0
}
