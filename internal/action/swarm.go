package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/agent"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
)

// A member is a job's agent among those who share the memory, which is open while the job works. One without an agent says and hears
// nothing: what is wrong with the memory is told once, and fails nothing.
type member struct {
	agent   *agent.Agent
	log     *actions.Log
	works   []string       // what it has claimed
	gone    string         // folder that goes when it leaves; empty if none does
	written []memory.Entry // once it has left
	hush    func()         // ends what it exchanges with other machines; nil where it does not
	figures *learn.Figures // of what working together costs
	heard   map[agent.Message]bool
	ages    []float64 // in seconds, of what it has heard when it did
}

// The agents of a run. Each row of the matrix has one of its own.
const (
	planner   = "plan"
	alone     = "all"
	finalizer = "finalize"
)

func rowAgent(row string) string { return "publish:" + row }

// coordinationTime bounds what is waited for the memory at a time, also by a run that was cancelled.
const coordinationTime = 5 * time.Second

// do has the agent do something.
func (m *member) do(ctx context.Context, act func(context.Context, *agent.Agent) error) {
	if m == nil || m.agent == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), coordinationTime)
	defer cancel()
	err := act(ctx, m.agent)
	m.figures.Count(err)
	if err != nil {
		m.log.Warning(actions.Annotation{Title: "Memory", Message: fmt.Sprintf("This job goes on by itself: %v", err)})
		m.drop()
	}
}

func (m *member) drop() {
	if m != nil && m.agent != nil {
		if m.hush != nil {
			m.hush()
		}
		m.figures.Messages = append(m.figures.Messages, m.ages...)
		m.written = m.agent.Written()
		_ = m.agent.Store.Close() // what that loses is told when the file is opened again
		m.agent = nil
	}
}

// An entrance is who joins, and with what.
type entrance struct {
	name, role string
	session    string
	path       string // of the memory
	known      insight.Known
	handed     []memory.Entry // by agents of other jobs
	services   []string       // that it works on
	works      []string       // that it claims
	figures    *learn.Figures // which it adds to
}

// join has a job's agent say that it is there, take its work and hear what is known of it.
func (j job) join(ctx context.Context, p Process, log *actions.Log, e entrance) *member {
	m := &member{log: log, figures: e.figures, heard: map[agent.Message]bool{}}
	if j.Config.Memory == "off" {
		return m
	}
	store, err := j.openMemory(ctx, p, log, e.path)
	if err != nil {
		log.Warning(actions.Annotation{Title: "Memory", Message: fmt.Sprintf("This job goes on by itself: %v", err)})
		return m
	}
	m.agent = &agent.Agent{Store: store, Name: e.name, Session: e.session, Repository: j.Event.Repository, Now: p.Now, Known: e.known}
	m.do(ctx, func(ctx context.Context, a *agent.Agent) error { return m.enter(ctx, a, e) })
	return m
}

func (m *member) enter(ctx context.Context, a *agent.Agent, e entrance) error {
	if _, err := putAll(ctx, a.Store, e.handed); err != nil {
		return err
	}
	if err := errors.Join(a.Join(ctx), a.Announce(ctx, e.role)); err != nil {
		return err
	}
	for _, work := range e.works {
		holder, err := a.Claim(ctx, work)
		if err != nil {
			return err
		}
		if holder == "" {
			m.works = append(m.works, work)
		} else {
			m.log.Printf("memory: %s", agent.Line("%s is at %s, too", holder, work))
		}
	}
	told, err := a.PreTask(ctx, agent.Task{ID: m.task(), Description: e.role + " " + strings.Join(e.services, ", "), Services: e.services})
	for _, line := range told.Lines() {
		m.log.Printf("memory: %s", line)
	}
	m.hear(a, told.Messages)
	return err
}

// hear notes messages, and returns those that are new.
func (m *member) hear(a *agent.Agent, messages []agent.Message) (anew []agent.Message) {
	for _, message := range messages {
		if !m.heard[message] {
			m.heard[message], m.ages, anew = true, append(m.ages, message.Age(a.Now()).Seconds()), append(anew, message)
		}
	}
	return anew
}

// listen tells of messages that have arrived meanwhile.
func (m *member) listen(ctx context.Context, a *agent.Agent) {
	messages, err := a.Inbox(ctx)
	if err != nil {
		return // as the job itself will find
	}
	for _, line := range agent.Lines(m.hear(a, messages)) {
		m.log.Printf("memory: %s", line)
	}
}

// task is the job as a task.
func (m *member) task() string { return m.agent.Name + "@" + m.agent.Session }

// leave says that the job is done, and closes the memory.
func (m *member) leave(ctx context.Context) {
	m.do(ctx, func(ctx context.Context, a *agent.Agent) error {
		if err := a.Release(ctx, m.works...); err != nil {
			return err
		}
		_, err := a.PostTask(ctx, m.task())
		return err
	})
	m.drop()
	if m != nil && m.gone != "" {
		_ = os.RemoveAll(m.gone) // in a folder for temporary files
	}
}

