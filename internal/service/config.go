package service

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"go.yaml.in/yaml/v3"
)

// Sources are where a configuration comes from. A setting is taken from the first of flag, input,
// file and default that gives it; an empty input is no input.
type Sources struct {
	Flags  map[string]string        // by setting name
	Input  func(name string) string // the action's inputs
	Getenv func(string) string      // follows env:NAME of secret settings
	// ReadFile returns a file of the workspace; the error of a missing one satisfies errors.Is(err, fs.ErrNotExist).
	ReadFile func(name string) ([]byte, error)
	// Defaults fills {{name}} in the defaults of Table.
	Defaults map[string]string
	// Discover finds services where none are written down, without a look at the variables that hold secrets; nil
	// finds none.
	Discover func(secret []string) (Found, error)
	// Peers reads what a service names as its peers, without those variables; nil reads none.
	Peers func(secret []string, s Service) ([]Peer, error)
}

// Load reads and proves a whole configuration. The error is a Problems that lists every mistake.
func Load(src Sources) (Config, error) {
	var problems Problems
	config := Config{Tags: DefaultTags, Gates: DefaultGates(), Clean: DefaultClean(), Deploy: DefaultDeploy()}

	// The file's own name is a setting too, so it is settled before the file is read.
	given := src.given("config")
	config.ConfigFile = cmp.Or(given.text, defaultFile)
	file := readFile(src, config.ConfigFile, given.text != "", &problems)
	if file != nil {
		config.File = config.ConfigFile
	}
	config.From = []string{config.ConfigFile}

	for _, setting := range Table() {
		applySetting(setting, src, file, &config.Settings, &problems)
	}
	file.rest(&config, &problems)
	if (config.Mode == "compose" || config.Mode == "deploy") && config.Compose == nil {
		config.Compose = &Compose{At: config.ConfigFile}
	}
	src.follow(&config, &problems)
	src.ignored(&config.Gates, &problems)
	src.services(file, &config, &problems)
	checkRegistry(config.Settings, &problems)
	completeServices(&config, &problems)
	src.checkNamed(config, &problems)
	checkCompose(&config, &problems)
	src.peers(&config, &problems)
	checkBuilders(config, &problems)
	checkMirrors(config, &problems)
	checkExceptions(config, &problems)
	return config, problems.Err()
}

// Setting reads one setting by itself, as text. What is wrong elsewhere is not its matter.
func (src Sources) Setting(name string) string {
	var elsewhere Problems
	v := src.given(name)
	if v.where == "" {
		file := readFile(src, cmp.Or(src.given("config").text, defaultFile), false, &elsewhere)
		v = file.setting(strings.ReplaceAll(name, "-", "_"), &elsewhere)
	}
	if v.text != "" {
		return v.text
	}
	all := Table()
	return all[slices.IndexFunc(all, func(s Setting) bool { return s.Name == name })].Default
}

// defaultFile is where a configuration is looked for.
const defaultFile = ".github/ghcr-publish.yml"

// services takes the definitions that the input gives, else the file's, else what is found in the repository. An
// input that is no list of definitions names the services to consider instead.
func (src Sources) services(file *document, config *Config, problems *Problems) {
	given := src.given("services")
	if inline := readInline(given, problems); inline != nil {
		inline.services(config, problems)
		return
	}
	if given.text != "" && len(config.Only) > 0 {
		problems.Add(given.where, "name the services in one of the two", "services and only both name some")
	}
	config.Only = append(config.Only, namesIn(given.text)...)
	if file.services(config, problems) {
		return
	}
	src.discover(config, problems)
}

func (src Sources) discover(config *Config, problems *Problems) {
	found, err := Found{}, error(nil)
	if src.Discover != nil {
		found, err = src.Discover(config.SecretEnv)
	}
	config.Services, config.From = found.Services, append(config.From, found.Files...)
	if config.Compose.bare() {
		config.Compose.From = found.Compose // which says how they run
	}
	var wrong Problems
	switch {
	case errors.As(err, &wrong):
		*problems = append(*problems, wrong...)
	case err != nil:
		problems.Add("services", "", "looking for them: %v", err)
	case len(found.Services) == 0:
		problems.Add(cmp.Or(config.File, config.ConfigFile), "write a `services:` list that names each image", "no services are listed, and none are found: there is no bake file, no compose file that builds and no Dockerfile")
	}
	for i := range config.Services {
		config.Services[i].prove(problems)
		config.Services[i].complete()
	}
}

