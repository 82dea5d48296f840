#!/usr/bin/env bash
# Releases the action, out of a clone with all tags:
#
#   release.sh check VERSION                       refuses what cannot be released
#   release.sh placed VERSION OUTCOME DRAFT        refuses where the registry has another image as the version, or there is no draft
#   release.sh verify VERSION DIGEST               refuses an image that the release workflow has not attested
#   release.sh publish [--dry-run] VERSION DIGEST  has the version's action.yml name the image by its digest
#   release.sh announce VERSION                    publishes the release of GitHub that was drafted
#
# main keeps `image: Dockerfile`. The release is a commit beside it, tagged v1.2.3; v1.2 and v1 are moved to it
# unless a higher version of theirs is out. All tags are pushed at once or none. A release that broke off is
# finished by doing it again. IMAGE is the image's name, ORIGIN the remote, GITHUB_REPOSITORY the repository.
set -euo pipefail

image=${IMAGE:-ghcr.io/org/ghcr-publish}
image=${image,,}
origin=${ORIGIN:-origin}
repository=${GITHUB_REPOSITORY:-org/ghcr-publish}
number='(0|[1-9][0-9]*)'
part='(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)' # of what follows the hyphen: rc and 1 in rc.1

refuse() {
  printf 'release: %s\n' "$1" >&2
  exit 2
}

parse() {
  [[ $1 =~ ^$number\.$number\.$number(-$part(\.$part)*)?$ ]] || refuse "\"$1\" is no version; give 1.2.3 or 1.3.0-rc.1, without a v"
  version=$1 major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]} patch=${BASH_REMATCH[3]} pre=${BASH_REMATCH[4]}
}

released() { git rev-parse --quiet --verify "refs/tags/v$version^{commit}" >/dev/null; }

# highest PREFIX: the highest final version whose tag begins so, as "1 2 3"; nothing where there is none.
highest() {
  git tag --list "v$1*" | sed -nE "s/^v$number\.$number\.$number\$/\1 \2 \3/p" | sort -n -k1,1 -k2,2 -k3,3 | tail -n 1
}

# above "1 2 3": whether the version is higher than that, or that is empty.
above() {
  local a b c
  [ -n "$1" ] || return 0
  read -r a b c <<<"$1"
  ((major > a || major == a && (minor > b || minor == b && patch > c)))
}

check() {
  if released; then
    printf 'v%s is tagged already; what is missing of its release will be finished\n' "$version"
    return
  fi
  local top
  top=$(highest "$major.$minor.")
  above "$top" || refuse "v${top// /.} is released, and $version would come after it; give a higher version"
}

# placed goes by the action's outcome, which says of the only tag of its run whether it is at the image that was judged.
placed() {
  case $1 in
    published | nothing-to-do) ;;
    *) refuse "$image:$version is not the image that this run judged (outcome \"$1\"); a version never changes, so re-run the failed jobs of the run that published it, or give a higher one" ;;
  esac
  [ -n "$2" ] || refuse "no release was drafted, for the reason that the action's summary gives; re-run the failed jobs once that is mended"
}

# verify asks GitHub what README.md tells everybody to ask.
verify() {
  [[ $1 =~ ^sha256:[0-9a-f]{64}$ ]] || refuse "\"$1\" is no digest of the form sha256:…"
  local type
  for type in https://github.com/org/ghcr-publish/verdict/v1 https://slsa.dev/provenance/v1; do
    gh attestation verify "oci://$image@$1" --repo "$repository" --cert-identity "https://github.com/$repository/.github/workflows/release.yml@refs/heads/main" --predicate-type "$type" ||
      refuse "the release workflow of $repository has attested no $type of $image@$1"
  done
}

# announce makes the draft be seen. The highest final version is the latest release.
announce() {
  released || refuse "v$version has no tag yet, and GitHub would make one of main"
  local latest=false
  [[ -z $pre && $(highest '') = "$major $minor $patch" ]] && latest=true
  gh release edit "v$version" --repo "$repository" --verify-tag --draft=false --latest="$latest"
}

