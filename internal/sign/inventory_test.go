package sign

import (
	"bytes"
	"crypto/elliptic"
	"testing"
)

func TestInventory(t *testing.T) {
	t.Parallel()
	s := newStage(t, ecKey(elliptic.P256()))
	image := s.approval.Images()[0]
	claim, err := Inventory(image, "spdx-json", []byte(`{"spdxVersion":"SPDX-2.3"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(t.Context(), s.approval, claim); err != nil {
		t.Fatal(err)
	}
	claim.Covers = func(p []byte) bool { return string(p) == `{"spdxVersion":"SPDX-2.3"}` }
	s.wantProven(t, claim, image)
	if claim.Type != "https://spdx.dev/Document" {
		t.Errorf("it is of type %s", claim.Type)
	}
	for name, list := range map[string][]byte{"no JSON": []byte("-"), "nothing": nil, "too large": append(bytes.Repeat([]byte(" "), inventoryLimit), '1')} {
		if _, err := Inventory(image, "cyclonedx", list); err == nil {
			t.Errorf("%s was taken for a list", name)
		}
	}
}
