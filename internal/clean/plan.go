package clean

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
)

// Rules say what stays of a package.
type Rules struct {
	Keep service.Clean
	Now  time.Time
	Tags Tags
	// InUse says of digests where they are used.
	InUse map[string]string
	// Platforms are the sets of platforms that layers are kept for.
	Platforms [][]string
	// IsVersion reports whether a tag is one that a release gave, and that never moves.
	IsVersion func(tag string) bool
}

// Plan decides what becomes of each version. What stays by itself is found first, then all that it needs, and what needs it to be
// of use: an index's images and attestations, what a manifest refers to, and what refers to it. Whatever is left goes.
func (r Rules) Plan(p Package) Plan {
	d := &decision{Rules: r, Package: p, listed: map[string]github.Version{}, kept: map[string]string{}, stay: map[string]string{}, over: map[string]string{}, idle: []Idle{}, referrers: p.referrers()}
	for _, v := range p.Versions {
		d.listed[v.Digest] = v
	}
	for _, r := range p.Lost {
		if _, there := d.listed[r.Digest]; !there {
			d.listed[r.Digest] = r.Version
		}
	}
	d.judgeTags()
	for _, v := range p.Versions {
		if why := d.stays(v); why != "" {
			d.keep(v.Digest, why)
		}
	}
	for digest, names := range p.Unlisted {
		d.keep(digest, "GitHub does not list it yet, and it is "+strings.Join(names, ", "))
	}
	d.keepUntagged()
	d.keepLast()
	return d.plan()
}

// A decision is being made.
type decision struct {
	Rules
	Package
	listed    map[string]github.Version // by digest, with those that are lost
	kept      map[string]string         // why digests stay
	stay      map[string]string         // why tags keep their versions
	over      map[string]string         // why tags do not, but for those that stay as long as what they tell of
	referrers map[string][]string       // by what they refer to
	sightings []insight.Sighting
	idle      []Idle
}

// referrers are the digests that refer to a digest, or list what does.
func (p Package) referrers() map[string][]string {
	to := map[string][]string{}
	for digest, m := range p.Manifests {
		if m.Subject != "" {
			to[m.Subject] = append(to[m.Subject], digest)
		}
	}
	tagged := func(digest string, names []string) {
		for _, tag := range names {
			if subject := registry.SubjectOf(tag); subject != "" {
				to[subject] = append(to[subject], digest)
			}
		}
	}
	for _, v := range p.Versions {
		tagged(v.Digest, v.Tags)
	}
	for _, r := range p.Lost {
		tagged(r.Digest, r.Tags)
	}
	for digest, names := range p.Unlisted {
		tagged(digest, names)
	}
	return to
}

// keep keeps a digest and all that belongs to it.
func (d *decision) keep(digest, why string) {
	if d.kept[digest] != "" {
		return
	}
	d.kept[digest] = why
	of := "it is needed by " + d.label(digest)
	for _, needed := range d.needs(digest) {
		d.keep(needed, of)
	}
	for _, says := range d.referrers[digest] {
		d.keep(says, "it tells something of "+d.label(digest))
	}
}

// needs are the digests without which one is of no use.
func (d *decision) needs(digest string) []string {
	m := d.Manifests[digest]
	needs := slices.Clone(m.Children)
	if m.Subject != "" {
		needs = append(needs, m.Subject)
	}
	for _, tag := range d.listed[digest].Tags {
		if subject := registry.SubjectOf(tag); subject != "" {
			needs = append(needs, subject)
		}
	}
	return needs
}

// label names a digest for people.
func (d *decision) label(digest string) string {
	if names := d.listed[digest].Tags; len(names) > 0 {
		return names[0]
	}
	return short(digest)
}

func short(digest string) string { return digest[:min(len(digest), 19)] }

// stays says why a version stays by itself; empty where nothing says so.
func (d *decision) stays(v github.Version) string {
	var reasons []string
	for _, tag := range v.Tags {
		if why := d.stay[tag]; why != "" {
			reasons = append(reasons, tag+": "+why)
		}
	}
	switch where := d.InUse[v.Digest]; {
	case len(reasons) > 0:
		d.idle = append(d.idle, d.idleTags(v)...)
		return strings.Join(reasons, "; ")
	case where != "":
		return "it is used by " + where
	case d.Now.Sub(touched(v)) < d.Keep.Grace:
		return "it is younger than " + age(d.Keep.Grace)
	default:
		return ""
	}
}

