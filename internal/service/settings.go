package service

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	platform "github.com/containerd/platforms"
	"github.com/google/go-containerregistry/pkg/name"
)

// Settings are the run's own switches. Each is an input of the action, a flag and a key of the
// configuration file under one name; Table lists them.
type Settings struct {
	Mode          string
	ConfigFile    string
	Registry      string
	PlainHTTP     bool
	Owner         string
	Username      string
	Token         string
	RegistryToken string
	Platforms     []string
	Only          []string
	Skip          []string
	Force         bool
	Tag           string
	BuildArgs     map[string]string
	Base          string
	RefreshBase   string
	ReuseFrom     string
	Push          string
	Promote       string
	ForceMove     bool
	PromoteFrom   []string // what is promoted: a tag or a digest, or one for each service as NAME=VALUE
	To            string   // tag that is promoted to
	Rollback      bool
	AcceptRefused bool
	Environment   string
	Status        bool
	Weight        int
	SSHKey        string
	SSHKnownHosts string
	MaxParallel   int
	FailFast      bool
	Row           string
	Split         string
	Runners       map[string]string // by platform
	Handover      string
	PlanRef       string
	Fragments     string
	Artifact      string
	Builder       string
	BuilderConfig string
	Emulation     string
	BinfmtImage   string
	Cache         string
	CacheDir      string
	Provenance    string
	SBOM          string
	Sign          string
	SignKey       string
	SignPassword  string
	SigningConfig string
	TrustedRoot   string
	Attest        string
	AttestSBOM    []string
	TrivyDB       []string
	CodeScanning  string
	Release       string
	ReleaseTag    string
	ReleaseAssets []string // patterns of files of the workspace
	RescanIssues  bool
	Comment       bool
	Memory        string
	MemoryHome    string // repository that a memory lives in besides; empty for none
	PlanFile      string
	Report        string
	ComposeFile   string
	Dashboard     string // folder
	DashboardOf   string // repository or all
	DryRun        bool
	Confirm       bool
	Restore       []int64 // versions of packages, by their ids
	InUse         string
	JSON          bool
	Quiet         bool
	// SecretEnv names the environment variables that secrets were taken from.
	SecretEnv []string
}

// OwnMemory is where the memory is, relative to the workspace, unless a setting says otherwise.
const OwnMemory = ".swarm/memory.db"

// A Setting is one row of Table: the name shared by input, flag and key, and how its text is read.
type Setting struct {
	Name    string // with dashes; the configuration key has underscores instead
	Default string // text read when nothing else is given; {{…}} is filled in by the caller
	Help    string
	// Secret settings are never taken from an argument or the configuration file as they stand:
	// there they name where the value is, as env:NAME or file:PATH.
	Secret bool
	// FlagOnly settings make no sense in the configuration file.
	FlagOnly bool
	Bool     bool
	Number   bool
	List     bool
	Allowed  []string // the values there are; any where it is empty
	Modes    []string // that heed it; every one where it is empty
	set      func(*Settings, string) error
}

// Key is the setting's name in the configuration file.
func (s Setting) Key() string { return strings.ReplaceAll(s.Name, "-", "_") }

// Heeds reports whether a mode heeds the setting.
func (s Setting) Heeds(mode string) bool { return len(s.Modes) == 0 || slices.Contains(s.Modes, mode) }

