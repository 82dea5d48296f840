// Command demo shows the program's main job on real parts: it publishes the sample monorepo, then a
// change to one service, then tries to publish an image with a critical vulnerability.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/org/ghcr-publish/internal/action"
	"github.com/org/ghcr-publish/internal/githubtest"
	"github.com/org/ghcr-publish/internal/lab"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/sample"
	"github.com/spf13/pflag"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := demo(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// token stands for the job's token. The API demands it, and it must not turn up in what is printed.
const token = "ghs_demonstration0000000000000000000000"

func demo(ctx context.Context, args []string, out io.Writer) error {
	flags := pflag.NewFlagSet("demo", pflag.ContinueOnError)
	registry := flags.String("registry", "", "HOST:PORT of a registry to publish to; its images stay. By default one is started in this process.")
	noInstall := flags.Bool("no-install", false, "Install nothing; say what is missing instead.")
	verbose := flags.Bool("verbose", false, "Show the log of every run.")
	if err := flags.Parse(args); err != nil {
		return err
	}
	begun := time.Now()
	fmt.Fprintln(out, "Bringing up the real parts: Docker Engine, buildx, BuildKit, Trivy, a registry.")
	parts, err := lab.Up(ctx, lab.Options{Install: !*noInstall, Registry: *registry,
		Log: func(format string, args ...any) { fmt.Fprintf(out, "  "+format+"\n", args...) }})
	if err != nil {
		return err
	}
	defer parts.Close()
	fmt.Fprintf(out, "  ready after %s; the registry is %s\n", since(begun), parts.Registry)

	s, err := newStory(ctx, parts, out, *verbose)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.tell(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThat took %s. ", since(begun))
	if *registry == "" {
		fmt.Fprintln(out, "The registry was this process's own and ends with it; --registry HOST:PORT keeps the images.")
	} else {
		fmt.Fprintf(out, "The images are in %s; look at one with `crane manifest %s`.\n", parts.Registry, s.image("backend")+":main")
	}
	return nil
}

func since(t time.Time) string { return time.Since(t).Round(100 * time.Millisecond).String() }

// A story is the sample, published again and again.
type story struct {
	parts   *lab.Lab
	out     io.Writer
	verbose bool
	repo    *sample.Repo
	api     *githubtest.Server
	dir     string
	builder string
	runs    int
}

func newStory(ctx context.Context, parts *lab.Lab, out io.Writer, verbose bool) (*story, error) {
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "ghcr-publish-demo-")
	if err != nil {
		return nil, err
	}
	repo, err := sample.New(ctx, here, filepath.Join(dir, "cards"))
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return &story{parts: parts, out: out, verbose: verbose, repo: repo, dir: dir, api: githubtest.Start(token),
		builder: "ghcr-publish-demo-" + filepath.Base(dir)[len("ghcr-publish-demo-"):]}, nil
}

// close takes away what the story made outside the registry: its folder and its builder.
func (s *story) close() {
	s.api.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	env := append(s.parts.Environ(os.Environ()), "BUILDX_CONFIG="+filepath.Join(s.dir, "buildx"))
	for _, args := range [][]string{{"create", "--name", s.builder, "--driver", "docker-container"}, {"rm", s.builder}} {
		if _, err := run.OS(ctx, run.Command{Argv: append([]string{"buildx"}, args...), Env: env}); err != nil {
			fmt.Fprintf(s.out, "removing the builder: %v\n", err)
		}
	}
	os.RemoveAll(s.dir)
}

func (s *story) image(service string) string {
	return s.parts.Registry + "/" + strings.ToLower(sample.Owner) + "/" + sample.Images[service]
}

// tell is the demonstration, top to bottom. Each chapter checks that what it says is so.
func (s *story) tell(ctx context.Context) error {
	first, err := s.chapter(ctx, "A first push: three services, two platforms each", report.ExitDone)
	if err != nil {
		return err
	}
	if _, err := s.chapter(ctx, "The same commit again", report.ExitDone); err != nil {
		return err
	}
	if _, err := s.repo.Commit(ctx, "Greet", map[string]string{"backend/www/index.html": "<h1>Hello</h1>\n"}); err != nil {
		return err
	}
	second, err := s.chapter(ctx, "A change to backend alone", report.ExitDone)
	if err != nil {
		return err
	}
	if second.Services[0].Digest == first.Services[0].Digest {
		return errors.New("backend changed, and its digest did not")
	}
	dockerfile, err := s.repo.Read("backend/Dockerfile")
	if err != nil {
		return err
	}
	if _, err := s.repo.Commit(ctx, "Bring in an old library on arm64", map[string]string{"backend/Dockerfile": sample.Weaken(dockerfile)}); err != nil {
		return err
	}
	if _, err := s.chapter(ctx, "A critical vulnerability, on arm64 only", report.ExitRefused); err != nil {
		return err
	}
	return s.epilogue()
}

// chapter runs the program once, as a job of a workflow would, and tells what it did.
func (s *story) chapter(ctx context.Context, title string, want int) (report.Report, error) {
	s.runs++
	fmt.Fprintf(s.out, "\n%d. %s\n", s.runs, title)
	told, code, log, err := s.publish(ctx)
	if s.verbose || err != nil || code != want {
		fmt.Fprintf(s.out, "%s", log)
	}
	if err != nil {
		return told, err
	}
	if code != want {
		return told, fmt.Errorf("the run ended with exit code %d, not %d", code, want)
	}
	for _, service := range told.Services {
		tellService(s.out, service)
	}
	fmt.Fprintf(s.out, "   → %s (exit code %d, %.1f s)\n", told.Answer(), code, told.Seconds)
	return told, nil
}

func (s *story) publish(ctx context.Context) (told report.Report, code int, log string, err error) {
	temp := filepath.Join(s.dir, "runner")
	if err := os.MkdirAll(temp, 0o755); err != nil {
		return told, 0, "", err
	}
	env, err := s.repo.Environ(s.parts.Environ(os.Environ()), sample.Job{ID: fmt.Sprint(s.runs), API: s.api.URL, Token: token, Temp: temp})
	if err != nil {
		return told, 0, "", err
	}
	args := []string{"all", "--registry", s.parts.Registry, "--builder", s.builder}
	args = appendSet(args, "--builder-config", s.parts.BuildkitConfig)
	args = appendSet(args, "--trivy-db", strings.Join(s.parts.TrivyDB, ","))
	args = appendSet(args, "--binfmt-image", s.parts.BinfmtImage)
	var out bytes.Buffer
	code = action.Main(ctx, action.Process{Args: args, Environ: env, Dir: s.repo.Dir, Stdout: &out, Stderr: &out, Run: run.OS, Now: time.Now, Version: "demo"})
	if strings.Contains(strings.ReplaceAll(out.String(), "::add-mask::"+token, ""), token) {
		return told, code, "", errors.New("the log holds the token")
	}
	data, err := os.ReadFile(filepath.Join(temp, "ghcr-publish", "report.json"))
	if err != nil {
		return told, code, out.String(), fmt.Errorf("the run left no report: %w", err)
	}
	return told, code, out.String(), json.Unmarshal(data, &told)
}

func appendSet(args []string, flag, value string) []string {
	if value == "" {
		return args
	}
	return append(args, flag, value)
}

func tellService(out io.Writer, s report.Service) {
	fmt.Fprintf(out, "   %-9s %-6s %s\n", s.Name, s.Action, s.Reason)
	for _, p := range s.Platforms {
		fmt.Fprintf(out, "             %-12s %s  %.1f MB, %d CRITICAL, %d HIGH\n", p.Platform, short(p.Digest), float64(p.CompressedBytes)/1e6, p.Counts["CRITICAL"], p.Counts["HIGH"])
	}
	if s.Healthy {
		fmt.Fprintf(out, "             started in %.1f s, %.1f MB of memory at most\n", s.StartupSeconds, float64(s.PeakMemoryBytes)/1e6)
	}
	if len(s.Steps) > 0 {
		fmt.Fprintf(out, "             %.0f%% of its instructions from the cache\n", s.CacheHitRate*100)
	}
	for _, reason := range s.Verdict.Reasons {
		fmt.Fprintf(out, "             refused: %s\n", reason)
	}
	for _, m := range s.Moved {
		fmt.Fprintf(out, "             tagged %s → %s\n", m.Tag, short(m.To))
	}
	for _, k := range s.Kept {
		fmt.Fprintf(out, "             kept %s: %s\n", k.Tag, k.Why)
	}
}

func short(digest string) string { return digest[:min(19, len(digest))] }

// epilogue tells what GitHub got.
func (s *story) epilogue() error {
	if problems := s.api.Problems(); len(problems) > 0 {
		return fmt.Errorf("the GitHub API refused requests: %s", strings.Join(problems, "; "))
	}
	uploads := s.api.SARIFs()
	if len(uploads) == 0 {
		return errors.New("nothing was uploaded to code scanning")
	}
	last := uploads[len(uploads)-1]
	fmt.Fprintf(s.out, "\nCode scanning got %d uploads; the last has %d findings in the categories\n", len(uploads), last.Results)
	for _, category := range last.Categories {
		fmt.Fprintf(s.out, "   %s\n", category)
	}
	return nil
}
