// Package release makes a release of GitHub: a draft, which gets its files and is published then, so that nobody sees it by halves and one that is immutable has
// all of them. What is there already is found and completed, whoever made it; so a run that is repeated, or was killed, ends in the same release.
package release

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/org/ghcr-publish/internal/github"
)

// A Host keeps releases; see github.Client.
type Host interface {
	Releases(ctx context.Context) ([]github.Release, error)
	CreateRelease(ctx context.Context, r github.Release) (github.Release, error)
	EditRelease(ctx context.Context, r github.Release) (github.Release, error)
	DeleteRelease(ctx context.Context, id int64) error
	Assets(ctx context.Context, release int64) ([]github.Asset, error)
	UploadAsset(ctx context.Context, r github.Release, f github.File) (github.Asset, error)
	DeleteAsset(ctx context.Context, id int64) error
}

// A Release is one that should be there.
type Release struct {
	Tag    string // the git tag
	Commit string
	// Version is what the tag releases, and Service the one that it releases alone, whose tags begin with Prefix.
	Version *semver.Version
	Service string
	Prefix  string
	Draft   bool // it is left to a person to publish it
	Notes   string
	// Judged is set where the notes say what was found in every image. Notes of the same images that do not are worth less than those that are there.
	Judged bool
	Assets []Asset
}

// An Asset is a file of a release.
type Asset struct {
	Name      string
	MediaType string
	Data      []byte
	// Open opens what is too large to be held, and has Size bytes; nil where Data has all.
	Open func() (File, error)
	Size int64
	// Once is set for what may be another one each time it is made, such as a report: the first one stays.
	Once bool
}

// A File is one that can be read again.
type File interface {
	io.ReadSeeker
	io.Closer
}

// sums is the asset that lists the digests of the others, as sha256sum does.
const sums = "checksums.txt"

// errTaken is that an asset is not there any more that just was: another run replaces it.
var errTaken = errors.New("another run is at the same release")

// tries is how often what another run did at the same moment is gone along with.
const tries = 5

// Publish makes sure of a release, where all are the ones that there were a moment ago. Notices tell what is not as it should be and cannot be helped.
func Publish(ctx context.Context, host Host, want Release, all []github.Release) (made github.Release, notices []string, err error) {
	for range tries {
		made, notices, err = publish(ctx, host, want, all)
		if !isPassing(err) {
			return made, notices, err
		}
		var failed error
		if all, failed = host.Releases(ctx); failed != nil {
			return made, notices, failed
		}
	}
	return made, notices, err
}

// isPassing reports whether an error is what another run did at the same moment.
func isPassing(err error) bool {
	return errors.Is(err, github.ErrExists) || errors.Is(err, github.ErrImmutable) || errors.Is(err, errTaken) || github.Status(err) == http.StatusNotFound
}

func publish(ctx context.Context, host Host, want Release, all []github.Release) (github.Release, []string, error) {
	found, err := find(ctx, host, want, all)
	if err != nil {
		return found, nil, err
	}
	notices, err := attach(ctx, host, found, want.Assets)
	if err != nil {
		return found, notices, err
	}
	if found.Draft && !want.Draft {
		if err := isWhole(ctx, host, found, want.Assets); err != nil {
			return found, notices, err
		}
	}
	if found, all, err = again(ctx, host, found); err != nil {
		return found, notices, err
	}
	now := found
	now.Body, now.Name = want.body(found.Body), cmp.Or(found.Name, title(want))
	if found.Draft && !want.Draft {
		now.Draft, now.Prerelease, now.Latest = false, found.Prerelease || want.Version.Prerelease() != "", want.latest(all)
	}
	if now.Body == found.Body && now.Name == found.Name && now.Draft == found.Draft {
		return found, notices, nil
	}
	made, err := host.EditRelease(ctx, now)
	if err == nil && now.Latest == "true" {
		err = want.settle(ctx, host)
	}
	return made, notices, err
}

// again is a release as it is by now: while its files were sent, somebody may have written into it, or published it. One that GitHub does not
// list yet is as it was.
func again(ctx context.Context, host Host, r github.Release) (github.Release, []github.Release, error) {
	all, err := host.Releases(ctx)
	if i := slices.IndexFunc(all, func(other github.Release) bool { return other.ID == r.ID }); i >= 0 {
		r = all[i]
	}
	return r, all, err
}

// settle has the highest version be the latest release where another run has published a higher one at the same moment.
func (want Release) settle(ctx context.Context, host Host) error {
	all, err := host.Releases(ctx)
	if err != nil {
		return err
	}
	higher := want.above(all)
	if higher == "" {
		return nil
	}
	one := of(all, higher)[0]
	one.Latest = "true"
	_, err = host.EditRelease(ctx, one)
	return err
}