// Table lists every setting. The README is checked against it.
func Table() []Setting {
	planning, work := []string{"all", "plan"}, []string{"all", "plan", "publish", "finalize"}
	building, proving := []string{"all", "publish", "doctor"}, []string{"all", "plan", "finalize", "promote", "doctor"}
	return []Setting{
		{Name: "mode", Default: "all", FlagOnly: true, Allowed: []string{"all", "plan", "publish", "finalize", "rescan", "clean", "doctor", "mirror", "compose", "promote", "deploy", "report"}, set: text(func(s *Settings) *string { return &s.Mode }),
			Help: "What to do: `all` plans, builds, judges and promotes, in one job; `plan` only says what `all` would do, and plans for `publish` and `finalize` in jobs of their own; `publish` builds and judges one row of the matrix and moves no tag; `finalize` puts the rows together and promotes; `rescan` scans every image that has a tag, moves none, and says what is new since the last time; `clean` says which versions of the images' packages nobody needs, and deletes them once `confirm` is set; `doctor` says what is wrong with the configuration, its rights and its surroundings, with what mends it, and changes nothing; `mirror` copies what is live to the registries under `mirrors`; `compose` writes a Compose file of what is published; `promote` points a tag such as `production` to images that there are; `deploy` brings what is live up on the Docker host that `DOCKER_HOST` names, or looks how it is there; `report` writes a page of how builds have been doing, by what is remembered of them."},
		{Name: "config", Default: ".github/ghcr-publish.yml", FlagOnly: true, set: text(func(s *Settings) *string { return &s.ConfigFile }),
			Help: "Configuration file, relative to the workspace."},
		{Name: "registry", Default: "ghcr.io", set: text(func(s *Settings) *string { return &s.Registry }),
			Help: "Registry host, with a port where it has one."},
		{Name: "plain-http", Default: "false", Bool: true, set: boolean(func(s *Settings) *bool { return &s.PlainHTTP }),
			Help: "Speak plain HTTP to the registry. Loopback registries are spoken to so by themselves."},
		{Name: "owner", Default: "{{owner}}", set: lower(func(s *Settings) *string { return &s.Owner }),
			Help: "Namespace of the images; by default the repository's owner, in lower case."},
		{Name: "username", Default: "{{actor}}", set: text(func(s *Settings) *string { return &s.Username }),
			Help: "User name for the registry; by default who started the run."},
		{Name: "token", Default: "{{token}}", Secret: true, set: text(func(s *Settings) *string { return &s.Token }),
			Help: "Token for the GitHub API and, unless registry-token is given, for the registry."},
		{Name: "registry-token", Secret: true, set: text(func(s *Settings) *string { return &s.RegistryToken }),
			Help: "Token or password for the registry, where it differs from token."},
		{Name: "platforms", Default: "linux/amd64, linux/arm64", List: true, set: platforms,
			Help: "Platforms of every service that names none of its own."},
		{Name: "services", FlagOnly: true, set: func(*Settings, string) error { return nil }, // which needs the file
			Help: "Services, as the YAML list that a configuration file has; or the names of those to consider, all of them by default."},
		{Name: "only", FlagOnly: true, List: true, set: list(func(s *Settings) *[]string { return &s.Only }),
			Help: "Names of the services to consider, where `services` defines them. What they need is considered too."},
		{Name: "skip", FlagOnly: true, List: true, set: list(func(s *Settings) *[]string { return &s.Skip }),
			Help: "Names of services to leave out."},
		{Name: "force", Modes: planning, Default: "false", Bool: true, set: boolean(func(s *Settings) *bool { return &s.Force }),
			Help: "Build the services whether they changed or not. Gates apply as ever."},
		{Name: "tag", Modes: slices.Concat(work, []string{"compose", "deploy"}), FlagOnly: true, set: text(func(s *Settings) *string { return &s.Tag }),
			Help: "One more tag for every image, such as `1.2.3`. It never moves once it is published, and labels the image as its version."},
		{Name: "build-args", Modes: work, FlagOnly: true, set: buildArgs,
			Help: "Build arguments for every service that does not set them itself, as NAME=VALUE, one a line. They are no place for secrets: the image tells them."},
		{Name: "base", Modes: planning, set: text(func(s *Settings) *string { return &s.Base }),
			Help: "Commit, branch or tag to compare with, instead of the published commit."},
		{Name: "refresh-base", Modes: planning, Default: "always", Allowed: []string{"always", "never"}, set: text(func(s *Settings) *string { return &s.RefreshBase }),
			Help: "Whether a base image that moved makes the services be built that are made from it. Whatever is built gets the newest ones in any case, by their digests."},
		{Name: "reuse-from", Modes: []string{"all", "plan", "promote"}, Default: "trusted", Allowed: []string{"trusted", "pull_request"}, set: text(func(s *Settings) *string { return &s.ReuseFrom }),
			Help: "Whose images are used again where they are made of the same inputs and a verdict on them is signed: `trusted` takes those of refs that are trusted as much as this run's, the default branch and protected ones most; `pull_request` takes those of branches and of this repository's pull requests too, such as the one that was just merged."},
		{Name: "push", Default: "auto", Allowed: []string{"auto", "true", "false"}, set: text(func(s *Settings) *string { return &s.Push }),
			Help: "Whether to publish: `auto` does on push, tag, release, schedule and dispatch; pull requests and all else are built and judged only."},
		{Name: "promote", Modes: []string{"all", "finalize", "doctor"}, Default: "all-or-nothing", Allowed: []string{"all-or-nothing", "per-service"}, set: text(func(s *Settings) *string { return &s.Promote }),
			Help: "Whether one refused service keeps the tags of the others where they are."},
		{Name: "force-move", Modes: []string{"all", "finalize", "promote"}, Default: "false", FlagOnly: true, Bool: true, set: boolean(func(s *Settings) *bool { return &s.ForceMove }),
			Help: "Move tags back too, for a deliberate rollback; the report says so. A version's tag never changes all the same, and gates apply as ever."},
		{Name: "from", Modes: []string{"promote"}, FlagOnly: true, List: true, set: list(func(s *Settings) *[]string { return &s.PromoteFrom }),
			Help: "With `mode: promote`: the tag or the digest that is promoted, such as `staging`; or one for each service, as `backend=sha256:…`."},
		{Name: "to", Modes: []string{"promote"}, FlagOnly: true, set: text(func(s *Settings) *string { return &s.To }),
			Help: "With `mode: promote`: the tag that is to point there, such as `production`."},
		{Name: "rollback", Modes: []string{"promote", "deploy"}, Default: "false", FlagOnly: true, Bool: true, set: boolean(func(s *Settings) *bool { return &s.Rollback }),
			Help: "With `mode: promote`: take back the last promotion to that tag, for all its services, instead of promoting `from` something. With `mode: deploy`: go back to what ran on the host before."},
		{Name: "accept-refused", Modes: []string{"promote"}, Default: "false", FlagOnly: true, Bool: true, set: boolean(func(s *Settings) *bool { return &s.AcceptRefused }),
			Help: "With `rollback`: go back also to an image that a gate refuses by now, as it was live before; the summary says what speaks against it. It is not signed anew."},
		{Name: "environment", Modes: []string{"promote", "deploy"}, FlagOnly: true, set: text(func(s *Settings) *string { return &s.Environment }),
			Help: "With `mode: promote` and `mode: deploy`: GitHub environment of which a deployment is recorded (`permissions: deployments: write`)."},
		{Name: "status", Modes: []string{"deploy"}, Default: "false", FlagOnly: true, Bool: true, set: boolean(func(s *Settings) *bool { return &s.Status }),
			Help: "With `mode: deploy`: look how what is deployed is, and change nothing; exit code 3 where a service is not well."},
		{Name: "weight", Modes: []string{"deploy"}, Default: "100", FlagOnly: true, Number: true, set: positive(func(s *Settings) *int { return &s.Weight }),
			Help: "With `mode: deploy`: percent of the requests that the new version gets of each service that has `switch`; the version that ran before gets the rest, until a run with 100 or a rollback."},
		{Name: "ssh-key", Modes: []string{"deploy"}, FlagOnly: true, Secret: true, set: text(func(s *Settings) *string { return &s.SSHKey }),
			Help: "With `mode: deploy` to an `ssh://` host: private key to log in with; by default what the machine's ssh has."},
		{Name: "ssh-known-hosts", Modes: []string{"deploy"}, FlagOnly: true, set: text(func(s *Settings) *string { return &s.SSHKnownHosts }),
			Help: "With `mode: deploy` to an `ssh://` host: the host's public keys, as `ssh-keyscan HOST` prints them; no other host is spoken to."},
		{Name: "max-parallel", Modes: slices.Concat(work, []string{"rescan", "mirror", "compose", "promote", "deploy"}), Default: "3", Number: true, set: positive(func(s *Settings) *int { return &s.MaxParallel }),
			Help: "Services that are built at the same time; as many are judged meanwhile."},
		{Name: "fail-fast", Modes: planning, Default: "false", Bool: true, set: boolean(func(s *Settings) *bool { return &s.FailFast }),
			Help: "Whether a row of the matrix that fails ends the others: the output of that name, for the workflow to use."},
		{Name: "split", Modes: planning, Default: "service", Allowed: []string{"service", "platform"}, set: text(func(s *Settings) *string { return &s.Split }),
			Help: "What a row of the matrix is: a `service` with all its platforms, or each `platform` of a service by itself."},
		{Name: "runners", Modes: planning, Default: "linux/arm64=ubuntu-24.04-arm", List: true, set: runners,
			Help: "Runners of rows, by platform, as PLATFORM=LABEL; `ubuntu-latest` for all others, and for rows whose platforms have several."},
		{Name: "row", Modes: []string{"publish"}, FlagOnly: true, set: text(func(s *Settings) *string { return &s.Row }),
			Help: "Row of the matrix that `publish` works on: its `row`."},
		{Name: "handover", Modes: []string{"plan", "publish", "finalize"}, Default: "auto", Allowed: []string{"auto", "artifacts", "registry", "none"}, set: text(func(s *Settings) *string { return &s.Handover }),
			Help: "How plan and results go from job to job: as artifacts of the run, or as untagged artifacts in the registry; `auto` uses the registry where GitHub keeps no artifacts (GHES); `none` leaves it at the outputs of `plan`."},
		{Name: "plan-ref", Modes: []string{"publish", "finalize"}, FlagOnly: true, set: text(func(s *Settings) *string { return &s.PlanRef }),
			Help: "With `handover: registry`: the output `plan-ref` of the job that planned, a digest."},
		{Name: "fragments", Modes: []string{"finalize"}, FlagOnly: true, set: text(func(s *Settings) *string { return &s.Fragments }),
			Help: "With `handover: registry`: the outputs `fragment` of the rows, as any text that holds them: `toJSON(needs.publish.outputs)`, say."},
		{Name: "artifact", Modes: slices.Concat(work, []string{"rescan", "promote"}), Default: "ghcr-publish", set: artifact,
			Help: "What the names of the run's artifacts begin with; give each its own where a workflow uses the action for several configurations."},
		{Name: "builder", Modes: slices.Concat(planning, []string{"publish", "doctor"}), set: text(func(s *Settings) *string { return &s.Builder }),
			Help: "Name of an existing buildx builder; by default one is made, or found again."},
		{Name: "builder-config", Modes: slices.Concat(planning, []string{"publish", "doctor"}), set: text(func(s *Settings) *string { return &s.BuilderConfig }),
			Help: "BuildKit configuration file (buildkitd.toml) for the builder that is made."},
		{Name: "emulation", Modes: building, Default: "auto", Allowed: []string{"auto", "off"}, set: text(func(s *Settings) *string { return &s.Emulation }),
			Help: "Whether to register emulators for platforms that the builder lacks; this starts a privileged container."},
		{Name: "binfmt-image", Modes: building, Default: "tonistiigi/binfmt:qemu-v10.2.3", set: text(func(s *Settings) *string { return &s.BinfmtImage }),
			Help: "Image that registers the emulators."},
		{Name: "cache", Modes: building, Default: CacheAuto, Allowed: caches, set: text(func(s *Settings) *string { return &s.Cache }),
			Help: "Where the layers of builds are kept for other runs: in the cache of GitHub Actions (`gha`), beside the image in the `registry`, in a folder (`local`), or nowhere (`off`). `auto` reads all of them and writes to the first that it may write to and that pays. A service may have its own."},
		{Name: "cache-dir", Modes: building, Default: "{{temp}}/layers", set: text(func(s *Settings) *string { return &s.CacheDir }),
			Help: "Folder of `cache: local`; on a runner one that is kept between jobs, and outside the workspace."},
		{Name: "provenance", Modes: []string{"all", "publish"}, Default: "max", Allowed: provenances, set: text(func(s *Settings) *string { return &s.Provenance }),
			Help: "How much build provenance to attach; `max` includes build arguments."},
		{Name: "sbom", Modes: []string{"all", "publish"}, Default: "false", set: sbom,
			Help: "Whether to attach a list of what each image holds, made by BuildKit's scanner, or the name of an image that makes it instead."},
		{Name: "sign", Modes: proving, Default: "auto", Allowed: []string{"auto", "keyless", "key", "off"}, set: text(func(s *Settings) *string { return &s.Sign }),
			Help: "Whether approved images are signed before any tag moves: by `key`, which sign-key gives, or `keyless`, by the job's identity (`permissions: id-token: write`). `auto` takes the key where there is one, the identity where the job has one and the repository is public, and signs nothing otherwise."},
		{Name: "sign-key", Modes: proving, Secret: true, set: text(func(s *Settings) *string { return &s.SignKey }),
			Help: "Private key in PEM to sign with: ECDSA, Ed25519 or RSA, also as `cosign generate-key-pair` writes it."},
		{Name: "sign-key-password", Modes: proving, Secret: true, set: text(func(s *Settings) *string { return &s.SignPassword }),
			Help: "Password of sign-key, where it is encrypted."},
		{Name: "signing-config", Modes: proving, set: text(func(s *Settings) *string { return &s.SigningConfig }),
			Help: "File that describes a Sigstore of your own, as cosign's `--signing-config` reads it; keyless signatures are made by the public one by default, whose log everybody reads."},
		{Name: "trusted-root", Modes: proving, set: text(func(s *Settings) *string { return &s.TrustedRoot }),
			Help: "File that says what the signatures of that Sigstore are proven by, as cosign's `--trusted-root` reads it."},
		{Name: "attest", Modes: proving, Default: "auto", Allowed: []string{"auto", "github", "registry", "off"}, set: text(func(s *Settings) *string { return &s.Attest }),
			Help: "Where whoever signs also attests the verdict on an image (what was checked, with what result, by which run) and, of one that was built, its provenance: in GitHub's attestation store (`permissions: attestations: write`), beside it in the `registry`, or nowhere. `auto` takes GitHub's for keyless signatures of public repositories."},
		{Name: "attest-sbom", Modes: []string{"all", "finalize", "promote"}, List: true, set: inventories,
			Help: "Whether to attest also what each platform's image holds, as Trivy lists it: `spdx-json`, `cyclonedx` or both; each costs one more look at the image."},
		{Name: "trivy-db", Modes: []string{"all", "publish", "finalize", "rescan", "promote", "doctor"}, Default: "mirror.gcr.io/aquasec/trivy-db:2, ghcr.io/aquasecurity/trivy-db:2", List: true, set: list(func(s *Settings) *[]string { return &s.TrivyDB }),
			Help: "Repositories of the vulnerability database, tried in order."},
		{Name: "code-scanning", Modes: []string{"all", "finalize", "rescan", "promote", "doctor"}, Default: "auto", Allowed: []string{"auto", "off"}, set: text(func(s *Settings) *string { return &s.CodeScanning }),
			Help: "Whether to upload findings to GitHub code scanning where it is available."},
		{Name: "release", Modes: []string{"all", "finalize", "doctor"}, Default: "off", Allowed: []string{"off", "draft", "publish"}, set: text(func(s *Settings) *string { return &s.Release }),
			Help: "Whether a git tag that is a version becomes a release of GitHub, with its images, their digests and what is new in them: `publish` does it, `draft` leaves the last step to a person. Needs `contents: write`."},
		{Name: "release-tag", Modes: []string{"all", "finalize"}, FlagOnly: true, set: text(func(s *Settings) *string { return &s.ReleaseTag }),
			Help: "Git tag of the release where the run was started by none, such as `v1.2.3` beside `tag: 1.2.3`, in which it ends. GitHub makes it, of the run's commit, as the release is published, unless it is there by then."},
		{Name: "release-assets", Modes: []string{"all", "finalize"}, List: true, set: assets,
			Help: "Files of the workspace that a release has beside its own, one a line, as patterns such as `dist/*.tar.gz`. What the release has already by that name stays."},
		{Name: "rescan-issues", Modes: []string{"rescan", "doctor"}, Default: "false", Bool: true, set: boolean(func(s *Settings) *bool { return &s.RescanIssues }),
			Help: "With `mode: rescan`: open an issue for a service of which something new is live that the gate for vulnerabilities refuses, keep it up to date, and close it when that is gone. Needs `issues: write`."},
		{Name: "comment", Modes: []string{"all", "finalize", "doctor"}, Default: "false", Bool: true, set: boolean(func(s *Settings) *bool { return &s.Comment }),
			Help: "Tell a pull request in one comment, which every run replaces, what would change by it: sizes, findings, start, and the tags that it would get. Needs `pull-requests: write`, which the runs of forks and of Dependabot have not."},
		{Name: "memory", Default: OwnMemory, set: memory,
			Help: "Memory of earlier runs, relative to the workspace, where the cache of GitHub Actions brings it from run to run; `off` keeps none, and `oci://ghcr.io/owner/memory` keeps it there, too, for all branches and repositories that have it so."},
		{Name: "plan-file", Modes: planning, Default: "{{temp}}/plan.json", set: text(func(s *Settings) *string { return &s.PlanFile }),
			Help: "Where to write the plan."},
		{Name: "report", Modes: []string{"all", "publish", "finalize", "rescan", "clean", "mirror", "promote", "deploy"}, Default: "{{temp}}/report.json", set: text(func(s *Settings) *string { return &s.Report }),
			Help: "Where to write the report."},
		{Name: "compose-file", Modes: []string{"all", "finalize", "compose", "deploy"}, Default: "{{temp}}/compose/compose.yaml", set: text(func(s *Settings) *string { return &s.ComposeFile }),
			Help: "Where to write the Compose file, with `.env.example` beside it: in the runner's folder for temporary files (elsewhere in ~/.cache/ghcr-publish), or in the workspace where no build takes it."},
		{Name: "dashboard", Modes: []string{"report"}, Default: "{{temp}}/dashboard", set: text(func(s *Settings) *string { return &s.Dashboard }),
			Help: "With `mode: report`: folder to write the page into, `index.html`, with the same figures as `figures.json`, `metrics.txt` (Prometheus) and `openmetrics.txt`: in the runner's folder for temporary files (elsewhere in ~/.cache/ghcr-publish), or in the workspace where no build takes it."},
		{Name: "dashboard-of", Modes: []string{"report"}, Default: "repository", Allowed: []string{"repository", "all"}, set: text(func(s *Settings) *string { return &s.DashboardOf }),
			Help: "With `mode: report`: whose services are on the page where repositories share a memory: those of this `repository`, or of `all`, by name, commit and instruction. Where it is not known which repository this is, as on a laptop, they cannot be told apart."},
		{Name: "dry-run", Default: "false", Bool: true, set: boolean(func(s *Settings) *bool { return &s.DryRun }),
			Help: "Build and judge, and push nothing."},
		{Name: "confirm", Modes: []string{"clean", "all", "finalize", "doctor"}, Default: "false", FlagOnly: true, Bool: true, set: boolean(func(s *Settings) *bool { return &s.Confirm }),
			Help: "With `mode: clean`, or `clean.after` in the file: delete what is to go; without it the run only says what that is."},
		{Name: "restore", Modes: []string{"clean"}, FlagOnly: true, List: true, set: ids,
			Help: "With `mode: clean`: ids of versions to bring back instead, as a report of the last thirty days has them."},
		{Name: "in-use", Modes: []string{"clean", "all", "finalize"}, FlagOnly: true, set: text(func(s *Settings) *string { return &s.InUse }),
			Help: "With `mode: clean`, or `clean.after` in the file: any text with the digests that are in use, such as what a cluster says it runs. They stay, with all that they need."},
		{Name: "quiet", Default: "false", Bool: true, set: boolean(func(s *Settings) *bool { return &s.Quiet }),
			Help: "Let the log have only the answer, and what went wrong: no progress, and nothing of the builds."},
		{Name: "json", Default: "false", FlagOnly: true, Bool: true, set: boolean(func(s *Settings) *bool { return &s.JSON }),
			Help: "Print the plan or the report as JSON to standard output; the log goes to standard error."},
	}
}

