#!/bin/sh
# size.sh IMAGE: says what each part of the action's image weighs, compressed as a registry sends it.
set -eu
image=$1
dir=$(mktemp -d)
container=$(docker create "$image")
trap 'docker rm "$container" >/dev/null; rm -rf "$dir"' EXIT
docker export "$container" | tar -C "$dir" -x --exclude=dev --exclude=proc --exclude=sys

# weigh NAME PATH...: one line, in megabytes.
weigh() {
  name=$1
  shift
  (cd "$dir" && tar -c "$@" | gzip -6 | wc -c) | awk -v name="$name" '{ printf "%-14s %6.1f MB\n", name, $1 / 1e6 }'
}

weigh ghcr-publish usr/local/bin/ghcr-publish
weigh buildx usr/local/bin/buildx
weigh trivy usr/local/bin/trivy
weigh compose usr/local/bin/docker-compose
weigh 'git, ssh, libs' usr/bin usr/lib lib
weigh certificates etc
weigh all .
