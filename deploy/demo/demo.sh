#!/usr/bin/env bash
# Plays a device's life on a throw-away server, with curl and OpenSSL as the
# device and trustloom as the operator, and prints each command before it runs:
#   register -> onboarding over EST -> application certificate -> re-enrollment
#   -> a second device, which waits until a person approves -> certificate
# Every chain is verified. It needs bash, curl, OpenSSL 3 and the programs in
# bin/ (make build); everything it starts or writes is gone afterwards.
#
# With DEMO_STORE=pkcs11 the CA keys are made on a token, which DEMO_FLAGS names:
#   DEMO_FLAGS='--pkcs11-module M --pkcs11-token LABEL --pkcs11-pin-file FILE'
set -euo pipefail

bin=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/bin
work=$(mktemp -d "${TMPDIR:-/tmp}/trustloom-demo.XXXXXX")
server=
verified=0

# finish stops what was started and says how it went.
finish() {
	local code=$?
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
	fi
	if [ "$code" -ne 0 ] && [ -e "$work/server.log" ]; then
		echo "demo: failed; the end of the server's log:" >&2
		tail -n 20 "$work/server.log" >&2
	fi
	rm -rf "$work"
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

bold='' plain=''
if [ -t 1 ]; then
	bold=$'\033[1m' plain=$'\033[0m'
fi
say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }

# show prints a command as it would be typed, with its secrets left out.
show() {
	local line='' word
	for word in "$@"; do
		case $word in
		'|' | '&') ;;
		*"${secret:-no secret}"*) word="${word%"$secret"}\$SECRET" ;;
		*[!A-Za-z0-9_./:@=,%+-]*) word="'$word'" ;;
		esac
		line+=" $word"
	done
	printf '$%s\n' "$line"
}

# run shows a command and runs it.
run() {
	show "$@"
	"$@"
}

# free_port finds a port of the loopback interface that nobody listens on.
free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 40000))
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			echo "$port"
			return
		fi
	done
}

# field reads the first member of that name out of the JSON of trustloom.
field() {
	local values
	values=$(sed -n "s/^ *\"$1\": \"\([^\"]*\)\".*/\1/p")
	echo "${values%%$'\n'*}"
}

# request NAME SUBJECT [OPTIONS] makes a key and a request, NAME.key and NAME.csr.
request() {
	local name=$1 subject=$2
	shift 2
	run openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$name.key"
	run openssl req -new -key "$name.key" -subj "$subject" "$@" -out "$name.csr"
}

# ask NAME PATH OPTIONS... sends NAME.csr to EST, and sets status and, for 202,
# after.
ask() {
	local name=$1 path=$2
	shift 2
	show curl --cacert ca.pem "$@" --header 'Content-Type: application/pkcs10' --data-binary "@$name.csr" --output "$name.b64" "$est/$path"
	status=$(curl --silent --show-error --max-time 20 --cacert ca.pem "$@" --header 'Content-Type: application/pkcs10' \
		--data-binary "@$name.csr" --output "$name.b64" --dump-header "$name.head" --write-out '%{http_code}' "$est/$path")
	after=$(sed -n 's/^[Rr]etry-[Aa]fter: *\([0-9]*\).*/\1/p' "$name.head")
	echo "HTTP $status${after:+, Retry-After: $after}"
}

# keep NAME decodes an answer into NAME.pem and verifies its chain.
keep() {
	if [ "$status" != 200 ]; then
		cat "$1.b64" >&2
		return 1
	fi
	show openssl base64 -d -in "$1.b64" '|' openssl pkcs7 -inform DER -print_certs -out "$1.pem"
	openssl base64 -d -in "$1.b64" | openssl pkcs7 -inform DER -print_certs -out "$1.pem"
	run openssl verify -x509_strict -CAfile cacerts.pem "$1.pem"
	verified=$((verified + 1))
}

for program in trustloomd trustloom trustloom-temporal; do
	if [ ! -x "$bin/$program" ]; then
		echo "demo: bin/$program is not there: run 'make build' first" >&2
		exit 1
	fi
