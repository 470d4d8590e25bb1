# Everything that a developer or CI does here. `make` alone explains.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:

CARGO ?= cargo
ARGS ?=
SECONDS_EACH ?= 60
CONSOLE = $(shell find web/src web/public web/scripts web/index.html web/package.json web/*.ts openapi -type f -not -path '*/generated/*')
TESTDATA := $(CURDIR)/target/testdata
export HEADWATER_FLIGHTS ?= $(TESTDATA)/flights-200k.json
DATA = $(sort $(HEADWATER_FLIGHTS) $(addprefix $(TESTDATA)/,flights-200k.json earthquakes.json stocks.csv))
WALKS = $(filter-out %/README.md,$(wildcard docs/use-cases/*.md)) docs/quickstart/minio.md docs/recovery.md
TESTED = $${CARGO_TARGET_DIR:-$(CURDIR)/target}/debug/headwater

# The binary as the tests have built it: another set of features would be another build.
build-tested = $(CARGO) test --workspace --locked --no-run --quiet

step = @printf '\n==> %s\n' "$(1)"

.PHONY: help
help: ## Show this
	@printf 'Headwater: a streaming service over HTTP and JSON, durable by default.\n\n'
	@printf 'First time:  make run     then paste the curl line that it prints.\n'
	@printf 'To change it: make test   before you commit.\n\n'
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1	\2/' | expand -t 26
	@printf '\nVariables: ARGS="--listen 127.0.0.1:9000" for run and bench, SECONDS_EACH=60 for fuzz.\n'

.PHONY: run
run: console-if-possible ## Build it and start a whole service on 127.0.0.1:8080, data in ./headwater-data
	$(CARGO) build --release --locked --bin headwater
	exec target/release/headwater dev $(ARGS)

.PHONY: console
console: web/dist/site/index.html ## Build the web console, which the next build of the service takes in (needs Node)

web/dist/site/index.html: web/node_modules/.package-lock.json $(CONSOLE)
	$(call step,the web console)
	@cd web && npm run --silent build

# Not `npm ci`: it refuses where a mirror lacks packages of other platforms.
web/node_modules/.package-lock.json: web/package-lock.json
	@cd web && npm install --no-save --no-progress --loglevel=error
	@touch $@

# Without Node the service runs all the same, and its first page says how to get the console.
.PHONY: console-if-possible
console-if-possible:
	@if ! command -v npm >/dev/null; then \
		printf '\nNo npm here: the service is built without its web console.\nTo have it, install Node 20.19 or newer and run this again.\n\n'; \
	elif ! $(MAKE) --no-print-directory console; then \
		printf '\nThe web console cannot be built (see above): the service is built without it, or with an older one.\n\n'; \
	fi

.PHONY: test
test: setup console check deny lint-openapi testdata object-stores test-rust test-properties test-sdks test-examples test-console test-docker ## All checks and tests, as CI runs them
	$(call step,everything passed)

.PHONY: setup
setup: ## Install what the tests need beside Rust and Node (as root), or say what is missing
	$(call step,tools)
	@.ci/setup

.PHONY: check
check: ## Formatting and lints
	$(call step,rustfmt: is the code formatted?)
	$(CARGO) fmt --all --check
	$(call step,clippy: no warnings in code or tests)
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

.PHONY: deny
deny: ## Licences, banned crates and sources of everything that is linked in
	$(call step,cargo deny: licences, bans, sources)
	@.ci/deny

.PHONY: testdata
testdata: $(DATA) ## Fetch the real data that tests and documents load

$(DATA):
	$(call step,testdata: $(@F))
	@.ci/testdata "$@"

.PHONY: object-stores
object-stores: ## Install the S3-compatible servers that the tests run against
	$(call step,object stores: moto, s3s-fs, MinIO)
	@.ci/object-stores

.PHONY: test-rust
test-rust: $(HEADWATER_FLIGHTS) ## Unit, property, crash and end-to-end tests (ARGS="name" picks some)
	$(call step,cargo test: units, models, crashes, and the real binary over HTTP)
	$(CARGO) test --workspace --locked $(ARGS)

.PHONY: test-properties
test-properties: ## schemathesis: generated requests against the OpenAPI document
	$(call step,schemathesis: requests made from the OpenAPI document)
	$(build-tested)
	@api/tests/schemathesis.sh

.PHONY: test-console
test-console: console ## The web console: units, and the real binary in a real Chromium
	$(call step,console: units)
	cd web && npm test --silent
	$(build-tested)
	$(call step,console: in Chromium)
	cd web && CONSOLE_TEST_BINARY=$${CARGO_TARGET_DIR:-$(CURDIR)/target}/debug/headwater npm run --silent test:browser

.PHONY: test-docker
test-docker: ## The image, the compose files and their services (run without Docker), alerts and dashboards
	$(call step,docker: lints; the services of the compose files)
	$(build-tested)
	@.ci/docker target/debug/headwater

.PHONY: lint-openapi
lint-openapi: ## Spectral and Redocly over the OpenAPI documents: every example and error is there
	$(call step,spectral and redocly: the OpenAPI documents)
	@openapi/tools/lint/run

.PHONY: sdks
sdks: ## Generate clients in TypeScript, Python, Go and Java into target/sdks
	$(call step,clients from the OpenAPI documents)
	@openapi/tools/generate

.PHONY: test-sdks
test-sdks: sdks ## Test the clients, each against a service that is killed under it
	$(call step,clients: units and conformance against a service)
	$(build-tested)
	@cd target/sdks/typescript && npm test --silent
	@cd target/sdks/python && PYTHONPATH=src "$(CURDIR)/target/tools/sdk/python/bin/python" -m unittest discover tests
	@openapi/conformance/run.sh
	@.ci/follow $(TESTED) docs/quickstart/{python,typescript}.md

.PHONY: test-examples
test-examples: setup testdata ## Follow the documents, compare them with what there is; upgrade from earlier builds
	$(build-tested)
	$(call step,documents: what they name exists, and what exists is named)
	@.ci/reference $(TESTED)
	$(call step,documents: each walk is followed beside a service of its own)
	@.ci/follow $(TESTED) $(WALKS)
	$(call step,upgrade: this build on what earlier ones wrote)
	@.ci/upgrade check $(TESTED)

.PHONY: cluster
cluster: setup ## Three brokers, two gateways and a Postgres on this machine; kills a leader, loses nothing
	$(CARGO) build --release --locked --bin headwater
	docker/local-cluster.sh $(ARGS) target/release/headwater

.PHONY: bench
bench: ## Load a server of this machine and print throughput and latency (ARGS="--help" for more)
	$(CARGO) build --release --locked --bin headwater
	target/release/headwater bench $(ARGS)

.PHONY: fmt
fmt: ## Format the code
	$(CARGO) fmt --all

.PHONY: openapi
openapi: ## Write openapi/*.json from the routes
	$(CARGO) build --locked --bin headwater
	@mkdir -p openapi
	for name in streaming management; do \
		target/debug/headwater openapi $$name >openapi/$$name.json.new; \
		mv openapi/$$name.json.new openapi/$$name.json; \
	done

.PHONY: reference
reference: ## Write docs/reference/cli.md from the commands' help
	$(build-tested)
	@.ci/reference $(TESTED) --write

.PHONY: fuzz
fuzz: ## Fuzz every target for SECONDS_EACH (needs a nightly toolchain and cargo-fuzz)
	@.ci/fuzz $(SECONDS_EACH)
