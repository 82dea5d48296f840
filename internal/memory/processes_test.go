package memory

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain is also the program that the tests below start many times at once, and kill.
func TestMain(m *testing.M) {
	if path := os.Getenv("MEMORY_OF_CHILD"); path != "" {
		if err := child(path, os.Getenv("NAME_OF_CHILD"), os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// full tells whether the long tests are to be done in full; otherwise a tenth is.
func full() bool { return os.Getenv("E2E") == "full" }

// child writes as much as it is asked for, and says what of it is written: each number once the memory has taken what goes with it.
func child(path, name string, out *os.File) error {
	var from, to int
	if _, err := fmt.Sscanf(os.Getenv("WORK_OF_CHILD"), "%d-%d", &from, &to); err != nil {
		return err
	}
	ctx := context.Background()
	s, err := Open(ctx, path, time.Now, WithWriter(name))
	if err != nil {
		return err
	}
	for i := from; i < to; i++ {
		if err := childWork(ctx, s, name, i); err != nil {
			return fmt.Errorf("%s at %d: %w", name, i, err)
		}
		fmt.Fprintln(out, i)
	}
	return s.Close()
}

func childWork(ctx context.Context, s *Store, name string, i int) error {
	pair := []Entry{{Namespace: name, Key: fmt.Sprint("a", i), Value: number(int64(i))}, {Namespace: name, Key: fmt.Sprint("b", i), Value: number(int64(i))}}
	if err := s.Put(ctx, pair...); err != nil {
		return err
	}
	if _, err := s.Add(ctx, "n", "sum", 1); err != nil {
		return err
	}
	if i%10 != 9 {
		return nil
	}
	if _, err := s.Delete(ctx, name, fmt.Sprint("a", i-1)); err != nil {
		return err
	}
	_, err := s.Page(ctx, Query{Text: "sum"})
	return err
}

func startChild(path, name, work string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "MEMORY_OF_CHILD="+path, "NAME_OF_CHILD="+name, "WORK_OF_CHILD="+work)
	return c
}

// Sixteen processes write to one file: nothing of any is lost, and the counter is their sum.
func TestManyProcesses(t *testing.T) {
	t.Parallel()
	const processes = 16
	each := 30
	if full() {
		each = 1000
	}
	path := file(t)
	var g sync.WaitGroup
	for p := range processes {
		g.Go(func() {
			if out, err := startChild(path, fmt.Sprint("p", p), fmt.Sprint("0-", each)).CombinedOutput(); err != nil {
				t.Errorf("process %d: %v\n%s", p, err, out[max(0, len(out)-500):])
			}
		})
	}
	g.Wait()
	s := mustOpen(t, path, time.Now)
	for p := range processes {
		checkChild(t, s, fmt.Sprint("p", p), each-1)
	}
	if got := string(mustGet(t, s, "n", "sum").Value); got != fmt.Sprint(processes*each) {
		t.Errorf("they added up to %s, want %d", got, processes*each)
	}
	checkSound(t, s)
}

// checkChild wants all that a child has written up to a number.
func checkChild(t *testing.T, s *Store, name string, last int) {
	t.Helper()
	got := map[string]string{}
	entries, err := s.List(t.Context(), name, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got[e.Key] = string(e.Value)
	}
	for i := range last + 1 {
		a, b, want := got[fmt.Sprint("a", i)], got[fmt.Sprint("b", i)], fmt.Sprint(i)
		if deleted := i%10 == 8 && i < last; b != want || a != want && !(i%10 == 8) || deleted && a != "" {
			t.Errorf("%s's %d is %q and %q", name, i, a, b)
		}
	}
}

func checkSound(t *testing.T, s *Store) {
	t.Helper()
	if wrong, err := s.Verify(t.Context()); err != nil || wrong != nil {
		t.Errorf("Verify() = %v, %v", wrong, err)
	}
}

// Whenever a process is killed, what it said to be written is there, and the file is whole.
func TestKilled(t *testing.T) {
	t.Parallel()
	kills := 20
	if full() {
		kills = 200
	}
	r := rand.New(rand.NewPCG(7, 8))
	path := file(t)
	next, atLeast := 0, int64(0)
	for n := range kills {
		last := killOne(t, path, next, time.Duration(r.IntN(60_000_000)))
		s := mustOpen(t, path, time.Now)
		checkChild(t, s, "p", last)
		atLeast += int64(last + 1 - next)
		sum := int64(0)
		if e, ok, err := s.Get(t.Context(), "n", "sum"); err != nil {
			t.Fatal(err)
		} else if ok {
			_ = json.Unmarshal(e.Value, &sum)
		}
		if sum < atLeast || sum > atLeast+int64(n)+1 {
			t.Fatalf("after %d kills the sum is %d, and %d were said to be added", n+1, sum, atLeast)
		}
		checkSound(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("after %d kills", n+1)
		}
		next = last + 1
	}
	t.Logf("%d kills in the midst of %d writes", kills, next)
}

// killOne starts a child, kills it a while after it has begun to write or, half the time, to run, and returns the last number it said.
func killOne(t *testing.T, path string, from int, after time.Duration) int {
	t.Helper()
	c := startChild(path, "p", fmt.Sprintf("%d-%d", from, from+1_000_000))
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaint strings.Builder
	c.Stderr = &complaint
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	last, lines := from-1, bufio.NewScanner(out)
	var once sync.Once
	kill := func() { time.AfterFunc(after, func() { _ = c.Process.Kill() }) }
	if after%2 == 0 {
		once.Do(kill)
	}
	for lines.Scan() {
		once.Do(kill)
		if _, err := fmt.Sscan(lines.Text(), &last); err != nil {
			t.Fatalf("it says %q", lines.Text())
		}
	}
	_ = c.Wait()
	if complaint.Len() > 0 {
		t.Fatalf("it complains: %s", complaint.String())
	}
	return last
}
