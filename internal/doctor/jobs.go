package doctor

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A need is a right of the job's token that a mode wants.
type need struct {
	scope, level, why string
	must              bool // without it the mode does not do what it is for
}

func (n need) String() string { return fmt.Sprintf("`%s: %s` (%s)", n.scope, n.level, n.why) }

// recorded is the need of whoever names an environment.
var recorded = need{"deployments", "write", "the deployment that is recorded", false}

// needs are those of a mode, for what the configuration says. Who examines stands for who does it all.
func (f Facts) needs(mode string) []need {
	c := f.Config
	if mode == "doctor" {
		mode = "all"
	}
	ends := mode == "all" || mode == "finalize" // which does all that follows a publication
	finishes, works := ends || mode == "promote", mode == "all" || mode == "publish" || mode == "judge"
	var all []need
	add := func(when bool, n need) {
		if when {
			all = append(all, n)
		}
	}
	reads := mode == "plan" || mode == "judge" || mode == "rescan" || mode == "mirror" || mode == "compose" || mode == "deploy"
	pushes, keyless := f.publishes() && c.RegistryToken == "", f.publishes() && f.keyless()
	releases := ends && f.publishes() && (c.Release == "draft" || c.Release == "publish")
	add(releases, need{"contents", "write", "the release", true})
	cleans := mode == "clean" || ends && f.publishes() && c.Clean.After
	add((finishes || works || reads || mode == "clean") && !releases && !f.Event.Public, need{"contents", "read", "the checkout", f.Event.Visibility != ""})
	add((finishes || works) && pushes && mode != "judge", need{"packages", "write", "the images", true})
	add(mode == "clean", need{"packages", "write", "what is to go", true})
	add(ends && c.Comment, need{"pull-requests", "write", "the comment", false})
	add(cleans && !(ends && c.Comment), need{"pull-requests", "read", "which are open", false})
	add(cleans, need{"deployments", "read", "what is live", false})
	add(mode == "deploy" && c.Deploy.Environment != "", recorded)
	add(reads, need{"packages", "read", "what is published", false})
	add((finishes || mode == "judge" || mode == "rescan") && c.CodeScanning != "off", need{"security-events", "write", "the findings", false})
	add(finishes && keyless, need{"id-token", "write", "the signatures", c.Sign == "keyless"})
	add(finishes && keyless && (c.Attest == "auto" || c.Attest == "github"), need{"attestations", "write", "what is attested of the images", c.Attest == "github"})
	add(works && (c.Cache == "auto" || c.Cache == "gha"), need{"actions", "read", "how full the cache is", false})
	add(mode == "rescan" && c.RescanIssues, need{"issues", "write", "the issues", true})
	return all
}

// publishes reports whether the workflow has runs that publish.
func (f Facts) publishes() bool {
	c := f.Config
	if c.DryRun || c.Push == "false" {
		return false
	}
	return c.Push == "true" || f.Pushes || slices.ContainsFunc(f.Workflow.text.On, func(on string) bool { return slices.Contains(f.Publishing, on) })
}

// keyless reports whether the images are signed by the job's identity.
func (f Facts) keyless() bool {
	return f.Config.Sign == "keyless" || f.Config.Sign == "auto" && !f.Key && !f.secret()
}

// secret reports whether signing by identity would tell everybody of a repository that not everybody is to know of.
func (f Facts) secret() bool {
	return f.Event.Visibility != "" && !f.Event.Public && f.Config.SigningConfig == ""
}

