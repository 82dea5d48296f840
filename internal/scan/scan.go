// Package scan turns what the scanner says of an image into findings, and findings into the SARIF
// that GitHub code scanning reads.
package scan

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/org/ghcr-publish/internal/dockerfile"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/trivy"
	"github.com/org/ghcr-publish/internal/verdict"
)

// A Target is one platform's image: in a registry by its digest, or in an OCI image layout on disk.
type Target struct {
	Image    string // reference by digest
	Layout   string // path; empty for an image in a registry
	Platform string
	Service  service.Service // what the image was built from
}

// A Scanner scans many images with one database.
type Scanner struct {
	// ReadFile reads a Dockerfile, by its path in the workspace. Without it nobody knows what brought a finding in.
	ReadFile func(name string) ([]byte, error)

	trivy   *trivy.Client
	stop    context.CancelFunc
	fetched chan struct{}
	// What follows is read after fetched is closed.
	database verdict.Database
	err      error // why there is none
}

// Start begins to fetch the database and returns at once; scans wait for it. Where no repository gives one, that of an
// earlier run has to do. The caller closes the scanner.
func Start(ctx context.Context, client *trivy.Client, supply trivy.Supply) *Scanner {
	ctx, stop := context.WithCancel(ctx)
	s := &Scanner{trivy: client, stop: stop, fetched: make(chan struct{})}
	go func() {
		defer close(s.fetched)
		from, unfetched := client.Fetch(ctx, supply)
		database, err := client.Database()
		if err != nil {
			s.err = cmp.Or(unfetched, err)
			return
		}
		s.database = verdict.Database{Updated: database.UpdatedAt, Age: supply.Now().Sub(database.UpdatedAt), From: from}
		if unfetched != nil {
			s.database.Kept = unfetched.Error()
		}
	}()
	return s
}

// Database is what is scanned by, once it is there; the zero value where there is none.
func (s *Scanner) Database() verdict.Database {
	<-s.fetched
	return s.database
}

// Close ends a fetch that nobody waits for any more, and returns when it has ended.
func (s *Scanner) Close() {
	s.stop()
	<-s.fetched
}

// Scan returns what is wrong with one platform's image, worst first.
func (s *Scanner) Scan(ctx context.Context, t Target) ([]verdict.Finding, error) {
	select {
	case <-s.fetched:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if s.err != nil {
		return nil, s.err
	}
	seen, err := s.trivy.Scan(ctx, t.Image, t.Layout, t.Platform)
	if err != nil {
		return nil, err
	}
	origins := s.origins(t, seen.History)
	findings := make([]verdict.Finding, len(seen.Vulnerabilities))
	for i, v := range seen.Vulnerabilities {
		findings[i] = verdict.Finding{Platform: t.Platform, Kind: kinds[v.Kind], ID: v.ID, Severity: v.Severity, Package: v.Package,
			Installed: v.Installed, Fixed: v.Fixed, Title: v.Title, URL: v.URL, Target: v.Target, PURL: v.Identifier.PURL, Score: score(v.Score()),
			Line: origins[v.Step].Line, Origin: origins[v.Step].Instruction}
		if h := v.Harmless; h != nil {
			findings[i].Harmless = &verdict.Statement{Status: h.Status, Why: h.Why, Document: h.Document}
		}
	}
	return findings, nil
}

// origins finds the lines of the Dockerfile that made each step of an image's history, from step 1.
func (s *Scanner) origins(t Target, history []string) map[int]dockerfile.Origin {
	steps := map[int]dockerfile.Origin{}
	for i, origin := range readOrigins(s.ReadFile, t.Service, t.Platform).Of(history) {
		steps[i+1] = origin
	}
	return steps
}

// FinalStage is the line that the stage of the Dockerfile begins at which the image is of, where what nobody knows the line of
// is shown; 0 where it cannot be told.
func FinalStage(readFile func(name string) ([]byte, error), d service.Service, platform string) int {
	return readOrigins(readFile, d, platform).Final
}

// readOrigins reads a service's Dockerfile. What cannot be read tells nothing, which is no reason not to scan.
func readOrigins(readFile func(name string) ([]byte, error), d service.Service, platform string) dockerfile.Origins {
	text := []byte(d.Inline)
	if len(text) == 0 && readFile != nil {
		text, _ = readFile(d.Dockerfile)
	}
	read, err := dockerfile.ReadOrigins(text, dockerfile.Options{Target: d.Target, Args: d.BuildArgs,
		Platforms: []string{platform}, Contexts: slices.Sorted(maps.Keys(d.Contexts))})
	if err != nil {
		return dockerfile.Origins{}
	}
	return read
}

// kinds of findings, by the scanner that finds them.
var kinds = map[string]string{trivy.Vulnerabilities: service.Vulnerability, trivy.Secrets: service.Secret,
	trivy.Misconfigurations: service.Misconfiguration, trivy.Licences: service.Licence}

// Scanners are those that the gates have need of, beside that for vulnerabilities.
func Scanners(gates service.Gates) []string {
	var scanners []string
	for _, s := range []string{trivy.Secrets, trivy.Misconfigurations, trivy.Licences} {
		if gates.Of(kinds[s]).FailOn != "" {
			scanners = append(scanners, s)
		}
	}
	return scanners
}

func score(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", v)
}