// planned leaves each row of the matrix what was planned for it. What the agent of the plan has written goes with the plan.
func (j job) planned(ctx context.Context, p Process, log *actions.Log, made plan.Plan) []memory.Entry {
	if !j.onRunner() || j.Config.Memory == "off" {
		return nil
	}
	path, gone := j.memoryPath(), ""
	if !exists(path) {
		var err error
		if gone, err = os.MkdirTemp(tempDir(j.Event), "ghcr-publish-memory-"); err != nil {
			log.Warning(actions.Annotation{Title: "Memory", Message: fmt.Sprintf("This job goes on by itself: %v", err)})
			return nil
		}
		path = filepath.Join(gone, "memory.db")
	}
	m := j.join(ctx, p, log, entrance{name: planner, role: "plan", session: runID(j.Event, made.StartedAt), path: path, known: insight.Known{}, works: []string{planner}, figures: &learn.Figures{}})
	m.gone = gone
	m.do(ctx, func(ctx context.Context, a *agent.Agent) error {
		for _, row := range made.Matrix.Include {
			if err := a.Tell(ctx, rowAgent(row.Row), log.Redact(messageFor(made.Share(row)))); err != nil {
				return err
			}
		}
		return nil
	})
	m.leave(ctx)
	return m.written
}

// messageFor says what a row has to do.
func messageFor(services []plan.Service) string {
	var parts []string
	for _, s := range services {
		part := fmt.Sprintf("%s: %s, %s", s.Name, s.Action, s.Reason)
		if s.Expected != nil {
			part += fmt.Sprintf("; expected to take %s", s.Expected)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// An outcome is what an agent tells of a service, for those who watch.
type outcome struct {
	Service  string             `json:"service"`
	Parts    []string           `json:"platforms"`
	Action   string             `json:"action"`
	Approved bool               `json:"approved"`
	Reasons  []string           `json:"reasons,omitempty"`
	Seconds  map[string]float64 `json:"seconds"`
}

// say tells the others what became of services, and one of them by a message.
func (s *session) say(ctx context.Context, results []publish.Result, to string) {
	for _, r := range results {
		if r.Plan.Action == plan.Skip {
			continue
		}
		told := actions.Redacted(outcomeOf(r), s.log.Redact)
		s.member.do(ctx, func(ctx context.Context, a *agent.Agent) error {
			insight, err := json.Marshal(told)
			if err != nil {
				return err
			}
			if _, err := a.PostEdit(ctx, agent.Edit{File: r.Plan.Definition.Dockerfile, Key: "outcome:" + told.Service + ":" + a.Name + ":" + a.Session, Insight: insight}); err != nil || to == "" {
				return err
			}
			return a.Tell(ctx, to, told.sentence())
		})
	}
}

func outcomeOf(r publish.Result) outcome {
	o := outcome{Service: r.Plan.Name, Parts: r.Plan.Platforms, Action: string(r.Plan.Action), Approved: r.Approved(), Seconds: r.Seconds, Reasons: r.Verdict.Reasons}
	if r.Err != nil {
		failure, _, _ := strings.Cut(r.Err.Error(), "\n")
		o.Reasons = append([]string{failure}, o.Reasons...)
	}
	return o
}

func (o outcome) sentence() string {
	text := fmt.Sprintf("%s for %s was approved", o.Service, strings.Join(o.Parts, ", "))
	if !o.Approved {
		text = fmt.Sprintf("%s for %s was not approved: %s", o.Service, strings.Join(o.Parts, ", "), strings.Join(o.Reasons, "; "))
	}
	return text
}

// join has the session's agent join. The memory is out of the workspace by now; a row, which saves none, leaves none where there was none.
func (s *session) join(ctx context.Context, name, role string, services []plan.Service, handed []memory.Entry) {
	e := entrance{name: name, role: role, session: runID(s.job.Event, s.started), path: s.memory.file(), known: s.known, handed: handed, figures: &s.figures}
	fresh := !exists(e.path)
	for _, service := range (plan.Plan{Services: services}).Work() {
		if service.Action == plan.Build {
			e.services = append(e.services, service.Name)
		}
		e.works = append(e.works, strings.TrimSuffix(service.Name+"@"+partOf(service), "@"))
	}
	if name == finalizer {
		e.services, e.works = nil, []string{"promotion"}
	}
	s.member = s.job.join(ctx, s.process, s.log, e)
	if fresh && s.job.Config.Mode == "publish" && s.job.memory.home == nil {
		s.member.gone = s.memory.aside
	}
	s.exchange(ctx)
}

// exchanging is how often agents on different machines hear of one another.
const exchanging = 5 * time.Second

// exchange has the agents of other machines, who share the memory's other home, hear of this one while it works, and this one of them.
func (s *session) exchange(ctx context.Context) {
	m, home := s.member, s.job.memory.home
	if m.agent == nil || home == nil || home.ReadOnly {
		return
	}
	a := m.agent
	ctx, stop := context.WithCancel(ctx)
	var working sync.WaitGroup
	working.Go(func() {
		home.Share(ctx, a.Store, exchanging, func() { m.listen(ctx, a) }, func(err error) { s.log.Printf("memory: %v", err) })
	})
	m.hush = func() { stop(); working.Wait() }
}

// endSession counts what all agents of the run did, once the memory holds it.
func (s *session) endSession(ctx context.Context, store *memory.Store) error {
	if s.member == nil || s.job.Config.Mode == "publish" {
		return nil // others are still at work
	}
	a := agent.Agent{Store: store, Name: s.job.Config.Mode, Session: runID(s.job.Event, s.started), Repository: s.job.Event.Repository, Now: s.process.Now}
	_, err := a.SessionEnd(ctx, false)
	return err
}

// partOf names the platforms of a service that are not all of them; empty if they are.
func partOf(s plan.Service) string {
	if s.Part {
		return strings.Join(s.Platforms, "+")
	}
	return ""
}
