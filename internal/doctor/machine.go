package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/docker/go-units"
	"github.com/org/ghcr-publish/internal/service"
)

const (
	// leastFree is how many bytes a build and a scan want at least: a vulnerability database alone has some hundred million.
	leastFree = 1_000_000_000
	// mostAstray is how far clocks may differ before tokens and certificates are refused that are good for minutes.
	mostAstray = 5 * time.Minute
)

// disk tells places that are nearly full.
func disk(f Facts) []Finding {
	var found []Finding
	for _, d := range f.Disks {
		free := units.HumanSize(float64(d.Free))
		if d.Free < leastFree {
			found = append(found, one(Problem, d.At, fmt.Sprintf("Only %s are free in %s: if a build or a scan fails, that is likely why", free, d.At), "free some, such as by `docker builder prune`")...)
			continue
		}
		found = append(found, fine(free+" are free in "+d.At)...)
	}
	return found
}

// clock compares this machine's with the registry's.
func clock(f Facts) []Finding {
	switch {
	case !f.Clock.Asked || f.away():
		return nil
	case f.Clock.Err != nil:
		return one(Unknown, f.Config.Registry, fmt.Sprintf("the registry does not say what time it is: %v", f.Clock.Err), "date --utc, and compare it with another clock")
	case f.Ahead.Abs() <= mostAstray:
		return fine("it is that of " + f.Config.Registry)
	}
	where := "ahead of"
	if f.Ahead < 0 {
		where = "behind"
	}
	return one(Problem, "this machine", fmt.Sprintf("This machine's clock is %s %s that of %s: tokens and certificates may be refused, and exceptions end at another time", f.Ahead.Abs().Round(time.Second), where, f.Config.Registry), "set it by NTP: timedatectl set-ntp true")
}

// database says whether what images are scanned by can be had.
func database(f Facts) []Finding {
	if len(f.Sources) == 0 {
		return nil
	}
	state, why := Problem, []string{"it cannot be fetched"}
	if f.Config.Gates.Vulnerabilities.OnUnavailable == service.OnUnavailableWarn {
		state = Advice
	}
	for _, s := range f.Sources {
		if s.Err == nil {
			return fine("it can be fetched from " + s.Name)
		}
		why = append(why, s.Err.Error())
	}
	return one(state, "setting trivy_db", strings.Join(why, "; "), "trivy_db: [mirror.gcr.io/aquasec/trivy-db:2, ghcr.io/aquasecurity/trivy-db:2]     # or a mirror that this machine reaches")
}

// engine says whether images can be tried out, and builders be made, where this runs.
func engine(f Facts) []Finding {
	remote := len(f.Config.Builders) > 0 && !slices.ContainsFunc(f.Config.Builders, func(b service.Builder) bool { return b.Driver == "docker-container" && b.Endpoint == "" })
	forgiven := f.Config.Gates.Startup.OnUnavailable == service.OnUnavailableWarn
	const without = "builders: [{driver: kubernetes}]\ngates: {startup: {on_unavailable: warn}}"
	switch {
	case f.Engine == nil:
		return fine("a Docker Engine is within reach")
	case remote && forgiven:
		return one(Advice, "this machine", "images are built elsewhere and not tried out: "+f.Engine.Error(), "run on a runner that has a Docker Engine to try them out")
	case f.Kubernetes:
		return one(Problem, "this machine", "a runner on Kubernetes gives containers no Docker socket: "+f.Engine.Error(), "containerMode: {type: dind}     # in the values of the runner scale set\nor, where others build and nothing is tried out,\n"+without)
	default:
		return one(Problem, "this machine", f.Engine.Error(), "mount /var/run/docker.sock, set DOCKER_HOST, or take `runs-on: ubuntu-latest`; where others build and nothing is tried out,\n"+without)
	}
}

// builder says whether the one that builds is up.
func builder(f Facts) []Finding {
	b := f.Builder
	switch {
	case !b.Asked, b.Err != nil && f.lacks("buildx"):
		return nil // where buildx is missing, that is what is to be told
	case b.Err != nil && len(f.Config.Builders) > 0:
		return one(Problem, "setting builders", b.Err.Error(), "start it, or take it out of `builders`")
	case b.Err != nil:
		return one(Problem, "setting builder", b.Err.Error(), "see that buildx and the engine work: `docker buildx create --name try && docker buildx inspect --bootstrap try`")
	case f.Config.Builder != "" && !b.Adopted && b.New:
		return one(Advice, "setting builder", fmt.Sprintf("there was no builder %s: one of that name was made, and has none of another's layers", b.Name),
			fmt.Sprintf("docker buildx create --name %s --driver docker-container --bootstrap\nbefore this step, or take `builder` out", b.Name))
	default:
		return fine(b.Name + " is up")
	}
}

