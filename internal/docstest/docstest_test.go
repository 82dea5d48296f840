package docstest

import (
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// TestLinks follows every link from one document to another, and to files of the repository.
func TestLinks(t *testing.T) {
	t.Parallel()
	anchors := map[string]map[string]bool{}
	for _, file := range Documents(t) {
		anchors[file] = map[string]bool{"": true}
		for _, id := range parse(t, file).ids {
			anchors[file][id] = true
		}
	}
	for file := range anchors {
		for _, link := range parse(t, file).links {
			if err := follow(file, link, anchors); err != "" {
				t.Errorf("%s links to %s: %s", file, link, err)
			}
		}
	}
}

func follow(from, link string, anchors map[string]map[string]bool) (problem string) {
	to, err := url.Parse(link)
	if err != nil {
		return err.Error()
	}
	if to.Scheme != "" || to.Host != "" {
		return "" // somebody else's
	}
	file := from
	if to.Path != "" {
		file = filepath.Join(filepath.Dir(from), to.Path)
	}
	if known, is := anchors[file]; is {
		if !known[to.Fragment] {
			return "there is no such heading"
		}
		return ""
	}
	if _, err := os.Stat(file); err != nil {
		return err.Error()
	}
	return ""
}

// A document is what a file links to, and what may be linked to in it.
type document struct{ links, ids []string }

func parse(t *testing.T, file string) (d document) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	markdown := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	root := markdown.Parser().Parse(text.NewReader(data))
	err = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if id, is := n.AttributeString("id"); entering && is {
			d.ids = append(d.ids, string(id.([]byte)))
		}
		if link, is := n.(*ast.Link); entering && is {
			d.links = append(d.links, string(link.Destination))
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var update = flag.Bool("update", false, "rewrite what README.md shows of the examples")

// TestStart shows in README.md the first of the examples.
func TestStart(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../.github/examples/start.yml")
	if err != nil {
		t.Fatal(err)
	}
	_, workflow, _ := strings.Cut(string(data), "\n") // without what it is for
	Keep(t, *update, "../../README.md", map[string]string{"start": "```yaml\n# .github/workflows/publish.yml\n" + workflow + "```\n"})
}

// TestMessages has the program say what a page says that it says.
func TestMessages(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../.github/docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| message | why, and what to do |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")
	if len(rows) < 10 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	program := verb.ReplaceAllString(sources(t), "…")
	for _, row := range rows {
		message := strings.Split(row, "`")[1]
		if !strings.Contains(program, message) {
			t.Errorf("nothing says %q", message)
		}
	}
}

// verb is where a message has what it is about.
var verb = regexp.MustCompile(`%[-+# 0-9.]*[a-zA-Z]`)

// sources is the whole program's code.
func sources(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, file := range programFiles(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(data)
	}
	return b.String()
}
