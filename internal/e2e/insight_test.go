package e2e

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/report"
)

// oneService is a service in the folder web that answers, for both platforms.
const oneService = `platforms: [linux/amd64, linux/arm64]
services:
  - name: web
    image: prompt-card-web
    context: web
    port: 8005
gates: {vulnerabilities: {fail_on: NONE}}
`

// answers is how each of the Dockerfiles ends.
const answers = "USER 65534:65534\nEXPOSE 8005\nSTOPSIGNAL SIGKILL\nCMD [\"httpd\", \"-f\", \"-p\", \"8005\", \"-h\", \"/app\"]\n"

// npm is a stage in which npm takes its time, as it does.
const npm = "FROM busybox AS node\nRUN mkdir -p /usr/local/bin && printf '#!/bin/sh\\nsleep 3\\nrm -rf node_modules\\n' >/usr/local/bin/npm && chmod +x /usr/local/bin/npm\n" +
	"FROM node\nENV PATH=/usr/local/bin:/bin\nWORKDIR /app\n"

// noise is text that no compression makes smaller than half.
func noise(bytes int) string {
	text := make([]byte, bytes/2)
	_, _ = rand.Read(text)
	return hex.EncodeToString(text)
}

// theAdvice is the one of a kind.
func theAdvice(t *testing.T, o outcome, kind string) insight.Advice {
	t.Helper()
	i := slices.IndexFunc(o.Services[0].Advice, func(a insight.Advice) bool { return a.Kind == kind })
	if i < 0 {
		t.Fatalf("no advice on %s, but %+v\n%s", kind, o.Services[0].Advice, o.log)
	}
	return o.Services[0].Advice[i]
}

// stepsOf are a service's steps of an instruction: whether they came from the cache, by platform.
func stepsOf(o outcome, instruction string) map[string]bool {
	cached := map[string]bool{}
	for _, s := range o.Services[0].Steps {
		if strings.HasSuffix(s.Name, "] "+instruction) {
			cached[s.Platform] = s.Cached
		}
	}
	return cached
}

// TestAdviceOnOrder has a Dockerfile that copies all sources before it installs, is told so once it was in vain, and follows the advice: the next commit
// of the kind installs nothing.
func TestAdviceOnOrder(t *testing.T) {
	w := newWorld(t)
	sources := map[string]string{".github/ghcr-publish.yml": oneService, "web/package.json": "{}", "web/package-lock.json": "{}", "web/src/main.js": "1",
		"web/Dockerfile": npm + "COPY . .\nRUN npm ci\nMAINTAINER me\n" + answers}
	w.commit("in the wrong order", sources)
	first := w.mustPublish(report.ExitDone)
	if s := first.Services[0]; len(s.Advice) > 0 || s.FirstMiss == nil || s.ContextBytes == 0 {
		t.Errorf("of the first build it is told %+v, missed %+v, sent %d", s.Advice, s.FirstMiss, s.ContextBytes)
	}
	if !strings.Contains(first.log, "::notice file=web/Dockerfile,line=8,title=Build check MaintainerDeprecated::") {
		t.Errorf("no build check is told\n%s", first.log)
	}
	w.commit("a source changes", map[string]string{"web/src/main.js": "2"})
	second := w.mustPublish(report.ExitDone)
	s := second.Services[0]
	if m := s.FirstMiss; m == nil || m.Line != 6 || m.Instruction != "COPY . ." || !slices.Equal(m.Files, []string{"src/main.js"}) {
		t.Errorf("the first miss is %+v", m)
	}
	advice := theAdvice(t, second, "order")
	if advice.Line != 6 || !strings.HasPrefix(advice.Text, "Move RUN npm ci in line 7 before COPY . . in line 6, after a COPY of package-lock.json, package.json alone") || advice.Seconds < 3 {
		t.Errorf("advice %+v", advice)
	}
	if ran := stepsOf(second, "RUN npm ci"); len(ran) != 2 || ran["linux/amd64"] || ran["linux/arm64"] || s.DependencyRate != 0.5 {
		t.Errorf("npm ci: %v; %v of the dependency layers were cached", ran, s.DependencyRate)
	}
	w.commit("as was advised", map[string]string{"web/Dockerfile": npm + "COPY package-lock.json package.json ./\nRUN npm ci\nCOPY . .\n" + answers})
	if m := w.mustPublish(report.ExitDone).Services[0].FirstMiss; m == nil || !strings.Contains(m.Why, "the Dockerfile changed since") {
		t.Errorf("with another Dockerfile, the first miss is %+v", m)
	}
	w.commit("a source changes again", map[string]string{"web/src/main.js": "3"})
	last := w.mustPublish(report.ExitDone)
	if cached := stepsOf(last, "RUN npm ci"); len(cached) != 2 || !cached["linux/amd64"] || !cached["linux/arm64"] || last.Services[0].DependencyRate != 1 || len(last.Services[0].Advice) > 0 {
		t.Errorf("npm ci: %v; %v of the dependency layers were cached; advice %+v", cached, last.Services[0].DependencyRate, last.Services[0].Advice)
	}
	t.Logf("predicted to save %.1f s: the build took %.1f s before and %.1f s after", advice.Seconds, s.Seconds["build"], last.Services[0].Seconds["build"])
}

