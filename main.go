// Command ghcr-publish publishes the images of a repository with several services.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/org/ghcr-publish/internal/action"
	"github.com/org/ghcr-publish/internal/run"
)

// version is set by the linker in released builds.
var version = ""

// memoryLimit makes the garbage collector work harder when the heap of a plan for very many files nears it. It is no
// hard limit. GOMEMLIMIT, where it is set, comes first.
const memoryLimit = 200 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := action.Main(ctx, action.Process{
		Name: filepath.Base(os.Args[0]), Args: os.Args[1:], Environ: os.Environ(), Dir: dir,
		Stdout: os.Stdout, Stderr: os.Stderr, Run: run.OS, Now: time.Now, Version: buildVersion(),
	})
	stop()
	os.Exit(code)
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
