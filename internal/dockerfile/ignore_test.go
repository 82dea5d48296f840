package dockerfile

import (
	"fmt"
	"sync"
	"testing"
)

// TestIgnoreOfSeveralAtATime is of services that have one context: the race detector tells whether they are in each other's way.
func TestIgnoreOfSeveralAtATime(t *testing.T) {
	t.Parallel()
	for range 20 {
		out := ReadIgnore([]byte("**/*.md\n!docs/*.md\nbuild\n**/node_modules\n*.[ch]\n"))
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				for file, want := range map[string]bool{"a.md": true, "docs/a.md": false, "build/x": true, "web/node_modules/y": true, "main.c": true, "main.go": false} {
					if got := out.Matches(file); got != want {
						t.Errorf("asker %d: %s is left out: %v", i, file, got)
					}
				}
				_ = out.Wholly(fmt.Sprint(i))
			})
		}
		group.Wait()
	}
}
