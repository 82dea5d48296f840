package clean

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadManifest(t *testing.T) {
	t.Parallel()
	a, b, c := digestOf("a"), digestOf("b"), digestOf("c")
	const ociIndex, ociImage = `"mediaType":"application/vnd.oci.image.index.v1+json"`, `"mediaType":"application/vnd.oci.image.manifest.v1+json"`
	config := func(kind string) string { return `"config":{"mediaType":"` + kind + `","digest":"` + c + `","size":3}` }
	layer := func(kind string) string {
		return `"layers":[{"mediaType":"` + kind + `","digest":"` + a + `","size":7}]`
	}
	const ociConfig, ociLayer = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"
	sizes := map[string]int64{a: 7, c: 3}
	for name, test := range map[string]struct {
		text string
		want Manifest
	}{
		"an image":               {`{` + ociImage + `,` + config(ociConfig) + `,` + layer(ociLayer) + `}`, Manifest{Image: true, Sizes: sizes}},
		"one of Docker's":        {`{` + config("application/vnd.docker.container.image.v1+json") + `,` + layer("application/vnd.docker.image.rootfs.diff.tar.gzip") + `}`, Manifest{Image: true, Sizes: sizes}},
		"an attestation":         {`{` + ociImage + `,` + config(ociConfig) + `,` + layer("application/vnd.in-toto+json") + `}`, Manifest{Sizes: sizes}},
		"a signature of cosign":  {`{` + ociImage + `,` + config(ociConfig) + `,` + layer("application/vnd.dev.cosign.simplesigning.v1+json") + `}`, Manifest{Sizes: sizes}},
		"an artifact":            {`{` + ociImage + `,"artifactType":"text/x",` + config(ociConfig) + `,` + layer(ociLayer) + `}`, Manifest{Sizes: sizes}},
		"a reference":            {`{` + ociImage + `,` + config("application/vnd.oci.empty.v1+json") + `,` + layer("text/x") + `,"subject":{"digest":"` + b + `"}}`, Manifest{Subject: b, Sizes: sizes}},
		"layers of builds":       {`{` + ociImage + `,` + config("application/vnd.buildkit.cacheconfig.v0") + `,` + layer(ociLayer) + `}`, Manifest{Sizes: sizes}},
		"what it was made of":    {`{` + config(ociConfig) + `,"layers":[],"annotations":{"org.opencontainers.image.revision":"r","org.opencontainers.image.version":"v"}}`, Manifest{Image: true, Sizes: map[string]int64{c: 3}, Revision: "r", Version: "v"}},
		"an index":               {`{` + ociIndex + `,"manifests":[{` + ociImage + `,"digest":"` + a + `","platform":{"os":"linux"}},{` + ociImage + `,"digest":"` + b + `","platform":{"os":"unknown"}}]}`, Manifest{Image: true, Children: []string{a, b}, Sizes: map[string]int64{}}},
		"one that lists indexes": {`{` + ociIndex + `,"manifests":[{` + ociIndex + `,"digest":"` + a + `"}]}`, Manifest{Image: true, Children: []string{a}, Sizes: map[string]int64{}}},
		"what refers":            {`{` + ociIndex + `,"manifests":[{` + ociImage + `,"digest":"` + a + `","artifactType":"text/x"}]}`, Manifest{Children: []string{a}, Sizes: map[string]int64{}}},
		"older layers of builds": {`{` + ociIndex + `,"manifests":[{"mediaType":"application/vnd.buildkit.cacheconfig.v0","digest":"` + a + `","size":7}]}`, Manifest{Sizes: map[string]int64{a: 7}}},
		"nothing":                {`{` + ociIndex + `,"manifests":[]}`, Manifest{Sizes: map[string]int64{}}},
	} {
		got, err := ReadManifest([]byte(test.text))
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	for _, text := range []string{"", "{}", "[]", `{"schemaVersion":1,"fsLayers":[]}`, `{` + ociIndex + `,` + config(ociConfig) + `,"manifests":[]}`,
		`{` + ociIndex + `,"manifests":[{` + ociImage + `,"digest":"../x"}]}`, `{` + config(ociConfig) + `,"subject":{"digest":"sha256:x"}}`} {
		if got, err := ReadManifest([]byte(text)); err == nil {
			t.Errorf("%s gives %v", text, got)
		}
	}
}