func text(field func(*Settings) *string) func(*Settings, string) error {
	return func(s *Settings, v string) error { *field(s) = v; return nil }
}

func lower(field func(*Settings) *string) func(*Settings, string) error {
	return func(s *Settings, v string) error { *field(s) = strings.ToLower(v); return nil }
}

func boolean(field func(*Settings) *bool) func(*Settings, string) error {
	return func(s *Settings, v string) error {
		// GitHub's own toolkit accepts the YAML 1.2 core schema's spellings and no others.
		switch v {
		case "true", "True", "TRUE":
			*field(s) = true
		case "false", "False", "FALSE":
			*field(s) = false
		default:
			return fmt.Errorf("%q is neither true nor false", v)
		}
		return nil
	}
}

func positive(field func(*Settings) *int) func(*Settings, string) error {
	return func(s *Settings, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is not a whole number of 1 or more", v)
		}
		*field(s) = n
		return nil
	}
}

func list(field func(*Settings) *[]string) func(*Settings, string) error {
	return func(s *Settings, v string) error { *field(s) = splitList(v); return nil }
}

func platforms(s *Settings, v string) error {
	s.Platforms = nil
	for _, item := range splitList(v) {
		p, err := parsePlatform(item)
		if err != nil {
			return err
		}
		if !slices.Contains(s.Platforms, p) {
			s.Platforms = append(s.Platforms, p)
		}
	}
	if s.Platforms == nil {
		return errors.New("it names no platform")
	}
	return nil
}

