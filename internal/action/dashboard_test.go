package action

import (
	"bytes"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/dashboard"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/sample"
)

// TestNobodyReadsHalfAPage has pages of different lengths be written again and again while somebody reads them.
func TestNobodyReadsHalfAPage(t *testing.T) {
	t.Parallel()
	at := place{t.TempDir(), "site"}
	var pages []dashboard.Figures
	for _, builds := range []int{4, 400} {
		entries, err := sample.Builds("octo-org/shop", builds, time.Unix(1_800_000_000, 0))
		if err != nil {
			t.Fatal(err)
		}
		known := insight.Known{}
		for _, e := range entries {
			known[e.Namespace] = append(known[e.Namespace], e)
		}
		pages = append(pages, dashboard.Collect(dashboard.Source{Known: known, Repository: "octo-org/shop"}).Watched())
	}
	if err := writeDashboard(at, pages[0]); err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	go func() {
		defer done.Store(true)
		for i := range 20 {
			if err := writeDashboard(at, pages[i%2]); err != nil {
				t.Error(err)
			}
		}
	}()
	lengths := map[int]bool{}
	for !done.Load() {
		for name, end := range map[string]string{pageFile: "</html>\n", "figures.json": "}\n", "openmetrics.txt": "# EOF\n"} {
			text, err := os.ReadFile(filepath.Join(at.root, at.file, name))
			if err != nil || !bytes.HasSuffix(text, []byte(end)) {
				t.Errorf("%s of %d bytes ends with %q, %v", name, len(text), text[max(0, len(text)-20):], err)
			}
			lengths[len(text)] = true
		}
	}
	if len(lengths) != 6 {
		t.Errorf("%d lengths were read of two pages with two files each", len(lengths))
	}
}
