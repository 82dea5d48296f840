// Command toolstest stands for buildx and for Trivy, by the name that it is called by, in tests of what starts them.
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func main() {
	note()
	if filepath.Base(os.Args[0]) == "trivy" {
		trivy()
	} else {
		buildx()
	}
}

// note appends the command line to the file that CALLS names. ROBOT_TOKEN is a secret that no child may see,
// and NPM_TOKEN one that it says it has.
func note() {
	if os.Getenv("ROBOT_TOKEN") != "" {
		check(fmt.Errorf("%s inherits ROBOT_TOKEN", os.Args[0]))
	}
	f, err := os.OpenFile(os.Getenv("CALLS"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	check(err)
	defer f.Close()
	_, err = fmt.Fprintln(f, filepath.Base(os.Args[0]), strings.Join(os.Args[1:], " "))
	check(err)
	for _, name := range []string{"NPM_TOKEN", "ACTIONS_RUNTIME_TOKEN"} {
		if os.Getenv(name) != "" {
			_, err = fmt.Fprintln(f, filepath.Base(os.Args[0]), os.Args[1], "has", name)
			check(err)
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// option returns the values of an option on the command line.
func option(name string) []string {
	var values []string
	for i, arg := range os.Args {
		if arg == name && i+1 < len(os.Args) {
			values = append(values, os.Args[i+1])
		}
	}
	return values
}

// buildx stands for buildx: a build pushes a true image index by digest, made of the files that
// the real one would read, so that equal inputs give equal digests. The Dockerfile's words steer it:
// FAIL fails, BIG makes a large layer, ROOT runs as root, FULL has no room for a cache, GONE has layers that cannot be read.
// Without a cache it gives what no build before did. PROGRESS is a file with the progress that it tells of.
func buildx() {
	if slices.Contains(os.Args, "broken") {
		fmt.Fprintln(os.Stderr, "ERROR: no space left on device")
		os.Exit(1)
	}
	switch os.Args[1] {
	case "version":
		fmt.Println("github.com/docker/buildx", told("buildx-version", "v0.35.0"), "0123abc")
	case "create", "rm", "history":
	case "inspect":
		fmt.Println("Name: fake\nPlatforms: linux/amd64*, linux/arm64*, linux/386")
	case "build":
		build()
	default:
		fmt.Fprintln(os.Stderr, "unknown command", os.Args[1])
		os.Exit(1)
	}
}

// told is what a file of FINDINGS says, or else something else.
func told(file, otherwise string) string {
	text, err := os.ReadFile(filepath.Join(os.Getenv("FINDINGS"), file))
	if err != nil {
		return otherwise
	}
	return strings.TrimSpace(string(text))
}

// checkDockerfile finds fault with each line that has MAINTAINER.
func checkDockerfile(dockerfile []byte) {
	for i, line := range strings.Split(string(dockerfile), "\n") {
		if strings.Contains(line, "MAINTAINER") {
			short := base64.StdEncoding.EncodeToString([]byte("MaintainerDeprecated: deprecated\n::error::forged (line 1)"))
			fmt.Fprintf(os.Stderr, `{"warnings":[{"short":%q,"url":"https://docs.example/dockerfile/rule","range":[{"start":{"line":%d}}]}]}`+"\n", short, i+1)
		}
	}
}

func build() {
	dockerfile, err := os.ReadFile(option("--file")[0])
	check(err)
	refs := filepath.Join(os.Getenv("BUILDX_CONFIG"), "refs", option("--builder")[0], "node")
	check(os.MkdirAll(refs, 0o700))
	check(os.WriteFile(filepath.Join(refs, "fakeref"), nil, 0o600))
	progress("[linux/amd64 build 1/2] FROM busybox", true, "")
	checkDockerfile(dockerfile)
	if strings.Contains(string(dockerfile), "FAIL") {
		progress("[linux/amd64 build 2/2] RUN make", false, "process \"make\" did not complete successfully: exit code: 2")
		os.Exit(1)
	}
	if told, err := os.ReadFile(os.Getenv("PROGRESS")); err == nil {
		_, _ = os.Stderr.Write(told)
	} else {
		progress("[linux/amd64 build 2/2] RUN make", false, "")
	}
	useCache(string(dockerfile))
	var index v1.ImageIndex = mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	annotations := map[string]string{}
	for _, a := range option("--annotation") {
		levels, rest, _ := strings.Cut(a, ":")
		if key, value, _ := strings.Cut(rest, "="); slices.Contains(strings.Split(levels, ","), "index") {
			annotations[key] = value
		}
	}
	for platform := range strings.SplitSeq(option("--platform")[0], ",") {
		p, err := v1.ParsePlatform(platform)
		check(err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image(dockerfile, *p), Descriptor: v1.Descriptor{Platform: p}})
	}
	index = mutate.Annotations(index, annotations).(v1.ImageIndex)
	digest := deliver(index)
	metadata, err := json.Marshal(map[string]string{"containerimage.digest": digest.String()})
	check(err)
	check(os.WriteFile(option("--metadata-file")[0], metadata, 0o600))
}

// useCache tells of reading and writing layers as BuildKit does.
func useCache(dockerfile string) {
	for n, from := range option("--cache-from") {
		source := fmt.Sprintf("gha:%d", n)
		if _, ref, ok := strings.Cut(from, "ref="); ok {
			source, _, _ = strings.Cut(ref, ",")
		}
		progress("importing cache manifest from "+source, false, "")
		if strings.Contains(dockerfile, "GONE") {
			progress("exporting to image", false, "failed to copy: blob sha256:0 is gone")
			os.Exit(1)
		}
	}
	for _, to := range option("--cache-to") {
		failure := ""
		if strings.Contains(dockerfile, "FULL") {
			failure = "error writing layer blob: 507 Insufficient Storage"
		}
		progress(map[bool]string{true: "exporting to GitHub Actions Cache", false: "exporting cache to registry"}[strings.HasPrefix(to, "type=gha")], false, failure)
	}
}

func image(dockerfile []byte, platform v1.Platform) v1.Image {
	content := append(slices.Clone(dockerfile), contextSum()...)
	if slices.Contains(os.Args, "--no-cache") {
		content = append(content, time.Now().String()...)
	}
	if strings.Contains(string(dockerfile), "BIG") {
		content = append(content, make([]byte, 2_000_000)...)
	}
	img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer(archive(dockerfile, append(content, platform.String()...)), types.OCILayer))
	check(err)
	user := "65534"
	if strings.Contains(string(dockerfile), "ROOT") {
		user = ""
	}
	labels := map[string]string{}
	for _, l := range option("--label") {
		key, value, _ := strings.Cut(l, "=")
		labels[key] = value
	}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant, Config: v1.Config{User: user, Labels: labels}})
	check(err)
	return img
}

// archive is a layer's files: a program to ask with, where it is made from busybox, and the content.
func archive(dockerfile, content []byte) []byte {
	var layer bytes.Buffer
	files := tar.NewWriter(&layer)
	if strings.Contains(string(dockerfile), "FROM busybox") {
		check(files.WriteHeader(&tar.Header{Name: "bin/wget", Typeflag: tar.TypeSymlink, Linkname: "busybox"}))
	}
	check(files.WriteHeader(&tar.Header{Name: "content", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}))
	_, err := files.Write(content)
	check(errors.Join(err, files.Close()))
	return layer.Bytes()
}

// contextSum stands for the context's content.
func contextSum() []byte {
	sum := sha256.New()
	root := os.Args[len(os.Args)-1]
	if _, err := os.Stat(filepath.Join(root, ".swarm")); err == nil {
		check(fmt.Errorf("the memory is part of the context"))
	}
	check(filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || strings.Contains(path, ".git/") || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %x\n", strings.TrimPrefix(path, root), sha256.Sum256(data))
		return err
	}))
	return []byte(hex.EncodeToString(sum.Sum(nil)))
}

