package action

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/service"
)

// entryCommands are those about entries.
func entryCommands() []memoryCommand {
	key := memoryArg{name: "KEY"}
	return []memoryCommand{
		{words: "store", args: []memoryArg{key, {name: "VALUE", optional: true}}, run: storeEntry,
			help: "Keep a value, JSON or else text, under a key, in place of what was there.",
			flags: []memoryFlag{namespaceFlag(), {name: "from", value: "FILE", help: "Read the value from a file, such as /dev/stdin."},
				{name: "ttl", value: "TIME", check: isTTL, help: "How long it is kept, in seconds or as 12h; for ever by default."},
				{name: "metadata", value: "JSON", check: isJSON, help: "A JSON object that is kept with it."}}},
		{words: "get", args: []memoryArg{key}, run: getEntry, flags: []memoryFlag{namespaceFlag()},
			help: "Print the value of a key."},
		{words: "list", args: []memoryArg{{name: "NAMESPACE", optional: true}}, run: listEntries, flags: []memoryFlag{limitFlag("100")},
			help: "List a namespace, the newest first."},
		{words: "stats", run: memoryStats, help: "Sum the memory up."},
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
		if err := store.Put(ctx, e); err != nil {
			return err
		}
		return c.print(viewOf(e), func(log *actions.Log) { log.Printf("stored %s in %s", e.Key, e.Namespace) })
	})
}

func getEntry(ctx context.Context, c memoryCall) error {
	return c.reading(ctx, func(store *memory.Store) error {
		e, found, err := store.Get(ctx, c.values["namespace"], c.arg(0))
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("the memory %s has no key %q in namespace %q", c.path, c.arg(0), c.values["namespace"])
		}
		return c.print(viewOf(e), func(log *actions.Log) { log.Printf("%s", plainText(e.Value)) })
	})
}

func listEntries(ctx context.Context, c memoryCall) error {
	return c.reading(ctx, func(store *memory.Store) error {
		entries, err := store.List(ctx, c.arg(0), c.number("limit"))
		if err != nil {
			return err
		}
		return c.print(viewsOf(entries), func(log *actions.Log) { tellEntries(log, entries) })
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

// A statsView is the memory summed up.
type statsView struct {
	Stats memory.Stats `json:"memory_stats"`
	File  string       `json:"file"`
	Bytes int64        `json:"file_bytes"`
}

func memoryStats(ctx context.Context, c memoryCall) error {
	return c.reading(ctx, func(store *memory.Store) error {
		stats, err := store.Stats(ctx)
		if err != nil {
			return err
		}
		view := statsView{Stats: stats, File: c.path}
		if info, err := os.Stat(c.path); err == nil {
			view.Bytes = info.Size()
		}
		return c.print(view, func(log *actions.Log) { tellStats(log, view) })
	})
}

func tellStats(log *actions.Log, v statsView) {
	table(log, []string{"ENTRIES", "NAMESPACES", "SIZE", "SUCCESS"}, [][]string{{fmt.Sprint(v.Stats.TotalEntries), fmt.Sprint(v.Stats.Namespaces),
		fmt.Sprintf("%.2f KB", v.Stats.SizeKB), v.Stats.SuccessRate}})
	log.Printf("in %s, %d bytes", v.File, v.Bytes)
}
