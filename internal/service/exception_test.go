package service

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// repository is a workspace of some files.
func repository(files map[string]string) Sources {
	src := workspace("")
	src.ReadFile = func(name string) ([]byte, error) {
		if text, ok := files[name]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	return src
}

func TestExceptions(t *testing.T) {
	t.Parallel()
	day := func(text string) time.Time {
		day, err := time.Parse(Day, text)
		if err != nil {
			t.Fatal(err)
		}
		return day
	}
	config := minimal + "gates:\n  vulnerabilities: {exceptions: [{id: CVE-1, package: p, service: backend, until: 2027-01-31, reason: not called}]}\n"
	own := Exception{ID: "CVE-1", Kind: Vulnerability, Package: "p", Service: "backend", Until: day("2027-01-31"), Reason: "not called", At: fmt.Sprintf("%s:%d", configFile, strings.Count(config, "\n"))}
	lines := "# Read by nobody.\n# Not by us either.\nCVE-2 exp:2027-02-28\n\nCVE-3 exp:2027-03-31 # harmless\n# gone\n\nCVE-4\texp:2027-04-30\r\n"
	ofLines := []Exception{
		{ID: "CVE-2", Until: day("2027-02-28"), Reason: "Read by nobody. Not by us either.", At: ".trivyignore:3"},
		{ID: "CVE-3", Until: day("2027-03-31"), Reason: "harmless", At: ".trivyignore:5"},
		{ID: "CVE-4", Until: day("2027-04-30"), Reason: "listed in .trivyignore", At: ".trivyignore:8"},
	}
	yaml := "vulnerabilities:\n- id: CVE-5\n  paths: [usr/**]\n  purls: ['pkg:npm/x']\n  expired_at: 2027-05-31\n  statement: s\n- {id: CVE-6, expired_at: 2027-06-30}\n"
	ofYAML := func(file string) []Exception {
		return []Exception{
			{ID: "CVE-5", Kind: Vulnerability, Paths: []string{"usr/**"}, PURLs: []string{"pkg:npm/x"}, Until: day("2027-05-31"), Reason: "s", At: file + ":2"},
			{ID: "CVE-6", Kind: Vulnerability, Until: day("2027-06-30"), Reason: "listed in " + file, At: file + ":7"},
		}
	}
	asks := minimal + "gates: {vulnerabilities: {ignore_file: security/known.yml}}\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  []Exception
		from  string
	}{
		"none":               {map[string]string{configFile: minimal}, nil, ""},
		"in the file":        {map[string]string{configFile: config}, []Exception{own}, ""},
		"with Trivy's":       {map[string]string{configFile: config, ".trivyignore": lines}, append([]Exception{own}, ofLines...), ".trivyignore"},
		"Trivy's other form": {map[string]string{configFile: minimal, ".trivyignore": lines, ".trivyignore.yaml": yaml}, ofYAML(".trivyignore.yaml"), ".trivyignore.yaml"},
		"one that is named":  {map[string]string{configFile: asks, ".trivyignore": lines, "security/known.yml": yaml}, ofYAML("security/known.yml"), "security/known.yml"},
		"an empty one":       {map[string]string{configFile: minimal, ".trivyignore.yaml": "# nothing\n"}, nil, ".trivyignore.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gates := mustLoad(t, repository(c.files)).Gates
			if diff := cmp.Diff(c.want, gates.Exceptions); diff != "" || gates.IgnoreFile != c.from {
				t.Errorf("from %q (-want +got):\n%s", gates.IgnoreFile, diff)
			}
		})
	}
}

func TestMistakesInExceptions(t *testing.T) {
	t.Parallel()
	own := func(exceptions string) map[string]string {
		return map[string]string{configFile: minimal + "gates: {vulnerabilities: {exceptions: " + exceptions + "}}\n"}
	}
	file := func(name, text string) map[string]string { return map[string]string{configFile: minimal, name: text} }
	for want, files := range map[string]map[string]string{
		"an exception has no until; add `until: …`":                          own("[{id: a, reason: r}]"),
		"an exception has no reason; add":                                    own("[{id: a, until: 2027-01-31}]"),
		"an exception has no id; add":                                        own("[{until: 2027-01-31, reason: r}]"),
		`"2027-02-30" is no day; write the last day on which it holds`:       own("[{id: a, until: 2027-02-30, reason: r}]"),
		`"forever" is no day`:                                                own("[{id: a, until: forever, reason: r}]"),
		`the exception for a is of service "bakend", which there is none of`: own("[{id: a, until: 2027-01-31, reason: r, service: bakend}]"),
		"must be a list":                                                     own("{id: a}"),
		"must be a mapping":                                                  own("[a]"),
		`unknown key "expires"`:                                              own("[{id: a, until: 2027-01-31, reason: r, expires: x}]"),
		".trivyignore:2: the exception for CVE-2 has no end; write":          file(".trivyignore", "CVE-1 exp:2027-01-31\nCVE-2\n"),
		`.trivyignore:1: the exception for CVE-1 ends on "exp:soon", which`:  file(".trivyignore", "CVE-1 exp:soon\n"),
		".trivyignore.yaml:1:20: an exception has no expired_at; add":        file(".trivyignore.yaml", "vulnerabilities: [ {id: CVE-1}]\n"),
		"no package URL":                                                     file(".trivyignore.yaml", "vulnerabilities: [{id: CVE-1, expired_at: 2027-01-31, purls: [minimist]}]\n"),
		"is no pattern":                                                      file(".trivyignore.yaml", "vulnerabilities: [{id: CVE-1, expired_at: 2027-01-31, paths: ['[']}]\n"),
		".trivyignore.yaml:1":                                                file(".trivyignore.yaml", "vulnerabilities: ["),
		`unknown key "vulns"`:                                                file(".trivyignore.yaml", "vulns: []"),
		"known.yaml: cannot be read":                                         {configFile: minimal + "gates: {vulnerabilities: {ignore_file: known.yaml}}\n"},
		`"../known" leaves the workspace`:                                    {configFile: minimal + "gates: {vulnerabilities: {ignore_file: ../known}}\n"},
	} {
		if _, err := Load(repository(files)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v gives %v, want %q", files, err, want)
		}
	}
}

func FuzzIgnoreFile(f *testing.F) {
	f.Add(".trivyignore", "# a\nCVE-1 exp:2027-01-31 # b\n")
	f.Add(".trivyignore.yaml", "vulnerabilities: [{id: CVE-1, expired_at: 2027-01-31}]\n")
	f.Fuzz(func(t *testing.T, name, text string) {
		var problems Problems
		for _, e := range readIgnored(name, []byte(text), &problems) {
			if len(problems) == 0 && (e.Until.IsZero() && !strings.Contains(text, "0001-01-01") || e.ID == "" || e.At == "") {
				t.Errorf("%q gives %+v", text, e)
			}
		}
	})
}
