#!/usr/bin/env bash
# Fetches the font with npm into static/vendor. Nothing third-party is committed.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p static/vendor
if command -v npm >/dev/null; then
	npm ci --silent --no-audit --no-fund
	cp node_modules/@fontsource-variable/inter/files/inter-latin-wght-normal.woff2 static/vendor/inter.woff2
	touch static/vendor/.stamp
else
	echo "npm is missing: the pages will use the system's font" >&2
fi