// namesIn reads a list of names, in YAML or with commas or spaces between them.
func namesIn(text string) []string {
	var names []string
	if strings.HasPrefix(text, "[") && yaml.Unmarshal([]byte(text), &names) == nil {
		return names
	}
	return splitList(text)
}

// readInline reads services that an input defines, as the list a configuration file has; nil where it is none.
func readInline(given value, problems *Problems) *document {
	var items []yaml.Node
	if yaml.Unmarshal([]byte(given.text), &items) != nil || !slices.ContainsFunc(items, func(n yaml.Node) bool { return n.Kind == yaml.MappingNode }) {
		return nil
	}
	return readDocument(given.where, []byte("services:\n"+given.text), problems)
}

// A value is a setting's text and where it was found.
type value struct{ text, where string }

func (src Sources) given(setting string) value {
	if v, ok := src.Flags[setting]; ok {
		return value{v, "--" + setting}
	}
	if src.Input != nil {
		if v := strings.TrimSpace(src.Input(setting)); v != "" {
			return value{v, "input " + setting}
		}
	}
	return value{}
}

func applySetting(setting Setting, src Sources, file *document, into *Settings, problems *Problems) {
	v := src.given(setting.Name)
	fromInput := strings.HasPrefix(v.where, "input ")
	if !setting.FlagOnly {
		inFile := file.setting(setting.Key(), problems)
		if setting.Secret && inFile.text != "" && !namesSecret(inFile.text) {
			problems.Add(inFile.where, secretFix, "a secret does not belong here") // also where an input comes before it
			return
		}
		if v.where == "" {
			v = inFile
		}
	}
	if v.where == "" {
		v = value{fillDefault(setting.Default, src.Defaults), "default of " + setting.Name}
		fromInput = true // a default is never a secret typed by somebody
	}
	if v.text == "" && (fromInput || setting.Secret) {
		return
	}
	if setting.Secret && !fromInput {
		secret, err := secretValue(v.text, src.Getenv)
		if err != nil {
			problems.Add(v.where, secretFix, "%v", err)
			return
		}
		if name, ok := strings.CutPrefix(v.text, "env:"); ok {
			into.SecretEnv = append(into.SecretEnv, name)
		}
		v.text = secret
	}
	if len(setting.Allowed) > 0 && !slices.Contains(setting.Allowed, v.text) {
		problems.Add(v.where, "", "%q is none of %s%s", v.text, strings.Join(setting.Allowed, ", "), Suggestion(v.text, setting.Allowed))
		return
	}
	if err := setting.set(into, v.text); err != nil {
		problems.Add(v.where, "", "%v", err)
	}
}

const secretFix = "give it as env:NAME or file:PATH, or as the action's input"

func fillDefault(text string, values map[string]string) string {
	for k, v := range values {
		text = strings.ReplaceAll(text, "{{"+k+"}}", v)
	}
	if strings.HasPrefix(text, "{{") {
		return ""
	}
	return text
}

func checkRegistry(s Settings, problems *Problems) {
	if _, err := name.NewRegistry(s.Registry); err != nil || s.Registry == "" {
		problems.Add("registry", "give a host such as ghcr.io or localhost:5000", "%q is no registry", s.Registry)
	}
	if host, _, _ := strings.Cut(s.MemoryHome, "/"); host != s.Registry && s.MemoryHome != "" {
		problems.Add("memory", "name a repository there", "oci://%s is not on %s, the registry that there is a login for", s.MemoryHome, s.Registry)
	}
}

// completeServices fills in what a service leaves to the defaults and proves what spans services.
func completeServices(config *Config, problems *Problems) {
	seen := map[string]string{}
	for i := range config.Services {
		s := &config.Services[i]
		if s.Name == "" {
			continue // which is noted already
		}
		if s.Image == "" {
			s.Image = s.Name
		}
		s.Image = fullImage(*s, config.Settings, problems)
		if s.Platforms == nil {
			s.Platforms = config.Platforms
		}
		s.BuildArgs = merged(config.Settings.BuildArgs, s.BuildArgs)
		s.Options = s.Options.over(config.Options)
		s.Labels, s.Annotations = merged(config.Labels, s.Labels), merged(config.Annotations, s.Annotations)
		for _, key := range []string{"name " + s.Name, "image " + s.Image} {
			if first, taken := seen[key]; taken {
				problems.Add(s.At, "give each service its own", "%s is used already at %s", key, first)
				break // services of one name have one image too, mostly
			}
			seen[key] = s.At
		}
	}
	checkContexts(config.Services, problems)
	checkDependencies(config.Services, problems)
}

