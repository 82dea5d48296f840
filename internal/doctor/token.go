package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/registry"
)

// token says whether there is one. An input that is empty is taken for none.
func token(f Facts) []Finding {
	switch {
	case f.Unlogged && f.Pushes:
		return one(Problem, "the token of gh", "GitHub's API gets it and "+f.Config.Registry+" does not, and nothing can be pushed without a login", unlogged)
	case f.Unlogged:
		return one(Advice, "the token of gh", "GitHub's API gets it and "+f.Config.Registry+" does not: only images that are public can be read", unlogged)
	case f.Config.Token != "":
		return fine("there is one")
	case f.OnRunner:
		return one(Problem, "input token", "there is none: the secret that it is taken from does not exist, or is not given to this run", "take `token` out of `with`, or write\nwith:\n  token: ${{ github.token }}")
	case f.Pushes && f.Config.RegistryToken == "":
		return one(Problem, "setting token", "there is none, and nothing can be pushed without", "gh auth login --scopes write:packages\nor ghcr-publish all --token env:GITHUB_TOKEN")
	default:
		return one(Advice, "setting token", "there is none: only what is public can be read", "gh auth login --scopes read:packages\nor ghcr-publish doctor --token env:GITHUB_TOKEN")
	}
}

// unlogged is how a registry gets a login where gh's token is not for it.
const unlogged = "gh auth refresh --scopes write:packages, where the registry is ghcr.io and the configuration lists no builders\nor ghcr-publish all --registry-token env:REGISTRY_TOKEN"

// contents says whether the API knows the token, and lets it read the repository.
func contents(f Facts) []Finding {
	said := fmt.Sprint(f.Contents.Err)
	switch status := github.Status(f.Contents.Err); {
	case !f.Contents.Asked:
		return nil
	case f.Contents.Err == nil, status == http.StatusUnprocessableEntity: // there is no such branch
		return fine("the token may read the repository")
	case status == http.StatusUnauthorized:
		return one(Problem, "input token", "GitHub does not know the token, which may have expired: "+said, "take `token` out of `with`, or put a valid one into its secret: "+f.repositoryPage("settings/secrets/actions"))
	case status == http.StatusForbidden, status == http.StatusNotFound:
		return one(Problem, f.Workflow.where(), "the token may not read the repository: "+said, "permissions:\n  contents: read")
	default:
		return one(Unknown, f.Event.APIURL, "GitHub's API gave no answer: "+said, "see https://www.githubstatus.com, and whether the runner reaches "+f.Event.APIURL)
	}
}

// reach says whether the registry answers at all.
func reach(f Facts) []Finding {
	switch {
	case !f.Clock.Asked:
		return nil
	case !f.away():
		return fine(f.Config.Registry + " answers")
	case f.Pushes:
		return one(Problem, "setting registry", f.Clock.Err.Error(), awayFix)
	default:
		return one(Unknown, "setting registry", "nothing is known of the images: "+f.Clock.Err.Error(), awayFix)
	}
}

const awayFix = "see that `registry` is the registry's address, that the machine reaches it, by HTTPS_PROXY where a proxy is in between, and whether https://www.githubstatus.com tells of an outage"

// away reports whether no connection to the registry could be made.
func (f Facts) away() bool {
	var failed *net.OpError
	return errors.As(f.Clock.Err, &failed)
}

// writing says of each image whether it can be pushed: an upload was begun and cancelled.
func writing(f Facts) []Finding {
	switch {
	case !f.Pushes:
		return fine("this run pushes nothing")
	case f.away():
		return nil
	}
	var found []Finding
	for _, image := range f.Images {
		switch {
		case !image.Write.Asked:
			found = append(found, one(Unknown, image.Name, image.Name+" is not on "+f.Config.Registry+", and the login is for that alone", "docker login, and docker push an image there")...)
		case image.Write.Err == nil:
			found = append(found, fine(image.Name+" can be pushed")...)
		default:
			found = append(found, one(Problem, image.Name, fmt.Sprintf("%s cannot be pushed: %v", image.Name, image.Write.Err), f.writingFix(image))...)
		}
	}
	return found
}

// Cleans reports whether anything cleans up the images' packages: runs that publish, or a job of this workflow.
func (f Facts) Cleans() bool {
	return f.Config.Clean.After || f.Config.Confirm || len(f.Workflow.doing("clean")) > 0
}

