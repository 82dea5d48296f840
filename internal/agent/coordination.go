package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/memory"
)

// Announce tells all others that the agent is there, and what for.
func (a *Agent) Announce(ctx context.Context, role string) error {
	d := a.draft("agent-spawned")
	value := object{"agentName": a.Name, "agentType": role, "sessionId": a.Session, "spawnedAt": iso(d.at)}
	d.add(spawned, "agent:"+a.Name+":"+a.Session, hooksTTL, value)
	d.add(roster, "agent-roster:"+moment(d.at), hooksTTL, object{"name": a.Name, "type": role, "timestamp": iso(d.at)})
	return d.put(ctx)
}

// A Message is what one agent leaves for another.
type Message struct {
	From string `json:"from"`
	To   string `json:"to"`
	Text string `json:"text"`
	At   string `json:"at"` // as ISO 8601 has it
}

// Line tells a message.
func (m Message) Line() string { return Line("%s says: %s", m.From, m.Text) }

// Lines tells the first of some messages.
func Lines(messages []Message) []string { return few(messages, "messages", Message.Line) }

// longest is how many letters of a line are told.
const longest = 500

// Line is one line, and no endless one, whatever somebody else has written that it tells.
func Line(format string, args ...any) string {
	line := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
	if letters := []rune(line); len(letters) > longest {
		return string(letters[:longest-1]) + "…"
	}
	return line
}

// Age is how long ago a message was left; 0 where it does not say.
func (m Message) Age(now time.Time) time.Duration { return since(m.At, now) }

// mailbox is what the keys of messages for an agent begin with.
func mailbox(to string) string { return "message:" + to + ":" }

// Tell leaves a message for an agent of the session.
func (a *Agent) Tell(ctx context.Context, to, text string) error {
	d := a.draft("message")
	d.message(to, text)
	return d.put(ctx)
}

func (d *draft) message(to, text string) {
	d.add(Coordination, mailbox(to)+moment(d.at), coordinationTTL, Message{From: d.agent.Name, To: to, Text: text, At: iso(d.at)})
}

// Inbox reads the messages that were left for the agent in its session, the newest first.
func (a *Agent) Inbox(ctx context.Context) ([]Message, error) {
	entries, err := a.Store.Page(ctx, memory.Query{Namespace: Coordination, Prefix: mailbox(a.Name), Limit: recalled})
	if err != nil {
		return nil, err
	}
	messages := []Message{}
	for _, e := range entries {
		var m Message
		if markOf(e).Session == a.Session && json.Unmarshal(e.Value, &m) == nil && m.To == a.Name {
			messages = append(messages, m)
		}
	}
	return messages, nil
}

// A Claim says which agent is at a piece of work.
type Claim struct {
	Work    string `json:"work"`
	Agent   string `json:"agent"`
	Session string `json:"session"`
	Status  string `json:"status"` // claimed or released
	At      string `json:"at"`     // since when, as ISO 8601 has it
	// Repository is what the agent works on, where Underway tells of it.
	Repository string `json:"-"`
}

// claims is what the keys of claims begin with.
const claims = "claim:"

func (a *Agent) claimKey(work string) string { return claims + a.Session + ":" + work }

// others are what other agents are at, in all sessions of the repository.
func (a *Agent) others(ctx context.Context) ([]Claim, error) {
	entries, err := a.Store.Page(ctx, memory.Query{Namespace: Coordination, Prefix: claims, Limit: recalled})
	if err != nil {
		return nil, err
	}
	open := []Claim{}
	for _, e := range insight.Own(entries, a.Repository) {
		if c, ok := readClaim(e); ok && c.Status == claimed && (c.Agent != a.Name || c.Session != a.Session) {
			open = append(open, c)
		}
	}
	return open, nil
}

const (
	claimed  = "claimed"
	released = "released"
)

func readClaim(e memory.Entry) (c Claim, ok bool) {
	return c, strings.HasPrefix(e.Key, claims) && json.Unmarshal(e.Value, &c) == nil
}

// Claims are the entries that say what agents are at, or were.
func Claims(ctx context.Context, store *memory.Store) ([]memory.Entry, error) {
	return store.Page(ctx, memory.Query{Namespace: Coordination, Prefix: claims})
}

// Underway are the pieces of work that are claimed, by whichever agents of a repository, from what is in the namespaces coordination and sessions; of
// whoever does not say which repository he works on it is taken to be this one, and with all they are those of every repository. What a session left
// claimed that has ended since is not underway, though a job of it may have been killed.
func Underway(coordination, ended []memory.Entry, repository string, all bool) []Claim {
	over := map[string]time.Time{}
	for _, e := range ended {
		if s, ok := readSession(e); ok {
			over[s.ID] = s.ended()
		}
	}
	var underway []Claim
	for _, e := range coordination {
		c, ok := readClaim(e)
		c.Repository = cmp.Or(markOf(e).Repository, repository)
		at, err := time.Parse(time.RFC3339, c.At)
		if ok && err == nil && c.Status == claimed && (all || c.Repository == repository) && !over[c.Session].After(at) {
			underway = append(underway, c)
		}
	}
	return underway
}

// Claim takes a piece of the session's work. Where another agent is at it, that one is returned, and nothing is written.
func (a *Agent) Claim(ctx context.Context, work string) (holder string, err error) {
	mine := a.draft("claim")
	mine.claim(work, claimed)
	if mine.err != nil {
		return "", mine.err
	}
	var old json.RawMessage // nobody's, mostly
	for {
		set, err := a.Store.CompareAndSet(ctx, mine.entries[0], old)
		if err != nil {
			return "", err
		}
		if set {
			a.note(mine.entries...)
			return "", nil
		}
		e, found, err := a.Store.Get(ctx, Coordination, a.claimKey(work))
		if err != nil {
			return "", err
		}
		if c, ok := readClaim(e); found && ok && c.Status == claimed && c.Agent != a.Name {
			return c.Agent, nil
		}
		old = e.Value
	}
}

// Release says that the agent is done with pieces of work.
func (a *Agent) Release(ctx context.Context, works ...string) error {
	d := a.draft("claim")
	for _, work := range works {
		d.claim(work, released)
	}
	return d.put(ctx)
}

func (d *draft) claim(work, status string) {
	a := d.agent
	d.add(Coordination, a.claimKey(work), claimTTL, Claim{Work: work, Agent: a.Name, Session: a.Session, Status: status, At: iso(d.at)})
}