# commit_release makes the commit and its tag, or finds them.
commit_release() {
  local digest=$1 line="  image: docker://$image@$1 # v$version"
  if released; then
    git show "v$version:action.yml" | grep -qxF -- "$line" || refuse "v$version is released with another image; a version never changes, so give a higher one"
    return
  fi
  check
  [ -z "$(git status --porcelain)" ] || refuse 'the clone has changes that are not committed'
  [ "$(grep -cx '  image: Dockerfile' action.yml)" = 1 ] || refuse 'action.yml does not say "image: Dockerfile" once'
  # The workflow that others call cannot name this very version: the workflow's token may push no file of a workflow that no branch has.
  if [ -z "$pre" ] && grep -F 'uses: org/ghcr-publish@' .github/workflows/publish.yml | grep -qvx " *\(- \)\?uses: org/ghcr-publish@v$major"; then
    refuse ".github/workflows/publish.yml uses another line of the action than v$major; write org/ghcr-publish@v$major there"
  fi
  git checkout --quiet --detach
  sed -i "s|^  image: Dockerfile\$|$line|" action.yml
  git diff --no-ext-diff -- action.yml
  git commit --quiet --message "Release $version" -- action.yml
  git tag --annotate --message "$version" "v$version"
}

publish() {
  local digest=$1 dry=$2 tags=() tag
  [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || refuse "\"$digest\" is no digest of the form sha256:…"
  commit_release "$digest"
  if [ -z "$pre" ]; then
    [ "$(highest "$major.$minor.")" != "$major $minor $patch" ] || tags+=("v$major.$minor")
    [ "$(highest "$major.")" != "$major $minor $patch" ] || tags+=("v$major")
  fi
  # The tags of lines move only from where this clone knows them to be: a release made meanwhile may be higher.
  # The version's own is never forced.
  local commit refs=("refs/tags/v$version") leases=()
  commit=$(git rev-parse "v$version^{commit}")
  for tag in "${tags[@]}"; do
    leases+=("--force-with-lease=refs/tags/$tag:$(git rev-parse --quiet --verify "refs/tags/$tag" || true)")
    refs+=("$commit:refs/tags/$tag")
  done
  local names="v$version ${tags[*]}"
  printf 'tags: %s\n' "${names% }"
  if [ -n "$dry" ]; then
    printf 'nothing is pushed; the tags are in this clone alone, so release from another one\n'
  elif ! git push --atomic "${leases[@]}" "$origin" "${refs[@]}"; then
    printf 'release: nothing was pushed to %s, for the reason above; where its tags have moved, release again from a fresh clone\n' "$origin" >&2
    exit 1
  fi
  for tag in "${tags[@]}"; do
    git tag --force "$tag" "$commit" >/dev/null
  done
  if [ -n "${GITHUB_STEP_SUMMARY-}" ]; then
    printf '### %s%s\n\n- image: `%s@%s`\n- tags: `%s`\n' "$version" "${dry:+ (dry run)}" "$image" "$digest" "${names% }" >>"$GITHUB_STEP_SUMMARY"
  fi
}

case ${1-} in
  check) [ $# = 2 ] || refuse 'usage: release.sh check VERSION' ;;
  placed) [ $# = 4 ] || refuse 'usage: release.sh placed VERSION OUTCOME DRAFT' ;;
  verify) [ $# = 3 ] || refuse 'usage: release.sh verify VERSION DIGEST' ;;
  announce) [ $# = 2 ] || refuse 'usage: release.sh announce VERSION' ;;
  publish) [[ $# = 3 && $2 != --dry-run || $# = 4 && $2 = --dry-run ]] || refuse 'usage: release.sh publish [--dry-run] VERSION DIGEST' ;;
  *) refuse 'usage: release.sh check VERSION | placed VERSION OUTCOME DRAFT | verify VERSION DIGEST | publish [--dry-run] VERSION DIGEST | announce VERSION' ;;
esac
command=$1
shift
dry=
if [ "$1" = --dry-run ]; then
  dry=yes
  shift
fi
parse "$1"
case $command in
  check) check ;;
  placed) placed "$2" "$3" ;;
  verify) verify "$2" ;;
  announce) announce ;;
  publish) publish "${2-}" "$dry" ;;
esac
