package docstest

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var page = flag.String("messages", "", "write a page of all that the program says to this file")

// speakers are functions by the place of what they say among their arguments. What they say is a text, or several of one call.
var speakers = map[string][]int{
	"errors.New": {0}, "fmt.Errorf": {0},
	"Add":  {1, 2}, // a mistake of the configuration: what mends it, and what it is
	"one":  {2, 3}, // a finding of doctor: what it is, and what mends it
	"note": {0}, "Notice": {0}, "Warning": {0}, "Error": {0}, "Printf": {0}, "Tell": {0}, "refuse": {0}, "leaveUnsigned": {0},
}

const letters = "abcdefghijklmnopqrstuvwxyz"

// TestEveryMessage reads all that the program says as a person would: on one page, by where it is said.
func TestEveryMessage(t *testing.T) {
	t.Parallel()
	said := messages(t)
	count := 0
	var b strings.Builder
	for _, file := range slices.Sorted(maps.Keys(said)) {
		fmt.Fprintf(&b, "\n## %s\n\n", strings.TrimPrefix(file, "../"))
		for _, m := range said[file] {
			count++
			fmt.Fprintf(&b, "- %s\n", strings.ReplaceAll(m, "\n", " ⏎ "))
			for _, word := range []string{"failed to", "invalid ", "please", "oops", "sorry", "an error occurred", "successfully"} {
				if strings.Contains(strings.ToLower(m), word) {
					t.Errorf("%s says %q: %q tells nobody what happened, where, and what to do", file, m, word)
				}
			}
		}
	}
	if count < 500 {
		t.Errorf("only %d messages were found", count)
	}
	if *page != "" {
		if err := os.WriteFile(*page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// messages are what is said, by the file that says it.
func messages(t *testing.T) map[string][]string {
	t.Helper()
	said := map[string][]string{}
	for _, file := range programFiles(t) {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if call, is := n.(*ast.CallExpr); is {
				if texts := spoken(call); texts != nil {
					said[file] = append(said[file], texts...)
				}
			}
			return true
		})
	}
	return said
}

func spoken(call *ast.CallExpr) (texts []string) {
	places, known := speakers[nameOf(call.Fun)]
	if !known {
		return nil
	}
	for _, place := range places {
		if place < len(call.Args) {
			if text := literal(call.Args[place]); strings.ContainsAny(strings.NewReplacer("%s", "", "%v", "", "%w", "").Replace(text), letters) {
				texts = append(texts, text)
			}
		}
	}
	return texts
}

// nameOf is the function's name, with its package for those of errors and fmt.
func nameOf(f ast.Expr) string {
	switch f := f.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, is := f.X.(*ast.Ident); is && (x.Name == "errors" || x.Name == "fmt") {
			return x.Name + "." + f.Sel.Name
		}
		return f.Sel.Name
	}
	return ""
}

// literal is the text in an expression, with … for what is only known when it is said.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.BinaryExpr:
		return literal(e.X) + literal(e.Y)
	case *ast.CallExpr:
		if len(e.Args) > 0 && nameOf(e.Fun) == "fmt.Sprintf" {
			return literal(e.Args[0])
		}
	case *ast.CompositeLit:
		for _, field := range e.Elts {
			if pair, is := field.(*ast.KeyValueExpr); is && nameOf(pair.Key) == "Message" {
				return literal(pair.Value)
			}
		}
		return ""
	}
	return "…"
}

// programFiles are the sources of the program.
func programFiles(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
