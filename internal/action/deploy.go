package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/compose"
	"github.com/org/ghcr-publish/internal/deploy"
	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/service"
)

// A deployment is one run of mode deploy.
type deployment struct {
	job     job
	process Process
	log     *actions.Log
	private *privateDir
	env     []string // of Compose
	host    deploy.Host
	told    report.Deployment
	done    []func() error // what ends with it, the last first
	id      int64          // that GitHub has for it; 0 for none
}

// deployMode brings what is live up on a Docker host, goes back to what ran there before, or looks how it is.
func deployMode(ctx context.Context, p Process, j job, log *actions.Log) (int, error) {
	d := &deployment{job: j, process: p, log: log, told: report.Deployment{SchemaVersion: 1, Program: "ghcr-publish " + p.Version, RunURL: runURL(j.Event), StartedAt: p.Now().UTC().Truncate(time.Second),
		Environment: cmp.Or(j.Config.Environment, j.Config.Deploy.Environment), Services: []report.Deployed{}, Troubles: []deploy.Trouble{}, Notices: []string{}}}
	err := d.open(ctx)
	if err == nil {
		err = d.do(ctx)
	}
	if err = errors.Join(err, d.close()); err != nil {
		return 0, hint(err)
	}
	d.remember(ctx)
	return d.tell(ctx)
}

func (d *deployment) do(ctx context.Context) error {
	switch c := d.job.Config; {
	case c.Status:
		return d.status(ctx)
	case c.Rollback:
		return d.rollBack(ctx)
	default:
		return d.deploy(ctx)
	}
}

// open reaches the host.
func (d *deployment) open(ctx context.Context) (err error) {
	if d.private, err = newPrivateDir(tempDir(d.job.Event)); err != nil {
		return err
	}
	d.done = append(d.done, d.private.Close)
	c, getenv := d.job.Config, d.process.Getenv
	if err := d.private.login(getenv("HOME"), d.job.logins()...); err != nil {
		return err
	}
	address := cmp.Or(getenv("DOCKER_HOST"), "unix:///var/run/docker.sock")
	d.told.Host, d.told.Project = address, d.job.project()
	d.env = d.private.environ(d.job.Environ, d.job.Workspace)
	switch {
	case strings.HasPrefix(address, "ssh://"):
		if getenv, err = d.tunnel(ctx, address); err != nil {
			return err
		}
	case getenv("DOCKER_CERT_PATH") != "":
		d.env = append(d.env, "DOCKER_TLS_VERIFY=1") // without which Compose would not use them
	}
	e, err := engine.Open(getenv)
	if err == nil {
		_, err = e.Platform(ctx)
	}
	if err != nil {
		return fmt.Errorf("reaching the Docker host %s: %w", address, err)
	}
	d.host = deploy.Host{Engine: e, Project: d.told.Project, By: cmp.Or(d.told.RunURL, d.job.Config.Username), Wait: c.Deploy.Wait, Every: lookEvery, Tell: d.log.Printf}
	return nil
}

// logins are those to all registries from which what is deployed may be pulled.
func (j job) logins() (all []login) {
	for _, m := range j.Config.Mirrors {
		all = append(all, login{m.Host(), m.Username, m.Password})
	}
	return append(all, j.registryLogin())
}

// lookEvery is the pause between two looks at the containers of a host.
const lookEvery = 500 * time.Millisecond

// tunnel leads a socket to a host that is reached by ssh, and returns an environment that names it.
func (d *deployment) tunnel(ctx context.Context, address string) (func(string) string, error) {
	ssh, err := deploy.ParseSSH(address)
	if err != nil {
		return nil, err
	}
	ssh.Key, ssh.KnownHosts = d.job.Config.SSHKey, d.job.Config.SSHKnownHosts
	socket, done, err := ssh.Reach(ctx, d.process.Run, d.job.Environ, d.private.path)
	if err != nil {
		return nil, err
	}
	d.done = append(d.done, func() error { done(); return nil })
	d.env = append(d.env, "DOCKER_HOST=unix://"+socket)
	return func(name string) string { return map[string]string{"DOCKER_HOST": "unix://" + socket}[name] }, nil
}

func (d *deployment) close() error {
	var failed []error
	for _, done := range slices.Backward(d.done) {
		failed = append(failed, done())
	}
	return errors.Join(failed...)
}

