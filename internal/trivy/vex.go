package trivy

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/gocsaf/csaf/v3/csaf"
	openvex "github.com/openvex/go-vex/pkg/vex"
)

// A Document is a VEX document: what somebody knows of vulnerabilities that an image has by its parts, and not in truth.
type Document struct {
	Path string
	Name string // by which a person knows it
}

// A Statement is what a document says of a vulnerability that does no harm.
type Statement struct {
	Status   string // not_affected or fixed
	Why      string // justification, where it gives one
	Document string // its name
}

// CheckDocument tells what keeps Trivy from judging images by a VEX document: the error of a document by which it would fail, or
// which it would read in part. It takes OpenVEX 0.2 and CSAF 2.0, and CycloneDX for no images.
// https://trivy.dev/v0.69/docs/supply-chain/vex/file/
func CheckDocument(data []byte) error {
	var kind struct {
		Format          string            `json:"bomFormat"`
		Context         string            `json:"@context"`
		Vulnerabilities []json.RawMessage `json:"vulnerabilities"`
	}
	err := json.Unmarshal(data, &kind)
	switch {
	case err != nil:
		return fmt.Errorf("is no VEX document: %w", err)
	case kind.Format == "CycloneDX":
		return errors.New("is a CycloneDX document, which speaks of the parts of one SBOM file; Trivy judges no images by it")
	case kind.Context != "":
		return checkOpenVEX(data)
	case kind.Vulnerabilities != nil:
		return checkCSAF(data)
	default:
		return errors.New("is no VEX document: it has neither `@context`, as OpenVEX has, nor `vulnerabilities`, as CSAF has")
	}
}

func checkOpenVEX(data []byte) error {
	var document openvex.VEX
	if err := json.Unmarshal(data, &document); err != nil {
		return fmt.Errorf("is no OpenVEX 0.2 document: %w", err)
	}
	for i, s := range document.Statements {
		if !s.Status.Valid() {
			return fmt.Errorf("has a status that OpenVEX does not know, %q, in statement %d", s.Status, i+1)
		}
	}
	return nil
}

// checkCSAF looks also for what CSAF lets be and Trivy takes to be there.
func checkCSAF(data []byte) error {
	var advisory csaf.Advisory
	if err := json.Unmarshal(data, &advisory); err != nil {
		return fmt.Errorf("is no CSAF 2.0 document: %w", err)
	}
	if advisory.ProductTree == nil {
		return errors.New("is a CSAF document without `product_tree`, which is to name the packages by their package URLs")
	}
	for i, v := range advisory.Vulnerabilities {
		if v == nil || v.CVE == nil || slices.Contains(v.Threats, nil) {
			return fmt.Errorf("is a CSAF document whose vulnerability %d has no `cve`, or an empty threat", i+1)
		}
	}
	return nil
}

func (c *Client) documents() []string {
	if len(c.VEX) == 0 {
		return nil
	}
	args := []string{"--show-suppressed"}
	for _, d := range c.VEX {
		args = append(args, "--vex", d.Path)
	}
	return args
}

// A modified is a finding that Trivy left out.
type modified struct {
	Status, Statement, Source string
	Finding                   Vulnerability
}

// unmodified are the vulnerabilities that Trivy left out, and which documents say of them that they do no harm.
func unmodified(all []modified, place string, documents []Document) []Vulnerability {
	var found []Vulnerability
	for _, m := range all {
		v := m.Finding
		v.Kind, v.Target = Vulnerabilities, cmp.Or(v.Path, place)
		i := slices.IndexFunc(documents, func(d Document) bool { return d.Path == m.Source })
		// What is left out for another reason, of which there is to be none, counts as ever.
		if i >= 0 && (m.Status == "not_affected" || m.Status == "fixed") {
			v.Harmless = &Statement{Status: m.Status, Why: m.Statement, Document: documents[i].Name}
		}
		found = append(found, v)
	}
	return found
}
