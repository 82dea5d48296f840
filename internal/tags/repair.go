package tags

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// longest is how many characters a tag may have.
const longest = 128

// neverFirst are the characters that a tag may hold and not begin with.
const neverFirst = "-."

// repaired makes a tag of what metadata-action would give as one though no registry takes it: what a tag must not
// begin with is left out, and a name that is too long ends in a sum of all of it, so that two of them stay two. What is a
// tag already stays as it is; of some names nothing is left.
func repaired(name string) string {
	tag := strings.TrimLeft(name, neverFirst)
	if len(tag) > longest {
		sum := sha256.Sum256([]byte(name))
		end := "-" + hex.EncodeToString(sum[:4])
		tag = tag[:longest-len(end)] + end
	}
	return tag
}

// mend gives a tag its name, and keeps what the name would have been. A reason says that there can be none.
func (t *Tag) mend(name string) (reason string) {
	name = sanitise(name)
	switch t.Name = repaired(name); {
	case name == "":
		return "it is empty here"
	case t.Name == "":
		return fmt.Sprintf("of %q nothing is left that a tag may begin with", name)
	case t.Name != name:
		t.Repaired = name
	}
	return ""
}
