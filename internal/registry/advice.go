package registry

import "strings"

// Advice says what to do about a refusal in the words of a registry, or of a program that was refused by one; empty where
// they tell nothing.
// https://docs.github.com/en/packages/learn-github-packages/configuring-a-packages-access-control-and-visibility
func Advice(said string) string {
	said = strings.ToLower(said)
	for _, known := range refusals {
		if strings.Contains(said, known.words) {
			return known.advice
		}
	}
	return ""
}

// refusals are those of ghcr.io, and of tools about it, in lower case, the more telling ones first.
var refusals = [...]struct{ words, advice string }{
	{"permission_denied: write_package", "the package exists, and this repository may not write to it: in the package's settings, under Manage Actions access, add the repository with the role Write"},
	{"permission_denied: create_package", "nobody may create this package with this token: let the organization's package settings allow it, or push the first image by hand and link it to the repository"},
	{"permission_denied: read_package", "this repository may not read the package: in the package's settings, under Manage Actions access, add the repository"},
	{"does not match expected scopes", "the token is a personal one without the scope `write:packages`: give it that, or take `token` out and give the job `packages: write` under `permissions`"},
	{"installation not allowed", "the token may not write packages of the organization: give the job `packages: write` under `permissions`, and see that the organization lets workflows write; a fork's token never may"},
	{"user cannot be authenticated with the token provided", "the token has expired, was revoked, or is a fine-grained one, which ghcr.io does not take: give a classic one, or take `token` out and give the job `packages: write` under `permissions`"},
	{"denied: denied", "the token was refused: give the job `packages: write` under `permissions`, or a valid `registry-token`"},
	{"insufficient_scope", "the token does not reach so far: give the job `packages: write` under `permissions`, or a `registry-token` that may push"},
	{"requested access to the resource is denied", "there is no such image, or the token may not know of it: see that it is OWNER/NAME in lower case, and in the package's settings, under Manage Actions access, that the repository is there"},
	{"name must be lowercase", "registries take no capitals: write the image's name in lower case"},
	{"name_invalid", "the registry takes no such name: write the image as OWNER/NAME, in lower case"},
	{"name_unknown", nameUnknown},
	{"name unknown", nameUnknown},
	{"repository name not known to registry", nameUnknown},
	{"quota exceeded", "the registry has no room left: delete old versions of the packages, or raise the limit"},
	{"toomanyrequests", tooMany},
	{"429 too many requests", tooMany},
	{"<!doctype html", webPage},
	{"<html", webPage},
	{"invalid character '<' looking for beginning of value", webPage},
	{"server gave http response to https client", "the registry speaks plain HTTP: set `plain-http: true`"},
	{"x509: certificate signed by unknown authority", "nobody here knows who vouches for the registry: add its authority's certificate to the machine, and to the builder by `builder-config`"},
	{"unauthorized: ", "the login was refused: give a valid `token`, or `registry-token` and `username` for another registry than ghcr.io"},
	{"403 forbidden", "the registry refused without a word why: run it again, and if it stays so, add the repository with the role Write in the package's settings, under Manage Actions access"},
}

const (
	nameUnknown = "the registry knows no image of that name, or does not tell this token: see that it is OWNER/NAME in lower case, and that it was published"
	tooMany     = "the registry is asked too often: lower `max-parallel`, or re-run the job in some minutes"
	webPage     = "a web page answered in place of the registry: see that `registry` is its address alone, that no proxy is in between, and whether https://www.githubstatus.com tells of an outage"
)
