package plan

import (
	"path"

	"github.com/org/ghcr-publish/internal/service"
)

// IgnoreFiles are the places where an ignore file may be; the builder reads the first that is there, so the
// Dockerfile's own comes before the context's.
func IgnoreFiles(s service.Service) []string {
	ofContext := path.Join(s.Context, ".dockerignore")
	if s.Dockerfile == "" {
		return []string{ofContext}
	}
	return []string{s.Dockerfile + ".dockerignore", ofContext}
}
