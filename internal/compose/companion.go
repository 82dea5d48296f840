package compose

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
)

// A kind is what is known of a companion.
type kind struct {
	image       string
	secret      string            // that it and its users have; empty for none
	environment map[string]string // of those who use it
	complete    func(c *container, image string, memory int64)
}

// kindOf knows those of service.Companions. They are reached from the services that have them, and from nowhere else.
func kindOf(name string) kind {
	if name == "redis" {
		return kind{image: "redis:8-alpine", complete: redis, environment: map[string]string{"REDIS_URL": "${REDIS_URL:-redis://redis:6379/0}"}}
	}
	return kind{image: "postgres:17-alpine", secret: "postgres_password", complete: postgres, environment: map[string]string{
		"POSTGRES_HOST": "${POSTGRES_HOST:-postgres}", "POSTGRES_PORT": "${POSTGRES_PORT:-5432}", "POSTGRES_DB": "${POSTGRES_DB:-app}",
		"POSTGRES_USER": "${POSTGRES_USER:-app}", "POSTGRES_PASSWORD_FILE": "/run/secrets/postgres_password"}}
}

// CompanionImage is the image that a companion is started from.
func CompanionImage(c service.Companion) string { return cmp.Or(c.Image, kindOf(c.Name).image) }

const companionMemory = 512 << 20

func (p Project) addCompanion(d document, companion service.Companion) {
	known, image := kindOf(companion.Name), CompanionImage(companion)
	r := companion.Resources
	r.MemoryLimit = cmp.Or(r.MemoryLimit, companionMemory)
	r.MemoryReservation = cmp.Or(r.MemoryReservation, r.MemoryLimit/2)
	c := p.newContainer(p.pinnedOther(image), r)
	c.Profiles, c.Networks, c.ReadOnly, c.StopGrace = companion.Profiles, []string{data}, true, "1m"
	// They begin as root to own their folder, and give that up.
	c.CapDrop, c.CapAdd = []string{"ALL"}, []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
	if known.secret != "" {
		c.Secrets = []string{known.secret}
	}
	known.complete(&c, image, r.MemoryLimit)
	volume := companion.Name + "-data"
	c.Volumes = []string{volume + ":" + c.Volumes[0]}
	d.Volumes[volume] = struct{}{}
	c.Healthcheck.StartPeriod = "30s"
	d.add(companion.Name, c)
}

// postgres is tuned by its memory as https://wiki.postgresql.org/wiki/Tuning_Your_PostgreSQL_Server has it, for solid-state disks.
func postgres(c *container, image string, memory int64) {
	megabytes := func(n int64) string { return fmt.Sprintf("%dMB", max(n>>20, 1)) }
	const connections = 100
	c.Command = []string{"postgres"}
	for _, setting := range []string{
		fmt.Sprintf("max_connections=%d", connections), "shared_buffers=" + megabytes(memory/4), "effective_cache_size=" + megabytes(memory*3/4),
		"maintenance_work_mem=" + megabytes(memory/16), "work_mem=" + megabytes(memory/4/connections), "random_page_cost=1.1", "wal_compression=on",
	} {
		c.Command = append(c.Command, "-c", setting)
	}
	users := kindOf("postgres").environment
	c.Environment = map[string]string{"POSTGRES_DB": users["POSTGRES_DB"], "POSTGRES_USER": users["POSTGRES_USER"],
		"POSTGRES_PASSWORD_FILE": users["POSTGRES_PASSWORD_FILE"], "POSTGRES_INITDB_ARGS": "--data-checksums"}
	c.Volumes, c.Tmpfs, c.ShmSize = []string{postgresFolder(image)}, []string{"/tmp", "/run/postgresql"}, bytesText(max(memory/4, 64<<20))
	// While it sets itself up it listens on its socket alone.
	c.Healthcheck = &healthcheck{Test: []string{"CMD-SHELL", `pg_isready -q -h 127.0.0.1 -U "$$POSTGRES_USER" -d "$$POSTGRES_DB"`}, Interval: "5s", Timeout: "5s", Retries: 6}
}

// major finds the version of PostgreSQL in a tag: 17.2-alpine, or pg17, latest-pg17 and 0.8.1-pg17 of images that add something to it.
var major = regexp.MustCompile(`:(?:[^/]*\bpg)?(\d+)[^/]*$`)

// postgresFolder is what the official image keeps its data in, which is another one since version 18, and with it those that are made from it.
// Where the volume is not there, the image has one without a name, which the next container does not get once the services were taken down.
// https://hub.docker.com/_/postgres
func postgresFolder(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if m := major.FindStringSubmatch(image); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil && n < 18 {
			return "/var/lib/postgresql/data"
		}
	}
	return "/var/lib/postgresql"
}

// redis keeps what it was told over restarts, and forgets of what may expire before it runs out of memory.
func redis(c *container, _ string, memory int64) {
	c.CapAdd = append(c.CapAdd, "SETPCAP") // without which newer images cannot give up what they may
	c.Command = []string{"redis-server", "--maxmemory", fmt.Sprintf("%dmb", max(memory*3/4>>20, 1)), "--maxmemory-policy", "volatile-lru", "--appendonly", "yes"}
	c.Volumes, c.Tmpfs = []string{"/data"}, []string{"/tmp"}
	c.Healthcheck = &healthcheck{Test: []string{"CMD-SHELL", "redis-cli ping | grep -q PONG"}, Interval: "5s", Timeout: "5s", Retries: 6}
}
