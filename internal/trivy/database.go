package trivy

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A Database is the vulnerability database that the cache directory holds.
type Database struct {
	UpdatedAt    time.Time // when it was made
	DownloadedAt time.Time
}

// Database tells of the database that is there. One that was not fetched whole is none.
func (c *Client) Database() (Database, error) {
	dir := filepath.Join(c.CacheDir, "db")
	var d Database
	data, err := os.ReadFile(filepath.Join(dir, "metadata.json"))
	if err == nil {
		err = json.Unmarshal(data, &d)
	}
	if err == nil && (d.UpdatedAt.IsZero() || d.DownloadedAt.IsZero()) {
		err = errors.New("it was not fetched whole") // Trivy notes the download last
	}
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "trivy.db"))
	}
	if err != nil {
		return Database{}, fmt.Errorf("reading of which day the vulnerability database is: %w", err)
	}
	return d, nil
}
