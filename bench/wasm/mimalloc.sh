#!/usr/bin/env bash
# Fetches mimalloc's sources with their emscripten port, on Debian 12: its own emscripten is too old to bring them, that of
# Debian 13 has them. Downloads that package (240 MB) with a package list of its own, unpacks the one folder, and leaves
# neither the system's package lists nor its packages changed.
#
#   bash bench/wasm/mimalloc.sh [FOLDER]     FOLDER: ~/.cache/sharedheap/mimalloc
set -eu

target="${1:-$HOME/.cache/sharedheap/mimalloc}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/sources"
for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
  [ -e "$file" ] && sed 's/bookworm/trixie/g' "$file" >"$work/sources/$(basename "$file" | sed 's/^sources.list$/old.list/')"
done
apt=(apt-get -q -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/sources" -o "Dir::State::lists=$work/lists"
  -o "Dir::Cache=$work" -o "Dir::Cache::archives=$work/archives" -o APT::Sandbox::User=root)
"${apt[@]}" update
(cd "$work" && "${apt[@]}" download emscripten)
mkdir "$work/unpacked"
dpkg-deb --fsys-tarfile "$work"/emscripten_*.deb |
  tar -x -C "$work/unpacked" --wildcards '*/system/lib/mimalloc/*'
mkdir -p "$(dirname "$target")"
rm -rf "$target"
mv "$work"/unpacked/usr/share/emscripten/system/lib/mimalloc "$target"
echo "mimalloc's sources lie in $target"
