package lab

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aquasecurity/trivy-db/pkg/db"
	"github.com/aquasecurity/trivy-db/pkg/metadata"
	"github.com/aquasecurity/trivy-db/pkg/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	media "github.com/google/go-containerregistry/pkg/v1/types"
	bolt "go.etcd.io/bbolt"
)

const (
	trivyDBPath = "aquasec/trivy-db:2"

	trivyConfigType media.MediaType = "application/vnd.aquasec.trivy.config.v1+json"
	trivyLayerType  media.MediaType = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip"

	// trivyDBFresh is how long Trivy keeps the database before it looks for a newer one.
	trivyDBFresh = 24 * time.Hour
)

// pushTrivyDB pushes a database of today: Trivy refuses none for its age, but fetches an old one again and again.
func (s *setup) pushTrivyDB(ctx context.Context, l *Lab) error {
	ref, err := l.reference(trivyDBPath)
	if err != nil {
		return err
	}
	dir, remove, err := s.scratch()
	if err != nil {
		return err
	}
	defer remove()
	artifact, err := trivyDB(dir, time.Now())
	if err != nil {
		return fmt.Errorf("making a vulnerability database: %w", err)
	}
	if err := remote.Write(ref, artifact, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("pushing the vulnerability database: %w", err)
	}
	l.TrivyDB = []string{l.Registry + "/" + trivyDBPath}
	return nil
}

// trivyDB is a vulnerability database in the form Trivy downloads: an OCI artifact of one archive.
func trivyDB(dir string, now time.Time) (v1.Image, error) {
	if err := writeTrivyDB(dir, now); err != nil {
		return nil, err
	}
	archive, err := packTrivyDB(dir)
	if err != nil {
		return nil, err
	}
	image := mutate.MediaType(empty.Image, media.OCIManifestSchema1)
	image = mutate.ConfigMediaType(image, trivyConfigType)
	return mutate.Append(image, mutate.Addendum{
		Layer:       static.NewLayer(archive, trivyLayerType),
		Annotations: map[string]string{"org.opencontainers.image.title": "db.tar.gz"},
	})
}

func packTrivyDB(dir string) ([]byte, error) {
	var files []file
	for _, path := range []string{db.Path(dir), metadata.Path(dir)} {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: filepath.Base(path), mode: 0o644, data: data})
	}
	var archive bytes.Buffer
	compressed := gzip.NewWriter(&archive)
	if err := errors.Join(writeTar(compressed, files), compressed.Close()); err != nil {
		return nil, err
	}
	return archive.Bytes(), nil
}

// openDB guards Trivy's database package, which knows only one open database at a time.
var openDB sync.Mutex

