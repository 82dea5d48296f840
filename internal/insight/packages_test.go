package insight

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInstalls(t *testing.T) {
	t.Parallel()
	type told struct {
		Programs, Manifests string
		Alone               bool
	}
	npm, none := "package.json package-lock.json npm-shrinkwrap.json .npmrc", told{}
	for command, want := range map[string]told{
		"npm ci": {"npm", npm, true},
		"npm ci --omit=dev && npm cache clean --force": {"npm", npm, true},
		"npm ci && npm run build":                      {"npm", npm, false},
		"npm run build":                                none,
		"npm install -g typescript@5":                  {"npm", "", true},
		"npm install ./local":                          {"npm", npm, false},
		"yarn --frozen-lockfile":                       {"yarn", "package.json yarn.lock .yarnrc .yarnrc.yml", true},
		"yarn build":                                   none,
		"pip install --no-cache-dir -r requirements.txt -c pins/constraints.txt": {"pip", "requirements.txt constraints.txt", true},
		"python3 -m pip install flask==3":                                        {"pip", "", true},
		"uv pip install -r requirements.txt":                                     {"pip", "requirements.txt", true},
		"pip install .":                                                          {"pip", "", false},
		"pip install -e .":                                                       {"pip", "", false},
		"poetry install":                                                         {"poetry", "pyproject.toml poetry.lock", false},
		"poetry install --no-interaction --no-root":                              {"poetry", "pyproject.toml poetry.lock", true},
		"go mod download -x":                                                     {"go", "go.mod go.sum go.work go.work.sum", true},
		"go build ./...":                                                         none,
		"cargo fetch":                                                            {"cargo", "Cargo.toml Cargo.lock", false},
		"set -eux; apt-get update && apt-get install -y --no-install-recommends gcc; rm -rf /var/lib/apt/lists/*": {"apt-get", "", true},
		"apk add --no-cache curl": {"apk", "", true},
		"sudo apk add curl":       {"apk", "", true},
		"apk add --virtual .build gcc && make && apk del .build": {"apk", "", false},
		"apt-get install -y $PACKAGES":                           {"apt-get", "", false},
		"apt-get install -y $(cat packages)":                     {"apt-get", "", false},
		"cd web && npm ci":                                       {"npm", npm, false},
		"npm ci --prefix web":                                    {"npm", npm, false},
		"npm install express":                                    {"npm", npm, false},
		"echo npm ci":                                            none,
		"if true; then npm ci; fi":                               {"npm", npm, true},
		"npm ci &&":                                              none, // no shell's command
		"":                                                       none,
	} {
		found, ok := installs(command)
		got := told{Manifests: strings.Join(found.manifests, " "), Alone: ok && found.alone}
		for _, m := range found.managers {
			got.Programs += m.program
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", command, diff)
		}
	}
}

func FuzzInstalls(f *testing.F) {
	f.Add("npm ci && pip install -r")
	f.Add("python -m pip install -r a -e . && yarn\nuv pip\nuv")
	f.Fuzz(func(t *testing.T, command string) {
		if found, ok := installs(command); ok != (len(found.managers) > 0) || ok && !strings.Contains(command, found.managers[0].program[:1]) {
			t.Errorf("%q: %+v", command, found)
		}
	})
}
