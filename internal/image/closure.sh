#!/bin/sh
# closure.sh ROOT OUT PROGRAM...: copies programs of a root directory to OUT, with their interpreter and
# all libraries that they name, directly or through others, under the paths where they would be found.
# It reads ELF files instead of running them, so ROOT may be another machine's.
set -eu
root=$1 out=$2
shift 2

# find_library NAME: its path below ROOT.
find_library() {
  for dir in lib usr/lib; do
    for file in "$root/$dir"/*-linux-gnu*/"$1" "$root/$dir/$1"; do
      if [ -e "$file" ]; then
        printf '%s\n' "${file#"$root"/}"
        return
      fi
    done
  done
  printf 'closure: %s is in none of the packages\n' "$1" >&2
  return 1
}

# copy PATH: the file itself, under that name.
copy() {
  if [ -e "$out/$1" ]; then
    return
  fi
  mkdir -p "$out/$(dirname "$1")"
  cp -L "$root/$1" "$out/$1"
  for library in $(readelf -d "$root/$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
    path=$(find_library "$library")
    copy "$path"
  done
}

for program in "$@"; do
  copy "$program"
  interpreter=$(readelf -l "$root/$program" | sed -n 's/.*interpreter: \/\(.*\)\]/\1/p')
  # The name in the program is that of a link, and may lead out of ROOT; the file goes under that name.
  path=$(find_library "$(basename "$interpreter")")
  mkdir -p "$out/$(dirname "$interpreter")"
  cp -L "$root/$path" "$out/$interpreter"
done
