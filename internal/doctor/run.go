package doctor

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
)

// configuration tells all mistakes of the files and settings, of contexts and Dockerfiles too.
func configuration(f Facts) []Finding {
	var found []Finding
	for _, m := range f.Mistakes {
		fix := cmp.Or(m.Fix, "write there what the documentation of that setting allows")
		found = append(found, Finding{State: Problem, Where: m.Where, Found: m.What, Fix: fix})
	}
	if len(found) > 0 {
		return found
	}
	return fine(fmt.Sprintf("%d services, as %s says", len(f.Config.Services), cmp.Or(f.Config.File, "the repository")))
}

// event says what started the run, where that decides what it may do.
func event(f Facts) []Finding {
	switch {
	case f.Event.Fork:
		return one(Advice, "event "+f.Event.Name, "the pull request is from a fork, whose token may only read: its images are built and judged, and nothing is pushed",
			"Nothing is to be mended. To publish what it brings, merge it, or push its branch to this repository; a fork's code is never to be built by `pull_request_target`.")
	case f.Event.Name == "pull_request_target":
		return one(Advice, "event "+f.Event.Name, "such a run has the rights of the branch that the pull request is for, also where its code is somebody else's", "on:\n  pull_request:")
	default:
		return fine(f.Event.Name)
	}
}

// dependabot speaks of runs that Dependabot starts: they have a token that may only read, unless the workflow says otherwise, and secrets of their own.
// https://docs.github.com/en/code-security/dependabot/troubleshooting-dependabot/troubleshooting-dependabot-on-github-actions
func dependabot(f Facts) []Finding {
	if f.Event.Actor != "dependabot[bot]" {
		return nil
	}
	found := "Dependabot started the run: its token may only read, unless `permissions` say otherwise, and it is given Dependabot's secrets alone"
	if j, ok := f.Workflow.job(); ok && j.rights != nil {
		return fine("Dependabot started the run, and the workflow says what its token may")
	}
	return one(Advice, "GITHUB_ACTOR", found, permissionLines(f.needs("all"))+"\nSecrets, if it needs any: "+f.repositoryPage("settings/secrets/dependabot"))
}

// server compares where the repository is with where its images go.
// https://docs.github.com/en/packages/working-with-a-github-packages-registry/working-with-the-container-registry
func server(f Facts) []Finding {
	if f.Config.Registry == "docker.pkg.github.com" {
		return one(Problem, "setting registry", "docker.pkg.github.com is no more: images are on ghcr.io", "registry: ghcr.io")
	}
	host := f.serverHost()
	own := registryOf(host)
	if f.Config.RegistryToken != "" || f.Config.Registry == own || !isGitHubs(f.Config.Registry) {
		return fine(f.Config.Registry)
	}
	return one(Problem, "setting registry", fmt.Sprintf("the repository is on %s, and its token is good for nothing on %s", host, f.Config.Registry),
		fmt.Sprintf("registry: %s\nor give a token of %s as `registry-token`", own, f.Config.Registry))
}

// registryOf is where a GitHub keeps images.
func registryOf(host string) string {
	if host == "github.com" {
		return "ghcr.io"
	}
	return "containers." + host
}

func isGitHubs(registry string) bool {
	return registry == "ghcr.io" || strings.HasPrefix(registry, "containers.")
}

func (f Facts) serverHost() string {
	if u, err := url.Parse(f.Event.ServerURL); err == nil && u.Hostname() != "" {
		return strings.ToLower(u.Hostname())
	}
	return "github.com"
}

// repositoryPage is the address of a page of the repository.
func (f Facts) repositoryPage(path string) string {
	return cmp.Or(f.Event.ServerURL, "https://github.com") + "/" + cmp.Or(f.Event.Repository, "OWNER/NAME") + "/" + path
}

// names finds names of images that registries refuse: they take no capitals, and an owner may have some.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
func names(f Facts) []Finding {
	if len(f.Images) == 0 {
		return nil
	}
	if f.Event.Owner == strings.ToLower(f.Event.Owner) && f.Event.Repository == strings.ToLower(f.Event.Repository) {
		return fine(f.Images[0].Name)
	}
	var found []Finding
	for _, line := range f.Workflow.capitals(f.Config.Registry) {
		found = append(found, one(Advice, f.Workflow.at(line), "a step names an image after "+f.Event.Repository+", whose capitals no registry takes", "write "+f.Config.Registry+"/"+f.Config.Owner+"/…, as the images are called:\n"+f.imageList())...)
	}
	if len(found) > 0 {
		return found
	}
	return fine("in lower case: " + f.Images[0].Name)
}

func (f Facts) imageList() string {
	var list []string
	for _, i := range f.Images {
		list = append(list, i.Name)
	}
	return strings.Join(list, "\n")
}

// secrets tells those that builds are to have and that are not there.
func secrets(f Facts) []Finding {
	if len(f.Lacking) == 0 {
		return nil
	}
	var lines strings.Builder
	for _, name := range f.Lacking {
		fmt.Fprintf(&lines, "\n  %s: ${{ secrets.%s }}", name, name)
	}
	return one(Advice, f.Workflow.where(), "builds are to have secrets from variables that are not set: "+strings.Join(f.Lacking, ", "), "env:     # of the step that uses this action"+lines.String()+"\nand the secrets themselves on "+f.repositoryPage("settings/secrets/actions"))
}

// history tells a clone that lacks what changes are found by.
func history(f Facts) []Finding {
	const lines = "- uses: actions/checkout@v6\n  with:\n    fetch-depth: 0"
	switch {
	case !f.Shallow:
		return fine("the clone has all of it")
	case f.Origin.Asked && f.Origin.Err == nil:
		return one(Advice, "the checkout", "the clone is shallow: what of its history is needed is fetched by each run", lines)
	default:
		return one(Problem, "the checkout", fmt.Sprintf("the clone is shallow, and its history cannot be fetched, so everything is built each time: %v", f.Origin.Err), lines)
	}
}

// credentials tells a clone that holds a token. Contexts that would carry it into an image are mistakes of the configuration.
func credentials(f Facts) []Finding {
	if !f.Credential {
		return fine("the clone's configuration holds none")
	}
	return one(Advice, ".git/config", "the checkout left its token in the clone, where every later step can read it", "- uses: actions/checkout@v6\n  with:\n    persist-credentials: false")
}
