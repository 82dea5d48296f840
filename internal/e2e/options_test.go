package e2e

import (
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/sample"
)

const secretValue = "npm_e2e0123456789abcdef"

// told is a service whose Dockerfile fails unless the build was told everything.
const told = `platforms: [linux/amd64, linux/arm64]
defaults:
  secrets: {npm: env:NPM_TOKEN}
  extra_hosts: {db.example: 10.1.2.3}
services:
  - name: auth
    image: prompt-card-auth
    context: auth
    port: 8005
    health_endpoint: /auth/health
    contexts: {shared: shared}
    network: host
    ulimits: {nofile: "1234:2345"}
    shm_size: 32M
    no_cache_filters: [build]
    dockerfile_inline: |
      # syntax=docker/dockerfile:1
      FROM busybox AS build
      COPY --from=shared . /shared
      COPY www /www
      RUN --mount=type=secret,id=npm test "$(cat /run/secrets/npm)" = SECRET
      RUN grep -q '10.1.2.3.*db.example' /etc/hosts
      RUN test "$(ulimit -n)" = 1234 && df -k /dev/shm | grep -q ' 32768 '
      FROM busybox
      COPY --from=build /www /www
      COPY --from=build /shared /www/shared
      USER 65534:65534
      EXPOSE 8005
      STOPSIGNAL SIGKILL
      CMD ["httpd", "-f", "-v", "-p", "8005", "-h", "/www"]
gates: {vulnerabilities: {fail_on: NONE}}
`

// TestOptions has BuildKit do what it is told, with and without a push.
func TestOptions(t *testing.T) {
	w := newWorld(t)
	t.Setenv("NPM_TOKEN", secretValue)
	config := strings.Replace(told, "SECRET", secretValue, 1)
	config = strings.Replace(config, "# syntax=docker/dockerfile:1\n      ", "", 1) // which would have to be fetched
	w.commit("told", map[string]string{".github/ghcr-publish.yml": config})
	o := w.mustPublish(report.ExitDone)
	w.mustPublish(report.ExitDone, "--push", "false", "--force")
	if strings.Contains(strings.ReplaceAll(o.log, "::add-mask::"+secretValue, ""), secretValue) {
		t.Error("the log tells the secret")
	}
	t.Setenv("NPM_TOKEN", "another")
	if o := w.mustPublish(report.ExitFault, "--force"); !strings.Contains(o.log, "did not complete successfully") {
		t.Errorf("with another secret:\n%s", o.log)
	}
}

// TestMadeFromAnotherService builds an image on the very candidate of another service, for every platform, with and
// without a push; and on the published one, where that is not built.
func TestMadeFromAnotherService(t *testing.T) {
	w := newWorld(t)
	onAuth := "FROM " + w.repository("auth").Name() + ":main\nCOPY backend/www /www\nEXPOSE 3001\nSTOPSIGNAL SIGKILL\nCMD [\"httpd\", \"-f\", \"-v\", \"-p\", \"3001\", \"-h\", \"/www\"]\n"
	w.commit("backend on auth", map[string]string{"backend/Dockerfile": onAuth})
	first := w.mustPublish(report.ExitDone)
	w.checkOn(first, "backend", "auth")
	w.commit("auth changes", map[string]string{"auth/www/new": "1"})
	second := w.mustPublish(report.ExitDone)
	if second.Services[0].Digest == first.Services[0].Digest {
		t.Error("backend was not built on the new auth")
	}
	w.checkOn(second, "backend", "auth")
	w.commit("backend changes", map[string]string{"backend/www/new": "1"})
	third := w.mustPublish(report.ExitDone)
	if third.Services[2].Digest != second.Services[2].Digest {
		t.Error("auth was built, and did not change")
	}
	w.checkOn(third, "backend", "auth")
	w.commit("both are tried", map[string]string{"auth/www/new": "2"})
	if o := w.publish(sample.Job{Event: "pull_request", Ref: "refs/pull/1/merge"}); o.code != report.ExitDone {
		t.Errorf("exit code %d\n%s", o.code, o.log)
	}
}

// checkOn demands that a service's image begins with the layers of another's, on each platform.
func (w *world) checkOn(o outcome, name, base string) {
	w.t.Helper()
	digests := map[string]string{}
	for _, s := range o.Services {
		digests[s.Name] = s.Digest
	}
	for _, platform := range []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}} {
		mine, theirs := w.layers(name, digests[name], platform), w.layers(base, digests[base], platform)
		if len(mine) <= len(theirs) || strings.Join(mine[:len(theirs)], " ") != strings.Join(theirs, " ") {
			w.t.Errorf("%s for %s has the layers %q, and %s %q", name, platform, mine, base, theirs)
		}
	}
}

func (w *world) layers(service, digest string, platform v1.Platform) []string {
	w.t.Helper()
	image, err := remote.Image(w.repository(service).Digest(digest), w.auth(), remote.WithPlatform(platform))
	if err != nil {
		w.t.Fatal(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		w.t.Fatal(err)
	}
	var digests []string
	for _, layer := range manifest.Layers {
		digests = append(digests, layer.Digest.String())
	}
	return digests
}
