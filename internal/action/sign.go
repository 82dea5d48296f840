package action

import (
	"context"

	"github.com/org/ghcr-publish/internal/actions"
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

// sign signs an approved image.
func (s *session) sign(ctx context.Context, r publish.Result, approval verdict.Approval) (sign.Record, error) {
	signer := sign.Signer{Identity: func(context.Context) (*sign.Identity, error) { return s.job.Key, nil },
		Attach: s.registry.Attach, Attached: s.registry.Attached}
	record, err := signer.Sign(ctx, approval)
	if err == nil {
		s.log.Printf("%s: signed by %s", r.Plan.Name, record.By())
	}
	return record, err
}
