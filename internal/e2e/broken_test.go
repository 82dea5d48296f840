package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/report"
)

// A broken image is one that nobody should pull, and what a person is told of it.
type broken struct {
	name       string
	dockerfile string
	want       string // part of a reason
}

// TestBrokenImages refuses images that are broken in eleven ways, in one run, and says of each what to do.
func TestBrokenImages(t *testing.T) {
	w := newWorld(t)
	const user = "USER 65534:65534\n"
	images := []broken{
		{"crashes", user + `CMD ["sh", "-c", "echo no configuration; exit 1"]`, "crashes ended with exit code 1 before it was healthy"},
		{"hangs", user + `CMD ["sleep", "3600"]`, "hangs was not healthy within 8s: nothing listened on port 8080; it listens on no port at all"},
		{"elsewhere", user + `CMD ["httpd", "-f", "-p", "9090"]`, "nothing listened on port 8080; it listens on port 9090; is that the service's `port`?"},
		{"root", `CMD ["httpd", "-f", "-p", "8080"]`, "linux/amd64 runs as root; add a USER to the Dockerfile"},
		{"large", "RUN truncate -s 2G /large\n" + user + `CMD ["httpd", "-f", "-p", "8080"]`, "on disk, more than 1GB; `docker history` shows which instruction brings it in"},
		{"slow", user + `CMD ["sh", "-c", "sleep 20; exec httpd -f -p 8080"]`, "slow was not healthy within 8s: nothing listened on port 8080"},
		{"fades", user + `CMD ["sh", "-c", "httpd -p 8080; sleep 20; killall httpd; sleep 3600"]`, "and is not any more 25"},
		{"ends", user + `CMD ["true"]`, "ends ended with exit code 0 before it was healthy: its program ended by itself. A server must stay in the foreground"},
		{"talks", user + fmt.Sprintf(`CMD ["sh", "-c", "echo the token is %s; exit 1"]`, w.token), "talks ended with exit code 1"},
		{"holds", "ENV API_TOKEN=hunter2\n" + user + `CMD ["httpd", "-f", "-p", "8080"]`, "linux/amd64 seems to hold secrets, which everybody reads who pulls it: ENV API_TOKEN; "},
		{"database", user + `CMD ["sh", "-c", "nc db 5432 </dev/null"]`, "give it that one by `peers`, from a Compose file, or run it among the `services` of the job, and point `env` of the service to it"},
	}
	w.commit("ten images", map[string]string{".github/ghcr-publish.yml": configOf(t, images)})
	o := w.mustPublish(report.ExitRefused, "--max-parallel", "11")
	for i, image := range images {
		s := o.Services[i]
		if reasons := strings.Join(s.Verdict.Reasons, "\n"); s.Verdict.Outcome != "refused" || !strings.Contains(reasons, image.want) || len(s.Moved) > 0 {
			t.Errorf("%s is %s: %q, want %q", image.name, s.Verdict.Outcome, reasons, image.want)
		}
	}
	if log := strings.Join(o.Services[0].Log, "\n"); log != "no configuration" {
		t.Errorf("the last words of what crashes are %q", log)
	}
	if log := strings.Join(o.Services[8].Log, "\n"); log != "the token is ***" {
		t.Errorf("the last words of what talks are %q", log)
	}
	w.searchFiles(w.temp)
	w.checkNoContainers()
}