// compose finds the program.
func (d *deployment) compose(ctx context.Context) error {
	argv, version, err := deploy.Find(ctx, d.process.Run, d.env)
	if err != nil {
		return err
	}
	d.log.Printf("Docker Compose %s deploys %s to %s", version, d.told.Project, d.told.Host)
	c := d.job.Config
	folder := filepath.Dir(d.job.at(c.ComposeFile))
	if c.Compose.From != "" {
		folder = filepath.Dir(filepath.Join(d.job.Workspace, c.Compose.From))
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	d.host.Program = deploy.Program{Run: d.process.Run, Argv: argv, Env: d.env, Folder: folder, Private: d.private.path, Project: d.told.Project, Profiles: c.Deploy.Profiles, Tell: d.log.Printf}
	return nil
}

// deploy brings up what is live once nobody else deploys.
func (d *deployment) deploy(ctx context.Context) error {
	if err := d.compose(ctx); err != nil {
		return err
	}
	return d.locked(ctx, "deployed", func(past deploy.History) (deploy.Version, error) { return d.newest(ctx, past) })
}

// newest writes the Compose file of what is live. Images of others stay what the host was given last.
func (d *deployment) newest(ctx context.Context, past deploy.History) (v deploy.Version, err error) {
	last, _ := past.Replaced()
	d.job.before = last.File
	made, notices, err := d.job.compose(ctx, d.process, d.log, nil)
	if err != nil {
		return v, err
	}
	for _, n := range notices {
		d.note(n)
	}
	d.log.Printf("%s", made.Answer())
	text, err := os.ReadFile(made.File)
	if err != nil {
		return v, err
	}
	v = deploy.Version{File: string(text), Profiles: d.host.Program.Profiles, Weight: d.job.Config.Weight % 100, Commit: d.job.Event.SHA, By: d.host.By}
	if v.Images, err = d.host.Program.Images(ctx, v); err != nil {
		var problems service.Problems
		problems.Add("the Compose file", "give it what it asks for, in the environment of this step", "%v", err)
		return v, problems
	}
	return v, nil
}

// rollBack brings up what ran before.
func (d *deployment) rollBack(ctx context.Context) error {
	if err := d.compose(ctx); err != nil {
		return err
	}
	return d.locked(ctx, "rolled-back", func(past deploy.History) (deploy.Version, error) {
		v, err := past.Previous()
		if err != nil {
			var problems service.Problems
			problems.Add("rollback", "deploy what is to run", "%v", err)
			return v, problems
		}
		d.log.Printf("going back to %s, by %s", v, cmp.Or(v.By, "somebody"))
		return v, nil
	})
}

// locked brings a version up that is chosen once nobody else does so.
func (d *deployment) locked(ctx context.Context, good string, choose func(deploy.History) (deploy.Version, error)) error {
	if !d.job.pushes() {
		return d.plan(ctx, choose)
	}
	lock, err := d.host.Lock(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err := lock.Release(); err != nil {
			d.note(fmt.Sprintf("The lock on the host was not given back; it keeps others waiting for a minute at most: %v.", err))
		}
	}()
	past, err := d.past(ctx)
	if err != nil {
		return err
	}
	v, err := choose(past)
	if err != nil {
		return err
	}
	if err := d.changes(ctx, v, past); err != nil {
		return err
	}
	record := d.record(v)
	d.begin(ctx, record)
	result := lock.Deploy(ctx, v, past)
	result.Err = hint(result.Err)
	if result.Unnoted != nil && !result.Good() {
		d.note(fmt.Sprintf("The host could not be told that this deployment has ended, and takes it for one that did not, until the next or a rollback has: %v.", result.Unnoted))
	}
	d.told.Settle(result, good)
	d.told.Error = d.log.Redact(d.told.Error)
	record.Failed = !result.Good()
	d.end(ctx, record)
	if result.After != deploy.Left { // else the host may be out of reach
		d.share(ctx)
	}
	return nil
}

// past is what the host remembers.
func (d *deployment) past(ctx context.Context) (deploy.History, error) {
	past, err := d.host.Read(ctx)
	if past.Interrupted {
		d.note("The deployment before this one did not come to an end; what runs may be some of it.")
	}
	return past, err
}

// share says what part of the requests each colour gets by now.
func (d *deployment) share(ctx context.Context) {
	ctx, done := lastWords(ctx)
	defer done()
	shares, err := d.host.Shares(ctx)
	if err != nil {
		d.note(fmt.Sprintf("Who is sent where by now is not known: %v.", err))
	}
	d.told.Share(shares)
}

// plan only says what would change.
func (d *deployment) plan(ctx context.Context, choose func(deploy.History) (deploy.Version, error)) error {
	past, err := d.past(ctx)
	if err != nil {
		return err
	}
	v, err := choose(past)
	if err != nil {
		return err
	}
	d.told.Outcome = "planned"
	return d.changes(ctx, v, past)
}

// changes says what of each service runs now, and what is to run. What could not be gone back to is refused.
func (d *deployment) changes(ctx context.Context, v deploy.Version, past deploy.History) error {
	running, err := d.host.Engine.Project(ctx, d.host.Project)
	if err != nil {
		return err
	}
	var problems service.Problems
	for _, name := range past.Strangers(v, running) {
		problems.Add("deploy: project", "give the deployment another name, or take the service down first", "%s runs in %s on the host, is not in the Compose file, or in none of its profiles that are deployed, and is of no deployment that the host remembers", name, d.host.Project)
	}
	if len(problems) > 0 {
		return problems
	}
	kept, gaps, err := d.host.Ahead(ctx, v, running)
	if err != nil {
		return err
	}
	for _, gap := range gaps {
		d.note(gap)
	}
	lacks, err := d.host.Lacks(ctx, v, past, running)
	if err != nil {
		return err
	}
	for _, t := range lacks {
		d.note(fmt.Sprintf("Should this deployment fail: %s, which is of no deployment that the host remembers, %s.", t.Service, t.What))
	}
	defer d.log.Group(fmt.Sprintf("Deployment of %s: %d services", d.host.Project, len(v.Images)))()
	for _, c := range deploy.Changes(running, v) {
		if slices.Contains(kept, c.Service) {
			c.To = c.From
		}
		d.told.Services = append(d.told.Services, report.Deployed{Service: c.Service, Image: c.To, Before: c.From})
		switch {
		case c.From == c.To:
			d.log.Printf("%s: stays at %s", c.Service, c.To)
		case c.To == "":
			d.log.Printf("%s: goes, it runs %s", c.Service, c.From)
		default:
			d.log.Printf("%s: %s, in place of %s", c.Service, c.To, cmp.Or(c.From, "nothing"))
		}
	}
	return nil
}

// status looks how what was deployed is, and how far it is from what is published.
func (d *deployment) status(ctx context.Context) error {
	s, err := d.host.Status(ctx)
	if err != nil {
		return err
	}
	d.told.SettleStatus(s)
	if s.Busy != "" {
		d.note("A deployment is under way, by " + s.Busy + ".")
	} else if s.Interrupted {
		d.note("A deployment did not come to an end; what runs may be some of it.")
	}
	d.drift(ctx)
	for _, i := range d.told.Services {
		d.log.Printf("%s: %s since %s, %d restarts, %s", i.Service, i.State, i.Since.UTC().Format(time.RFC3339), i.Restarts, i.Image)
	}
	if s.Busy == "" && d.job.pushes() {
		d.judge(ctx)
	}
	return nil
}

// drift tells what is published under the tags of services where that is not what they run.
func (d *deployment) drift(ctx context.Context) {
	live, err := d.job.planner().Live(ctx, d.job.Config.Services)
	if err != nil {
		d.note(fmt.Sprintf("Whether anything newer is published is not known: %v", err))
	}
	for _, l := range live {
		at, same := -1, false
		for n, s := range d.told.Services {
			if isOf(s, l.Service) {
				at, same = n, same || strings.HasSuffix(s.Image, "@"+l.Digest)
			}
		}
		if at < 0 || l.Digest == "" || same {
			continue
		}
		d.told.Services[at].Published = l.Digest
		d.note(fmt.Sprintf("%s runs another image than %s, which is %s.", l.Service.Name, l.Tag, shortDigest(l.Digest)))
	}
}

// isOf reports whether people are sent to a container who ask for a service.
func isOf(s report.Deployed, of service.Service) bool {
	colours := service.Colours(of.Name)
	if of.InCompose().Switch {
		return slices.Contains(colours[:], s.Service) && s.Share != nil && *s.Share > 0
	}
	return s.Service == of.Name
}

// record is a deployment as GitHub is told of it.
func (d *deployment) record(v deploy.Version) github.Deployment {
	r := github.Deployment{Commit: cmp.Or(v.Commit, d.job.Event.SHA), Environment: d.told.Environment, Description: "Deployed " + d.host.Project, LogURL: d.told.RunURL,
		Payload: map[string]any{"project": d.host.Project, "images": d.images()}}
	if d.job.Config.Rollback {
		r.Description = "Rolled back " + d.host.Project
	}
	return r
}

// images are those that services are to run, by their names. A colour that stays as it is has its own, whatever the Compose file says.
func (d *deployment) images() map[string]string {
	images := map[string]string{}
	for _, s := range d.told.Services {
		if s.Image != "" {
			images[s.Service] = s.Image
		}
	}
	return images
}

// begin has GitHub list a deployment that goes on. That it cannot be recorded fails nothing.
func (d *deployment) begin(ctx context.Context, r github.Deployment) {
	if api := d.api(); api != nil {
		var err error
		d.id, err = api.BeginDeployment(ctx, r)
		d.unrecorded(err)
	}
}

func (d *deployment) end(ctx context.Context, r github.Deployment) {
	if d.id == 0 {
		return
	}
	ctx, done := lastWords(ctx)
	defer done()
	d.unrecorded(d.api().EndDeployment(ctx, d.id, r))
}

// judge has GitHub list how the newest deployment is by now.
func (d *deployment) judge(ctx context.Context) {
	api := d.api()
	if api == nil {
		return
	}
	r := github.Deployment{Environment: d.told.Environment, Description: github.NotWell + d.host.Project, LogURL: d.told.RunURL, Failed: len(d.told.Troubles) > 0}
	if !r.Failed {
		r.Description = "All of " + d.host.Project + " is well"
	}
	found, err := api.JudgeDeployment(ctx, r)
	if err == nil && !found {
		d.note("GitHub knows of no deployment to " + r.Environment + ".")
	}
	d.unrecorded(err)
}

// api speaks to GitHub; nil where nothing is to be recorded there, or cannot be.
func (d *deployment) api() *github.Client {
	if d.told.Environment == "" {
		return nil
	}
	api, err := github.New(d.job.Event.APIURL, d.job.Event.Repository, d.job.Config.Token)
	d.unrecorded(err)
	return api
}

func (d *deployment) unrecorded(err error) {
	if err != nil {
		d.note(fmt.Sprintf("GitHub was not told of the deployment: %v.", err))
	}
}

func (d *deployment) note(notice string) {
	if notice = d.log.Redact(notice); !slices.Contains(d.told.Notices, notice) {
		d.told.Notices = append(d.told.Notices, notice)
		d.log.Warning(actions.Annotation{Title: "Deployment", Message: notice})
	}
}

// remember has later runs know how what is deployed is, and tells what the memory says of that. It decides nothing.
func (d *deployment) remember(ctx context.Context) {
	if !d.job.pushes() || d.told.Outcome == "deploying" {
		return
	}
	ctx, done := lastWords(ctx)
	defer done()
	told := actions.Redacted(d.told, d.log.Redact)
	now := insight.Deployed{Project: told.Project, Environment: told.Environment, Outcome: told.Outcome, After: told.After, Images: d.images(), EndedAt: d.process.Now()}
	for _, t := range told.Troubles {
		now.Troubles = append(now.Troubles, t.Service+" "+t.What)
	}
	now, since := now.Following(insight.LastDeployed(insight.Own(d.job.recall(ctx, d.process, "deployments")["deployments"], d.job.Event.Repository), told.Project, told.Environment))
	entries, err := insight.OfDeployed(d.job.Event.Repository, now)
	s := &session{job: d.job, process: d.process, log: d.log, begun: d.told.StartedAt, started: d.told.StartedAt, figures: d.job.memory.cost}
	_, lost := s.keepLearnt(ctx, entries, err)
	for _, text := range slices.Concat(d.job.memory.notices, lost, []string{since}) {
		if text != "" {
			d.note(text)
		}
	}
}

// tell says how it ended.
func (d *deployment) tell(ctx context.Context) (int, error) {
	d.told.Seconds = d.process.Now().Sub(d.told.StartedAt).Round(time.Millisecond).Seconds()
	for _, t := range d.told.Troubles {
		d.tellTrouble(t)
	}
	if d.told.Error != "" {
		d.log.Error(actions.Annotation{Title: "Deployment", Message: d.told.Error})
	}
	told := actions.Redacted(d.told, d.log.Redact)
	d.log.Answer("%s", told.Answer())
	if err := errors.Join(writeJSON(d.job.Config.Report, told), actions.AppendSummary(d.process.Getenv("GITHUB_STEP_SUMMARY"), told.Summary())); err != nil {
		return 0, err
	}
	here := d.process // whose files are not on the host that is deployed to
	here.Environ = slices.DeleteFunc(slices.Clone(here.Environ), func(entry string) bool { return strings.HasPrefix(entry, "DOCKER_HOST=") })
	outputs := [][2]string{{"outcome", told.Outcome}, {"report", hostPath(ctx, here, d.job.Config.Report)}}
	if !d.job.Config.Status && !d.job.Config.Rollback {
		outputs = append(outputs, [2]string{"compose-file", hostPath(ctx, here, d.job.at(d.job.Config.ComposeFile))})
	}
	if err := writeOutputs(d.process, outputs); err != nil {
		return 0, err
	}
	return told.ExitCode, printJSON(d.process, d.job, told)
}

func (d *deployment) tellTrouble(t deploy.Trouble) {
	message := t.Service + " " + t.What
	if t.Health != "" {
		message += "; its health check says: " + t.Health
	}
	d.log.Error(actions.Annotation{Title: t.Service + " is not well", Message: message})
	if len(t.Log) == 0 {
		return
	}
	defer d.log.Group("Log of " + t.Service)()
	for _, line := range t.Log {
		d.log.Printf("%s", line)
	}
}

// project is what Compose calls what is deployed.
func (j job) project() string {
	name := j.Config.Deploy.Project
	if from := j.Config.Compose.From; name == "" && from != "" {
		source, _ := j.readFile(from) // that it cannot be read is a mistake that is told of
		name = compose.NameIn(source)
	}
	return cmp.Or(name, compose.Name(j.repositoryName()))
}

// checkDeployment finds what does not belong together in what is asked of mode deploy, and a host that cannot be one.
func (j job) checkDeployment(p Process, problems *service.Problems) {
	c, host := j.Config, p.Getenv("DOCKER_HOST")
	if c.Mode != "deploy" {
		for setting, given := range map[string]bool{"status": c.Status, "weight": c.Weight != 100, "ssh-key": c.SSHKey != "", "ssh-known-hosts": c.SSHKnownHosts != ""} {
			if given {
				problems.Add(setting, "give `mode: deploy` with it, or leave it out", "mode %s deploys nothing", c.Mode)
			}
		}
		return
	}
	j.checkWeight(problems)
	if c.Status && c.Rollback {
		problems.Add("status", "keep one of the two", "status changes nothing, and rollback does")
	}
	scheme, _, _ := strings.Cut(host, "://")
	switch scheme {
	case "", "unix", "tcp":
		if c.SSHKey != "" || c.SSHKnownHosts != "" {
			problems.Add("ssh-key", "set DOCKER_HOST to ssh://USER@HOST, or leave ssh-key and ssh-known-hosts out", "the Docker host %q is not reached by ssh", host)
		}
	case "ssh":
		if _, err := deploy.ParseSSH(host); err != nil {
			problems.Add("DOCKER_HOST", "write it as ssh://USER@HOST or ssh://USER@HOST:PORT", "%v", err)
		}
	default:
		problems.Add("DOCKER_HOST", "write it as unix:///var/run/docker.sock, tcp://HOST:2376 or ssh://USER@HOST", "%q is no address of a Docker Engine", host)
	}
}

// checkWeight finds a share of requests that nothing can be given.
func (j job) checkWeight(problems *service.Problems) {
	c := j.Config
	switch switched := slices.ContainsFunc(c.Services, func(s service.Service) bool { return s.InCompose().Switch && !s.InCompose().Out }); {
	case c.Weight > 100:
		problems.Add("weight", "give a number from 1 to 100", "%d is more than all of the requests", c.Weight)
	case c.Weight < 100 && (c.Status || c.Rollback):
		problems.Add("weight", "leave it out", "status and rollback give no share of the requests to a new version")
	case c.Weight < 100 && !switched:
		problems.Add("weight", "write `compose: {switch: true}` into a service", "no service is there twice, so none can get a share of the requests")
	}
}
