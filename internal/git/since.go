package git

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A Distance says how a commit compares with a later one.
type Distance struct {
	Ancestor bool     // it comes before the later one, or is that
	Changed  []string // the files that differ, in order, both names of a renamed one; only of an ancestor
}

// Since compares many commits with one at once, by a fixed number of questions. Commits that the clone lacks are left out.
func (r Repo) Since(ctx context.Context, commits []string, head string) (map[string]Distance, error) {
	trees, err := r.trees(ctx, append(slices.Clone(commits), head))
	if err != nil {
		return nil, err
	}
	distances := map[string]Distance{}
	for _, commit := range commits {
		if trees[commit] != "" {
			distances[commit] = Distance{Ancestor: true}
		}
	}
	if len(distances) == 0 {
		return distances, nil
	}
	if err := r.leaveStrangers(ctx, distances, head); err != nil {
		return nil, err
	}
	return distances, r.compare(ctx, distances, trees, head)
}

// trees returns what commits hold, as far as the clone has them.
func (r Repo) trees(ctx context.Context, commits []string) (map[string]string, error) {
	var questions strings.Builder
	for _, commit := range commits {
		if !IsID(commit) {
			return nil, fmt.Errorf("%q is no commit", commit)
		}
		fmt.Fprintf(&questions, "%s^{tree}\n", commit)
	}
	out, err := r.ask(ctx, strings.NewReader(questions.String()), "cat-file", "--batch-check=%(objectname) %(objecttype)")
	if err != nil {
		return nil, err
	}
	trees := map[string]string{}
	answers := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(answers) != len(commits) {
		return nil, fmt.Errorf("git cat-file: %d answers to %d questions", len(answers), len(commits))
	}
	for i, answer := range answers {
		if id, kind, _ := strings.Cut(answer, " "); kind == "tree" {
			trees[commits[i]] = id
		}
	}
	return trees, nil
}

// leaveStrangers finds the commits that are not part of another's history.
func (r Repo) leaveStrangers(ctx context.Context, distances map[string]Distance, head string) error {
	var revisions strings.Builder
	for commit := range distances {
		fmt.Fprintln(&revisions, commit)
	}
	fmt.Fprintf(&revisions, "^%s\n", head)
	out, err := r.ask(ctx, strings.NewReader(revisions.String()), "rev-list", "--stdin")
	if err != nil {
		return err
	}
	for stranger := range strings.Lines(out) {
		if commit := strings.TrimSpace(stranger); distances[commit].Ancestor {
			distances[commit] = Distance{}
		}
	}
	return nil
}

// compare lists for each ancestor the files that differ. Commits with the same files are compared once.
func (r Repo) compare(ctx context.Context, distances map[string]Distance, trees map[string]string, head string) error {
	var pairs []string
	commits := map[string][]string{} // by pair
	for commit, d := range distances {
		pair := trees[commit] + " " + trees[head] + "\n"
		if d.Ancestor && commits[pair] == nil {
			pairs = append(pairs, pair)
		}
		if d.Ancestor {
			commits[pair] = append(commits[pair], commit)
		}
	}
	out, err := r.ask(ctx, strings.NewReader(strings.Join(pairs, "")), "diff-tree", "--stdin", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--ignore-submodules=none")
	if err != nil {
		return err
	}
	for i, pair := range pairs {
		rest, ok := strings.CutPrefix(out, pair)
		if !ok {
			return fmt.Errorf("git diff-tree: cannot read %.100q", out)
		}
		var changed []string
		// No file can be called like the next pair: the pair holds the digest of a tree with that file's name in it.
		for rest != "" && (i+1 == len(pairs) || !strings.HasPrefix(rest, pairs[i+1])) {
			var file string
			file, rest, _ = strings.Cut(rest, "\x00")
			changed = append(changed, file)
		}
		for _, commit := range commits[pair] {
			distances[commit] = Distance{Ancestor: true, Changed: changed}
		}
		out = rest
	}
	return nil
}
