// Package agent is how those who work on a repository share what they know through the memory: the hooks of the swarm's tool under
// their names, in its namespaces and keys, and messages, claims and sessions among agents. All of it is advice: who does not read it, or
// cannot write it, does his work all the same.
package agent

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/memory"
)

// How long what agents write is kept.
const (
	hooksTTL        = 30 * 24 * time.Hour
	sessionTTL      = 90 * 24 * time.Hour
	coordinationTTL = 7 * 24 * time.Hour
	claimTTL        = 6 * time.Hour // as long as GitHub lets a job run
)

// The namespaces of the swarm's tool that are written here.
const (
	preTask       = "hooks:pre-task"
	postTask      = "hooks:post-task"
	postEdit      = "hooks:post-edit"
	postBash      = "hooks:post-bash"
	notifications = "hooks:notify"
	spawned       = "hooks:agent-spawned"
	roster        = "agent-roster"
	taskIndex     = "task-index"
	fileHistory   = "file-history"
	performance   = "performance"
	sessions      = "sessions"
	sessionStates = "session-states"
	sessionEvents = "session-events"
	metrics       = "session-metrics"

	// Coordination is where agents leave messages, claims and insights for one another.
	Coordination = "coordination"
)

// An Agent is one who works: a person's editor, a step of a workflow, or a job of this program. It may be used by several goroutines.
type Agent struct {
	Store   *memory.Store
	Name    string // such as publish:backend
	Session string // what it is part of, such as a run and its attempt
	// Repository is what it works on, as owner/name; empty where that is not known.
	Repository string
	Now        func() time.Time
	Known      insight.Known // what runs have learnt; read from the store where it is nil

	mu      sync.Mutex
	written []memory.Entry
}

// Written returns what the agent has written so far, the last of each key, for those who do not share its file.
func (a *Agent) Written() []memory.Entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.written)
}

// A draft collects the entries of one moment.
type draft struct {
	agent    *Agent
	at       time.Time
	metadata object
	entries  []memory.Entry
	err      error
}

type object map[string]any

// draft begins what a hook writes. The swarm's tool marks entries so, too.
func (a *Agent) draft(hook string) *draft {
	d := &draft{agent: a, at: a.Now().UTC(), metadata: object{"hookType": hook, "agentId": a.Name, "sessionId": a.Session}}
	if a.Repository != "" {
		d.metadata["repository"] = a.Repository
	}
	return d
}

func (d *draft) add(namespace, key string, ttl time.Duration, value any) {
	data, err := json.Marshal(value)
	metadata, failed := json.Marshal(d.metadata)
	d.err = cmp.Or(d.err, err, failed)
	d.entries = append(d.entries, memory.Entry{Namespace: namespace, Key: key, TTL: ttl, Value: data, Metadata: metadata})
}

// put writes all entries or none.
func (d *draft) put(ctx context.Context) error {
	if d.err != nil {
		return fmt.Errorf("writing down %s: %w", d.metadata["hookType"], d.err)
	}
	if err := d.agent.Store.Put(ctx, d.entries...); err != nil {
		return err
	}
	d.agent.note(d.entries...)
	return nil
}

func (a *Agent) note(entries ...memory.Entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range entries {
		a.written = slices.DeleteFunc(a.written, func(w memory.Entry) bool { return w.Namespace == e.Namespace && w.Key == e.Key })
		a.written = append(a.written, e)
	}
}

// iso is how the swarm's tool, a program in JavaScript, writes a time.
func iso(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// moment is a name for now that no other process has: milliseconds, as the swarm's tool has them, and nine random letters and digits,
// as it has them in most of its names.
func moment(at time.Time) string {
	return fmt.Sprintf("%d-%s", at.UnixMilli(), strings.ToLower(rand.Text()[:9]))
}

// A mark is the metadata of an entry, as far as it is read back.
type mark struct {
	Agent      string `json:"agentId"`
	Session    string `json:"sessionId"`
	Repository string `json:"repository"`
}

func markOf(e memory.Entry) (m mark) {
	_ = json.Unmarshal(e.Metadata, &m) // what somebody else wrote has none
	return m
}
