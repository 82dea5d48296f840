package action

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/compose"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
	"github.com/org/ghcr-publish/internal/verdict"
	"golang.org/x/sync/errgroup"
)

// composeMode writes the Compose file of what is live, and nothing else.
func composeMode(ctx context.Context, p Process, j job, log *actions.Log) (int, error) {
	log.Printf("writing the Compose file of what is live to %s", j.Config.ComposeFile)
	made, notices, err := j.compose(ctx, p, log, nil)
	if err != nil {
		return 0, err
	}
	for _, n := range notices {
		log.Warning(actions.Annotation{Title: "Compose", Message: n})
	}
	log.Answer("%s", made.Answer())
	if err := actions.AppendSummary(p.Getenv("GITHUB_STEP_SUMMARY"), made.Summary()); err != nil {
		return 0, err
	}
	if err := writeOutputs(p, [][2]string{{"compose-file", hostPath(ctx, p, made.File)}}); err != nil {
		return 0, err
	}
	return report.ExitDone, printJSON(p, j, made)
}

// compose writes the Compose file of what is published now, where the configuration wants one. It fails no run: the images are published.
func (s *session) compose(ctx context.Context, results []publish.Result) *report.Composition {
	if s.job.Config.Compose == nil || !s.job.pushes() {
		return nil
	}
	made, notices, err := s.job.compose(ctx, s.process, s.log, results)
	if err != nil {
		notices = append(notices, fmt.Sprintf("No Compose file was written: %v", err))
	}
	for _, n := range notices {
		n = s.log.Redact(n)
		s.log.Warning(actions.Annotation{Title: "Compose", Message: n})
		s.notices = append(s.notices, n)
	}
	if made != nil {
		s.log.Printf("%s", made.Answer())
	}
	return made
}

// compose writes the file, with what the results of a run have published and, for all other services, with what is live.
func (j job) compose(ctx context.Context, p Process, log *actions.Log, results []publish.Result) (made *report.Composition, notices []string, err error) {
	images, err := j.composeImages(ctx, results)
	if err != nil {
		return nil, nil, err
	}
	away := j.fromMirror(ctx, images)
	project := compose.Project{Name: compose.Name(j.repositoryName()), Wanted: *j.Config.Compose, Images: images, StartPeriod: j.Config.Gates.Startup.Within}
	file, err := j.composeText(ctx, &project)
	if err != nil {
		return nil, nil, err
	}
	if text := string(file.Compose); log.Redact(text) != text {
		return nil, nil, errors.New("it would hold a secret of this run: let `secrets` name a file of the machine that has it")
	}
	kept, err := j.writeCompose(p, file)
	if err != nil {
		return nil, nil, err
	}
	made = &report.Composition{File: j.at(j.Config.ComposeFile), Services: []report.Composed{}}
	for _, i := range images {
		made.Services = append(made.Services, report.Composed{Name: i.Service.Name, Image: i.Repository(), Tag: i.Tag, Digest: i.Digest})
	}
	return made, slices.Concat(file.Notices, away, kept), nil
}

// composeText makes the file of the one that it is to be made from, or else of the services.
func (j job) composeText(ctx context.Context, project *compose.Project) (compose.File, error) {
	if from := project.Wanted.From; from != "" {
		source, err := j.readFile(from)
		if err != nil {
			return compose.File{}, err
		}
		file, err := project.Pin(ctx, source)
		if err != nil {
			err = fmt.Errorf("putting images into %s: %w", from, err)
		}
		return file, err
	}
	project.Pins = map[string]string{}
	if j.before != "" {
		if err := project.Keep([]byte(j.before)); err != nil {
			return compose.File{}, fmt.Errorf("reading the Compose file that was deployed last: %w", err)
		}
	}
	var unpinned []string
	read := j.baseImages()
	for _, ref := range project.Others() {
		if project.Pins[ref] != "" {
			continue
		}
		found, err := read(ctx, ref, false)
		if err != nil {
			unpinned = append(unpinned, fmt.Sprintf("%s is in the Compose file without a digest, since that could not be read: %v", ref, err))
			continue
		}
		project.Pins[ref] = found.Digest
	}
	file, err := project.Write(ctx)
	file.Notices = append(file.Notices, unpinned...)
	return file, err
}

