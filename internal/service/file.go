package service

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"github.com/bmatcuk/doublestar/v4"
	"github.com/docker/go-units"
	"go.yaml.in/yaml/v3"
)

// A document is the configuration file, read key by key so that every mistake has its line and
// column. A nil document is a file that is not there: it gives nothing.
type document struct {
	name   string
	broken bool                  // what it gives is unknown: it cannot be read
	keys   map[string]*yaml.Node // top-level values
}

func readFile(src Sources, file string, asked bool, problems *Problems) *document {
	data, err := src.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		return nil
	}
	if err != nil {
		problems.Add(file, "check the name, or leave config out", "cannot be read: %v", err)
		return &document{name: file, broken: true}
	}
	return readDocument(file, data, problems)
}

func readDocument(file string, data []byte, problems *Problems) *document {
	d := &document{name: file, keys: map[string]*yaml.Node{}}
	root, ok := parseYAML(file, data, problems)
	if d.broken = !ok; root != nil {
		d.readTop(root, problems)
	}
	return d
}

// parseYAML returns the top of the one document that there is to be; nil for an empty one. It is not ok where the file is ill-formed.
func parseYAML(file string, data []byte, problems *Problems) (top *yaml.Node, ok bool) {
	var root, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	err := decoder.Decode(&root)
	if err == nil {
		err = decoder.Decode(&more)
	}
	if err == nil {
		reader{file, problems}.add(&more, "keep one", "there is more than one YAML document")
	} else if !errors.Is(err, io.EOF) {
		where, what := syntaxError(file, err)
		problems.Add(where, "", "%s", what)
		return nil, false
	}
	if len(root.Content) == 0 {
		return nil, true
	}
	resolve(&root)
	return root.Content[0], true
}

// syntaxError says where the YAML is ill-formed, as far as the parser tells.
func syntaxError(file string, err error) (where, what string) {
	what = strings.TrimPrefix(err.Error(), "yaml: ")
	if numbered, ok := strings.CutPrefix(what, "line "); ok {
		if line, rest, ok := strings.Cut(numbered, ": "); ok {
			return file + ":" + line, rest
		}
	}
	return file, what
}

// resolve puts what an alias stands for in its place.
func resolve(n *yaml.Node) {
	for i, child := range n.Content {
		if child.Kind == yaml.AliasNode {
			n.Content[i] = child.Alias
			continue
		}
		resolve(child)
	}
}

func (d *document) readTop(node *yaml.Node, problems *Problems) {
	known := []string{"services", "defaults", "tags", "flavor", "labels", "annotations", "gates", "builders", "mirrors", "compose", "deploy", "clean"}
	for _, s := range Table() {
		if !s.FlagOnly {
			known = append(known, s.Key())
		}
	}
	r := reader{d.name, problems}
	if node.Kind != yaml.MappingNode {
		d.broken = true
		r.add(node, "begin with `services:`", "the file must be a mapping")
		return
	}
	for key, value := range r.pairs(node) {
		if !slices.Contains(known, key.Value) {
			r.unknown(key, known)
			continue
		}
		d.keys[key.Value] = value
	}
}

// setting returns the text of a setting's key; a list is joined by commas.
func (d *document) setting(key string, problems *Problems) value {
	if d == nil || d.keys[key] == nil {
		return value{}
	}
	node := d.keys[key]
	r := reader{d.name, problems}
	if node.Kind == yaml.SequenceNode {
		var items []string
		r.texts(&items)(node)
		return value{strings.Join(items, "\n"), r.where(node)}
	}
	if node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
		r.add(node, "", "must be a text")
		return value{}
	}
	return value{node.Value, r.where(node)}
}

// services reads the list of services; false where the document has none.
func (d *document) services(config *Config, problems *Problems) bool {
	if d == nil || !d.broken && d.keys["services"] == nil {
		return false
	}
	if d.broken {
		return true // what it would have given is not known
	}
	r := reader{d.name, problems}
	node := d.keys["services"]
	if node.Kind != yaml.SequenceNode || len(node.Content) == 0 {
		r.add(node, "write each service as `- name: …`", "services must be a list of at least one")
		return true
	}
	for _, item := range node.Content {
		config.Services = append(config.Services, r.service(item))
	}
	return true
}