// mark is around the notes that are this program's.
func mark(want Release) github.Mark { return github.NewMark("release " + want.Tag) }

// digest is what an image is named by, for good.
var digest = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// body puts the notes into a release's text.
func (want Release) body(before string) string {
	if !want.Judged && strings.Contains(before, mark(want).Begin()) && !slices.ContainsFunc(digest.FindAllString(want.Notes, -1), func(d string) bool { return !strings.Contains(before, d) }) {
		return before
	}
	return mark(want).Replace(before, fitting(want.Notes, longest-len(mark(want).Replace(before, ""))))
}

// longest is what GitHub takes of a release's text, in characters, of which none has less than a byte.
const longest = 125_000

// fitting is as much of the notes as there is room for, in whole lines: what is told of the images comes first.
func fitting(notes string, room int) string {
	const rest = "\n\n… and more than GitHub takes; the report has it all."
	if len(notes) <= room {
		return notes
	}
	return notes[:strings.LastIndex(notes[:max(room-len(rest), 0)], "\n")+1] + rest
}

func title(want Release) string {
	if want.Service == "" {
		return want.Tag
	}
	return want.Service + " " + want.Version.Original()
}

// find returns the release of the tag: one that is published, or else the first draft, or else a new one. Other drafts that this program made at the same moment are taken away, by all who find them, so that one is left.
func find(ctx context.Context, host Host, want Release, all []github.Release) (github.Release, error) {
	found := of(all, want.Tag)
	if len(found) == 0 {
		made, err := host.CreateRelease(ctx, github.Release{Tag: want.Tag, Commit: want.Commit, Name: title(want), Body: want.body(""), Draft: true,
			Prerelease: want.Version.Prerelease() != ""})
		if err != nil {
			return made, err
		}
		if all, err = host.Releases(ctx); err != nil {
			return made, err
		}
		if found = of(all, want.Tag); len(found) == 0 {
			return made, nil // GitHub lists it later
		}
	}
	for _, other := range found[1:] {
		if m := mark(want); !other.Draft || !strings.Contains(other.Body, m.Begin()) || strings.TrimSpace(m.Around(other.Body)) != "" {
			continue // somebody's own words stay
		}
		if err := host.DeleteRelease(ctx, other.ID); err != nil {
			return found[0], err
		}
	}
	return found[0], nil
}

// of returns the releases of a tag: the published one first, then the older drafts.
func of(all []github.Release, tag string) []github.Release {
	found := slices.DeleteFunc(slices.Clone(all), func(r github.Release) bool { return r.Tag != tag })
	slices.SortFunc(found, func(a, b github.Release) int {
		switch {
		case a.Draft == b.Draft:
			return cmp.Compare(a.ID, b.ID)
		case b.Draft:
			return -1
		default:
			return 1
		}
	})
	return found
}

