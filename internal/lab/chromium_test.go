package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestChromiumGoesByOtherNames(t *testing.T) {
	l := &Lab{setup: newSetup(t)}
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if _, err := l.Chromium(t.Context()); err == nil || !strings.Contains(err.Error(), "apt-get install chromium") || !strings.Contains(err.Error(), "google-chrome-stable") {
		t.Errorf("without a browser the error is %v", err)
	}
	for _, name := range []string{"google-chrome", "chromium-browser", "chromium"} { // each goes before those that are there
		want := filepath.Join(dir, name)
		if err := os.WriteFile(want, nil, 0o755); err != nil {
			t.Fatal(err)
		}
		if got, err := l.Chromium(t.Context()); err != nil || got != want {
			t.Errorf("got %q and %v, want %q", got, err, want)
		}
	}
}
