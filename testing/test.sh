#!/usr/bin/env bash
# What `make test` runs: installs what the tests need, then every check. Any failure stops it.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=1 # the race detector needs it

# need PROGRAM PACKAGE: a missing program is installed through apt as root, and named otherwise.
export PATH="$PATH:/usr/sbin:/sbin" # where ip is, for who is not root

need() {
	command -v "$1" >/dev/null && return
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		echo "installing $2"
		[ -n "${updated:-}" ] || apt-get -qq -o DPkg::Lock::Timeout=120 update
		updated=1
		DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$2" >/dev/null
	else
		echo "the tests need $1: apt-get install $2" >&2
		exit 1
	fi
}

step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

need gcc gcc
need curl curl
need openssl openssl
need wget wget
need certutil libnss3-tools
need unzip unzip
need redis-server redis-server
need redis-cli redis-tools
need ip iproute2
need psql postgresql-client
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || need initdb postgresql
need chromium-headless-shell chromium-headless-shell

step "format"
unformatted=$(gofmt -l $(git ls-files '*.go'))
[ -z "$unformatted" ] || { echo "gofmt would change: $unformatted" >&2; exit 1; }

if ls views/*.templ >/dev/null 2>&1; then
	step "generated code"
	go tool templ generate -path views -log-level error
	git diff --exit-code -- views || { echo "generated code is stale: make generate, then commit" >&2; exit 1; }
fi

step "vet"
go vet ./...

step "staticcheck"
go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

step "tests"
go test -race -shuffle=on -timeout=6m $(go list ./... | grep -v '/testing/abuse$')

# Goroutines move the bytes on other systems, and where no event loop can.
step "the other engine"
go test -race -timeout=3m ./lb -engine goroutines -run 'Bytes|Half|Reset|Stream|Alert|Upload|Answer|Peer|Kill|LiveNumbers|Changes|Route'

# Alone: they look at what is left for others, which beside other tests would be theirs.
step "attacks, short"
go test -count=1 -timeout=4m ./testing/abuse

if [ -f testing/e2e/go.mod ]; then
	step "browser"
	[ -f node_modules/axe-core/axe.min.js ] || { echo "the browser tests need axe-core: install npm, then make -B assets" >&2; exit 1; }
	(cd testing/e2e && go vet ./... && go test -count=1 -timeout=6m ./...)
fi
step "done"
