package actions

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
)

// summaryLimit is the size beyond which the runner drops a step's whole summary.
const summaryLimit = 1 << 20

// AppendValue adds an output, or a value for the post step, to the runner's file for such. The file is
// appended to, never replaced: the runner reads it as another user. An empty file name means that nobody listens.
func AppendValue(file, name, value string) error {
	if file == "" {
		return nil
	}
	// A fixed delimiter could be forged by a value that holds it.
	delimiter := "ghcr-publish-" + rand.Text()
	if name == "" || strings.ContainsAny(name, "=<\r\n") || strings.Contains(value, delimiter) {
		return fmt.Errorf("writing %q for the runner: not representable", name)
	}
	return appendFile(file, fmt.Sprintf("%s<<%s\n%s\n%s\n", name, delimiter, value, delimiter))
}

// AppendSummary adds Markdown to the step's summary, cut where the runner would drop all of it.
func AppendSummary(file, markdown string) error {
	if file == "" {
		return nil
	}
	const more = "\n\n… cut here: the summary is longer than GitHub shows.\n"
	if len(markdown) > summaryLimit {
		markdown = strings.ToValidUTF8(markdown[:summaryLimit-len(more)], "") + more
	}
	return appendFile(file, markdown)
}

func appendFile(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("writing for the runner: %w", err)
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return fmt.Errorf("writing for the runner: %w", err)
	}
	return f.Close()
}