func (d *decision) idleTags(v github.Version) (idle []Idle) {
	for _, tag := range v.Tags {
		if why := d.over[tag]; why != "" && d.stay[tag] == "" {
			idle = append(idle, Idle{tag, why})
		}
	}
	return idle
}

// touched is when a version changed last, as far as GitHub tells: not all that gives it a tag counts there.
func touched(v github.Version) time.Time {
	if v.Updated.After(v.Created) {
		return v.Updated
	}
	return v.Created
}

// judgeTags says of each tag why it keeps its version, or why not.
func (d *decision) judgeTags() {
	limited := make([][]ranked, len(d.Keep.Tags))
	for _, v := range d.Versions {
		for _, tag := range v.Tags {
			if registry.SubjectOf(tag) != "" || d.judged(tag) {
				continue
			}
			rule := slices.IndexFunc(d.Keep.Tags, func(l service.TagLimits) bool { return service.Matches(l.Match, tag) })
			if ended := d.ended(v); rule < 0 && ended != "" && names(tag, d.Manifests[v.Digest].Revision) {
				d.over[tag] = "it tells the commit of " + ended
			} else if rule < 0 {
				d.stay[tag] = "no rule lets it go"
			} else if t, ok := d.countable(tag, v); ok {
				limited[rule] = append(limited[rule], t)
			}
		}
	}
	for i, tags := range limited {
		d.limit(d.Keep.Tags[i], tags)
	}
}

// judged judges a tag by what it is, whatever limits say.
func (d *decision) judged(tag string) bool {
	switch {
	case cache.IsTag(tag):
		if branch := d.Tags.Layers(tag, d.Platforms); branch != "" {
			d.stay[tag] = "layers of branch " + branch
		} else {
			d.over[tag] = "no branch that there is keeps its layers there"
		}
	case registry.IsOwnTag(tag):
		d.stay[tag] = "what runs tell one another"
	case service.Matches(d.Keep.Protect, tag):
		d.stay[tag] = "protected"
	case d.Tags.Lives(tag) != "":
		d.stay[tag] = d.Tags.Lives(tag)
	case d.Tags.Over(tag) != "" && d.Keep.Closed:
		d.over[tag] = d.Tags.Over(tag)
	default:
		return false
	}
	return true
}

// ended is the tag of a version that followed what there is no more, which the version was built for; empty where it has none.
func (d *decision) ended(v github.Version) string {
	i := slices.IndexFunc(v.Tags, func(tag string) bool { return d.Keep.Closed && d.Tags.Over(tag) != "" })
	if i < 0 {
		return ""
	}
	return v.Tags[i]
}

// countable tells since when a tag has been where it is, if limits are to count it. One of which nobody knows that stays.
func (d *decision) countable(tag string, v github.Version) (t ranked, counts bool) {
	if d.isGhost(v.Digest) {
		d.over[tag] = "none of its images is there any more"
		return t, false
	}
	if t, counts = d.since(tag, v); !counts {
		d.stay[tag] = "nobody knows yet how old it is"
	}
	return t, counts
}

// A ranked tag is one that limits are about. It came to where it is between two times, which are the same where that is known.
type ranked struct {
	tag             string
	earliest, since time.Time
}

// limit applies limits to the tags that they are of. Age and number are the tags' own: a release's name on an old image is new. One that
// may be among the newest is.
func (d *decision) limit(limits service.TagLimits, tags []ranked) {
	var times []time.Time
	for _, t := range tags {
		times = append(times, t.earliest)
	}
	slices.SortFunc(times, time.Time.Compare)
	for _, t := range tags {
		older, found := slices.BinarySearchFunc(times, t.since, time.Time.Compare)
		for found && older < len(times) && times[older].Equal(t.since) {
			older++
		}
		if why := d.within(limits.Limits, len(times)-older, t.since); why != "" {
			d.stay[t.tag] = why
		} else {
			d.over[t.tag] = fmt.Sprintf("beyond %s of %s", beyond(limits.Limits), strings.Join(limits.Match, ", "))
		}
	}
}

// within says which limit keeps what so many are newer than.
func (d *decision) within(l service.Limits, newer int, since time.Time) string {
	switch {
	case newer < l.Newest:
		return fmt.Sprintf("among the newest %d", l.Newest)
	case d.Now.Sub(since) < l.Younger:
		return "younger than " + age(l.Younger)
	default:
		return ""
	}
}

func beyond(l service.Limits) string {
	switch {
	case l.Younger == 0:
		return fmt.Sprintf("the newest %d", l.Newest)
	case l.Newest == 0:
		return age(l.Younger)
	default:
		return fmt.Sprintf("%s and the newest %d", age(l.Younger), l.Newest)
	}
}

