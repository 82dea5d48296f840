package actions

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestAppendValueIsReadBack(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "output")
	if err := os.WriteFile(file, []byte("earlier=1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"digest": "sha256:abc", "empty": "", "lines": "a\nb\n", "blank": "\n\n", "heredoc": "x<<EOF\ny\nEOF", "assignment": "a=b", "json": `{"include":[]}`,
		"ends": "a\r\nb\r", "delimiter": "ghcr-publish-", "unicode": "ü\u2028x", "command": "::set-output name=a::b",
	}
	for name, value := range want {
		if err := AppendValue(file, name, value); err != nil {
			t.Errorf("AppendValue(%s) = %v", name, err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readOutputs(string(text))
	if err != nil {
		t.Fatal(err)
	}
	want["earlier"] = "1"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) || after.Mode() != before.Mode() {
		t.Errorf("the file was replaced or changed: %v, %v", after.Mode(), err)
	}
}

func TestAppendValueRefusesNames(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "output")
	for _, name := range []string{"", "a\nb", "a=b", "a<<b", "a<", "a\rb"} {
		if AppendValue(file, name, "x") == nil {
			t.Errorf("the name %q is accepted", name)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("something was written")
	}
}

func TestDelimitersDiffer(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "output")
	seen := map[string]bool{}
	for range 10 {
		if err := AppendValue(file, "a", "x"); err != nil {
			t.Fatal(err)
		}
		text, _ := os.ReadFile(file)
		line, _, _ := strings.Cut(string(text), "\n")
		_, delimiter, _ := strings.Cut(line, "<<")
		if seen[delimiter] || len(delimiter) < 30 {
			t.Errorf("the delimiter %q can be guessed", delimiter)
		}
		seen[delimiter] = true
		os.Remove(file)
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	if err := AppendValue("", "a", "b"); err != nil {
		t.Error(err)
	}
	if err := AppendSummary("", "# Title"); err != nil {
		t.Error(err)
	}
	if err := AppendSummary(filepath.Join(t.TempDir(), "no", "folder"), "x"); err == nil || !strings.HasPrefix(err.Error(), "writing for the runner: ") {
		t.Errorf("an impossible file gives %v", err)
	}
}

func TestAppendSummaryIsCutBelowTheLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		cut  bool
	}{
		"short":        {"# Title\n", false},
		"exactly":      {strings.Repeat("x", summaryLimit), false},
		"too long":     {strings.Repeat("x", summaryLimit+1), true},
		"wide letters": {strings.Repeat("€", summaryLimit/2), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "summary")
			if err := AppendSummary(file, c.text); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(file)
			if err != nil || len(data) > summaryLimit || !utf8.Valid(data) {
				t.Errorf("wrote %d bytes, %v", len(data), err)
			}
			if got := strings.Contains(string(data), "cut here"); got != c.cut || !c.cut && string(data) != c.text {
				t.Errorf("cut: %v, want %v", got, c.cut)
			}
		})
	}
}

func FuzzAppendValue(f *testing.F) {
	f.Add("digest", "a\nb<<c\n=d")
	f.Add("a<<b", "\r\n")
	f.Fuzz(func(t *testing.T, name, value string) {
		file := filepath.Join(t.TempDir(), "output")
		if AppendValue(file, name, value) != nil {
			return
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readOutputs(string(text))
		if err != nil || len(got) != 1 || got[name] != value {
			t.Errorf("%q = %q is read as %q, %v", name, value, got, err)
		}
	})
}
