package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/org/ghcr-publish/internal/deploy"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/traffic"
)

// A prober asks for a page again and again, each time by a connection of its own and by one that it keeps.
type prober struct {
	address string
	stop    context.CancelFunc
	asking  sync.WaitGroup
	mu      sync.Mutex
	asked   int
	said    map[string]int // how often each page was answered
	failed  []failure
}

// A failure is a question that was not answered.
type failure struct {
	at  time.Time
	err error
}

func (f failure) String() string { return fmt.Sprintf("%s: %v", f.at.Format("15:04:05.000"), f.err) }

// probes is how long a prober waits between two questions of a kind.
const probes = 20 * time.Millisecond

func probe(t testing.TB, address string) *prober {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &prober{address: address, stop: cancel, said: map[string]int{}}
	for _, fresh := range []bool{true, false} {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: fresh}, Timeout: 5 * time.Second}
		p.asking.Go(func() {
			for ctx.Err() == nil {
				p.ask(client)
				time.Sleep(probes)
			}
		})
	}
	t.Cleanup(p.end)
	return p
}

func (p *prober) ask(client *http.Client) {
	said, err := get(client, p.address)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if err != nil {
		p.failed = append(p.failed, failure{time.Now(), err})
		return
	}
	p.said[said]++
}

func get(client *http.Client, address string) (string, error) {
	answer, err := client.Get(address)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", answer.Status)
	}
	return strings.TrimSpace(string(body)), err
}

func (p *prober) end() {
	p.stop()
	p.asking.Wait()
}

// next returns what is answered from now on, by page, until that are so many answers.
func (p *prober) next(answers int) map[string]int {
	p.mu.Lock()
	p.said = map[string]int{}
	p.mu.Unlock()
	for {
		time.Sleep(probes)
		p.mu.Lock()
		total := len(p.failed)
		for _, n := range p.said {
			total += n
		}
		said := maps.Clone(p.said)
		p.mu.Unlock()
		if total >= answers {
			return said
		}
	}
}

// switched is a frontend that says which release it is, and is sick where it is told to be broken.
const switched = `FROM busybox
ENV RELEASE=%s
USER 65534:65534
EXPOSE 3000
HEALTHCHECK --interval=1s --timeout=10s --retries=3 CMD wget -q -O /dev/null http://127.0.0.1:3000/
STOPSIGNAL SIGKILL
CMD ["sh", "-c", "mkdir -p /tmp/www; [ -n \"$BROKEN\" ] || echo \"$RELEASE\" >/tmp/www/index.html; exec httpd -f -p 3000 -h /tmp/www"]
`

// A street is a site whose frontend is switched, and somebody who asks it all the time.
type street struct {
	site
	*prober
	image string
	page  string // that is asked for to find out whether it is well
	how   string // it is switched
}

// config has the frontend be switched, with an environment.
func (s street) config(environment string) map[string]string {
	return map[string]string{".github/ghcr-publish.yml": fmt.Sprintf(`platforms: [linux/%s]
gates: {vulnerabilities: {fail_on: NONE}}
services:
  - {name: frontend, image: prompt-card-frontend, dockerfile: frontend/Dockerfile, port: 3000, health_endpoint: /%s, compose: {publish: true, switch: %s}}
compose: {proxy: {image: "%s"}, environment: {%s}}
deploy: {wait: 90s, project: %s}
`, runtime.GOARCH, s.page, s.how, s.image, environment, s.owner)}
}

// want demands that from now on all requests are answered by one release.
func (s street) want(release string) {
	s.t.Helper()
	if said := s.next(30); len(said) != 1 || said[release] == 0 {
		s.t.Errorf("the frontend answers %v, want %s alone", said, release)
	}
}

