package git

import (
	"context"
	"fmt"
	"strings"
)

// A Change is one commit, and the files that it changed.
type Change struct {
	ID, Message string
	Files       []string
}

// Changes lists the commits that one commit has and another has not, the newest first and at most so many, without merges.
func (r Repo) Changes(ctx context.Context, from, to string, most int) ([]Change, error) {
	out, err := r.git(ctx, "rev-list", "--no-merges", fmt.Sprintf("--max-count=%d", most), "--end-of-options", to, "^"+from, "--")
	if err != nil {
		return nil, err
	}
	var all []Change
	for id := range strings.FieldsSeq(out) {
		files, err := r.git(ctx, "diff-tree", "--no-commit-id", "--root", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--end-of-options", id)
		if err != nil {
			return nil, err
		}
		all = append(all, Change{id, r.Message(ctx, id), splitZero(files)})
	}
	return all, nil
}
