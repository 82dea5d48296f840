package scan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/trivy"
	"github.com/org/ghcr-publish/internal/verdict"
)

func upload(t *testing.T, address string, analyses []Analysis) {
	t.Helper()
	files, err := SARIF(analyses)
	if err != nil {
		t.Fatal(err)
	}
	client, err := github.New(address, "octo/mono", "t")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files.Texts {
		if _, err := client.UploadSARIF(t.Context(), strings.Repeat("a", 40), "refs/heads/main", file); err != nil {
			t.Error(err)
		}
	}
}

const answer = `{"SchemaVersion": 2, "Metadata": {"ImageConfig": {"rootfs": {"diff_ids": ["sha256:a", "sha256:b"]},
		"history": [{"created_by": "ADD rootfs.tar /"}, {"created_by": "ENV A=b", "empty_layer": true}, {"created_by": "RUN /bin/sh -c npm ci # buildkit"}]}}, "Results": [
	{"Target": "api (debian 12)", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [
		{"VulnerabilityID": "CVE-2", "PkgName": "zlib", "InstalledVersion": "1", "Severity": "LOW", "Title": "t", "PrimaryURL": "https://x/2"},
		{"VulnerabilityID": "CVE-1", "PkgName": "openssl", "InstalledVersion": "1", "FixedVersion": "2", "Severity": "CRITICAL", "Layer": {"DiffID": "sha256:a"},
			"CVSS": {"nvd": {"V3Score": 9.8}, "redhat": {"V3Score": 7.4}}}]},
	{"Target": "Node.js", "Vulnerabilities": [
		{"VulnerabilityID": "CVE-3", "PkgName": "left-pad", "PkgPath": "app/package.json", "Layer": {"DiffID": "sha256:b"}, "InstalledVersion": "1", "Severity": "HIGH"}]},
	{"Target": "clean"}]}`

// fetches reports whether a command fetches the database.
func fetches(c run.Command) bool { return slices.Contains(c.Argv, "--download-db-only") }

// cached is a cache directory with a database of a day ago.
func cached(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, "db", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	dayAgo := time.Now().Add(-24 * time.Hour).UTC().Format(time.RFC3339Nano)
	write("metadata.json", fmt.Sprintf(`{"Version": 2, "NextUpdate": %[1]q, "UpdatedAt": %[1]q, "DownloadedAt": %[1]q}`, dayAgo))
	write("trivy.db", "")
	return dir
}

// supply is of repositories from which no database is stale.
func supply(repositories ...string) trivy.Supply {
	return trivy.Supply{Repositories: repositories, MaxAge: 1000 * time.Hour, Now: time.Now}
}

func TestScanGivesFindings(t *testing.T) {
	t.Parallel()
	client := &trivy.Client{CacheDir: cached(t), Run: func(_ context.Context, c run.Command) ([]byte, error) { return []byte(answer), nil }}
	scanner := Start(t.Context(), client, supply("db"))
	scanner.ReadFile = func(name string) ([]byte, error) {
		return []byte("# of " + name + "\nFROM a\nENV A=b\nRUN npm ci\n"), nil
	}
	got, err := scanner.Scan(t.Context(), Target{Image: "api@sha256:a", Platform: "linux/arm64", Service: service.Service{Dockerfile: "api/Dockerfile"}})
	if err != nil {
		t.Fatal(err)
	}
	const on = "linux/arm64"
	want := []verdict.Finding{
		{Platform: on, Kind: "vulnerability", ID: "CVE-1", Severity: "CRITICAL", Package: "openssl", Installed: "1", Fixed: "2", Target: "debian", Score: "9.8", Line: 2, Origin: "FROM a"},
		{Platform: on, Kind: "vulnerability", ID: "CVE-3", Severity: "HIGH", Package: "left-pad", Installed: "1", Target: "app/package.json", Line: 4, Origin: "RUN npm ci"},
		{Platform: on, Kind: "vulnerability", ID: "CVE-2", Severity: "LOW", Package: "zlib", Installed: "1", Title: "t", URL: "https://x/2", Target: "debian"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestWhatBroughtAFindingIn(t *testing.T) {
	t.Parallel()
	client := &trivy.Client{CacheDir: cached(t), Run: func(_ context.Context, c run.Command) ([]byte, error) { return []byte(answer), nil }}
	cases := []struct {
		name    string
		service service.Service
		text    string // of the Dockerfile; empty where it cannot be read
		want    int    // line of what npm ci brought
	}{
		{"a file that cannot be read", service.Service{Dockerfile: "gone"}, "", 0},
		{"a file that is none", service.Service{Dockerfile: "Dockerfile"}, "npm ci", 0},
		{"of another version", service.Service{Dockerfile: "Dockerfile"}, "FROM a\nENV A=b\nRUN npm install\n", 0},
		{"a text in the configuration", service.Service{Inline: "FROM a\nENV A=b\nRUN npm ci\n"}, "", 3},
		{"a target", service.Service{Dockerfile: "Dockerfile", Target: "x"}, "FROM a AS x\nENV A=b\nRUN npm ci\nFROM x\nRUN y\n", 3},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			scanner := Start(t.Context(), client, supply("db"))
			scanner.ReadFile = func(string) ([]byte, error) {
				if c.text == "" {
					return nil, os.ErrNotExist
				}
				return []byte(c.text), nil
			}
			got, err := scanner.Scan(t.Context(), Target{Platform: "linux/amd64", Service: c.service})
			if err != nil || got[1].Line != c.want {
				t.Errorf("findings %+v, %v; want line %d", got, err, c.want)
			}
		})
	}
}

func TestScanPassesOnWhatItScans(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		target Target
		want   string
	}{
		{"an image", Target{Image: "api@sha256:a", Platform: "linux/arm64"}, "--platform linux/arm64 --image-src remote -- api@sha256:a"},
		{"a layout", Target{Layout: "/tmp/l", Platform: "linux/arm64"}, "--platform linux/arm64 --input /tmp/l"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := ""
			client := &trivy.Client{CacheDir: cached(t), Run: func(_ context.Context, command run.Command) ([]byte, error) {
				if !fetches(command) {
					got = strings.Join(command.Argv, " ")
				}
				return []byte(`{"SchemaVersion": 2}`), nil
			}}
			findings, err := Start(t.Context(), client, supply("db")).Scan(t.Context(), c.target)
			if err != nil || findings == nil || len(findings) > 0 || !strings.HasSuffix(got, c.want) {
				t.Errorf("findings %v, error %v, arguments %q; want none and %q", findings, err, got, c.want)
			}
		})
	}
}

func TestScanWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fetched := false
		client := &trivy.Client{CacheDir: cached(t), Run: func(_ context.Context, c run.Command) ([]byte, error) {
			if fetches(c) {
				time.Sleep(time.Minute)
				fetched = true
			} else if !fetched {
				t.Error("a scan began without the database")
			}
			return []byte(answer), nil
		}}
		begun := time.Now()
		scanner := Start(t.Context(), client, supply("db"))
		if time.Since(begun) > 0 {
			t.Error("Start waited")
		}
		done := make(chan error)
		for range 3 {
			go func() {
				_, err := scanner.Scan(t.Context(), Target{Platform: "linux/amd64"})
				done <- err
			}()
		}
		for range 3 {
			if err := <-done; err != nil || time.Since(begun) != time.Minute {
				t.Errorf("after %s: %v", time.Since(begun), err)
			}
		}
	})
}

// A run that has nothing left to scan does not wait for the database, and leaves no fetch behind.
func TestCloseEndsTheFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := false
		client := &trivy.Client{CacheDir: t.TempDir(), Run: func(ctx context.Context, _ run.Command) ([]byte, error) {
			<-ctx.Done()
			time.Sleep(time.Second) // the program takes its time to end
			ended = true
			return nil, ctx.Err()
		}}
		scanner := Start(t.Context(), client, supply("one", "two"))
		scanner.Close()
		if !ended {
			t.Error("Close returned before the fetch had ended")
		}
		if _, err := scanner.Scan(t.Context(), Target{}); !errors.Is(err, context.Canceled) {
			t.Errorf("Scan() = %v after Close", err)
		}
	})
}

func TestDatabaseThatCannotBeFetched(t *testing.T) {
	t.Parallel()
	down := errors.New("registry down")
	var asked []string
	client := &trivy.Client{CacheDir: t.TempDir(), Run: func(_ context.Context, c run.Command) ([]byte, error) {
		if !fetches(c) {
			t.Error("a scan ran without the database")
		}
		asked = append(asked, c.Argv[len(c.Argv)-1])
		return nil, down
	}}
	scanner := Start(t.Context(), client, supply("one", "two"))
	for range 3 {
		if findings, err := scanner.Scan(t.Context(), Target{}); !errors.Is(err, down) || findings != nil {
			t.Errorf("Scan() = %v, %v; want the reason each time", findings, err)
		}
	}
	if diff := cmp.Diff([]string{"one", "two"}, asked); diff != "" {
		t.Errorf("repositories (-want +got):\n%s", diff)
	}
	if database := scanner.Database(); database != (verdict.Database{}) {
		t.Errorf("database %+v", database)
	}
}

