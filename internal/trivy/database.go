package trivy

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// share lets everybody read the database, who may be the next step of the job and put it into a cache. It is no secret. Where
// that fails the database is as good.
func (c *Client) share() {
	dir := filepath.Join(c.CacheDir, "db")
	for _, folder := range []string{c.CacheDir, dir} {
		_ = os.Chmod(folder, 0o755)
	}
	for _, file := range [...]string{metadataFile, databaseFile} {
		_ = os.Chmod(filepath.Join(dir, file), 0o644)
	}
}

// What a database consists of, and the form of it that this version of Trivy reads.
const (
	metadataFile = "metadata.json"
	databaseFile = "trivy.db"
	schema       = 2
)

// A Database is the vulnerability database that the cache directory holds.
type Database struct {
	Version      int
	UpdatedAt    time.Time // when it was made
	NextUpdate   time.Time // when the next one is to be
	DownloadedAt time.Time
}

// Database tells of the database that is there. One that was not fetched whole is none.
func (c *Client) Database() (Database, error) {
	dir := filepath.Join(c.CacheDir, "db")
	var d Database
	data, err := os.ReadFile(filepath.Join(dir, metadataFile))
	if err == nil {
		err = json.Unmarshal(data, &d)
	}
	if err == nil && d.Version != schema {
		err = fmt.Errorf("its form is version %d, and Trivy reads version %d", d.Version, schema)
	}
	if err == nil && (d.UpdatedAt.IsZero() || d.DownloadedAt.IsZero()) {
		err = errors.New("it was not fetched whole") // Trivy notes the download last
	}
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, databaseFile))
	}
	if err != nil {
		return Database{}, fmt.Errorf("reading of which day the vulnerability database is: %w", err)
	}
	return d, nil
}
