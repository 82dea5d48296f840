package migrate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Fault is something that goes wrong in a workflow.
type Fault struct {
	File    string
	Line    int
	What    string // goes wrong, and why
	Instead string // what the action does
}

// faults finds what goes wrong in a workflow, by line.
func (w workflow) faults() []Fault {
	var all []Fault
	for _, find := range []func(workflow) []Fault{
		workflow.shallow, workflow.stringConditions, workflow.emptyBranch, workflow.latestEverywhere, workflow.refName, workflow.scans,
		workflow.capitals, workflow.plainHTTP, workflow.caches, workflow.arguments, workflow.unsigned, workflow.afterwards, workflow.curl,
		workflow.composeVersion, workflow.unpinned, workflow.guards,
	} {
		all = append(all, find(w)...)
	}
	slices.SortStableFunc(all, func(a, b Fault) int { return a.Line - b.Line })
	return all
}

func (w workflow) fault(line int, what, instead string) Fault {
	return Fault{w.file, line, what, instead}
}

// steps calls for each step of the jobs.
func (w workflow) steps(each func(j job, s step)) {
	for _, j := range w.jobs {
		for _, s := range j.text.Steps {
			each(j, s)
		}
	}
}

// grep finds the lines that match, but comments.
func (w workflow) grep(pattern *regexp.Regexp) (found []int) {
	for n, line := range w.lines {
		if pattern.MatchString(line) && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			found = append(found, n+1)
		}
	}
	return found
}

// once is the first line that matches, as a fault; none where there is none.
func (w workflow) once(pattern *regexp.Regexp, what, instead string) []Fault {
	if lines := w.grep(pattern); len(lines) > 0 {
		return []Fault{w.fault(lines[0], what, instead)}
	}
	return nil
}

var parent = regexp.MustCompile(`\bHEAD(~1|\^)|github\.event\.before|git diff .*HEAD~`)

func (w workflow) shallow() []Fault {
	return w.once(parent, "What changed is looked for in the last commit alone: a push of several, or one after a run that failed, loses services.",
		"Each service is compared with the commit that is really published.")
}

var comparedWithText = regexp.MustCompile(`matrix\.([A-Za-z0-9_.-]+)\s*[!=]=\s*'(true|false)'`)

func (w workflow) stringConditions() (all []Fault) {
	w.steps(func(j job, s step) {
		m := comparedWithText.FindStringSubmatch(s.If.Value)
		if m == nil || !slices.ContainsFunc(j.rows, func(r row) bool { return isBoolean(r[m[1]]) }) {
			return
		}
		all = append(all, w.fault(s.If.Line, fmt.Sprintf("matrix.%s is true or false, and never equals the text '%s': GitHub compares the two as numbers.", m[1], m[2]),
			"The plan has rows for the services alone that need work."))
	})
	return all
}

var comparison = regexp.MustCompile(`^\$\{\{.*(==|!=|&&|\|\|).*\}\}$`)

func isBoolean(value string) bool {
	return value == "true" || value == "false" || comparison.MatchString(value)
}

func (w workflow) emptyBranch() (all []Fault) {
	elsewhere := slices.Contains(w.events(), "pull_request") || w.hasTags()
	w.steps(func(_ job, s step) {
		if tags := s.With["tags"]; elsewhere && s.action() == metadataAction && strings.Contains(tags.text, "prefix={{branch}}-") {
			all = append(all, w.fault(tags.line, "`prefix={{branch}}-` is `-` on pull requests and git tags, which begins no tag: every such build fails.",
				"A rule that gives no tag there is left out, and the plan says so."))
		}
	})
	return all
}

func (w workflow) latestEverywhere() (all []Fault) {
	w.steps(func(_ job, s step) {
		for rule := range strings.Lines(s.With["tags"].text) {
			if s.action() == metadataAction && strings.HasPrefix(strings.TrimSpace(rule), "type=raw") && strings.Contains(rule, "latest") && !strings.Contains(rule, "enable=") {
				all = append(all, w.fault(s.With["tags"].line, "`latest` is moved by every event: branches, pull requests and prereleases, too.", "`latest` follows releases, and moves forward only."))
			}
		}
	})
	return all
}

var (
	refTag = regexp.MustCompile(`:\$\{\{\s*github\.ref_name\s*\}\}|:\$\{?GITHUB_REF_NAME\}?`)
	cached = regexp.MustCompile(`type=registry`)
)

func (w workflow) refName() []Fault {
	if !w.hasTags() {
		return nil
	}
	w.lines = slices.Clone(w.lines)
	for _, n := range w.grep(cached) {
		w.lines[n-1] = "" // which caches has
	}
	return w.once(refTag, "An image is named by `github.ref_name`, which is `v1.2.3` where the tag that was pushed is `1.2.3`, and may hold a slash.",
		"What is scanned, tried out and signed is named by digest.")
}

const trivyAction = "aquasecurity/trivy-action"