// TestSwitch brings new releases of a service up beside the ones before, and has its proxy send people there and back, while somebody asks it
// all the time. No question may fail.
func TestSwitch(t *testing.T) {
	s := street{site: newSite(t, newWorld(t)), how: "{sticky: true}"}
	var err error
	if s.image, err = parts.Nginx(t.Context()); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	s.env = append(s.env, "FRONTEND_PORT="+port)
	release := func(name string) {
		files := s.config("")
		files["frontend/Dockerfile"] = fmt.Sprintf(switched, name)
		s.release(name, files)
	}
	release("one")
	s.wrongPort()
	s.deploy(report.ExitDone)
	s.prober = probe(t, "http://127.0.0.1:"+port+"/")
	s.want("one")

	release("two")
	s.deploy(report.ExitDone)
	s.want("two")
	s.deploy(report.ExitDone)
	s.want("two")
	s.deploy(report.ExitDone, "--status")
	s.deploy(report.ExitDone, "--rollback")
	s.want("one")
	s.deploy(report.ExitDone)
	s.want("two")

	s.commit("broken", s.config("BROKEN: 1"))
	if told := s.deploy(report.ExitRefused); told.After != deploy.Restored || len(told.Troubles) != 1 || !strings.HasPrefix(told.Troubles[0].Service, "frontend-") {
		t.Errorf("a broken one: %+v", told)
	}
	s.want("two")
	s.deploy(report.ExitDone, "--status")

	s.page = "index.html" // which is asked for of the new one alone
	s.commit("canary", s.config("RELEASE: three"))
	s.deploy(report.ExitDone, "--weight", "10")
	if said := s.next(400); len(said) != 2 || said["three"] < 10 || said["three"] > 80 {
		t.Errorf("with a weight of 10 the frontend answers %v", said)
	} else {
		t.Logf("with a weight of 10 it answers %v", said)
	}
	s.deploy(report.ExitDone, "--status")
	s.deploy(report.ExitDone, "--rollback")
	s.want("two")
	s.deploy(report.ExitDone, "--weight", "50")
	s.wantSticky()
	s.deploy(report.ExitDone)
	s.want("three")
	s.deploy(report.ExitDone, "--rollback")
	s.want("two")
	s.killed()
	for _, name := range []string{"four", "five"} {
		s.kill(name)
	}
	proxy := s.proxy()
	s.how = "true"
	s.commit("no cookie", s.config("RELEASE: six"))
	s.deploy(report.ExitDone)
	s.want("six")
	if now := s.proxy(); now != proxy {
		t.Errorf("the proxy was replaced, %s by %s", proxy, now)
	}

	s.end()
	t.Logf("asked %d times", s.asked)
	if len(s.failed) > 0 {
		t.Errorf("%d questions failed: %s", len(s.failed), s.failed)
	}
	s.docker("restart", s.owner+"-frontend-1")
	s.deploy(report.ExitDone)
	s.takeOver()
}

// wrongPort has the first deployment of all be refused, since nobody listens at the port that its proxy sends people to, and then names the right one.
func (s street) wrongPort() {
	s.t.Helper()
	files := s.config("")
	right := files[".github/ghcr-publish.yml"]
	files[".github/ghcr-publish.yml"] = strings.NewReplacer("port: 3000", "port: 3001", "wait: 90s", "wait: 20s").Replace(right)
	s.commit("wrong port", files)
	if told := s.deploy(report.ExitRefused); told.After != deploy.Removed {
		s.t.Errorf("with a wrong port: %+v", told)
	}
	s.commit("right port", s.config(""))
}

// proxy is the id of its container.
func (s street) proxy() string {
	s.t.Helper()
	return s.docker("inspect", "--format", "{{.Id}}", s.owner+"-frontend-1")
}

// takeOver has the frontend be switched no more, and then again at another port: who asks it meanwhile is answered but for a moment, which is told
// beforehand.
func (s street) takeOver() {
	s.t.Helper()
	s.how = "false"
	s.commit("off", s.config("RELEASE: off"))
	if told := s.deploy(report.ExitDone, "--dry-run"); len(told.Notices) != 1 || !strings.Contains(told.Notices[0], "it is switched no more") {
		s.t.Errorf("before it is switched no more: %+v", told)
	}
	s.deploy(report.ExitDone)
	s.how = "true"
	before := "off"
	for _, port := range []string{"3001", "3002"} {
		elsewhere := strings.NewReplacer("3000", port)
		files := s.config("")
		files[".github/ghcr-publish.yml"] = elsewhere.Replace(files[".github/ghcr-publish.yml"])
		files["frontend/Dockerfile"] = elsewhere.Replace(fmt.Sprintf(switched, "at-3000"))
		s.release("at "+port, files)
		s.replaced(before, "at-"+port)
		before = "at-" + port
	}
}

// moment is how long at most nobody answers while one container comes in another one's place.
const moment = 30 * time.Second

// replaced has a new proxy come, before which one release answers, and after which another.
func (s street) replaced(before, after string) {
	s.t.Helper()
	p := probe(s.t, s.address)
	if said := p.next(30); len(said) != 1 || said[before] == 0 {
		s.t.Errorf("before a new proxy comes, it answers %v, want %s alone", said, before)
	}
	if told := s.deploy(report.ExitDone); len(told.Notices) != 1 || !strings.Contains(told.Notices[0], "replaced by a new proxy") {
		s.t.Errorf("before a new proxy comes: %+v", told)
	}
	p.end()
	if n := len(p.failed); n > 0 {
		away := p.failed[n-1].at.Sub(p.failed[0].at)
		s.t.Logf("while a new proxy came %d of %d questions failed in %s: %s, %s", n, p.asked, away.Round(time.Millisecond), p.failed[0], p.failed[n-1])
		if away > moment {
			s.t.Errorf("while a new proxy came nobody answered for %s", away)
		}
	}
	if said := probe(s.t, s.address).next(30); len(said) != 1 || said[after] == 0 {
		s.t.Errorf("once a new proxy has come, it answers %v, want %s alone", said, after)
	}
}

// slow is a backend that takes its time to begin, and asks for more of it than its proxy would have.
const slow = `FROM busybox
USER 65534:65534
EXPOSE 9180
HEALTHCHECK --interval=1s --timeout=10s --retries=3 --start-period=%s CMD wget -q -O /dev/null http://127.0.0.1:9180/
STOPSIGNAL SIGKILL
CMD ["sh", "-c", "sleep ${DELAY:-0}; mkdir -p /tmp/www; echo slow >/tmp/www/index.html; exec httpd -f -p 9180 -h /tmp/www"]
`

