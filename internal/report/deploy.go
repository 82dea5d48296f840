package report

import (
	"cmp"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/deploy"
)

// DeploySchema is the JSON Schema that every report of deploying conforms to.
//
//go:embed deploy.schema.json
var DeploySchema []byte

// A Deployment is what became of a Compose project on a Docker host, or how it is there.
type Deployment struct {
	SchemaVersion int              `json:"schema_version"`
	Program       string           `json:"program"` // name and version
	RunURL        string           `json:"run_url,omitempty"`
	StartedAt     time.Time        `json:"started_at"`
	Seconds       float64          `json:"seconds"`
	Outcome       string           `json:"outcome"` // deployed, rolled-back, planned, refused, failed; healthy, unwell or deploying
	ExitCode      int              `json:"exit_code"`
	Host          string           `json:"host"`
	Project       string           `json:"project"`
	Environment   string           `json:"environment,omitempty"`
	Services      []Deployed       `json:"services"`
	Troubles      []deploy.Trouble `json:"troubles"`
	Error         string           `json:"error,omitempty"`
	After         string           `json:"after,omitempty"` // what became of what ran before, where it failed: restored, partly, removed, left or unrestored
	Notices       []string         `json:"notices"`
}

// Deployed is a service on the host.
type Deployed struct {
	Service   string    `json:"service"`
	Image     string    `json:"image"`               // that it runs, or is to run
	Before    string    `json:"before,omitempty"`    // that it ran
	Published string    `json:"published,omitempty"` // digest under its tag, where another is
	State     string    `json:"state,omitempty"`
	Restarts  int       `json:"restarts,omitempty"`
	Since     time.Time `json:"since,omitzero"`
	Share     *int      `json:"share,omitempty"` // percent of the requests, of a colour of a service that is switched
}

// Settle settles outcome and exit code of a deployment, or a rollback, that came to an end.
func (d *Deployment) Settle(r deploy.Result, good string) {
	d.Outcome, d.Troubles, d.After = good, append(d.Troubles, r.Troubles...), r.After
	switch {
	case r.Good():
		d.settleUnnoted(r.Unnoted)
	case r.Err != nil:
		d.Outcome, d.ExitCode, d.Error = "failed", ExitFault, r.Err.Error()
	default:
		d.Outcome, d.ExitCode = "refused", ExitRefused
	}
	if r.Astray != nil {
		d.Outcome, d.ExitCode, d.Error = "failed", ExitFault, strings.TrimPrefix(d.Error+"; going back failed too: "+r.Astray.Error(), "; ")
	}
}

// settleUnnoted settles those of one that is well, but that the host does not remember: what fails next would not go back to it.
func (d *Deployment) settleUnnoted(err error) {
	if err == nil {
		return
	}
	again := "deploy it once more"
	if d.Outcome == "rolled-back" { // what is deployed may be what was gone back from
		again = "roll back once more"
	}
	d.ExitCode, d.Error = ExitFault, fmt.Sprintf("the host could not be told all of what runs there by now, so %s: %v", again, err)
}

// SettleStatus settles those of a look at what is deployed.
func (d *Deployment) SettleStatus(s deploy.Status) {
	switch d.Outcome = "healthy"; {
	case s.Busy != "":
		d.Outcome = "deploying" // what is not well now may be so in a moment
	case len(s.Troubles) > 0:
		d.Outcome, d.ExitCode, d.Troubles = "unwell", ExitRefused, s.Troubles
	}
	for _, i := range s.Running {
		d.Services = append(d.Services, Deployed{Service: i.Service, Image: i.Image, State: strings.TrimSpace(i.Status + " " + i.Health), Restarts: i.Restarts, Since: i.Since})
	}
	d.Share(s.Shares)
}

// Share says what each colour gets of the requests, in percent.
func (d *Deployment) Share(shares map[string]int) {
	for n := range d.Services {
		if share, switched := shares[d.Services[n].Service]; switched {
			d.Services[n].Share = &share
		}
	}
}

// title is a service with its share of the requests.
func (d Deployed) title() string {
	if d.Share == nil {
		return d.Service
	}
	return fmt.Sprintf("%s (%d %% of the requests)", d.Service, *d.Share)
}

