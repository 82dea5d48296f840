package actions

import "strings"

// A colour is what a terminal is told to show a line in: the number of a graphic rendition.
// https://ecma-international.org/publications-and-standards/standards/ecma-48/
type colour string

const (
	none   colour = ""
	bold   colour = "1"
	faint  colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	cyan   colour = "36"
)

// tint shows a line in the colour of the mark that it begins with, or else in its own.
func (c colour) tint(line string) string {
	for _, m := range [...]struct {
		mark string
		colour
	}{{"✅", green}, {"❌", red}, {"⚠️", yellow}, {"… ", faint}, {"error: ", red}, {"warning: ", yellow}, {"notice: ", cyan}} {
		if strings.HasPrefix(line, m.mark) {
			c = m.colour
		}
	}
	if c == none || line == "" {
		return line
	}
	return "\x1b[" + string(c) + "m" + line + "\x1b[0m"
}
