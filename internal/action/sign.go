package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/sign"
	"github.com/org/ghcr-publish/internal/verdict"
)

// signers are who may sign.
type signers struct {
	key      *sign.Identity // nil where none was given
	instance *sign.Instance // a Sigstore of one's own; nil for the public one
	identity bool           // the job may ask for a token of its identity
}

// checkSigning reads what signs, and keeps it out of the log. What will be missing is said before anything is built.
func (j *job) checkSigning(p Process, log *actions.Log, problems *service.Problems) {
	c := j.Config
	log.Mask(c.SignKey)
	log.Mask(c.SignPassword)
	j.identity = actions.HasIdentity(p.Getenv)
	finishes := j.pushes() && (c.Mode == "all" || c.Mode == "finalize")
	switch {
	case c.Sign == "off":
		return
	case c.Sign == "key" && c.SignKey == "":
		problems.Add("sign", "give one as `sign-key`", "there is no key to sign with")
	case c.Sign == "keyless" && finishes && !j.identity:
		problems.Add("sign", "give the job `permissions: id-token: write`", "the job may not ask for a token of its identity, which signs")
	case c.Attest == "github" && c.SignKey != "" && c.Sign != "keyless":
		problems.Add("attest", "attest to the `registry`, or sign keyless", "GitHub's store takes what a workflow has signed, and not what a key has")
	}
	if c.SignKey != "" && c.Sign != "keyless" {
		var err error
		if j.key, err = sign.ByKey(c.SignKey, c.SignPassword); err != nil {
			problems.Add("sign-key", "give a private key in PEM, with sign-key-password where it is encrypted", "%v", err)
		}
	}
	j.readInstance(problems)
}

// readInstance reads the files that describe a Sigstore of one's own.
func (j *job) readInstance(problems *service.Problems) {
	c := j.Config
	if c.SigningConfig == "" && c.TrustedRoot == "" {
		return
	}
	var files [2][]byte
	for i, path := range []string{c.SigningConfig, c.TrustedRoot} {
		var err error
		if files[i], err = os.ReadFile(j.path(path)); path == "" || err != nil {
			problems.Add([]string{"signing-config", "trusted-root"}[i], "give both files", "%q cannot be read", path)
			return
		}
	}
	var err error
	if j.instance, err = sign.NewInstance(files[0], files[1]); err != nil {
		problems.Add("signing-config", "give files as cosign reads them", "%v", err)
	}
}

// path is a file's that the workspace may hold.
func (j job) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(j.Workspace, name)
}

// signTime bounds signing one service.
const signTime = 3 * time.Minute

// sign signs an approved image, and what is attested of it. It signs nothing, and says why, where nobody demands it and nobody can.
func (s *session) sign(ctx context.Context, r publish.Result, approval verdict.Approval) (sign.Record, error) {
	if s.job.Config.Sign == "auto" && s.job.key == nil && !s.job.identity {
		s.leaveUnsigned("give the job `permissions: id-token: write` to sign as its workflow, or a key as `sign-key`; `sign: off` ends this notice")
		return sign.Record{}, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, signTime, fmt.Errorf("it was not signed within %s", signTime))
	defer cancel()
	who, public, err := s.identify(ctx)
	if errors.Is(err, errPrivate) && s.job.Config.Sign == "auto" {
		s.leaveUnsigned(errPrivate.Error())
		return sign.Record{}, nil
	}
	if err != nil {
		return sign.Record{}, fmt.Errorf("signing %s: %w", r.Candidate.Image.Ref, err)
	}
	signer := sign.Signer{Who: who, Attach: s.registry.Attach, Attached: s.registry.Attached, Repository: s.job.Event.Repository}
	if attest := s.job.Config.Attest; attest == "github" || attest == "auto" && public {
		api, err := github.New(s.job.Event.APIURL, s.job.Event.Repository, s.job.Config.Token)
		if err != nil {
			return sign.Record{}, err
		}
		signer.Store, signer.Stored = api.Attest, api.Attested
	}
	claims, err := s.claims(ctx, r)
	if err != nil {
		return sign.Record{}, fmt.Errorf("signing %s: %w", r.Candidate.Image.Ref, err)
	}
	record, err := signer.Sign(ctx, approval, claims...)
	if errors.Is(err, github.ErrNoStore) && s.job.Config.Attest == "auto" {
		s.note(fmt.Sprintf("Attestations went to the registry: %v; give the job `permissions: attestations: write`, or choose `attest: registry`.", github.ErrNoStore))
		signer.Store = nil
		record, err = signer.Sign(ctx, approval, claims...)
	}
	if err == nil {
		s.log.Printf("%s: signed by %s", r.Plan.Name, record.By())
	}
	return record, err
}