// TestAdviceOnContext sends what an installation replaces, and what one copy leaves out and no other takes; with the lines that are advised the builder gets
// that much less.
func TestAdviceOnContext(t *testing.T) {
	files := map[string]string{".github/ghcr-publish.yml": oneService, "web/package.json": "{}", "web/app.js": noise(1 << 20), "web/node_modules/a/index.js": noise(3 << 20),
		"web/data/trace.bin": noise(2 << 20), "web/Dockerfile": npm + "COPY --exclude=data/*.bin . .\nRUN npm ci\n" + answers}
	send := func(ignore string) outcome {
		w := newWorld(t) // in a folder of which the builder has nothing
		files["web/.dockerignore"] = ignore
		w.commit("all there is", files)
		return w.mustPublish(report.ExitDone)
	}
	before := send("")
	advice := theAdvice(t, before, "context")
	if !slices.Equal(advice.Ignore, []string{"**/node_modules", "data/*.bin"}) || advice.Bytes != 5<<20 {
		t.Errorf("advice %+v", advice)
	}
	after := send(strings.Join(advice.Ignore, "\n"))
	saved := before.Services[0].ContextBytes - after.Services[0].ContextBytes
	if float64(saved) < 0.99*float64(advice.Bytes) || float64(saved) > 1.01*float64(advice.Bytes) || len(after.Services[0].Advice) > 0 {
		t.Errorf("predicted to save %d bytes, and saved %d; advice %+v", advice.Bytes, saved, after.Services[0].Advice)
	}
	t.Logf("predicted to save %d bytes: %d were sent before and %d after", advice.Bytes, before.Services[0].ContextBytes, after.Services[0].ContextBytes)
}

// TestAdviceOnStages builds in the image that is published; built in a stage of its own, the image is smaller by what was told.
func TestAdviceOnStages(t *testing.T) {
	w := newWorld(t)
	const tools = "FROM busybox%s\nCOPY --chmod=755 bin /bin/\nRUN apk add gcc\nRUN make\n"
	stubs := "#!/bin/sh\nhead -c 30000000 /dev/urandom >/lib.gcc\n"
	w.commit("with its tools", map[string]string{".github/ghcr-publish.yml": strings.Replace(oneService, ", linux/arm64", "", 1), "web/bin/make": "#!/bin/sh\nmkdir -p /app && echo built >/app/index.html\n",
		"web/bin/apk": stubs, "web/Dockerfile": strings.Replace(tools, "%s", "", 1) + answers})
	before := w.mustPublish(report.ExitDone)
	advice := theAdvice(t, before, "stages")
	if advice.Line != 3 || advice.Bytes < 30000000 || !strings.HasPrefix(advice.Text, "RUN apk add gcc in line 3 is 30.0") {
		t.Errorf("advice %+v", advice)
	}
	w.commit("as was advised", map[string]string{"web/Dockerfile": strings.Replace(tools, "%s", " AS build", 1) + "FROM busybox\nCOPY --from=build /app /app\n" + answers})
	after := w.mustPublish(report.ExitDone)
	saved := before.Services[0].Platforms[0].CompressedBytes - after.Services[0].Platforms[0].CompressedBytes
	if float64(saved) < 0.99*float64(advice.Bytes) || float64(saved) > 1.01*float64(advice.Bytes) || len(after.Services[0].Advice) > 0 {
		t.Errorf("predicted to save %d bytes, and saved %d; advice %+v", advice.Bytes, saved, after.Services[0].Advice)
	}
	t.Logf("predicted to save %d bytes: the image had %d before and %d after", advice.Bytes, before.Services[0].Platforms[0].CompressedBytes, after.Services[0].Platforms[0].CompressedBytes)
}
