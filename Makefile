# Trustloom: how it is built, run and tested. `make` alone explains itself.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# Go: the toolchain that go.mod names is fetched if another one is installed.
# One set of flags for build, vet and test, because packages compiled under
# other flags are compiled again, and the Temporal server takes minutes:
# -trimpath keeps the builder's folders out of the binaries, the version comes
# from git describe below rather than from -buildvcs, and cgo loads the PKCS#11
# module and runs the race detector.
export GOTOOLCHAIN := auto
export CGO_ENABLED := 1
export GOFLAGS := $(filter-out -trimpath -buildvcs=%,$(GOFLAGS)) -trimpath -buildvcs=false

MODULE   := github.com/trustloom/trustloom
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
BINARIES := $(patsubst cmd/%/main.go,%,$(wildcard cmd/*/main.go))
FOLDERS  := $(wildcard cmd workflows activities api models integrations deploy test)
TOOLS    := $(CURDIR)/bin/tools

# What can be said on the command line: the data directory of `make run` and
# more flags for it (ARGS='--http-addr 127.0.0.1:9080'), the time for each fuzz
# target, more flags for go test (TESTFLAGS='-run Approval -v'), and what
# test-short tests.
DATA      ?= data
ARGS      ?=
FUZZTIME  ?= 30s
TESTFLAGS ?=
PKG       ?= ./...

# Not under the race detector: the engine (Temporal's server is not ours, and
# compiling it a second time takes minutes), and the tests that drive finished
# binaries, into which the detector cannot see.
UNRACED := cmd/trustloom-temporal test/e2e test/chaos test/interop

# What test-short leaves out: the same, and what needs a running engine.
LONG := $(UNRACED) integrations/temporald

# $(call without,LIST) filters packages of go list.
space   := $(subst ,, )
without  = grep -Ev '^$(MODULE)/($(subst $(space),|,$(strip $(1))))(/|$$)'

# Linters, pinned. They are no dependencies of the module: they live in
# bin/tools, compiled by the same Go as the code, which they need to read it.
STATICCHECK_VERSION   := v0.8.2
WORKFLOWCHECK_VERSION := v0.6.0

# staticcheck: everything it knows, except
#   ST1000  package comments: test/arch asks for more (a sentence, also of
#           packages made of tests), once, with the reason
# and cmd/trustloom-temporal, because staticcheck would have to analyse 200
# modules of Temporal's server to look at one small file; go vet sees it.
# Single places are excused by //lint:ignore with a reason (test/arch looks).
# workflowcheck: what it leaves out, and why, is in .workflowcheck.yaml.
STATICCHECK_CHECKS := all,-ST1000

##@ Use

.PHONY: help
help: ## show this page
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo

.PHONY: build
build: ## build every binary into bin/ (the first time: about five minutes, for Temporal's server)
	@mkdir -p bin
	@for b in $(filter-out trustloom-temporal,$(BINARIES)); do \
		go build -ldflags "-X main.version=$(VERSION)" -o bin/$$b ./cmd/$$b; done
	@if [ -f cmd/trustloom-temporal/main.go ]; then go build -o bin/trustloom-temporal ./cmd/trustloom-temporal; fi

.PHONY: run
run: build ## build and start the server on ./data, with a first PKI; Ctrl-C stops it
	@DATA=$(DATA) deploy/dev/run.sh $(ARGS)

.PHONY: demo
demo: build ## play a device's life on a throw-away server, with curl and openssl
	@deploy/demo/demo.sh

##@ Develop

.PHONY: test
test: deps build lint arch fuzz test-all ## everything: tools, linters, structure, fuzzing, all tests (under 30 minutes)
	@printf '\nmake test: everything passed (%s)\n' "$(VERSION)"

.PHONY: test-all
test-all: deps build ## only the tests, unit and integration, under the race detector where it can see
	@raced=$$(go list ./... | $(call without,$(UNRACED))); \
	go test -race -p 2 -timeout 25m $(TESTFLAGS) $$raced
	@unraced=; for p in $(UNRACED); do if [ -d $$p ]; then unraced+=" ./$$p/..."; fi; done; \
	go test -p 2 -timeout 25m $(TESTFLAGS) $$unraced

.PHONY: test-short
test-short: ## the quick ones: no engine, no e2e, no race detector (PKG=./models/... narrows)
	@short=$$(go list $(PKG) | $(call without,$(LONG))); go test -short -p 2 -timeout 5m $(TESTFLAGS) $$short

.PHONY: arch
arch: ## the structure of the tree: ladder, homes of dependencies, sizes, comments
	@go test -count=1 ./test/arch/

.PHONY: lint
lint: $(TOOLS)/staticcheck-$(STATICCHECK_VERSION) $(TOOLS)/workflowcheck-$(WORKFLOWCHECK_VERSION) ## gofmt, go vet, staticcheck, workflowcheck
	@unformatted=$$(gofmt -l $(FOLDERS)); if [ -n "$$unformatted" ]; then \
		echo "gofmt -w is needed for:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	@echo staticcheck; $(word 1,$^) -checks '$(STATICCHECK_CHECKS)' $$(go list ./... | $(call without,cmd/trustloom-temporal))
	@echo workflowcheck; $(word 2,$^) -config .workflowcheck.yaml ./workflows/...

.PHONY: fuzz
fuzz: ## run the fuzz targets, each for FUZZTIME (30s)
	@deploy/dev/fuzz.sh $(FUZZTIME)

.PHONY: soak
soak: deps build ## hours: 5 minutes for each fuzz target, the failure experiments and 50 agents for ten minutes, all tests five times in random order
	@deploy/dev/fuzz.sh 5m all
	go test -timeout 120m -v ./test/chaos -soak
	go test -timeout 30m -v ./test/e2e -run '^(TestNoCertificateExpiresInUse|TestAgent|TestCMPKilledAtFaultPoints)$$' -soak
	@$(MAKE) --no-print-directory test-all TESTFLAGS='-count=5 -shuffle=on -timeout 120m $(TESTFLAGS)'

.PHONY: golden
golden: ## rewrite the golden files from what the code does now; look at the diff
	@for p in $$(grep -rlE 'flag\.Bool\("update"' --include='*_test.go' $(FOLDERS) | xargs -r -n1 dirname | sort -u); do \
		go test ./$$p -update; done
	@git status --short | grep testdata || echo "no golden file changed"

.PHONY: generate
generate: golden ## the same: golden files are all that is generated

.PHONY: tidy-check
tidy-check: ## fail if go.mod or go.sum is not what go mod tidy would write
	go mod tidy -diff
	go mod verify

.PHONY: deps
deps: ## install what the tests use from Debian: softhsm2, opensc, postgresql, curl, openssl
	@deploy/dev/deps.sh

.PHONY: clean
clean: ## remove bin/ (the data directory and Go's caches stay)
	rm -rf bin

# A tool is compiled by the toolchain of this module: go install pkg@version
# would take the one of the tool's own go.mod.
$(TOOLS)/staticcheck-$(STATICCHECK_VERSION):
	$(call install,honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION))

$(TOOLS)/workflowcheck-$(WORKFLOWCHECK_VERSION):
	$(call install,go.temporal.io/sdk/contrib/tools/workflowcheck@$(WORKFLOWCHECK_VERSION))

define install
	@mkdir -p $(TOOLS)
	GOTOOLCHAIN=$$(go env GOVERSION) GOBIN=$(TOOLS) go install $(1)
	@mv $(TOOLS)/$(firstword $(subst @, ,$(notdir $(1)))) $@
endef
