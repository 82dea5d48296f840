package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/service"
)

// fileCommands are those about a memory as a whole.
func fileCommands() []memoryCommand {
	file := memoryArg{name: "FILE"}
	return []memoryCommand{
		{words: "stats", run: memoryStats, help: "Sum the memory up."},
		{words: "export", args: []memoryArg{{name: "FILE", optional: true}}, run: exportMemory, help: "Write the whole memory, deletions and counters too, as JSON.",
			flags: []memoryFlag{{name: "layout", value: "NAME", check: oneOf(layouts()...), help: "For the swarm's tool: " + strings.Join(layouts(), ", ") + ". What a FILE of that layout holds beside it stays."}}},
		{words: "import", args: []memoryArg{file}, run: importMemory, help: "Take over the entries of an export that are not here yet.",
			flags: []memoryFlag{{name: "replace", help: "Those that are here, too."}}},
		{words: "merge", args: []memoryArg{{name: "FILE", many: true}}, run: mergeMemory, help: "Join other memories, or exports, with this one: of each key the last write or deletion counts."},
		{words: "gc", run: collect, help: "Delete what has expired, and give its space back."},
		{words: "verify", run: verifyMemory, help: "Look at every page and row; exit code 1 where something is wrong."},
		{words: "doctor", run: memoryDoctor, help: "Tell what is wrong with the memory or its surroundings, and what to do."},
	}
}

// A statsView is the memory summed up.
type statsView struct {
	Stats      memory.Stats            `json:"memory_stats"`
	Namespaces []memory.NamespaceStats `json:"namespaces"`
	File       string                  `json:"file"`
	Bytes      int64                   `json:"file_bytes"`
}

