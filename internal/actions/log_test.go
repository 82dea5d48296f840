package actions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// forged are lines by which the output of another program would have the runner obey it.
var forged = []string{
	"::set-output name=digest::evil", "  ::add-mask::a", "\t::error::x", "\u00a0::warning::x", "\u2003::notice::x", "\u200b::debug::x", "\ufeff::debug::x",
	"##[set-output name=x]y", "text ##[set-output name=x]y", "###[command]x", "##\x1b[error]x", "#\x00#[error]x", "##[##[error]x",
	"progress\r::add-mask::a", "a\r\n::debug::x", "\x1b[31m::error::x", "\x1b::error::x", ":\x07:error::x", "\xff::error::x", "\x1b]0;title\x07::stop-commands::t",
	"one\n::group::two", "\x0b::debug::x", "\x0c::debug::x", "\x85::debug::x", "\u0085::debug::x", "\u2028::debug::x",
}

func TestOutputIsNeverACommand(t *testing.T) {
	t.Parallel()
	for _, text := range forged {
		for _, prefix := range []string{"", "backend │ "} {
			var out bytes.Buffer
			log := NewLog(&out, true)
			log.Printf("%s", prefix+text)
			if got := commands(out.String()); got != nil || !utf8.Valid(out.Bytes()) {
				t.Errorf("%q is obeyed as %+v", text, got)
			}
		}
	}
}

func TestHarmlessKeepsWhatIsRead(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain text":             "plain text",
		"\tindented: a::b":       "\tindented: a::b",
		"std::vector":            "std::vector",
		"::debug::x":             "│ ::debug::x",
		"see ##[error]x":         "see # #[error]x",
		"\x1b[32mgreen\x1b[0m ü": "[32mgreen[0m ü",
		"10%\r20%":               "10%20%",
		"a\u009b31mb\u0085c":     "a31mbc",
		"a\xffb":                 "a�b",
		"":                       "",
	} {
		if got := harmless(in); got != want {
			t.Errorf("harmless(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzOutputIsNeverACommand(f *testing.F) {
	for _, text := range forged {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var out bytes.Buffer
		log := NewLog(&out, true)
		log.Printf("%s", text)
		end := log.Group(text)
		end()
		log.Error(Annotation{Title: text, File: text, Line: -1, Message: text})
		if got := commands(out.String()); len(got) != 3 || got[0].Name != "group" || got[1].Name != "endgroup" || got[2].Name != "error" {
			t.Errorf("%q is obeyed as %+v", text, got)
		}
		if !utf8.ValidString(out.String()[:strings.Index(out.String(), "::group::")]) {
			t.Errorf("%q is written as no UTF-8", text)
		}
	})
}

// TestHarmlessJSON reads back as it was, and holds no command.
func TestHarmlessJSON(t *testing.T) {
	t.Parallel()
	const text = "###[set-output name=x]evil##["
	data, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	var read string
	if got := HarmlessJSON(data); strings.Contains(string(got), "##[") || json.Unmarshal(got, &read) != nil || read != text {
		t.Errorf("%s reads as %q", got, read)
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		secrets []string
		text    string
		want    string
	}{
		{"a secret", []string{"hunter2"}, "it is hunter2, hunter2", "it is ***, ***"},
		{"the longest first", []string{"hunter", "hunter2-more"}, "hunter2-more hunter", "*** ***"},
		{"white space around it", []string{" hunter2\n"}, "hunter2", "***"},
		{"nothing", []string{"", " \n"}, "hunter2", "hunter2"},
		{"several lines", []string{"first\n\n second\r\n"}, "first and\nsecond", "*** and\n***"},
		{"braces around one in JSON", []string{"{\n  \"key\": \"hunter2\"\n}\n"}, "{\"a\": {}}\n\"key\": \"hunter2\"", "{\"a\": {}}\n***"},
		{"hidden by control characters", []string{"hunter2"}, "hun\x1bter2", "***"},
		{"one that is no text", []string{"\xffhunter2"}, "\xffhunter2", "***"},
		{"one that looks like a command", []string{"##[hunter2"}, "##[hunter2", "***"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			log := NewLog(&out, false)
			for _, s := range c.secrets {
				log.Mask(s)
			}
			log.Printf("%s", c.text)
			if got := strings.TrimSuffix(out.String(), "\n"); got != c.want {
				t.Errorf("logged %q, want %q", got, c.want)
			}
		})
	}
}