// attach gives a release its files, and takes for whole what GitHub says is. A published release that is immutable takes none.
func attach(ctx context.Context, host Host, r github.Release, want []Asset) (notices []string, err error) {
	has, err := host.Assets(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if r.Immutable && !r.Draft {
		return lacking(has, want), nil
	}
	for _, a := range want {
		if err := put(ctx, host, r, has, a); err != nil {
			return nil, err
		}
	}
	if has, err = host.Assets(ctx, r.ID); err != nil {
		return nil, err
	}
	list, unknown := checksums(has, want)
	if unknown != nil {
		notices = append(notices, fmt.Sprintf("%s leaves out %s, of which GitHub tells no digest.", sums, strings.Join(unknown, ", ")))
	}
	return notices, put(ctx, host, r, has, Asset{Name: sums, MediaType: "text/plain", Data: list})
}

// isWhole looks once more whether a draft has all of its files: what is published may be so for good.
func isWhole(ctx context.Context, host Host, r github.Release, want []Asset) error {
	has, err := host.Assets(ctx, r.ID)
	if err != nil {
		return err
	}
	for _, a := range append([]Asset{{Name: sums, Once: true}}, want...) {
		if i := named(has, a.Name); i < 0 || !a.isIn(has[i]) {
			return fmt.Errorf("publishing the release of %s: %s is gone again: %w", r.Tag, a.Name, errTaken)
		}
	}
	return nil
}

func lacking(has []github.Asset, want []Asset) (notices []string) {
	for _, a := range want {
		if i := named(has, a.Name); i < 0 || !a.isIn(has[i]) {
			notices = append(notices, fmt.Sprintf("The release is immutable and keeps its files, without this run's %s.", a.Name))
		}
	}
	return notices
}

func named(has []github.Asset, name string) int {
	return slices.IndexFunc(has, func(a github.Asset) bool { return a.Name == name })
}

// isIn reports whether an asset of the release is this one, by its length where GitHub tells no digest.
func (a Asset) isIn(has github.Asset) bool {
	return has.Uploaded() && (a.Once || has.Digest == a.digest() || has.Digest == "" && has.Size == int64(len(a.Data)))
}

func (a Asset) digest() string {
	sum := sha256.Sum256(a.Data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func put(ctx context.Context, host Host, r github.Release, has []github.Asset, a Asset) error {
	if i := named(has, a.Name); i >= 0 {
		if a.isIn(has[i]) {
			return nil
		}
		if err := host.DeleteAsset(ctx, has[i].ID); err != nil {
			return err
		}
	}
	return a.upload(ctx, host, r)
}

// upload sends an asset, and takes it back where GitHub's digest says that something else has come.
func (a Asset) upload(ctx context.Context, host Host, r github.Release) error {
	file, err := a.open()
	if err != nil {
		return fmt.Errorf("opening what the release is to have: %w", err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return fmt.Errorf("reading what the release is to have: %w", err)
	}
	made, err := host.UploadAsset(ctx, r, github.File{Name: a.Name, MediaType: a.MediaType, Content: file})
	if err != nil || made.Digest == "" || made.Digest == "sha256:"+hex.EncodeToString(sum.Sum(nil)) {
		return err
	}
	return cmp.Or(host.DeleteAsset(ctx, made.ID), fmt.Errorf("uploading %s: it came altered, as %s: %w", a.Name, made.Digest, errTaken))
}

func (a Asset) open() (File, error) {
	if a.Open != nil {
		return a.Open()
	}
	return held{bytes.NewReader(a.Data)}, nil
}

// held is what needs no closing.
type held struct{ *bytes.Reader }

func (held) Close() error { return nil }

// checksums lists the digests of a release's assets, and names those whose digest nobody knows.
func checksums(has []github.Asset, want []Asset) (list []byte, unknown []string) {
	slices.SortFunc(has, func(a, b github.Asset) int { return cmp.Compare(a.Name, b.Name) })
	for _, a := range has {
		digest := a.Digest
		if i := slices.IndexFunc(want, func(w Asset) bool { return w.Name == a.Name && !w.Once }); digest == "" && i >= 0 {
			digest = want[i].digest()
		}
		switch {
		case a.Name == sums || !a.Uploaded():
		case digest == "":
			unknown = append(unknown, a.Name)
		default:
			list = fmt.Appendf(list, "%s  %s\n", strings.TrimPrefix(digest, "sha256:"), a.Name)
		}
	}
	return list, unknown
}

// latest says whether a release becomes the repository's latest one: the highest version does, and no prerelease. Of services that are released by
// themselves GitHub decides, since none of them is the repository.
func (want Release) latest(all []github.Release) string {
	switch {
	case want.Version.Prerelease() != "":
		return "false"
	case want.Service != "":
		return "legacy"
	}
	if want.above(all) != "" {
		return "false"
	}
	return "true"
}

// above is the tag of the highest release that is published, where that is higher than this one; empty where none is.
func (want Release) above(all []github.Release) (tag string) {
	for _, p := range want.published(all) {
		if p.version.Prerelease() == "" && p.version.GreaterThan(want.Version) {
			tag = p.tag
		}
	}
	return tag
}

type past struct {
	tag     string
	version *semver.Version
}

// published are the releases of the same kind of tags that everybody sees, by version.
func (want Release) published(all []github.Release) []past {
	var found []past
	for _, r := range all {
		text, ours := strings.CutPrefix(r.Tag, want.Prefix)
		if v, err := semver.NewVersion(text); ours && err == nil && !r.Draft && r.Tag != want.Tag {
			found = append(found, past{r.Tag, v})
		}
	}
	slices.SortFunc(found, func(a, b past) int { return a.version.Compare(b.version) })
	return found
}

// Previous is the tag of the release before this one: the highest lower version that is published, of which a prerelease counts for prereleases alone; empty
// where this is the first.
func (want Release) Previous(all []github.Release) string {
	previous := ""
	for _, p := range want.published(all) {
		if p.version.LessThan(want.Version) && (p.version.Prerelease() == "" || want.Version.Prerelease() != "") {
			previous = p.tag
		}
	}
	return previous
}
