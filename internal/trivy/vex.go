package trivy

import (
	"cmp"
	"slices"
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
