package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "github.com/mattn/go-sqlite3"

	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/run"
)

// second are the versions of claude-flow whose hooks and MCP server keep a memory laid out as ours.
var second = []string{"2.0.0-alpha.88", "2.7.47"}

// forSecond runs a test with each of them, in a folder where nothing is remembered.
func forSecond(t *testing.T, test func(t *testing.T, o *original)) {
	for _, version := range second {
		t.Run(version, func(t *testing.T) { test(t, newOriginal(t, version)) })
	}
}

// serve starts the server that its users' editors talk to.
func (o *original) serve() *conversation {
	o.t.Helper()
	return talk(o.t, o.theirs("mcp", "start"))
}

// A kept entry is how its server tells of one.
type kept struct {
	Success, Found, Deleted bool
	Storage                 string `json:"storage_type"`
	Count                   int
	Value                   json.RawMessage
	Entries, Results        []struct {
		Key         string
		Value       json.RawMessage
		Metadata    struct{ By string }
		AccessCount int
	}
}

func (c *conversation) memory(action string, args map[string]any) kept {
	c.t.Helper()
	args["action"] = action
	var k kept
	c.call("memory_usage", args, &k)
	if !k.Success || k.Storage != "sqlite" {
		c.t.Fatalf("memory_usage %v answers %+v", args, k)
	}
	return k
}

func (c *conversation) store(namespace, key string, value any, ttl int) {
	c.t.Helper()
	c.memory("store", map[string]any{"namespace": namespace, "key": key, "value": value, "ttl": ttl})
}

func (c *conversation) retrieve(namespace, key string) (string, bool) {
	c.t.Helper()
	k := c.memory("retrieve", map[string]any{"namespace": namespace, "key": key})
	return string(k.Value), k.Found
}

