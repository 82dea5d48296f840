package registry

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	fake "github.com/google/go-containerregistry/pkg/registry"
)

// A scripted answer is what a registry says, and how.
type scripted struct {
	status int
	body   string
	header http.Header
	err    error
	late   time.Duration
	cut    bool // the body breaks off
}

func (s scripted) answer(r *http.Request) (*http.Response, error) {
	if s.late > 0 {
		select {
		case <-time.After(s.late):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if s.err != nil {
		return nil, s.err
	}
	body := io.Reader(strings.NewReader(s.body))
	if s.cut {
		body = io.MultiReader(strings.NewReader(s.body[:len(s.body)/2]), broken{})
	}
	return &http.Response{StatusCode: s.status, Header: s.header, Body: io.NopCloser(body), ContentLength: int64(len(s.body)), Request: r}, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// emptyDigest is that of "{}".
const emptyDigest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

// TestRepeats plays answers to one request, and looks at how many of them were asked for.
func TestRepeats(t *testing.T) {
	t.Parallel()
	const manifest, blob, upload, token = "/v2/octo/backend/manifests/main", "/v2/octo/backend/blobs/" + emptyDigest, "/v2/octo/backend/blobs/uploads/", "/token"
	ok := scripted{status: 200, body: "{}"}
	denied := scripted{status: 403, body: `{"errors":[{"code":"DENIED","message":"permission_denied: write_package"}]}`}
	cases := []struct {
		name, method, path string
		answers            []scripted
		asked              int
		want               string // the body, or the error where there is none
	}{
		{"well", "GET", manifest, []scripted{ok}, 1, "{}"},
		{"broken off", "GET", manifest, []scripted{{err: io.EOF}, {err: &net.OpError{Op: "read", Err: syscall.ECONNRESET}}, {err: &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}}, ok}, 4, "{}"},
		{"each status that passes", "GET", manifest, []scripted{{status: 408}, {status: 425}, {status: 429}, {status: 499}, {status: 502}, ok}, 6, "{}"},
		{"the rest of them", "PUT", manifest, []scripted{{status: 500}, {status: 503}, {status: 504}, {status: 201}}, 4, ""},
		{"down for good", "GET", manifest, []scripted{{status: 503}, {status: 503}, {status: 503}, {status: 503}, {status: 503}, {status: 503, body: "down"}, ok}, 6, "down"},
		{"an answer in pieces", "GET", manifest, []scripted{{status: 200, body: "{}", cut: true}, ok}, 2, "{}"},
		{"a refusal in pieces", "GET", manifest, []scripted{{status: 404, body: "{\"errors\":[]}", cut: true}, {status: 404, body: "{}"}}, 2, "{}"},
		{"a blob that is another", "GET", blob, []scripted{{status: 200, body: "{ }"}, ok}, 2, "{}"},
		{"a manifest that is not what the registry says", "GET", manifest, []scripted{{status: 200, body: "{ }", header: http.Header{"Docker-Content-Digest": {emptyDigest}}}, ok}, 2, "{}"},
		{"what refers to an image is not the image", "GET", "/v2/octo/backend/referrers/" + emptyDigest, []scripted{{status: 200, body: "[]"}}, 1, "[]"},
		{"an answer that never comes", "GET", manifest, []scripted{{late: time.Hour}, ok}, 2, "{}"},
		{"none that ever comes", "GET", manifest, []scripted{{late: time.Hour}, {late: time.Hour}, {late: time.Hour}, {late: time.Hour}, {late: time.Hour}, {late: time.Hour}}, 6, "no answer in time (30s)"},
		{"a token that is refused by mistake", "GET", token, []scripted{denied, {status: 503}, ok}, 3, "{}"},
		{"a token that is refused", "GET", token, []scripted{denied, denied, denied, denied, ok}, 4, denied.body},
		{"an upload that is refused without a word", "POST", upload, []scripted{{status: 403, body: "<html>"}, {status: 202}}, 2, ""},
		{"an upload that may not be", "POST", upload, []scripted{denied, ok}, 1, denied.body},
		{"a part of an upload", "PATCH", upload + "1", []scripted{{status: 503, body: "busy"}, ok}, 1, "busy"},
		{"no login", "GET", manifest, []scripted{{status: 401}, ok}, 1, ""},
		{"not there", "GET", manifest, []scripted{{status: 404}, ok}, 1, ""},
		{"not allowed", "PUT", manifest, []scripted{denied, ok}, 1, denied.body},
		{"not to be trusted", "GET", manifest, []scripted{{err: &tls.CertificateVerificationError{Err: errors.New("expired")}}, ok}, 1, "expired"},
		{"nobody there", "GET", manifest, []scripted{{err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, ok}, 1, "refused"},
		{"no TLS", "GET", manifest, []scripted{{err: http.ErrSchemeMismatch}, ok}, 1, "HTTP response"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				registry := roundTripper(func(r *http.Request) (*http.Response, error) {
					if r.Body != nil {
						if sent, err := io.ReadAll(r.Body); err != nil || string(sent) != "sent" {
							t.Errorf("try %d sends %q, %v", asked, sent, err)
						}
					}
					asked++
					return c.answers[asked-1].answer(r)
				})
				var body io.Reader
				if c.method != "GET" {
					body = strings.NewReader("sent")
				}
				request, err := http.NewRequestWithContext(t.Context(), c.method, "https://registry.example"+c.path, body)
				must(t, err)
				if got := outcomeOf((patient{registry}).RoundTrip(request)); asked != c.asked || !strings.Contains(got, c.want) {
					t.Errorf("%q after %d tries, want %q after %d", got, asked, c.want, c.asked)
				}
			})
		})
	}
}

