package buildx

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/run"
)

// A Check is what one of BuildKit's build checks found in a Dockerfile.
// https://docs.docker.com/reference/build-checks/
type Check struct {
	Rule string // "JSONArgsRecommended"
	Text string
	URL  string // that explains the rule
	Line int    // 0 where it is of no line
}

// Checks has BuildKit check a Dockerfile, without building it, and returns what it found in the order of the lines.
func (c *Client) Checks(ctx context.Context, b Build) ([]Check, error) {
	var out bytes.Buffer
	_, err := c.Run(ctx, run.Command{Argv: append(slices.Clone(c.Argv), b.checkArgs()...), Env: c.Env, Stdout: &out})
	// A failure may be that it found something, so what it wrote decides.
	checks, unread := readChecks(out.Bytes())
	if unread != nil && err != nil {
		return nil, fmt.Errorf("checking %s: %w", b.Dockerfile, err)
	}
	return checks, unread
}

// checkArgs are the arguments of buildx for checking what Args builds. Secrets and caches are no matter, and one platform is as good as all.
func (b Build) checkArgs() []string {
	args := []string{"build", "--builder", b.Builder, "--call", "check,format=json", "--progress", "quiet", "--platform", b.Platforms[0], "--file", b.Dockerfile}
	if b.Target != "" {
		args = append(args, "--target", b.Target)
	}
	args = appendMap(args, "--build-arg", "", b.BuildArgs)
	args = appendMap(args, "--build-context", "", b.Contexts)
	return append(args, b.Context)
}

// readChecks reads what `docker buildx build --call=check,format=json` writes.
// https://docs.docker.com/reference/cli/docker/buildx/build/#call-check
func readChecks(data []byte) ([]Check, error) {
	var read struct {
		Warnings []struct {
			RuleName    string `json:"ruleName"`
			Description string `json:"description"`
			Detail      string `json:"detail"`
			URL         string `json:"url"`
			Location    struct {
				Ranges []struct {
					Start struct {
						Line int `json:"line"`
					} `json:"start"`
				} `json:"ranges"`
			} `json:"location"`
		} `json:"warnings"`
	}
	if err := json.Unmarshal(data, &read); err != nil {
		return nil, fmt.Errorf("reading build checks: %w", err)
	}
	var checks []Check
	for _, w := range read.Warnings {
		check := Check{Rule: w.RuleName, Text: cmp.Or(w.Detail, w.Description), URL: w.URL}
		if len(w.Location.Ranges) > 0 {
			check.Line = w.Location.Ranges[0].Start.Line
		}
		if !slices.Contains(checks, check) {
			checks = append(checks, check)
		}
	}
	slices.SortStableFunc(checks, func(a, b Check) int { return cmp.Or(cmp.Compare(a.Line, b.Line), strings.Compare(a.Rule, b.Rule)) })
	return checks, nil
}