func (w workflow) scans() (all []Fault) {
	several := false
	w.steps(func(_ job, s step) {
		several = several || s.action() == buildAction && len(list(s.With["platforms"].text)) > 1
	})
	w.steps(func(j job, s step) {
		if s.action() == "github/codeql-action/upload-sarif" && len(j.rows) > 1 && s.With["category"].text == "" {
			all = append(all, w.fault(s.line(), "Findings are uploaded without a category: each service's replace the ones before.", "Each service and platform has a category of its own."))
		}
		if s.action() != trivyAction {
			return
		}
		if several && !strings.Contains(s.With["image-ref"].text, "matrix.platform") {
			all = append(all, w.fault(s.line(), "One platform alone is scanned of images that have several.", "Each platform's image is scanned."))
		}
		if s.Tolerant.Value == "true" || s.With["exit-code"].text != "1" {
			all = append(all, w.fault(s.line(), "The scan refuses nothing, whatever it finds.", "A finding of `fail_on` or worse keeps the image from getting a tag."))
		}
	})
	return all
}

var owned = regexp.MustCompile(`ghcr\.io/\$\{\{\s*github\.(repository_owner|repository)\s*\}\}`)

func (w workflow) capitals() []Fault {
	return w.once(owned, "The owner is written into image names as it is: one with capitals is refused by every registry.", "Image names are in lower case.")
}

var insecure = regexp.MustCompile(`^\s*http\s*=\s*true`)

func (w workflow) plainHTTP() []Fault {
	return w.once(insecure, "BuildKit is told to speak plain HTTP to the registry.", "The registry is asked what it speaks.")
}

var (
	localCache  = regexp.MustCompile(`type=local,(src|dest|mode)`)
	branchCache = regexp.MustCompile(`type=registry,ref=.*(\{\{\s*branch\s*\}\}|github\.(ref_name|head_ref|ref)\b)`)
	branchScope = regexp.MustCompile(`type=gha.*scope=.*github\.(ref_name|head_ref|ref)\b`)
)

func (w workflow) caches() []Fault {
	kept := false
	w.steps(func(_ job, s step) { kept = kept || strings.HasPrefix(s.action(), "actions/cache") })
	var all []Fault
	if !kept {
		all = w.once(localCache, "A cache in a folder of the runner is gone with it, and only costs time.", "Layers are kept where the next run finds them, and a cache that gives nothing is left out.")
	}
	all = append(all, w.once(branchCache, "The cache's tag holds the name of the branch, which may be empty or hold a slash, and clutters the image.", "The default branch's cache is read by all and written by itself alone.")...)
	return append(all, w.once(branchScope, "The cache's scope holds the name of the branch: every new branch starts without any.", "Other branches start from the default branch's layers.")...)
}

var (
	changing = regexp.MustCompile(`github\.(sha|run_number|run_id)|repository\.(updated_at|pushed_at)|head_commit\.timestamp|outputs\.(date|created)`)
)

func (w workflow) arguments() (all []Fault) {
	w.steps(func(_ job, s step) {
		if given := s.With["build-args"]; s.action() == buildAction && changing.MatchString(given.text) {
			all = append(all, w.fault(given.line, "A build argument is another one with each commit, so each step after its ARG is built anew.", "Labels tell version, commit and date, and count as no change."))
		}
	})
	return all
}

func (w workflow) unsigned() (all []Fault) {
	w.steps(func(_ job, s step) {
		if off := s.With["provenance"]; s.action() == buildAction && off.text == "false" {
			all = append(all, w.fault(off.line, "Nothing tells what the images were made from.", "Images have provenance, and are signed."))
		}
	})
	return all
}

var tries = regexp.MustCompile(`docker (run|pull)\b`)

// afterwards finds what is looked at only when everybody can pull it already.
func (w workflow) afterwards() []Fault {
	pushed := false
	for _, j := range w.jobs {
		for _, s := range j.text.Steps {
			switch {
			case s.pushes() && s.With["tags"].text != "":
				pushed = true
			case pushed && (s.action() == trivyAction || tries.MatchString(s.Run.Value)):
				return []Fault{w.fault(s.line(), "Images are looked at when they have their tags already: what is bad was published.", "An image gets a tag once it has passed.")}
			}
		}
	}
	return nil
}

var asked = regexp.MustCompile(`docker (compose )?exec .*\b(curl|wget|node|sh)\b`)

func (w workflow) curl() []Fault {
	return w.once(asked, "The image is asked by a program that it must have for that alone.", "A port is asked from outside; the image needs nothing for it.")
}

var version = regexp.MustCompile(`^\s*version:\s*['"]?[23](\.\d+)?['"]?\s*$`)

func (w workflow) composeVersion() []Fault {
	return w.once(version, "`version:` means nothing in Compose files any more.", "The Compose file is made of what is published, by digest.")
}

func (w workflow) unpinned() (all []Fault) {
	w.steps(func(_ job, s step) {
		if v := s.version(); v == "master" || v == "main" || v == "latest" {
			all = append(all, w.fault(s.line(), fmt.Sprintf("%s is whatever its %s is at that moment.", s.action(), v), "The action's image is pinned by digest, and all programs are in there."))
		}
	})
	return all
}

// guards finds what a workflow as a whole lacks.
func (w workflow) guards() (all []Fault) {
	guarded := w.text.Concurrency.Kind != 0 || slices.Equal(w.events(), []string{"workflow_call"}) // whose callers wait for each other, or do not
	for _, j := range w.jobs {
		guarded = guarded || j.text.Concurrency.Kind != 0
	}
	if !guarded {
		all = append(all, w.fault(1, "Two runs at once move the same tags, the older one last perhaps.", "Tags move forward only, and runs of one ref wait for each other."))
	}
	if p := w.text.Permissions; p.Value == "write-all" {
		all = append(all, w.fault(p.Line, "The token may write everything.", "Each job has what it needs."))
	}
	return all
}
