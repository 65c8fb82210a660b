#!/usr/bin/env bash
# Installs what the tests use from Debian's packages, if it is missing. It asks
# nothing, and does nothing when everything is there.
#
#   softhsm2    a PKCS#11 token in software     opensc   pkcs11-tool, to look at it from outside
#   postgresql  initdb and postgres; the tests make a cluster of their own, as an
#               unprivileged user, in a temporary folder
#   curl, openssl   the devices of the tests and of the demo
#   gnutls-bin, libnss3-tools   certtool and pk12util: other makers and readers of PKCS#12
#   chromium    a browser without a screen, for the pages
#   nodejs, npm   the OpenID provider that operators log in at (test/e2e/testdata/openid)
set -euo pipefail

missing=()
have() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }
have softhsm2-util || missing+=(softhsm2)
have pkcs11-tool || missing+=(opensc)
have curl || missing+=(curl)
have openssl || missing+=(openssl)
have certtool || missing+=(gnutls-bin)
have node || missing+=(nodejs)
have npm || missing+=(npm)
have pk12util || missing+=(libnss3-tools)
have chromium || missing+=(chromium)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)

if [ ${#missing[@]} -eq 0 ]; then
	exit 0
fi
echo "deps: installing ${missing[*]}"
if ! command -v apt-get >/dev/null; then
	echo "deps: this is not Debian; please install what gives softhsm2-util, pkcs11-tool, curl, openssl, certtool, pk12util, chromium, node, npm, initdb" >&2
	exit 1
fi

sudo=()
if [ "$(id -u)" -ne 0 ]; then
	sudo=(sudo --non-interactive)
fi
as_root() { "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive "$@"; }

# Debian's package would make and start a cluster for the whole system. Nobody
# here uses one, so it is told not to, before it is installed for the first time.
if [[ " ${missing[*]} " == *" postgresql "* ]]; then
	as_root mkdir -p /etc/postgresql-common/createcluster.d
	echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.d/trustloom-tests.conf >/dev/null
fi

as_root apt-get -qq update
as_root apt-get -qq install --yes --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" >/dev/null
