# Parley: `make run` sets up and runs it, `make test` sets up and tests it. Everything else is a part of these.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

export CGO_ENABLED ?= 0
GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
BIN      := bin/parley
WEB_SRC  := $(shell git ls-files -co --exclude-standard web 2>/dev/null | grep -v '^web/dist/' | grep -v '_test\.' )
FUZZTIME ?= 20s

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: run
run: speech build ## set up, build and run on 127.0.0.1:8080 and SIP 127.0.0.1:5060
	exec $(BIN) serve

.PHONY: build
build: web/dist/index.html ## web UI and bin/parley
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/parley

.PHONY: speech
speech: ## offline speech programs, where they may be installed
	@scripts/install.sh speech

# A stamp per lock file: npm ci runs again only when the lock changed.
web/node_modules/.installed: web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	@touch $@

web/dist/index.html: web/node_modules/.installed $(WEB_SRC)
	cd web && npm run build
	@touch $@

.PHONY: test
test: test-tools check generate-check web-test race e2e fuzz-short ## everything CI runs: installs peers, lint, unit, race, browser, fuzz
	@echo "all tests passed"

.PHONY: test-tools
test-tools: ## the programs tests talk to: PostgreSQL, sipp, baresip, Chromium, ...
	@scripts/install.sh test

.PHONY: check
check: vet lint ## fast: vet, format, lint, import rules
	$(GO) test ./internal/deptest/...

.PHONY: vet
vet:
	$(GO) vet ./...

.PHONY: lint
lint: web/node_modules/.installed ## gofmt, staticcheck, biome
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not gofmt-formatted:"; echo "$$out"; exit 1; fi
	$(GO) tool staticcheck ./...
	cd web && npm run lint

.PHONY: race
race: web/dist/index.html test/peers/aimock/node_modules/.installed bin/versitygw bin/ferretdb bin/vault ## all Go tests under the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout 30m ./...

test/peers/aimock/node_modules/.installed: test/peers/aimock/package-lock.json
	cd test/peers/aimock && npm ci --no-audit --no-fund
	@touch $@

.PHONY: web-test
web-test: web/node_modules/.installed ## unit tests of the web UI
	cd web && npm test

# The S3 server of the tests. Its module is its own, so that its dependencies are not Parley's.
bin/versitygw: test/peers/versitygw/go.sum
	cd test/peers/versitygw && $(GO) build -trimpath -o $(CURDIR)/$@ github.com/versity/versitygw/cmd/versitygw
	@touch $@

# The MongoDB of the tests. It is built where its module lies open, because it wants its version in a file first.
bin/ferretdb: test/peers/ferretdb/go.sum
	rm -rf bin/ferretdb.src && mkdir -p bin
	cd test/peers/ferretdb && $(GO) mod download github.com/FerretDB/FerretDB && \
	  cp -r "$$($(GO) list -m -f '{{.Dir}}' github.com/FerretDB/FerretDB)" $(CURDIR)/bin/ferretdb.src && chmod -R u+w $(CURDIR)/bin/ferretdb.src && \
	  $(GO) list -m -f '{{.Version}}' github.com/FerretDB/FerretDB > $(CURDIR)/bin/ferretdb.src/build/version/version.txt
	cd bin/ferretdb.src && $(GO) build -trimpath -o $(CURDIR)/$@ ./cmd/ferretdb
	@rm -rf bin/ferretdb.src && touch $@

# Vault's transit engine, behind a little HTTP of ours.
bin/vault: test/peers/vault/main.go test/peers/vault/go.sum
	cd test/peers/vault && $(GO) build -trimpath -o $(CURDIR)/$@ .

test/e2e/node_modules/.installed: test/e2e/package-lock.json
	cd test/e2e && npm ci --no-audit --no-fund
	@touch $@

bin/mockoidc: test/peers/mockoidc/main.go go.sum
	$(GO) build -trimpath -o $@ ./test/peers/mockoidc

.PHONY: e2e
e2e: speech build bin/mockoidc test/e2e/node_modules/.installed ## the built binary, used in Chromium as a person would
	cd test/e2e && npm test

