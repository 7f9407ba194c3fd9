#!/usr/bin/env bash
# What `make dist` runs: binaries, archives, Debian packages, bills of materials and checksums of a commit, in bin/dist or
# where DIST says. The same commit gives the same bytes. VERSION is its tag, or 0.0.0 and when and what it is.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${DIST:-$PWD/bin/dist}
git() { command git -c safe.directory='*' "$@"; }
COMMIT=$(git rev-parse --short=12 HEAD)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
tag=$(git describe --tags --exact-match --match 'v*' 2>/dev/null || true)
VERSION=${VERSION:-${tag#v}}
VERSION=${VERSION:-0.0.0+$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M).$COMMIT}
[ -z "$(git status --porcelain --untracked-files=no)" ] || COMMIT=$COMMIT+changes
export SOURCE_DATE_EPOCH VERSION CGO_ENABLED=0 TZ=UTC LC_ALL=C

rm -rf "$out"
mkdir -p "$out"
build() { # build ARCH DIRECTORY
	GOOS=linux GOARCH=$1 go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$VERSION -X main.commit=$COMMIT" -o "$2/xlb" .
}

own=$(mktemp -d)
trap 'rm -rf "$own"' EXIT
(cd packaging && GOBIN=$own/tools go install tool)
build "$(go env GOHOSTARCH)" "$own"
for arch in amd64 arm64; do
	OUT=$own/xlb-$VERSION-linux-$arch
	mkdir -p "$OUT"
	build $arch "$OUT"
	"$own/xlb" man | gzip -9n >"$OUT/xlb.8.gz"
	for shell in bash zsh fish; do "$own/xlb" completion $shell >"$OUT/completion.$shell"; done
	gzip -9nc CHANGELOG.md >"$OUT/changelog.gz"
	export OUT ARCH=$arch
	"$own/tools/nfpm" package --config packaging/nfpm.yaml --packager deb --target "$out/"
	GOOS=linux GOARCH=$arch "$own/tools/cyclonedx-gomod" app -json -noserial -notimestamp -std -output "$out/xlb-$VERSION-linux-$arch.sbom.json" . 2>"$own/log" || { cat "$own/log" >&2; exit 1; }
	cp -r README.md CHANGELOG.md docs packaging/systemd packaging/default packaging/sysctl.conf "$OUT/"
	rm "$OUT/changelog.gz"
	chmod -R u=rwX,go=rX "$OUT"
	tar --sort=name --format=ustar --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$own" -cf - "$(basename "$OUT")" | gzip -9n >"$out/xlb-$VERSION-linux-$arch.tar.gz"
done
cd "$out"
sha256sum -- * >SHA256SUMS
ls -l
