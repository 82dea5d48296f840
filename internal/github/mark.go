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

// Replace puts a text between the marks, at the end of the body where it has none. Where somebody has taken the end away nobody knows what
// is theirs, so all that follows stays. In the text, which may hold what others wrote, the marks are made visible, and mark nothing.
func (m Mark) Replace(body, text string) string {
	before, _, after := m.cut(body)
	text = strings.NewReplacer(m.begin, visible(m.begin), m.end, visible(m.end)).Replace(text)
	return before + m.begin + "\n" + text + "\n" + m.end + after
}

// visible is a comment as a text.
func visible(comment string) string { return "&lt;" + strings.TrimPrefix(comment, "<") }

// Around is what stands before and after the marks.
func (m Mark) Around(body string) string {
	before, _, after := m.cut(body)
	return before + after
}

func (m Mark) cut(body string) (before, within, after string) {
	before, rest, found := strings.Cut(body, m.begin)
	if !found {
		return body, "", ""
	}
	if within, after, found = strings.Cut(rest, m.end); !found {
		return before, "", rest
	}
	return before, within, after
}