func TestMaskTellsTheRunner(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := NewLog(&out, true)
	log.Mask("50%\nsecond")
	log.Mask("")
	if diff := cmp.Diff([]command{{Name: "add-mask", Data: "50%\nsecond"}}, commands(out.String())); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	out.Reset()
	NewLog(&out, false).Mask("hunter2")
	if out.Len() > 0 {
		t.Errorf("off a runner the secret is written: %q", out.String())
	}
}

func TestSecretsAreKeptOutEverywhere(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	for _, onRunner := range []bool{true, false} {
		var out bytes.Buffer
		log := NewLog(&out, onRunner)
		log.Printf("before %s", "it is masked")
		log.Mask(secret)
		out.Reset() // the runner has to be told the secret itself
		end := log.Group("group of " + secret)
		log.Printf("%s and\n%s", secret, secret)
		end()
		for range annotationLimit + 1 {
			log.Warning(Annotation{Title: secret, Message: "a " + secret})
		}
		if got := out.String(); strings.Contains(got, secret) || strings.Count(got, "***") < 6 {
			t.Errorf("on a runner %v: logged\n%s", onRunner, got)
		}
		if got := log.Redact("x" + secret); got != "x***" {
			t.Errorf("Redact() = %q", got)
		}
	}
}

func TestGroup(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	end := NewLog(&out, true).Group("Build 100%\n##[error]::x::")
	end()
	want := "::group::Build 100%25# #[error]::x::\n::endgroup::\n"
	if got := out.String(); got != want {
		t.Errorf("logged %q, want %q", got, want)
	}
	out.Reset()
	log := NewLog(&out, false)
	end = log.Group("Build")
	log.Printf("inside")
	end()
	if got, want := out.String(), "\nBuild\ninside\n"; got != want {
		t.Errorf("off a runner: logged %q, want %q", got, want)
	}
}

func TestAnnotations(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		tell func(*Log)
		want command
	}{
		{"a notice", func(l *Log) { l.Notice(Annotation{Title: "T", File: "Dockerfile", Line: 3, Message: "m"}) },
			command{Name: "notice", Properties: map[string]string{"title": "T", "file": "Dockerfile", "line": "3"}, Data: "m"}},
		{"a message", func(l *Log) { l.Warning(Annotation{Message: "hello"}) }, command{Name: "warning", Data: "hello"}},
		{"everything", func(l *Log) { l.Error(Annotation{Title: "t", File: "a/Dockerfile", Line: 7, Message: "m"}) },
			command{"error", map[string]string{"title": "t", "file": "a/Dockerfile", "line": "7"}, "m"}},
		{"a file without a line", func(l *Log) { l.Warning(Annotation{File: "a", Message: "m"}) },
			command{"warning", map[string]string{"file": "a", "line": "1"}, "m"}},
		{"what must be escaped", func(l *Log) {
			l.Warning(Annotation{Title: "a:b,c%3A\r\nd", File: "x,y:z%", Line: 1, Message: "50%\r\n::error::e, f:g %0A"})
		},
			command{"warning", map[string]string{"title": "a:b,c%3A\r\nd", "file": "x,y:z%", "line": "1"}, "50%\r\n::error::e, f:g %0A"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			c.tell(NewLog(&out, true))
			if diff := cmp.Diff([]command{c.want}, commands(out.String())); diff != "" {
				t.Errorf("%q (-want +got):\n%s", out.String(), diff)
			}
		})
	}
}

