package report

import (
	"fmt"
	"strings"

	"github.com/org/ghcr-publish/internal/mirror"
)

// A Copy is what became of a service's image in another registry.
type Copy struct {
	Mirror  string   `json:"mirror"` // as the configuration has it
	Service string   `json:"service"`
	Image   string   `json:"image"`   // there
	Missing int      `json:"missing"` // manifests that were not there
	Copied  int      `json:"copied"`  // of those
	Present int      `json:"present"` // manifests that were
	Behind  []string `json:"behind"`  // tags that pointed elsewhere
	Moved   []Moved  `json:"tags_moved"`
	Kept    []string `json:"tags_kept"` // that pointed there already
	Error   string   `json:"error,omitempty"`
}

// AddMirrors tells of copies.
func (r *Report) AddMirrors(results []mirror.Result) {
	for _, m := range results {
		c := Copy{Mirror: m.Mirror, Service: m.Service, Image: m.Name, Missing: m.Missing, Copied: m.Copied, Present: m.Present, Behind: notNil(m.Behind), Moved: []Moved{}, Kept: []string{}}
		for _, move := range m.Moves {
			if move.Kept == "" {
				c.Moved = append(c.Moved, Moved{Tag: move.Tag, From: move.From, To: move.To})
			} else {
				c.Kept = append(c.Kept, move.Tag)
			}
		}
		if m.Err != nil {
			c.Error = m.Err.Error()
		}
		r.Mirrors = append(r.Mirrors, c)
	}
}

// SettleMirrors settles the outcome of a run that only mirrors, or only looks what mirrors lack.
func (r *Report) SettleMirrors(look bool) {
	r.Outcome, r.ExitCode = "nothing-to-do", ExitDone
	for _, c := range r.Mirrors {
		if len(c.Moved)+c.Copied > 0 && r.Outcome != "failed" {
			r.Outcome = "mirrored"
		}
		if c.Error != "" {
			r.Outcome, r.ExitCode = "failed", ExitFault
		}
	}
	if look && r.Outcome != "failed" {
		r.Outcome = "planned"
	}
}

// mirrorsOnly reports whether the run did nothing but mirror.
func (r Report) mirrorsOnly() bool { return len(r.Services) == 0 && len(r.Mirrors) > 0 }

// mirrorAnswer is a run that only mirrors in one sentence.
func (r Report) mirrorAnswer() string {
	copied, missing, moved, behind, failed := 0, 0, 0, 0, []string{}
	for _, c := range r.Mirrors {
		copied, missing, moved, behind = copied+c.Copied, missing+c.Missing, moved+len(c.Moved), behind+len(c.Behind)
		if c.Error != "" {
			failed = append(failed, c.Image)
		}
	}
	switch r.Outcome {
	case "planned":
		return fmt.Sprintf("✅ Nothing was copied, as this run pushes nothing. %d manifests are missing, and %d tags are behind.", missing, behind)
	case "failed":
		return fmt.Sprintf("❌ Not mirrored: %s. The others are as they should be.", strings.Join(failed, ", "))
	case "mirrored":
		return fmt.Sprintf("✅ Mirrored in %s: %d manifests were copied, and %d tags moved.", seconds(r.Seconds), copied, moved)
	default:
		return "✅ Nothing to do: the mirrors have all that is published."
	}
}

func (r Report) writeMirrors(b *strings.Builder) {
	if len(r.Mirrors) == 0 {
		return
	}
	b.WriteString("\n| mirror | copied | there already | tags moved | tags kept |\n|---|---|---|---|---|\n")
	for _, c := range r.Mirrors {
		var moved []string
		for _, m := range c.Moved {
			moved = append(moved, m.Tag)
		}
		fmt.Fprintf(b, "| %s %s | %d of %d missing | %d | %s | %s |\n", c.mark(), cell(c.Image), c.Copied, c.Missing, c.Present, cell(strings.Join(moved, ", ")), cell(strings.Join(c.Kept, ", ")))
	}
	for _, c := range r.Mirrors {
		if c.Error != "" {
			fmt.Fprintf(b, "\n- ❌ **%s**: %s\n", cell(c.Image), cell(c.Error))
		}
	}
}

func (c Copy) mark() string {
	if c.Error != "" {
		return "❌"
	}
	return "✅"
}
