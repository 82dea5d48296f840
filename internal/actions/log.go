package actions

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode"

	githubactions "github.com/sethvargo/go-githubactions"
)

// annotationLimit is how many annotations of each level the runner shows for one step.
const annotationLimit = 10

// messageLimit is where the runner cuts an annotation's message.
const messageLimit = 4096

// A Log is what the person who started the run reads while it runs. It is safe for concurrent use.
// Secrets are replaced wherever they turn up, and no text of another program can be taken by the
// runner for a command.
type Log struct {
	mu       sync.Mutex
	w        io.Writer
	onRunner bool
	quiet    bool // only what is answered, and what went wrong
	coloured bool
	secrets  []string
	counts   map[string]int
}

// NewLog returns a Log that writes to w.
func NewLog(w io.Writer, onRunner bool) *Log {
	return &Log{w: w, onRunner: onRunner, counts: map[string]int{}}
}

// Quiet has the log tell only the answer, and what went wrong, from here on.
func (l *Log) Quiet() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quiet = true
}

// Colour has the log use the colours of a terminal.
func (l *Log) Colour() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.coloured = true
}

// shortestLine is how many characters a line of a secret has at least that is kept out by itself: the braces around one in JSON are in too much else.
const shortestLine = 4

// Mask keeps a secret out of everything that is logged from here on, by this program and by the
// runner. Of one with several lines each line is kept out, as a log goes line by line.
func (l *Log) Mask(secret string) {
	if secret = strings.TrimSpace(secret); secret == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.secrets = append(l.secrets, secret)
	for line := range strings.SplitSeq(secret, "\n") {
		if line = strings.TrimSpace(line); len(line) >= shortestLine && line != secret {
			l.secrets = append(l.secrets, line)
		}
	}
	// The longest first, or a secret that holds another would show its rest.
	slices.SortFunc(l.secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	if l.onRunner {
		fmt.Fprintln(l.w, "::add-mask::"+escapeData(secret))
	}
}

// Secrets are what is masked.
func (l *Log) Secrets() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.secrets)
}

// Redact replaces every masked secret in text.
func (l *Log) Redact(text string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.redact(text)
}

func (l *Log) redact(text string) string {
	for _, s := range l.secrets {
		text = strings.ReplaceAll(text, s, "***")
	}
	return text
}

// Printf writes one line, or several, unless the log is quiet.
func (l *Log) Printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.quiet {
		l.lines(none, fmt.Sprintf(format, args...))
	}
}

// Answer writes what was asked for, also where the log is quiet.
func (l *Log) Answer(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines(bold, fmt.Sprintf(format, args...))
}

// lines writes text line by line, in a colour; the caller holds the lock.
func (l *Log) lines(c colour, text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		// Once more afterwards, as a secret may come with control characters in its midst.
		line = l.redact(harmless(l.redact(line)))
		if l.coloured {
			line = c.tint(line)
		}
		fmt.Fprintln(l.w, line)
	}
}

// Group begins a foldable group; the returned func ends it. Groups do not nest.
func (l *Log) Group(title string) (end func()) {
	title = harmless(l.Redact(title))
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.quiet:
		return func() {}
	case !l.onRunner:
		l.lines(bold, "\n"+title)
		return func() {}
	}
	l.say("group", nil, title)
	return func() { l.command("endgroup", nil, "") }
}

// A Part is what is logged of one of several things that go on at the same time. On a runner it is kept until it ends, and then comes in one piece as a
// foldable group; elsewhere each line comes at once, after the part's name.
type Part struct {
	log  *Log
	name string

	mu   sync.Mutex
	kept []string
	size int
}

// mostKept is how many bytes of a part are kept: what is longer comes in several pieces.
const mostKept = 1 << 20

// Part begins a part.
func (l *Log) Part(name string) *Part { return &Part{log: l, name: name} }

// Print logs a line.
func (p *Part) Print(line string) {
	if !p.log.onRunner {
		p.log.Printf("%s │ %s", p.name, line)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = append(p.kept, line)
	if p.size += len(line) + 1; p.size > mostKept {
		p.write(p.name + ", which goes on")
	}
}

// End writes what was kept, under a title.
func (p *Part) End(title string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.kept) > 0 {
		p.write(title)
	}
}

func (p *Part) write(title string) {
	l := p.log
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := p.kept
	p.kept, p.size = nil, 0
	if l.quiet {
		return
	}
	l.say("group", nil, harmless(l.redact(title)))
	for _, line := range kept {
		l.lines(none, line)
	}
	l.say("endgroup", nil, "")
}

// An Annotation is a message that GitHub shows beside the run, at a file's line where it has one.
type Annotation struct {
	Title, File string
	Line        int
	Message     string
}

// Notice, Warning and Error annotate the run.
func (l *Log) Notice(a Annotation)  { l.annotate("notice", a) }
func (l *Log) Warning(a Annotation) { l.annotate("warning", a) }
func (l *Log) Error(a Annotation)   { l.annotate("error", a) }

func (l *Log) annotate(level string, a Annotation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.quiet && level == "notice" {
		return
	}
	l.counts[level]++
	if !l.onRunner || l.counts[level] > annotationLimit {
		l.lines(none, level+": "+strings.TrimPrefix(a.Title+": "+a.Message, ": "))
		return
	}
	properties := githubactions.CommandProperties{}
	if a.Title != "" {
		properties["title"] = l.redact(a.Title)
	}
	if a.File != "" {
		properties["file"], properties["line"] = a.File, fmt.Sprint(max(a.Line, 1))
	}
	message := l.redact(a.Message)
	if len(message) > messageLimit {
		message = strings.ToValidUTF8(message[:messageLimit-3], "") + "…"
	}
	l.say(level, properties, message)
}

// command writes one workflow command, escaped as the runner's toolkit does.
func (l *Log) command(name string, properties githubactions.CommandProperties, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.say(name, properties, message)
}

// say writes a workflow command; the caller holds the lock.
func (l *Log) say(name string, properties githubactions.CommandProperties, message string) {
	fmt.Fprintln(l.w, (&githubactions.Command{Name: name, Message: message, Properties: properties}).String())
}

// harmless makes sure that the runner takes a line for text. It obeys "::name::" at the beginning of
// a line and the older "##[name]" anywhere in it, and a carriage return begins a line as well
// (actions/runner, ActionCommand.cs).
func harmless(line string) string {
	line = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(line, "�"))
	if trimmed := strings.TrimLeftFunc(line, invisible); strings.HasPrefix(trimmed, "::") {
		line = "│ " + trimmed
	}
	return strings.ReplaceAll(line, "##[", "# #[")
}

// HarmlessJSON writes JSON so that the runner takes it for text, too: what it would obey stands in strings alone, where a letter may be
// written as an escape.
func HarmlessJSON(data []byte) []byte {
	return bytes.ReplaceAll(data, []byte("##["), []byte(`##\u005b`))
}

// invisible are the characters that the runner skips before a command, and those that a comparison
// in its language may pass over.
func invisible(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

func escapeData(v string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(v)
}
