package action

import (
	"bytes"
	"io"
	"os"
	"testing"
)

func TestColoursWhereTheyAreSeen(t *testing.T) {
	t.Parallel()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminal is to be had: %v", err)
	}
	defer terminal.Close()
	file, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, c := range map[string]struct {
		out     io.Writer
		environ []string
		want    bool
	}{
		"a terminal":                     {terminal, []string{"TERM=xterm"}, true},
		"a terminal, NO_COLOR empty":     {terminal, []string{"NO_COLOR="}, true},
		"a terminal, without colours":    {terminal, []string{"NO_COLOR=1"}, false},
		"a terminal that has none":       {terminal, []string{"TERM=dumb"}, false},
		"a runner's":                     {terminal, []string{"GITHUB_ACTIONS=true"}, false},
		"a file":                         {file, nil, false},
		"something that is no file even": {&bytes.Buffer{}, nil, false},
	} {
		if got := shows(Process{Environ: c.environ}, c.out); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
