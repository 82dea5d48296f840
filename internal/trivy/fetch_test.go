package trivy

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/run"
)

var noon = time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)

// A mirrors is what repositories answer with: a database of some hours ago, or nothing.
type mirrors map[string]int

// client fetches from the mirrors, and notes which.
func (m mirrors) client(t *testing.T, tried *[]string) *Client {
	t.Helper()
	return &Client{CacheDir: filepath.Join(t.TempDir(), "trivy"), Run: func(_ context.Context, command run.Command) ([]byte, error) {
		repository := command.Argv[len(command.Argv)-1]
		*tried = append(*tried, repository)
		dir := command.Argv[slices.Index(command.Argv, "--cache-dir")+1]
		if want := strings.Fields("trivy image --quiet --cache-dir " + dir + " --cache-backend memory --no-progress --download-db-only --db-repository " + repository); !slices.Equal(command.Argv, want) {
			t.Errorf("ran %q, want %q", command.Argv, want)
		}
		hours, up := m[repository]
		if !up {
			return nil, errors.New(repository + " is down")
		}
		return nil, keep(dir, repository, Database{Version: schema, UpdatedAt: hoursAgo(hours), NextUpdate: hoursAgo(hours - 24), DownloadedAt: noon})
	}}
}

func hoursAgo(hours int) time.Time { return noon.Add(-time.Duration(hours) * time.Hour) }

// keep leaves a database that holds the name of who gave it, as Trivy leaves it: for nobody else to read.
func keep(cache, from string, d Database) error {
	data, err := json.Marshal(d)
	return errors.Join(err, os.MkdirAll(filepath.Join(cache, "db"), 0o700), os.WriteFile(filepath.Join(cache, "db", metadataFile), data, 0o600),
		os.WriteFile(filepath.Join(cache, "db", databaseFile), []byte(from), 0o600))
}