.PHONY: generate
generate: ## everything made from the code: API document, typed clients, settings and CLI reference, map of modules
	$(GO) run ./cmd/parley openapi > api/openapi.yaml.new && mv api/openapi.yaml.new api/openapi.yaml
	$(GO) run ./cmd/parley reference > docs/configuration.md.new && mv docs/configuration.md.new docs/configuration.md
	$(GO) tool -modfile=api/client/tool.mod oapi-codegen -config api/client/codegen.yaml api/openapi.yaml
	$(GO) run ./internal/deptest/modules > docs/modules.md.new && mv docs/modules.md.new docs/modules.md
	$(MAKE) web/node_modules/.installed
	cd web && npm run generate

.PHONY: generate-check
generate-check: generate ## fails when what is generated is not what is committed, or the API broke
	@git diff --exit-code -- api docs/configuration.md docs/modules.md web/src/api || { echo "run 'make generate' and commit"; exit 1; }
	@if git cat-file -e HEAD~1:api/openapi.yaml 2>/dev/null; then \
	  mkdir -p bin && git show HEAD~1:api/openapi.yaml > bin/openapi.before.yaml && scripts/api-check.sh bin/openapi.before.yaml api/openapi.yaml; fi

.PHONY: audit
audit: ## known weaknesses: gosec, govulncheck, npm audit; the last two ask the internet (docs/security/findings.md)
	VULNDB='$(VULNDB)' scripts/audit.sh

.PHONY: bench-move
bench-move: ## move an organisation with 100,000 calls while calls run, on both engines (PARLEY_BENCH_CALLS)
	go test -run '^$$' -bench MoveOrganisation -benchtime 1x -timeout 60m ./internal/conversation

.PHONY: bench-requests
bench-requests: ## what a request costs through sign-in, limits, row level security and audit, at 500 a second on one core
	go test -run '^$$' -bench CostOfARequest -benchtime 1x -timeout 30m ./internal/app

.PHONY: bench-machines
bench-machines: ## how often answering machines, people and beeps are told apart, over thousands of synthetic calls (docs/answering-machines.md)
	go test -run '^$$' -bench Accuracy -benchtime 1x ./internal/voice/amd

.PHONY: campaign
campaign: ## a campaign of 2,000 leads against SIPp, 100 calls at once (PARLEY_CAMPAIGN_LEADS, PARLEY_CAMPAIGN_LINES)
	PARLEY_CAMPAIGN_LEADS=$${PARLEY_CAMPAIGN_LEADS:-2000} PARLEY_CAMPAIGN_LINES=$${PARLEY_CAMPAIGN_LINES:-100} go test -count=1 -v -timeout 30m -run TestCampaignOnSIPp ./internal/app

.PHONY: chaos
chaos: ## a campaign while workers, media processes, database connections and NATS are killed 200 times (PARLEY_CHAOS_KILLS, PARLEY_CHAOS_LEADS)
	PARLEY_CHAOS_KILLS=$${PARLEY_CHAOS_KILLS:-200} PARLEY_CHAOS_LEADS=$${PARLEY_CHAOS_LEADS:-600} go test -count=1 -v -timeout 60m -run TestKilledProcessesCallNobodyTwice ./internal/app

.PHONY: bench-orgs
bench-orgs: build ## 1,000 organisations beside one: start, memory, latency (BENCH_ORGS, BENCH_OWN, BENCH_DATABASE_URL)
	scripts/bench-orgs.sh

.PHONY: bench-campaign
bench-campaign: ## campaigns on both engines: import, choosing, decisions, do-not-call, simulator; draws docs/campaign-cost.svg
	BENCH_PLOT=docs/campaign-cost.svg scripts/bench-campaign.sh

.PHONY: bench
bench: build ## benchmarks and load figures as tables (docs/performance.md)
	scripts/bench.sh

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (20s) each
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: fuzz-short
fuzz-short: ## every fuzz target for 5,000 inputs, not guided by coverage
	FUZZ_GUIDED=0 timeout 20m scripts/fuzz.sh 5000x

.PHONY: clean
clean: ## what was built, not the data
	rm -rf bin web/dist/assets web/dist/index.html
