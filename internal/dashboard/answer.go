package dashboard

import (
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strings"

	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/verdict"
)

// answer is how builds are doing, in a few words.
func (f Figures) answer() string {
	if len(f.Builds) == 0 {
		return "Nothing is remembered of any build yet."
	}
	told := fmt.Sprintf("%s of %s passed since %s", percent(*f.Overall.Success), verdict.Quantity(f.Overall.Builds, "build"), f.From.Format("2 January 2006"))
	if f.Overall.Seconds != nil {
		told += fmt.Sprintf("; in the median one took %s", learn.Text(*f.Overall.Seconds))
		if f.Overall.Expected != nil {
			told += fmt.Sprintf(", where %s were expected", learn.Text(*f.Overall.Expected))
		}
	}
	if s := f.Slowest; s != nil {
		told += fmt.Sprintf(". Most is to be won from %s: %s", s.Service, strings.TrimSuffix(s.Text, "."))
	}
	return told + "."
}

// percent writes a share for a person; what is not all is never written as all.
func percent(share float64) string {
	if share < 1 && share > 0.995 {
		return fmt.Sprintf("%.1f%%", min(100*share, 99.9))
	}
	return fmt.Sprintf("%.0f%%", math.Floor(100*share+0.5))
}

// links name pages of GitHub. What is remembered was written by anybody, so it is in none unless it is of the form that GitHub gives it.
type links struct{ server string }

var (
	repositoryForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$`)
	runForm        = regexp.MustCompile(`^([1-9][0-9]{0,19})-([1-9][0-9]{0,4})$`)
	commitForm     = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// run is the page of a run's attempt; empty where there is none.
func (l links) run(p insight.Past) string {
	if m := runForm.FindStringSubmatch(p.Run); m != nil {
		return l.page(p.Repository, "actions", "runs", m[1], "attempts", m[2])
	}
	return ""
}

func (l links) commit(p insight.Past) string {
	if commitForm.MatchString(p.Commit) {
		return l.page(p.Repository, "commit", p.Commit)
	}
	return ""
}

func (l links) page(repository string, parts ...string) string {
	server, err := url.Parse(l.server)
	if err != nil || server.Host == "" || server.Scheme != "https" && server.Scheme != "http" || !repositoryForm.MatchString(repository) {
		return ""
	}
	return server.JoinPath(append([]string{repository}, parts...)...).String()
}