// composeImages are those of all services that are part of the file.
func (j job) composeImages(ctx context.Context, results []publish.Result) ([]compose.Image, error) {
	var images []compose.Image
	var rest []service.Service
	read := map[string]registry.Image{}
	for _, s := range j.Config.Services {
		if s.InCompose().Out {
			continue
		}
		if at := slices.IndexFunc(results, func(r publish.Result) bool { return r.Plan.Name == s.Name && publishedAs(r) != "" }); at >= 0 {
			r := results[at]
			read[s.Name] = r.Candidate.Image
			images = append(images, compose.Image{Service: s, Tag: publishedAs(r), Digest: r.Candidate.Image.Ref.DigestStr()})
			continue
		}
		rest = append(rest, s)
	}
	live, err := j.planner().Live(ctx, rest)
	if err != nil {
		return nil, err
	}
	for _, l := range live {
		images = append(images, compose.Image{Service: l.Service, Tag: l.Tag, Digest: l.Digest})
	}
	return images, j.describe(ctx, images, read)
}

// publishedAs is the tag that a run has given to what it approved, that of the highest priority; empty where it gave none.
func publishedAs(r publish.Result) string {
	if r.Plan.Action == plan.Skip || !r.Approved() {
		return ""
	}
	first := ""
	for _, tag := range r.Plan.TagSet.Names() {
		given := slices.ContainsFunc(r.Moves, func(m tags.Move) bool { return m.Tag == tag && (m.Kept == "" || m.From == m.To) })
		if given && (first == "" || tag == r.Plan.TagSet.Version) {
			first = tag
		}
	}
	return first
}

