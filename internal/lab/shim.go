package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	shimPath     = "/usr/local/bin/runc-shim"
	engineConfig = "/etc/docker/daemon.json"

	capSysResource = 24
)

// shim stands in front of runc. A privileged container, BuildKit's say, asks for every capability, and
// runc refuses when the machine itself lacks one; the shim takes that one out of the container's specification.
const shim = `#!/bin/sh
# Runs runc without CAP_SYS_RESOURCE, which this machine cannot grant.
previous=""
for argument in "$@"; do
  case "$previous" in
    --bundle|-b) spec="$argument/config.json" ;;
    --process|-p) spec="$argument" ;;
    *) spec="" ;;
  esac
  if [ -n "$spec" ] && [ -f "$spec" ]; then
    sed -i 's/"CAP_SYS_RESOURCE",//g; s/,"CAP_SYS_RESOURCE"//g; s/"CAP_SYS_RESOURCE"//g' "$spec"
  fi
  previous="$argument"
done
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
exec runc "$@"
`

// installShim makes the shim the engine's default runtime where this machine lacks the capability.
// An ordinary machine needs none.
func (s *setup) installShim() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fmt.Errorf("reading this process's capabilities: %w", err)
	}
	if bounds(string(status), capSysResource) {
		return nil
	}
	s.say("putting a shim before runc: this machine cannot grant CAP_SYS_RESOURCE to containers")
	if err := os.WriteFile(shimPath, []byte(shim), 0o755); err != nil {
		return fmt.Errorf("installing the runc shim: %w", err)
	}
	if err := configureShim(engineConfig); err != nil {
		return fmt.Errorf("configuring the runc shim: %w", err)
	}
	return nil
}

// bounds reports whether a process with this /proc/PID/status may ever hold a capability. When
// the kernel does not say, nothing is taken away.
func bounds(status string, capability int) bool {
	for line := range strings.Lines(status) {
		value, found := strings.CutPrefix(line, "CapBnd:")
		if !found {
			continue
		}
		set, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		return err != nil || set>>capability&1 == 1
	}
	return true
}

// configureShim names the shim in the engine's configuration.
func configureShim(path string) error {
	return editConfig(path, func(config map[string]any) {
		runtimes, _ := config["runtimes"].(map[string]any)
		if runtimes == nil {
			runtimes = map[string]any{}
		}
		runtimes["shim"] = map[string]any{"path": shimPath}
		config["runtimes"], config["default-runtime"] = runtimes, "shim"
	})
}

// editConfig changes the engine's configuration and keeps everything else that is there.
func editConfig(path string, edit func(config map[string]any)) error {
	config := map[string]any{}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &config); err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
	}
	edit(config)
	data, err = json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
