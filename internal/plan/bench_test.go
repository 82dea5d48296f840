package plan

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/service"
)

// monorepo makes a clone of so many files, spread over the folders of so many services.
func monorepo(b *testing.B, files, services int) *world {
	b.Helper()
	w := newWorld(b)
	var stream bytes.Buffer
	fmt.Fprintf(&stream, "blob\nmark :1\ndata 1\nx\ncommit refs/heads/main\ncommitter a <a@example.com> 1700000000 +0000\ndata 1\nx\n")
	for i := range files {
		fmt.Fprintf(&stream, "M 100644 :1 services/s%d/src/pkg%d/file%d.go\n", i%services, i%97, i)
	}
	for i := range services {
		fmt.Fprintf(&stream, "M 100644 :1 services/s%d/Dockerfile\n", i)
	}
	if _, err := run.OS(b.Context(), run.Command{Argv: []string{"git", "fast-import", "--quiet", "--force"}, Dir: w.dir, Env: environ(), Stdin: &stream}); err != nil {
		b.Fatal(err)
	}
	w.git("reset", "--quiet", "--hard", "main")
	w.base = w.head()
	w.planner.Config.Services = nil
	for i := range services {
		dir := fmt.Sprintf("services/s%d", i)
		w.planner.Config.Services = append(w.planner.Config.Services, service.Service{Name: fmt.Sprintf("s%d", i), Image: fmt.Sprintf("ghcr.io/octo/s%d", i),
			Context: dir, Dockerfile: dir + "/Dockerfile", Platforms: []string{"linux/amd64", "linux/arm64"}})
	}
	w.images = map[string]registry.Image{}
	w.publish()
	return w
}

// BenchmarkMake plans for a commit that changes one file, the registry excluded.
func BenchmarkMake(b *testing.B) {
	for _, size := range []struct{ files, services int }{{1_000, 10}, {10_000, 10}, {100_000, 10}, {100_000, 200}} {
		b.Run(fmt.Sprintf("%d files of %d services", size.files, size.services), func(b *testing.B) {
			w := monorepo(b, size.files, size.services)
			w.commit(map[string]string{"services/s0/src/new.go": "1"})
			for b.Loop() {
				if made := w.make(); len(made.Builds()) != 1 {
					b.Fatalf("%d services are built", len(made.Builds()))
				}
			}
		})
	}
}
