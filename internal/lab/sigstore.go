package lab

import "context"

func cosign() tool {
	return tool{name: "cosign", module: "github.com/sigstore/cosign/v2", version: "v2.6.5", took: "about 2 minutes the first time"}
}

func fulcio() tool {
	return tool{name: "fulcio", module: "github.com/sigstore/fulcio", version: "v1.8.7", main: ".", took: "about 1 minute the first time"}
}

// Sigstore puts cosign into Bin, which proves signatures, and fulcio, an authority that gives certificates.
func (l *Lab) Sigstore(ctx context.Context) error {
	unlock, err := l.setup.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return l.setup.provide(ctx, []tool{cosign(), fulcio()})
}
