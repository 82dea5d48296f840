package actions

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// MaskProof renders a value as JSON for an output that other jobs read. The runner drops an output of a job
// in which it finds a secret, and somebody's secret may be a word such as "backend". So every second letter and digit of
// each text, and with keys of each key too, is written as an escape, which readers of JSON take for the letter itself,
// and a number such as a port with an exponent.
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#masking-a-value-in-a-log
func MaskProof(v any, keys bool) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("writing outputs: %w", err)
	}
	var b strings.Builder
	for rest := string(data); rest != ""; {
		text, after := cutText(rest)
		if text == "" {
			n := max(len(number.FindString(rest)), 1)
			b.WriteString(spread(rest[:n]))
			rest = rest[n:]
			continue
		}
		if rest = after; keys || !strings.HasPrefix(after, ":") {
			text = escape(text)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// number is one of JSON's.
var number = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?`)

// spread writes a whole number of several digits in another way, which is the same number: 3001 as 3.001e3.
func spread(text string) string {
	if len(text) < 2 || strings.Trim(text, "0123456789") != "" {
		return text
	}
	return fmt.Sprintf("%s.%se%d", text[:1], text[1:], len(text)-1)
}

// cutText cuts a JSON text with its quotes off; empty where s does not begin with one.
func cutText(s string) (text, after string) {
	if s[0] != '"' {
		return "", s
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++ // what follows does not end the text
		case '"':
			return s[:i+1], s[i+1:]
		}
	}
	return "", s // json.Marshal leaves no text open
}

func escape(text string) string {
	var b strings.Builder
	plain := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && text[i+1] == 'u':
			b.WriteString(text[i : i+6])
			i += 5
		case c == '\\':
			b.WriteString(text[i : i+2])
			i++
		case isWord(c):
			if plain = !plain; plain {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, `\u%04x`, c)
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
