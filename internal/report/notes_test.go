package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/release"
	"github.com/org/ghcr-publish/internal/verdict"
)

func platformWith(name string, size int64, faults ...string) Platform {
	p := verdict.Platform{Platform: name, Digest: "sha256:1", Compressed: size}
	for _, text := range faults {
		id, severity, _ := strings.Cut(text, " ")
		p.Findings = append(p.Findings, verdict.Finding{ID: id, Severity: severity, Package: "p"})
	}
	return newPlatform(p)
}

// TestNotesCompare tells what is new and what is gone since the release before, and nothing where that is not known.
func TestNotesCompare(t *testing.T) {
	t.Parallel()
	now := []Platform{platformWith("linux/amd64", 1030, "CVE-1 HIGH", "CVE-2 HIGH", "CVE-9 LOW"), platformWith("linux/arm64", 2000, "CVE-2 HIGH")}
	unscanned := platformWith("linux/amd64", 1000)
	unscanned.Scanned = false
	for name, c := range map[string]struct {
		was  []Platform
		want string // of size and findings
	}{
		"known": {[]Platform{platformWith("linux/amd64", 1000, "CVE-1 HIGH", "CVE-3 CRITICAL", "CVE-8 LOW"), platformWith("linux/arm64", 1000, "CVE-3 CRITICAL", "CVE-4 HIGH")},
			"1.03kB / 2kB (▲ 3% since v1.0.0) | 2 HIGH on linux/amd64<br>1 HIGH on linux/arm64; since v1.0.0 1 new, 2 gone |"},
		"the same":         {now, "1.03kB / 2kB (＝ since v1.0.0) | 2 HIGH on linux/amd64<br>1 HIGH on linux/arm64; since v1.0.0 0 new, 0 gone |"},
		"another platform": {[]Platform{platformWith("linux/arm64", 4000)}, "1.03kB / 2kB (▼ 50% since v1.0.0) | 2 HIGH on linux/amd64<br>1 HIGH on linux/arm64; since v1.0.0 2 new, 0 gone |"},
		"not looked at":    {[]Platform{unscanned}, "1.03kB / 2kB (▲ 3% since v1.0.0) | 2 HIGH on linux/amd64<br>1 HIGH on linux/arm64 |"},
		"unknown":          {nil, "1.03kB / 2kB | 2 HIGH on linux/amd64<br>1 HIGH on linux/arm64 |"},
		"without a size":   {[]Platform{platformWith("linux/amd64", 0)}, "1.03kB / 2kB | 2 HIGH on linux/amd64<br>1 HIGH on linux/arm64; since v1.0.0 2 new, 0 gone |"},
	} {
		r := Report{Severities: []string{"CRITICAL", "HIGH"}, Services: []Service{{Name: "s", Digest: "sha256:1", Platforms: now}}}
		notes := r.Notes([]Released{{Service: "s", Image: "i", Tag: "1.1.0", Digest: "sha256:1", Platforms: now, Since: "v1.0.0", Was: c.was}})
		if !strings.Contains(notes, "| linux/amd64, linux/arm64 | "+c.want+"\n") {
			t.Errorf("%s: want %s in\n%s", name, c.want, notes)
		}
	}
	// What was not judged by this run is compared in size alone.
	notes := Report{}.Notes([]Released{{Service: "s", Image: "i", Tag: "1.1.0", Digest: "sha256:1", Platforms: now, Since: "v1.0.0", Was: now}})
	if !strings.Contains(notes, "(＝ since v1.0.0) | – |\n") {
		t.Errorf("the notes are\n%s", notes)
	}
}

// TestNotesMentionNobody has a commit's subject name a person, and an issue, to which it may lead.
func TestNotesMentionNobody(t *testing.T) {
	t.Parallel()
	image := Released{Service: "s", Image: "i", Tag: "1.1.0", Digest: "sha256:1", Since: "v1.0.0", Changes: []release.Group{{Title: "Fixes", Changes: []string{"thank @mona for o/r#12"}}}}
	notes := Report{}.Notes([]Released{image})
	if !strings.Contains(notes, "- thank &#64;\u200bmona for o/r#12") || !strings.Contains(notes, "docker pull i@sha256:1\n") {
		t.Errorf("the notes are\n%s", notes)
	}
}

// TestBefore reads what this program writes, and takes nothing else for it.
func TestBefore(t *testing.T) {
	t.Parallel()
	written, err := JSON(Report{SchemaVersion: 1, Services: []Service{{Name: "s", Platforms: []Platform{platformWith("linux/amd64", 7, "CVE-1 HIGH")}}}})
	if err != nil {
		t.Fatal(err)
	}
	read, err := Before(written)
	if err != nil || len(read["s"]) != 1 || read["s"][0].CompressedBytes != 7 || !slices.Equal(read["s"][0].Findings, []verdict.Finding{{ID: "CVE-1", Severity: "HIGH", Package: "p"}}) {
		t.Errorf("Before() = %+v, %v", read, err)
	}
	for _, text := range []string{"", "[]", "{}", "null", `{"schema_version": 2}`, `{"schema_version": 1, "services": {}}`, fmt.Sprintf("%.*s", len(written)/2, written)} {
		if read, err := Before([]byte(text)); err == nil || read != nil {
			t.Errorf("%q is read as %+v", text, read)
		}
	}
}
