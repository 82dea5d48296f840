package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/memory"
)

// A Session is what agents did together, from its start to its end: a run of a workflow, or a sitting at a desk.
type Session struct {
	ID       string `json:"sessionId"`
	Tasks    int    `json:"totalTasks"`
	Edits    int    `json:"totalEdits"`
	Commands int    `json:"totalCommands"`
	Agents   int    `json:"uniqueAgents"`
	EndedAt  string `json:"endedAt"` // as ISO 8601 has it
	// Outcome and Commit are known of sessions that were runs.
	Outcome string `json:"outcome,omitempty"`
	Commit  string `json:"commit,omitempty"`
}

// Line tells of a session.
func (s Session) Line() string {
	run := ""
	if s.Outcome != "" {
		run = fmt.Sprintf("; %s commit %.7s", s.Outcome, s.Commit)
	}
	return Line("last session %s, ended %s: %d tasks, %d edits, %d commands, %d agents%s", s.ID, s.EndedAt, s.Tasks, s.Edits, s.Commands, s.Agents, run)
}

// ErrNoSession tells that the memory knows no session, or not the one that was asked for.
var ErrNoSession = errors.New("the memory knows of no such session")

// begun is where a session says that it began.
const begun = "session-start:"

// SessionStart begins the agent's session, under a new name if it has none.
func (a *Agent) SessionStart(ctx context.Context) error {
	if a.Session == "" {
		a.Session = "session-" + moment(a.Now())
	}
	d := a.draft("session-start")
	d.add(sessionEvents, begun+a.Session, sessionTTL, object{"sessionId": a.Session, "startedAt": iso(d.at), "agentId": a.Name})
	return d.put(ctx)
}

// Join has the agent be part of its session, which begins unless it has; where it has none, of the repository's that was begun last and has not ended.
func (a *Agent) Join(ctx context.Context) error {
	events, err := a.Store.List(ctx, sessionEvents, recalled)
	if err != nil {
		return err
	}
	starts := startsIn(insight.Own(events, a.Repository))
	if a.Session == "" {
		if a.Session, err = a.open(ctx, starts); err != nil {
			return err
		}
	}
	if _, has := starts[a.Session]; has {
		return nil
	}
	return a.SessionStart(ctx)
}

// open is the session that was begun last and has not ended; empty if there is none.
func (a *Agent) open(ctx context.Context, starts map[string]time.Time) (newest string, err error) {
	for id, at := range starts {
		ended, err := a.find(ctx, id)
		if err != nil {
			return "", err
		}
		if (ended == nil || ended.ended().Before(at)) && (newest == "" || at.After(starts[newest])) {
			newest = id
		}
	}
	return newest, nil
}

// startsIn tells when the sessions began that said so, by name.
func startsIn(events []memory.Entry) map[string]time.Time {
	all := map[string]time.Time{}
	for _, e := range events {
		var event struct {
			StartedAt time.Time `json:"startedAt"`
		}
		if id, ok := strings.CutPrefix(e.Key, begun); ok && json.Unmarshal(e.Value, &event) == nil {
			all[id] = event.StartedAt
		}
	}
	return all
}

// A state is what a session did.
type state struct {
	SessionID string            `json:"sessionId"`
	Tasks     []json.RawMessage `json:"tasks"`
	Edits     []json.RawMessage `json:"edits"`
	Commands  []json.RawMessage `json:"commands"`
	Agents    []string          `json:"agents"`
}

// How much of each a state keeps, as the swarm's tool has it.
const (
	mostKept   = 100
	mostAgents = 50
)

// SessionEnd ends the agent's session: it counts what that did, and that alone, and keeps its state. What a run has written of itself
// as the session stays.
func (a *Agent) SessionEnd(ctx context.Context, exportMetrics bool) (Session, error) {
	s, did, err := a.count(ctx)
	if err != nil {
		return s, err
	}
	value := object{}
	if e, found, err := a.Store.Get(ctx, sessions, "session:"+a.Session); err != nil {
		return s, err
	} else if found {
		_ = json.Unmarshal(e.Value, &value) // what is no object is replaced
	}
	if value == nil { // null is one, to the library
		value = object{}
	}
	d := a.draft("session-end")
	s.EndedAt = iso(d.at)
	maps.Copy(value, object{"sessionId": s.ID, "totalTasks": s.Tasks, "totalEdits": s.Edits, "totalCommands": s.Commands, "uniqueAgents": s.Agents,
		"endedAt": s.EndedAt, "generateSummary": true, "persistState": true, "exportMetrics": exportMetrics})
	d.add(sessions, "session:"+a.Session, sessionTTL, value)
	d.add(sessionStates, "session-state:"+a.Session, sessionTTL, did)
	if exportMetrics {
		d.add(metrics, "session-metrics:"+a.Session, sessionTTL, s)
	}
	return s, d.put(ctx)
}

// count finds what was done in the agent's session.
func (a *Agent) count(ctx context.Context) (Session, state, error) {
	s, did := Session{ID: a.Session}, state{SessionID: a.Session, Tasks: []json.RawMessage{}, Edits: []json.RawMessage{}, Commands: []json.RawMessage{}, Agents: []string{}}
	mine, err := a.mine(ctx)
	if err != nil {
		return s, did, err
	}
	for _, kind := range []struct {
		namespace string
		count     *int
		kept      *[]json.RawMessage
	}{{preTask, &s.Tasks, &did.Tasks}, {postEdit, &s.Edits, &did.Edits}, {postBash, &s.Commands, &did.Commands}, {spawned, new(int), new([]json.RawMessage)}} {
		entries, err := a.Store.List(ctx, kind.namespace, 0)
		if err != nil {
			return s, did, err
		}
		for _, e := range entries {
			if !mine(e) {
				continue
			}
			*kind.count++
			if len(*kind.kept) < mostKept {
				*kind.kept = append(*kind.kept, e.Value)
			}
			if name := markOf(e).Agent; name != "" && !slices.Contains(did.Agents, name) {
				did.Agents = append(did.Agents, name)
			}
		}
	}
	s.Agents = len(did.Agents)
	did.Agents = did.Agents[:min(len(did.Agents), mostAgents)]
	return s, did, nil
}