func (d *document) rest(config *Config, problems *Problems) {
	if d == nil {
		return
	}
	r := reader{d.name, problems}
	if node := d.keys["tags"]; node != nil {
		r.lines(&config.Tags)(node)
	}
	if node := d.keys["flavor"]; node != nil {
		r.lines(&config.Flavor)(node)
	}
	if node := d.keys["labels"]; node != nil {
		r.textMap(&config.Labels)(node)
	}
	if node := d.keys["annotations"]; node != nil {
		r.textMap(&config.Annotations)(node)
	}
	if node := d.keys["gates"]; node != nil {
		r.gates(node, &config.Gates)
	}
	if node := d.keys["clean"]; node != nil {
		r.clean(node, &config.Clean)
	}
	if node := d.keys["builders"]; node != nil {
		r.builders(&config.Builders)(node)
	}
	if node := d.keys["mirrors"]; node != nil {
		r.mirrors(&config.Mirrors)(node)
	}
	if node := d.keys["compose"]; node != nil {
		r.compose(&config.Compose)(node)
	}
	if node := d.keys["deploy"]; node != nil {
		r.deploy(node, &config.Deploy)
	}
	if node := d.keys["defaults"]; node != nil {
		var args map[string]string
		fields := r.options(&config.Options)
		fields["build_args"] = r.textMap(&args)
		r.mapping(node, fields)
		config.BuildArgs = merged(args, config.BuildArgs) // those of the input come first
	}
}

// A reader turns YAML nodes into values and notes what does not fit.
type reader struct {
	file     string
	problems *Problems
}

type field = func(*yaml.Node)

func (r reader) where(n *yaml.Node) string { return fmt.Sprintf("%s:%d:%d", r.file, n.Line, n.Column) }

func (r reader) add(n *yaml.Node, fix, format string, args ...any) {
	r.problems.Add(r.where(n), fix, format, args...)
}

func (r reader) unknown(key *yaml.Node, known []string) {
	near, fix := Suggestion(key.Value, known), ""
	if near == "" {
		fix = "the keys here are " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
	}
	r.add(key, fix, "unknown key %q%s", key.Value, near)
}

// pairs yields a mapping's keys and values, noting keys that come twice.
func (r reader) pairs(n *yaml.Node) func(func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		seen := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if seen[key.Value] {
				r.add(key, "", "key %q comes twice", key.Value)
			}
			seen[key.Value] = true
			if !yield(key, value) {
				return
			}
		}
	}
}

// mostNamed are most keys that a message has room for.
const mostNamed = 10

// mapping reads a mapping whose keys are all known.
func (r reader) mapping(n *yaml.Node, fields map[string]field) {
	known := slices.Sorted(maps.Keys(fields))
	if n.Kind != yaml.MappingNode {
		fix := "write it as {KEY: value}"
		if len(known) <= mostNamed {
			fix += ", of the keys " + strings.Join(known, ", ")
		}
		r.add(n, fix, "must be a mapping")
		return
	}
	for key, value := range r.pairs(n) {
		if f, ok := fields[key.Value]; ok {
			f(value)
			continue
		}
		r.unknown(key, known)
	}
}

func (r reader) text(into *string) field {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
			r.add(n, "", "must be a text")
			return
		}
		*into = n.Value
	}
}

// parsed reads a text through a function that proves it.
func (r reader) parsed(parse func(string) error, fix string) field {
	return func(n *yaml.Node) {
		var v string
		if r.text(&v)(n); v == "" {
			return
		}
		if err := parse(v); err != nil {
			r.add(n, fix, "%v", err)
		}
	}
}

func (r reader) texts(into *[]string) field {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			r.add(n, "write it as [a, b]", "must be a list")
			return
		}
		*into = []string{}
		for _, item := range n.Content {
			var v string
			r.text(&v)(item)
			*into = append(*into, v)
		}
	}
}

// lines reads a text of many lines, or a list of lines.
func (r reader) lines(into *string) field {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			r.text(into)(n)
			return
		}
		var items []string
		r.texts(&items)(n)
		*into = strings.Join(items, "\n")
	}
}

func (r reader) textMap(into *map[string]string) field {
	return func(n *yaml.Node) {
		if n.Kind != yaml.MappingNode {
			r.add(n, "write it as {KEY: value}", "must be a mapping")
			return
		}
		*into = map[string]string{}
		for key, value := range r.pairs(n) {
			var v string
			r.text(&v)(value)
			(*into)[key.Value] = v
		}
	}
}

func (r reader) boolean(into *bool) field {
	return r.parsed(func(v string) error {
		var s Settings
		if err := boolean(func(s *Settings) *bool { return &s.Force })(&s, v); err != nil {
			return err
		}
		*into = s.Force
		return nil
	}, "")
}

