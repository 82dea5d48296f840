package learn

import (
	"fmt"
	"slices"
	"time"
)

// A Trial is one look at whether an image starts and becomes healthy.
type Trial struct {
	Service string    `json:"service"`
	Digest  string    `json:"digest"`
	Inputs  string    `json:"inputs"` // digest of what the image is made of
	At      time.Time `json:"at"`
	Healthy bool      `json:"healthy"`
}

// Trials are those that are remembered, in any order.
type Trials []Trial

// A Health is how trials of a service came out.
type Health struct {
	Trials int    `json:"trials"`
	Failed int    `json:"failed"`
	Flaky  int    `json:"flaky"`          // failures of images that were healthy at another time: not the image's doing
	Note   string `json:"note,omitempty"` // what earlier trials say of this one; empty where they say nothing
}

// same reports whether two trials of a service are of one image: by its digest, or by what it is made of.
func (t Trial) same(other Trial) bool {
	return t.Digest != "" && t.Digest == other.Digest || t.Inputs != "" && t.Inputs == other.Inputs
}

// count tells how many trials of an image came out well, and how many did not.
func (all Trials) count(of Trial) (healthy, failed int) {
	for _, t := range all {
		switch {
		case !t.same(of):
		case t.Healthy:
			healthy++
		default:
			failed++
		}
	}
	return healthy, failed
}

// Health tells flaky health checks from images that are at fault, by a trial and those before it.
func (all Trials) Health(now Trial) Health {
	own := slices.DeleteFunc(slices.Clone(all), func(t Trial) bool { return t.Service != now.Service })
	h := Health{Note: own.note(now)}
	own = append(own, now)
	flaky := own.Flaky()
	for i, t := range own {
		h.Trials++
		if !t.Healthy {
			h.Failed++
		}
		if flaky[i] {
			h.Flaky++
		}
	}
	return h
}

// Flaky tells of each trial whether it failed although the same image was healthy at another time.
func (all Trials) Flaky() []bool {
	healthy := map[[2]string]bool{} // by service, and digest of the image or of what it is made of
	for _, t := range all {
		if t.Healthy {
			healthy[[2]string{t.Service, t.Digest}], healthy[[2]string{t.Service, t.Inputs}] = true, true
		}
	}
	flaky := make([]bool, len(all))
	for i, t := range all {
		flaky[i] = !t.Healthy && (t.Digest != "" && healthy[[2]string{t.Service, t.Digest}] || t.Inputs != "" && healthy[[2]string{t.Service, t.Inputs}])
	}
	return flaky
}

// note tells what earlier trials of the same image say of one.
func (all Trials) note(now Trial) string {
	healthy, failed := all.count(now)
	switch {
	case now.Healthy && failed > 0:
		return fmt.Sprintf("its health check is flaky: the same image is healthy now, and was not in %d of %d trials before", failed, failed+healthy)
	case now.Healthy || failed+healthy == 0:
		return ""
	case healthy > 0:
		return fmt.Sprintf("its health check is flaky: the same image was healthy in %d of %d trials before", healthy, failed+healthy)
	default:
		return fmt.Sprintf("this is no accident: the same image was not healthy in any of %d trials before", failed)
	}
}
