package buildx

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// options are the arguments for what a build takes beside context, Dockerfile and arguments.
func (b Build) options() []string {
	args := appendMap(nil, "--build-context", "", b.Contexts)
	for _, id := range slices.Sorted(maps.Keys(b.Secrets)) {
		args = append(args, "--secret", secret(id, b.Secrets[id]))
	}
	for _, agent := range b.SSH {
		args = append(args, "--ssh", agent)
	}
	if b.Network != "" {
		args = append(args, "--network", b.Network)
	}
	if b.Network == "host" {
		args = append(args, "--allow", "network.host")
	}
	args = appendMap(args, "--add-host", "", b.ExtraHosts)
	if b.ShmSize > 0 {
		args = append(args, "--shm-size", fmt.Sprint(b.ShmSize))
	}
	args = appendMap(args, "--ulimit", "", b.Ulimits)
	if b.CgroupParent != "" {
		args = append(args, "--cgroup-parent", b.CgroupParent)
	}
	if b.NoCache != nil && *b.NoCache {
		args = append(args, "--no-cache")
	}
	for _, stage := range b.NoCacheFilters {
		args = append(args, "--no-cache-filter", stage)
	}
	return args
}

// secret says where buildx finds a secret, as the list in CSV that it reads.
func secret(id, from string) string {
	source := "src=" + strings.TrimPrefix(from, "file:")
	if name, ok := strings.CutPrefix(from, "env:"); ok {
		source = "env=" + name
	}
	return csvLine("id="+id, source)
}

// csvLine is a list of fields as buildx reads them.
func csvLine(fields ...string) string {
	var line bytes.Buffer
	w := csv.NewWriter(&line)
	_ = w.Write(fields) // a buffer takes everything
	w.Flush()
	return strings.TrimSuffix(line.String(), "\n")
}
