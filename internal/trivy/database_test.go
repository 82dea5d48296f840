package trivy

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/run"
)

// TestFetchedDatabase can be read by others, and tells of its day.
func TestFetchedDatabase(t *testing.T) {
	t.Parallel()
	cache := filepath.Join(t.TempDir(), "trivy")
	client := &Client{CacheDir: cache, Run: func(context.Context, run.Command) ([]byte, error) {
		if err := os.MkdirAll(filepath.Join(cache, "db"), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(cache, "db", "trivy.db"), nil, 0o600); err != nil {
			return nil, err
		}
		return nil, os.WriteFile(filepath.Join(cache, "db", "metadata.json"), []byte(`{"Version": 2, "UpdatedAt": "2026-01-02T03:04:05.6Z", "DownloadedAt": "2026-01-02T04:00:00Z"}`), 0o600)
	}}
	if database, err := client.Database(); err == nil {
		t.Errorf("before it is fetched, the database is %+v", database)
	}
	if err := client.Fetch(t.Context(), []string{"one"}); err != nil {
		t.Fatal(err)
	}
	database, err := client.Database()
	if want := time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC); err != nil || !database.UpdatedAt.Equal(want) {
		t.Errorf("Database() = %+v, %v", database, err)
	}
	for path, want := range map[string]os.FileMode{"": 0o755, "db": 0o755, "db/trivy.db": 0o644, "db/metadata.json": 0o644} {
		if info, err := os.Stat(filepath.Join(cache, path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v", path, info.Mode(), err)
		}
	}
}
