#!/usr/bin/env bash
# Runs every fuzz target of the module for the time given, one after another:
#   deploy/dev/fuzz.sh 10s [all]
# A target that fails leaves its input in testdata/fuzz of its package, where
# the ordinary tests find it from then on: fix the code and commit the input.
#
# Go compiles everything a fuzzed package and its tests link once more, with
# instrumentation. Where that includes SQLite, a C program translated to Go,
# the compiling takes minutes; such targets run only with "all" (make soak).
# Their seeds run in the ordinary tests like all others.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
time=${1:-10s}
all=${2:-}
targets=0

packages=$({ grep -rlE --include='*_test.go' '^func Fuzz[A-Z]' . || true; } | xargs -r -n1 dirname | sort -u)
for package in $packages; do
	linked=$(go list -test -deps "$package")
	if [ -z "$all" ] && grep -q '^modernc.org/sqlite$' <<<"$linked"; then
		echo "fuzz $package: left to make soak, its tests link SQLite"
		continue
	fi
	listed=$(go test -list '^Fuzz' "$package")
	for target in $(grep '^Fuzz' <<<"$listed" || true); do
		echo "fuzz $package $target ($time)"
		# The seeds run here as well, as the first inputs.
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
		targets=$((targets + 1))
	done
done
echo "fuzz: $targets targets, nothing found"