func outcomeOf(answer *http.Response, err error) string {
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// TestSendsTheWholeBodyEachTime sends a request again as the library does where a token has expired: with its body read.
func TestSendsTheWholeBodyEachTime(t *testing.T) {
	t.Parallel()
	var sent []string
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		sent = append(sent, string(body))
		return &http.Response{StatusCode: http.StatusAccepted, Body: http.NoBody, Request: r}, err
	})
	client := &Client{Transport: base}
	for _, carrier := range []http.RoundTripper{client.carrier(), client.once()} {
		for _, method := range []string{http.MethodPatch, http.MethodPut} {
			request, err := http.NewRequestWithContext(t.Context(), method, "https://registry.example/v2/octo/backend/blobs/uploads/1", strings.NewReader("layer"))
			must(t, err)
			for range 2 {
				answer, err := carrier.RoundTrip(request)
				must(t, err)
				answer.Body.Close()
			}
		}
	}
	if want := slices.Repeat([]string{"layer"}, 8); !slices.Equal(sent, want) {
		t.Errorf("sent %q", sent)
	}
}

// TestWaitsAsLongAsItIsAsked counts the seconds that a registry asks for, but not hours.
func TestWaitsAsLongAsItIsAsked(t *testing.T) {
	t.Parallel()
	for asked, want := range map[string]time.Duration{"7": 7 * time.Second, "7200": 2 * longest} {
		synctest.Test(t, func(t *testing.T) {
			answers := []scripted{{status: 429, header: http.Header{"Retry-After": {asked}}}, {status: 200}}
			begun := time.Now()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://registry.example/v2/", nil)
			must(t, err)
			_, err = (patient{roundTripper(func(r *http.Request) (*http.Response, error) {
				first := answers[0]
				answers = answers[1:]
				return first.answer(r)
			})}).RoundTrip(request)
			if waited := time.Since(begun); err != nil || waited != want {
				t.Errorf("asked for %s s it waits %s, %v; want %s", asked, waited, err, want)
			}
		})
	}
}

// TestLargeAnswersPassThrough reads no large body ahead: whoever wants it proves it as it comes.
func TestLargeAnswersPassThrough(t *testing.T) {
	t.Parallel()
	read := 0
	body := io.TeeReader(strings.NewReader(strings.Repeat("x", little+1)), counter{&read})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://registry.example/v2/octo/backend/blobs/"+emptyDigest, nil)
	must(t, err)
	answer, err := (patient{roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(body), ContentLength: little + 1, Request: r}, nil
	})}).RoundTrip(request)
	if must(t, err); read != 0 {
		t.Errorf("%d bytes were read ahead", read)
	}
	if n, err := io.Copy(io.Discard, answer.Body); n != little+1 || err != nil {
		t.Errorf("%d bytes came: %v", n, err)
	}
}

// TestBlobsOfUnknownLengthPassThrough has registries that do not say how large a layer is.
func TestBlobsOfUnknownLengthPassThrough(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{2, little + 1, fileLimit + 1} {
		read := 0
		body := io.TeeReader(io.LimitReader(endless{}, size), counter{&read})
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://registry.example/v2/octo/backend/blobs/sha256:"+strings.Repeat("0", 64), nil)
		must(t, err)
		answer, err := (proving{roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(body), ContentLength: -1, Request: r}, nil
		}), time.Minute}).RoundTrip(request)
		if size <= little {
			if err == nil || !strings.Contains(err.Error(), "and not sha256:000") {
				t.Errorf("a small one that is not what its digest says: %v", err)
			}
			continue
		}
		if err != nil || read > little+1 {
			t.Errorf("of %d bytes %d were read ahead: %v", size, read, err)
			continue
		}
		if n, err := io.Copy(io.Discard, answer.Body); n != size || err != nil || answer.Body.Close() != nil {
			t.Errorf("%d bytes came of %d: %v", n, size, err)
		}
	}
}

