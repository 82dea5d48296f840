// Package trivy drives the Trivy scanner and reads its JSON report.
package trivy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/run"
)

// A Client runs Trivy on one cache directory. The database is fetched once, by Fetch; scans use it
// as it is and may run at the same time.
type Client struct {
	Run      run.Func
	Env      []string
	CacheDir string
	// Dir is the working directory. Trivy takes trivy.yaml and .trivyignore from there, so it is none
	// that a repository can write to: what is scanned must not say how.
	Dir       string
	PlainHTTP bool
}

// A Vulnerability is one entry of Trivy's report.
// https://trivy.dev/v0.69/docs/configuration/reporting/#json
type Vulnerability struct {
	ID         string          `json:"VulnerabilityID"`
	Package    string          `json:"PkgName"`
	Path       string          `json:"PkgPath"`
	Installed  string          `json:"InstalledVersion"`
	Fixed      string          `json:"FixedVersion"`
	Severity   string          `json:"Severity"`
	Title      string          `json:"Title"`
	URL        string          `json:"PrimaryURL"`
	CVSS       map[string]CVSS `json:"CVSS"`
	Identifier Identifier      `json:"PkgIdentifier"`
	Target     string          `json:"-"` // the part of the image it was found in
}

// An Identifier says which package it is.
type Identifier struct {
	PURL string // https://github.com/package-url/purl-spec
}

// A CVSS is one source's score.
type CVSS struct {
	V3Score float64 `json:"V3Score"`
}

// Score is the highest CVSS version 3 base score that any source gives; 0 when none does.
func (v Vulnerability) Score() float64 {
	score := 0.0
	for _, c := range v.CVSS {
		score = max(score, c.V3Score)
	}
	return score
}

// Fetch brings the vulnerability database from the first repository that gives it.
func (c *Client) Fetch(ctx context.Context, repositories []string) error {
	if len(repositories) == 0 {
		return errors.New("fetching the vulnerability database: no repository is given")
	}
	var failures []error
	for _, repository := range repositories {
		args := c.common("image", "--download-db-only", "--db-repository", repository)
		if _, err := c.Run(ctx, run.Command{Argv: args, Dir: c.Dir, Env: c.Env}); err == nil {
			return nil
		} else if failures = append(failures, fmt.Errorf("%s: %w", repository, err)); ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("fetching the vulnerability database: %w", errors.Join(failures...))
}

// Scan looks for vulnerabilities in one platform's image: a reference in a registry, or the path of
// an OCI image layout. Findings come worst first.
func (c *Client) Scan(ctx context.Context, image, layout, platform string) ([]Vulnerability, error) {
	// The platform is always named: Trivy would take linux/amd64 whatever the image holds.
	args := c.common("image", "--format", "json", "--scanners", "vuln", "--skip-db-update", "--skip-version-check", "--platform", platform)
	if layout != "" {
		args = append(args, "--input", layout)
	} else {
		args = append(args, "--image-src", "remote", "--", image)
	}
	out, err := run.Patient(c.Run)(ctx, run.Command{Argv: args, Dir: c.Dir, Env: c.Env})
	if err != nil {
		return nil, fmt.Errorf("scanning %s for %s: %w", cmp.Or(image, layout), platform, err)
	}
	return parse(out)
}

// common are the arguments of every call. The scan cache stays in memory: on disk it is locked by
// the first of several scans.
func (c *Client) common(command string, args ...string) []string {
	argv := []string{"trivy", command, "--quiet", "--cache-dir", c.CacheDir, "--cache-backend", "memory", "--no-progress"}
	if c.PlainHTTP {
		argv = append(argv, "--insecure")
	}
	return append(argv, args...)
}

func parse(report []byte) ([]Vulnerability, error) {
	var read struct {
		SchemaVersion int
		Results       []struct {
			Target          string
			Vulnerabilities []Vulnerability
		}
	}
	if err := json.Unmarshal(report, &read); err != nil {
		return nil, fmt.Errorf("reading Trivy's report: %w", err)
	}
	if read.SchemaVersion != 2 {
		return nil, fmt.Errorf("reading Trivy's report: schema version %d is not 2", read.SchemaVersion)
	}
	var found []Vulnerability
	for _, result := range read.Results {
		for _, v := range result.Vulnerabilities {
			v.Target = cmp.Or(v.Path, result.Target)
			found = append(found, v)
		}
	}
	rising := []string{"LOW", "MEDIUM", "HIGH", "CRITICAL"} // and before them UNKNOWN and whatever else
	rank := func(v Vulnerability) int { return slices.Index(rising, v.Severity) }
	slices.SortStableFunc(found, func(a, b Vulnerability) int {
		return cmp.Or(cmp.Compare(rank(b), rank(a)), strings.Compare(a.ID, b.ID), strings.Compare(a.Package, b.Package))
	})
	return found, nil
}