func TestFetch(t *testing.T) {
	t.Parallel()
	const never = -1
	cases := map[string]struct {
		held       int // hours since the database was made that is there; never where there is none
		downloaded int // hours since that was fetched
		mirrors    mirrors
		tried      []string
		from       string // whose database is there in the end; "held" for that which was
		want       string // the error; empty for none
	}{
		"the first gives one":                {never, 0, mirrors{"one": 1, "two": 0}, []string{"one"}, "one", ""},
		"the first is down":                  {never, 0, mirrors{"two": 1}, []string{"one", "two"}, "two", ""},
		"the first is stale":                 {never, 0, mirrors{"one": 100, "two": 50}, []string{"one", "two"}, "two", ""},
		"just not stale":                     {never, 0, mirrors{"one": 72, "two": 1}, []string{"one"}, "one", ""},
		"the first is stale, the other down": {never, 0, mirrors{"one": 100}, []string{"one", "two"}, "one", "one: its database is of 2026-01-06 08:00 UTC\ntwo: two is down"},
		"all are stale":                      {never, 0, mirrors{"one": 100, "two": 200}, []string{"one", "two"}, "one", "one: its database is of 2026-01-06 08:00 UTC\ntwo: its database is of 2026-01-02 04:00 UTC"},
		"all are stale, the last the least":  {never, 0, mirrors{"one": 200, "two": 100}, []string{"one", "two"}, "two", "one: its database is of 2026-01-02 04:00 UTC\ntwo: its database is of 2026-01-06 08:00 UTC"},
		"all are stale, and the same":        {never, 0, mirrors{"one": 100, "two": 100}, []string{"one", "two"}, "two", "one: its database is of 2026-01-06 08:00 UTC\ntwo: its database is of 2026-01-06 08:00 UTC"},
		"all are down":                       {never, 0, nil, []string{"one", "two"}, "", "one: one is down\ntwo: two is down"},
		"the next is not due":                {23, 23, mirrors{"one": 1}, nil, "held", ""},
		"the next is late":                   {30, 0, mirrors{"one": 1}, nil, "held", ""},
		"the next is due":                    {30, 2, mirrors{"one": 1}, []string{"one"}, "one", ""},
		"stale, and fetched just now":        {100, 0, mirrors{"one": 100, "two": 1}, []string{"one", "two"}, "two", ""},
		"a mirror lags behind what is there": {30, 2, mirrors{"one": 40, "two": 1}, []string{"one", "two"}, "two", ""},
		"both lag behind":                    {30, 2, mirrors{"one": 40, "two": 100}, []string{"one", "two"}, "held", "one: its database is of 2026-01-08 20:00 UTC\ntwo: its database is of 2026-01-06 08:00 UTC"},
		"the same again":                     {30, 2, mirrors{"one": 30, "two": 1}, []string{"one"}, "one", ""},
		"due, and all are down":              {30, 2, nil, []string{"one", "two"}, "held", "one: one is down\ntwo: two is down"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tried []string
			client := c.mirrors.client(t, &tried)
			if c.held != never {
				if err := keep(client.CacheDir, "held", Database{Version: schema, UpdatedAt: hoursAgo(c.held), NextUpdate: hoursAgo(c.held - 24), DownloadedAt: hoursAgo(c.downloaded)}); err != nil {
					t.Fatal(err)
				}
			}
			from, err := client.Fetch(t.Context(), Supply{Repositories: []string{"one", "two"}, MaxAge: 72 * time.Hour, Now: func() time.Time { return noon }})
			if got := strings.TrimPrefix(errorText(err), "fetching the vulnerability database: "); got != c.want || from != strings.TrimPrefix(c.from, "held") {
				t.Errorf("Fetch() = %q, %v; want %q, %q", from, err, c.from, c.want)
			}
			if diff := cmp.Diff(c.tried, tried); diff != "" {
				t.Errorf("tried (-want +got):\n%s", diff)
			}
			data, _ := os.ReadFile(filepath.Join(client.CacheDir, "db", databaseFile))
			if database, err := client.Database(); string(data) != c.from || c.from != "" && err != nil || c.mirrors[from] > 0 && !database.UpdatedAt.Equal(hoursAgo(c.mirrors[from])) {
				t.Errorf("there is the database of %q, want that of %q: %+v, %v", data, c.from, database, err)
			}
			if entries, _ := os.ReadDir(client.CacheDir); len(entries) > 1 {
				t.Errorf("left %v", entries)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestFetchFromNowhere(t *testing.T) {
	t.Parallel()
	var tried []string
	if _, err := (mirrors{}).client(t, &tried).Fetch(t.Context(), Supply{}); errorText(err) != "fetching the vulnerability database: no repository is given" {
		t.Errorf("Fetch() = %v", err)
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	client := &Client{CacheDir: t.TempDir(), Run: func(context.Context, run.Command) ([]byte, error) { calls++; cancel(); return nil, context.Canceled }}
	if _, err := client.Fetch(ctx, Supply{Repositories: []string{"one", "two"}, Now: time.Now}); !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("Fetch() = %v after %d calls", err, calls)
	}
}

// TestFetchedDatabase can be read by others. What a killed run began to fetch is gone.
func TestFetchedDatabase(t *testing.T) {
	t.Parallel()
	var tried []string
	client := mirrors{"one": 1}.client(t, &tried)
	for name, age := range map[string]time.Duration{besides + "long-ago": 25 * time.Hour, besides + "now": 0} {
		path := filepath.Join(client.CacheDir, name)
		if err := errors.Join(os.MkdirAll(path, 0o700), os.Chtimes(path, time.Time{}, time.Now().Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Fetch(t.Context(), Supply{Repositories: []string{"one"}, MaxAge: time.Hour, Now: func() time.Time { return noon }}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{"": 0o755, "db": 0o755, "db/trivy.db": 0o644, "db/metadata.json": 0o644} {
		if info, err := os.Stat(filepath.Join(client.CacheDir, path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v", path, info, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(client.CacheDir, besides+"*")); len(left) != 1 || filepath.Base(left[0]) != besides+"now" {
		t.Errorf("left %q", left)
	}
}