// buildArgs reads pairs of a name and a value, one a line.
func buildArgs(s *Settings, v string) error {
	s.BuildArgs = map[string]string{}
	for line := range strings.Lines(v) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || name == "" {
			return fmt.Errorf("%q is not of the form NAME=VALUE", line)
		}
		s.BuildArgs[name] = value
	}
	return nil
}

// runners reads pairs of a platform and the label of the runner for it.
func runners(s *Settings, v string) error {
	s.Runners = map[string]string{}
	for _, item := range splitList(v) {
		name, label, ok := strings.Cut(item, "=")
		if !ok || label == "" {
			return fmt.Errorf("%q is not of the form linux/arm64=ubuntu-24.04-arm", item)
		}
		p, err := parsePlatform(name)
		if err != nil {
			return err
		}
		s.Runners[p] = label
	}
	return nil
}

func memory(s *Settings, v string) error {
	home, elsewhere := strings.CutPrefix(v, "oci://")
	if !elsewhere {
		if s.Memory = cmp.Or(v, "off"); strings.HasSuffix(v, "/") || slices.Contains([]string{".", ".."}, path.Base(s.Memory)) {
			return fmt.Errorf("%q names no file", v)
		}
		return nil
	}
	if _, err := name.NewRepository(home, name.StrictValidation); err != nil {
		return fmt.Errorf("%q names no repository, as oci://ghcr.io/owner/memory does", v)
	}
	s.Memory, s.MemoryHome = OwnMemory, home
	return nil
}

