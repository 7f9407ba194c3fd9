#!/usr/bin/env bash
# What `make check` adds to `make test`: every fuzz test for a while (FUZZTIME, default 20s each), and
# the system tests several times over (ROUNDS, default 3), because races do not show every time.
set -euo pipefail
cd "$(dirname "$0")/.."

for file in $(git grep -lE '^func Fuzz' -- '*_test.go'); do
	for target in $(grep -oE '^func Fuzz\w+' "$file" | cut -c6-); do
		echo "== $target ($file)"
		go test -run='^$' -fuzz="^$target\$" -fuzztime="${FUZZTIME:-20s}" "./$(dirname "$file")"
	done
done
echo "== system tests, ${ROUNDS:-3} rounds"
go test -count="${ROUNDS:-3}" -shuffle=on -timeout=30m ./testing/system