func writeTrivyDB(dir string, now time.Time) (err error) {
	openDB.Lock()
	defer openDB.Unlock()
	if err := db.Init(dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var store db.Config
	if err := store.BatchUpdate(func(tx *bolt.Tx) error { return putAdvisories(store, tx) }); err != nil {
		return err
	}
	// Only what is saved from it belongs in a published database.
	if err := store.DeleteAdvisoryDetailBucket(); err != nil {
		return err
	}
	return metadata.NewClient(dir).Update(metadata.Metadata{
		Version:    db.SchemaVersion,
		UpdatedAt:  now.UTC(),
		NextUpdate: now.UTC().Add(trivyDBFresh),
	})
}

func putAdvisories(store db.Config, tx *bolt.Tx) error {
	for _, a := range advisories {
		if err := errors.Join(
			store.PutDataSource(tx, a.bucket.name, a.bucket.source),
			store.PutAdvisoryDetail(tx, a.id, a.pkg, []string{a.bucket.name}, a.affected()),
			store.SaveAdvisoryDetails(tx, a.id),
			store.PutVulnerability(tx, a.id, a.vulnerability()),
		); err != nil {
			return fmt.Errorf("storing %s: %w", a.id, err)
		}
	}
	return nil
}

// A bucket is where Trivy looks for the advisories of one ecosystem.
type bucket struct {
	name   string
	source types.DataSource
}

var (
	npm = bucket{"npm::GitHub Security Advisory npm", types.DataSource{
		ID: "ghsa", Name: "GitHub Security Advisory npm", URL: "https://github.com/advisories?query=type%3Areviewed+ecosystem%3Anpm",
	}}
	debian12 = bucket{"debian 12", types.DataSource{
		ID: "debian", Name: "Debian Security Tracker", URL: "https://salsa.debian.org/security-tracker-team/security-tracker",
	}}
)

// An advisory is a published one, as its source has it.
type advisory struct {
	bucket     bucket
	id, alias  string
	pkg        string
	vulnerable []string // ranges, for an npm package
	fixed      []string
	scorer     types.SourceID // who says how severe it is
	severity   types.Severity
	score      float64 // CVSS 3.1; 0 where nobody gave one
	vector     string
	weakness   string
	published  string
	title      string
}

var advisories = []advisory{
	{
		bucket: npm, id: "CVE-2021-44906", alias: "GHSA-xvch-5gv4-984h", pkg: "minimist",
		vulnerable: []string{"<0.2.4", ">=1.0.0, <1.2.6"}, fixed: []string{"0.2.4", "1.2.6"},
		scorer: "ghsa", severity: types.SeverityCritical, score: 9.8, vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
		weakness: "CWE-1321", published: "2022-03-17", title: "Prototype Pollution in minimist",
	},
	{
		bucket: npm, id: "CVE-2020-7598", alias: "GHSA-vh95-rmgr-6w4m", pkg: "minimist",
		vulnerable: []string{"<0.2.1", ">=1.0.0, <1.2.3"}, fixed: []string{"0.2.1", "1.2.3"},
		scorer: "ghsa", severity: types.SeverityMedium, score: 5.6, vector: "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:L/I:L/A:L",
		weakness: "CWE-1321", published: "2020-03-11", title: "Prototype Pollution in minimist",
	},
	{
		bucket: npm, id: "CVE-2019-10744", alias: "GHSA-jf85-cpcp-j695", pkg: "lodash",
		vulnerable: []string{"<4.17.12"}, fixed: []string{"4.17.12"},
		scorer: "ghsa", severity: types.SeverityCritical, score: 9.1, vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:H",
		weakness: "CWE-1321", published: "2019-07-26", title: "Prototype Pollution in lodash",
	},
	{
		bucket: npm, id: "CVE-2021-23362", alias: "GHSA-43f8-2h32-f4cj", pkg: "hosted-git-info",
		vulnerable: []string{"<2.8.9", ">=3.0.0, <3.0.8"}, fixed: []string{"2.8.9", "3.0.8"},
		scorer: "ghsa", severity: types.SeverityMedium, score: 5.3, vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:L",
		weakness: "CWE-400", published: "2021-03-23", title: "Regular Expression Denial of Service in hosted-git-info",
	},
	{
		bucket: npm, id: "CVE-2024-47764", alias: "GHSA-pxg6-pf52-xh8x", pkg: "cookie",
		vulnerable: []string{"<0.7.0"}, fixed: []string{"0.7.0"},
		scorer: "ghsa", severity: types.SeverityLow,
		weakness: "CWE-74", published: "2024-10-04", title: "cookie accepts cookie name, path, and domain with out of bounds characters",
	},
	{
		bucket: debian12, id: "CVE-2023-0286", pkg: "openssl", fixed: []string{"3.0.8-1"},
		scorer: "nvd", severity: types.SeverityHigh, score: 7.4, vector: "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:N/A:H",
		weakness: "CWE-843", published: "2023-02-08", title: "openssl: X.400 address type confusion in X.509 GeneralName",
	},
}

// affected says which versions have the fault and which no longer do.
func (a advisory) affected() types.Advisory {
	if a.bucket.name == debian12.name {
		return types.Advisory{FixedVersion: strings.Join(a.fixed, ", ")}
	}
	return types.Advisory{VendorIDs: []string{a.alias}, VulnerableVersions: a.vulnerable, PatchedVersions: a.fixed}
}

// vulnerability says what the fault is, whatever it is found in.
func (a advisory) vulnerability() types.Vulnerability {
	v := types.Vulnerability{
		Title:          a.title,
		CweIDs:         []string{a.weakness},
		VendorSeverity: types.VendorSeverity{a.scorer: a.severity},
		References:     []string{"https://nvd.nist.gov/vuln/detail/" + a.id},
	}
	if a.alias != "" {
		v.References = append(v.References, "https://github.com/advisories/"+a.alias)
	}
	if a.score > 0 {
		v.CVSS = types.VendorCVSS{a.scorer: {V3Score: a.score, V3Vector: a.vector}}
	}
	if day, err := time.Parse(time.DateOnly, a.published); err == nil {
		v.PublishedDate = &day
	}
	return v
}