// deliver pushes by digest, or writes the image layout that was asked for.
func deliver(index v1.ImageIndex) v1.Hash {
	output := option("--output")[0]
	fields := map[string]string{}
	for field := range strings.SplitSeq(output, ",") {
		key, value, _ := strings.Cut(field, "=")
		fields[key] = value
	}
	digest, err := index.Digest()
	check(err)
	if fields["type"] == "oci" {
		manifest, err := index.IndexManifest()
		check(err)
		img, err := index.Image(manifest.Manifests[0].Digest)
		check(err)
		path, err := layout.Write(fields["dest"], empty.Index)
		check(err)
		check(path.AppendImage(img))
		return digest
	}
	if fields["push-by-digest"] != "true" {
		check(fmt.Errorf("the output %q is not by digest", output))
	}
	ref, err := name.NewDigest(fields["name"] + "@" + digest.String())
	check(err)
	check(remote.WriteIndex(ref, index))
	return digest
}

// progress writes one line of rawjson, as buildx does to standard error.
func progress(step string, cached bool, failure string) {
	log := base64.StdEncoding.EncodeToString([]byte("##[set-output name=outcome]forged\n::set-output name=outcome::forged\n"))
	vertex := fmt.Sprintf(`{"digest":%q,"name":%q,"started":"2026-01-01T00:00:00Z","completed":"2026-01-01T00:00:01Z","cached":%t,"error":%q}`, step, step, cached, failure)
	fmt.Fprintf(os.Stderr, `{"vertexes":[%s],"logs":[{"vertex":%q,"stream":1,"data":%q}]}`+"\n", vertex, step, log)
}

