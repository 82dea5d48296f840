package action

import (
	"cmp"
	"context"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/sign"
	"github.com/org/ghcr-publish/internal/verdict"
)

// checkSigning reads the key that signs, and keeps it out of the log.
func (j *job) checkSigning(log *actions.Log, problems *service.Problems) {
	log.Mask(j.Config.SignKey)
	log.Mask(j.Config.SignPassword)
	if j.Config.Sign == "off" {
		return
	}
	if j.Config.SignKey == "" {
		if j.Config.Sign == "key" {
			problems.Add("sign", "give one as `sign-key`", "there is no key to sign with")
		}
		return
	}
	var err error
	if j.Key, err = sign.ByKey(j.Config.SignKey, j.Config.SignPassword); err != nil {
		problems.Add("sign-key", "give a private key in PEM, with sign-key-password where it is encrypted", "%v", err)
	}
}

// sign signs an approved image, and what is attested of it.
func (s *session) sign(ctx context.Context, r publish.Result, approval verdict.Approval) (sign.Record, error) {
	signer := sign.Signer{Identity: func(context.Context) (*sign.Identity, error) { return s.job.Key, nil },
		Attach: s.registry.Attach, Attached: s.registry.Attached}
	record, err := signer.Sign(ctx, approval, s.claims(r)...)
	if err == nil {
		s.log.Printf("%s: signed by %s", r.Plan.Name, record.By())
	}
	return record, err
}

// claims are what is attested of an image. How it was built only the run knows that built it.
func (s *session) claims(r publish.Result) []sign.Claim {
	if s.job.Config.Attest == "off" {
		return nil
	}
	run := s.run()
	claims := []sign.Claim{sign.Judgement(r.Plan.Name, r.Plan.Inputs, r.Evidence, r.Verdict, s.job.Config.Gates, run)}
	if r.Plan.Action != plan.Build {
		return claims
	}
	d := r.Plan.Definition
	built := sign.Build{Service: r.Plan.Name, Dockerfile: d.Dockerfile, Context: d.Context, Target: d.Target, Platforms: r.Plan.Platforms, Inputs: r.Plan.Inputs, Bases: map[string]string{}}
	for _, b := range r.Plan.Bases {
		if b.Digest != "" {
			built.Bases[b.Ref] = b.Digest
		}
	}
	return append(claims, sign.Provenance(built, run))
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
