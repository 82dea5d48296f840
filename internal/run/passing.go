package run

import (
	"context"
	"regexp"
	"time"
)

// Tries is how often a program is run again that fails for a reason that passes.
const Tries = 3

// Passes reports whether a program, by its own words, failed for what may be different the next time: a registry that was busy,
// or a connection that broke. What failed inside a build does not.
func Passes(said string) bool { return flaw.MatchString(said) && !Own(said) }

// Own reports whether a build, by the builder's words, failed for what is in the Dockerfile or the context.
func Own(said string) bool { return own.MatchString(said) }

var (
	flaw = regexp.MustCompile(`(?i)(status|code|response)[^\n]*\b(408|425|429|499|500|502|503|504)\b|too ?many ?requests|connection reset|broken pipe|` +
		`\bEOF\b|(i/o|handshake|request|header) timeout|timeout (awaiting|exceeded)|server closed|failed to fetch \w+ token[^\n]*denied: denied|` +
		`unexpected status from \w+ request to \S+/v2/\S+: 401 |failed to push \S+: unauthorized\s*$|` + // of a token that was good until then
		`failed size validation|unexpected commit (digest|size)|digest mismatch|(manifest|content) digest[^\n]* (does not|did not) match|` +
		`error verifying (\w+ checksum|size)|verification failed for digest|unexpected end of JSON input|stream error|\bGOAWAY\b|temporary failure in name resolution|` +
		`archive/tar: |gzip: invalid|flate: corrupt|magic number mismatch|invalid character '|failed to analyze layer|unable to get the image ID`) // where content came broken
	own = regexp.MustCompile(`did not complete successfully|dockerfile parse error|failed to calculate checksum`)
)

// Patient runs a program again that failed for what may be different the next time.
func Patient(f Func) Func {
	return func(ctx context.Context, c Command) ([]byte, error) {
		out, err := f(ctx, c)
		for try := 0; err != nil && try < Tries && Passes(err.Error()) && Pause(ctx, try); try++ {
			out, err = f(ctx, c)
		}
		return out, err
	}
}

// Pause waits before the next try; false where the context ends first.
func Pause(ctx context.Context, try int) bool {
	timer := time.NewTimer(time.Second << try)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
