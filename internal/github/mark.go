package github

import "strings"

// A Mark stands around what this program writes into a text that people edit, such as an issue's; what they write around it stays.
type Mark struct{ begin, end string }

// NewMark returns the mark of what is written about something.
func NewMark(about string) Mark {
	return Mark{"<!-- ghcr-publish: " + about + " -->", "<!-- end of ghcr-publish: " + about + " -->"}
}

// Begin is what a text has that the mark is in.
func (m Mark) Begin() string { return m.begin }

// Replace puts a text between the marks, at the end of the body where it has none.
func (m Mark) Replace(body, text string) string {
	before, rest, found := strings.Cut(body, m.begin)
	after := ""
	if found {
		_, after, _ = strings.Cut(rest, m.end)
	}
	return before + m.begin + "\n" + text + "\n" + m.end + after
}
