#!/usr/bin/env bash
# What `make check` adds to `make test`: clients with Python, Node and Java too, ACME, testssl.sh, the packages, every fuzz test for a while (FUZZTIME, default 20s each),
# the system tests with the race detector several times over (ROUNDS, default 3), because races do not show every time, pages in every look and over a long
# time, 20 kills and 20 full disks, and the attacks at their full size. It takes about an hour.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== the bundle with every TLS library"
need() {
	command -v "$1" >/dev/null && return
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "make check needs $1: apt-get install $2" >&2; exit 1; }
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$2" >/dev/null
}
need python3 python3
need node nodejs
need java default-jdk-headless
XLB_ALL_PEERS=1 go test -count=1 -timeout=15m -run='^(TestBundleWorksWithEveryLibrary|TestCommandsOfTheConnectPage|TestAuthorityRollsOverUnderTraffic|TestGoingOverToACompany|TestAuthorityOfACompany|TestTheSystemTrusts)$' ./testing/system
echo "== ACME, against Pebble"
(cd testing/acme && go vet ./... && go test -count=1 -timeout=4m ./...)

echo "== testssl.sh on both ports"
need testssl testssl.sh
need hexdump bsdmainutils
XLB_TESTSSL=1 go test -count=1 -timeout=15m -run='^TestFindingsOfTestsslAreExplained$' ./testing/system

echo "== packages: the same twice, and installed below a systemd of their own"
if [ "$(id -u)" = 0 ] && [ ! -x /lib/systemd/systemd ]; then
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends systemd >/dev/null
fi
XLB_DIST=1 go test -count=1 -timeout=20m -v ./testing/dist

for file in $(git grep -lE '^func Fuzz' -- '*_test.go'); do
	for target in $(grep -oE '^func Fuzz\w+' "$file" | cut -c6-); do
		echo "== $target ($file)"
		go test -run='^$' -fuzz="^$target\$" -fuzztime="${FUZZTIME:-20s}" "./$(dirname "$file")"
	done
done
echo "== programs that come and go in every way, for ${SOAK:-30m}"
XLB_SOAK="${SOAK:-30m}" go test -count=1 -timeout=60m -run='^TestSoak$' -v ./lb
echo "== system tests, ${ROUNDS:-3} rounds"
XLB_RESTARTS=10 XLB_RACE=1 go test -race -count="${ROUNDS:-3}" -shuffle=on -timeout=40m ./testing/system
echo "== 20 kills and 20 full disks"
XLB_LOOPS=20 go test -count=1 -timeout=20m -v -run='^(TestKillLosesNothingThatWasAnswered|TestFullDiskAgainAndAgain)$' ./testing/system
echo "== accessibility, every look of every page"
(cd testing/e2e && XLB_AXE=full go test -count=1 -timeout=15m ./...)
echo "== the browser: an hour of updates, 200 navigations, 100 flapping frontends, the first minute"
(cd testing/e2e && XLB_LASTING=1 go test -count=1 -timeout=15m -run=Lasting -v ./...)
echo "== the attacks at their full size"
XLB_ABUSE=full go test -count=1 -timeout=30m ./testing/abuse