func (r reader) duration(into *time.Duration) field {
	return r.parsed(func(v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d <= 0 {
			return fmt.Errorf("%q is no duration", v)
		}
		*into = d
		return nil
	}, "write it as 30s or 2m")
}

// size reads bytes with decimal units: 1GB is 1,000,000,000.
func (r reader) size(into *int64) field {
	return r.parsed(func(v string) error {
		n, err := units.FromHumanSize(v)
		if err != nil || n < 0 {
			return fmt.Errorf("%q is no size", v)
		}
		*into = n
		return nil
	}, "write it as 500MB or 1GB")
}

// percent reads "10%" as 0.1.
func (r reader) percent(into *float64) field {
	return r.parsed(func(v string) (err error) { *into, err = share(v); return err }, "write it as 10%")
}

func share(percent string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSuffix(percent, "%"), 64)
	if err != nil || !(n > 0 && n <= math.MaxInt64) || !strings.HasSuffix(percent, "%") {
		return 0, fmt.Errorf("%q is no percentage", percent)
	}
	return n / 100, nil
}

// path reads one that stays inside the workspace.
func (r reader) path(into *string) field {
	return r.parsed(func(v string) (err error) { *into, err = insidePath(v); return err }, pathFix)
}

func (r reader) paths(into *[]string) field {
	return func(n *yaml.Node) {
		if r.texts(into)(n); n.Kind != yaml.SequenceNode {
			return
		}
		for i := range *into {
			r.path(&(*into)[i])(n.Content[i])
		}
	}
}

func (r reader) enum(into *string, allowed ...string) field {
	return r.parsed(func(v string) error {
		if !slices.Contains(allowed, v) {
			return fmt.Errorf("%q is none of %s%s", v, strings.Join(allowed, ", "), Suggestion(v, allowed))
		}
		*into = v
		return nil
	}, "")
}

func (r reader) service(n *yaml.Node) Service {
	s := Service{At: r.where(n), Context: "."}
	fields := r.options(&s.Options)
	maps.Copy(fields, map[string]field{
		"name": r.parsed(func(v string) error {
			if s.Name = v; !serviceName.MatchString(v) {
				return fmt.Errorf("%q is no service name", v)
			}
			return nil
		}, nameFix),
		"image": r.text(&s.Image), "context": r.path(&s.Context), "dockerfile": r.path(&s.Dockerfile), "dockerfile_inline": r.text(&s.Inline), "target": r.text(&s.Target),
		"build_args": r.textMap(&s.BuildArgs), "labels": r.textMap(&s.Labels), "annotations": r.textMap(&s.Annotations), "env": r.textMap(&s.Env),
		"platforms": r.platforms(&s.Platforms), "paths": r.patterns(&s.Paths), "depends_on": r.texts(&s.DependsOn),
		"port": r.port(&s.Port), "health_endpoint": r.endpoint(&s.HealthEndpoint),
		"smoke": r.commands(&s.Smoke), "run_once": r.texts(&s.RunOnce), "resources": r.resources(&s.Resources), "expect": r.expectation(&s.Expect), "read_only": r.boolean(&s.ReadOnly), "tmpfs": r.mounts(&s.Tmpfs), "peers": r.texts(&s.PeerNames), "peers_file": r.path(&s.PeersFile), "new_privileges": r.boolean(&s.NewPrivileges), "compose": r.composeService(&s.Compose),
	})
	if n.Kind == yaml.ScalarNode && serviceName.MatchString(n.Value) {
		r.add(n, "write it as `- name: "+n.Value+"`", "must be a mapping")
		return s
	}
	r.mapping(n, fields)
	if s.Name == "" && n.Kind == yaml.MappingNode {
		r.add(n, "add `name: …`", "a service has no name")
	}
	if s.HealthEndpoint != "" && s.Port == 0 {
		r.add(n, "add `port: …`", "service %q has a health_endpoint and no port", s.Name)
	}
	if s.RunOnce != nil && (s.Port != 0 || s.Smoke != nil) {
		r.add(n, "keep run_once for an image that does its work and ends", "service %q has run_once, and with it port or smoke, which need a server", s.Name)
	}
	if s.Inline != "" && s.Dockerfile != "" {
		r.add(n, "keep one", "service %q has a dockerfile and a dockerfile_inline", s.Name)
	}
	s.complete()
	return s
}

// Fits reports what is wrong with a service that has these keys; nil where a configuration may have it.
func Fits(n *yaml.Node) error {
	var problems Problems
	reader{problems: &problems}.service(n)
	return problems.Err()
}

