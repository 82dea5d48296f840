package insight

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/org/ghcr-publish/internal/memory"
)

// Fingerprints stand for the values of build arguments, by name: enough of a digest to tell one from another, and too little to learn it by.
func Fingerprints(args map[string]string) map[string]string {
	prints := map[string]string{}
	for name, value := range args {
		sum := sha256.Sum256([]byte(name + "\x00" + value))
		prints[name] = hex.EncodeToString(sum[:4])
	}
	return prints
}

// Args reads from the memory's builds, the newest first, the fingerprints of the arguments that images were built with, by what those were made of.
func Args(builds []memory.Entry) map[string]map[string]string {
	known := map[string]map[string]string{}
	for _, e := range builds {
		if b, ok := readBuild(e); ok && b.Action == "build" && b.Success && b.Inputs != "" && b.Args != nil && known[b.Inputs] == nil {
			known[b.Inputs] = b.Args
		}
	}
	return known
}

// Differing are the names of build arguments that are given otherwise than before, in order; none where it is not known how they were.
func Differing(before, now map[string]string) []string {
	if before == nil {
		return nil
	}
	all := maps.Clone(before)
	maps.Copy(all, now)
	maps.DeleteFunc(all, func(name, _ string) bool {
		was, had := before[name]
		is, has := now[name]
		return had == has && was == is
	})
	return slices.Sorted(maps.Keys(all))
}
