package migrate

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// beside says what a workflow does besides publishing images: what its jobs need for that, and what they do before and after.
func (all *Reading) beside(w workflow, known library) {
	type place struct{ workflow, job string }
	building := map[place]bool{}
	for _, j := range w.jobs {
		if slices.ContainsFunc(j.text.Steps, step.builds) {
			building[place{j.home, j.id}] = true
		}
	}
	others := map[string][]string{} // jobs that have nothing to do with images, by file
	for _, j := range w.jobs {
		more := j.more(known)
		switch {
		case building[place{j.home, j.id}]:
			if j.around == nil { // which has the same surroundings as its caller
				all.surroundings(w, j)
			}
			if len(more) > 0 {
				all.aside("%s: the job %s also has these steps: %s. Put what the build needs before org/ghcr-publish in the new workflow, and what uses the images after it.", j.file, j.id, strings.Join(more, ", "))
			}
		case len(more) > 0 || j.text.Uses.Value != "" && !aboutImages.MatchString(j.text.Uses.Value):
			others[j.file] = union(others[j.file], []string{j.id})
		}
	}
	for _, file := range slices.Sorted(maps.Keys(others)) {
		all.Mixed = union(all.Mixed, []string{file})
		all.aside("%s: its jobs %s do something else: they stay where they are, and a job of the new workflow that is to wait for one must have it there.", file, strings.Join(others[file], ", "))
	}
}

// carried are events that the new workflow has, too, or that start nothing by themselves.
var carried = []string{"push", "pull_request", "pull_request_target", "workflow_dispatch", "workflow_call"}

// starts takes over which pushes start a workflow, and names what else does.
func (all *Reading) starts(w workflow) {
	branches, tags := w.filter("push", "branches"), w.filter("push", "tags")
	all.Branches, all.GitTags = union(all.Branches, branches), union(all.GitTags, tags)
	if events := w.events(); slices.Contains(events, "push") && (len(branches) > 0 || len(tags) == 0) {
		all.branchesPush = true
		if len(branches) == 0 {
			all.aside("%s: there a push to any branch starts it: here those alone that are named under `branches` of the new workflow.", w.file)
		}
	}
	if others := slices.DeleteFunc(w.events(), func(event string) bool { return slices.Contains(carried, event) }); len(others) > 0 {
		all.aside("%s: it is started by %s, too: write that under `on` of the new workflow, where it is to publish then.", w.file, strings.Join(others, ", "))
	}
}

func (all *Reading) aside(format string, args ...any) {
	if said := fmt.Sprintf(format, args...); !slices.Contains(all.Beside, said) {
		all.Beside = append(all.Beside, said)
	}
}

// builds reports whether a step builds images that are published.
func (s step) builds() bool {
	return s.pushes() || s.action() == bakeAction || s.published
}

// surroundings says what a job that builds has, and the new workflow's has not.
func (all *Reading) surroundings(w workflow, j job) {
	var labels []string
	for _, r := range j.rows {
		for _, label := range runners(&j.text.RunsOn) {
			filled, _ := w.scope(j, step{}, r).fill(label)
			labels = union(labels, []string{filled})
		}
	}
	said := strings.Join(labels, ", ")
	switch {
	case ofARM.MatchString(said):
		all.aside("%s:%d: the job %s runs on %s: one job emulates what its machine is not; with `split: platform` each platform is built on a runner of its own, which `runners` names.", j.file, j.text.RunsOn.Line, j.id, said)
	case slices.ContainsFunc(labels, func(label string) bool { return !strings.HasPrefix(label, "ubuntu-") }):
		all.aside("%s:%d: the job %s runs on %s: give that to the new workflow's job as `runs-on`.", j.file, j.text.RunsOn.Line, j.id, said)
	}
	if n := j.text.Environment; n.Kind != 0 {
		name := n.Value
		if named := child(&n, "name"); named != nil {
			name = named.Value
		}
		all.aside("%s:%d: the job %s has the environment %s: give that to the new workflow's job, whose secrets and rules it may need.", j.file, n.Line, j.id, name)
	}
	for _, s := range j.text.Steps {
		if s.action() != "actions/checkout" {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(s.With)) {
			if given := s.With[key]; given.text != "" && given.text != "false" && !slices.Contains([]string{"clean", "fetch-depth", "fetch-tags", "persist-credentials"}, key) {
				all.aside("%s:%d: the checkout has %s: %s: give that to actions/checkout in the new workflow, where the build needs it.", j.file, given.line, key, strings.TrimSpace(given.text))
			}
		}
	}
}

