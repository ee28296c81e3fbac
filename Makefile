# Targets are for people; CI calls them too. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help scenarios checks defects search-matrix soak subjects test race flake lint bench fuzz clean

GO          ?= go
SUDO        := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
FUZZTIME    ?= 10s
BENCHTIME   ?= 1s
ARGS        ?= -test.v
DURATION    ?= 10m
SOAKDIR     ?= bin/soak
SEEDS       ?= 5
INSTALL     := $(shell command -v apt-get >/dev/null && echo --install)
SUBJECTS    ?=
FLAKE_RUNS  ?= 1000
FLAKE_MODES ?= plain,hogs,one-core,race,side-by-side
FLAKE_RUN   ?=
FLAKE_SKIP  ?=
FLAKE_DIR   ?=
FLAKE_PACKAGE ?= ./scenarios
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
ACTIONLINT  := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

scenarios: bin/scenarios.test ## build as you, run the scenarios as root: no root-owned file is left
	cd scenarios && $(SUDO) ../bin/scenarios.test $(ARGS)

checks: bin/scenarios.test ## print the checks with their meaning
	@bin/scenarios.test -list

defects: bin/scenarios.test ## every check against every defect, as the table that the README shows
	cd scenarios && $(SUDO) ../bin/scenarios.test -test.run '^TestMatrix$$' -matrix

soak: bin/scenarios.test ## random stories for DURATION=10m, ARGS='-shard 0/4 -subject …'; what is found is left in SOAKDIR
	@mkdir -p $(SOAKDIR)
	cd scenarios && $(SUDO) ../bin/scenarios.test -test.timeout 0 -soak $(DURATION) -soak-dir $(abspath $(SOAKDIR)) $(ARGS)

search-matrix: bin/scenarios.test ## after how many random stories each defect is found, from SEEDS=5 seeds each
	cd scenarios && $(SUDO) ../bin/scenarios.test -test.timeout 0 -search-matrix $(SEEDS)

subjects: bin/scenarios.test ## judge real servers, installing them where apt-get is (SUBJECTS="socat python" chooses)
	$(SUDO) subjects/run $(INSTALL) $(SUBJECTS)

bin/%.test: FORCE
	CGO_ENABLED=0 $(GO) test -c -o $@ ./$*

FORCE:

test: ## build and test everything, as whoever you are
	$(GO) vet ./...
	$(GO) test ./...

# Of the scenarios those that use most of the rig: the rest is the same code again, with
# more bytes.
RACED := ^(TestCorrectServer|TestSearch|TestReapingAfterClientsLeave|TestEINTR.*|TestReuseAddr.*|TestPolicies|TestBacklog.*|TestPowerCut.*)$$
race: ## build and test under the race detector, with some of the scenarios (needs a C compiler)
	FORKRIG_TIME_SCALE=3 GORACE=atexit_sleep_ms=0 CGO_ENABLED=1 $(GO) test -race $$($(GO) list ./... | grep -v /scenarios)
	FORKRIG_TIME_SCALE=3 GORACE=atexit_sleep_ms=0 CGO_ENABLED=1 $(GO) test -race -run '$(RACED)' ./scenarios

flake: ## FLAKE_RUNS scenario runs under load in FLAKE_MODES; counts failures (FLAKE_RUN, FLAKE_SKIP: patterns; FLAKE_DIR)
	CGO_ENABLED=0 $(GO) build -o bin/flake ./flake
	@bin/flake -runs '$(FLAKE_RUNS)' -modes '$(FLAKE_MODES)' -run '$(FLAKE_RUN)' -skip '$(FLAKE_SKIP)' \
		-dir '$(FLAKE_DIR)' -package '$(FLAKE_PACKAGE)'

lint: ## formatting, vet on other systems, staticcheck, actionlint
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not formatted, run gofmt -w:" $$unformatted; exit 1; }
	GOOS=darwin $(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) run $(ACTIONLINT)

bench: ## benchmarks, in the format that benchstat reads
	$(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) -timeout 30m ./rig/... ./server/...

fuzz: ## every fuzz test for FUZZTIME
	@for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo $$package $$target; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

clean: ## remove what the targets above made
	rm -rf bin
