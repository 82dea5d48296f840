package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/traffic"
)

// A pair is a service that a version has in two colours, behind a proxy of the service's name. What the proxy's own file says is what is
// live; nothing else is believed.
type pair struct {
	name    string
	first   traffic.Split       // of a proxy that was never told anything else
	like    string              // what the proxy's container is to be like
	members map[string][]string // services that belong to each colour: itself, and what asks it how it is
	wanted  map[string]string   // how Compose tells one definition of each service from another
	now     *traffic.Split      // by which the proxy goes; nil where none runs that is worth keeping
	text    string              // of its file
	stays   bool                // its container is like that already
	target  string              // the colour that is to be the version's
	other   string
	same    bool // the other colour is the version's, too
}

// pairs are those of a version, by name.
func (p Program) pairs(ctx context.Context, v Version) ([]*pair, error) {
	if !strings.Contains(v.File, traffic.ProxyLabel) {
		return nil, nil
	}
	services, err := p.services(ctx, v)
	if err != nil {
		return nil, err
	}
	hashes, err := p.hashes(ctx, v)
	if err != nil {
		return nil, err
	}
	members := map[string][]string{}
	for name, s := range services {
		if colour := s.Labels[traffic.ColourLabel]; colour != "" {
			members[colour] = append(members[colour], name)
		}
	}
	var all []*pair
	for name, s := range services {
		if s.Labels[traffic.ProxyLabel] == "" {
			continue
		}
		one := &pair{name: name, like: plain(s.Labels[traffic.ContainerLabel]), members: members, wanted: hashes}
		if one.first, err = traffic.Read(plain(s.Environment[traffic.Variable])); err != nil {
			return nil, fmt.Errorf("what the proxy of %s is to do: %w", name, err)
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b *pair) int { return cmp.Compare(a.name, b.name) })
	return all, nil
}

// plain is a text that Compose has printed, which is one of a Compose file once more: in that $$ is $.
func plain(text string) string { return strings.ReplaceAll(text, "$$", "$") }

