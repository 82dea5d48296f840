package lab

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aquasecurity/trivy-db/pkg/db"
	"github.com/aquasecurity/trivy-db/pkg/metadata"
	"github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestTrivyDBComesBackAsTrivyWantsIt(t *testing.T) {
	t.Parallel()
	s, l := newSetup(t), openLab(t)
	if err := s.pushTrivyDB(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if want := []string{l.Registry + "/aquasec/trivy-db:2"}; !slices.Equal(l.TrivyDB, want) {
		t.Errorf("TrivyDB = %v, want %v", l.TrivyDB, want)
	}
	ref, err := l.reference(trivyDBPath)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.Config.MediaType != "application/vnd.aquasec.trivy.config.v1+json" || len(manifest.Layers) != 1 {
		t.Fatalf("the manifest is %+v", manifest)
	}
	layer := manifest.Layers[0]
	if layer.MediaType != "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip" || layer.Annotations["org.opencontainers.image.title"] != "db.tar.gz" {
		t.Errorf("the layer is %+v", layer)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	body, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	checkTrivyDB(t, untar(t, body))
}

// checkTrivyDB reads a downloaded database the way Trivy does.
func checkTrivyDB(t *testing.T, files map[string][]byte) {
	t.Helper()
	var about metadata.Metadata
	if err := json.Unmarshal(files["metadata.json"], &about); err != nil {
		t.Fatal(err)
	}
	if about.Version != db.SchemaVersion || time.Until(about.NextUpdate) < time.Hour || time.Since(about.UpdatedAt) > time.Hour {
		t.Errorf("the metadata is %+v, want a fresh database of schema %d", about, db.SchemaVersion)
	}
	openDB.Lock()
	defer openDB.Unlock()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "trivy.db"), files["trivy.db"], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := db.Init(dir); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	found, err := db.Config{}.GetAdvisories("npm::", "minimist")
	if err != nil || len(found) != 2 {
		t.Fatalf("GetAdvisories(minimist) = %+v, %v; want two", found, err)
	}
	for _, a := range found {
		if a.DataSource == nil || a.DataSource.ID != "ghsa" || len(a.VulnerableVersions) != 2 {
			t.Errorf("an advisory is %+v", a)
		}
	}
	v, err := db.Config{}.GetVulnerability("CVE-2021-44906")
	if err != nil || v.VendorSeverity["ghsa"] != types.SeverityCritical || v.CVSS["ghsa"].V3Score != 9.8 {
		t.Errorf("GetVulnerability() = %+v, %v", v, err)
	}
	if found, err := (db.Config{}).GetAdvisories("debian 12", "openssl"); err != nil || len(found) != 1 || found[0].FixedVersion != "3.0.8-1" {
		t.Errorf("GetAdvisories(openssl) = %+v, %v", found, err)
	}
}

func untar(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		var content bytes.Buffer
		if _, err := io.Copy(&content, archive); err != nil {
			t.Fatal(err)
		}
		files[header.Name] = content.Bytes()
	}
}

func TestAdvisoriesAreWhole(t *testing.T) {
	t.Parallel()
	for _, a := range advisories {
		v := a.vulnerability()
		if v.PublishedDate == nil || v.Title == "" || v.VendorSeverity[a.scorer] == types.SeverityUnknown || len(a.fixed) == 0 {
			t.Errorf("%s is incomplete: %+v", a.id, v)
		}
		if a.bucket.name == npm.name && (a.alias == "" || len(a.vulnerable) != len(a.fixed)) {
			t.Errorf("%s: each range of versions ends with a fixed one", a.id)
		}
	}
}
