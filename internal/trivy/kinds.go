package trivy

import (
	"cmp"
	"strings"
)

// Scanners, by Trivy's names. What one finds is of that kind.
const (
	Vulnerabilities   = "vuln"
	Secrets           = "secret"
	Misconfigurations = "misconfig"
	Licences          = "license"
)

// scanning are the arguments that choose scanners: vulnerabilities are always looked for.
func scanning(more []string) []string {
	args := []string{"--scanners", strings.Join(append([]string{Vulnerabilities}, more...), ",")}
	var configuration []string
	for _, scanner := range more {
		if scanner == Secrets || scanner == Misconfigurations {
			configuration = append(configuration, scanner)
		}
	}
	if configuration != nil {
		// The checks are those that Trivy brings along: what was fetched today could judge otherwise tomorrow.
		args = append(args, "--image-config-scanners", strings.Join(configuration, ","), "--skip-check-update")
	}
	return args
}

// others are what a result of Trivy's report has beside vulnerabilities. It tells the secrets, too, and the lines around
// them, which are left where they are.
type others struct {
	Secrets []struct {
		RuleID, Severity, Title string
		Layer                   Layer
	}
	Misconfigurations []struct {
		ID, Severity, Title, PrimaryURL string
	}
	Licenses []struct {
		Name, Severity, Category, PkgName, FilePath, Link string
	}
}

// inConfiguration is where something is that is in no file of an image.
const inConfiguration = "the image's configuration"

// findings are written as vulnerabilities are. What is in no package is in the file at a place.
func (o others) findings(place string) []Vulnerability {
	var found []Vulnerability
	place = strings.TrimPrefix(place, "/")
	for _, s := range o.Secrets {
		found = append(found, Vulnerability{Kind: Secrets, ID: s.RuleID, Package: place, Severity: s.Severity, Title: s.Title, Target: place, Layer: s.Layer})
	}
	for _, m := range o.Misconfigurations {
		found = append(found, Vulnerability{Kind: Misconfigurations, ID: m.ID, Package: inConfiguration, Severity: m.Severity, Title: m.Title, URL: m.PrimaryURL, Target: inConfiguration})
	}
	for _, l := range o.Licenses {
		found = append(found, Vulnerability{Kind: Licences, ID: l.Name, Package: cmp.Or(l.PkgName, l.FilePath), Severity: l.Severity, Title: "Licence, " + l.Category, URL: l.Link, Target: cmp.Or(l.FilePath, place)})
	}
	return found
}
