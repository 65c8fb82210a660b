#!/usr/bin/env bash
# Runs every fuzz target of the module for the time given, one after another:
#   deploy/dev/fuzz.sh 10s
# A target that fails leaves its input in testdata/fuzz of its package, where
# the ordinary tests find it from then on: fix the code and commit the input.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
time=${1:-10s}
targets=0

packages=$({ grep -rlE --include='*_test.go' '^func Fuzz[A-Z]' . || true; } | xargs -r -n1 dirname | sort -u)
for package in $packages; do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "fuzz $package $target ($time)"
		# The seeds run here as well, as the first inputs.
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
		targets=$((targets + 1))
	done
done
echo "fuzz: $targets targets, nothing found"