// configOf is a configuration of such images; YAML reads JSON too.
func configOf(t *testing.T, images []broken) string {
	t.Helper()
	var services []map[string]any
	for _, image := range images {
		services = append(services, map[string]any{"name": image.name, "port": 8080, "context": "auth", "dockerfile_inline": "FROM busybox\n" + image.dockerfile + "\n"})
	}
	config, err := json.Marshal(map[string]any{"platforms": []string{"linux/amd64"}, "services": services, "tags": "type=sha", "gates": map[string]any{
		"startup": map[string]any{"within": "8s", "stable_for": "25s"}, "size": map[string]any{"unpacked": "1GB"}, "user": "non-root", "image": map[string]any{"secrets": "refuse"}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(config)
}

// TestReadOnly starts an image as it would run in production: what it writes outside of its tmpfs, it cannot.
func TestReadOnly(t *testing.T) {
	w := newWorld(t)
	const dockerfile = "FROM busybox\nUSER 65534:65534\nCMD [\"sh\", \"-c\", \"echo x >/scratch/x && exec httpd -f -p 8080\"]\n"
	service := func(name string, tmpfs ...string) map[string]any {
		return map[string]any{"name": name, "port": 8080, "context": "auth", "dockerfile_inline": dockerfile, "read_only": true, "tmpfs": tmpfs}
	}
	config, err := json.Marshal(map[string]any{"platforms": []string{"linux/amd64"}, "promote": "per-service", "tags": "type=sha",
		"services": []any{service("writes", "/tmp"), service("scratch", "/scratch")}})
	if err != nil {
		t.Fatal(err)
	}
	w.commit("read only", map[string]string{".github/ghcr-publish.yml": string(config)})
	o := w.mustPublish(report.ExitRefused)
	if writes, scratch := o.Services[0], o.Services[1]; writes.Verdict.Outcome != "refused" || scratch.Verdict.Outcome != "approved" || len(scratch.Moved) != 1 {
		t.Errorf("%s %q and %s %q", writes.Verdict.Outcome, writes.Verdict.Reasons, scratch.Verdict.Outcome, scratch.Verdict.Reasons)
	}
}

// TestExpectations looks into images that have neither shell nor cat.
func TestExpectations(t *testing.T) {
	w := newWorld(t)
	const dockerfile = "FROM busybox AS make\nRUN mkdir -p /root/app /root/bin && cp /bin/busybox /root/bin/httpd && echo 'level: info' >/root/app/settings && chmod 0640 /root/app/settings\n" +
		"FROM scratch\nCOPY --from=make /root /\nUSER 65534:65534\nEXPOSE 8080\nENTRYPOINT [\"/bin/httpd\", \"-f\", \"-p\", \"8080\"]\n"
	service := func(name string, expect map[string]any) map[string]any {
		return map[string]any{"name": name, "port": 8080, "context": "auth", "dockerfile_inline": dockerfile, "expect": expect}
	}
	file := func(more map[string]any) map[string]any {
		more["path"] = "/app/settings"
		return map[string]any{"files": []any{more}}
	}
	config, err := json.Marshal(map[string]any{"platforms": []string{"linux/amd64"}, "promote": "per-service", "tags": "type=sha", "services": []any{
		service("met", map[string]any{"user": "65534:65534", "ports": []int{8080}, "files": []any{
			map[string]any{"path": "/app/settings", "mode": "0640", "contains": "level: info"}, map[string]any{"path": "/bin/sh", "absent": true}, map[string]any{"path": "/app"}}}),
		service("mode", file(map[string]any{"mode": "0600"})), service("text", file(map[string]any{"contains": "level: debug"})), service("there", file(map[string]any{"absent": true})),
		service("lacks", map[string]any{"files": []any{map[string]any{"path": "/bin/sh"}}}), service("user", map[string]any{"user": "app"}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.commit("expectations", map[string]string{".github/ghcr-publish.yml": string(config)})
	o := w.mustPublish(report.ExitRefused)
	want := []string{"", "mode has /app/settings with the permissions 0640, not 0600", `text has /app/settings without "level: debug" in it`,
		"there has /app/settings, which `expect` says is absent", "lacks has no /bin/sh, which `expect` asks for", "linux/amd64 is not as `expect` says: its user is \"65534:65534\", not \"app\""}
	for i, s := range o.Services {
		if reasons := strings.Join(s.Verdict.Reasons, "\n"); reasons != want[i] || (len(s.Moved) == 1) != (want[i] == "") {
			t.Errorf("%s: %q, want %q; moved %v", s.Name, reasons, want[i], s.Moved)
		}
	}
}

// TestBounds starts images as they would run in production: with no more processes than they may have, and no way to further privileges.
func TestBounds(t *testing.T) {
	w := newWorld(t)
	service := func(name, command string, more map[string]any) map[string]any {
		s := map[string]any{"name": name, "port": 8080, "context": "auth", "dockerfile_inline": "FROM busybox\nUSER 65534:65534\nCMD [\"sh\", \"-c\", \"" + command + " && exec httpd -f -p 8080\"]\n"}
		maps.Copy(s, more)
		return s
	}
	const forks, strict = "for i in 1 2 3 4 5; do sleep 60 & done; true", "grep -q 'NoNewPrivs:.*1' /proc/self/status"
	config, err := json.Marshal(map[string]any{"platforms": []string{"linux/amd64"}, "promote": "per-service", "tags": "type=sha", "services": []any{
		service("few", forks, map[string]any{"resources": map[string]any{"limits": map[string]any{"pids": 4}}}), service("many", forks, nil),
		service("strict", strict, nil), service("lax", strict, map[string]any{"new_privileges": true})}})
	if err != nil {
		t.Fatal(err)
	}
	w.commit("bounds", map[string]string{".github/ghcr-publish.yml": string(config)})
	o := w.mustPublish(report.ExitRefused)
	for i, want := range []string{"refused", "approved", "approved", "refused"} {
		if s := o.Services[i]; s.Verdict.Outcome != want || (len(s.Moved) == 1) != (want == "approved") {
			t.Errorf("%s is %s %q, want %s; its log %q", s.Name, s.Verdict.Outcome, s.Verdict.Reasons, want, s.Log)
		}
	}
}
