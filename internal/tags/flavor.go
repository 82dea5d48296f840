package tags

import (
	"fmt"
	"slices"
	"strings"
)

// A Flavor is what holds for all rules.
type Flavor struct {
	Latest                     string // "auto", "true" or "false": whether the tag latest comes along
	Prefix, Suffix             string // of every rule that has none of its own
	PrefixLatest, SuffixLatest bool   // whether latest gets them, too
}

// ParseFlavor reads docker/metadata-action's flavor, one entry a line.
// https://github.com/docker/metadata-action#flavor-input
func ParseFlavor(text string) (Flavor, []error) {
	f := Flavor{Latest: "auto"}
	var mistakes []error
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := f.read(line); err != nil {
			mistakes = append(mistakes, fmt.Errorf("flavor %d, %q: %w", i+1, line, err))
		}
	}
	return f, mistakes
}

func (f *Flavor) read(line string) error {
	fields, err := split(line)
	if err != nil {
		return err
	}
	of := "" // what onlatest is about: what comes before it
	for _, field := range fields {
		key, v, found := strings.Cut(field, "=")
		key, v = strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(v)
		switch {
		case !found:
			return fmt.Errorf("%q is not of the form key=value", field)
		case key == "latest" && slices.Contains([]string{"auto", "true", "false"}, v):
			f.Latest = v
		case key == "prefix":
			f.Prefix, of = v, key
		case key == "suffix":
			f.Suffix, of = v, key
		case key == "onlatest" && of == "prefix" && isBool(v):
			f.PrefixLatest = v == "true"
		case key == "onlatest" && of == "suffix" && isBool(v):
			f.SuffixLatest = v == "true"
		case slices.Contains([]string{"latest", "onlatest"}, key):
			return fmt.Errorf("%q is not possible here", field)
		default:
			return fmt.Errorf("there is no key %q; there are latest, prefix, suffix and onlatest", key)
		}
	}
	for _, affix := range []string{f.Prefix, f.Suffix} {
		if err := checkTemplate(affix, globals); err != nil {
			return err
		}
	}
	return nil
}

func isBool(v string) bool { return v == "true" || v == "false" }

// latest is the name of that tag, before it is made a valid one.
func (f Flavor) latest(e Event) string {
	name := "latest"
	if f.PrefixLatest {
		name = e.expand(f.Prefix) + name
	}
	if f.SuffixLatest {
		name += e.expand(f.Suffix)
	}
	return name
}