// complete fills in where the Dockerfile is that was not named.
func (s *Service) complete() {
	if s.Dockerfile == "" && s.Inline == "" && s.Context != "" {
		s.Dockerfile = strings.TrimPrefix(s.Context+"/Dockerfile", "./")
	}
}

func (r reader) platforms(into *[]string) field {
	return func(n *yaml.Node) {
		var items []string
		r.texts(&items)(n)
		*into = nil
		for i, item := range items {
			p, err := parsePlatform(item)
			if err != nil {
				r.add(n.Content[i], "", "%v", err)
				continue
			}
			if !slices.Contains(*into, p) {
				*into = append(*into, p)
			}
		}
		if n.Kind == yaml.SequenceNode && len(items) == 0 {
			r.add(n, "leave it out for the default", "platforms must not be empty")
		}
	}
}

func (r reader) patterns(into *[]string) field {
	return func(n *yaml.Node) {
		if r.texts(into)(n); n.Kind != yaml.SequenceNode {
			return
		}
		for i, pattern := range *into {
			if !doublestar.ValidatePattern(pattern) {
				r.add(n.Content[i], "close its brackets", "%q is no pattern", pattern)
			}
		}
	}
}

// mounts reads absolute paths in a container.
func (r reader) mounts(into *[]string) field {
	return func(n *yaml.Node) {
		if r.texts(into)(n); n.Kind != yaml.SequenceNode {
			return
		}
		for i, at := range *into {
			if !strings.HasPrefix(at, "/") || strings.ContainsAny(at, ":\r\n") {
				r.add(n.Content[i], "write it as /tmp", "%q is no folder of the container", at)
			}
		}
	}
}

func (r reader) port(into *int) field {
	return r.parsed(func(v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > math.MaxUint16 {
			return fmt.Errorf("%q is no port", v)
		}
		*into = n
		return nil
	}, "give a number from 1 to 65535")
}

func (r reader) endpoint(into *string) field {
	return r.parsed(func(v string) error {
		if *into = v; !strings.HasPrefix(v, "/") || strings.ContainsAny(v, " \r\n") {
			return fmt.Errorf("%q is no path of a URL", v)
		}
		return nil
	}, "begin it with a slash")
}

func (r reader) commands(into *[][]string) field {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			r.add(n, `write it as [["program", "argument"]]`, "must be a list of commands")
			return
		}
		for _, item := range n.Content {
			var argv []string
			if r.texts(&argv)(item); len(argv) > 0 {
				*into = append(*into, argv)
			}
		}
	}
}

func (r reader) resources(into *Resources) field {
	return func(n *yaml.Node) {
		r.mapping(n, map[string]field{
			"limits": func(n *yaml.Node) {
				r.mapping(n, map[string]field{"memory": r.memory(&into.MemoryLimit), "cpus": r.cores(&into.CPUs), "pids": r.count(&into.Processes)})
			},
			"reservations": func(n *yaml.Node) {
				r.mapping(n, map[string]field{"memory": r.memory(&into.MemoryReservation), "cpus": r.cores(&into.CPUReservation)})
			},
		})
	}
}

// memory reads bytes with binary units, as docker run does: 1G is 1,073,741,824.
func (r reader) memory(into *int64) field {
	return r.parsed(func(v string) error {
		n, err := units.RAMInBytes(v)
		if err != nil || n < 0 {
			return fmt.Errorf("%q is no amount of memory", v)
		}
		*into = n
		return nil
	}, "write it as 512M or 2G")
}

func (r reader) cores(into *float64) field {
	return r.parsed(func(v string) error {
		n, err := strconv.ParseFloat(v, 64)
		if err != nil || !(n > 0 && n <= math.MaxInt16) {
			return fmt.Errorf("%q is no number of cores", v)
		}
		*into = n
		return nil
	}, `write it as "0.5"`)
}

// count reads a number of at least one.
func (r reader) count(into *int64) field {
	return r.parsed(func(v string) error {
		n, err := strconv.ParseInt(v, 10, 32)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is no number of processes", v)
		}
		*into = n
		return nil
	}, "give a whole number, such as 200")
}

// Suggestion names the known word nearest to a misspelt one, as the end of a sentence.
func Suggestion(word string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		d := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(k))
		if d == 2 && swapped(strings.ToLower(word), strings.ToLower(k)) {
			d = 1
		}
		if d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// swapped reports whether two words are the same but for two letters that changed places.
func swapped(a, b string) bool {
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	return len(a) == len(b) && at+1 < len(a) && a[at] == b[at+1] && a[at+1] == b[at] && a[at+2:] == b[at+2:]
}
