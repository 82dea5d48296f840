package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/results"
)

// A handover carries the plan and what the rows made from job to job of a run. What it saves it gives a
// reference, which is empty where the other jobs need none.
type handover interface {
	savePlan(ctx context.Context, made plan.Plan) (ref string, err error)
	plan(ctx context.Context) ([]byte, error)
	saveFragment(ctx context.Context, f publish.Fragment) (ref string, err error)
	// fragments returns the newest fragment of each of the plan's rows. One that cannot be read says why.
	fragments(ctx context.Context, made plan.Plan) (map[string]publish.Fragment, error)
}

// errNoHandover tells that there is no way to the other jobs of the run.
var errNoHandover = errors.New("nothing can be handed to other jobs here")

// onRunner reports whether a runner started the program, so that the run may have other jobs.
func (j job) onRunner() bool { return j.Event.RunID != "" }

func (j job) handover(p Process) (handover, error) {
	if !j.onRunner() {
		return nil, fmt.Errorf("%w, because no GitHub workflow started this; `all` does it in one go", errNoHandover)
	}
	if j.Config.Handover == "none" {
		return nil, fmt.Errorf("%w: `handover` is none", errNoHandover)
	}
	if j.Config.Handover == "registry" || j.Config.Handover == "auto" && onPremises(j.Event.ServerURL) {
		if !j.pushes() {
			return nil, fmt.Errorf("%w: the run pushes nothing, so it has no place in the registry either; use `mode: all` for such runs, or `handover: none` for a plan alone", errNoHandover)
		}
		return inRegistry{j.registryClient(), j.Config.Services[0].Image, j.Config.PlanRef, j.Config.Fragments}, nil
	}
	address, token := p.Getenv("ACTIONS_RESULTS_URL"), p.Getenv("ACTIONS_RUNTIME_TOKEN")
	if address == "" || token == "" {
		return nil, fmt.Errorf("%w: the runner gives no access to the run's artifacts (ACTIONS_RESULTS_URL and ACTIONS_RUNTIME_TOKEN are not set); update the runner, or set `handover: registry`, or `none` for a plan alone", errNoHandover)
	}
	client, err := results.New(address, token)
	return inArtifacts{client, j.Config.Artifact, j.Event.Attempt}, err
}

// onPremises reports whether a server is GitHub Enterprise Server, which keeps no artifacts of the present kind.
func onPremises(server string) bool {
	u, err := url.Parse(server)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	return host != "github.com" && !strings.HasSuffix(host, ".ghe.com") && !strings.HasSuffix(host, ".localhost")
}

func handOverPlan(ctx context.Context, p Process, j job, made plan.Plan) (ref string, err error) {
	between, err := j.handover(p)
	if err != nil {
		return "", err
	}
	return between.savePlan(ctx, made)
}

// takeOver reads the plan that another job of the run made, and proves that it is for what is here.
func takeOver(ctx context.Context, p Process, j job) (handover, plan.Plan, error) {
	between, err := j.handover(p)
	if err != nil {
		return nil, plan.Plan{}, err
	}
	data, err := between.plan(ctx)
	if err != nil {
		return nil, plan.Plan{}, err
	}
	made, err := j.planner().Adopt(ctx, data)
	return between, made, err
}

// inArtifacts hands over by artifacts of the run. Their names hold the attempt that made them: an artifact
// never changes, and the jobs of an attempt may be a few of all.
type inArtifacts struct {
	client  *results.Client
	prefix  string
	attempt int
}

func (a inArtifacts) save(ctx context.Context, kind, row string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("handing over the %s: %w", kind, err)
	}
	name := strings.TrimSuffix(fmt.Sprintf("%s-%s-%d-%s", a.prefix, kind, a.attempt, row), "-")
	return a.client.Upload(ctx, name, kind+".json", data)
}

func (a inArtifacts) savePlan(ctx context.Context, made plan.Plan) (string, error) {
	return "", a.save(ctx, "plan", "", made)
}

func (a inArtifacts) saveFragment(ctx context.Context, f publish.Fragment) (string, error) {
	return "", a.save(ctx, "row", f.Row, f)
}