// store opens the memory that is shared, by a clock.
func (o *original) store(now func() time.Time) *memory.Store {
	o.t.Helper()
	s, err := memory.Open(context.Background(), o.memory(), now)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(t testing.TB, s *memory.Store, entries ...memory.Entry) {
	t.Helper()
	if err := s.Put(t.Context(), entries...); err != nil {
		t.Fatal(err)
	}
}

// list returns the values of a namespace by key.
func list(t testing.TB, s *memory.Store, namespace string) map[string]string {
	t.Helper()
	entries, err := s.List(t.Context(), namespace, 0)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, e := range entries {
		values[e.Key] = string(e.Value)
	}
	return values
}

// query asks the file itself for one column.
func (o *original) query(statement string) []string {
	o.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+o.memory()+"?mode=ro")
	if err != nil {
		o.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(statement)
	if err != nil {
		o.t.Fatal(err)
	}
	defer rows.Close()
	var column []string
	for rows.Next() {
		var value string
		if err := rows.Scan(&value); err != nil {
			o.t.Fatal(err)
		}
		column = append(column, value)
	}
	if err := rows.Err(); err != nil {
		o.t.Fatal(err)
	}
	return column
}

// layout describes what of the file the original knows, but for white space and words that change nothing.
func (o *original) layout() string {
	o.t.Helper()
	var lines []string
	for _, statement := range []string{
		"SELECT replace(sql, 'IF NOT EXISTS ', '') FROM sqlite_master WHERE tbl_name = 'memory_entries' AND sql <> '' ORDER BY name",
		"SELECT json_array(cid, name, type, \"notnull\", dflt_value, pk) FROM pragma_table_info('memory_entries')",
		"PRAGMA user_version", "PRAGMA application_id", "PRAGMA page_size", "PRAGMA encoding", "PRAGMA auto_vacuum", "PRAGMA journal_mode",
	} {
		lines = append(lines, o.query(statement)...)
	}
	return regexp.MustCompile(`\s*([(),])\s*|\s+`).ReplaceAllString(strings.Join(lines, "\n"), "$1 ")
}

// checkWhole looks for damage.
func (o *original) checkWhole() {
	o.t.Helper()
	if got := o.query("PRAGMA integrity_check"); !slices.Equal(got, []string{"ok"}) {
		o.t.Errorf("the file is damaged: %q", got)
	}
}

// TestLayoutIsTheOriginals compares a file that claude-flow begins with one that this program does, and each with what it is
// after the other has written to it.
func TestLayoutIsTheOriginals(t *testing.T) {
	forSecond(t, func(t *testing.T, o *original) {
		o.run("hooks", "notify", "--message", "first")
		theirs := o.layout()

		ours := newOriginal(t, filepath.Base(t.Name()))
		put(t, ours.store(time.Now), memory.Entry{Key: "k", Value: json.RawMessage(`1`)})
		if diff := cmp.Diff(theirs, ours.layout()); diff != "" {
			t.Errorf("the layouts differ (-claude-flow +this program):\n%s", diff)
		}
		ours.run("hooks", "notify", "--message", "second")
		put(t, o.store(time.Now), memory.Entry{Key: "k", Value: json.RawMessage(`1`)})
		for who, file := range map[string]*original{"claude-flow began": o, "this program began": ours} {
			if diff := cmp.Diff(theirs, file.layout()); diff != "" {
				t.Errorf("the file that %s is altered (-before +after):\n%s", who, diff)
			}
			s := file.store(time.Now)
			if got := list(t, s, "hooks:notify"); len(got) != 1 || len(list(t, s, "")) != 1 {
				t.Errorf("the file that %s lacks entries: %v", who, got)
			}
			file.checkWhole()
		}
	})
}

// TestValuesOfTheOriginal reads what claude-flow writes of each kind of value, writes the same again, and has it read that.
func TestValuesOfTheOriginal(t *testing.T) {
	const day = `"2026-03-04T00:00:00.000Z"`
	numbers := "0"
	for i := range 299 {
		numbers += fmt.Sprint(",", i+1)
	}
	stored := map[string]string{
		"date": day, "nothing": `null`, "big": `12345678901234567890`, "nan": `[null,null,null]`,
		"map": `{"a":` + day + `,"b":[1,null]}`, "map of numbers": `[[1,2]]`, "set": `[1,"two",` + day + `]`,
		"expression": `{"source":"a+b","flags":"gi"}`, "error": `{"name":"Error","message":"broken","stack":"at line 1"}`,
		"bytes":     `{"constructor":"Uint8Array","data":[0,255]}`,
		"deep":      `{"list":[{"at":` + day + `,"none":null}],"text":"é 🐝 \"quoted\"\n"}`,
		"long":      `{"text":"` + strings.Repeat("é", 2000) + `","at":` + day + `,"list":[` + numbers + `]}`,
		"long text": `"` + strings.Repeat("🐝", 2000) + `"`,
	}
	forSecond(t, func(t *testing.T, o *original) {
		store := filepath.Join(o.installed, "node_modules/claude-flow/src/memory/sqlite-store.js")
		script, err := filepath.Abs("testdata/store.mjs")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run.OS(t.Context(), run.Command{Argv: []string{"node", script, store}, Dir: o.dir, Env: o.env}); err != nil {
			t.Fatal(err)
		}
		if got := o.query("SELECT count(*) FROM memory_entries WHERE value LIKE '\\_\\_compressed\\_\\_%' ESCAPE '\\'"); got[0] != "1" {
			t.Errorf("%s values are as claude-flow keeps long ones, want 1", got[0])
		}
		s := o.store(time.Now)
		compareValues(t, stored, list(t, s, "values"))

		entries, err := s.List(t.Context(), "values", 0)
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, entries...)
		c := o.serve()
		again := map[string]string{}
		for key := range stored {
			again[key], _ = c.retrieve("values", key)
		}
		compareValues(t, stored, again)
		o.checkWhole()
	})
}

// compareValues compares meanings, since JSON's objects have no order.
func compareValues(t *testing.T, want, got map[string]string) {
	t.Helper()
	read := func(values map[string]string) map[string]any {
		parsed := map[string]any{}
		for key, text := range values {
			var v any
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				t.Errorf("%s: %q is no JSON", key, text)
			}
			parsed[key] = v
		}
		return parsed
	}
	if diff := cmp.Diff(read(want), read(got)); diff != "" {
		t.Errorf("the values differ (-want +got):\n%s", diff)
	}
}