func TestAnnotationsBeyondTheLimitAreText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := NewLog(&out, true)
	for i := range annotationLimit + 2 {
		log.Warning(Annotation{Title: "T", Message: fmt.Sprintf("::error::%d", i)})
	}
	log.Error(Annotation{Message: "of another level"})
	got := commands(out.String())
	if len(got) != annotationLimit+1 || got[annotationLimit].Name != "error" {
		t.Errorf("the runner sees %d annotations, the last %+v", len(got), got[len(got)-1])
	}
	if lines := runnerLines(out.String()); lines[10] != "warning: T: ::error::10" || lines[11] != "warning: T: ::error::11" {
		t.Errorf("the others read %q", lines[10:12])
	}
}

func TestAnnotationsOffARunner(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := NewLog(&out, false)
	log.Error(Annotation{Message: "m"})
	log.Warning(Annotation{Title: "T", File: "f", Message: "m\nn"})
	if got, want := out.String(), "error: m\nwarning: T: m\nn\n"; got != want {
		t.Errorf("logged %q, want %q", got, want)
	}
}

func TestAnnotationsAreCut(t *testing.T) {
	t.Parallel()
	for name, message := range map[string]string{"letters": strings.Repeat("x", 5000), "wide letters": strings.Repeat("ü", 3000), "exactly": strings.Repeat("x", messageLimit), "escapes": strings.Repeat("%", 5000)} {
		var out bytes.Buffer
		NewLog(&out, true).Error(Annotation{Message: message})
		got := commands(out.String())[0].Data
		if len(got) > messageLimit || len(got) < messageLimit-3 || !utf8.ValidString(got) || (got != message) != strings.HasSuffix(got, "…") {
			t.Errorf("%s: %d bytes ending %q", name, len(got), got[len(got)-8:])
		}
	}
}

func TestLogIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := NewLog(&out, true)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			log.Mask(fmt.Sprintf("secret-%d", i))
			for range 50 {
				log.Printf("secret-%d one\nsecret-%d two", i, i)
				log.Printf("a whole line")
				log.Group("g")()
				log.Warning(Annotation{Message: "w"})
				log.Redact("x")
			}
		})
	}
	group.Wait()
	if got := strings.Count(out.String(), "::warning::"); got != annotationLimit {
		t.Errorf("%d annotations, want %d", got, annotationLimit)
	}
	for _, line := range runnerLines(out.String()) {
		if strings.Contains(line, "whole") && line != "a whole line" {
			t.Errorf("mixed up: %q", line)
		}
	}
}

// TestParts has two parts go on at the same time: each comes in one piece, under its title, without what has become a secret meanwhile.
func TestParts(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := NewLog(&out, true)
	a, b := l.Part("a"), l.Part("b")
	a.Print("one")
	b.Print("::error::two hush")
	a.Print("three hush\nfour")
	l.Printf("meanwhile")
	l.Mask("hush")
	b.End("b took 1s hush")
	a.End("a took 2s")
	l.Part("c").End("of which nothing was told")
	want := "meanwhile\n::add-mask::hush\n::group::b took 1s ***\n│ ::error::two ***\n::endgroup::\n::group::a took 2s\none\nthree ***\nfour\n::endgroup::\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

func TestLongParts(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := NewLog(&out, true).Part("a")
	for range 3 {
		p.Print(strings.Repeat("x", mostKept/2))
	}
	before := strings.Count(out.String(), "::group::a, which goes on\n")
	p.End("a took 2s")
	if after := strings.Count(out.String(), "::group::a took 2s\n"); before != 1 || after != 1 {
		t.Errorf("%d pieces before the end and %d at it", before, after)
	}
}

func TestPartsOffRunners(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := NewLog(&out, false).Part("a")
	p.Print("one")
	p.End("a took 2s")
	if got := out.String(); got != "a │ one\n" {
		t.Errorf("got %q", got)
	}
}
