package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/memory"
)

// A Task is what an agent is about to do.
type Task struct {
	ID          string // one is made where it is empty
	Description string
	Services    []string // that it is about; those that the description names where there are none
}

// A Briefing is what an agent should know before it begins a task.
type Briefing struct {
	TaskID   string             `json:"taskId"`
	Session  *Session           `json:"session,omitempty"` // the last that ended
	Messages []Message          `json:"messages"`          // for the agent, unread until now or not, the newest first
	Claims   []Claim            `json:"claims"`            // what others are at
	Services []insight.Briefing `json:"services"`
}

// PreTask writes down that a task begins, and tells what is relevant to it.
func (a *Agent) PreTask(ctx context.Context, t Task) (Briefing, error) {
	d := a.draft("pre-task")
	t.ID = cmp.Or(t.ID, "task-"+moment(d.at))
	d.add(preTask, "task:"+t.ID, hooksTTL, object{"taskId": t.ID, "description": t.Description, "agentId": a.Name, "autoSpawnAgents": false,
		"status": "started", "startedAt": iso(d.at)})
	d.add(taskIndex, "task-index:"+moment(d.at), hooksTTL, object{"taskId": t.ID, "description": t.Description, "timestamp": iso(d.at)})
	if err := d.put(ctx); err != nil {
		return Briefing{}, err
	}
	return a.brief(ctx, t)
}

func (a *Agent) brief(ctx context.Context, t Task) (told Briefing, err error) {
	told = Briefing{TaskID: t.ID, Services: []insight.Briefing{}}
	known := a.Known
	if known == nil {
		if known, err = Recall(ctx, a.Store, a.Repository); err != nil {
			return told, err
		}
	}
	for _, name := range concerned(t, known.Services()) {
		told.Services = append(told.Services, known.Brief(name))
	}
	if told.Session, err = a.last(ctx); err != nil {
		return told, err
	}
	if told.Messages, err = a.Inbox(ctx); err != nil {
		return told, err
	}
	told.Claims, err = a.others(ctx)
	return told, err
}

// recalled is how many entries of a kind are looked at.
const recalled = 2000

// Recall reads what runs of a repository have learnt; of all where that is empty. A memory may be shared by several.
func Recall(ctx context.Context, store *memory.Store, repository string) (insight.Known, error) {
	known := insight.Known{}
	for _, namespace := range insight.Namespaces() {
		entries, err := store.List(ctx, namespace, recalled)
		if err != nil {
			return nil, err
		}
		known[namespace] = insight.Own(entries, repository)
	}
	return known, nil
}

// concerned are the services that a task is about.
func concerned(t Task, services []string) []string {
	if len(t.Services) > 0 {
		return t.Services
	}
	words := strings.FieldsFunc(t.Description, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.", r)
	})
	return slices.DeleteFunc(services, func(name string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return strings.EqualFold(strings.TrimRight(word, "."), name) })
	})
}

// Lines tells a briefing to a person.
func (b Briefing) Lines() []string {
	var lines []string
	if b.Session != nil {
		lines = append(lines, b.Session.Line())
	}
	for _, s := range b.Services {
		for _, line := range s.Lines() {
			lines = append(lines, Line("%s", line))
		}
	}
	lines = append(lines, Lines(b.Messages)...)
	return append(lines, few(b.Claims, "claims", func(c Claim) string { return Line("%s is at %s since %s", c.Agent, c.Work, c.At) })...)
}

// mostTold is how many of a kind are told to a person.
const mostTold = 20

// few tells the first of some things, and how many more there are.
func few[T any](all []T, kind string, tell func(T) string) []string {
	var lines []string
	for _, one := range all[:min(len(all), mostTold)] {
		lines = append(lines, tell(one))
	}
	if more := len(all) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more %s", more, kind))
	}
	return lines
}

// An Edit is a file that was written, and what its writer learnt by it.
type Edit struct {
	File    string
	Key     string          // under which the insight is found in namespace coordination; none is kept where it is empty
	Insight json.RawMessage // JSON; none where it is nil
	Context bool            // keep what the edit was about by its own id, too
}

// PostEdit writes down that a file was edited, and the insight. It returns the edit's id.
func (a *Agent) PostEdit(ctx context.Context, e Edit) (string, error) {
	d := a.draft("post-edit")
	id := "edit-" + moment(d.at)
	edited := object{"file": e.File, "editedAt": iso(d.at), "editId": id, "enhanced": true, "memoryUpdate": e.Context, "agentId": a.Name}
	if e.Insight != nil {
		edited["insight"] = e.Insight
	}
	d.add(postEdit, "edit:"+id+":post", hooksTTL, edited)
	d.add(fileHistory, "file-history:"+strings.ReplaceAll(e.File, "/", "_")+":"+moment(d.at), hooksTTL, object{"file": e.File, "editId": id, "timestamp": iso(d.at)})
	if e.Key != "" {
		d.add(Coordination, e.Key, coordinationTTL, edited)
	}
	if e.Context {
		d.add(Coordination, "edit-context:"+id, coordinationTTL, edited)
	}
	return id, d.put(ctx)
}

// PostTask writes down that a task is done, and returns how long it took; 0 where nobody wrote down when it began.
func (a *Agent) PostTask(ctx context.Context, id string) (time.Duration, error) {
	begun := object{}
	e, found, err := a.Store.Get(ctx, preTask, "task:"+id)
	if err != nil {
		return 0, err
	}
	if found {
		_ = json.Unmarshal(e.Value, &begun) // what is no object says nothing
	}
	d := a.draft("post-task")
	done := object{"taskId": id}
	for name, value := range begun {
		done[name] = value
	}
	done["status"], done["completedAt"] = "completed", iso(d.at)
	took := since(begun["startedAt"], d.at)
	if took > 0 {
		done["duration"] = took.Milliseconds()
		d.add(performance, "metrics:"+id, sessionTTL, object{"taskId": id, "duration": took.Milliseconds(), "durationHuman": took.Round(time.Millisecond).String(), "timestamp": iso(d.at)})
	}
	d.add(postTask, "task:"+id+":completed", hooksTTL, done)
	return took, d.put(ctx)
}

func since(started any, now time.Time) time.Duration {
	text, _ := started.(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0
	}
	return max(now.Sub(at), 0)
}

// A Notice is something that everybody should know.
type Notice struct {
	Message string
	Level   string // info, success, warning or error
	To      string // the agent that it is for, too; nobody where it is empty
}

// Notify writes a notice down.
func (a *Agent) Notify(ctx context.Context, n Notice) error {
	d := a.draft("notify")
	id := "notify-" + moment(d.at)
	d.add(notifications, "notification:"+id, hooksTTL, object{"message": n.Message, "level": n.Level, "swarmStatus": "active", "timestamp": iso(d.at), "notifyId": id, "agentId": a.Name})
	if n.To != "" {
		d.message(n.To, n.Message)
	}
	return d.put(ctx)
}
