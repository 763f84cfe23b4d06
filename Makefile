# Everything that is done with this repository, in one word each. Nothing but Go is needed; race wants a C compiler.

.DEFAULT_GOAL := help
.PHONY: help build run dev test test-script test-browser test-crash test-cluster test-power test-sdk test-npm race fuzz bench bench-results bench-many profiles soak lint fmt generate verify cover size cross check

# The linters stand in a module of their own: what they depend on is not what the server depends on.
LINT := go tool -modfile=tools/go.mod golangci-lint

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the binary, bin/heliograph
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/heliograph

run: ## the whole story in one process: subscribe, change files, see the notifications
	go run ./cmd/heliograph demo --once

dev: ## a server for development, on this machine only
	go run ./cmd/heliograph dev

test: ## every test
	go test ./...

test-script: ## what a user could type: testdata/script
	go test -run '^TestScripts$$' ./cmd/heliograph

test-sdk: ## the official clients against dev; takes npm, and ten minutes the first time: Graph's Go SDK is large
	CGO_ENABLED=0 go build -o bin/ ./cmd/heliograph
	npm --prefix testdata/sdk/js ci --no-audit --no-fund
	HELIOGRAPH=$(CURDIR)/bin/heliograph npm --prefix testdata/sdk/js test
	HELIOGRAPH=$(CURDIR)/bin/heliograph npm --prefix testdata/sdk/js run takeover
	HELIOGRAPH=$(CURDIR)/bin/heliograph go -C testdata/sdk/go test -count=1 -p 1 -v ./...

test-browser: ## the pages in a real browser against the real binary; takes npm and chromium
	CGO_ENABLED=0 go build -o bin/ ./cmd/heliograph
	testdata/browser/install.sh
	HELIOGRAPH=$(CURDIR)/bin/heliograph npm --prefix testdata/browser test

test-npm: ## the npm package heliograph-test, with Node alone
	CGO_ENABLED=0 go build -o bin/ ./cmd/heliograph
	HELIOGRAPH=$(CURDIR)/bin/heliograph npm --prefix npm/heliograph-test test

race: ## every test under the race detector, in another order each time
	go test -race -shuffle=on ./...

test-crash: ## a server killed fifty times under load: nothing acknowledged is lost
	go test -run '^TestCrash$$' -v -timeout 30m ./cmd/heliograph -args -crash.rounds 50

test-cluster: ## three servers, killed twenty times and cut off, under load: nothing acknowledged is lost, nothing is worked by two
	go test -run '^TestCluster' -v -timeout 30m -parallel 1 ./cmd/heliograph -args -cluster.rounds 20 -cluster.splits 1

test-power: ## the same with the power cut: needs root and loop devices
	go test -run '^TestPowerCut$$' -v -timeout 30m ./cmd/heliograph -args -power.cuts 10

soak: ## ten minutes at half of the load that it can take here: memory and goroutines flat, nothing lost
	go test -run '^TestSoak$$' -v -timeout 24m ./cmd/heliograph -args -soak 10m

fuzz: ## every fuzz test, FUZZTIME each (30s)
	@for package in $$(go list ./...); do \
		for name in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$name"; go test -run '^$$' -fuzz "^$$name$$" -fuzztime $${FUZZTIME:-30s} $$package || exit 1; \
		done; \
	done

bench: ## every benchmark; docs/bench says how the figures there were made
	go test -run '^$$' -bench . -benchmem ./...

# What docs/bench quotes. Each set holds its own yardstick: compare within a run, not between runs.
bench-results: ## the benchmarks that docs/bench quotes, into docs/bench/results.txt (some four minutes)
	@{ \
		echo "# make bench-results, $$(date -u +%F), $$(go version | cut -d' ' -f3-), $$(nproc 2>/dev/null || sysctl -n hw.ncpu) cores"; \
		set -e; \
		go test -run '^$$' -bench Accept -benchtime 20000x ./internal/ingest; \
		go test -run '^$$' -bench Find -benchtime 500000x ./internal/match; \
		go test -run '^$$' -bench 'BareClient|Deliver' -benchtime 100000x -count 3 ./internal/deliver; \
		go test -run '^$$' -bench Latency -benchtime 5000x ./internal/deliver; \
		go test -run '^$$' -bench OverTLS -benchtime 10000x ./internal/outbound; \
		go test -run '^$$' -bench AgainstBare -benchtime 3000x ./internal/seal; \
		go test -run '^$$' -bench Start -benchtime 20x ./internal/app; \
	} | grep -v '^PASS' | tee docs/bench/results.txt

bench-many: ## a server with a million subscriptions: its start and its memory (Linux; some gigabytes of disk, many minutes)
	go test -run '^$$' -bench ManySubscriptions -benchtime 1x -timeout 60m ./cmd/heliograph -args -many 1000000

# What docs/bench/profiles.md reads: where the hot path's processor time goes.
profiles: ## processor profiles of the hot path, into docs/bench/profiles
	@mkdir -p docs/bench/profiles bin
	@set -e; profile() { \
		go test -run '^$$' -bench "$$3" -benchtime "$$4" -cpuprofile bin/$$1.pprof -o bin/$$1.test ./internal/$$2 >bin/$$1.txt; \
		{ \
			echo "# go test -run '^$$' -bench '$$3' -benchtime $$4 -cpuprofile $$1.pprof ./internal/$$2"; \
			echo "# $$(date -u +%F), $$(go version | cut -d' ' -f3-)"; \
			grep '^Benchmark' bin/$$1.txt; \
			for order in '-flat -nodecount 25' '-cum -nodecount 60'; do \
				printf '\n# go tool pprof -top %s %s.pprof\n' "$$order" $$1; \
				go tool pprof -top $$order bin/$$1.test bin/$$1.pprof 2>/dev/null | grep -v '^File:\|^Build ID:\|^Type:'; \
			done; \
		} >docs/bench/profiles/$$1.txt; \
	}; \
	profile single deliver 'Deliver/batch=1$$' 200000x; \
	profile batched deliver 'Deliver/batch=128$$' 1000000x; \
	profile accept ingest 'Accept/callers=1024' 200000x

lint: ## the linters
	$(LINT) run ./...

fmt: ## format everything
	$(LINT) fmt ./...

generate: ## make again what is made from the code
	go generate ./...

verify: generate ## fail when what is made from the code, or go.mod, is not what it should be
	git diff --exit-code -- docs '*_gen.go'
	go mod tidy -diff
	go mod verify

cover: ## how much of the code the tests run
	go test -coverpkg=./... -coverprofile=coverage.out ./...
	go tool cover -func=coverage.out | tail -n 1

size: ## the longest files, functions and packages
	go -C tools run ./size ..

cross: ## build for every platform, without cgo
	@for platform in linux darwin windows; do \
		for machine in amd64 arm64; do \
			echo "$$platform/$$machine"; \
			CGO_ENABLED=0 GOOS=$$platform GOARCH=$$machine go build -o /dev/null ./cmd/heliograph || exit 1; \
			CGO_ENABLED=0 GOOS=$$platform GOARCH=$$machine go vet ./... || exit 1; \
		done; \
	done

check: lint verify cross race ## what CI asks for, in one word
