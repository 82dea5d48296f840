// Package docstest keeps what documents say equal to what the program knows.
package docstest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Keep demands that a file has these texts between its comments "begin NAME" and "end NAME". With update it puts them there.
func Keep(t *testing.T, update bool, file string, parts map[string]string) (text string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := replace(t, file, string(data), parts)
	switch {
	case update:
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	case want != string(data):
		t.Errorf("%s is out of date; run go test with -run '^%s$' -update here (-want +got):\n%s", file, t.Name(), cmp.Diff(want, string(data)))
	}
	return want
}

// replace puts texts between comments of a file.
func replace(t *testing.T, file, data string, parts map[string]string) string {
	t.Helper()
	for name, text := range parts {
		begin, end := "begin "+name, "end "+name
		before, rest, found := strings.Cut(data, begin)
		_, after, closed := strings.Cut(rest, end)
		line, _, _ := strings.Cut(rest, "\n")
		if !found || !closed {
			t.Fatalf("%s has no place for %s", file, name)
		}
		opening := before[strings.LastIndex(before, "\n")+1:]
		data = before + begin + line + "\n" + text + opening + end + after
	}
	return data
}

// Documents are the files that people read, from two folders below the repository's root.
func Documents(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob("../../.github/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(pages, "../../README.md")
}

// Blocks are the code blocks of all documents that begin with a line, without it, by where they stand.
func Blocks(t *testing.T, first string) map[string]string {
	t.Helper()
	blocks := map[string]string{}
	for _, file := range Documents(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, rest := range strings.Split(string(data), "```yaml\n"+first+"\n")[1:] {
			blocks[fmt.Sprintf("%s, block %d", file, i+1)], _, _ = strings.Cut(rest, "```")
		}
	}
	return blocks
}
