package lab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/org/ghcr-publish/internal/run"
)

func TestBounds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status string
		want   bool
	}{
		"all":      {"Name:\tx\nCapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\n", true},
		"but one":  {"CapBnd:\t000001fffeffffff\nCapAmb:\t0000000000000000\n", false},
		"unsaid":   {"Name:\tx\n", true},
		"unlikely": {"CapBnd:\tall of them\n", true},
	} {
		if got := bounds(c.status, capSysResource); got != c.want {
			t.Errorf("%s: bounds() = %t", name, got)
		}
	}
}

// The shim is run for real, before a runc that only repeats its arguments.
func TestShimTakesOneCapabilityOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ before, after string }{
		"first":  {`["CAP_SYS_RESOURCE","CAP_CHOWN"]`, `["CAP_CHOWN"]`},
		"middle": {`["CAP_KILL","CAP_SYS_RESOURCE","CAP_CHOWN"]`, `["CAP_KILL","CAP_CHOWN"]`},
		"last":   {`["CAP_CHOWN","CAP_SYS_RESOURCE"]`, `["CAP_CHOWN"]`},
		"only":   {`["CAP_SYS_RESOURCE"]`, `[]`},
		"twice":  {`{"bounding":["CAP_CHOWN","CAP_SYS_RESOURCE"],"effective":["CAP_SYS_RESOURCE","CAP_CHOWN"]}`, `{"bounding":["CAP_CHOWN"],"effective":["CAP_CHOWN"]}`},
		"none":   {`["CAP_SYS_ADMIN"]`, `["CAP_SYS_ADMIN"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "shim"), shim)
			write(t, filepath.Join(dir, "runc"), "#!/bin/sh\necho \"$@\"\n")
			config, process := filepath.Join(dir, "config.json"), filepath.Join(dir, "process.json")
			write(t, config, c.before)
			write(t, process, c.before)
			for _, args := range [][]string{{"create", "--bundle", dir, "id"}, {"exec", "-p", process, "id"}} {
				out, err := run.OS(t.Context(), run.Command{
					Argv: append([]string{"/bin/sh", filepath.Join(dir, "shim")}, args...),
					Env:  []string{"PATH=" + dir + ":" + os.Getenv("PATH")},
				})
				if want := args[0] + " " + args[1] + " " + args[2] + " id\n"; err != nil || string(out) != want {
					t.Errorf("runc got %q (%v), want %q", out, err, want)
				}
			}
			for _, path := range []string{config, process} {
				if got, _ := os.ReadFile(path); string(got) != c.after {
					t.Errorf("%s = %s, want %s", filepath.Base(path), got, c.after)
				}
			}
		})
	}
}

func TestConfigureShimKeepsTheRest(t *testing.T) {
	t.Parallel()
	shimmed := map[string]any{"path": shimPath}
	for name, c := range map[string]struct {
		before string
		want   map[string]any
	}{
		"no file": {"", map[string]any{"default-runtime": "shim", "runtimes": map[string]any{"shim": shimmed}}},
		"others": {`{"debug":true,"runtimes":{"other":{"path":"/x"}}}`, map[string]any{
			"debug": true, "default-runtime": "shim",
			"runtimes": map[string]any{"other": map[string]any{"path": "/x"}, "shim": shimmed},
		}},
	} {
		path := filepath.Join(t.TempDir(), "docker", "daemon.json")
		if c.before != "" {
			if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, path, c.before)
		}
		if err := configureShim(path); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		data, _ := os.ReadFile(path)
		var got map[string]any
		if err := json.Unmarshal(data, &got); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: the configuration is %s (%v)", name, data, err)
		}
	}
}

func TestConfigureShimLeavesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "daemon.json")
	write(t, path, "{ not json")
	if err := configureShim(path); err == nil {
		t.Error("a broken configuration was overwritten")
	}
}
