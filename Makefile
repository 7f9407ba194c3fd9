# XLB. `make run` serves, `make test` proves. Everything they need they install.
GO       ?= go

.PHONY: assets bench build check client dist generate run screenshots test tls

assets: static/vendor/.stamp

bench: build
	cd testing/bench && $(GO) run . $(BENCH)

build: assets generate
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/xlb .

check: test
	testing/check.sh

client:
	$(GO) build -o bin/balancer-client ./testing/balancer-client

# Binaries, archives, Debian packages, bills of materials and checksums, in bin/dist; VERSION=1.2.3 names them.
dist: assets generate
	packaging/dist.sh

generate:
	$(GO) tool templ generate -path views -log-level error

run: build
	./bin/xlb

screenshots: assets
	mkdir -p bin/screenshots
	cd testing/e2e && XLB_SHOTS=$(CURDIR)/bin/screenshots $(GO) test -count=1 -timeout=9m ./...

test: assets
	testing/test.sh

tls: build
	./bin/xlb tls

# Without npm the pages work too, in the system's own font.
static/vendor/.stamp: package.json
	testing/assets.sh