func memoryStats(ctx context.Context, c memoryCall) error {
	view := statsView{File: c.path, Bytes: sizeOf(c.now())}
	return c.reading(ctx, func(store *memory.Store) (err error) {
		if view.Stats, err = store.Stats(ctx); err != nil {
			return err
		}
		if view.Namespaces, err = store.Namespaces(ctx); err != nil {
			return err
		}
		return c.print(view, func(log *actions.Log) { tellStats(log, view) })
	})
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func tellStats(log *actions.Log, v statsView) {
	log.Printf("%d entries in %d namespaces, %.2f KB; success rate %s; the file %s has %s", v.Stats.TotalEntries, v.Stats.Namespaces, v.Stats.SizeKB, v.Stats.SuccessRate,
		v.File, units.HumanSize(float64(v.Bytes)))
	if len(v.Namespaces) > 0 {
		tellNamespaces(log, v.Namespaces)
	}
}

func tellNamespaces(log *actions.Log, all []memory.NamespaceStats) {
	var rows [][]string
	for _, n := range all {
		rows = append(rows, []string{n.Namespace, fmt.Sprint(n.Entries), units.HumanSize(float64(n.Bytes)), n.Newest.Format(time.DateTime)})
	}
	table(log, []string{"NAMESPACE", "ENTRIES", "SIZE", "NEWEST"}, rows)
}

func listNamespaces(ctx context.Context, c memoryCall) error {
	return c.reading(ctx, func(store *memory.Store) error {
		all, err := store.Namespaces(ctx)
		if err != nil {
			return err
		}
		if all == nil {
			all = []memory.NamespaceStats{}
		}
		return c.print(all, func(log *actions.Log) {
			if len(all) == 0 {
				log.Printf("nothing is there")
				return
			}
			tellNamespaces(log, all)
		})
	})
}

func layouts() []string {
	var names []string
	for _, l := range memory.Layouts() {
		names = append(names, string(l))
	}
	return names
}

func exportMemory(ctx context.Context, c memoryCall) error {
	if layout := c.values["layout"]; layout != "" {
		return c.exportAs(ctx, memory.Layout(layout))
	}
	return c.reading(ctx, func(store *memory.Store) error {
		whole, err := store.Delta(ctx, time.Time{})
		if err != nil {
			return err
		}
		data, err := report.JSON(whole)
		if err != nil {
			return err
		}
		if len(c.args) == 0 {
			_, err := c.process.Stdout.Write(data)
			return err
		}
		path := c.in(c.process.Dir, c.arg(0))
		if sameFile(path, c.now()) {
			return fmt.Errorf("exporting the swarm memory to %s: it is the memory itself", c.arg(0))
		}
		if err := writeFile(path, data); err != nil {
			return err
		}
		return c.print(map[string]any{"file": c.arg(0), "entries": len(whole.Entries)}, func(log *actions.Log) {
			log.Printf("exported %d entries to %s", len(whole.Entries), c.arg(0))
		})
	})
}

// sameFile tells whether two paths are of one file.
func sameFile(one, other string) bool {
	a, err := os.Stat(one)
	if err != nil {
		return false
	}
	b, err := os.Stat(other)
	return err == nil && os.SameFile(a, b)
}

func (c memoryCall) exportAs(ctx context.Context, layout memory.Layout) error {
	if len(c.args) == 0 {
		return service.Problems{{Where: "FILE", What: "give one where there is --layout"}}
	}
	return c.reading(ctx, func(store *memory.Store) error {
		if err := store.Export(ctx, c.in(c.process.Dir, c.arg(0)), layout); err != nil {
			return err
		}
		return c.print(map[string]string{"file": c.arg(0), "layout": string(layout)}, func(log *actions.Log) { log.Printf("exported to %s as %s", c.arg(0), layout) })
	})
}

// read reads another memory, of whatever layout, or an export.
func (c memoryCall) read(ctx context.Context, path string) (m memory.Memory, err error) {
	path = c.in(c.process.Dir, path)
	if data, err := os.ReadFile(path); err == nil && json.Unmarshal(data, &m) == nil && m.Version == 1 {
		return m, nil
	}
	return memory.Read(ctx, path, c.process.Now)
}

func importMemory(ctx context.Context, c memoryCall) error {
	other, err := c.read(ctx, c.arg(0))
	if err != nil {
		return err
	}
	return c.with(ctx, func(store *memory.Store) error {
		imported := 0
		for _, r := range other.Entries {
			done, err := c.take(ctx, store, r)
			if err != nil {
				return err
			}
			if done {
				imported++
			}
		}
		return c.print(map[string]int{"imported": imported, "kept": len(other.Entries) - imported}, func(log *actions.Log) {
			log.Printf("imported %d entries; %d were here, or have expired", imported, len(other.Entries)-imported)
		})
	})
}

// take writes an entry of another memory as if it were written now; false where one is there, or it has expired.
func (c memoryCall) take(ctx context.Context, store *memory.Store, r memory.Record) (bool, error) {
	e := memory.Entry{Namespace: r.Namespace, Key: r.Key, Value: r.Value, Metadata: r.Metadata}
	if r.ExpiresAt > 0 {
		if e.TTL = time.Unix(r.ExpiresAt, 0).Sub(c.process.Now()).Truncate(time.Second); e.TTL <= 0 {
			return false, nil
		}
	}
	if c.on("replace") {
		return true, store.Put(ctx, e)
	}
	return store.CompareAndSet(ctx, e, nil)
}

func mergeMemory(ctx context.Context, c memoryCall) error {
	var all memory.Memory
	for _, path := range c.args {
		other, err := c.read(ctx, path)
		if err != nil {
			return err
		}
		all = memory.Merge(all, other)
	}
	return c.with(ctx, func(store *memory.Store) error {
		m, err := store.Apply(ctx, all)
		if err != nil {
			return err
		}
		return c.print(map[string]int{"added": m.Added, "replaced": m.Replaced, "deleted": m.Deleted, "kept": m.Kept, "refused": m.Refused}, func(log *actions.Log) {
			log.Printf("merged: %d added, %d replaced, %d deleted, %d kept, %d refused", m.Added, m.Replaced, m.Deleted, m.Kept, m.Refused)
		})
	})
}

func collect(ctx context.Context, c memoryCall) error {
	before, expired := sizeOf(c.now()), 0
	err := c.with(ctx, func(store *memory.Store) (err error) {
		if expired, err = store.Purge(ctx); err != nil {
			return err
		}
		return store.Compact(ctx)
	})
	if err != nil {
		return err
	}
	after := sizeOf(c.now())
	return c.print(map[string]int64{"expired": int64(expired), "bytes_before": before, "bytes_after": after}, func(log *actions.Log) {
		log.Printf("deleted %d entries that had expired; the file had %s and has %s", expired, units.HumanSize(float64(before)), units.HumanSize(float64(after)))
	})
}

func verifyMemory(ctx context.Context, c memoryCall) error {
	return c.reading(ctx, func(store *memory.Store) error {
		wrong, err := store.Verify(ctx)
		if err != nil {
			return err
		}
		if wrong == nil {
			wrong = []string{}
		}
		if err := c.print(map[string][]string{"wrong": wrong}, func(log *actions.Log) { tellLines(log, wrong, "nothing is wrong") }); err != nil {
			return err
		}
		return found(len(wrong))
	})
}

// found is the error of a look that found something wrong.
func found(wrong int) error {
	if wrong == 0 {
		return nil
	}
	return fmt.Errorf("%d things are wrong with the memory", wrong)
}

// A symptom is something that a doctor looked at.
type symptom struct {
	Look string `json:"look"`          // what was looked at
	Ok   bool   `json:"ok"`            // whether it is as it should be
	Say  string `json:"say"`           // what was seen
	Fix  string `json:"fix,omitempty"` // what to do
}

func memoryDoctor(ctx context.Context, c memoryCall) error {
	symptoms := c.examine(ctx)
	wrong := 0
	for _, s := range symptoms {
		if !s.Ok {
			wrong++
		}
	}
	err := c.print(symptoms, func(log *actions.Log) {
		for _, s := range symptoms {
			mark := "✅"
			if !s.Ok {
				mark = "❌"
			}
			log.Printf("%s %s: %s", mark, s.Look, s.Say)
			if s.Fix != "" {
				log.Printf("   %s", s.Fix)
			}
		}
	})
	return errors.Join(err, found(wrong))
}

// examine looks at the file from outside, and then, if it opens, from inside.
func (c memoryCall) examine(ctx context.Context) []symptom {
	info, err := os.Stat(c.now())
	if err != nil {
		return []symptom{{Look: "file", Ok: os.IsNotExist(err), Say: fmt.Sprintf("there is none: %v", err), Fix: "The first run, or memory store, makes one."}}
	}
	symptoms := []symptom{{Look: "file", Ok: true, Say: fmt.Sprintf("%s, %s", c.path, units.HumanSize(float64(info.Size())))}}
	readable := symptom{Look: "rights", Ok: info.Mode().Perm()&0o444 == 0o444, Say: info.Mode().Perm().String()}
	if !readable.Ok {
		readable.Fix = "chmod 644, so that later steps, which run as another user, can read it."
	}
	symptoms = append(symptoms, readable)
	if left, _ := filepath.Glob(c.path + ".set-aside-*"); len(left) > 0 {
		symptoms = append(symptoms, symptom{Look: "files that could not be used", Say: fmt.Sprintf("%d, such as %s", len(left), left[0]), Fix: "Look at what broke them, and delete them."})
	}
	err = c.with(ctx, func(store *memory.Store) error {
		inside, err := c.auscultate(ctx, store)
		symptoms = append(symptoms, inside...)
		return err
	})
	if err != nil {
		symptoms = append(symptoms, symptom{Look: "reading", Say: err.Error(), Fix: "The next run sets a file aside that cannot be used, and begins a fresh one; restore one from a cache or an export, and merge it."})
	}
	return symptoms
}

// auscultate looks at what the file holds.
func (c memoryCall) auscultate(ctx context.Context, store *memory.Store) ([]symptom, error) {
	wrong, err := store.Verify(ctx)
	if err != nil {
		return nil, err
	}
	pages := symptom{Look: "pages and rows", Ok: len(wrong) == 0, Say: "all are sound"}
	if !pages.Ok {
		pages.Say, pages.Fix = wrong[0], "memory export what can be read, remove the file, and import that."
	}
	stats, err := store.Stats(ctx)
	if err != nil {
		return nil, err
	}
	entries := symptom{Look: "entries", Ok: true, Say: fmt.Sprintf("%d, %.2f KB", stats.TotalEntries, stats.SizeKB)}
	if held := int64(stats.SizeKB * 1024); sizeOf(c.now()) > 4<<20 && sizeOf(c.now()) > 8*held {
		entries.Fix = "Most of the file is empty or has expired: memory gc."
	}
	known, err := store.List(ctx, "builds", 1)
	if err != nil {
		return nil, err
	}
	runs := symptom{Look: "runs", Ok: true, Say: "none has written here yet"}
	if len(known) > 0 {
		runs.Say = fmt.Sprintf("the last wrote on %s; success rate %s", known[0].UpdatedAt.Format(time.DateTime), stats.SuccessRate)
	}
	return []symptom{pages, entries, runs}, nil
}