// cleaning says whether the token reaches the packages' versions, where something deletes some.
// https://docs.github.com/en/packages/learn-github-packages/about-permissions-for-github-packages
func cleaning(f Facts) []Finding {
	if !f.Cleans() || f.Config.Token == "" {
		return nil
	}
	const another = "a classic personal access token with read:packages and delete:packages"
	if strings.HasPrefix(f.Config.Token, "github_pat_") {
		return one(Problem, "input token", "a fine-grained personal access token neither lists nor deletes versions of packages", "take `token` out of `with`, or put into its secret "+another+": "+f.repositoryPage("settings/secrets/actions"))
	}
	var found []Finding
	for _, image := range f.Images {
		switch {
		case !image.Versions.Asked:
		case image.Versions.Err == nil:
			found = append(found, fine("the versions of "+image.Name+" can be listed")...)
		default:
			found = append(found, one(Problem, image.Name, fmt.Sprintf("the versions of %s cannot be listed, so none can be deleted: %v", image.Name, image.Versions.Err),
				"under Manage Actions access, add the repository with the role Admin:\n"+f.packagePage(image)+"\nor give as `token` "+another)...)
		}
	}
	return found
}

// mirrors says of each copy at another registry whether it can be pushed.
func mirrors(f Facts) []Finding {
	var found []Finding
	for _, c := range f.Mirrors {
		switch {
		case !c.Write.Asked:
		case c.Write.Err == nil:
			found = append(found, fine(c.Name+" can be pushed")...)
		default:
			found = append(found, one(Problem, c.At, fmt.Sprintf("%s cannot be pushed: %v", c.Name, c.Write.Err),
				"give the mirror a login that may write there, and make the repository first where that registry does not do so by itself:\nmirrors:\n  - {image: …, username: NAME, password: env:MIRROR_TOKEN}")...)
		}
	}
	return found
}

func (f Facts) writingFix(image Image) string {
	advice := registry.Advice(image.Write.Err.Error())
	switch {
	case advice == "":
		return awayFix
	case strings.Contains(advice, "package's settings"):
		return advice + ":\n" + f.packagePage(image)
	case strings.Contains(advice, "`permissions`"):
		return advice + "\npermissions:\n  contents: read\n  packages: write"
	default:
		return advice
	}
}

// packagePage is where a package's access and visibility are set; GitHub has no API for either.
// https://docs.github.com/en/packages/learn-github-packages/configuring-a-packages-access-control-and-visibility
func (f Facts) packagePage(image Image) string {
	_, path, _ := strings.Cut(image.Name, "/")
	owner, name, _ := strings.Cut(path, "/")
	page := fmt.Sprintf("%s/packages/container/%s/settings", owner, strings.ReplaceAll(name, "/", "%2F"))
	server := cmp.Or(f.Event.ServerURL, "https://github.com")
	switch f.Event.OwnerKind {
	case "Organization":
		return server + "/orgs/" + page
	case "User":
		return server + "/users/" + page
	default:
		return server + "/orgs/" + page + " (of a user: /users/ instead of /orgs/)"
	}
}

// visibility says who may pull each image. Only of one that is published that can be found out, by asking for it without a login.
func visibility(f Facts) []Finding {
	if f.away() {
		return nil
	}
	var found []Finding
	for _, image := range f.Images {
		found = append(found, f.visible(image)...)
	}
	return found
}

func (f Facts) visible(image Image) []Finding {
	change := "Danger Zone, Change visibility, on " + f.packagePage(image)
	switch {
	case !image.Listed.Asked:
		return nil
	case image.Listed.Err != nil:
		return one(Unknown, image.Name, fmt.Sprintf("the tags of %s cannot be listed: %v", image.Name, image.Listed.Err), cmp.Or(registry.Advice(image.Listed.Err.Error()), "open "+f.packagePage(image)))
	case image.Tag == "":
		return one(Unknown, image.Name, image.Name+" is not published yet; a package begins private, and GitHub tells and sets that by no API", "after the first publish, if everybody is to pull it: "+change)
	case image.Seen.Err != nil:
		return one(Unknown, image.Name, fmt.Sprintf("whether everybody may pull %s cannot be found out: %v", image.Name, image.Seen.Err), "docker logout "+f.Config.Registry+" && docker pull "+image.Name+":"+image.Tag)
	case !image.Public && f.Event.Public:
		return one(Advice, image.Name, image.Name+" is private, and the repository is public: nobody else can pull it", change)
	case image.Public && !f.Event.Public && f.Event.Visibility != "":
		return one(Advice, image.Name, "everybody may pull "+image.Name+", and the repository is "+f.Event.Visibility, "if that is not meant: "+change)
	case image.Public:
		return fine(image.Name + " is public")
	default:
		return fine(image.Name + " is private")
	}
}