// ofARM finds machines of that kind by what they are called.
var ofARM = regexp.MustCompile(`(?i)\barm`)

// runners are what a job asks of its machine: its labels, or its group and the labels within that.
func runners(n *yaml.Node) (all []string) {
	if n.Kind != yaml.MappingNode {
		return words(n)
	}
	if group := child(n, "group"); group != nil {
		all = append(all, "the group "+group.Value)
	}
	if labels := child(n, "labels"); labels != nil {
		all = append(all, words(labels)...)
	}
	return all
}

var (
	// replaced are actions for which there is nothing to write, or that what is taken over stands for.
	replaced = regexp.MustCompile(`^(actions/(checkout|cache|attest|attest-.*|delete-package-versions)|docker/.*|dorny/paths-filter|tj-actions/changed-files|rlespinasse/github-slug-action|aquasecurity/.*|github/codeql-action/upload-sarif|sigstore/.*|anchore/(sbom|scan)-action|dataaxiom/ghcr-cleanup-action|snok/container-retention-policy)$`)
	// handedOn finds digests that jobs hand to each other.
	handedOn = regexp.MustCompile(`(?i)digest`)
	// replacedCommands finds commands that what is taken over stands for, or that only compute what other steps read.
	replacedCommands = regexp.MustCompile(`docker (login|logout|manifest|push|pull|tag|run|exec|logs|inspect|images|buildx (imagetools|create|use|inspect|ls|du|build|bake)|build)\b|GITHUB_(OUTPUT|ENV|STEP_SUMMARY)|::set-output|\bcosign |\btrivy |crane |(?i:digests)`)
)

// more are the steps of a job that nothing stands for here, by line.
func (j job) more(known library) (all []string) {
	for _, s := range j.text.Steps {
		_, composed := known.actions[local(s.Uses.Value)]
		action := s.action()
		switch {
		case s.Uses.Value != "" && (composed || replaced.MatchString(action) || aboutImages.MatchString(action)):
		case strings.HasSuffix(action, "load-artifact") && (handedOn.MatchString(s.With["name"].text+s.With["path"].text+s.With["pattern"].text) || strings.Contains(s.With["path"].text, "sarif")):
		case s.Uses.Value == "" && (strings.TrimSpace(s.Run.Value) == "" || replacedCommands.MatchString(s.Run.Value)):
		default:
			all = append(all, fmt.Sprintf("%s at line %d", s.called(), s.line()))
		}
	}
	return all
}

// called is what a step is known by. Of commands it is the first one's name, as the rest may hold anything.
func (s step) called() string {
	if s.Uses.Value != "" {
		return s.action()
	}
	said := "a script"
	if command := firstCommand(s.Run.Value); command != "" {
		said = fmt.Sprintf("`%.40s …`", command)
	}
	return cmp.Or(s.Name, said)
}

// firstCommand is the name of the first command of a script, but for what only sets something.
func firstCommand(script string) string {
	for line := range strings.Lines(script) {
		for _, word := range strings.Fields(line) {
			if word == "set" || word == "export" || strings.HasPrefix(word, "#") {
				break // of which the rest of the line is
			}
			if !strings.Contains(word, "=") {
				return word
			}
		}
	}
	return "" // as it only sets variables
}