// plain are values that both have words for.
var plain = map[string]string{
	"text": `"hello :: wörld 🐝\n"`, "empty": `""`, "number in text": `"123"`, "object in text": `"{\"a\":1}"`, "quoted": `"\"x\""`, "null in text": `"null"`,
	"marker in text": `"__compressed__eyJhIjoxfQ=="`, "number": `-1.5e3`, "yes": `true`, "null": `null`, "list": `[1,"a",null,[]]`,
	"object": `{"a":{"b":[{"c":"d"}]},"<&>":"é"}`, "percent %_'": `"a'b\"c\\d"`, "long": `{"text":"` + strings.Repeat("long é ", 500) + `"}`,
	"long text": `"` + strings.Repeat("0123456789", 1000) + `"`,
}

// TestPlainValues writes values through claude-flow's server, through this program, and has the other read each.
func TestPlainValues(t *testing.T) {
	forSecond(t, func(t *testing.T, o *original) {
		s := o.store(time.Now)
		for key, value := range plain {
			put(t, s, memory.Entry{Namespace: "ours", Key: key, Value: json.RawMessage(value), Metadata: json.RawMessage(`{"by":"us"}`)})
		}
		c := o.serve()
		retrieved, listed := map[string]string{}, map[string]string{}
		for key, value := range plain {
			retrieved[key], _ = c.retrieve("ours", key)
			c.store("theirs", key, json.RawMessage(value), 0)
		}
		for _, e := range c.memory("list", map[string]any{"namespace": "ours"}).Entries {
			listed[e.Key] = string(e.Value)
			if e.Metadata.By != "us" || e.AccessCount != 1 {
				t.Errorf("it lists %+v, which was read once", e)
			}
		}
		compareValues(t, plain, retrieved)
		compareValues(t, plain, listed)
		if found := c.memory("search", map[string]any{"namespace": "ours", "value": "wörld"}); found.Count != 1 || found.Results[0].Key != "text" {
			t.Errorf("it searches and finds %+v", found.Results)
		}

		want := map[string]string{}
		for key, value := range plain {
			want[key] = asOriginal(value)
		}
		compareValues(t, want, list(t, s, "theirs"))
		o.checkWhole()
	})
}

// asOriginal is what claude-flow itself reads where it wrote a text: one that is JSON turns into what it says.
func asOriginal(value string) string {
	var text string
	if json.Unmarshal([]byte(value), &text) != nil || value == "null" {
		return value
	}
	if text == "__compressed__eyJhIjoxfQ==" {
		return `{"a":1}`
	}
	if json.Valid([]byte(text)) {
		return text
	}
	return value
}

// TestRowsOfBoth follows one entry that both write: its identity and age stay, its accesses add up, and its time to live is the last writer's.
func TestRowsOfBoth(t *testing.T) {
	forSecond(t, func(t *testing.T, o *original) {
		s, c := o.store(time.Now), o.serve()
		entry := memory.Entry{Namespace: "n", Key: "k", Value: json.RawMessage(`1`), TTL: time.Hour}
		put(t, s, entry, memory.Entry{Namespace: "n", Key: "other", Value: json.RawMessage(`1`)})
		const row = "SELECT json_array(id, value, access_count, ttl, expires_at - updated_at, typeof(created_at), typeof(expires_at)) FROM memory_entries WHERE key = 'k'"
		check := func(after, want string) {
			t.Helper()
			if got := o.query(row)[0]; got != want {
				t.Errorf("after %s the row is %s, want %s", after, got, want)
			}
		}
		check("we wrote it", `[1,"1",0,3600,3600,"integer","integer"]`)
		c.store("n", "k", 2, 0)
		check("claude-flow wrote it", `[1,"2",1,null,null,"integer","null"]`)
		if got := list(t, s, "n")["k"]; got != "2" {
			t.Errorf("we read %s", got)
		}
		if got, _ := c.retrieve("n", "k"); got != "2" {
			t.Errorf("claude-flow reads %s", got)
		}
		check("claude-flow read it", `[1,"2",2,null,null,"integer","null"]`)
		if e, ok, err := s.Get(t.Context(), "n", "k"); err != nil || !ok || e.AccessCount != 3 {
			t.Errorf("we read %+v, %v, %v", e, ok, err)
		}
		put(t, s, entry)
		check("we wrote it again", `[1,"1",4,3600,3600,"integer","integer"]`)
		c.store("n", "k", map[string]any{"a": 1}, 7200)
		check("claude-flow wrote it again", `[1,"{\"a\":1}",5,7200,7200,"integer","integer"]`)

		if !c.memory("delete", map[string]any{"namespace": "n", "key": "k"}).Deleted {
			t.Error("claude-flow does not delete it")
		}
		if got := list(t, s, "n"); len(got) != 1 {
			t.Errorf("after claude-flow deleted one, we list %v", got)
		}
	})
}

