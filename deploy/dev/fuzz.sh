#!/usr/bin/env bash
# Runs every fuzz target of the module for the time given, two at a time:
#   deploy/dev/fuzz.sh 30s [all]
# A target that fails leaves its input in testdata/fuzz of its package, where
# the ordinary tests find it from then on: fix the code and commit the input.
#
# Go compiles everything a fuzzed package and its tests link once more, with
# instrumentation. Where that includes SQLite, a C program translated to Go,
# the compiling takes minutes; such targets run only with "all" (make soak).
# Their seeds run in the ordinary tests like all others.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
time=${1:-30s}
all=${2:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

packages=$({ grep -rlE --include='*_test.go' '^func Fuzz[A-Z]' . || true; } | xargs -r -n1 dirname | sort -u)
for package in $packages; do
	linked=$(go list -test -deps "$package")
	if [ -z "$all" ] && grep -q '^modernc.org/sqlite$' <<<"$linked"; then
		echo "fuzz $package: left to make soak, its tests link SQLite"
		continue
	fi
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9]+' "$package"/*_test.go | sed 's/^func //'); do
		echo "$package $target" >>"$work/targets"
	done
done

# One target on one processor; the seeds run here as well, as the first inputs.
# CMP's messages are read before anybody is authenticated: they get a minute.
run() {
	if [[ $2 == */cmp && $1 == 30s ]]; then set -- 60s "${@:2}"; fi
	if go test -run '^$' -fuzz "^$3\$" -fuzztime "$1" -parallel 1 "$2" >"$4/$3.log" 2>&1; then
		echo "fuzz $2 $3 ($1): nothing found"
	else
		echo "fuzz $2 $3: FAILED"
		cat "$4/$3.log"
		return 1
	fi
}
export -f run
sort -u "$work/targets" | xargs -P 2 -L 1 bash -c 'run "$0" "$2" "$3" "$1"' "$time" "$work"
echo "fuzz: $(sort -u "$work/targets" | wc -l) targets, nothing found"
