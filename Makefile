# Targets for people and for CI: .ci/run and the workflows call the ci targets. `make help`
# lists all of them.
.DEFAULT_GOAL := help
.PHONY: help scenarios proofs checks defects search-matrix soak subjects kernels kernel-tests test race flake flake-subjects lint bench fuzz \
	release release-check ci ci-root ci-rootless ci-subjects ci-kernels ci-features clean

GO          ?= go
SUDO        := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
FUZZTIME    ?= 10s
BENCHTIME   ?= 1s
DURATION    ?= 10m
SOAKDIR     ?= bin/soak
SEEDS       ?= 5
INSTALL     := $(shell command -v apt-get >/dev/null && echo --install)
SUBJECTS    ?=
KERNELS     ?= all-defaults
KERNELSFILE ?= bin/kernels.json
CI_KERNELS  := 6.12 uml:7.2
QUICK_SUBJECTS := tcpserver inetd svnserve dnsmasq git-daemon mini-httpd nginx haproxy go-http asyncio
FLAKE_RUNS  ?= 1000
FLAKE_MODES ?= plain,hogs,one-core,race,side-by-side
FLAKE_RUN   ?=
FLAKE_SKIP  ?=
FLAKE_DIR   ?= bin/flakes
FLAKE_PACKAGE ?= ./scenarios
FLAKE_RESULTS ?=
FLAKE_SUBJECTS ?= nginx socat go-http

# The features that CI requires: a test that lacks one of them fails there instead of skipping.
# Not every kernel has netem, and the faults work without it; a container may hide the log of
# the kernel; other kernels are fetched by a target of their own. An ordinary user has one user
# only in the sandbox.
REQUIRED          := all,-netem,-kernel-log,-kernels
REQUIRED_ROOTLESS := $(REQUIRED),-users

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
ACTIONLINT  := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

GORELEASER  ?= $(GO) run github.com/goreleaser/goreleaser/v2@v2.15.1

help: ## list the targets
	@sed -n 's/^\([a-z/-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

bin/forkrig: FORCE ## build the command as one static file
	CGO_ENABLED=0 $(GO) build -o $@ .

bin/%.test: FORCE
	CGO_ENABLED=0 $(GO) test -c -o $@ ./$*

FORCE:

scenarios proofs: ARGS ?= -test.v
scenarios: bin/scenarios.test ## build the scenarios as you and run them as root; ARGS are those of a test binary
	cd scenarios && $(SUDO) ../bin/scenarios.test $(ARGS)

proofs: bin/proofs.test ## build the proofs as you and run them as root; ARGS are those of a test binary
	cd proofs && $(SUDO) ../bin/proofs.test $(ARGS)

checks: bin/forkrig ## print the checks and what they mean
	@bin/forkrig list

defects: bin/proofs.test ## run every check at every defect and print the table of docs/defects.md
	cd proofs && $(SUDO) ../bin/proofs.test -test.run '^TestMatrix$$' -matrix

search-matrix: bin/proofs.test ## print how many random stories it takes to find each defect, from SEEDS=5 seeds
	cd proofs && $(SUDO) ../bin/proofs.test -test.timeout 0 -search-matrix $(SEEDS)

soak: bin/forkrig ## play random stories for DURATION=10m and write into SOAKDIR; ARGS='-shard 0/4 -- COMMAND…'
	$(SUDO) bin/forkrig search -soak $(DURATION) -soak-dir $(SOAKDIR) $(ARGS)

bin/subjects: FORCE ## build the subjects of Go, npm and C
	subjects/build

subjects: bin/forkrig bin/subjects ## judge real servers and install them with apt-get; SUBJECTS='socat redis' judges these only
	$(SUDO) subjects/run $(INSTALL) $(SUBJECTS)

# Kernels are separated by commas or blanks. The command has defaults of its own.
comma := ,
empty :=
CHOSEN_KERNELS := $(filter-out all-defaults,$(subst $(comma), ,$(KERNELS)))
kernels: bin/forkrig ## fetch KERNELS='6.12 uml:7.2 host' (or the default ones) and say what differs; the tables are KERNELSFILE and its .md; ARGS='-- COMMAND…'
	bin/forkrig kernels fetch $(CHOSEN_KERNELS) || echo 'not fetched: the kernels that are here are asked'
	bin/forkrig kernels $(if $(CHOSEN_KERNELS),-on $(subst $(empty) ,$(comma),$(CHOSEN_KERNELS))) -json $(KERNELSFILE) $(ARGS)

# These kernels have netem, which many machines have not.
TESTED_KERNELS  := 6.12 7.3
TESTED_PACKAGES := rig rig/fault rig/inject rig/observe
kernel-tests: bin/forkrig ## run the tests of the rig on the kernels 6.12 and 7.3, those of netem among them (15 minutes without KVM)
	bin/forkrig kernels fetch $(TESTED_KERNELS)
	for package in $(TESTED_PACKAGES); do \
		CGO_ENABLED=0 $(GO) test -c -o bin/$$(basename $$package).test ./$$package || exit; \
	done
	FORKRIG_REQUIRE=ipv6,users,sock-destroy,proc-syscall,time-namespace,nftables,conntrack,packet-socket,netem,tbf \
		bin/forkrig kernels -on $(subst $(empty) ,$(comma),$(TESTED_KERNELS)) -limit 15m $(ARGS) \
		-tests $(subst $(empty) ,$(comma),$(foreach p,$(TESTED_PACKAGES),bin/$(notdir $(p)).test)) -json bin/kernel-tests.json

test: ## vet, build and test everything with your own privileges
	$(GO) vet ./...
	$(GO) test ./...