// checkNamed finds services that are to be considered or left out and that there are not.
func (src Sources) checkNamed(config Config, problems *Problems) {
	names := serviceNames(config.Services)
	if len(names) == 0 {
		return // which is noted already
	}
	considered := cmp.Or(src.given("only").where, src.given("services").where)
	for _, named := range []struct {
		where    string
		services []string
	}{{considered, config.Only}, {src.given("skip").where, config.Skip}} {
		for _, wanted := range named.services {
			if !slices.Contains(names, wanted) {
				problems.Add(named.where, Among(config.Services), "there is no service %q%s", wanted, Suggestion(wanted, names))
			}
		}
	}
}

// Among says which services may be named, for whom named one that there is not.
func Among(services []Service) string {
	return "name what there is: " + strings.Join(serviceNames(services), ", ")
}

// merged is one map over another; nil where both are empty.
func merged(under, over map[string]string) map[string]string {
	if len(under) == 0 {
		return over
	}
	all := maps.Clone(under)
	maps.Copy(all, over)
	return all
}

// fullImage completes an image name: "backend" gets registry and owner, "octo/backend" the registry,
// and a name that begins with a host stays. Names are lower case, as registries demand.
func fullImage(s Service, settings Settings, problems *Problems) string {
	image := strings.ToLower(s.Image)
	first, _, nested := strings.Cut(image, "/")
	switch {
	case nested && (strings.ContainsAny(first, ".:") || first == "localhost"):
	case nested:
		image = settings.Registry + "/" + image
	case settings.Owner == "":
		none := Problem{"owner", "there is none: this clone has no origin on GitHub", "give --owner NAME, or set GITHUB_REPOSITORY_OWNER"}
		if !slices.Contains(*problems, none) { // which is told once for all images
			*problems = append(*problems, none)
		}
		return image
	default:
		image = settings.Registry + "/" + settings.Owner + "/" + image
	}
	if ref, err := name.NewRepository(image, name.StrictValidation); err != nil || !imagePath.MatchString(ref.RepositoryStr()) {
		problems.Add(s.At, "use lower-case letters, digits and . _ - between slashes", "%q is no image name", s.Image)
	}
	return image
}

// imagePath is how the OCI distribution specification writes what follows the registry.
var imagePath = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

func serviceNames(services []Service) []string {
	names := make([]string, len(services))
	for i, s := range services {
		names[i] = s.Name
	}
	return names
}

// checkDependencies finds dependencies on nothing and circles among the rest.
func checkDependencies(services []Service, problems *Problems) {
	names := serviceNames(services)
	byName := map[string]Service{}
	for _, s := range services {
		byName[s.Name] = s
		for _, d := range s.DependsOn {
			if !slices.Contains(names, d) {
				problems.Add(s.At, Among(services), "%s depends on %q, which is no service%s", s.Name, d, Suggestion(d, names))
			}
		}
	}
	done := map[string]bool{}
	for _, s := range services {
		if circle := findCircle(s.Name, func(name string) []string { return byName[name].Needs() }, nil, done); circle != nil {
			problems.Add(byName[circle[0]].At, "take one of these dependencies away", "services depend on each other in a circle: %s", strings.Join(circle, " → "))
		}
	}
}

func findCircle(at string, needs func(name string) []string, trail []string, done map[string]bool) []string {
	if i := slices.Index(trail, at); i >= 0 {
		return append(slices.Clone(trail[i:]), at)
	}
	if done[at] {
		return nil
	}
	done[at] = true
	for _, next := range needs(at) {
		if circle := findCircle(next, needs, append(slices.Clone(trail), at), done); circle != nil {
			return circle
		}
	}
	return nil
}

// serviceName is what a service may be called: names become log prefixes, file names and parts of
// code-scanning categories, so they are kept plain.
var serviceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

// insidePath proves that a slash-separated path stays inside the workspace.
func insidePath(p string) (string, error) {
	clean := path.Clean(strings.TrimPrefix(p, "./"))
	if path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("%q leaves the workspace", p)
	}
	return clean, nil
}
