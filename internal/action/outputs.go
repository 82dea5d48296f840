package action

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/report"
)

// An Output is one of the action's outputs.
type Output struct{ Name, Help string }

// Outputs lists them all; a run writes no other.
var Outputs = [...]Output{
	{"matrix", "Input for `strategy.matrix`: one row for each service with work to do, or each of its platforms; `{\"include\":[]}` when there is none."},
	{"max-parallel", "The setting of that name, for `strategy.max-parallel`."},
	{"fail-fast", "The setting of that name, for `strategy.fail-fast`."},
	{"has-work", "`true` when any service has work to do."},
	{"plan", "Path of the plan, as JSON."},
	{"bake-file", "Path of a file that gives `docker buildx bake` tags, labels and annotations, as docker/metadata-action's output of that name does: target `docker-metadata-action`, or with several services `docker-metadata-action-NAME` for each."},
	{"plan-ref", "Where `handover` is by the registry: what `plan-ref` is to be in the other jobs."},
	{"fragment", "The same for a row: one of what `fragments` is to hold in the job that finalizes."},
	{"outcome", "`published`, `kept` (passed, and every tag stays where it is), `nothing-to-do`, `approved` (passed, and moved no tag: a row of the matrix, or a run that pushes nothing), `refused`, `failed`, `mirrored`, or `planned` (`mirror` in a run that pushes nothing, `clean` without `confirm`, `deploy` in a run that pushes nothing), `cleaned`, `deployed`, `rolled-back`, `healthy`, `unwell` or `deploying` (`deploy` with `status`)."},
	{"digests", "Digest of each service's image index, by name, as JSON."},
	{"report", "Path of the report, as JSON."},
	{"compose-file", "Path of the Compose file of what is live, where one was written; `.env.example` lies beside it."},
	{"dashboard", "With `mode: report`: folder of the page, for `actions/upload-pages-artifact` and others."},
	{"sarif", "Folder with the findings as SARIF files, for `github/codeql-action/upload-sarif` and others."},
	{"release-url", "Page of the release of GitHub that the run made or completed; empty where it did not."},
	{"deleted", "With `mode: clean`: ids of the versions that were deleted, which the input `restore` takes for thirty days."},
	{"memory-stats", "What the memory holds, as JSON."},
}

func printJSON(p Process, j job, v any) error {
	if !j.Config.JSON {
		return nil
	}
	data, err := report.JSON(v)
	if err != nil {
		return err
	}
	_, err = p.Stdout.Write(data)
	return err
}

// hostPath is what later steps of the job, which run on the machine itself, find a file under. In the
// action's container the runner's folders have other names than there.
func hostPath(ctx context.Context, p Process, path string) string {
	if !strings.HasPrefix(path, "/github/") {
		return path
	}
	e, err := engine.Open(p.Getenv)
	if err != nil {
		return path
	}
	// A cancelled run tells its outputs too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if found, err := e.HostPath(ctx, p.Getenv("HOSTNAME"), path); err == nil {
		return found
	}
	return path
}

func writeOutputs(p Process, outputs [][2]string) error {
	for _, o := range outputs {
		if err := actions.AppendValue(p.Getenv("GITHUB_OUTPUT"), o[0], o[1]); err != nil {
			return err
		}
	}
	return nil
}

// bakeFile is beside the plan.
func (j job) bakeFile() string { return filepath.Join(filepath.Dir(j.Config.PlanFile), "bake.json") }

func writeJSON(path string, v any) error {
	data, err := report.JSON(v)
	if err != nil {
		return err
	}
	return writeFile(path, data)
}

// writeFile writes a file beside its place and renames it, so that nobody reads half of it, and of several writers none is in another's way. It may
// be read by everyone: later steps of a job run as another user.
func writeFile(path string, data []byte) error {
	beside := path + "." + rand.Text() + ".new"
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(beside, data, 0o644)
	}
	if err == nil {
		err = os.Rename(beside, path)
	}
	if err != nil {
		_ = os.Remove(beside)
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