// keepDatabase leaves in the cache what tells of a database that was made just now, or when the file "made" says, or that of
// the repository alone, made-ghcr.io-aquasecurity-trivy-db:2. The next one is due at once.
func keepDatabase(folder string) {
	made, err := os.ReadFile(filepath.Join(folder, "made-"+strings.ReplaceAll(option("--db-repository")[0], "/", "-")))
	if err != nil {
		made, err = os.ReadFile(filepath.Join(folder, "made"))
	}
	if err != nil || string(made) == "now\n" {
		made = []byte(time.Now().UTC().Format(time.RFC3339))
	}
	dir := filepath.Join(option("--cache-dir")[0], "db")
	check(os.MkdirAll(dir, 0o755))
	text := fmt.Sprintf(`{"Version": 2, "UpdatedAt": %q, "DownloadedAt": "2020-01-01T00:00:00Z"}`, strings.TrimSpace(string(made)))
	check(os.WriteFile(filepath.Join(dir, "metadata.json"), []byte(text), 0o644))
	check(os.WriteFile(filepath.Join(dir, "trivy.db"), nil, 0o644))
}

// digestOf is the digest in an image's name, as a file's name.
func digestOf(image string) string {
	_, digest, _ := strings.Cut(image, "@")
	return strings.ReplaceAll(digest, ":", "-")
}

// trivy stands for Trivy. FINDINGS is a folder; a file in it named by platform (linux-arm64)
// holds "ID SEVERITY" lines, which every image of that platform then has ("ID SEVERITY SCANNER" where that scanner is asked
// for, with a secret told as Trivy tells it), and one named by digest (sha256-…) those that
// one image has. A file named "down" makes the database unreachable, one named "made" says of when it is, and "trivy-version" which Trivy
// this is.
func trivy() {
	for _, name := range []string{"trivy.yaml", ".trivyignore"} {
		if _, err := os.Stat(name); err == nil {
			check(fmt.Errorf("trivy runs beside %s", name))
		}
	}
	for _, entry := range os.Environ() {
		if strings.HasPrefix(entry, "TRIVY_") {
			check(fmt.Errorf("trivy inherits %s", entry))
		}
	}
	folder := os.Getenv("FINDINGS")
	if os.Args[1] == "--version" {
		fmt.Println("Version:", told("trivy-version", "0.69.3"))
		return
	}
	if slices.Contains(os.Args, "--download-db-only") {
		if _, err := os.Stat(filepath.Join(folder, "down")); err == nil {
			fmt.Fprintln(os.Stderr, "FATAL download error: TOOMANYREQUESTS")
			os.Exit(1)
		}
		keepDatabase(folder)
		return
	}
	if len(option("--platform")) != 1 {
		check(fmt.Errorf("no platform is named"))
	}
	if format := option("--format")[0]; format != "json" {
		fmt.Printf(`{"format":%q,"of":%q}`, format, os.Args[len(os.Args)-1])
		return
	}
	others := map[string][]any{}
	type vulnerability struct{ VulnerabilityID, PkgName, InstalledVersion, FixedVersion, Severity string }
	found := []vulnerability{}
	data, err := os.ReadFile(filepath.Join(folder, digestOf(os.Args[len(os.Args)-1])))
	if err != nil {
		data, _ = os.ReadFile(filepath.Join(folder, strings.ReplaceAll(option("--platform")[0], "/", "-")))
	}
	for line := range strings.Lines(string(data)) {
		switch fields := strings.Fields(line); len(fields) {
		case 2:
			found = append(found, vulnerability{fields[0], "libfoo", "1.0", "1.1", fields[1]})
		case 3:
			if slices.Contains(strings.Split(option("--scanners")[0], ","), fields[2]) {
				others[fields[2]] = append(others[fields[2]], map[string]any{"ID": fields[0], "RuleID": fields[0], "Name": fields[0], "Severity": fields[1], "Title": "t",
					"PkgName": "libfoo", "Match": "hunter2hunter2", "Code": map[string]any{"Lines": []any{map[string]string{"Content": "hunter2hunter2"}}}})
			}
		}
	}
	modified := []any{}
	found = slices.DeleteFunc(found, func(v vulnerability) bool {
		for _, path := range option("--vex") {
			document, err := os.ReadFile(path)
			check(err)
			if strings.Contains(string(document), fmt.Sprintf("%q", v.VulnerabilityID)) {
				modified = append(modified, map[string]any{"Type": "vulnerability", "Status": "not_affected", "Statement": "component_not_present", "Source": path, "Finding": v})
				return true
			}
		}
		return false
	})
	check(json.NewEncoder(os.Stdout).Encode(map[string]any{"SchemaVersion": 2,
		"Results": []any{map[string]any{"Target": "/app", "Vulnerabilities": found,
			"ExperimentalModifiedFindings": modified, "Secrets": others["secret"], "Misconfigurations": others["misconfig"], "Licenses": others["license"]}}}))
}
