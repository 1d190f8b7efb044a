# SPDX-License-Identifier: Apache-2.0
#
# A short front door. The build itself is Meson's (meson.build); the checks and how they are counted
# are in scripts/run-checks.

DESTDIR =
PREFIX = /usr/local

all: build/build.ninja
	@ninja -C build

build/build.ninja:
	@meson setup build

# What root has built or changed in build/ on the way belongs to whom the tree does.
install: may-install all
	@meson configure build -Dprefix=$(PREFIX)
	@DESTDIR="$(DESTDIR)" meson install -C build
	@chown -R --reference=. build

may-install:
	@mkdir -p "$(DESTDIR)$(PREFIX)" && [ -w "$(DESTDIR)$(PREFIX)" ] || { \
		echo "$(DESTDIR)$(PREFIX) cannot be written: use sudo, or set PREFIX or DESTDIR" >&2; \
		exit 1; }

check:
	@scripts/run-checks layers spdx build unit kernel fuzz tools contract transfer e2e

sanitize:
	@scripts/run-checks sanitize-build sanitize-unit sanitize-contract sanitize-daemon \
		sanitize-threads-build sanitize-threads-unit sanitize-threads-transfer \
		sanitize-threads-daemon

build-asan: build-asan/build.ninja
	@ninja -C build-asan

build-asan/build.ninja:
	@meson setup --werror -Dbuildtype=debugoptimized -Db_sanitize=address,undefined build-asan

build-tsan: build-tsan/build.ninja
	@ninja -C build-tsan

build-tsan/build.ninja:
	@meson setup --werror -Dbuildtype=debugoptimized -Db_sanitize=thread build-tsan

clang: build-clang/build.ninja
	@ninja -C build-clang

build-clang/build.ninja:
	@CC=clang meson setup --werror build-clang

check-sctp: all
	@scripts/install-packages vm
	@tests/sctp/run

check-kernel-path: all
	@scripts/install-packages vm
	@tests/vm/kernel-path/run

bench: all
	@bench/run --json build/bench/last.json --plots build/bench $(BENCH)

lint: clang
	@scripts/lint

format:
	@scripts/lint --fix

clean:
	rm -rf build build-*

help:
	@echo 'make              build, into build/'
	@echo 'make install      install; PREFIX=/usr says where, DESTDIR=dir puts it below dir'
	@echo 'make check        the tests'
	@echo 'make check-sctp   the tests of SCTP, in a virtual machine that has it'
	@echo 'make check-kernel-path   those of the kernel path, in one with the kernel of Debian'
	@echo 'make sanitize     unit, contract and transfer tests, with sanitizers'
	@echo 'make bench        measure it beside its peers: half an hour; BENCH=--quick: a minute or two'
	@echo 'make clang        a strict build with clang, into build-clang/'
	@echo 'make lint         layout, C, shell, spelling, manual pages'
	@echo 'make format       lay out the C as .clang-format says'
	@echo 'make clean        remove all that was built'
	@echo
	@echo 'scripts/check     everything, on a fresh machine: installs what is missing first'
	@echo 'scripts/demo      see what it is for'

.PHONY: all install may-install check sanitize build-asan build-tsan clang check-sctp check-kernel-path bench lint format clean help