// TestEarlierDatabaseHasToDo where nobody gives a newer one, and says why.
func TestEarlierDatabaseHasToDo(t *testing.T) {
	t.Parallel()
	client := &trivy.Client{CacheDir: cached(t), Run: func(_ context.Context, c run.Command) ([]byte, error) {
		if fetches(c) {
			return nil, errors.New("registry down")
		}
		return []byte(answer), nil
	}}
	scanner := Start(t.Context(), client, supply("one"))
	if findings, err := scanner.Scan(t.Context(), Target{}); len(findings) != 3 || err != nil {
		t.Errorf("Scan() = %v, %v", findings, err)
	}
	database := scanner.Database()
	if database.Age.Round(time.Hour) != 24*time.Hour || database.Updated.IsZero() || database.From != "" || !strings.Contains(database.Kept, "one: registry down") {
		t.Errorf("%+v", database)
	}
}

// TestDatabaseOfUnknownAge is none, for nobody could say whether it is stale.
func TestDatabaseOfUnknownAge(t *testing.T) {
	t.Parallel()
	for file, text := range map[string]string{"metadata.json": "{", "db/metadata.json": `{"UpdatedAt": "2026-01-01T00:00:00Z"}`, "trivy.db": ""} {
		client := &trivy.Client{CacheDir: cached(t), Run: func(context.Context, run.Command) ([]byte, error) { return []byte(answer), nil }}
		path := filepath.Join(client.CacheDir, "db", filepath.Base(file))
		err := os.WriteFile(path, []byte(text), 0o600)
		if text == "" {
			err = os.Remove(path)
		}
		if err != nil {
			t.Fatal(err)
		}
		if findings, err := Start(t.Context(), client, supply("one")).Scan(t.Context(), Target{}); err == nil || !strings.Contains(err.Error(), "one: reading of which day the vulnerability database is: ") {
			t.Errorf("with %s %q: %v, %v", file, text, findings, err)
		}
	}
}

// TestSecondRepositoryHelps tells which one it was.
func TestSecondRepositoryHelps(t *testing.T) {
	t.Parallel()
	fresh := cached(t)
	client := &trivy.Client{CacheDir: t.TempDir(), Run: func(_ context.Context, c run.Command) ([]byte, error) {
		switch {
		case fetches(c) && slices.Contains(c.Argv, "one"):
			return nil, errors.New("429")
		case fetches(c):
			return nil, os.CopyFS(c.Argv[slices.Index(c.Argv, "--cache-dir")+1], os.DirFS(fresh))
		}
		return []byte(answer), nil
	}}
	scanner := Start(t.Context(), client, supply("one", "two"))
	if _, err := scanner.Scan(t.Context(), Target{}); err != nil {
		t.Error(err)
	}
	if d := scanner.Database(); d.From != "two" || d.Kept != "" || d.Age.Round(time.Hour) != 24*time.Hour {
		t.Errorf("%+v", d)
	}
}

func TestFailedScan(t *testing.T) {
	t.Parallel()
	for _, output := range []string{"", "not JSON", `{"SchemaVersion": 1}`} {
		client := &trivy.Client{CacheDir: cached(t), Run: func(_ context.Context, c run.Command) ([]byte, error) { return []byte(output), nil }}
		if findings, err := Start(t.Context(), client, supply("db")).Scan(t.Context(), Target{}); err == nil || findings != nil {
			t.Errorf("a report of %q gives %v, %v; want an error, not a clean image", output, findings, err)
		}
	}
	down := errors.New("exit code 1")
	client := &trivy.Client{CacheDir: cached(t), Run: func(_ context.Context, c run.Command) ([]byte, error) {
		if fetches(c) {
			return nil, nil
		}
		return nil, down
	}}
	if _, err := Start(t.Context(), client, supply("db")).Scan(t.Context(), Target{}); !errors.Is(err, down) {
		t.Errorf("Scan() = %v", err)
	}
}

func TestScanEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stopped := errors.New("stopped by hand")
		ctx, cancel := context.WithCancelCause(t.Context())
		client := &trivy.Client{CacheDir: cached(t), Run: func(ctx context.Context, _ run.Command) ([]byte, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}}
		scanner := Start(ctx, client, supply("one", "two"))
		done := make(chan error)
		go func() {
			_, err := scanner.Scan(ctx, Target{})
			done <- err
		}()
		synctest.Wait()
		cancel(stopped)
		if err := <-done; !errors.Is(err, stopped) {
			t.Errorf("Scan() = %v, want why it was stopped", err)
		}
	})
}

func TestScoreIsWrittenAsGitHubReadsIt(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "", 7: "7.0", 9.8: "9.8", 10: "10.0"} {
		if got := score(v); got != want {
			t.Errorf("score(%v) = %q, want %q", v, got, want)
		}
	}
}
