package report

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/org/ghcr-publish/internal/clean"
	"github.com/org/ghcr-publish/internal/memory"
)

// CleanSchema is the JSON Schema that every report of cleaning up conforms to.
//
//go:embed clean.schema.json
var CleanSchema []byte

// A Cleaning is what became of the versions of the images' packages.
type Cleaning struct {
	SchemaVersion int          `json:"schema_version"`
	Program       string       `json:"program"` // name and version
	RunURL        string       `json:"run_url,omitempty"`
	StartedAt     time.Time    `json:"started_at"`
	Seconds       float64      `json:"seconds"`
	Outcome       string       `json:"outcome"` // planned, cleaned, nothing-to-do, refused or failed
	ExitCode      int          `json:"exit_code"`
	Packages      []Cleaned    `json:"packages"`
	Notices       []string     `json:"notices"`
	MemoryStats   memory.Stats `json:"memory_stats"`
}

// Cleaned is one package. Where it could not be read, nothing of it was touched.
type Cleaned struct {
	Service string `json:"service"`
	clean.Plan
	Error string `json:"error,omitempty"`
}

// Settle settles outcome and exit code.
func (c *Cleaning) Settle(confirmed bool) {
	c.SchemaVersion, c.Outcome = 1, "nothing-to-do"
	switch {
	case slices.ContainsFunc(c.Packages, func(p Cleaned) bool { return p.Error != "" }):
		c.Outcome, c.ExitCode = "failed", ExitFault
	case slices.ContainsFunc(c.Packages, func(p Cleaned) bool { return p.Refused != "" }):
		c.Outcome, c.ExitCode = "refused", ExitRefused
	case c.count(func(clean.Item) bool { return true })+c.restored() == 0:
	case confirmed:
		c.Outcome = "cleaned"
	default:
		c.Outcome = "planned"
	}
}

// Deleted are the ids of the versions that were deleted and stayed so.
func (c Cleaning) Deleted() (ids []int64) {
	for _, p := range c.Packages {
		for _, item := range p.Gone {
			if item.Outcome == clean.Deleted {
				ids = append(ids, item.ID)
			}
		}
	}
	return ids
}

// count counts what was to go.
func (c Cleaning) count(which func(clean.Item) bool) (n int) {
	for _, p := range c.Packages {
		for _, item := range p.Gone {
			if which(item) {
				n++
			}
		}
	}
	return n
}

// restored counts what an earlier run deleted and something needs.
func (c Cleaning) restored() (n int) {
	for _, p := range c.Packages {
		n += len(p.Restored)
	}
	return n
}

func (c Cleaning) back(verb string) string {
	if c.restored() == 0 {
		return ""
	}
	return fmt.Sprintf(" %d %s back, which an earlier run deleted and something needs.", c.restored(), verb)
}

func (c Cleaning) bytes() (sum int64) {
	for _, p := range c.Packages {
		sum += p.Bytes
	}
	return sum
}

func (c Cleaning) versions() (n int) {
	for _, p := range c.Packages {
		n += len(p.Gone) + len(p.Kept)
	}
	return n
}

// Answer is the run in one sentence.
func (c Cleaning) Answer() string {
	going, size := c.count(func(clean.Item) bool { return true }), units.HumanSize(float64(c.bytes()))
	switch c.Outcome {
	case "planned":
		return fmt.Sprintf("🧹 %d of %d versions would go, up to %s.%s Nothing was deleted: `confirm: true` does it.", going, c.versions(), size, c.back("would come"))
	case "cleaned":
		return fmt.Sprintf("✅ Deleted %d of the %d versions that nobody needs, of %d in all.%s", len(c.Deleted()), going, c.versions(), c.back("come"))
	case "refused":
		return fmt.Sprintf("❌ Refused: %s. Nothing of it was deleted.", c.names(func(p Cleaned) bool { return p.Refused != "" }))
	case "failed":
		return fmt.Sprintf("❌ Failed: %s. Deleted: %d of the %d versions that nobody needs.", c.names(func(p Cleaned) bool { return p.Error != "" }), len(c.Deleted()), going)
	default:
		return fmt.Sprintf("✅ Nothing to clean up: all %d versions stay.", c.versions())
	}
}

func (c Cleaning) names(which func(Cleaned) bool) string {
	var names []string
	for _, p := range c.Packages {
		if which(p) {
			names = append(names, p.Service)
		}
	}
	return strings.Join(names, ", ")
}

// Summary renders the report as Markdown for the step's summary.
func (c Cleaning) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n", cell(c.Answer()))
	for _, p := range c.Packages {
		p.write(&b)
	}
	for _, n := range c.Notices {
		fmt.Fprintf(&b, "\n> %s\n", cell(n))
	}
	return b.String()
}

// mostRows is how many versions the summary names of each package that go, and that stay. The report names all.
const mostRows = 150

func (p Cleaned) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n**%s**, `%s`: %d versions stay, %d go, up to %s\n", cell(p.Service), p.Image, len(p.Kept), len(p.Gone), units.HumanSize(float64(p.Bytes)))
	for _, problem := range []string{p.Error, p.Refused} {
		if problem != "" {
			fmt.Fprintf(b, "- ❌ %s\n", cell(problem))
		}
	}
	for _, broken := range p.Broken {
		fmt.Fprintf(b, "- ⚠️ %s\n", cell(broken))
	}
	if len(p.Idle) > 0 {
		fmt.Fprintf(b, "- Tags that are over and stay all the same, as another tag keeps their image: %s\n", cell(p.idle()))
	}
	writeItems(b, "comes back", p.Restored)
	writeItems(b, "goes", p.Gone)
	tagged := slices.DeleteFunc(slices.Clone(p.Kept), func(i clean.Item) bool { return len(i.Tags) == 0 })
	writeItems(b, "stays", tagged)
}

func (p Cleaned) idle() string {
	var names []string
	for _, i := range p.Idle[:min(len(p.Idle), mostNamed)] {
		names = append(names, i.Tag)
	}
	if more := len(p.Idle) - mostNamed; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// mostNamed is how many tags a line names.
const mostNamed = 20

func writeItems(b *strings.Builder, title string, items []clean.Item) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintf(b, "\n| %s | id | why | outcome |\n|---|---|---|---|\n", title)
	for _, i := range items[:min(len(items), mostRows)] {
		name := strings.Join(i.Tags, ", ")
		if name == "" {
			name = i.Digest
		}
		fmt.Fprintf(b, "| %s | %d | %s | %s |\n", cell(name), i.ID, cell(i.Why), cell(strings.TrimSuffix(i.Outcome+": "+i.Note, ": ")))
	}
	if more := len(items) - mostRows; more > 0 {
		fmt.Fprintf(b, "\nand %d more, which the report names.\n", more)
	}
}