// survey finds out which colours are live, and which of them is to become the version's. It changes nothing.
func (h Host) survey(ctx context.Context, v Version, running []engine.Instance) ([]*pair, error) {
	all, err := h.Program.pairs(ctx, v)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		if err := h.look(ctx, one, running); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Ahead lists the services of a version that are kept as they are while it is brought up, and says where nobody answers for a while because a
// proxy comes, goes or is replaced.
func (h Host) Ahead(ctx context.Context, v Version, running []engine.Instance) (kept, gaps []string, err error) {
	all, err := h.survey(ctx, v, running)
	if err != nil {
		return nil, nil, err
	}
	return untouched(all), gapsOf(all, v, running), nil
}

// untouched are the colours that people are sent to while a version is brought up, or that were so before, and the proxies that need only be told
// something else.
func untouched(all []*pair) (services []string) {
	for _, one := range all {
		if one.now != nil {
			services = append(services, one.members[one.other]...)
		}
		if one.stays {
			services = append(services, one.name)
		}
	}
	return services
}

// replaced are services that run and in whose place a new proxy comes, which need not be before all else is well.
func replaced(all []*pair, running []engine.Instance) (services []string) {
	for _, one := range all {
		if !one.stays && slices.ContainsFunc(running, func(i engine.Instance) bool { return i.Service == one.name && i.Running }) {
			services = append(services, one.name)
		}
	}
	return services
}

func gapsOf(all []*pair, v Version, running []engine.Instance) (gaps []string) {
	for _, name := range replaced(all, running) {
		gaps = append(gaps, name+": once all else is well its container is replaced by a new proxy, and nobody answers for some seconds.")
	}
	for _, i := range running {
		_, _, proxy := standing(i.Service, running)
		switched := slices.ContainsFunc(all, func(one *pair) bool { return one.name == i.Service })
		if proxy && !switched && v.Images[i.Service] != "" {
			gaps = append(gaps, i.Service+": it is switched no more, and nobody answers until it is well.")
		}
	}
	return gaps
}

// look reads by what a pair's proxy goes, and settles which colour is to become the version's. One that is to be replaced, and behind which nobody
// answers, is as good as none: the next would begin with its file, and be no better.
func (h Host) look(ctx context.Context, one *pair, running []engine.Instance) error {
	if proxy, kind, there := standing(one.name, running); there {
		split, text, err := h.split(ctx, proxy, kind)
		if err != nil {
			return err
		}
		one.stays = one.like != "" && proxy.Labels[traffic.ContainerLabel] == one.like
		if one.stays || proxy.Health != "unhealthy" {
			one.now, one.text = &split, text
		}
	}
	one.choose(running)
	return nil
}

// choose settles which colour is to become the version's: the one that is so already, or else the one that gets fewer requests, or that came
// last.
func (one *pair) choose(running []engine.Instance) {
	colours := service.Colours(one.name)
	slices.SortStableFunc(colours[:], func(a, b string) int {
		return cmp.Or(one.weightOf(b)-one.weightOf(a), one.placeOf(a)-one.placeOf(b))
	})
	one.other, one.target = colours[0], colours[1]
	if one.now == nil || one.is(one.other, running) {
		one.target, one.other = one.other, one.target
	}
	one.same = one.now == nil || one.is(one.target, running) && one.is(one.other, running)
}

func (one *pair) weightOf(colour string) int {
	if one.now == nil {
		return 0
	}
	return one.now.Of(colour).Weight
}

func (one *pair) placeOf(colour string) int {
	if one.now == nil {
		return 0
	}
	return slices.IndexFunc(one.now.Backends, func(b traffic.Backend) bool { return b.Host == colour })
}

// is reports whether a colour is the version's.
func (one *pair) is(colour string, running []engine.Instance) bool {
	return !slices.ContainsFunc(one.members[colour], func(name string) bool {
		return !slices.ContainsFunc(running, func(i engine.Instance) bool { return i.Service == name && i.Hash != "" && i.Hash == one.wanted[name] })
	})
}

// standing is the container of a service that is a proxy, and its kind, if it runs.
func standing(name string, running []engine.Instance) (engine.Instance, traffic.Proxy, bool) {
	at := slices.IndexFunc(running, func(i engine.Instance) bool {
		return i.Service == name && i.Labels[traffic.ProxyLabel] != "" && i.Status == "running"
	})
	if at < 0 {
		return engine.Instance{}, traffic.Proxy{}, false
	}
	return running[at], traffic.Named(running[at].Labels[traffic.ProxyLabel]), true
}

// split reads how a proxy shares requests out, and the text that says so.
func (h Host) split(ctx context.Context, proxy engine.Instance, kind traffic.Proxy) (split traffic.Split, text string, err error) {
	if text, err = h.told(ctx, proxy, kind.Show()); err != nil {
		return split, "", err
	}
	text += "\n" // which was taken off what was printed
	if split, err = traffic.Read(text); err != nil {
		err = fmt.Errorf("%s of the proxy of %s: %w; take it away and start the proxy again, and it begins anew", kind.File(), proxy.Service, err)
	}
	return split, text, err
}

// told runs a command in a proxy's container.
func (h Host) told(ctx context.Context, proxy engine.Instance, command []string) (string, error) {
	code, said, err := h.Engine.Container(proxy.ID).Exec(ctx, command)
	if err == nil && code != 0 {
		lines := strings.Split(said, "\n")
		err = errors.New(cut(lines[len(lines)-1]))
	}
	if err != nil {
		return "", fmt.Errorf("asking the proxy of %s: %w", proxy.Service, err)
	}
	return said, nil
}

// settle makes up for a deployment that was killed, and takes all requests away from colours that are to be replaced.
func (l *Lock) settle(ctx context.Context, all []*pair, running []engine.Instance) error {
	h := l.host
	for _, one := range all {
		proxy, kind, there := standing(one.name, running)
		if !there || one.now == nil {
			continue
		}
		if err := h.align(ctx, one, proxy, kind); err != nil {
			return err
		}
		if one.weightOf(one.target) > 0 && !one.is(one.target, running) {
			h.Tell("%s: all requests go to %s, as %s is replaced", one.name, one.other, one.target)
			if err := l.turn(ctx, one, running, one.shared(*one.now, 0)); err != nil {
				return err
			}
		}
	}
	return nil
}

// wipe takes away what is left of proxies that are not kept, with their files: a new one is to begin with the version, both of whose colours come
// with it, and not with ports at which nobody may listen any more.
func (h Host) wipe(ctx context.Context, all []*pair, running []engine.Instance, kept []string) error {
	for _, one := range all {
		if one.now != nil || slices.Contains(kept, one.name) {
			continue
		}
		for _, i := range running {
			if i.Service != one.name || i.Labels[traffic.ProxyLabel] == "" {
				continue
			}
			if err := h.Engine.TakeAway(ctx, i.ID); err != nil {
				return err
			}
		}
		if err := h.Engine.RemoveVolume(ctx, h.Project+"_"+traffic.Volume(one.name)); err != nil {
			return err
		}
	}
	return nil
}

// align has a proxy go by what its file says, if it does not.
func (h Host) align(ctx context.Context, one *pair, proxy engine.Instance, kind traffic.Proxy) error {
	_, said, err := h.Engine.Container(proxy.ID).Exec(ctx, traffic.Ask(*one.now))
	if err == nil && one.now.IsWhat(said) {
		return nil
	}
	_, err = h.told(ctx, proxy, kind.Reload())
	return err
}

// shared is a split of which the version's colour gets a share, and the other one the rest, where it was. Where both get some, the one that
// came last is the last.
func (one *pair) shared(as traffic.Split, weight int) traffic.Split {
	as.Backends = slices.Clone(as.Backends)
	for n := range as.Backends {
		b := &as.Backends[n]
		switch {
		case b.Host == one.target:
			b.Weight = weight
		default:
			b.Weight, b.Port = 100-weight, cmp.Or(one.now.Of(b.Host).Port, b.Port)
		}
	}
	if weight > 0 && weight < 100 {
		slices.SortFunc(as.Backends, func(a, _ traffic.Backend) int {
			if a.Host == one.target {
				return 1
			}
			return -1
		})
	}
	return as
}

// weight is the share that the version's colour gets in the end. One that has all of it keeps that; where both are the version's there is none
// to share with.
func (one *pair) weight(v Version) int {
	if v.Weight == 0 || one.same || one.weightOf(one.target) == 100 {
		return 100
	}
	return v.Weight
}

// turnAll has the proxies send people to a version, all of which is well.
func (l *Lock) turnAll(ctx context.Context, v Version, all []*pair) error {
	if len(all) == 0 {
		return nil
	}
	h := l.host
	running, err := h.Engine.Project(ctx, h.Project)
	if err != nil {
		return err
	}
	for _, one := range all {
		if one.now == nil { // it has only just begun
			if err := h.look(ctx, one, running); err != nil {
				return err
			}
		}
		weight := one.weight(v)
		if err := l.turn(ctx, one, running, one.shared(one.first, weight)); err != nil {
			return err
		}
		h.Tell("%s: %d %% of the requests go to %s, and %d %% to %s", one.name, weight, one.target, 100-weight, one.other)
		if weight == 100 {
			h.rest(ctx, one, running)
		}
	}
	return nil
}

// turn has a proxy go by a split, and proves that it does. Where it does not, it is told to do what it did, unless another may have told it
// something since.
func (l *Lock) turn(ctx context.Context, one *pair, running []engine.Instance, split traffic.Split) error {
	proxy, kind, there := standing(one.name, running)
	if !there || one.now == nil {
		return fmt.Errorf("the proxy of %s does not run", one.name)
	}
	h := l.host
	split.Health = healthOf(split, running)
	text, err := kind.Write(split)
	if err != nil {
		return err
	}
	if text == one.text {
		return h.prove(ctx, proxy, split)
	}
	if _, err = h.told(ctx, proxy, kind.Switch(text)); err == nil {
		err = h.prove(ctx, proxy, split)
	}
	if err != nil {
		return errors.Join(err, l.atLast(ctx, func(ctx context.Context) error {
			_, err := h.told(ctx, proxy, kind.Switch(one.text))
			return err
		}))
	}
	one.now, one.text = &split, text
	return nil
}

// healthOf is the path by which whoever gets requests says whether it is well; empty where two do that have different ones.
func healthOf(split traffic.Split, running []engine.Instance) string {
	var paths []string
	for _, i := range running {
		if split.Of(i.Service).Weight > 0 {
			paths = append(paths, i.Labels[traffic.HealthLabel])
		}
	}
	if paths = slices.Compact(paths); len(paths) != 1 {
		return ""
	}
	return paths[0]
}

// proofs is how often a proxy is asked until it is taken for one that does not do what it was told.
const proofs = 40

// prove asks through a proxy as people do, until it answers by a split.
func (h Host) prove(ctx context.Context, proxy engine.Instance, split traffic.Split) error {
	var failed error
	for range proofs {
		code, said, err := h.Engine.Container(proxy.ID).Exec(ctx, traffic.Ask(split))
		if failed = err; err == nil {
			failed = traffic.Answered(said, code == 0, split)
		}
		if failed == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), failed)
		case <-time.After(h.Every):
		}
	}
	return fmt.Errorf("proving that %s is switched: %w", proxy.Service, failed)
}

// rest stops a colour that gets no requests and is not well: what failed need not try again and again.
func (h Host) rest(ctx context.Context, one *pair, running []engine.Instance) {
	for _, i := range running {
		if slices.Contains(one.members[one.other], i.Service) && i.Running && judge(i) != "" {
			if _, err := h.Engine.Stop(ctx, i.ID); err != nil {
				h.Tell("%s: %v", i.Service, err)
			}
		}
	}
}

// Shares are what each colour gets of the requests for its service, in percent.
func (h Host) Shares(ctx context.Context) (map[string]int, error) {
	running, err := h.Engine.Project(ctx, h.Project)
	if err != nil {
		return nil, err
	}
	return h.shares(ctx, running)
}

// shares are what each colour gets, in percent, by the files of the proxies that run.
func (h Host) shares(ctx context.Context, running []engine.Instance) (map[string]int, error) {
	shares := map[string]int{}
	for _, i := range running {
		proxy, kind, there := standing(i.Service, running)
		if !there {
			continue
		}
		split, _, err := h.split(ctx, proxy, kind)
		if err != nil {
			return nil, err
		}
		for _, colour := range service.Colours(i.Service) {
			shares[colour] = split.Of(colour).Weight
		}
	}
	return shares, nil
}