// TestExpiryOfBoth writes entries as if some time ago, and reads as if some time from now.
func TestExpiryOfBoth(t *testing.T) {
	forSecond(t, func(t *testing.T, o *original) {
		earlier := o.store(func() time.Time { return time.Now().Add(-time.Hour) })
		put(t, earlier, memory.Entry{Namespace: "n", Key: "gone", Value: json.RawMessage(`1`), TTL: 50 * time.Minute},
			memory.Entry{Namespace: "n", Key: "there", Value: json.RawMessage(`1`), TTL: 2 * time.Hour}, memory.Entry{Namespace: "n", Key: "for ever", Value: json.RawMessage(`1`)})
		c := o.serve()
		for key, want := range map[string]bool{"gone": false, "there": true, "for ever": true} {
			if _, found := c.retrieve("n", key); found != want {
				t.Errorf("claude-flow finds %q: %v", key, found)
			}
		}
		if k := c.memory("list", map[string]any{"namespace": "n"}); k.Count != 2 {
			t.Errorf("claude-flow lists %+v", k.Entries)
		}

		c.store("m", "an hour", 1, 3600)
		c.store("m", "a day", 1, 86400)
		c.store("m", "for ever", 1, 0)
		for ahead, want := range map[time.Duration]int{0: 3, 2 * time.Hour: 2, 25 * time.Hour: 1} {
			s := o.store(func() time.Time { return time.Now().Add(ahead) })
			if got := list(t, s, "m"); len(got) != want {
				t.Errorf("in %s we list %v, want %d", ahead, got, want)
			}
		}
		if n, err := o.store(time.Now).Purge(t.Context()); err != nil || n != 1 {
			t.Errorf("we purge %d, %v", n, err)
		}
		if _, found := c.retrieve("n", "there"); !found {
			t.Error("after a purge claude-flow misses what has not expired")
		}
		o.checkWhole()
	})
}

// A hook of the original, and what is to be found after it: of each namespace one key with some fields.
type hook struct {
	args  string
	wrote map[string]string // namespace: KEY FIELD…
}