// permissionLines are rights as a job gives them.
func permissionLines(needs []need) string {
	var b strings.Builder
	b.WriteString("permissions:\n")
	if !slices.ContainsFunc(needs, func(n need) bool { return n.scope == "contents" }) {
		b.WriteString("  contents: read\n")
	}
	for _, n := range needs {
		fmt.Fprintf(&b, "  %s: %s\n", n.scope, n.level)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// permissions compares what the jobs that use this action are given with what they need. GitHub tells nobody what a token may.
func permissions(f Facts) []Finding {
	const how = "look into the job's log, Set up job, GITHUB_TOKEN Permissions: it lists what the token may"
	w := f.Workflow
	switch {
	case !f.OnRunner:
		return nil
	case w.Unread != "":
		return one(Unknown, "GITHUB_WORKFLOW_REF", "what the jobs are given is not known: "+w.Unread, how+"; it needs\n"+permissionLines(f.needs("all")))
	case len(w.jobs) == 0:
		return one(Unknown, w.File, "no job there has a step that uses this action: another workflow or action does", how+"; it needs\n"+permissionLines(f.needs("all")))
	}
	var found []Finding
	for _, j := range w.jobs {
		found = append(found, f.rightsOf(j)...)
	}
	return found
}

// needsOf are those of all that a job does. What a token of somebody's own may is not up to the job; its identity and its checkout are.
func (f Facts) needsOf(j job) []need {
	var needs []need
	if j.deploys && !j.ownToken {
		needs = append(needs, recorded)
	}
	for _, mode := range j.modes {
		for _, n := range f.needs(mode) {
			switch i := slices.IndexFunc(needs, func(other need) bool { return other.scope == n.scope }); {
			case j.ownToken && n.scope != "id-token" && n.scope != "contents":
			case i < 0:
				needs = append(needs, n)
			case n.level == "write":
				needs[i] = n
			}
		}
	}
	return needs
}

func (f Facts) rightsOf(j job) []Finding {
	var must, may []need
	needs := f.needsOf(j)
	where, lines := f.Workflow.at(j.line), permissionLines(needs)
	if j.rights == nil {
		return one(Advice, where, fmt.Sprintf("job %s says no `permissions`: what its token may is up to the repository's settings, and may be too little or too much", j.id), lines)
	}
	if j.rights.all == "write-all" {
		return one(Advice, where, fmt.Sprintf("job %s is given every right there is, and needs few", j.id), lines)
	}
	for _, n := range needs {
		switch {
		case j.rights.has(n.scope, n.level):
		case n.must:
			must = append(must, n)
		default:
			may = append(may, n)
		}
	}
	var found []Finding
	for _, lacking := range []struct {
		state State
		needs []need
	}{{Problem, must}, {Advice, may}} {
		if len(lacking.needs) > 0 {
			found = append(found, one(lacking.state, where, fmt.Sprintf("job %s lacks %s", j.id, list(lacking.needs)), lines)...)
		}
	}
	if len(found) == 0 {
		return fine("job " + j.id + " is given what it needs")
	}
	return found
}

func list(needs []need) string {
	texts := make([]string, len(needs))
	for i, n := range needs {
		texts[i] = n.String()
	}
	return strings.Join(texts, ", ")
}

// concurrency finds jobs that move tags while others of the same branch do.
func concurrency(f Facts) []Finding {
	moving := f.Workflow.doing("all", "finalize", "promote")
	if len(moving) == 0 {
		return nil
	}
	if !f.Workflow.text.Concurrency.IsZero() {
		return fine("runs of the workflow wait for each other")
	}
	var found []Finding
	for _, j := range moving {
		if j.text.Concurrency.IsZero() && !j.called {
			found = append(found, one(Advice, f.Workflow.at(j.line), fmt.Sprintf("runs of job %s do not wait for each other: those of one branch do the same work twice", j.id), "concurrency:\n  group: publish-${{ github.ref }}")...)
		}
	}
	if len(found) == 0 {
		return fine("runs of the jobs wait for each other")
	}
	return found
}

// jobs finds out whether what jobs hand on comes to an end: rows of a matrix move no tags.
func jobs(f Facts) []Finding {
	found := slices.Concat(f.matrices(), f.Workflow.rows(), f.Workflow.ends())
	if len(found) == 0 && len(f.Workflow.jobs) > 0 {
		return fine("what one hands on another takes")
	}
	return found
}

// matrices finds those whose rows are runs of their own.
func (f Facts) matrices() []Finding {
	var found []Finding
	for _, j := range f.Workflow.doing("all") {
		if !j.text.Strategy.Matrix.IsZero() && f.Config.Promote != "per-service" {
			found = append(found, one(Advice, f.Workflow.at(j.line), fmt.Sprintf("each row of the matrix of job %s is a run of its own, which moves its tags whatever becomes of the others", j.id),
				"mode: publish     # in that job, after one with `mode: plan`\n"+finalizing(j.uses, j.id))...)
		}
	}
	return found
}

// rows finds those that nobody plans, or puts together. Where other workflows are called, they may do so.
func (w Workflow) rows() []Finding {
	state := Problem
	if w.calls {
		state = Unknown
	}
	var found []Finding
	for _, j := range w.doing("publish") {
		if len(w.doing("finalize")) == 0 {
			found = append(found, one(state, w.at(j.line), fmt.Sprintf("job %s publishes rows of a matrix, and no job here puts them together: without that no tag ever moves", j.id), finalizing(j.uses, j.id))...)
		}
		if len(w.doing("plan")) == 0 {
			found = append(found, one(state, w.at(j.line), fmt.Sprintf("job %s works on rows of a plan that no job here makes", j.id), planning(j.uses))...)
		}
	}
	return found
}

// ends finds jobs that are to put rows together and begin too early, or are left out where they are to tell of a failure.
func (w Workflow) ends() []Finding {
	var found []Finding
	for _, j := range w.doing("finalize") {
		for _, row := range w.doing("publish") {
			if !slices.Contains(j.text.Needs, row.id) {
				found = append(found, one(Problem, w.at(j.line), fmt.Sprintf("job %s does not wait for job %s, whose rows it is to put together", j.id, row.id), finalizing(j.uses, row.id))...)
			}
		}
		if !despite.MatchString(j.text.If) {
			found = append(found, one(Advice, w.at(j.line), fmt.Sprintf("job %s is left out where a row fails, so that nothing tells of the rest", j.id), "if: ${{ !cancelled() && needs.plan.result == 'success' }}")...)
		}
	}
	return found
}

// despite finds conditions under which a job runs although one that it needs has failed.
var despite = regexp.MustCompile(`(?i)\b(cancelled|always|failure)\s*\(`)

func finalizing(uses, rows string) string {
	return `finalize:
  needs: [plan, ` + rows + `]
  if: ${{ !cancelled() && needs.plan.result == 'success' }}
  runs-on: ubuntu-latest
  steps:
    - uses: actions/checkout@v6
      with: {fetch-depth: 0, persist-credentials: false}
    - uses: ` + uses + `
      with: {mode: finalize}`
}

func planning(uses string) string {
	return `plan:
  runs-on: ubuntu-latest
  outputs: {matrix: "${{ steps.plan.outputs.matrix }}", has-work: "${{ steps.plan.outputs.has-work }}"}
  steps:
    - uses: actions/checkout@v6
      with: {fetch-depth: 0, persist-credentials: false}
    - id: plan
      uses: ` + uses + `
      with: {mode: plan}`
}

// foreign reports whether a label is one of runners of another system.
func foreign(label string) bool {
	label = strings.ToLower(label)
	return strings.HasPrefix(label, "windows") || strings.HasPrefix(label, "macos")
}

// runner finds jobs on machines that have no containers of Linux, where this action never starts.
// https://docs.github.com/en/actions/tutorials/create-actions/create-a-docker-container-action
func runner(f Facts) []Finding {
	var found []Finding
	for _, j := range f.Workflow.jobs {
		if i := slices.IndexFunc(j.text.RunsOn, foreign); i >= 0 {
			found = append(found, one(Problem, f.Workflow.at(j.line), fmt.Sprintf("job %s runs on %s, and actions in containers run on Linux alone", j.id, j.text.RunsOn[i]), "runs-on: ubuntu-latest")...)
		}
	}
	if len(found) == 0 && len(f.Workflow.jobs) > 0 {
		return fine("the jobs run on Linux")
	}
	return found
}
