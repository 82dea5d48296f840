package action

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/service"
)

// settings are those of the table, by name.
func settings() map[string]service.Setting {
	all := map[string]service.Setting{}
	for _, s := range service.Table() {
		all[s.Name] = s
	}
	return all
}

// TestModesOfSettings names modes that there are, and those that the help of a setting speaks of.
func TestModesOfSettings(t *testing.T) {
	t.Parallel()
	all := modeSetting().Allowed
	if got := slices.Sorted(maps.Keys(modes())); !slices.Equal(got, slices.Sorted(slices.Values(all))) {
		t.Errorf("the help tells of %q, and there are %q", got, all)
	}
	for name, s := range settings() {
		for _, mode := range s.Modes {
			if !slices.Contains(all, mode) {
				t.Errorf("%s is heeded by %s, which is no mode", name, mode)
			}
		}
		said, _, _ := strings.Cut(s.Help, ":")
		for _, m := range regexp.MustCompile("`mode: ([a-z]+)`").FindAllStringSubmatch(s.Help, -1) {
			if len(s.Modes) == 0 || !s.Heeds(m[1]) {
				t.Errorf("%s is heeded by %q, and says: %s", name, s.Modes, said)
			}
		}
	}
}

// TestModesThatOneThinksOf names settings of modes that are read, or not, where their names say otherwise.
func TestModesThatOneThinksOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		setting string
		modes   []string
	}{
		{"builder", []string{"all", "plan", "publish", "doctor"}},        // a plan says what would be emulated
		{"builder-config", []string{"all", "plan", "publish", "doctor"}}, // and finds base images by its mirrors
		{"reuse-from", []string{"all", "plan", "promote"}},               // whose verdicts count; rows take the plan's word for it
		{"sbom", []string{"all", "publish"}},
		{"sign", []string{"all", "plan", "finalize", "promote", "doctor"}}, // rows sign nothing, and a plan proves what it uses again
		{"code-scanning", []string{"all", "finalize", "rescan", "promote", "doctor"}},
		{"force-move", []string{"all", "finalize", "promote"}},
	} {
		for _, mode := range modeSetting().Allowed {
			if got := settings()[c.setting].Heeds(mode); got != slices.Contains(c.modes, mode) {
				t.Errorf("%s heeds %s: %v", mode, c.setting, got)
			}
		}
	}
}

// given are the flags in a command.
var given = regexp.MustCompile(` --([a-z-]+)`)

// TestExamplesOfModes give flags that their modes heed.
func TestExamplesOfModes(t *testing.T) {
	t.Parallel()
	for _, mode := range modeSetting().Allowed {
		args := strings.Fields(examples[mode])
		f, err := parseFlags(args)
		if err != nil || f.values["mode"] != mode || f.watch && mode != watchedMode {
			t.Errorf("%s: %q, %v", mode, args, err)
		}
		for name := range f.values {
			if !settings()[name].Heeds(mode) {
				t.Errorf("%s does not heed %s", mode, name)
			}
		}
	}
}

// TestModesHeedWhatTheyAreGiven looks at the commands of documents and of scripts that are done well: what a mode is given there it heeds.
func TestModesHeedWhatTheyAreGiven(t *testing.T) {
	t.Parallel()
	commands, seen := regexp.MustCompile("(?m)^(?:exits [03] |exec |    )?ghcr-publish ([a-z]+)( .*)?$"), 0
	for _, pattern := range []string{"../../testdata/script/*.txtar", "../../README.md", "../../.github/docs/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, command := range commands.FindAllStringSubmatch(string(text), -1) {
				if _, mode := modes()[command[1]]; !mode {
					continue // init and memory have flags of their own
				}
				for _, flag := range given.FindAllStringSubmatch(command[2], -1) {
					if s, known := settings()[flag[1]]; known {
						seen++
						if !s.Heeds(command[1]) && filepath.Base(file) != "comment.txtar" { // in which some do not
							t.Errorf("%s: %s, which is not said to heed --%s", filepath.Base(file), command[0], s.Name)
						}
					}
				}
			}
		}
	}
	if seen < 300 {
		t.Errorf("only %d flags were looked at", seen)
	}
}

// TestHelpOfModes lists what a mode heeds, and nothing else.
func TestHelpOfModes(t *testing.T) {
	t.Parallel()
	for _, mode := range modeSetting().Allowed {
		told := map[string]bool{}
		for _, m := range regexp.MustCompile(`(?m)^  --([a-z-]+) `).FindAllStringSubmatch(help(mode), -1) {
			told[m[1]] = true
		}
		for name, s := range settings() {
			if want := s.Heeds(mode) && name != "mode"; told[name] != want {
				t.Errorf("help of %s: %s is told: %v", mode, name, told[name])
			}
		}
		if told["watch"] != (mode == watchedMode) {
			t.Errorf("help of %s: --watch is told: %v", mode, told["watch"])
		}
	}
	if text := help("dance"); text != help("") || !strings.Contains(text, "  --confirm ") {
		t.Error("what is no mode has no help of all")
	}
}