// age is a duration in days, where it is some.
func age(d time.Duration) string {
	if day := 24 * time.Hour; d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

// since is when a tag came to where it is. What was built for a tag that does not move has it since it is there; of all others only
// earlier looks tell.
func (d *decision) since(tag string, v github.Version) (t ranked, known bool) {
	m, made := d.Manifests[v.Digest], touched(v)
	if names(tag, m.Revision) || m.Version == tag && d.IsVersion(tag) {
		return ranked{tag, made, made}, true
	}
	seen, known := d.Seen[tag]
	if known = known && seen.Digest == v.Digest; !known {
		seen = insight.Sighting{Tag: tag, Digest: v.Digest, Since: d.Now}
	}
	d.sightings = append(d.sightings, seen)
	if seen.Since.Before(made) {
		seen.Since = made
	}
	return ranked{tag, v.Created, seen.Since}, known
}

// names reports whether a tag tells a commit.
func names(tag, commit string) bool { return len(commit) >= 40 && strings.Contains(tag, commit[:7]) }

// isGhost reports whether a digest is an index of which nothing is left.
func (d *decision) isGhost(digest string) bool {
	children := d.Manifests[digest].Children
	return len(children) > 0 && !slices.ContainsFunc(children, func(c string) bool { return !d.Missing[c] })
}

// keepUntagged keeps the newest images that have no tag, and the younger ones.
func (d *decision) keepUntagged() {
	var loose []github.Version
	isWhole := d.wholes()
	for _, v := range d.Versions {
		if len(v.Tags) == 0 && isWhole(v.Digest) && !d.isGhost(v.Digest) {
			loose = append(loose, v)
		}
	}
	slices.SortFunc(loose, newestFirst)
	for i, v := range loose {
		if why := d.within(d.Keep.Untagged, i, touched(v)); why != "" {
			d.keep(v.Digest, why+" without a tag")
		}
	}
}

// wholes tells images from parts of some: what an index lists, and also what none lists any more in a package of indexes, since an index goes
// before its parts.
func (d *decision) wholes() func(digest string) bool {
	parts, indexes := map[string]bool{}, false
	for _, m := range d.Manifests {
		indexes = indexes || m.Image && len(m.Children) > 0
		for _, c := range m.Children {
			parts[c] = true
		}
	}
	return func(digest string) bool {
		m := d.Manifests[digest]
		return m.Image && !parts[digest] && (len(m.Children) > 0 || !indexes)
	}
}

func newestFirst(a, b github.Version) int {
	return cmp.Or(touched(b).Compare(touched(a)), cmp.Compare(b.ID, a.ID))
}

// keepLast keeps one version, with a tag where any has one, as GitHub demands; an image rather than anything else. What runs tell one another
// is no reason to let the last image go.
// https://docs.github.com/en/packages/learn-github-packages/deleting-and-restoring-a-package
func (d *decision) keepLast() {
	last := slices.DeleteFunc(slices.Clone(d.Versions), func(v github.Version) bool {
		return !slices.ContainsFunc(v.Tags, func(tag string) bool { return !registry.IsOwnTag(tag) })
	})
	if len(last) == 0 {
		last = d.Versions
	}
	if len(last) == 0 || slices.ContainsFunc(last, func(v github.Version) bool { return d.kept[v.Digest] != "" }) {
		return
	}
	newest := slices.MinFunc(last, func(a, b github.Version) int {
		return cmp.Or(rank(d.Manifests[a.Digest].Image)-rank(d.Manifests[b.Digest].Image), newestFirst(a, b))
	})
	d.keep(newest.Digest, "GitHub does not delete a package's last version, nor its last with a tag")
}

func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}

// plan puts the decision into order.
func (d *decision) plan() Plan {
	p := Plan{Image: d.Image, Gone: []Item{}, Kept: []Item{}, Restored: d.restored(), Idle: d.idle, sightings: d.sightings}
	p.Broken, p.missing = d.broken()
	going := map[string]github.Version{}
	for _, v := range d.Versions {
		if why := d.kept[v.Digest]; why != "" {
			p.Kept = append(p.Kept, Item{Version: v, Why: why})
		} else {
			going[v.Digest] = v
		}
	}
	before := d.before(going)
	for _, v := range inOrder(going, before) {
		p.Gone = append(p.Gone, Item{Version: v, Why: d.whyGone(v), After: before[v.Digest]})
	}
	slices.SortFunc(p.Kept, func(a, b Item) int { return newestFirst(a.Version, b.Version) })
	p.Bytes = d.bytes(going)
	p.Refused = d.tooMany(p)
	return p
}

