package action

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/service"
)

// entryCommands are those about entries.
func entryCommands() []memoryCommand {
	key := memoryArg{name: "KEY"}
	offset := memoryFlag{name: "offset", value: "N", check: wholeNumber, help: "How many to leave out before."}
	return []memoryCommand{
		{words: "store", args: []memoryArg{key, {name: "VALUE", optional: true}}, run: storeEntry,
			help: "Keep a value, JSON or else text, under a key, in place of what was there.",
			flags: []memoryFlag{namespaceFlag(), {name: "from", value: "FILE", help: "Read the value from a file, such as /dev/stdin."},
				{name: "ttl", value: "TIME", check: isTTL, help: "How long it is kept, in seconds or as 12h; for ever by default."},
				{name: "metadata", value: "JSON", check: isJSON, help: "A JSON object that is kept with it."},
				{name: "if", value: "VALUE", check: notEmpty, help: "Only if this is what was there."}, {name: "if-absent", help: "Only if nothing was there."}}},
		{words: "get", args: []memoryArg{key}, run: getEntry, flags: []memoryFlag{namespaceFlag(), {name: "history", help: "What it was before, too."}},
			help: "Print the value of a key."},
		{words: "list", args: []memoryArg{{name: "NAMESPACE", optional: true}}, run: listEntries,
			flags: []memoryFlag{{name: "prefix", value: "TEXT", help: "Only keys that begin so."}, limitFlag("100"), offset},
			help:  "List a namespace, the newest first; without one, the namespaces."},
		{words: "search", args: []memoryArg{{name: "WORD", many: true}}, run: searchEntries,
			flags: []memoryFlag{{name: "namespace", value: "NAME", help: "Search this one alone."}, limitFlag("50"), offset},
			help:  "Find entries that have all the words; a word may end in *."},
		{words: "delete", args: []memoryArg{key}, run: deleteEntry, flags: []memoryFlag{namespaceFlag()}, help: "Delete a key."},
	}
}

// An entryView is an entry as the commands print it.
type entryView struct {
	Namespace string          `json:"namespace"`
	Key       string          `json:"key"`
	Value     json.RawMessage `json:"value"`
	Metadata  json.RawMessage `json:"metadata,omitempty"`
	TTL       int64           `json:"ttl_seconds,omitempty"` // when it was written; 0 is for ever
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
	// History is what it was before, the newest first.
	History []memory.Version `json:"history,omitempty"`
}

func viewOf(e memory.Entry) entryView {
	return entryView{Namespace: e.Namespace, Key: e.Key, Value: e.Value, Metadata: e.Metadata, TTL: int64(e.TTL / time.Second), CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt}
}

func viewsOf(entries []memory.Entry) []entryView {
	views := []entryView{}
	for _, e := range entries {
		views = append(views, viewOf(e))
	}
	return views
}

func storeEntry(ctx context.Context, c memoryCall) error {
	e := memory.Entry{Namespace: c.values["namespace"], Key: c.arg(0), Value: readValue(c.arg(1))}
	from := c.values["from"]
	if (len(c.args) > 1) == (from != "") {
		return service.Problems{{Where: "VALUE", What: "give it, or --from, and not both"}}
	}
	if c.on("if-absent") && c.values["if"] != "" {
		return service.Problems{{Where: "--if and --if-absent", What: "give one of them"}}
	}
	if from != "" {
		data, err := os.ReadFile(c.in(c.process.Dir, from))
		if err != nil {
			return fmt.Errorf("reading the value: %w", err)
		}
		e.Value = readValue(string(data))
	}
	if metadata := c.values["metadata"]; metadata != "" {
		e.Metadata = json.RawMessage(metadata)
	}
	if ttl := c.values["ttl"]; ttl != "" {
		e.TTL, _ = readTTL(ttl) // which was checked
	}
	return c.with(ctx, func(store *memory.Store) error {
		if err := c.put(ctx, store, e); err != nil {
			return err
		}
		return c.print(viewOf(e), func(log *actions.Log) { log.Printf("stored %s in %s", e.Key, e.Namespace) })
	})
}

