package verdict

import (
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/org/ghcr-publish/internal/service"
)

func (v *Verdict) judgeSize(p Platform, gate service.SizeGate) {
	if gate.Max > 0 && p.Compressed > gate.Max {
		v.refuse("%s is %s, more than %s", p.Platform, units.HumanSize(float64(p.Compressed)), units.HumanSize(float64(gate.Max)))
	}
	if gate.Growth > 0 && p.Published > 0 && float64(p.Compressed) > float64(p.Published)*(1+gate.Growth) {
		v.refuse("%s grew from %s to %s, more than %.0f%%", p.Platform,
			units.HumanSize(float64(p.Published)), units.HumanSize(float64(p.Compressed)), gate.Growth*100)
	}
}

func (v *Verdict) judgeUser(p Platform, gates service.Gates) {
	user, _, _ := strings.Cut(p.User, ":")
	id, err := strconv.Atoi(user) // as the engine reads it: 00 is root too
	if gates.NonRoot && (user == "" || user == "root" || err == nil && id == 0) {
		v.refuse("%s runs as root; add a USER to the Dockerfile", p.Platform)
	}
}
