#!/usr/bin/env bash
# Starts the server on a data directory, in the foreground, and gives it a first
# PKI to try things out with as soon as it is ready, unless it has a CA:
#   DATA=./data deploy/dev/run.sh [flags of trustloomd serve]
# Other settings are better given as TRUSTLOOM_... in the environment, where the
# two helpers below see them too. Ctrl-C stops the server gracefully; the next start goes on with what is there.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
data=${DATA:-data}

export TRUSTLOOM_CA=${TRUSTLOOM_CA:-$data/tls/ca.pem}
export TRUSTLOOM_TOKEN_FILE=${TRUSTLOOM_TOKEN_FILE:-$data/admin-token}

# first_pki waits for the server, which is this very process after exec below,
# and ends with it.
first_pki() {
	local cas
	until bin/trustloomd healthcheck >/dev/null 2>&1; do
		kill -0 $$ 2>/dev/null || return 0
		sleep 0.3
	done
	cas=$(bin/trustloom cas list -o json) || return 0
	if ! grep -q '"name"' <<<"$cas"; then
		bin/trustloom pki init || echo "run: trustloom pki init failed; try it by hand" >&2
	fi
}

first_pki &
exec bin/trustloomd serve --data-dir "$data" "$@"
