package action_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/org/ghcr-publish/internal/sample"
	"github.com/rogpeppe/go-internal/testscript"
)

// mirrorPassword is what a script's mirrors let in.
const mirrorPassword = "hub-password-0123456789"

// A copyOf the registry is one that has the images, too.
type copyOf struct {
	web  *httptest.Server
	down atomic.Bool
}

func startCopy() *copyOf {
	c := &copyOf{}
	next := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	c.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.down.Load() {
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		if _, password, _ := r.BasicAuth(); password != mirrorPassword {
			w.Header().Set("WWW-Authenticate", `Basic realm="mirror"`)
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintln(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
			return
		}
		next.ServeHTTP(w, r)
	}))
	return c
}

func (c *copyOf) host() string { return strings.TrimPrefix(c.web.URL, "http://") }

// tag is the digest under a tag of a service's image; empty where there is none.
func (c *copyOf) tag(ts *testscript.TestScript, service, tag string) string {
	ref, err := name.NewTag(c.host() + "/copies/" + sample.Images[service] + ":" + tag)
	ts.Check(err)
	desc, err := remote.Head(ref, remote.WithAuth(&authn.Basic{Username: "octo", Password: mirrorPassword}))
	if err != nil {
		return ""
	}
	return desc.Digest.String()
}

// mirrors NAME...: the configuration has these mirrors, whose password is in $HUB_PASSWORD.
func addMirrors(ts *testscript.TestScript, _ bool, args []string) {
	text := "mirrors:\n"
	for _, name := range args {
		c := startCopy()
		ts.Defer(c.web.Close)
		stageOf(ts).copies[name] = c
		text += fmt.Sprintf("  - {image: \"%s/copies/{{name}}\", username: octo, password: env:HUB_PASSWORD}\n", c.host())
		ts.Setenv(name, c.host())
	}
	ts.Setenv("HUB_PASSWORD", mirrorPassword)
	file, err := os.OpenFile(ts.MkAbs(".github/ghcr-publish.yml"), os.O_APPEND|os.O_WRONLY, 0)
	ts.Check(err)
	defer file.Close()
	_, err = file.WriteString(text)
	ts.Check(err)
}

// mirror-down NAME: it does not serve. With ! it does again.
func stopMirror(ts *testscript.TestScript, neg bool, args []string) {
	stageOf(ts).copies[args[0]].down.Store(!neg)
}

// mirrored NAME SERVICE TAG...: a mirror's tags point where they do in the registry, and to an image that is signed there if it is here.
// With ! the mirror has none of the tags.
func checkMirrored(ts *testscript.TestScript, neg bool, args []string) {
	c, service := stageOf(ts).copies[args[0]], args[1]
	for _, tag := range args[2:] {
		want := stageOf(ts).tag(service, tag)
		if got := c.tag(ts, service, tag); want == "" || neg && got != "" || !neg && got != want {
			ts.Fatalf("%s of %s is %q there and %q here", tag, service, got, want)
		}
		if neg {
			continue
		}
		listed := strings.Replace(want, ":", "-", 1)
		if diff := cmp.Diff(stageOf(ts).tag(service, listed), c.tag(ts, service, listed)); diff != "" {
			ts.Fatalf("signatures of %s (-want +got):\n%s", service, diff)
		}
	}
}
