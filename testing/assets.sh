#!/usr/bin/env bash
# Fetches the font and the charts' library with npm into static/vendor. Nothing third-party is committed.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p static/vendor
if command -v npm >/dev/null; then
	npm ci --silent --no-audit --no-fund
	cp node_modules/@fontsource-variable/inter/files/inter-latin-wght-normal.woff2 static/vendor/inter.woff2
	cp node_modules/uplot/dist/uPlot.iife.min.js static/vendor/uplot.js
	cp node_modules/uplot/dist/uPlot.min.css static/vendor/uplot.css
	touch static/vendor/.stamp
else
	echo "npm is missing: the pages will use the system's font, and the charts will not answer to the pointer" >&2
fi