// describe adds what the images themselves tell of how they run.
func (j job) describe(ctx context.Context, images []compose.Image, read map[string]registry.Image) error {
	if j.Config.Compose.From != "" {
		return nil // which says it
	}
	client := j.registryClient()
	failed := make([]error, len(images))
	var group errgroup.Group
	group.SetLimit(j.Config.MaxParallel)
	for n := range images {
		group.Go(func() error {
			failed[n] = look(ctx, client, &images[n], read[images[n].Service.Name])
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(failed...)
}

// fromMirror has images be pulled from the mirror that was named, as far as it holds them.
func (j job) fromMirror(ctx context.Context, images []compose.Image) (notices []string) {
	at := slices.IndexFunc(j.Config.Mirrors, func(m service.Mirror) bool { return m.Image == j.Config.Compose.Mirror })
	if at < 0 {
		return nil
	}
	m := j.Config.Mirrors[at]
	client := mirrorClient(m)
	ctx, cancel := context.WithTimeoutCause(ctx, baseTime, fmt.Errorf("no answer within %s", baseTime))
	defer cancel()
	for n := range images {
		name := m.Of(images[n].Service)
		if _, err := client.Base(ctx, name+"@"+images[n].Digest, false, nil); err != nil {
			notices = append(notices, fmt.Sprintf("%s is not what is published of %s, which the Compose file has from its own registry: %v", name, images[n].Service.Name, err))
			continue
		}
		images[n].Mirrored = name
	}
	return notices
}

// look reads an image, unless it was read already, and what it has to ask a service with.
func look(ctx context.Context, client *registry.Client, i *compose.Image, known registry.Image) error {
	if len(known.Platforms) == 0 {
		ref, err := client.Digest(i.Service.Image, i.Digest)
		if err != nil {
			return err
		}
		if known, err = client.Read(ctx, ref); err != nil {
			return err
		}
	}
	if len(known.Platforms) == 0 {
		return fmt.Errorf("%s@%s holds no image that could be run", i.Service.Image, i.Digest)
	}
	platform := known.Platforms[0]
	i.Checked, i.Root = platform.Config.Healthcheck, verdict.IsRoot(platform.User)
	if i.Checked || i.Service.Port == 0 || i.Service.RunOnce != nil {
		return nil
	}
	ref, err := client.Digest(i.Service.Image, platform.Digest.String())
	if err != nil {
		return err
	}
	i.Programs, err = client.Programs(ctx, ref, compose.Programs[:])
	return err
}

// exampleFile lies beside the Compose file.
const exampleFile = ".env.example"

// A place is a file in a folder that nothing leads out of.
type place struct{ root, file string }

// place is where a file or folder is that somebody has named: in a folder for temporary files, or in the workspace.
func (j job) place(p Process, path string) (place, error) {
	at, err := resolved(j.at(path))
	if err != nil {
		return place{}, err
	}
	roots := []string{workDir(p, j.Event), j.Workspace}
	if j.Event.Temp != "" {
		roots = append(roots, tempDir(j.Event))
	}
	for _, root := range roots {
		real, err := resolved(root)
		if err != nil {
			return place{}, err
		}
		if inside, err := filepath.Rel(real, at); err == nil && filepath.IsLocal(inside) && inside != "." {
			return place{real, inside}, nil
		}
	}
	return place{}, errors.New("it is neither in the workspace nor in the runner's folder for temporary files")
}

// resolved is a path without links, as far as it is there.
func resolved(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
		return real, err
	}
	parent, err := resolved(filepath.Dir(path))
	return filepath.Join(parent, filepath.Base(path)), err
}

// checkCompose finds what would keep the Compose file from being written, and whom it would be in the way of.
func (j job) checkCompose(ctx context.Context, p Process, problems *service.Problems) {
	c := j.Config.Compose
	if c == nil {
		return
	}
	at, err := j.place(p, j.Config.ComposeFile)
	if err != nil {
		problems.Add("compose-file", "give a path in one of them", "%s: %v", j.Config.ComposeFile, err)
	}
	if workspace, _ := resolved(j.Workspace); err == nil && at.root == workspace {
		j.checkInWorkspace(at.file, problems)
	}
	if c.From == "" {
		return
	}
	source, err := j.readFile(c.From)
	if err == nil {
		err = compose.Check(ctx, source)
	}
	if err != nil {
		problems.Add(c.At, "give a Compose file of the repository", "%s: %v", c.From, err)
	}
}

func (j job) checkInWorkspace(file string, problems *service.Problems) {
	name := filepath.ToSlash(file)
	if name == j.Config.Compose.From || name == j.Config.File || isGits(name) {
		problems.Add("compose-file", "give it another name", "%s is a file that the repository has", name)
	}
	for _, written := range []string{name, filepath.ToSlash(filepath.Join(filepath.Dir(file), exampleFile))} {
		j.checkNotTaken("compose-file", written, written, problems)
	}
}

// checkNotTaken finds a file that a build would take in, where a setting has it written, and tells of it by a name that the user knows.
func (j job) checkNotTaken(setting, name, file string, problems *service.Problems) {
	if taken := plan.Takes(j.Workspace, j.Config.Services, file); taken != "" {
		problems.Add(setting, "name it in the ignore file, or leave it in the folder for temporary files", "%s would be part of what %s is built from", name, taken)
	}
}

// isGits reports whether a path in the workspace is git's own.
func isGits(path string) bool { return path == ".git" || strings.HasPrefix(path, ".git/") }

// writeCompose writes the file and what lies beside it. An example that somebody else has written is kept.
func (j job) writeCompose(p Process, file compose.File) (notices []string, err error) {
	at, err := j.place(p, j.Config.ComposeFile)
	if err == nil {
		err = os.MkdirAll(at.root, 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", j.Config.ComposeFile, err)
	}
	root, err := os.OpenRoot(at.root)
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", j.Config.ComposeFile, err)
	}
	defer root.Close()
	if err := replace(root, at.file, file.Compose); err != nil {
		return nil, err
	}
	example := filepath.Join(filepath.Dir(at.file), exampleFile)
	if there, err := root.ReadFile(example); err == nil && !bytes.HasPrefix(there, []byte(compose.ExampleHead)) {
		return []string{fmt.Sprintf("%s is somebody's own, and was kept; it may lack variables of the Compose file.", example)}, nil
	}
	return nil, replace(root, example, file.Example)
}

// replace writes a file of a folder beside its place and renames it, so that nobody reads half of it, and of several writers none is in another's way.
func replace(root *os.Root, file string, data []byte) error {
	beside := file + "." + rand.Text() + ".new"
	err := root.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = root.WriteFile(beside, data, 0o644)
	}
	if err == nil {
		err = root.Rename(beside, file)
	}
	if err != nil {
		_ = root.Remove(beside)
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}