var hooks = []hook{
	{"pre-task --description work --task-id t1 --agent-id a1", map[string]string{
		"hooks:pre-task": "task:t1 taskId description agentId autoSpawnAgents status startedAt", "task-index": `task-index:\d+ taskId description timestamp`}},
	{"pre-edit --file src/a.js --operation edit --auto-assign-agents true --load-context true", map[string]string{
		"hooks:pre-edit": `edit:edit-\d+-\w+:pre file`, "agent-assignments": "agent-recommendation:src/a.js recommended"}},
	{"post-edit --file src/a.js --memory-key swarm/coder/a --update-memory true --train-neural true", map[string]string{
		"hooks:post-edit": `edit:edit-\d+-\w+:post file memoryKey editId`, "coordination": "swarm/coder/a file editedAt editId enhanced memoryUpdate neuralTraining",
		"neural-training": `neural-pattern:pattern-\d+-\w+ confidence patterns`, "file-history": `file-history:src_a.js:\d+ file editId timestamp`}},
	{"pre-command --command ls", map[string]string{"hooks:pre-bash": `bash:bash-\d+-\w+:pre command`}},
	{"post-command --command ls --exit-code 0 --track-metrics true --store-results true", map[string]string{
		"hooks:post-bash": `bash:bash-\d+-\w+:post command exitCode`, "command-history": `command-history:\d+ command exitCode success`,
		"performance-metrics": "command-metrics-summary totalCommands successRate avgDuration lastUpdated", "command-results": `command-results:bash-\d+-\w+ output`}},
	{"post-search --query needle --result-count 3", map[string]string{"hooks:post-search": `search:search-\d+-\w+ query`, "search-cache": "search-cache:needle resultCount"}},
	{"agent-spawned --name a1 --type coder", map[string]string{"hooks:agent-spawned": "agent:a1 agentName agentType swarmId spawnedAt status", "agent-roster": `agent-roster:\d+ agentName action timestamp`}},
	{"task-orchestrated --task-id t1", map[string]string{"hooks:task-orchestrated": "orchestration:t1 taskId strategy priority"}},
	{"mcp-initialized --session-id m1", map[string]string{"hooks:mcp-initialized": "mcp:m1 serverName sessionId"}},
	{"neural-trained --model x", map[string]string{"hooks:neural-trained": `neural:x:\d+ modelName accuracy`}},
	{"notify --message hello --level info", map[string]string{"hooks:notify": `notification:notify-\d+-\w+ message level swarmStatus timestamp notifyId`}},
	{"post-task --task-id t1", map[string]string{"hooks:post-task": "task:t1:completed taskId description status completedAt duration", "performance": "metrics:t1 taskId duration durationHuman timestamp"}},
	{"session-end --export-metrics true", map[string]string{
		"sessions":        `session:session-\d+-\w+ sessionId endedAt totalTasks totalEdits totalCommands uniqueAgents metrics`,
		"session-states":  `session-state:session-\d+-\w+ sessionId tasks edits commands agents persistedAt`,
		"session-metrics": `session-metrics:session-\d+-\w+ totalTasks commandSuccessRate`}},
	{"session-restore", map[string]string{"session-events": `session-restore:\d+ restoredSessionId restoredAt`}},
}

