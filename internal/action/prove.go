package action

import (
	"context"
	"errors"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/sign"
)

// remembering gives a planner what it needs to use again what earlier runs have made: what the memory knows of them, and who
// proves it.
func (j job) remembering(ctx context.Context, p Process, planner *plan.Planner) {
	builds := j.recall(ctx, p, "builds")["builds"]
	own := insight.Own(builds, j.Event.Repository)
	planner.Expect = j.expecting(insight.History(j.Event.Repository, builds, nil), p)
	planner.Costs, planner.Made = insight.Costs(own), insight.Made(own)
	planner.Merged = func(ctx context.Context) ([]int, error) {
		api, err := github.New(j.Event.APIURL, j.Event.Repository, j.Config.Token)
		if err != nil {
			return nil, err
		}
		return api.Merged(ctx, j.Event.SHA)
	}
	if j.Config.Sign == "off" || j.Config.Attest == "off" || !j.pushes() {
		return
	}
	planner.MustProve = j.key != nil || j.identity || j.Config.Sign != "auto"
	verifier := sync.OnceValues(func() (sign.Verifier, error) { return j.verifier(ctx, p) })
	planner.Proven = func(ctx context.Context, image name.Digest) ([]plan.Proof, error) {
		v, err := verifier()
		if err != nil {
			return nil, err
		}
		return proofs(ctx, v, image)
	}
}

// proofs are the verdicts on an image that are proven, in the plan's words.
func proofs(ctx context.Context, v sign.Verifier, image name.Digest) ([]plan.Proof, error) {
	found, err := v.Verdicts(ctx, image)
	var list []plan.Proof
	for _, signed := range found {
		proof := plan.Proof{Service: signed.Service, Inputs: signed.Inputs, Ref: signed.Ref, Event: signed.Event, Run: signed.Address}
		if signed.Trial.Healthy {
			proof.Platform, proof.Asked = signed.Trial.Platform, signed.Trial.Asked
		}
		list = append(list, proof)
	}
	return list, err
}

// verifier proves what this repository's jobs have signed, or the key that is given.
func (j job) verifier(ctx context.Context, p Process) (sign.Verifier, error) {
	v := sign.Verifier{Attached: j.registryClient().Attached}
	if j.key != nil {
		v.Prover = j.key.Prover
		return v, nil
	}
	issuer, public, err := j.issuer(ctx, p)
	if err != nil {
		return v, err
	}
	instance := j.instance
	if instance == nil && !public {
		return v, plan.ErrUnsigned // such a repository's jobs sign nothing
	}
	if instance == nil {
		if instance, err = sign.PublicInstance(); err != nil {
			return v, err
		}
	}
	if j.Config.Token != "" { // wherever it goes now
		api, err := github.New(j.Event.APIURL, j.Event.Repository, j.Config.Token)
		if err != nil {
			return v, err
		}
		v.Stored = api.Attested
	}
	v.Prover, err = instance.Jobs(issuer, j.Event.ServerURL+"/"+j.Event.Repository)
	return v, err
}

// publicIssuer vouches for the jobs of github.com.
// https://docs.github.com/en/actions/reference/security/oidc#oidc-token-claims
const publicIssuer = "https://token.actions.githubusercontent.com"

// issuer is who vouches for the jobs of this repository, and whether everybody may know of it. A job without an identity of its
// own knows that on github.com alone.
func (j job) issuer(ctx context.Context, p Process) (string, bool, error) {
	if !j.identity {
		if j.Event.ServerURL != "https://github.com" {
			return "", false, plan.ErrUnsigned
		}
		return publicIssuer, j.Event.Public, nil
	}
	who, err := actions.AskIdentity(ctx, p.Getenv, github.Patient(), "sigstore")
	if err != nil {
		return "", false, err
	}
	if who.Issuer == "" {
		return "", false, errors.New("the job's OpenID Connect token does not say who vouches for it")
	}
	return who.Issuer, who.Public(), nil
}
