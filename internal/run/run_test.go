package run

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestOSReturnsOutput(t *testing.T) {
	t.Parallel()
	got, err := OS(t.Context(), Command{Argv: []string{"/bin/sh", "-c", `printf "%s" "$A"; read x; printf "%s" "$x"`}, Env: []string{"A=1"}, Stdin: strings.NewReader("2\n")})
	if err != nil || string(got) != "12" {
		t.Errorf("OS() = %q, %v; want 12", got, err)
	}
}

func TestOSInheritsNothing(t *testing.T) {
	t.Parallel()
	got, err := OS(t.Context(), Command{Argv: []string{"/usr/bin/env"}})
	if err != nil || len(got) != 0 {
		t.Errorf("the child's environment is %q, %v; want it empty", got, err)
	}
}

func TestOSFailure(t *testing.T) {
	t.Parallel()
	var seen bytes.Buffer
	_, err := OS(t.Context(), Command{Argv: []string{"/bin/sh", "-c", "echo why >&2; exit 7"}, Stderr: &seen})
	var failed *Error
	if !errors.As(err, &failed) || failed.Code != 7 || failed.Stderr != "why\n" {
		t.Fatalf("OS() = %#v; want code 7 and the reason", err)
	}
	if seen.String() != "why\n" {
		t.Errorf("the caller saw %q", seen.String())
	}
	if _, err := OS(t.Context(), Command{Argv: []string{"no-such-program-here"}, Env: []string{"PATH=/bin"}}); !errors.As(err, &failed) || failed.Code != -1 {
		t.Errorf("a missing program gives %#v; want code -1", err)
	}
}

func TestOSEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	// The shell's own child would hold the pipe open for a minute were only the shell stopped.
	_, err := OS(ctx, Command{Argv: []string{"/bin/sh", "-c", "sleep 60 & sleep 60"}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("OS() = %v; want the context's end", err)
	}
}

func TestTailIsBounded(t *testing.T) {
	t.Parallel()
	var kept tail
	for range 10 {
		_, _ = kept.Write(bytes.Repeat([]byte("x"), tailSize))
	}
	_, _ = kept.Write([]byte("end"))
	if got := kept.String(); len(got) != tailSize || !strings.HasSuffix(got, "xend") {
		t.Errorf("kept %d bytes ending %q", len(got), got[len(got)-4:])
	}
}
