package promote

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/tags"
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
	short := git.Short(at)
	tip := p.tip(ctx)
	newer, err := p.IsAncestor(ctx, p.Commit, at)
	if err != nil && p.GitTag && p.Fetch(ctx, at) == nil {
		newer, err = p.IsAncestor(ctx, p.Commit, at)
	}
	switch {
	case err == nil && newer:
		return fmt.Sprintf("the newer commit %s is published there", short), nil
	case err != nil && p.GitTag:
		return fmt.Sprintf("commit %s, which neither this clone nor its origin has, is published there, and a git tag does not tell whether it is newer", short), nil
	case tip.err == nil && tip.commit == p.Commit:
		return "", nil
	case err != nil && tip.err != nil:
		return "", fmt.Errorf("commit %s is published, which this clone does not know, and the branch cannot be asked whether it is newer: %w (check out with fetch-depth: 0)", short, tip.err)
	case err != nil:
		return fmt.Sprintf("commit %s, which this clone does not know, is published there, and this run's is not the tip of its branch", short), nil
	case tip.err == nil:
		return p.overtaken(ctx, now, at, tip.commit), nil
	}
	if after, err := p.IsAncestor(ctx, at, p.Commit); err != nil || !after {
		return "", fmt.Errorf("commit %s is published, which this run's commit does not come after, and the branch cannot be asked whether it is newer: %w (run this again once it can; `force-move: true` moves the tag all the same)", short, tip.err)
	}
	return "", nil
}

// overtaken says why a tag stays whose branch has gone on: it is at what the tip has, or nobody can tell whether
// it is; or a force push has left this run's commit behind, and not the one that is published. The run of the tip moves it then.
func (p *promotion) overtaken(ctx context.Context, now registry.Image, at, tip string) string {
	short := git.Short(tip)
	theirs, err := p.IsAncestor(ctx, at, tip)
	if ours, unknown := p.IsAncestor(ctx, p.Commit, tip); err == nil && unknown == nil && theirs && !ours {
		return fmt.Sprintf("the branch is at %s by now, which this run's commit is no part of any more", short)
	}
	switch inputs, err := p.InputsAt(ctx, p.service, tip); {
	case err != nil:
		return fmt.Sprintf("the branch is at %s by now, and what the image is there cannot be told: %v", short, err)
	case inputs == now.Annotations[plan.InputsKey]:
		return fmt.Sprintf("the branch is at %s by now, and what is published there is the same", short)
	}
	return ""
}

// elsewhere says why a tag stays that every branch gives, such as latest: it follows the default branch, and this run's commit is
// no part of that. Moved to a feature branch, it would stay there for ever, because nothing that comes on the default branch
// comes after that.
func (p *promotion) elsewhere(ctx context.Context, tag tags.Tag, now registry.Image) string {
	at := strings.TrimSuffix(now.Revision, plan.Dirty)
	if !tag.Shared || p.Trunk == nil || at == p.Commit || !commit.MatchString(at) {
		return ""
	}
	trunk, err := p.Trunk(ctx)
	if err != nil {
		return fmt.Sprintf("it follows the default branch, and whether this run's commit is part of that cannot be told: %v (run this again once it can)", err)
	}
	ours, err := p.IsAncestor(ctx, p.Commit, trunk)
	theirs, unknown := p.IsAncestor(ctx, at, trunk)
	if err != nil || unknown != nil || ours || !theirs {
		return ""
	}
	return "it follows the default branch, which this run's commit is no part of; a rule that is for other branches says so by enable={{is_not_default_branch}}"
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