// Answer is the deployment in one sentence.
func (d Deployment) Answer() string {
	where := d.Project + " on " + d.Host
	switch d.Outcome {
	case "deployed":
		return d.done("Deployed " + where)
	case "rolled-back":
		return d.done("Rolled back " + where)
	case "planned":
		return fmt.Sprintf("✅ %s was left as it is, as this run changes nothing.", where)
	case "healthy":
		return fmt.Sprintf("✅ All of %s is well.", where)
	case "deploying":
		return fmt.Sprintf("✅ A deployment of %s is under way.", where)
	case "unwell":
		return fmt.Sprintf("❌ Not well of %s: %s.", where, d.sick())
	default:
		return "❌ Not deployed " + where + ": " + cmp.Or(d.sick(), "it could not be done") + ". " + d.after()
	}
}

func (d Deployment) done(what string) string {
	if d.ExitCode != 0 {
		return fmt.Sprintf("❌ %s in %s: all of it is well, but the host does not remember it.", what, seconds(d.Seconds))
	}
	return fmt.Sprintf("✅ %s in %s: all of it is well.", what, seconds(d.Seconds))
}

func (d Deployment) sick() string {
	var names []string
	for _, t := range d.Troubles {
		names = append(names, t.Service)
	}
	return strings.Join(slices.Compact(names), ", ")
}

func (d Deployment) after() string {
	switch d.After {
	case deploy.Restored:
		return "What ran before runs again, and is well."
	case deploy.Partly:
		return "The images that were well before run again; what else was not written down is not restored."
	case deploy.Removed:
		return "It was the first deployment, and was taken down; volumes are kept."
	case deploy.Left:
		return "What it had begun is left as it is: the next deployment, or a rollback, sets it right."
	case deploy.Stranded:
		return "GOING BACK FAILED TOO: the host needs somebody now."
	default:
		return "Nothing was gone back to."
	}
}

// Summary renders it as Markdown.
func (d Deployment) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n", cell(d.Answer()))
	if slices.Contains([]string{"healthy", "unwell", "deploying"}, d.Outcome) {
		d.writeStates(&b)
	} else {
		d.writeChanges(&b)
	}
	for _, t := range d.Troubles {
		fmt.Fprintf(&b, "\n- ❌ **%s** %s\n", cell(t.Service), cell(t.What))
		if t.Health != "" {
			fmt.Fprintf(&b, "  - its health check says: %s\n", cell(t.Health))
		}
		for _, line := range t.Log {
			fmt.Fprintf(&b, "  - %s\n", cell(line))
		}
	}
	if d.Error != "" {
		fmt.Fprintf(&b, "\n- ❌ %s\n", cell(d.Error))
	}
	for _, n := range d.Notices {
		fmt.Fprintf(&b, "\n- ⚠️ %s\n", cell(n))
	}
	return b.String()
}

func (d Deployment) writeChanges(b *strings.Builder) {
	if len(d.Services) == 0 {
		return
	}
	b.WriteString("\n| service | before | now |\n|---|---|---|\n")
	for _, s := range d.Services {
		now := brief(s.Image)
		if s.Image == s.Before {
			now = "unchanged"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", cell(s.title()), cell(brief(s.Before)), cell(now))
	}
}

func (d Deployment) writeStates(b *strings.Builder) {
	if len(d.Services) == 0 {
		return
	}
	b.WriteString("\n| service | state | since | restarts | image | published |\n|---|---|---|---|---|---|\n")
	for _, s := range d.Services {
		published := "the same"
		if s.Published != "" {
			published = short(s.Published)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %d | %s | %s |\n", cell(s.title()), cell(s.State), s.Since.UTC().Format("2006-01-02 15:04:05 MST"), s.Restarts, cell(brief(s.Image)), cell(published))
	}
}

// brief is enough of an image's name to tell it from others.
func brief(image string) string {
	if _, digest, pinned := strings.Cut(image, "@"); pinned {
		return short(digest)
	}
	return cmp.Or(image, "–")
}
