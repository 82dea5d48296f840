package registry

import "strings"

// Advice says what to do about a refusal in the words of a registry, or of a program that was refused by one; empty where
// they tell nothing.
// https://docs.github.com/en/packages/learn-github-packages/configuring-a-packages-access-control-and-visibility
func Advice(said string) string {
	for _, known := range refusals {
		if strings.Contains(said, known.words) {
			return known.advice
		}
	}
	return ""
}

// refusals are those of ghcr.io, the more telling ones first.
var refusals = [...]struct{ words, advice string }{
	{"permission_denied: write_package", "the package exists, and this repository may not write to it: in the package's settings, under Manage Actions access, add the repository with the role Write"},
	{"permission_denied: create_package", "nobody may create this package with this token: let the organization's package settings allow it, or push the first image by hand and link it to the repository"},
	{"permission_denied: read_package", "this repository may not read the package: in the package's settings, under Manage Actions access, add the repository"},
	{"installation not allowed", "the token may not write packages of the organization: give the job `packages: write` under `permissions`, and see that the organization lets workflows write; a fork's token never may"},
	{"denied: denied", "the token was refused: give the job `packages: write` under `permissions`, or a valid `registry-token`"},
	{"UNAUTHORIZED: ", "the login was refused: give a valid `token`, or `registry-token` and `username` for another registry than ghcr.io"},
	{"quota exceeded", "the registry has no room left: delete old versions of the packages, or raise the limit"},
}