// mine tells what belongs to the agent's session: what says so, and what the swarm's own tool, which names other sessions than are known
// here, wrote since it began.
func (a *Agent) mine(ctx context.Context) (func(memory.Entry) bool, error) {
	events, err := a.Store.List(ctx, sessionEvents, recalled)
	if err != nil {
		return nil, err
	}
	starts := startsIn(events)
	started, begun := starts[a.Session]
	return func(e memory.Entry) bool {
		of := markOf(e).Session
		_, known := starts[of]
		return of == a.Session || begun && !known && !e.CreatedAt.Before(started.Truncate(time.Second))
	}, nil
}

// A Restored session is what the next agent goes on from.
type Restored struct {
	Session    Session           `json:"session"`
	Unfinished []json.RawMessage `json:"unfinished"` // tasks that were begun and not ended
	Edits      []json.RawMessage `json:"edits"`
	Messages   []Message         `json:"messages"`
}

// SessionRestore reads a session, the last that ended where id is empty, and goes on with it: what the agent does from now on is part of
// it. The error is ErrNoSession where there is none.
func (a *Agent) SessionRestore(ctx context.Context, id string) (Restored, error) {
	last, err := a.find(ctx, id)
	if err != nil {
		return Restored{}, err
	}
	if last == nil {
		return Restored{}, ErrNoSession
	}
	r := Restored{Session: *last, Edits: []json.RawMessage{}}
	a.Session = last.ID
	if e, found, err := a.Store.Get(ctx, sessionStates, "session-state:"+last.ID); err != nil {
		return r, err
	} else if found {
		var did state
		_ = json.Unmarshal(e.Value, &did) // the swarm's tool has a form of its own
		r.Edits = append(r.Edits, did.Edits...)
	}
	if r.Unfinished, err = a.unfinished(ctx); err != nil {
		return r, err
	}
	if r.Messages, err = a.Inbox(ctx); err != nil {
		return r, err
	}
	d := a.draft("session-restore")
	d.add(sessionEvents, "session-restore:"+moment(d.at), hooksTTL, object{"sessionId": last.ID, "restoredAt": iso(d.at), "agentId": a.Name})
	d.add(sessionEvents, begun+last.ID, sessionTTL, object{"sessionId": last.ID, "startedAt": iso(d.at), "agentId": a.Name, "restored": true})
	return r, d.put(ctx)
}

// find reads a session; the last that ended where id is empty; nil where there is none.
func (a *Agent) find(ctx context.Context, id string) (*Session, error) {
	if id == "" {
		return a.last(ctx)
	}
	e, found, err := a.Store.Get(ctx, sessions, "session:"+id)
	if err != nil || !found {
		return nil, err
	}
	s, _ := readSession(e)
	s.ID = id
	return &s, nil
}

// last is the repository's session that ended last, by its own word: several may have been written in one second.
func (a *Agent) last(ctx context.Context) (*Session, error) {
	entries, err := a.Store.List(ctx, sessions, recalled)
	if err != nil {
		return nil, err
	}
	var newest *Session
	for _, e := range insight.Own(entries, a.Repository) {
		if s, ok := readSession(e); ok && (newest == nil || s.ended().After(newest.ended())) {
			newest = &s
		}
	}
	return newest, nil
}

func (s Session) ended() time.Time {
	at, _ := time.Parse(time.RFC3339, s.EndedAt) // what is no time was long ago
	return at
}

func readSession(e memory.Entry) (s Session, ok bool) {
	err := json.Unmarshal(e.Value, &s)
	s.ID = cmp.Or(s.ID, strings.TrimPrefix(e.Key, "session:"))
	return s, err == nil && s.EndedAt != ""
}

// unfinished are the tasks of the agent's session that were begun and not ended.
func (a *Agent) unfinished(ctx context.Context) ([]json.RawMessage, error) {
	left := []json.RawMessage{}
	mine, err := a.mine(ctx)
	if err != nil {
		return nil, err
	}
	tasks, err := a.Store.List(ctx, preTask, recalled)
	if err != nil {
		return nil, err
	}
	for _, e := range tasks {
		if !mine(e) {
			continue
		}
		_, done, err := a.Store.Get(ctx, postTask, e.Key+":completed")
		if err != nil {
			return nil, err
		}
		if !done {
			left = append(left, e.Value)
		}
	}
	return left, nil
}

// Lines tells what was restored.
func (r Restored) Lines() []string {
	lines := []string{r.Session.Line()}
	lines = append(lines, few(r.Unfinished, "tasks", taskLine)...)
	lines = append(lines, few(r.Edits, "edits", editLine)...)
	return append(lines, Lines(r.Messages)...)
}

func taskLine(task json.RawMessage) string {
	var t struct {
		ID          string `json:"taskId"`
		Description string `json:"description"`
	}
	_ = json.Unmarshal(task, &t) // what is no task has neither
	return Line("task %s was begun and not ended: %s", t.ID, t.Description)
}

func editLine(edit json.RawMessage) string {
	var e struct {
		File string `json:"file"`
	}
	_ = json.Unmarshal(edit, &e) // what is no edit has none
	return Line("edited %s", e.File)
}