# Some of the scenarios and proofs, which use most of the rig: the others run the same code
# with more bytes.
RACED := ^(TestReapingAfterClientsLeave|TestEINTR.*|TestReuseAddr.*|TestBacklog.*|TestPowerCut.*|TestCorrectServer|TestSearch|TestPolicies)$$
SUITES := /scenarios$$|/proofs$$
race: ## build and test under the race detector, with some of the scenarios and proofs (needs a C compiler)
	FORKRIG_TIME_SCALE=3 GORACE=atexit_sleep_ms=0 CGO_ENABLED=1 $(GO) test -race $$($(GO) list ./... | grep -vE '$(SUITES)')
	FORKRIG_TIME_SCALE=3 GORACE=atexit_sleep_ms=0 CGO_ENABLED=1 $(GO) test -race -run '$(RACED)' ./scenarios ./proofs

flake: ## repeat the tests of FLAKE_PACKAGE under load and count failures; FLAKE_RUNS, FLAKE_MODES, FLAKE_RUN, FLAKE_SKIP, FLAKE_DIR, and FLAKE_RESULTS=docs/flakes.md keeps the counts
	@FLAKE_RESULTS='$(abspath $(FLAKE_RESULTS))' .ci/flake '$(FLAKE_PACKAGE)' '$(FLAKE_RUNS)' '$(FLAKE_MODES)' '$(FLAKE_DIR)' \
		-test.run '$(FLAKE_RUN)' -test.skip '$(FLAKE_SKIP)'

flake-subjects: bin/forkrig bin/subjects ## judge FLAKE_SUBJECTS 20 times each beside hogs, and count what differs from what is right to say
	FORKRIG_SUBJECTS='$(FLAKE_SUBJECTS)' .ci/flake ./proofs 60 hogs '$(FLAKE_DIR)' -test.run '^TestRealServers$$'

lint: ## check formatting, vet for other systems, and run staticcheck and actionlint
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not formatted, run gofmt -w:" $$unformatted; exit 1; }
	GOOS=darwin $(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) run $(ACTIONLINT)
	$(GO) run $(ACTIONLINT) deploy/github/*.yml

bench: ## run the benchmarks and print them in the format that benchstat reads
	$(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) -timeout 30m ./rig/... ./server/...

fuzz: ## run every fuzz test for FUZZTIME=10s
	@for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo $$package $$target; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

# What a package contains beside the binary. The page and the scripts come from the command itself.
bin/package: FORCE
	mkdir -p $@
	CGO_ENABLED=0 $(GO) build -buildvcs=auto -ldflags '-X forkrig/internal/cli.release=$(RELEASE)' -o bin/described .
	bin/described man | gzip -9n >$@/forkrig.1.gz
	bin/described completion bash >$@/forkrig.bash
	bin/described completion zsh >$@/_forkrig
	bin/described completion fish >$@/forkrig.fish
	rm bin/described

release-check: ## check how a release is made, make one in dist/ without publishing it, and look into its packages
	$(GORELEASER) check
	$(GORELEASER) release --snapshot --clean --skip=publish
	.ci/packages dist

release: ## make the draft of a release on GitHub from the tag of this commit
	$(GORELEASER) release --clean

ci: ci-root ci-rootless ci-subjects ci-kernels race lint ## everything that CI requires, on a machine on which .ci/run installed it

ci-root: ## vet, and test everything; the scenarios with the command of the README
	$(GO) vet ./...
	FORKRIG_REQUIRE=$(REQUIRED) $(GO) test $$($(GO) list ./... | grep -vE '$(SUITES)')
	FORKRIG_REQUIRE=$(REQUIRED) $(GO) test ./scenarios/...
	FORKRIG_REQUIRE=$(REQUIRED) $(GO) test ./proofs/...

# These tests say the same about the checks and the search with root and without.
SAME_WITHOUT_ROOT := ^(TestDefects|TestStoryIsShort)$$
ci-rootless: ## test what needs privileges as an ordinary user, or as user 65534 where you are root
	FORKRIG_REQUIRE=$(REQUIRED_ROOTLESS) CGO_ENABLED=0 $(GO) test -count=1 -timeout 8m -exec '$(CURDIR)/.ci/rootless' \
		-skip '$(SAME_WITHOUT_ROOT)' ./rig/... ./judge/... ./checks/... ./kernels/... ./scenarios/... ./proofs/...

ci-subjects: ## judge ten real servers that are quick, and compare with what is right to say of them
	$(MAKE) subjects SUBJECTS="$(QUICK_SUBJECTS)"

# Debian's kernel lacks nothing that the tests of inject need. The checks are those that ask little of an
# emulated processor; all of them are asked every night.
CI_CHECKS := reap,reap-burst,eintr-accept,reuse-time-wait,reuse-live-worker,second-instance,fin-on-close,reset-survived,term,accept-aborted
ci-kernels: bin/forkrig ## put the probes, the bind table, the card and the tests of inject to two other kernels, where they can be fetched and booted
	@if ! bin/forkrig kernels fetch $(CI_KERNELS); then \
		echo 'ci-kernels: skip: kernels: they cannot be fetched here'; \
		exit 0; \
	fi; \
	CGO_ENABLED=0 $(GO) test -c -o bin/inject.test ./rig/inject && \
	FORKRIG_REQUIRE=ipv6,users,sock-destroy,proc-syscall,seccomp-notify bin/forkrig kernels -on $(subst $(empty) ,$(comma),$(CI_KERNELS)) \
		-jobs probes,binds,card -checks $(CI_CHECKS) -tests bin/inject.test -json bin/ci-kernels.json || { \
		status=$$?; [ $$status = 3 ] || exit $$status; echo 'ci-kernels: skip: kernels: they do not run here'; }

ci-features: ## print the features that CI requires
	@echo '$(REQUIRED)'

clean: ## remove what the other targets made
	rm -rf bin dist
