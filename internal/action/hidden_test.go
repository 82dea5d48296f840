package action

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/memory"
)

// memoryIn makes a memory with its journal in a folder.
func memoryIn(t *testing.T, workspace string) string {
	t.Helper()
	path := filepath.Join(workspace, ".swarm", "memory.db")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal"} {
		if err := os.WriteFile(path+suffix, []byte("memory"+suffix), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// checkMemory demands a memory and its journal in place, or nothing at all.
func checkMemory(t *testing.T, path string, there bool) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		if data, err := os.ReadFile(path + suffix); (err == nil) != there || there && string(data) != "memory"+suffix {
			t.Errorf("%s holds %q, %v; want it there: %v", path+suffix, data, err, there)
		}
	}
	if _, err := os.Stat(filepath.Dir(path)); (err == nil) != there {
		t.Errorf("its folder: %v; want it there: %v", err, there)
	}
}

func TestMemoryIsOutOfTheWay(t *testing.T) {
	t.Parallel()
	path, aside := memoryIn(t, t.TempDir()), t.TempDir()
	h, err := hide(path, aside)
	if err != nil {
		t.Fatal(err)
	}
	checkMemory(t, path, false)
	for range 2 { // the second time there is nothing to do
		if err := h.putBack(); err != nil {
			t.Fatal(err)
		}
	}
	checkMemory(t, path, true)
}

func TestMemoryThatAnotherRunMadeStays(t *testing.T) {
	t.Parallel()
	workspace := t.TempDir()
	path := memoryIn(t, workspace)
	h, err := hide(path, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	memoryIn(t, workspace)
	if err := os.WriteFile(path, []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	err = h.putBack()
	if err == nil || !strings.Contains(err.Error(), "another run made") {
		t.Errorf("putBack() = %v, want it to say so", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "theirs" {
		t.Errorf("the other run's memory is %q", data)
	}
	beside, _ := filepath.Glob(path + ".set-aside-*")
	if len(beside) != 2 {
		t.Fatalf("beside it are %q, want the memory and its journal", beside)
	}
	if data, _ := os.ReadFile(beside[0]); string(data) != "memory" || !strings.HasSuffix(beside[1], "-wal") {
		t.Errorf("the memory that was there is %q, its journal %s", data, beside[1])
	}
}

func TestNoMemoryToHide(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", filepath.Join(t.TempDir(), ".swarm", "memory.db")} {
		h, err := hide(path, t.TempDir())
		if err != nil || h.putBack() != nil {
			t.Errorf("%q: %v", path, err)
		}
		if _, err := os.Stat(filepath.Dir(path)); path != "" && err == nil {
			t.Errorf("%s was made", filepath.Dir(path))
		}
	}
}

func TestMemoryOfKilledRunIsRescued(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{false, true} {
		temp, workspace := t.TempDir(), t.TempDir()
		path := memoryIn(t, workspace)
		killed, err := newPrivateDir(temp)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := hide(path, killed.path); err != nil {
			t.Fatal(err)
		}
		if gone {
			if err := os.RemoveAll(workspace); err != nil {
				t.Fatal(err)
			}
		}
		// As the end of its process does. Closing alone does not while another test starts a program, which holds
		// the file until it is under way.
		if err := syscall.Flock(int(killed.lock.Fd()), syscall.LOCK_UN); err != nil {
			t.Fatal(err)
		}
		killed.lock.Close()
		next, err := newPrivateDir(temp)
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		checkMemory(t, path, !gone)
		if _, err := os.Stat(killed.path); err == nil {
			t.Error("the killed run's folder is still there")
		}
	}
}

// TestWhatIsNoMemoryStays has files be there whose names begin with the memory's, and no memory; or a folder in its place.
func TestWhatIsNoMemoryStays(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"memory.db", "folder"} {
		dir := t.TempDir()
		mine := filepath.Join(dir, name+".backup")
		for _, err := range []error{os.WriteFile(mine, []byte("precious"), 0o644), os.Mkdir(filepath.Join(dir, "folder"), 0o755)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		h, err := hide(filepath.Join(dir, name), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if !exists(mine) || h.putBack() != nil {
			t.Errorf("%s is gone", mine)
		}
	}
}

// TestMemoryOfOthersIsNotFound has somebody else say that he has the memory. Only root can put that to the test.
func TestMemoryOfOthersIsNotFound(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	path := memoryIn(t, t.TempDir())
	dir := filepath.Join(temp, privatePrefix+"1")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	h, err := hide(path, dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := whereNow(path, temp); got != h.file() {
		t.Errorf("it is at %s, want %s", got, h.file())
	}
	if os.Getuid() != 0 {
		return
	}
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if got := whereNow(path, temp); got != path {
		t.Errorf("it is at %s, which is somebody else's", got)
	}
}

// TestMemoryIsCopiedNowhereElse has a link be where a copy is begun, as a commit may have put it there.
func TestMemoryIsCopiedNowhereElse(t *testing.T) {
	t.Parallel()
	path := memoryIn(t, t.TempDir())
	to, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	for _, err := range []error{os.WriteFile(victim, []byte("precious"), 0o644), os.Symlink(victim, filepath.Join(to, ".new-memory.db"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := moveByCopy(path, filepath.Join(to, "memory.db")); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{victim: "precious", filepath.Join(to, "memory.db"): "memory"} {
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v", file, got, err)
		}
	}
	if left, err := os.ReadDir(to); exists(path) || len(left) != 2 || err != nil {
		t.Errorf("there are %v, %v", left, err)
	}
}

// TestMemoriesAreCopiedAtOnce leaves alone what another run has begun to copy to the same place.
func TestMemoriesAreCopiedAtOnce(t *testing.T) {
	t.Parallel()
	path, to := memoryIn(t, t.TempDir()), t.TempDir()
	begun := filepath.Join(to, ".new-memory.db")
	if err := os.WriteFile(begun, []byte("half of it"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := moveByCopy(path, filepath.Join(to, "memory.db")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(begun); err != nil || string(got) != "half of it" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestMemoryIsFoundWhileItMoves has somebody ask while a run hides the memory and puts it back. Nobody makes another.
func TestMemoryIsFoundWhileItMoves(t *testing.T) {
	t.Parallel()
	workspace, temp := t.TempDir(), t.TempDir()
	c := memoryCall{path: filepath.Join(workspace, ".swarm", "memory.db"), event: actions.Event{Temp: temp}, process: Process{Now: time.Now}}
	err := c.with(t.Context(), func(s *memory.Store) error {
		return s.Put(t.Context(), memory.Entry{Key: "first", Value: []byte(`1`)})
	})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	var looks atomic.Int64
	var working sync.WaitGroup
	step := func(err error) {
		if err != nil {
			t.Error(err)
		}
		for before := looks.Load(); looks.Load() < before+2; {
			time.Sleep(time.Millisecond)
		}
	}
	working.Go(func() {
		defer close(over)
		for range 30 {
			dir, err := os.MkdirTemp(temp, privatePrefix)
			if err != nil {
				t.Error(err)
				return
			}
			h, err := hide(c.path, dir)
			step(err)
			step(h.putBack())
		}
	})
	working.Go(func() {
		for {
			err := c.reading(t.Context(), func(s *memory.Store) error {
				_, found, err := s.Get(t.Context(), "", "first")
				if !found {
					t.Error("it is another memory")
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
			looks.Add(1)
			select {
			case <-over:
				return
			default:
			}
		}
	})
	working.Wait()
	if left, err := filepath.Glob(c.path + ".set-aside-*"); err != nil || len(left) > 0 {
		t.Errorf("set aside was %q, %v", left, err)
	}
}