// emulated are the architectures of Linux that binfmt's image has emulators for.
// https://github.com/tonistiigi/binfmt#readme
var emulated = [...]string{"386", "amd64", "arm", "arm64", "loong64", "mips64", "mips64le", "ppc64le", "riscv64", "s390x"}

// platforms compares what is to be built for with what the builder builds for.
func platforms(f Facts) []Finding {
	if !f.Builder.Asked || f.Builder.Err != nil {
		return nil
	}
	missing := slices.DeleteFunc(slices.Clone(f.Wanted), func(p string) bool { return slices.Contains(f.Builder.Platforms, p) })
	list, have := strings.Join(missing, ", "), "platforms: ["+strings.Join(f.Builder.Platforms, ", ")+"]"
	switch never := slices.DeleteFunc(slices.Clone(missing), emulable); {
	case len(missing) == 0:
		return fine("the builder builds for all of them by itself")
	case len(f.Config.Builders) > 0:
		return one(Problem, "setting builders", fmt.Sprintf("none of the builders builds for %s", list), fmt.Sprintf("builders:\n  - {driver: remote, endpoint: tcp://HOST:1234, platforms: [%s]}\nor\n%s", list, have))
	case len(never) > 0:
		return one(Problem, "setting platforms", fmt.Sprintf("the builder does not build for %s, and no emulator does", strings.Join(never, ", ")), have)
	case f.Config.Emulation == "off":
		return one(Problem, "setting emulation", fmt.Sprintf("the builder does not build for %s, and emulation is off", list), "emulation: auto\nor a runner for each platform:\nsplit: platform")
	case f.Engine != nil:
		return one(Problem, "setting platforms", fmt.Sprintf("the builder does not build for %s, and no emulator can be registered without a Docker Engine", list), have)
	default:
		return fine(fmt.Sprintf("%s by emulation, which %s registers", list, f.Config.BinfmtImage))
	}
}

func emulable(platform string) bool {
	system, rest, _ := strings.Cut(platform, "/")
	architecture, _, _ := strings.Cut(rest, "/")
	return system == "linux" && slices.Contains(emulated[:], architecture)
}

// A demand is what a program's version must be.
type demand struct{ program, versions, why, fix string }

// demands tell versions by what this program asks of them.
var demands = [...]demand{
	{"git", ">= 2.31", "it does not take its configuration from the environment", "install git 2.31 or later"},
	{"buildx", ">= 0.14", "it does not know the option --buildkitd-config", "install a later one: https://github.com/docker/buildx/releases"},
	{"trivy", "< 0.69.4 || > 0.69.6", "releases 0.69.4 to 0.69.6 were malicious", "replace it at once by 0.69.3, and the secrets that its jobs had (CVE-2026-33634)"},
}

// programs compares versions with what is demanded of them.
func programs(f Facts) []Finding {
	var found []Finding
	for _, p := range f.Programs {
		if p.Err != nil {
			fix := "use the action's own image, which brings it, or install it on the PATH"
			if p.Name == "buildx" {
				fix = "use the action's own image, which brings it, or install it: https://docs.docker.com/build/install-buildx"
			}
			found = append(found, one(Problem, p.Name, fmt.Sprintf("it does not run: %v", p.Err), fix)...)
			continue
		}
		found = append(found, p.judge()...)
	}
	return found
}

// lacks reports whether a program does not run.
func (f Facts) lacks(program string) bool {
	return slices.ContainsFunc(f.Programs, func(p Program) bool { return p.Name == program && p.Err != nil })
}

func (p Program) judge() []Finding {
	version, err := semver.NewVersion(p.Version)
	if err != nil {
		return one(Unknown, p.Name, fmt.Sprintf("its version %q cannot be read", p.Version), p.Name+" version")
	}
	for _, d := range demands {
		allowed, err := semver.NewConstraint(d.versions)
		if d.program == p.Name && err == nil && !allowed.Check(version) {
			return one(Problem, p.Name, fmt.Sprintf("version %s: %s", p.Version, d.why), d.fix)
		}
	}
	return fine(p.Name + " " + p.Version)
}
