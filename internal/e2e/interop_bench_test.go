package e2e

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkMemoryCommand keeps an entry by a command of claude-flow that uses SQLite, and by this program's, in turn. Most of what
// either takes is its start, so this says nothing of their memories.
//
//	E2E=1 go test ./internal/e2e -run '^$' -bench BenchmarkMemoryCommand -benchtime 20x
func BenchmarkMemoryCommand(b *testing.B) {
	for version, command := range map[string]func(key string) []string{
		"2.0.0-alpha.88": func(key string) []string { return []string{"hooks", "notify", "--message", key} },
		"2.7.47":         func(key string) []string { return []string{"memory", "store", key, "a value"} },
		"3.43.0":         func(key string) []string { return []string{"memory", "store", "--key", key, "--value", "a value"} },
	} {
		b.Run(version, func(b *testing.B) {
			theirs, ours := newOriginal(b, version), newOriginal(b, version)
			if version == "3.43.0" {
				theirs.run("memory", "init")
			}
			n := 0
			inTurn(b,
				func() { n++; theirs.run(command(fmt.Sprint("k", n))...) },
				func() { ours.must(ours.ours("store", fmt.Sprint("k", n), "a value")) })
		})
	}
}

// BenchmarkMemoryServer keeps and reads entries by the servers of claude-flow and of this program, in turn: one process each.
//
//	E2E=1 go test ./internal/e2e -run '^$' -bench BenchmarkMemoryServer -benchtime 1000x
func BenchmarkMemoryServer(b *testing.B) {
	for _, version := range second {
		theirs, ours := newOriginal(b, version), newOriginal(b, version)
		their, our := theirs.serve(), talk(b, ours.ours("serve"))
		args := func(n int) map[string]any {
			return map[string]any{"namespace": "n", "key": fmt.Sprint("k", n%1000), "value": map[string]any{"n": n, "text": "a value"}}
		}
		n := 0
		b.Run(version+"/store", func(b *testing.B) {
			inTurn(b,
				func() { n++; their.memory("store", args(n)) },
				func() { our.call("memory_store", args(n), new(any)) })
		})
		b.Run(version+"/retrieve", func(b *testing.B) {
			key := func() map[string]any { return map[string]any{"namespace": "n", "key": fmt.Sprint("k", n%1000)} }
			inTurn(b,
				func() { n++; their.memory("retrieve", key()) },
				func() { our.call("memory_retrieve", key(), new(any)) })
		})
	}
}

// inTurn times claude-flow and this program, and reports the milliseconds of each and what share of claude-flow's this program takes.
func inTurn(b *testing.B, theirs, ours func()) {
	b.Helper()
	var their, our time.Duration
	for b.Loop() {
		begun := time.Now()
		theirs()
		their += time.Since(begun)
		begun = time.Now()
		ours()
		our += time.Since(begun)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(1000*their.Seconds()/float64(b.N), "ms/claude-flow")
	b.ReportMetric(1000*our.Seconds()/float64(b.N), "ms/ours")
	b.ReportMetric(our.Seconds()/their.Seconds(), "ratio")
}