// notEmpty refuses what a script gives that has read nothing: it is not to be taken for no condition at all.
func notEmpty(v string) error {
	if v == "" {
		return errors.New("it is empty: give what was there, or --if-absent where nothing was")
	}
	return nil
}

// put writes an entry, if what was there is what was said.
func (c memoryCall) put(ctx context.Context, store *memory.Store, e memory.Entry) error {
	var old json.RawMessage
	switch {
	case c.values["if"] != "":
		old = readValue(c.values["if"])
	case !c.on("if-absent"):
		return store.Put(ctx, e)
	}
	set, err := store.CompareAndSet(ctx, e, old)
	if err == nil && !set {
		err = fmt.Errorf("key %q in namespace %q was not set: it is not what was expected", e.Key, e.Namespace)
	}
	return err
}

func getEntry(ctx context.Context, c memoryCall) error {
	return c.reading(ctx, func(store *memory.Store) error {
		e, found, err := store.Get(ctx, c.values["namespace"], c.arg(0))
		if err != nil {
			return err
		}
		if !found {
			return c.missing()
		}
		view := viewOf(e)
		if c.on("history") {
			if view.History, err = store.History(ctx, e.Namespace, e.Key); err != nil {
				return err
			}
		}
		return c.print(view, func(log *actions.Log) { tellEntry(log, view) })
	})
}

func (c memoryCall) missing() error {
	return fmt.Errorf("the memory %s has no key %q in namespace %q", c.path, c.arg(0), c.values["namespace"])
}

func tellEntry(log *actions.Log, v entryView) {
	log.Printf("%s", plainText(v.Value))
	var rows [][]string
	for _, was := range v.History {
		value := plainText(was.Value)
		if was.Deleted {
			value = "(deleted)"
		}
		rows = append(rows, []string{was.At.Format(time.DateTime), cmp.Or(was.Writer, "another tool"), briefly(value)})
	}
	if len(rows) > 0 {
		table(log, []string{"AT", "WRITER", "VALUE"}, rows)
	}
}

func listEntries(ctx context.Context, c memoryCall) error {
	if len(c.args) == 0 {
		return listNamespaces(ctx, c)
	}
	return c.page(ctx, memory.Query{Namespace: c.arg(0), Prefix: c.values["prefix"]})
}

func searchEntries(ctx context.Context, c memoryCall) error {
	return c.page(ctx, memory.Query{Namespace: c.values["namespace"], Text: strings.Join(c.args, " ")})
}

func (c memoryCall) page(ctx context.Context, q memory.Query) error {
	q.Limit, q.Offset = c.number("limit"), c.number("offset")
	return c.reading(ctx, func(store *memory.Store) error {
		entries, err := store.Page(ctx, q)
		if err != nil {
			return err
		}
		return c.print(viewsOf(entries), func(log *actions.Log) { tellEntries(log, entries) })
	})
}

func deleteEntry(ctx context.Context, c memoryCall) error {
	return c.with(ctx, func(store *memory.Store) error {
		found, err := store.Delete(ctx, c.values["namespace"], c.arg(0))
		if err == nil && !found {
			err = c.missing()
		}
		if err != nil {
			return err
		}
		return c.print(map[string]string{"deleted": c.arg(0)}, func(log *actions.Log) { log.Printf("deleted %s from %s", c.arg(0), c.values["namespace"]) })
	})
}

func tellEntries(log *actions.Log, entries []memory.Entry) {
	if len(entries) == 0 {
		log.Printf("nothing is there")
		return
	}
	var rows [][]string
	for _, e := range entries {
		rows = append(rows, []string{e.Namespace, e.Key, e.UpdatedAt.Format(time.DateTime), briefly(plainText(e.Value))})
	}
	table(log, []string{"NAMESPACE", "KEY", "UPDATED", "VALUE"}, rows)
}