// restored are those of the lost that something needs, what others need first.
func (d *decision) restored() []Item {
	lost := []Item{}
	for _, r := range slices.Backward(d.Lost) {
		if why := d.kept[r.Digest]; why != "" && d.Now.Sub(r.Since) < restorable {
			lost = append(lost, Item{Version: r.Version, Why: why})
		}
	}
	return lost
}

func (d *decision) whyGone(v github.Version) string {
	var reasons []string
	for _, tag := range v.Tags {
		if subject := registry.SubjectOf(tag); d.Missing[subject] {
			reasons = append(reasons, short(subject)+", of which it tells, is gone")
		} else if subject != "" {
			reasons = append(reasons, short(subject)+", of which it tells, goes")
		} else {
			reasons = append(reasons, tag+": "+d.over[tag])
		}
	}
	m := d.Manifests[v.Digest]
	switch {
	case len(reasons) > 0:
		return strings.Join(reasons, "; ")
	case d.isGhost(v.Digest):
		return "it has no tag, and none of its images is there any more"
	case d.Missing[m.Subject]:
		return short(m.Subject) + ", of which it tells, is gone"
	default:
		return "it has no tag, and nothing that stays needs it"
	}
}

// before are the digests that go and must be gone before each: those that need it, and what it tells of.
func (d *decision) before(going map[string]github.Version) map[string][]string {
	before := map[string][]string{}
	add := func(first, then string) {
		if _, goes := going[first]; goes && !slices.Contains(before[then], first) {
			before[then] = append(before[then], first)
		}
	}
	for parent, m := range d.Manifests {
		for _, child := range m.Children {
			add(parent, child)
		}
	}
	for subject, says := range d.referrers {
		for _, s := range says {
			add(subject, s)
		}
	}
	for _, first := range before {
		slices.Sort(first)
	}
	return before
}

// inOrder puts each version after those before it, and otherwise the oldest first. What goes round in a circle comes in some order.
func inOrder(going map[string]github.Version, before map[string][]string) []github.Version {
	all := slices.SortedFunc(maps.Values(going), func(a, b github.Version) int { return newestFirst(b, a) })
	var order []github.Version
	done := map[string]bool{}
	var visit func(v github.Version)
	visit = func(v github.Version) {
		if done[v.Digest] {
			return
		}
		done[v.Digest] = true
		for _, first := range before[v.Digest] {
			visit(going[first])
		}
		order = append(order, v)
	}
	for _, v := range all {
		visit(v)
	}
	return order
}

// bytes sums up the blobs that nothing needs any more.
func (d *decision) bytes(going map[string]github.Version) (sum int64) {
	freed := map[string]int64{}
	for digest := range going {
		maps.Copy(freed, d.Manifests[digest].Sizes)
	}
	for digest, m := range d.Manifests {
		if _, goes := going[digest]; !goes {
			for blob := range m.Sizes {
				delete(freed, blob)
			}
		}
	}
	for _, size := range freed {
		sum += size
	}
	return sum
}

// broken says what is missing of images that stay, and which digests those are.
func (d *decision) broken() (broken, missing []string) {
	broken = []string{}
	for _, v := range d.Versions {
		lacks := slices.DeleteFunc(slices.Clone(d.Manifests[v.Digest].Children), func(c string) bool { return !d.Missing[c] })
		if d.kept[v.Digest] != "" && len(lacks) > 0 {
			broken = append(broken, fmt.Sprintf("%s lacks %d of the %d manifests that it lists, such as %s", d.label(v.Digest), len(lacks), len(d.Manifests[v.Digest].Children), lacks[0]))
			missing = append(missing, lacks...)
		}
	}
	return broken, missing
}

// small is how many images with a tag may go whatever the share is.
const small = 10

// tooMany says of a plan that would take more of the images with a tag than may go at once; a pattern may be wrong.
func (d *decision) tooMany(p Plan) string {
	count := func(items []Item) (n int) {
		for _, i := range items {
			if slices.ContainsFunc(i.Tags, registry.IsUserTag) {
				n++
			}
		}
		return n
	}
	gone, all := count(p.Gone), count(p.Gone)+count(p.Kept)
	if gone <= small || float64(gone) <= d.Keep.Share*float64(all) {
		return ""
	}
	return fmt.Sprintf("%d of %d images with a tag would go, which is more than `share: %.0f%%` allows at once", gone, all, d.Keep.Share*100)
}
