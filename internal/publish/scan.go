package publish

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/scan"
	"github.com/org/ghcr-publish/internal/telemetry"
	"github.com/org/ghcr-publish/internal/verdict"
)

// scan puts into the evidence what is wrong with one platform's image, and which of it the published image has too, as the
// same database knows it. Without a published image nothing is compared, and an image is not scanned twice.
func (p Publisher) scan(ctx context.Context, e *verdict.Platform, now, published scan.Target) {
	var known []verdict.Finding
	var unknown error
	ctx, end := telemetry.Start(ctx, "scan "+now.Service.Name, telemetry.Service(now.Service.Name), telemetry.Platform(now.Platform))
	var group sync.WaitGroup
	same := published.Image != "" && published.Image == now.Image
	if published.Image != "" && !same {
		group.Go(func() { known, unknown = p.Scan(ctx, published) })
	}
	found, err := p.Scan(ctx, now)
	group.Wait()
	end(errors.Join(err, unknown))
	if same {
		known = found
	}
	if unknown != nil {
		e.Uncompared = unknown.Error()
	}
	e.Unscanned = text(err)
	for _, f := range found {
		if f.Harmless != nil {
			e.Harmless = append(e.Harmless, f)
		} else {
			e.Findings = append(e.Findings, f)
		}
	}
	verdict.MarkKnown(e.Findings, known)
	if published.Image != "" && unknown == nil && err == nil {
		before := counted(known)
		e.Before, e.Gone = &before, verdict.Gone(known, found)
	}
}

// counted is how many findings there are that no VEX document takes the harm from.
func counted(findings []verdict.Finding) int {
	n := 0
	for _, f := range findings {
		if f.Harmless == nil {
			n++
		}
	}
	return n
}

// counterpart is the published image of a platform, where findings are to be compared with its own, or why there is none.
// Of a service that was never published nothing is old.
func (p Publisher) counterpart(s plan.Service, platform string, published map[string]registry.Platform, unread string) (t scan.Target, why string) {
	if !p.Gates.Vulnerabilities.OnlyNew || s.Digest == "" && unread == "" {
		return t, ""
	}
	if unread != "" {
		return t, unread
	}
	was, found := published[platform]
	if !found {
		return t, fmt.Sprintf("the published image has none for %s", platform)
	}
	return scan.Target{Image: s.Image + "@" + was.Digest.String(), Platform: platform}, ""
}
