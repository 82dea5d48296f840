package service

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/package-url/packageurl-go"
	"go.yaml.in/yaml/v3"
)

// An Exception lets findings pass for a while. What it leaves out holds for all.
type Exception struct {
	ID      string // "CVE-2023-0286"
	Kind    string // one of the kinds of findings
	Service string
	Package string
	Paths   []string // patterns of where in the image
	PURLs   []string // package URLs; what they leave out holds for all, too
	Until   time.Time
	Reason  string
	At      string // file and line
}

// Kinds of findings.
const (
	Vulnerability    = "vulnerability"
	Secret           = "secret"
	Misconfiguration = "misconfiguration"
	Licence          = "licence"
)

const (
	// Day is how a day is written.
	Day    = time.DateOnly
	dayFix = "write the last day on which it holds, as 2027-01-31"
)

func (r reader) day(into *time.Time) field {
	return r.parsed(func(v string) error {
		day, err := time.Parse(Day, v)
		if err != nil {
			return fmt.Errorf("%q is no day", v)
		}
		*into = day
		return nil
	}, dayFix)
}

// exceptions reads a list of exceptions, each of them with its own keys.
func (r reader) exceptions(into *[]Exception, keys func(*Exception) map[string]field, needed ...string) field {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			r.add(n, "write each as `- {id: …}`", "must be a list")
			return
		}
		for _, item := range n.Content {
			e := Exception{At: fmt.Sprintf("%s:%d", r.file, item.Line)}
			r.mapping(item, keys(&e))
			for _, key := range needed {
				if item.Kind == yaml.MappingNode && !hasKey(item, key) {
					r.add(item, "add `"+key+": …`", "an exception has no %s", key)
				}
			}
			*into = append(*into, e)
		}
	}
}

func hasKey(n *yaml.Node, key string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1].Value != ""
		}
	}
	return false
}

// ownExceptions reads those of the configuration file.
func (r reader) ownExceptions(into *[]Exception) field {
	return r.exceptions(into, func(e *Exception) map[string]field {
		e.Kind = Vulnerability
		return map[string]field{"id": r.text(&e.ID), "package": r.text(&e.Package), "service": r.text(&e.Service),
			"until": r.day(&e.Until), "reason": r.text(&e.Reason)}
	}, "id", "until", "reason")
}

// ignoreFiles are taken where none is named, the first that is there.
var ignoreFiles = [...]string{".trivyignore.yaml", ".trivyignore"}

// ignored reads the exceptions that the repository keeps for Trivy. Trivy itself never sees the file.
func (src Sources) ignored(gates *Gates, problems *Problems) {
	names := ignoreFiles[:]
	if asked := gates.IgnoreFile; asked != "" {
		names = []string{asked}
	}
	for _, name := range names {
		data, err := src.ReadFile(name)
		switch {
		case err == nil:
			gates.IgnoreFile = name
			gates.Exceptions = append(gates.Exceptions, readIgnored(name, data, problems)...)
			return
		case gates.IgnoreFile != "" || !errors.Is(err, fs.ErrNotExist):
			problems.Add(name, "check ignore_file in gates.vulnerabilities", "cannot be read: %v", err)
			return
		}
	}
}

func readIgnored(name string, data []byte, problems *Problems) []Exception {
	if ext := path.Ext(name); ext == ".yaml" || ext == ".yml" {
		return readIgnoredYAML(name, data, problems)
	}
	return readIgnoredLines(name, data, problems)
}

// readIgnoredYAML reads a .trivyignore.yaml.
// https://trivy.dev/v0.69/docs/configuration/filtering/#trivyignoreyaml
func readIgnoredYAML(name string, data []byte, problems *Problems) []Exception {
	root, ok := parseYAML(name, data, problems)
	if root == nil || !ok {
		return nil
	}
	var all []Exception
	r := reader{name, problems}
	section := func(kind string) field {
		return r.exceptions(&all, func(e *Exception) map[string]field {
			e.Kind, e.Reason = kind, "listed in "+name
			return map[string]field{"id": r.text(&e.ID), "paths": r.patterns(&e.Paths), "purls": r.purls(&e.PURLs),
				"expired_at": r.day(&e.Until), "statement": r.text(&e.Reason)}
		}, "id", "expired_at")
	}
	r.mapping(root, map[string]field{"vulnerabilities": section(Vulnerability), "misconfigurations": section(Misconfiguration),
		"secrets": section(Secret), "licenses": section(Licence)})
	return all
}

func (r reader) purls(into *[]string) field {
	return func(n *yaml.Node) {
		if r.texts(into)(n); n.Kind != yaml.SequenceNode {
			return
		}
		for i, purl := range *into {
			if _, err := packageurl.FromString(purl); err != nil {
				r.add(n.Content[i], "write it as pkg:npm/minimist", "%q is no package URL: %v", purl, err)
			}
		}
	}
}

// readIgnoredLines reads a .trivyignore: an ID and exp:2027-01-31 on each line. The comment behind or right above says why.
// https://trivy.dev/v0.69/docs/configuration/filtering/#trivyignore
func readIgnoredLines(name string, data []byte, problems *Problems) []Exception {
	var all []Exception
	var above []string
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text, comment, commented := strings.Cut(string(line), "#")
		fields, comment := strings.Fields(text), strings.TrimSpace(comment)
		switch {
		case len(fields) > 0:
			e := Exception{ID: fields[0], At: fmt.Sprintf("%s:%d", name, number), Reason: cmp.Or(comment, strings.Join(above, " "), "listed in "+name)}
			var err error
			if e.Until, err = expiry(fields[1:]); err != nil {
				problems.Add(e.At, "write the last day on which it holds, as exp:2027-01-31", "the exception for %s %v", e.ID, err)
			}
			all = append(all, e)
			above = nil
		case commented:
			above = append(above, comment)
		default:
			above = nil
		}
	}
	return all
}

func expiry(fields []string) (time.Time, error) {
	i := slices.IndexFunc(fields, func(f string) bool { return strings.HasPrefix(f, "exp:") })
	if i < 0 {
		return time.Time{}, errors.New("has no end")
	}
	day, err := time.Parse(Day, strings.TrimPrefix(fields[i], "exp:"))
	if err != nil {
		return day, fmt.Errorf("ends on %q, which is no day", fields[i])
	}
	return day, nil
}

// checkExceptions finds those that are for no service.
func checkExceptions(config Config, problems *Problems) {
	names := serviceNames(config.Services)
	for _, e := range config.Gates.Exceptions {
		if e.Service != "" && len(names) > 0 && !slices.Contains(names, e.Service) {
			problems.Add(e.At, "", "the exception for %s is of service %q, which there is none of%s", e.ID, e.Service, Suggestion(e.Service, names))
		}
	}
}