// TestHooksOfTheOriginal runs every hook of claude-flow and reads what it left.
func TestHooksOfTheOriginal(t *testing.T) {
	forSecond(t, func(t *testing.T, o *original) {
		for _, h := range hooks {
			log := o.run(append([]string{"hooks"}, strings.Fields(h.args)...)...)
			s := o.store(time.Now)
			for namespace, wrote := range h.wrote {
				if !wroteAs(strings.Fields(wrote), list(t, s, namespace)) {
					t.Errorf("after %s namespace %s holds %v, want %s\n%s", h.args, namespace, list(t, s, namespace), wrote, log)
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		o.checkWhole()
	})
}

// wroteAs reports whether one of the entries has a key of a pattern and the fields named after it.
func wroteAs(want []string, entries map[string]string) bool {
	key := regexp.MustCompile("^" + want[0] + "$")
	for k, value := range entries {
		var fields map[string]json.RawMessage
		if !key.MatchString(k) || json.Unmarshal([]byte(value), &fields) != nil {
			continue
		}
		if !slices.ContainsFunc(want[1:], func(name string) bool { return fields[name] == nil }) {
			return true
		}
	}
	return false
}

// TestHooksReadOurs has the two hooks of claude-flow that read anything read what this program wrote.
func TestHooksReadOurs(t *testing.T) {
	forSecond(t, func(t *testing.T, o *original) {
		s := o.store(time.Now)
		started := time.Now().Add(-90 * time.Second).UTC().Format("2006-01-02T15:04:05.000Z")
		put(t, s, memory.Entry{Namespace: "hooks:pre-task", Key: "task:build", Value: json.RawMessage(`{"taskId":"build","description":"build api","startedAt":"` + started + `"}`)},
			memory.Entry{Namespace: "sessions", Key: "session:run-7", Value: json.RawMessage(`{"sessionId":"run-7","totalTasks":3,"totalEdits":2,"endedAt":"` + started + `"}`)})
		o.run("hooks", "post-task", "--task-id", "build")
		var completed struct {
			Description, Status string
			Duration            float64
		}
		if err := json.Unmarshal([]byte(list(t, s, "hooks:post-task")["task:build:completed"]), &completed); err != nil {
			t.Fatal(err)
		}
		if completed.Description != "build api" || completed.Status != "completed" || completed.Duration < 90_000 {
			t.Errorf("the task is %+v", completed)
		}
		for _, which := range [][]string{nil, {"--session-id", "run-7"}} {
			log := o.run(append([]string{"hooks", "session-restore"}, which...)...)
			for _, want := range []string{"ID: run-7", "Tasks: 3", "Edits: 2", "Ended: " + started} {
				if !strings.Contains(log, want) {
					t.Errorf("session-restore %v tells no %q:\n%s", which, want, log)
				}
			}
		}
	})
}

// TestWritingAtOnce writes through this program, claude-flow's server and its hooks at the same time, some of it to the same entry.
func TestWritingAtOnce(t *testing.T) {
	const each, writers, notices = 200, 4, 6
	forSecond(t, func(t *testing.T, o *original) {
		shared := memory.Entry{Namespace: "n", Key: "shared", Value: json.RawMessage(`"ours"`)}
		put(t, o.store(time.Now), shared)
		var g sync.WaitGroup
		for w := range writers {
			s := o.store(time.Now)
			g.Go(func() {
				for i := range each {
					own := memory.Entry{Namespace: "ours", Key: fmt.Sprint(w, "/", i), Value: json.RawMessage(`{"n":1}`)}
					_, err := s.Add(t.Context(), "n", "total", 1)
					if err := errors.Join(err, s.Put(t.Context(), own, shared)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for i := range notices {
			g.Go(func() {
				if log, err := attempt(t.Context(), o.theirs("hooks", "notify", "--message", fmt.Sprint(i))); err != nil {
					t.Errorf("%v\n%s", err, log)
				}
			})
		}
		c := o.serve()
		for i := range each {
			c.store("theirs", fmt.Sprint(i), map[string]any{"n": i}, 0)
			c.store("n", "shared", "theirs", 0)
		}
		g.Wait()

		s := o.store(time.Now)
		for namespace, want := range map[string]int{"ours": writers * each, "theirs": each, "hooks:notify": notices, "n": 2} {
			if got := len(list(t, s, namespace)); got != want {
				t.Errorf("namespace %s holds %d entries, want %d", namespace, got, want)
			}
		}
		if got, want := list(t, s, "n")["total"], fmt.Sprint(writers*each); got != want {
			t.Errorf("the counter is at %s, want %s", got, want)
		}
		if got, want := o.query("SELECT access_count FROM memory_entries WHERE key = 'shared'")[0], fmt.Sprint((writers+1)*each); got != want {
			t.Errorf("the entry that all write counts %s writes after the first, want %s", got, want)
		}
		o.checkWhole()
	})
}

// TestHooksOfBoth has one tool's hooks go on with what the other's began.
func TestHooksOfBoth(t *testing.T) {
	forSecond(t, func(t *testing.T, o *original) {
		hook := func(args ...string) string {
			t.Helper()
			return o.must(o.ours(append([]string{"hook"}, args...)...))
		}
		tells := func(who, log string, want ...string) {
			t.Helper()
			for _, w := range want {
				if !strings.Contains(log, w) {
					t.Errorf("%s tells no %q:\n%s", who, w, log)
				}
			}
		}
		hook("session-start", "--session-id", "ours-1")
		hook("pre-task", "--task-id", "t1", "--description", "build api")
		o.run("hooks", "post-task", "--task-id", "t1")
		o.run("hooks", "pre-task", "--task-id", "t2", "--description", "build web")
		tells("our post-task", hook("post-task", "--task-id", "t2"), "task t2 took ")

		hook("post-edit", "--file", "src/a.go", "--memory-key", "coder/a", "--insight", `{"slow":"npm ci"}`)
		o.run("hooks", "post-edit", "--file", "src/b.js", "--memory-key", "coder/b")
		tells("our command", o.must(o.ours("get", "coder/b", "--namespace", "coordination")), `"file":"src/b.js"`)
		hook("notify", "--message", "mind the cache")
		tells("our session-end", hook("session-end"), "session ours-1 ended")
		tells("claude-flow", o.run("hooks", "session-restore", "--session-id", "ours-1"), "ID: ours-1", "Edits: 2")
		tells("claude-flow's session-end", o.run("hooks", "session-end"), "Session saved")
		tells("our session-restore", hook("session-restore"), "last session session-")

		c := o.serve()
		s := o.store(time.Now)
		var done struct{ Description, Status string }
		if err := json.Unmarshal([]byte(list(t, s, "hooks:post-task")["task:t1:completed"]), &done); err != nil || done.Description != "build api" || done.Status != "completed" {
			t.Errorf("our task is %+v, %v", done, err)
		}
		if got, found := c.retrieve("coordination", "coder/a"); !found || !strings.Contains(got, "npm ci") {
			t.Errorf("claude-flow reads our insight as %s", got)
		}
		if k := c.memory("list", map[string]any{"namespace": "hooks:notify"}); k.Count != 1 || !strings.Contains(string(k.Entries[0].Value), "mind the cache") {
			t.Errorf("claude-flow lists our notice as %+v", k.Entries)
		}
		o.checkWhole()
	})
}

// TestServersOfBoth asks this program's server for what claude-flow's was told, and the other way round.
func TestServersOfBoth(t *testing.T) {
	forSecond(t, func(t *testing.T, o *original) {
		theirs, ours := o.serve(), talk(t, o.ours("serve"))
		theirs.store("n", "theirs", map[string]any{"text": "a needle in a haystack"}, 0)
		ours.call("memory_store", map[string]any{"namespace": "n", "key": "ours", "value": []int{1, 2}}, new(any))
		if got, _ := theirs.retrieve("n", "ours"); spaces.ReplaceAllString(got, "") != "[1,2]" {
			t.Errorf("claude-flow reads %s", got)
		}
		var answer any
		ours.call("memory_search", map[string]any{"text": "needle hay*"}, &answer)
		if found := fmt.Sprint(answer); !strings.Contains(found, "theirs") || strings.Contains(found, "ours") {
			t.Errorf("we find %s", found)
		}
		theirs.store("n", "theirs", "gone from the haystack", 0)
		ours.call("memory_search", map[string]any{"text": "needle"}, &answer)
		if found := fmt.Sprint(answer); strings.Contains(found, "theirs") {
			t.Errorf("we find what was written over: %s", found)
		}
	})
}

var spaces = regexp.MustCompile(`\s+`)

// TestCountersOfBoth adds to what claude-flow wrote, and looks back at what it wrote over.
func TestCountersOfBoth(t *testing.T) {
	forSecond(t, func(t *testing.T, o *original) {
		s, c := o.store(time.Now), o.serve()
		add := func(n, want int64) {
			t.Helper()
			if got, err := s.Add(t.Context(), "n", "count", n); err != nil || got != want {
				t.Errorf("Add(%d) = %d, %v; want %d", n, got, err, want)
			}
		}
		add(2, 2)
		if got, _ := c.retrieve("n", "count"); got != "2" {
			t.Errorf("claude-flow reads the counter as %s", got)
		}
		c.store("n", "count", 40, 0)
		add(2, 42)

		put(t, s, entry("n", "k", `"ours"`))
		c.store("n", "k", "theirs", 0)
		put(t, s, entry("n", "k", `"ours again"`))
		versions, err := s.History(t.Context(), "n", "k")
		// What claude-flow wrote over nobody saw any more.
		if err != nil || len(versions) != 2 || string(versions[1].Value) != `"theirs"` || versions[1].Writer != "" {
			t.Errorf("the history is %+v, %v", versions, err)
		}
		if wrong, err := s.Verify(t.Context()); err != nil || len(wrong) > 0 {
			t.Errorf("Verify() = %q, %v", wrong, err)
		}
	})
}
