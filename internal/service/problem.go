package service

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A Problem is one mistake in what the program was told: where, what, and how to mend it.
type Problem struct {
	Where string // "file:line:column", "--flag", "input foo-bar" or a variable's name
	What  string
	Fix   string // may be empty
}

func (p Problem) String() string {
	if p.Fix == "" {
		return fmt.Sprintf("%s: %s", p.Where, p.What)
	}
	return fmt.Sprintf("%s: %s; %s", p.Where, p.What, p.Fix)
}

var inFile = regexp.MustCompile(`^(.+):([0-9]+):[0-9]+$`)

// Place is the file and the line of the mistake; none where it is not in a file.
func (p Problem) Place() (file string, line int) {
	found := inFile.FindStringSubmatch(p.Where)
	if found == nil {
		return "", 0
	}
	line, _ = strconv.Atoi(found[2])
	return found[1], line
}

// Problems are all the mistakes of a configuration, reported together so that one round mends them.
type Problems []Problem

// Add notes one more mistake.
func (p *Problems) Add(where, fix, format string, args ...any) {
	*p = append(*p, Problem{Where: where, What: fmt.Sprintf(format, args...), Fix: fix})
}

// Err returns p as an error, or nil when there is none.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// ExitCode tells the program's edge that the configuration is at fault.
func (Problems) ExitCode() int { return 2 }
