// Package trivy drives the Trivy scanner and reads its JSON report.
package trivy

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
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
	Scanners  []string // beside that for vulnerabilities
	VEX       []Document
}

// A Vulnerability is one entry of Trivy's report; what another scanner found is told in the same words.
// https://trivy.dev/v0.69/docs/configuration/reporting/#json
type Vulnerability struct {
	ID         string          `json:"VulnerabilityID"`
	Kind       string          `json:"-"` // scanner that found it
	Package    string          `json:"PkgName"`
	Path       string          `json:"PkgPath"`
	Installed  string          `json:"InstalledVersion"`
	Fixed      string          `json:"FixedVersion"`
	Severity   string          `json:"Severity"`
	Title      string          `json:"Title"`
	URL        string          `json:"PrimaryURL"`
	CVSS       map[string]CVSS `json:"CVSS"`
	Identifier Identifier      `json:"PkgIdentifier"`
	Layer      Layer           `json:"Layer"`
	// Harmless is why it does no harm, as a VEX document says; nil where none does.
	Harmless *Statement `json:"-"`
	// Step is where in the image's history the layer was made that holds it: 1 for the first, 0 where that is not known.
	Step   int    `json:"-"`
	Target string `json:"-"` // the part of the image it was found in: a file, or for what the system's package manager installed its name, "debian"
}

// A Layer is where in an image something was found.
type Layer struct {
	DiffID string `json:"DiffID"`
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

// Scan looks for what is wrong with one platform's image: a reference in a registry, or the path of
// an OCI image layout.
func (c *Client) Scan(ctx context.Context, image, layout, platform string) (Report, error) {
	// The platform is always named: Trivy would take linux/amd64 whatever the image holds.
	args := append(c.common("image", "--format", "json"), slices.Concat(scanning(c.Scanners), c.documents())...)
	args = append(args, "--skip-db-update", "--skip-version-check", "--platform", platform)
	if layout != "" {
		args = append(args, "--input", layout)
	} else {
		args = append(args, "--image-src", "remote", "--", image)
	}
	out, err := run.Patient(c.Run)(ctx, run.Command{Argv: args, Dir: c.Dir, Env: c.Env})
	if err != nil {
		return Report{}, fmt.Errorf("scanning %s for %s: %w", cmp.Or(image, layout), platform, err)
	}
	return c.parse(out)
}

// Inventory lists what one platform's image holds, in the format "spdx-json" or "cyclonedx".
func (c *Client) Inventory(ctx context.Context, image, platform, format string) ([]byte, error) {
	args := c.common("image", "--format", format, "--skip-db-update", "--skip-version-check", "--platform", platform, "--image-src", "remote", "--", image)
	out, err := run.Patient(c.Run)(ctx, run.Command{Argv: args, Dir: c.Dir, Env: c.Env})
	if err != nil {
		return nil, fmt.Errorf("listing what %s holds for %s: %w", image, platform, err)
	}
	return out, nil
}

// release finds a release in what Trivy says of itself: "Version: 0.69.3".
var release = regexp.MustCompile(`Version: v?([0-9]+\.[0-9]+\.[0-9]+)`)

// Version returns Trivy's own: "0.69.3"; the first line of what it says of itself where it is no release.
func (c *Client) Version(ctx context.Context) (string, error) {
	out, err := c.Run(ctx, run.Command{Argv: []string{"trivy", "--version"}, Dir: c.Dir, Env: c.Env})
	if found := release.FindSubmatch(out); found != nil {
		return string(found[1]), err
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return first, err
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

// A Report is what Trivy says of one platform's image.
type Report struct {
	Vulnerabilities []Vulnerability // worst first
	History         []string        // what each step of the image's history says it was created by
}

// An imageConfig is the part of an image's configuration that tells how it was made.
// https://github.com/opencontainers/image-spec/blob/main/config.md
type imageConfig struct {
	History []struct {
		CreatedBy  string `json:"created_by"`
		EmptyLayer bool   `json:"empty_layer"`
	} `json:"history"`
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// steps tells which step of the history made each layer; nothing where the history leaves some out.
func (c imageConfig) steps() (history []string, steps map[string]int) {
	steps = map[string]int{}
	layers := c.RootFS.DiffIDs
	for i, h := range c.History {
		history = append(history, h.CreatedBy)
		if h.EmptyLayer {
			continue
		}
		if len(layers) == 0 {
			return nil, nil
		}
		steps[layers[0]], layers = i+1, layers[1:]
	}
	if len(layers) > 0 {
		return nil, nil
	}
	return history, steps
}

func (c *Client) parse(report []byte) (Report, error) {
	var read struct {
		SchemaVersion int
		ArtifactName  string
		Metadata      struct{ ImageConfig imageConfig }
		Results       []struct {
			Target, Class, Type string
			Vulnerabilities     []Vulnerability
			others
			Modified []modified `json:"ExperimentalModifiedFindings"`
		}
	}
	if err := json.Unmarshal(report, &read); err != nil {
		return Report{}, fmt.Errorf("reading Trivy's report: %w", err)
	}
	if read.SchemaVersion != 2 {
		return Report{}, fmt.Errorf("reading Trivy's report: schema version %d is not 2", read.SchemaVersion)
	}
	history, steps := read.Metadata.ImageConfig.steps()
	var found []Vulnerability
	for _, result := range read.Results {
		target := result.Target
		if result.Class == "os-pkgs" {
			target = result.Type // the target names the image, by a digest that no other build has
		}
		for _, v := range result.Vulnerabilities {
			v.Kind, v.Target = Vulnerabilities, cmp.Or(v.Path, target)
			found = append(found, v)
		}
		found = append(found, unmodified(result.Modified, target, c.VEX)...)
		if target == read.ArtifactName {
			target = inConfiguration
		}
		found = append(found, result.others.findings(target)...)
	}
	for i := range found {
		found[i].Step = steps[found[i].Layer.DiffID]
	}
	rising := []string{"LOW", "MEDIUM", "HIGH", "CRITICAL"} // and before them UNKNOWN and whatever else
	rank := func(v Vulnerability) int { return slices.Index(rising, v.Severity) }
	slices.SortStableFunc(found, func(a, b Vulnerability) int {
		return cmp.Or(cmp.Compare(rank(b), rank(a)), strings.Compare(a.ID, b.ID), strings.Compare(a.Package, b.Package))
	})
	return Report{found, history}, nil
}
