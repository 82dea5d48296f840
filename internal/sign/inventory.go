package sign

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
)

// Inventories are the types of claims that list what an image holds, by the format of the list as Trivy names it.
func Inventories() map[string]string {
	return map[string]string{"spdx-json": "https://spdx.dev/Document", "cyclonedx": "https://cyclonedx.org/bom"}
}

// inventoryLimit is how many bytes GitHub's store takes of one.
// https://github.com/actions/attest#sbom-path
const inventoryLimit = 16 << 20

// Inventory claims what one platform's image holds: a list in a format of Inventories.
func Inventory(image name.Digest, format string, list []byte) (Claim, error) {
	if !json.Valid(list) {
		return Claim{}, errors.New("the list of what an image holds is no JSON")
	}
	if len(list) > inventoryLimit {
		return Claim{}, fmt.Errorf("the list of what %s holds is larger than the %d bytes that can be attested", image, inventoryLimit)
	}
	return Claim{Type: Inventories()[format], Predicate: json.RawMessage(list), Image: image}, nil
}
