package actions

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
)

// levels are what annotations can go onto.
// https://docs.docker.com/build/metadata/annotations/#specify-annotation-level
var levels = []string{"manifest", "index", "manifest-descriptor", "index-descriptor"}

// readMetadata reads the variables that docker/metadata-action is told more by, so that a workflow may keep them.
// https://github.com/docker/metadata-action#environment-variables
func (e *Event) readMetadata(getenv func(string) string, problems *service.Problems) {
	const digits, head, annotated = "DOCKER_METADATA_SHORT_SHA_LENGTH", "DOCKER_METADATA_PR_HEAD_SHA", "DOCKER_METADATA_ANNOTATIONS_LEVELS"
	if v := getenv(digits); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			problems.Add(digits, "give a whole number of 1 or more, or leave it out for 7", "%q is no length", v)
		}
		e.ShortSHA = n
	}
	switch v := strings.ToLower(getenv(head)); {
	case v != "" && v != "true" && v != "false":
		problems.Add(head, "", "%q is neither true nor false", getenv(head))
	case v != "true":
		e.HeadSHA = ""
	case e.HeadSHA != "" && !commit.MatchString(e.HeadSHA):
		problems.Add("GITHUB_EVENT_PATH", "", "the pull request's head %q is no commit", e.HeadSHA)
	}
	var err error
	if e.Levels, err = parseLevels(getenv(annotated)); err != nil {
		problems.Add(annotated, "write them as manifest,index", "%v", err)
	}
}

// parseLevels reads a list. Where there is none annotations go onto the index, because ghcr.io reads an image's description there.
func parseLevels(list string) ([]string, error) {
	if list == "" {
		return []string{"index"}, nil
	}
	var all []string
	for level := range strings.SplitSeq(list, ",") {
		level = strings.TrimSpace(level)
		if !slices.Contains(levels, level) {
			return nil, fmt.Errorf("%q is none of %s", level, strings.Join(levels, ", "))
		}
		if !slices.Contains(all, level) {
			all = append(all, level)
		}
	}
	return all, nil
}