func sbom(s *Settings, v string) error {
	if s.SBOM = v; v == "true" || v == "false" {
		return nil
	}
	// The name becomes a part of a list in CSV, which a reference cannot break out of.
	if _, err := name.ParseReference(v); err != nil {
		return fmt.Errorf("%q is neither true nor false, nor the name of an image", v)
	}
	return nil
}

func inventories(s *Settings, v string) error {
	s.AttestSBOM = splitList(v)
	for _, format := range s.AttestSBOM {
		if format != "spdx-json" && format != "cyclonedx" {
			return fmt.Errorf("%q is neither spdx-json nor cyclonedx", format)
		}
	}
	return nil
}

// assets reads patterns of files, one a line: a comma may be part of one.
func assets(s *Settings, v string) error {
	s.ReleaseAssets = nil
	for line := range strings.Lines(v) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if !doublestar.ValidatePattern(line) {
			return fmt.Errorf("%q is no pattern", line)
		}
		if path.IsAbs(line) || slices.Contains(strings.Split(line, "/"), "..") {
			return fmt.Errorf("%q is not in the workspace; name files from its root", line)
		}
		s.ReleaseAssets = append(s.ReleaseAssets, line)
	}
	return nil
}

// ids reads the ids of versions of packages.
func ids(s *Settings, v string) error {
	s.Restore = nil
	for _, item := range splitList(v) {
		id, err := strconv.ParseInt(item, 10, 64)
		if err != nil || id < 1 {
			return fmt.Errorf("%q is no id of a version", item)
		}
		s.Restore = append(s.Restore, id)
	}
	return nil
}