// identity says whether the job can sign as its workflow.
// https://docs.github.com/en/actions/reference/security/oidc
func identity(f Facts) []Finding {
	const lines = "permissions:\n  id-token: write"
	switch sign := f.Config.Sign; {
	case sign == "off" || !f.Pushes || !f.OnRunner:
		return nil
	case f.Key && sign != "keyless":
		return fine("the key signs the images")
	case sign == "auto" && f.secret():
		return one(Advice, "setting sign", "nothing will be signed: the repository is "+f.Event.Visibility+", and the public log of signatures would tell everybody of it", "sign_key: env:SIGN_KEY     # a private key in PEM; or\nsign: off")
	case f.Identity:
		return fine("the job's identity signs the images")
	case sign == "keyless":
		return one(Problem, f.Workflow.where(), "the job may not ask for a token of its identity (ACTIONS_ID_TOKEN_REQUEST_URL is not set), which is to sign", lines)
	case sign == "key":
		return nil // a mistake that is told of
	default:
		return one(Advice, f.Workflow.where(), "nothing will be signed: the job may not ask for a token of its identity, and there is no key", lines+"\nor a key as `sign-key`; or, if that is meant,\nsign: off")
	}
}

// scanning says whether code scanning takes what is found. Whether the token may upload GitHub does not tell; the workflow does.
func scanning(f Facts) []Finding {
	switch {
	case !f.Scanning.Asked:
		return nil
	case f.Scanning.Err == nil:
		return fine("it is enabled")
	case !errors.Is(f.Scanning.Err, github.ErrUnavailable):
		return one(Unknown, f.Event.APIURL, f.Scanning.Err.Error(), "open "+f.repositoryPage("security/code-scanning"))
	case strings.Contains(f.Scanning.Err.Error(), "security-events"):
		return one(Advice, f.Workflow.where(), f.Scanning.Err.Error(), "permissions:\n  security-events: write")
	default:
		return one(Advice, f.repositoryPage("settings/security_analysis"), f.Scanning.Err.Error(), "enable it on "+f.repositoryPage("settings/security_analysis")+", or write\ncode_scanning: \"off\"")
	}
}

// layers says what the run may do with the cache of GitHub Actions.
// https://docs.github.com/en/actions/reference/workflows-and-actions/dependency-caching
func layers(f Facts) []Finding {
	grant, known := f.Cache.Grants["gha"]
	switch mode := strings.ToLower(f.CacheMode); {
	case !known:
		return nil
	case mode == "read" || mode == "none" || mode == "write-only":
		return one(Advice, f.Workflow.where(), fmt.Sprintf("the workflow leaves the cache of GitHub Actions %q to the job (ACTIONS_CACHE_MODE): layers and memory are not kept, or not found", mode), "cache-mode: write")
	case f.Config.Cache == "gha" && !grant.Write:
		return one(Advice, "setting cache", "no layers are kept in the cache of GitHub Actions: "+grant.Why, "cache: auto")
	case f.Cache.Crowded != "":
		return one(Advice, f.repositoryPage("actions/caches"), f.Cache.Crowded+", so few layers are kept", "delete entries there, raise the limit on "+f.repositoryPage("settings/actions")+", or write\ncache: registry")
	default:
		return fine("layers are kept as `cache` says")
	}
}

// space says whether the token may ask how full the cache is.
func space(f Facts) []Finding {
	switch {
	case !f.CacheUsage.Asked:
		return nil
	case f.CacheUsage.Err == nil:
		return fine("the token may ask how full the cache is")
	case !strings.Contains(f.CacheUsage.Err.Error(), "actions: read"):
		return one(Unknown, f.Event.APIURL, f.CacheUsage.Err.Error(), "open "+f.repositoryPage("actions/caches"))
	default:
		return one(Advice, f.Workflow.where(), f.CacheUsage.Err.Error(), "permissions:\n  actions: read")
	}
}