func (a inArtifacts) plan(ctx context.Context) ([]byte, error) {
	newest, err := a.newest(ctx, "plan")
	if err != nil {
		return nil, err
	}
	artifact, found := newest[""]
	if !found {
		return nil, fmt.Errorf("no job of this run has handed over a plan: let a job with `mode: plan` and `artifact: %s` come first", a.prefix)
	}
	return a.client.Download(ctx, artifact)
}

func (a inArtifacts) fragments(ctx context.Context, made plan.Plan) (map[string]publish.Fragment, error) {
	newest, err := a.newest(ctx, "row")
	if err != nil {
		return nil, err
	}
	fragments := map[string]publish.Fragment{}
	for _, row := range made.Matrix.Include {
		if artifact, found := newest[row.Row]; found {
			fragments[row.Row] = a.fragment(ctx, artifact)
		}
	}
	return fragments, nil
}

func (a inArtifacts) fragment(ctx context.Context, artifact results.Artifact) publish.Fragment {
	data, err := a.client.Download(ctx, artifact)
	if err != nil {
		return publish.Fragment{Unread: err.Error()}
	}
	f, err := publish.ReadFragment(data)
	if err != nil {
		return publish.Fragment{Unread: err.Error()}
	}
	return f
}

// newest finds the last artifact of each row, or that of the plan under an empty name. What claims to be of
// an attempt that is still to come is not the program's.
func (a inArtifacts) newest(ctx context.Context, kind string) (map[string]results.Artifact, error) {
	all, err := a.client.List(ctx)
	if err != nil {
		return nil, err
	}
	ours := regexp.MustCompile(`^` + regexp.QuoteMeta(a.prefix+"-"+kind) + `-([0-9]+)(?:-(.+))?$`)
	newest, attempts := map[string]results.Artifact{}, map[string]int{}
	for _, artifact := range all {
		m := ours.FindStringSubmatch(artifact.Name)
		if m == nil {
			continue
		}
		if attempt, err := strconv.Atoi(m[1]); err == nil && attempt <= a.attempt && attempt > attempts[m[2]] {
			newest[m[2]], attempts[m[2]] = artifact, attempt
		}
	}
	return newest, nil
}

// Media types of what is handed over in a registry.
const (
	planType     = "application/vnd.ghcr-publish.plan.v1+json"
	fragmentType = "application/vnd.ghcr-publish.row.v1+json"
)

// inRegistry hands over by artifacts without a tag, beside the first image of the configuration. Jobs tell one another
// their digests by outputs, and the digests alone: a name might be somebody's secret, and be dropped.
type inRegistry struct {
	client   *registry.Client
	image    string
	planRef  string
	rowsRefs string
}

func (r inRegistry) save(ctx context.Context, mediaType string, v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("handing over: %w", err)
	}
	ref, err := r.client.Keep(ctx, r.image, mediaType, data)
	return ref.DigestStr(), err
}

func (r inRegistry) savePlan(ctx context.Context, made plan.Plan) (string, error) {
	return r.save(ctx, planType, made)
}

func (r inRegistry) saveFragment(ctx context.Context, f publish.Fragment) (string, error) {
	return r.save(ctx, fragmentType, f)
}

func (r inRegistry) plan(ctx context.Context) ([]byte, error) {
	if digest := digests.FindString(r.planRef); digest != "" {
		return r.client.Fetch(ctx, r.image+"@"+digest, planType)
	}
	return nil, errors.New("plan-ref holds no digest: give the output `plan-ref` of the job that planned")
}

// digests finds digests in a text.
var digests = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

func (r inRegistry) fragments(ctx context.Context, _ plan.Plan) (map[string]publish.Fragment, error) {
	newest := map[string]publish.Fragment{}
	for _, digest := range digests.FindAllString(r.rowsRefs, -1) {
		data, err := r.client.Fetch(ctx, r.image+"@"+digest, fragmentType)
		if err != nil {
			return nil, err
		}
		f, err := publish.ReadFragment(data)
		if err != nil {
			return nil, err
		}
		if f.Attempt > newest[f.Row].Attempt {
			newest[f.Row] = f
		}
	}
	return newest, nil
}
