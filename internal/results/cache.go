package results

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// An Access is what a job may do with the cache of GitHub Actions.
type Access struct {
	Read  bool
	Write []string // refs for whose runs it may write
}

// What a scope permits, as bits.
// https://github.com/tonistiigi/go-actions-cache/blob/master/cache.go
const (
	mayRead  = 1
	mayWrite = 2
)

// CacheAccess reads from a runner's token what its job may do, so that nobody need try: claim ac lists the scopes. A workflow may
// allow less, which the runner tells as ACTIONS_CACHE_MODE: read, write, write-only or none.
// https://docs.github.com/en/actions/reference/workflows-and-actions/dependency-caching
func CacheAccess(token, mode string) (Access, error) {
	var claims struct {
		Scopes  string `json:"ac"`
		Expires any    `json:"exp"`
		Begins  any    `json:"nbf"`
	}
	if err := readClaims(token, &claims); err != nil {
		return Access{}, err
	}
	var scopes []struct {
		Scope      string
		Permission int
	}
	if json.Unmarshal([]byte(claims.Scopes), &scopes) != nil || claims.Expires == nil || claims.Begins == nil {
		return Access{}, errors.New("its token gives no access to a cache")
	}
	var access Access
	for _, s := range scopes {
		access.Read = access.Read || s.Permission&mayRead != 0
		if s.Permission&mayWrite != 0 {
			access.Write = append(access.Write, s.Scope)
		}
	}
	access.Read = access.Read && !slices.Contains([]string{"write-only", "none"}, strings.ToLower(mode))
	if slices.Contains([]string{"read", "none"}, strings.ToLower(mode)) {
		access.Write = nil
	}
	return access, nil
}
