package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
)

var errNotInTime = errors.New("not healthy in time")

// explain says what went wrong, and what to look at.
func (w *watch) explain(ctx context.Context, err error) string {
	said := fmt.Sprintf("%s %v", w.service.Name, err)
	if errors.Is(err, errNotInTime) {
		said = fmt.Sprintf("%s was not healthy within %s: %s", w.service.Name, w.gate.Within, w.expectation())
		if where := w.listeners(ctx); w.service.Port > 0 && where != "" {
			said += "; " + where
		}
	}
	if slices.ContainsFunc(w.result.Log, gainsPrivileges.MatchString) {
		said += "; a program of it would gain privileges: set `new_privileges: true` if production lets it"
	}
	if slices.ContainsFunc(w.result.Log, needsAnother.MatchString) {
		said += "; its log tells of another service that it does not reach: give it that one by `peers`, from a Compose file, or run it among the `services` of the job, and point `env` of the service to it"
	}
	return said
}

// needsAnother finds the words of programs that do not reach their database.
var needsAnother = regexp.MustCompile(`(?i)connection refused|econnrefused|no such host|could not translate host name|name or service not known|getaddrinfo|enotfound|bad address|can't connect to|could not connect to`)

// gainsPrivileges finds the words of sudo, and of the C library where a file has capabilities that are not given.
var gainsPrivileges = regexp.MustCompile(`(?i)no new privileges|effective uid is not 0|must be setuid|exec.*operation not permitted`)

// expectation says what was waited for.
func (w *watch) expectation() string {
	s := w.service
	switch {
	case s.RunOnce != nil:
		return "it did not end"
	case s.HealthEndpoint != "":
		return fmt.Sprintf("port %d did not answer %s with success", s.Port, s.HealthEndpoint)
	case w.hasHealthcheck:
		return "its HEALTHCHECK did not succeed"
	case s.Port > 0:
		return fmt.Sprintf("nothing listened on port %d", s.Port)
	default:
		return "it did not keep running"
	}
}

// An ended container had a program that ended.
type ended struct{ code int }

func (e ended) Error() string {
	said := fmt.Sprintf("ended with exit code %d before it was healthy", e.code)
	if hint := exitCodes[e.code]; hint != "" {
		return said + ": " + hint
	}
	return said
}

// exitCodes are those that a shell or the kernel gives a meaning.
var exitCodes = map[int]string{
	0:   "its program ended by itself. A server must stay in the foreground; an image that does its work and ends needs `run_once`",
	126: "its program cannot be executed; check its mode and what it was built for",
	127: "its program was not found; check ENTRYPOINT and CMD",
	137: "it was killed; where it needs more memory, raise `resources`",
	139: "it crashed with a segmentation fault",
}

func (w *watch) outOfMemory() error {
	if limit := w.service.Resources.MemoryLimit; limit > 0 {
		return fmt.Errorf("ran out of memory: it has %s; raise `resources.limits.memory` if it needs more", units.BytesSize(float64(limit)))
	}
	return errors.New("ran out of memory")
}

func unhealthy(said string) error {
	if said = strings.Join(strings.Fields(said), " "); said != "" {
		return fmt.Errorf("was found unhealthy by its own HEALTHCHECK, which says: %s", said)
	}
	return errors.New("was found unhealthy by its own HEALTHCHECK")
}

// stays watches a healthy container for as long as the gate demands.
func (w *watch) stays(ctx context.Context) error {
	if w.service.RunOnce != nil || w.gate.StableFor == 0 {
		return nil
	}
	since := time.Now()
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	healthy := true
	for time.Since(since) < w.gate.StableFor {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		var err error
		var gone ended
		switch healthy, err = w.look(ctx); {
		case errors.As(err, &gone):
			return fmt.Errorf("was healthy after %s, and ended with exit code %d %s later", short(w.result.Started), gone.code, short(time.Since(since)))
		case err != nil:
			return fmt.Errorf("was healthy after %s, and then %w", short(w.result.Started), err)
		}
	}
	if !healthy {
		return fmt.Errorf("was healthy after %s, and is not any more %s later: %s", short(w.result.Started), short(time.Since(since)), w.expectation())
	}
	return nil
}

func short(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

// listeners says where the container listens instead, as far as a program of its own can tell.
func (w *watch) listeners(ctx context.Context) string {
	_, tables, err := w.container.Exec(ctx, []string{"cat", "/proc/net/tcp", "/proc/net/tcp6"})
	if err != nil || !strings.Contains(tables, "local_address") {
		return ""
	}
	var ports []string
	for _, at := range listening(tables) {
		switch {
		case int(at.Port()) == w.service.Port && at.Addr().IsLoopback():
			return fmt.Sprintf("it listens on %s alone, where nobody reaches it: let it listen on 0.0.0.0", at)
		case int(at.Port()) == w.service.Port:
			return ""
		case !at.Addr().IsLoopback():
			ports = append(ports, strconv.Itoa(int(at.Port())))
		}
	}
	if len(ports) == 0 {
		return "it listens on no port at all"
	}
	return fmt.Sprintf("it listens on port %s; is that the service's `port`?", strings.Join(slices.Compact(slices.Sorted(slices.Values(ports))), ", "))
}

// listening reads the addresses that are listened on from the kernel's tables.
// https://docs.kernel.org/networking/proc_net_tcp.html
func listening(tables string) []netip.AddrPort {
	var found []netip.AddrPort
	for line := range strings.Lines(tables) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != "0A" {
			continue
		}
		if at, ok := kernelAddress(fields[1]); ok {
			found = append(found, at)
		}
	}
	return found
}

// kernelAddress reads "0100007F:0BB9": words of four bytes, each in the byte order of the machine, which is little-endian on all that
// matter here.
func kernelAddress(text string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(text, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil || len(address) != 8 && len(address) != 32 {
		return netip.AddrPort{}, false
	}
	bytes := make([]byte, len(address)/2)
	for i := range bytes {
		b, err := strconv.ParseUint(address[2*i:2*i+2], 16, 8)
		if err != nil {
			return netip.AddrPort{}, false
		}
		bytes[i/4*4+3-i%4] = byte(b)
	}
	addr, ok := netip.AddrFromSlice(bytes)
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), ok
}
