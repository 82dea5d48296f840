package memory

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manyEntries is how many entries the benchmarks work on; -short takes a tenth.
func manyEntries() int {
	if testing.Short() {
		return 100_000
	}
	return 1_000_000
}

// kilobyte makes up an entry of 1 KB of words. Every 1000th holds a rare one; every second one expires.
func kilobyte(n int) Entry {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	var b strings.Builder
	for b.Len() < 990 {
		fmt.Fprintf(&b, "word%d ", r.IntN(20_000))
	}
	if n%1000 == 0 {
		b.WriteString("needle")
	}
	e := Entry{Namespace: fmt.Sprint("space", n%4), Key: fmt.Sprintf("service-%07d/run", n), Value: marshal(map[string]string{"text": b.String()})}
	if n%2 == 0 {
		e.TTL = time.Hour
	}
	return e
}

func batch(from, n int) []Entry {
	entries := make([]Entry, n)
	for i := range entries {
		entries[i] = kilobyte(from + i)
	}
	return entries
}

// BenchmarkMillion works on a memory of a million entries of 1 KB: go test -bench Million -benchtime 2s -timeout 1h.
func BenchmarkMillion(b *testing.B) {
	c := newClock()
	path, total := file(b), manyEntries()
	s := mustOpen(b, path, c.now)
	rate(b, "fill", func() int {
		var took time.Duration
		for from := 0; from < total; from += 1000 {
			entries := batch(from, 1000)
			start := time.Now()
			mustPut(b, s, entries...)
			took += time.Since(start)
		}
		return int(float64(total) / took.Seconds())
	})
	b.Run("batch", func(b *testing.B) {
		next, used := total, time.Duration(0)
		for b.Loop() {
			b.StopTimer()
			entries := batch(next, 1000)
			next += 1000
			before := processorTime()
			b.StartTimer()
			mustPut(b, s, entries...)
			used += processorTime() - before
		}
		b.ReportMetric(float64(used.Milliseconds())/float64(b.N), "cpu-ms/op")
		b.ReportMetric(float64(b.N*1000)/b.Elapsed().Seconds(), "entries/s")
	})
	each(b, "one", func(n int) { mustPut(b, s, kilobyte(2*total+n)) })
	each(b, "get", func(n int) { e := kilobyte(n * 7919 % total); mustGet(b, s, e.Namespace, e.Key) })
	each(b, "open", func(int) { _ = mustOpen(b, path, c.now).db.Close() })
	each(b, "list", func(n int) { page(b, s, Query{Namespace: fmt.Sprint("space", n%4), Limit: 100}) })
	each(b, "list-all", func(int) { page(b, s, Query{Limit: 100}) })
	rate(b, "index", func() int {
		start := time.Now()
		page(b, s, Query{Text: "needle"})
		return int(float64(total) / time.Since(start).Seconds())
	})
	for name, q := range map[string]Query{
		"rare":        {Text: "needle", Limit: 50},
		"common":      {Text: "service", Limit: 50},
		"two-words":   {Text: "word17 word4711", Limit: 50},
		"prefix":      {Text: "word1999*", Limit: 50},
		"namespace":   {Text: "run", Namespace: "space3", Limit: 50},
		"common-rare": {Text: "service needle", Limit: 50, Offset: 50},
	} {
		each(b, "search/"+name, func(int) { page(b, s, q) })
	}
	b.Run("merge", func(b *testing.B) {
		used := time.Duration(0)
		for n := 0; b.Loop(); n++ {
			b.StopTimer()
			m := tenth(c, total, n)
			before := processorTime()
			b.StartTimer()
			mustApply(b, s, m)
			used += processorTime() - before
		}
		b.ReportMetric(used.Seconds()/float64(b.N), "cpu-s/op")
	})
	c.pass(2 * time.Hour)
	rate(b, "purge", func() int {
		start := time.Now()
		n, err := s.Purge(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.Logf("purged %d in %s", n, time.Since(start))
		return int(float64(n) / time.Since(start).Seconds())
	})
}

// tenth is a memory of a tenth as many entries: half of them new, half newer ones of what there is.
func tenth(c *clock, total, n int) Memory {
	c.pass(time.Second)
	m := Memory{}
	for i := range total / 10 {
		e := kilobyte(i * 10)
		if i%2 == 0 {
			e.Key = fmt.Sprintf("merged-%d-%d", n, i)
		}
		now := c.now().UnixMilli()
		m.Entries = append(m.Entries, Record{Namespace: e.Namespace, Key: e.Key, Value: json.RawMessage(e.Value), CreatedAt: now, UpdatedAt: now, Writer: "other", Stamp: now})
	}
	return m
}

// rate does something that cannot be done twice.
func rate(b *testing.B, name string, do func() int) {
	done, perSecond := false, 0
	b.Run(name, func(b *testing.B) {
		if !done {
			done = true
			before := processorTime()
			perSecond = do()
			b.ReportMetric((processorTime() - before).Seconds(), "cpu-s")
		}
		b.ReportMetric(float64(perSecond), "entries/s")
	})
}

// processorTime is what this process has used, which is not longer for the machine having other work.
func processorTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// each does something again and again, and reports how long 99 of 100 took.
func each(b *testing.B, name string, do func(n int)) {
	n := 0 // goes on where the last round ended
	b.Run(name, func(b *testing.B) {
		var took []time.Duration
		before := processorTime()
		for b.Loop() {
			start := time.Now()
			do(n)
			took = append(took, time.Since(start))
			n++
		}
		b.ReportMetric(float64((processorTime()-before).Microseconds())/float64(b.N), "cpu-µs/op")
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	})
}
