package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/moby/moby/client"

	"github.com/org/ghcr-publish/internal/run"
)

const (
	// buildx looks for this name among the engine's own images when it cannot pull it.
	buildkitImage = "moby/buildkit:buildx-stable-1"

	// madeLabel marks an image made here with what it was made from, so that a change makes it anew.
	madeLabel = "ghcr-publish.lab"
)

// makeImages makes what Docker Hub would give: the base image in the registry, BuildKit and the
// emulators' image in the engine's own store.
func (s *setup) makeImages(ctx context.Context, l *Lab) error {
	emulated, ok := emulators[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("making images: no emulator is known for a machine of architecture %s", runtime.GOARCH)
	}
	// In one go, since each download reads the package lists first.
	wanted := busyboxPackages()
	if !s.stored(ctx, binfmtImage, emulated.made()) {
		wanted = append(wanted, qemuPackage)
	}
	debs, err := s.packages(ctx, wanted...)
	if err != nil {
		return err
	}
	box, err := s.busybox(ctx, debs)
	if err != nil {
		return err
	}
	if err := s.pushBusybox(ctx, l, box); err != nil {
		return err
	}
	if err := s.makeBuildkit(ctx, buildkitImage, box[runtime.GOARCH]); err != nil {
		return err
	}
	l.BinfmtImage = binfmtImage
	return s.makeBinfmt(ctx, binfmtImage, emulated, box[runtime.GOARCH], debs[qemuPackage])
}

// stored reports whether the engine has an image that need not be made: somebody else's, or ours made from the same.
func (s *setup) stored(ctx context.Context, image, made string) bool {
	found, err := s.engine.ImageInspect(ctx, image)
	if err != nil {
		return false
	}
	if found.Config == nil {
		return true
	}
	label, ours := found.Config.Labels[madeLabel]
	return !ours || label == made
}

// load gives the engine an image of one layer.
func (s *setup) load(ctx context.Context, image, made string, files []file, changes ...string) error {
	s.say("making %s", image)
	r, w := io.Pipe()
	go func() { w.CloseWithError(writeTar(w, files)) }()
	defer r.Close()
	answer, err := s.engine.ImageImport(ctx,
		client.ImageImportSource{Source: r, SourceName: "-"}, image,
		client.ImageImportOptions{Changes: append(changes, "LABEL "+madeLabel+"="+made)})
	if err != nil {
		return fmt.Errorf("making %s: %w", image, err)
	}
	defer answer.Close()
	if err := importError(answer); err != nil {
		return fmt.Errorf("making %s: %w", image, err)
	}
	return nil
}

// importError reads the engine's progress to its end: a failure comes as its last message.
func importError(progress io.Reader) error {
	messages := json.NewDecoder(progress)
	for {
		var message struct{ Error string }
		err := messages.Decode(&message)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading the engine's answer: %w", err)
		case message.Error != "":
			return errors.New(message.Error)
		}
	}
}

// makeBuildkit makes BuildKit's image out of the compiled programs and this machine's runc.
func (s *setup) makeBuildkit(ctx context.Context, image string, root []file) error {
	if s.stored(ctx, image, s.module.buildkit) {
		return nil
	}
	files := append(slices.Clone(root),
		file{name: "usr/bin/", mode: 0o755}, file{name: "run/", mode: 0o755},
		file{name: "var/lib/buildkit/", mode: 0o700})
	copies := map[string]string{
		filepath.Join(s.bin(), "buildkitd"): "usr/bin/buildkitd",
		filepath.Join(s.bin(), "buildctl"):  "usr/bin/buildctl",
	}
	runc, err := runcFiles(ctx)
	if err != nil {
		return fmt.Errorf("making %s: %w", image, err)
	}
	maps.Copy(copies, runc)
	if bundle := authorities(os.Getenv("SSL_CERT_FILE")); bundle != "" {
		copies[bundle] = "etc/ssl/certs/ca-certificates.crt"
	}
	copied, err := copyIn(copies)
	if err != nil {
		return fmt.Errorf("making %s: %w", image, err)
	}
	return s.load(ctx, image, s.module.buildkit, append(files, copied...), `ENTRYPOINT ["buildkitd"]`, "VOLUME /var/lib/buildkit")
}

// runcFiles maps runc and the libraries it is linked with to their places in an image.
func runcFiles(ctx context.Context) (map[string]string, error) {
	path, err := run.Find(os.Environ(), "runc", "/usr/sbin/runc", "/usr/bin/runc")
	if err != nil {
		return nil, fmt.Errorf("finding runc (Debian: apt-get install runc): %w", err)
	}
	return linked(ctx, path, "usr/bin/runc")
}

// linked maps a program to its place in an image, and the libraries it is linked with to theirs.
func linked(ctx context.Context, path, place string) (map[string]string, error) {
	out, err := run.OS(ctx, run.Command{Argv: []string{"ldd", path}, Env: os.Environ()})
	if err != nil && !strings.Contains(err.Error(), "not a dynamic executable") {
		return nil, fmt.Errorf("listing the libraries of %s: %w", path, err)
	}
	files := map[string]string{path: place}
	for _, library := range libraries(string(out)) {
		files[library] = strings.TrimPrefix(library, "/")
	}
	return files, nil
}

// libraries picks the paths out of what ldd prints.
func libraries(ldd string) []string {
	return slices.DeleteFunc(strings.Fields(ldd), func(word string) bool { return !strings.HasPrefix(word, "/") })
}

// authorities is the bundle of certificate authorities that this machine trusts, if it has one.
func authorities(configured string) string {
	for _, path := range []string{configured, "/etc/ssl/certs/ca-certificates.crt"} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// copyIn reads files of this machine for an image, in the order of their new names.
func copyIn(copies map[string]string) ([]file, error) {
	var files []file
	for from, to := range copies {
		info, err := os.Stat(from)
		if err != nil {
			return nil, err
		}
		data, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: to, mode: int64(info.Mode() & fs.ModePerm), data: data})
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, nil
}