// leaveUnsigned has the report say why nothing is signed.
func (s *session) leaveUnsigned(why string) { s.note("Nothing was signed: " + why + ".") }

// note tells something, once, and has the report tell it, too.
func (s *session) note(notice string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.notices, notice) {
		s.notices = append(s.notices, notice)
		s.log.Printf("%s", notice)
	}
}

// errPrivate keeps the names of private repositories out of a log that everybody reads.
var errPrivate = errors.New("the repository is not public, and the public transparency log would tell its name and its workflows to everybody; give a key as `sign-key`, or a Sigstore of your own as `signing-config` and `trusted-root`")

// identify is who signs: the key, or the workflow that the job is of; and whether everybody may know of it.
func (s *session) identify(ctx context.Context) (*sign.Identity, bool, error) {
	if s.job.key != nil {
		return s.job.key, false, nil
	}
	client := github.Patient()
	who, err := actions.AskIdentity(ctx, s.process.Getenv, client, "sigstore")
	if err != nil {
		return nil, false, err
	}
	s.log.Mask(who.Token)
	if s.job.instance == nil && !who.Public() {
		return nil, false, errPrivate
	}
	instance, err := s.certifier()
	if err != nil {
		return nil, false, err
	}
	identity, err := instance.Keyless(ctx, client, who.Token)
	return identity, who.Public(), err
}

// certifier is the Sigstore that certifies. The public one is asked for what describes it once in a run.
func (s *session) certifier() (*sign.Instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sigstore == nil {
		s.sigstore = s.job.instance
	}
	if s.sigstore == nil {
		var err error
		if s.sigstore, err = sign.PublicInstance(); err != nil {
			return nil, err
		}
	}
	return s.sigstore, nil
}

// claims are what is attested of an image. How it was built only the run knows that built it.
func (s *session) claims(ctx context.Context, r publish.Result) ([]sign.Claim, error) {
	if s.job.Config.Attest == "off" {
		return nil, nil
	}
	run := s.run()
	claims := []sign.Claim{sign.Judgement(r.Plan.Name, r.Plan.Inputs, r.Evidence, r.Verdict, s.job.Config.Gates, run)}
	if r.Plan.Action == plan.Build {
		claims = append(claims, sign.Provenance(buildOf(r.Plan), run))
	}
	for _, format := range s.job.Config.AttestSBOM {
		for _, platform := range r.Candidate.Image.Platforms {
			image := r.Candidate.Image.Ref.Context().Digest(platform.Digest.String())
			list, err := s.trivy().Inventory(ctx, image.Name(), platform.Platform, format)
			if err != nil {
				return nil, err
			}
			claim, err := sign.Inventory(image, format, list)
			if err != nil {
				return nil, err
			}
			s.keepInventory(r.Plan.Name, platform.Platform, format, list)
			claims = append(claims, claim)
		}
	}
	return claims, nil
}

// keepInventory keeps a list of what an image holds for a release.
func (s *session) keepInventory(service, platform, format string, list []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inventories == nil {
		s.inventories = map[string][]byte{}
	}
	endings := map[string]string{"spdx-json": "spdx.json", "cyclonedx": "cdx.json"}
	s.inventories[fmt.Sprintf("%s-%s.%s", service, strings.ReplaceAll(platform, "/", "-"), endings[format])] = list
}

// buildOf is how a service was built.
func buildOf(p plan.Service) sign.Build {
	d := p.Definition
	built := sign.Build{Service: p.Name, Dockerfile: d.Dockerfile, Context: d.Context, Target: d.Target, Platforms: p.Platforms, Inputs: p.Inputs, Bases: map[string]string{}}
	for _, b := range p.Bases {
		if b.Digest != "" {
			built.Bases[b.Ref] = b.Digest
		}
	}
	return built
}

// run tells of this run to those who read what it signs.
func (s *session) run() sign.Run {
	e := s.job.Event
	run := sign.Run{Program: "ghcr-publish " + s.process.Version, Ref: e.Ref, Commit: e.SHA, Event: e.Name, Workflow: e.Workflow, Address: runURL(e), Attempt: e.Attempt,
		Runner: e.Runner, Began: s.begun.UTC(), Ended: s.process.Now().UTC()}
	if e.Repository != "" {
		run.Repository = cmp.Or(e.ServerURL, "https://github.com") + "/" + e.Repository
	}
	if s.job.Config.Mode == "finalize" {
		run.Runner = "" // rows may have been built on another kind
	}
	return run
}
