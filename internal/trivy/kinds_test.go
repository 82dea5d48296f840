package trivy

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/run"
)

// TestKinds reads a report of every scanner. It tells the secrets, and what is read of it does not.
func TestKinds(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/kinds.json")
	if err != nil {
		t.Fatal(err)
	}
	read, err := (&Client{}).parse(data)
	found := read.Vulnerabilities
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range found {
		got = append(got, fmt.Sprintf("%s %s %s in %s", v.Kind, v.Severity, v.ID, v.Package))
		if v.Title == "" || v.Target == "" {
			t.Errorf("too little is known of %+v", v)
		}
	}
	want := []string{
		"misconfig CRITICAL DS-0031 in the image's configuration",
		"secret CRITICAL aws-access-key-id in app/deploy.sh",
		"secret CRITICAL github-pat in app/deploy.sh",
		"secret CRITICAL github-pat in the image's configuration",
		"secret CRITICAL github-pat in the image's configuration",
		"misconfig HIGH DS-0002 in the image's configuration",
		"license HIGH GPL-3.0-only in minimist",
		"license HIGH GPL-3.0-or-later in bash",
		"secret HIGH private-key in app/id_rsa",
		"misconfig LOW DS-0026 in the image's configuration",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	if told := fmt.Sprintf("%+v", found); !strings.Contains(string(data), "SECRETVALUE") || strings.Contains(told, "SECRETVALUE") || strings.Contains(told, "****") {
		t.Errorf("the secret is told: %s", told)
	}
}

func TestScanningArguments(t *testing.T) {
	t.Parallel()
	for want, scanners := range map[string][]string{
		"--scanners vuln":         nil,
		"--scanners vuln,license": {Licences},
		"--scanners vuln,secret --image-config-scanners secret --skip-check-update":                             {Secrets},
		"--scanners vuln,secret,misconfig,license --image-config-scanners secret,misconfig --skip-check-update": {Secrets, Misconfigurations, Licences},
	} {
		var calls []run.Command
		client := answering([]byte(`{"SchemaVersion": 2}`), nil, &calls)
		client.Scanners = scanners
		if _, err := client.Scan(t.Context(), "x", "", "linux/arm64"); err != nil {
			t.Fatal(err)
		}
		from := slices.Index(calls[0].Argv, "--scanners")
		if got := strings.Join(calls[0].Argv[from:], " "); !strings.HasPrefix(got, want+" --skip-db-update") {
			t.Errorf("arguments %q, want %q", got, want)
		}
	}
}
