package migrate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCommands has builds by commands become services, as far as they can be read.
func TestCommands(t *testing.T) {
	t.Parallel()
	const unread = "docker.yml:8 builds by a command: write down what it builds as a service."
	for title, c := range map[string]struct{ run, want, said string }{
		"plain": {"docker build -t ghcr.io/acme/api:$GITHUB_SHA api\ndocker push ghcr.io/acme/api:$GITHUB_SHA", "api=ghcr.io/acme/api api linux/amd64 map[] map[]", ""},
		"all of it": {`DOCKER_BUILDKIT=1 sudo docker buildx build \
  --push -f "./build/api.dockerfile" --target=run \
  --platform linux/amd64,linux/arm64 -t 'ghcr.io/acme/api:latest' -t ghcr.io/acme/api:${{ github.ref_name }} \
  --build-arg SERVER=api --build-arg "VERSION=${GITHUB_SHA}" --build-arg HOST \
  --secret id=npm,env=NPM_TOKEN --secret id=rc,src=.npmrc --secret id=KEY --cache-from type=gha --label a=b --unknown .`,
			"api=ghcr.io/acme/api . build/api.dockerfile run linux/amd64 linux/arm64 map[SERVER:api] map[KEY:env:KEY npm:env:NPM_TOKEN rc:file:.npmrc]", "the build argument HOST is ${{ env.HOST }}, which is only known when it runs"},
		"two of them, in a row of the matrix": {"for x in 1; do docker build -t ghcr.io/acme/a a && docker build -t ghcr.io/acme/${{ matrix.name }} ${{ matrix.name }}; done\ndocker push x", "a=ghcr.io/acme/a a linux/amd64 map[] map[], b=ghcr.io/acme/b b linux/amd64 map[] map[]", ""},
		"a variable of the step":              {"docker build -t $IMAGE:$TAG --push .", "vote=ghcr.io/acme/vote . linux/amd64 map[] map[]", ""},
		"a variable of the commands":          {"IMAGE=ghcr.io/acme/api\nexport NAME=$IMAGE-$GITHUB_REPOSITORY_OWNER\nTAG=x docker build -t \"$NAME:$TAG\" --push .", "api-octo=ghcr.io/acme/api-octo . linux/amd64 map[] map[]", ""},
		"a variable that is set twice":        {"if x; then IMAGE=ghcr.io/acme/a; else IMAGE=ghcr.io/acme/b; fi\ndocker build -t $IMAGE --push a", "a=a a linux/amd64 map[] map[]", "the image's name is \"${{ shell.IMAGE }}\""},
		"a variable of several words":         {"ARGS='--build-arg A=1'\ndocker build $ARGS -t ghcr.io/acme/api --push api", "", unread},
		"a list of variables":                 {"ARGS=(--build-arg A=1)\ndocker build \"${ARGS[@]}\" -t ghcr.io/acme/api --push api", "", unread},
		"a loop":                              {"for IMAGE in a b; do docker build -t ghcr.io/acme/$IMAGE --push $IMAGE; done", "", unread},
		"another folder":                      {"cd services\n(cd api && docker build -t ghcr.io/acme/api --push .)\ncd ./web && docker build -f Dockerfile.prod -t ghcr.io/acme/web --push .", "api=ghcr.io/acme/api services/api linux/amd64 map[] map[], web=ghcr.io/acme/web services/web services/web/Dockerfile.prod linux/amd64 map[] map[]", ""},
		"a folder and back":                   {"cd api\ndocker build -t ghcr.io/acme/api --push .\ncd -\ndocker build -t ghcr.io/acme/web --push web", "api=ghcr.io/acme/api api linux/amd64 map[] map[]", unread},
		"a folder up":                         {"cd api\ncd ../web\ndocker build -t ghcr.io/acme/web --push .", "web=ghcr.io/acme/web web linux/amd64 map[] map[]", ""},
		"a folder outside":                    {"cd ../other\ndocker build -t ghcr.io/acme/web --push .", "", unread},
		"a stack of folders":                  {"pushd api\ndocker build -t ghcr.io/acme/api --push .", "", unread},
		"a folder of a variable":              {"cd $HOME\ndocker build -t ghcr.io/acme/api --push .", "", unread},
		"a context of a command":              {"docker build -t ghcr.io/acme/api --push $(pwd)", "", unread},
		"standard input":                      {"docker build -t ghcr.io/acme/api --push - < Dockerfile", "", unread},
		"a bake file":                         {"docker buildx bake --push", "", unread},
		"compose":                             {"docker compose build\ndocker compose push", "", unread},
		"no shell":                            {"docker build -t x . ${{{ push\ndocker push x", "", unread},
		"what is not pushed":                  {"docker build -t ghcr.io/acme/api api && docker run ghcr.io/acme/api", "", ""},
		"a text about it":                     {"echo docker build -t x .\ndocker push x", "", unread},
	} {
		r := readAll(t, `
on: push
concurrency: x
jobs:
  build:
    strategy: {matrix: {name: [b]}}
    steps:
      - run: |
          `+strings.ReplaceAll(c.run, "\n", "\n          ")+`
        env: {IMAGE: ghcr.io/acme/vote}
`)
		left := strings.Join(r.Left, "\n")
		if diff := cmp.Diff(c.want, strings.Join(described(r), ", ")); diff != "" || !strings.Contains(left, c.said) || c.said == "" && strings.Contains(left, "by a command") {
			t.Errorf("%s: left\n%s\n(-want +got):\n%s", title, left, diff)
		}
	}
}

// TestCommandsInFolders are read from there.
func TestCommandsInFolders(t *testing.T) {
	t.Parallel()
	r := readAll(t, `
on: push
concurrency: x
jobs:
  build:
    defaults: {run: {working-directory: services}}
    steps:
      - run: docker build -t ghcr.io/acme/all --push .
      - {run: docker build -f Dockerfile.prod -t ghcr.io/acme/api --push ./src, working-directory: services/api}
`)
	if diff := cmp.Diff([]string{"all=ghcr.io/acme/all services linux/amd64 map[] map[]", "api=ghcr.io/acme/api services/api/src services/api/Dockerfile.prod linux/amd64 map[] map[]"}, described(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