done
cd "$work"
PATH=$bin:$PATH
umask 077
unset "${!TRUSTLOOM_@}" # nothing of another server
https=$(free_port)
http=$(free_port)
while [ "$http" = "$https" ]; do http=$(free_port); done

say "A server of its own, with everything in one folder"
read -ra flags <<<"${DEMO_FLAGS:-}"
serve=(trustloomd serve --data-dir data --https-addr "127.0.0.1:$https" --http-addr "127.0.0.1:$http" "${flags[@]}")
show "${serve[@]}" '&'
"${serve[@]}" >server.log 2>&1 &
server=$!
run trustloomd healthcheck --url "http://127.0.0.1:$http" --wait 30s
echo
run export TRUSTLOOM_URL="https://127.0.0.1:$https"
est=$TRUSTLOOM_URL/.well-known/est/press-shop

say "A first PKI: root, issuing CA, domain"
run trustloom pki init --store "${DEMO_STORE:-software}"

say "The operator registers a device and gets its one-time secret"
show trustloom devices register press-01 --domain press-shop --serial-number 4711 -o json
secret=$(trustloom devices register press-01 --domain press-shop --serial-number 4711 -o json | field secret)
echo "user name press-01, secret ${secret:0:4}... (shown once)"

say "The device trusts the server's TLS CA and asks for the CA certificates of its domain"
run cp data/tls/ca.pem ca.pem
run curl --silent --show-error --fail --cacert ca.pem --output cacerts.b64 "$est/cacerts"
show openssl base64 -d -in cacerts.b64 '|' openssl pkcs7 -inform DER -print_certs -out cacerts.pem
openssl base64 -d -in cacerts.b64 | openssl pkcs7 -inform DER -print_certs -out cacerts.pem

say "Onboarding: name and secret bring the first identity, the domain credential, at once"
request domain /CN=press-01
ask domain simpleenroll --user "press-01:$secret"
keep domain

say "A certificate for work, with the domain credential as proof: profile tls_server"
request server /CN=press-01 -addext subjectAltName=DNS:press-01.example,IP:192.0.2.10
ask server tls_server/simpleenroll --cert domain.pem --key domain.key
keep server

say "Re-enrollment: a new key, the same subject and names, with the old certificate as proof"
run openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out renewed.key
show openssl x509 -x509toreq -copy_extensions copy -ext subjectAltName -in server.pem -signkey renewed.key '|' openssl req -out renewed.csr
openssl x509 -x509toreq -copy_extensions copy -ext subjectAltName -in server.pem -signkey renewed.key | openssl req -out renewed.csr
ask renewed simplereenroll --cert server.pem --key server.key
keep renewed
run openssl x509 -in renewed.pem -noout -subject -ext subjectAltName

say "From now on somebody has to approve a new device of the domain"
run trustloom domains set press-shop --approval-onboarding operator:1 --deadline 72h
show trustloom devices register press-02 --domain press-shop -o json
secret=$(trustloom devices register press-02 --domain press-shop -o json | field secret)
request second /CN=press-02
ask second simpleenroll --user "press-02:$secret"
if [ "$status" != 202 ] || [ -z "$after" ]; then
	echo "demo: the second device should wait" >&2
	exit 1
fi

say "Somebody looks at it and approves"
for _ in {1..100}; do # the device has its answer a moment before the approval is opened
	approval=$(trustloom approvals list --state pending -o json | field id)
	if [ -n "$approval" ]; then break; fi
	sleep 0.1
done
run trustloom approvals list --state pending
run trustloom approvals approve "$approval" --comment 'checked on site'

say "The device sends the same request again and gets its certificate"
for _ in {1..20}; do
	ask second simpleenroll --user "press-02:$secret"
	if [ "$status" != 202 ]; then break; fi
	sleep 0.5
done
keep second

say "What there is now"
run trustloom certificates list --domain press-shop
run trustloom requests list --domain press-shop

say "Done: two devices onboarded, one certificate renewed, one approval; $verified chains verified by OpenSSL"