// TestSwitchIsNeeded brings up what needs a service that is switched, in a Compose file that starts everything at once: it waits for a backend
// that takes longer to begin than its proxy may be without one, and does not wait where that ends.
func TestSwitchIsNeeded(t *testing.T) {
	w := newWorld(t)
	image, err := parts.Nginx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	publish := func(delay, patience string) stack {
		w.commit("slow", map[string]string{"frontend/Dockerfile": fmt.Sprintf(switched, "one"), "backend/Dockerfile": fmt.Sprintf(slow, patience),
			".github/ghcr-publish.yml": fmt.Sprintf(`platforms: [linux/%s]
gates: {vulnerabilities: {fail_on: NONE}}
services:
  - {name: frontend, image: prompt-card-frontend, dockerfile: frontend/Dockerfile, port: 3000, health_endpoint: /, compose: {needs: [backend]}}
  - {name: backend, image: prompt-card-backend, dockerfile: backend/Dockerfile, port: 9180, health_endpoint: /, compose: {switch: true}}
compose: {proxy: {image: "%s"}, environment: {DELAY: %s}}
`, runtime.GOARCH, image, delay)})
		o := w.mustPublish(report.ExitDone)
		text, err := os.ReadFile(o.Compose.File)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "compose.yaml")
		if err := os.WriteFile(file, hasty(t, text, "backend"), 0o600); err != nil {
			t.Fatal(err)
		}
		return w.newStack(file)
	}
	up := publish("15", "60s")
	up.must("up", "--detach", "--wait", "--wait-timeout", "120")
	up.checkHealth(map[string]string{"backend": "running healthy", "backend-blue": "running healthy", "backend-green": "running healthy", "frontend": "running healthy"})
	up.must("down", "--timeout", "1")

	sick := publish("1000", "1s")
	begun := time.Now()
	if out, err := sick.run("up", "--detach"); err == nil || !strings.Contains(out, "unhealthy") {
		t.Errorf("what needs a backend that is not well is started: %v\n%s", err, out)
	}
	t.Logf("that was known after %s", time.Since(begun).Round(time.Second))
}

// hasty is a Compose file in which a service is soon taken for one that is not well.
func hasty(t *testing.T, text []byte, name string) []byte {
	t.Helper()
	var file map[string]any
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	check := file["services"].(map[string]any)[name].(map[string]any)["healthcheck"].(map[string]any)
	check["retries"], check["start_period"] = 2, "0s"
	text, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// wantSticky demands that whoever has the proxy's cookie is answered by one release, and that not all are by the same.
func (s street) wantSticky() {
	s.t.Helper()
	first := map[string]int{}
	for range 20 {
		jar, err := cookiejar.New(nil)
		if err != nil {
			s.t.Fatal(err)
		}
		client := &http.Client{Jar: jar}
		said := map[string]int{}
		for range 10 {
			page, err := get(client, s.address)
			if err != nil {
				s.t.Fatal(err)
			}
			said[page]++
			first[page]++
		}
		if len(said) != 1 {
			s.t.Errorf("one who has a cookie is answered %v", said)
		}
	}
	if len(first) != 2 {
		s.t.Errorf("all are answered %v", first)
	}
}

// kill has a deployment be killed, and the next one go on.
func (s street) kill(release string) {
	s.t.Helper()
	before := s.next(1)
	s.commit(release, s.config("RELEASE: "+release))
	s.mode = "deploy"
	hit := s.befall(accident{signal: syscall.SIGKILL}, time.Duration(rand.Int64N(int64(4*time.Second))))
	said := s.next(30)
	s.t.Logf("killed at work: %t; the frontend answers %v", hit, said)
	maps.DeleteFunc(said, func(page string, _ int) bool { return page == release || before[page] > 0 })
	if len(said) > 0 {
		s.t.Errorf("after a deployment that was killed the frontend answers %v", said)
	}
	s.deploy(report.ExitDone)
	s.want(release)
}

// killed has the proxy be as a deployment left it that was killed once it had written the other colour down.
func (s street) killed() {
	s.t.Helper()
	proxy := traffic.Named("")
	split, err := traffic.Read(s.docker("exec", s.owner+"-frontend-1", "cat", proxy.File()))
	if err != nil {
		s.t.Fatal(err)
	}
	for n := range split.Backends {
		split.Backends[n].Weight = 100 - split.Backends[n].Weight
	}
	text, err := proxy.Write(split)
	if err != nil {
		s.t.Fatal(err)
	}
	s.docker("exec", s.owner+"-frontend-1", "sh", "-c", `printf %s "$1" >$0.new && mv $0.new $0`, proxy.File(), text)
	s.deploy(report.ExitDone)
	s.want("three")
}

// docker runs the Docker client.
func (s street) docker(args ...string) string {
	s.t.Helper()
	out, err := run.OS(s.t.Context(), run.Command{Argv: append([]string{"docker"}, args...), Env: os.Environ()})
	if err != nil {
		s.t.Fatal(err)
	}
	return string(out)
}
