package promote

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/registry"
)

var commit = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// newerCommit says why a branch's tag stays; empty if it moves. It stays where what is published there
// was built from a newer commit, and where it is what the branch's tip has by now, though built earlier.
// An error means that neither clone nor remote tells which is newer.
func (p *promotion) newerCommit(ctx context.Context, now registry.Image) (string, error) {
	at := strings.TrimSuffix(now.Revision, plan.Dirty)
	if at == p.Commit || !commit.MatchString(at) {
		return "", nil
	}
	short := at[:min(7, len(at))]
	tip := p.tip(ctx)
	newer, err := p.IsAncestor(ctx, p.Commit, at)
	switch {
	case err == nil && newer:
		return fmt.Sprintf("the newer commit %s is published there", short), nil
	case tip.err == nil && tip.commit == p.Commit:
		return "", nil
	case err != nil && tip.err != nil:
		return "", fmt.Errorf("commit %s is published, which this clone does not know, and the branch cannot be asked whether it is newer: %w (check out with fetch-depth: 0)", short, tip.err)
	case err != nil:
		return fmt.Sprintf("commit %s, which this clone does not know, is published there, and this run's is not the tip of its branch", short), nil
	case tip.err == nil && p.isAt(ctx, now, tip.commit):
		return fmt.Sprintf("the branch is at %s by now, and what is published there is the same", tip.commit[:min(7, len(tip.commit))]), nil
	}
	return "", nil
}

// A branchTip is the commit that this run's branch is at, or why that is not known.
type branchTip struct {
	commit string
	err    error
}

// tip asks once for all tags of the promotion.
func (p *promotion) tip(ctx context.Context) branchTip {
	if p.branch == nil {
		commit, err := p.Tip(ctx)
		p.branch = &branchTip{commit, err}
	}
	return *p.branch
}

// isAt reports whether an image is what the service would be built as at a commit. Where that cannot
// be told, it is taken for another.
func (p *promotion) isAt(ctx context.Context, image registry.Image, commit string) bool {
	inputs, err := p.InputsAt(ctx, p.service, commit)
	return err == nil && inputs == image.Annotations[plan.InputsKey]
}