type counter struct{ n *int }

func (c counter) Write(p []byte) (int, error) { *c.n += len(p); return len(p), nil }

func TestAnAnswerWithoutAnEndIsRefused(t *testing.T) {
	t.Parallel()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://registry.example/v2/_catalog", nil)
	must(t, err)
	err = prove(request, &http.Response{StatusCode: 200, Body: io.NopCloser(endless{}), ContentLength: -1})
	if want := fmt.Sprintf("larger than %d bytes", fileLimit); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestUploadsAreSentAgainAsAWhole keeps a file where the registry breaks off in the midst of an upload, for as long as that may pass.
func TestUploadsAreSentAgainAsAWhole(t *testing.T) {
	t.Parallel()
	for fails, want := range map[int]string{6: "", 100: "storing registry.example/octo/backend@sha256:"} {
		synctest.Test(t, func(t *testing.T) {
			registry, left := fake.New(fake.Logger(log.New(io.Discard, "", 0))), fails
			client := &Client{Host: "registry.example", Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				answer, received := httptest.NewRecorder(), r.Clone(r.Context())
				if received.Body == nil {
					received.Body = http.NoBody
				}
				if left > 0 && isUpload(r) {
					left--
					answer.WriteHeader(http.StatusBadGateway)
				} else {
					registry.ServeHTTP(answer, received)
				}
				got := answer.Result()
				got.Request = r
				return got, nil
			})}
			ref, err := client.Keep(t.Context(), "registry.example/octo/backend", journalType, []byte("{}"))
			if want != "" {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%d failures end as %v; want %q", fails, err, want)
				}
				return
			}
			must(t, err)
			if data, err := client.Fetch(t.Context(), ref.Name(), journalType); err != nil || string(data) != "{}" {
				t.Errorf("after %d failures it reads as %q, %v", fails, data, err)
			}
		})
	}
}

// TestTokensThatExpireAtOnce has tokens be refused more often than the library asks for new ones.
func TestTokensThatExpireAtOnce(t *testing.T) {
	t.Parallel()
	const host = "registry.example"
	for refusals, fine := range map[int]bool{1: true, 3: true, 100: false} {
		registry, left := fake.New(fake.Logger(log.New(io.Discard, "", 0))), 0
		base := roundTripper(func(r *http.Request) (*http.Response, error) {
			answer := httptest.NewRecorder()
			switch login := r.Header.Get("Authorization"); {
			case r.URL.Path == "/token":
				fmt.Fprint(answer, `{"token": "t"}`)
			case !strings.HasPrefix(login, "Bearer "), r.URL.Path != "/v2/" && left > 0:
				if r.URL.Path != "/v2/" {
					left--
				}
				answer.Header().Set("WWW-Authenticate", `Bearer realm="https://`+host+`/token",service="x",scope="repository:octo/backend:pull"`)
				answer.WriteHeader(http.StatusUnauthorized)
			default:
				received := r.Clone(r.Context())
				if received.Body == nil {
					received.Body = http.NoBody
				}
				registry.ServeHTTP(answer, received)
			}
			got := answer.Result()
			got.Request = r
			return got, nil
		})
		client := &Client{Host: host, Username: "mona", Password: "hunter2", Transport: base}
		image := host + "/octo/backend"
		ref, err := client.Keep(t.Context(), image, journalType, []byte("{}"))
		must(t, err)
		for what, do := range map[string]func() error{
			"keep":    func() error { _, err := client.Keep(t.Context(), image, journalType, []byte("{}")); return err },
			"fetch":   func() error { _, err := client.Fetch(t.Context(), ref.Name(), journalType); return err },
			"resolve": func() error { _, _, err := client.Resolve(t.Context(), image, "main"); return err },
			"tags":    func() error { _, err := client.Tags(t.Context(), image); return err },
			"journal": func() error { return client.WriteJournal(t.Context(), image, []byte("{}")) },
			"listed":  func() error { _, err := client.Attached(t.Context(), ref, journalType, "a", "b"); return err },
			"joined": func() error {
				_, err := client.Join(t.Context(), image, []string{ref.DigestStr(), ref.DigestStr()}, nil, nil)
				return err
			},
		} {
			left = refusals
			if err := do(); (err == nil) != fine {
				t.Errorf("%s after %d refusals: %v", what, refusals, err)
			}
		}
		left = refusals
		if _, _, err := (&Client{Host: host, Transport: base}).Resolve(t.Context(), image, "main"); refusals == 100 && (err == nil || left < 90) {
			t.Errorf("nobody's token is asked for again and again: %v, %d left", err, left)
		}
	}
}