func artifact(s *Settings, v string) error {
	if s.Artifact = v; !serviceName.MatchString(v) {
		return fmt.Errorf("%q is no name; use letters, digits and . _ -, at most 63", v)
	}
	return nil
}

// splitList splits a list given as one text: at commas, white space and line ends.
func splitList(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' || r == '\r' })
}

// parsePlatform proves one platform, as os/architecture[/variant], and returns it normalised.
func parsePlatform(v string) (string, error) {
	p, err := platform.Parse(strings.ToLower(v))
	if err != nil || !strings.Contains(v, "/") || p.OSVersion != "" || p.OSFeatures != nil {
		return "", fmt.Errorf("%q is not a platform such as linux/amd64 or linux/arm64", v)
	}
	return platform.Format(platform.Normalize(p)), nil
}

// namesSecret reports whether a text says where a secret is, instead of being one.
func namesSecret(v string) bool { return strings.HasPrefix(v, "env:") || strings.HasPrefix(v, "file:") }

// secretValue follows env:NAME or file:PATH to the secret itself.
func secretValue(v string, getenv func(string) string) (string, error) {
	if name, ok := strings.CutPrefix(v, "env:"); ok {
		if value := getenv(name); value != "" {
			return value, nil
		}
		// What follows env: or file: is not repeated: it may be the secret itself, by mistake.
		return "", errors.New("the environment variable that it names is empty")
	}
	if file, ok := strings.CutPrefix(v, "file:"); ok {
		data, err := os.ReadFile(file)
		if err != nil {
			var failed *fs.PathError
			if errors.As(err, &failed) {
				err = failed.Err
			}
			return "", fmt.Errorf("the file that it names cannot be read: %w", err)
		}
		return strings.TrimSpace(string(data)), nil
	}
	return "", errors.New("a secret does not belong here")
}
