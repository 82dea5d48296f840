// Package archtest holds the structure of the project: which package may import which, and which
// rights belong to one package alone.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/org/ghcr-publish/internal/"

// floors from the ground up. A package imports lower floors only; packages of one floor never
// import each other.
var floors = [][]string{
	{"service", "dockerfile"},
	{"verdict", "tags", "cache", "learn", "traffic"}, // rules, pure
	{"run", "actions", "results", "registry", "github", "engine", "memory"},
	{"git", "buildx", "trivy", "telemetry"},
	{"compose", "discover", "migrate", "plan", "scan", "probe", "sign", "insight", "carry", "mirror", "deploy"},
	{"publish", "promote", "agent", "clean", "release", "dashboard"},
	{"report", "doctor", "mcp"},
	{"action"},
}

// tools stand beside the house: they may import anything, and nothing in it imports them.
var tools = []string{"archtest", "demo", "docstest", "e2e", "enginetest", "githubtest", "image", "lab", "resultstest", "sample", "sigstoretest", "toolstest"}

// rights are imports that belong to one package.
var rights = map[string]string{
	"os/exec":                                    "run",
	"database/sql":                               "memory",
	"github.com/mattn/go-sqlite3":                "memory",
	"github.com/moby/moby/client":                "engine",
	"github.com/docker/buildx/bake":              "buildx",
	"github.com/sethvargo/go-githubactions":      "actions",
	"github.com/google/go-github/v62/github":     "github",
	"github.com/owenrumney/go-sarif/v2/sarif":    "scan",
	"github.com/modelcontextprotocol/go-sdk/mcp": "mcp",
}

func floorOf(name string) int {
	return slices.IndexFunc(floors, func(floor []string) bool { return slices.Contains(floor, name) })
}

type source struct {
	pkg     string // folder below internal
	file    *ast.File
	imports []string
	test    bool
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.Contains(path, "testdata") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		s := source{pkg: strings.Split(filepath.ToSlash(path), "/")[1], file: file, test: strings.HasSuffix(path, "_test.go")}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, imported)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPackagesImportDownwards(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test || slices.Contains(tools, s.pkg) {
			continue
		}
		mine := floorOf(s.pkg)
		if mine < 0 {
			t.Errorf("package %s has no floor; give it one", s.pkg)
		}
		for _, imported := range s.imports {
			name, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			if theirs := floorOf(name); theirs < 0 || theirs >= mine {
				t.Errorf("%s (floor %d) imports %s (floor %d)", s.pkg, mine, name, theirs)
			}
		}
	}
}

func TestRightsAreExclusive(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test || slices.Contains(tools, s.pkg) && s.pkg != "lab" && s.pkg != "demo" {
			continue
		}
		for _, imported := range s.imports {
			owner, exclusive := rights[imported]
			if exclusive && owner != s.pkg && !(s.pkg == "lab" && imported != "os/exec") {
				t.Errorf("%s imports %s, which is %s's alone", s.pkg, imported, owner)
			}
		}
	}
}

func TestProcessStateStaysAtTheEdge(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test || slices.Contains(tools, s.pkg) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			base, ok := selector.X.(*ast.Ident)
			if ok && base.Name == "os" && slices.Contains([]string{"Getenv", "LookupEnv", "Environ", "Exit", "Args", "Stdout", "Stderr", "Stdin", "Setenv", "Chdir"}, selector.Sel.Name) {
				t.Errorf("%s uses os.%s; only main may", s.pkg, selector.Sel.Name)
			}
			return true
		})
	}
}

func TestEachPackageHasOneComment(t *testing.T) {
	t.Parallel()
	comments := map[string]int{}
	for _, s := range sources(t) {
		if _, known := comments[s.pkg]; !known {
			comments[s.pkg] = 0
		}
		if s.file.Doc != nil && !strings.HasSuffix(s.file.Name.Name, "_test") && (!s.test || s.pkg == "archtest" || s.pkg == "e2e" || s.pkg == "image") {
			comments[s.pkg]++
			if doc := s.file.Doc.Text(); !strings.HasPrefix(doc, "Package "+s.pkg) && !strings.HasPrefix(doc, "Command "+s.pkg) {
				t.Errorf("the comment of %s begins %q", s.pkg, strings.SplitN(doc, "\n", 2)[0])
			}
		}
	}
	for pkg, n := range comments {
		if n != 1 {
			t.Errorf("package %s has %d package comments, want 1", pkg, n)
		}
	}
}

func TestTopLevelIsAsGiven(t *testing.T) {
	t.Parallel()
	allowed := []string{".ci", ".git", ".github", ".gitignore", ".swarm", "Dockerfile", "README.md", "action.yml", "go.mod", "go.sum", "internal", "main.go", "testdata"}
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s does not belong at the top level", e.Name())
		}
	}
}
