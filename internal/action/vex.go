package action

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/trivy"
)

// checkDocuments finds VEX documents that Trivy could not judge by.
func checkDocuments(readFile func(string) ([]byte, error), names []string, problems *service.Problems) {
	for _, name := range names {
		data, err := readFile(name)
		if err != nil {
			problems.Add(name, "check vex in gates.vulnerabilities", "cannot be read: %v", err)
		} else if err := trivy.CheckDocument(data); err != nil {
			problems.Add(name, "give an OpenVEX or CSAF 2.0 document, as JSON", "%v", err)
		}
	}
}

// keepDocuments copies the VEX documents that the configuration names to where nobody else writes.
func (s *session) keepDocuments() ([]trivy.Document, error) {
	var kept []trivy.Document
	for i, name := range s.job.Config.Gates.Vulnerabilities.VEX {
		data, err := s.readFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading the VEX document %s: %w", name, err)
		}
		path := filepath.Join(s.private.path, fmt.Sprintf("vex-%d.json", i))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return nil, fmt.Errorf("keeping the VEX document %s: %w", name, err)
		}
		kept = append(kept, trivy.Document{Path: path, Name: name})
	}
	return kept, nil
}
