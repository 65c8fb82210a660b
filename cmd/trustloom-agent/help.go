// SPDX-License-Identifier: MIT

package main

// defaultConfig is where the file is if nobody says otherwise.
const defaultConfig = "/etc/trustloom/agent.yaml"

const rootHelp = `trustloom-agent gets a device its certificates from a server over EST (RFC 7030) or CMP (RFC 9483), and renews them in time.

What it is to do stands in one file, by default ` + defaultConfig + `; flags go first:

  server: https://pki.example:8443
  ca: server-ca.pem             # CA of the server's TLS certificate, needed on first contact
  domain: press-shop
  device: press-01              # with the one-time secret that an operator was shown
  secret_file: secret
  secret_file_after: remove     # keep (default), truncate or remove, once it was used
  state_dir: /var/lib/trustloom-agent
  truststore: /etc/ssl/plant-ca.pem     # the domain's CA certificates, refreshed with each renewal
  certificates:
    - name: web
      profile: tls_server
      key: EC-P256              # EC-P384, RSA-2048, RSA-3072, Ed25519 where the profile lets
      subject: {common_name: press-01.plant.example}
      sans: ["dns:press-01.plant.example", "ip:192.0.2.7"]
      key_store: file           # also where there is a token (below): nginx reads key files
      files: {key: /etc/nginx/tls/key.pem, fullchain: /etc/nginx/tls/cert.pem}
      hook: {command: [nginx, -s, reload], timeout: 30s}
  truststores:                  # those that the domain names for its devices, looked at every 15 minutes
    - name: plant-servers
      file: /etc/ssl/plant-servers.pem
      hook: {command: [nginx, -s, reload]}

A device with a manufacturer's certificate names its files instead of device and secret:

  idevid: {certificate: idevid.pem, chain: idevid-chain.pem, key: idevid.key}

A device that is to speak CMP says so, by --protocol cmp or in the file. The server may be an http:// one then; ca is for https only:

  protocol: cmp
  cmp_trust: plant-root.pem     # whose server's answers are believed; with a secret not needed, the first answer brings it

A device with a PKCS#11 token names it, and all keys are made in it, except those of entries with key_store: file:

  pkcs11: {module: /usr/lib/softhsm/libsofthsm2.so, token: press-01, pin_file: pin}

The PIN is in that file or in the environment (TRUSTLOOM_PIN). One that the token refuses is tried once and never again.
The key of an idevid may be in the token, too: key: "pkcs11:token=press-01;object=IDevID". Programs find a key in the
token by its URI (RFC 7512): files.key_uri, TRUSTLOOM_KEY_URI for the hook, and the KEY that status shows.

Keys are made on the device and stay there. Key and certificate of one name are always in the folder
STATE_DIR/NAME/current (key.pem or key.uri, cert.pem, chain.pem, fullchain.pem, and bundle.pem of a key in a file) and
change together.`

const rootExample = `  trustloom-agent enroll --config agent.yaml
  trustloom-agent run --config agent.yaml
  trustloom-agent status --config agent.yaml`

const enrollHelp = `Onboard the device, unless it is, and get every certificate of the file that it does not have.

The one-time secret comes from a file or from the environment (` + secretVariable + `), never from the command line, which
others can read. If people have to decide first, enroll waits as long as --wait says and then ends with exit code 3;
the same command later asks again with the same request. Exit codes: 0 done, 1 refused or failed, 2 a mistake in the
command or the file, 3 still waiting.`

const enrollExample = `  trustloom-agent enroll --config agent.yaml
  trustloom-agent enroll --server https://pki.example:8443 --ca ca.pem --domain press-shop --device press-01 --secret-file secret --secret-file-after remove --state-dir state
  trustloom-agent enroll --config agent.yaml --wait 72h`

const renewHelp = `Renew what is due, or all of it with --now, and end: for a timer of the system. A certificate is due at two thirds
of its lifetime, up to a tenth of the lifetime earlier. A renewal has a new key, the same subject and the same
alternative names. If the hook fails, the previous pair is put back and the hook is run again. A key whose place has
changed in the file (key_store, pkcs11) is renewed at once; a key in a token is destroyed when its successor is in use.`

const renewExample = `  trustloom-agent renew --config agent.yaml
  trustloom-agent renew web --now --config agent.yaml`

const runHelp = `Do what enroll does, and then renew for ever: for a service of the system. Failures are tried again after pauses
that grow to five minutes, and stay short where little time is left. SIGTERM ends it; a hook that runs is waited for.`

const runExample = `  trustloom-agent run
  trustloom-agent run --config agent.yaml`

const statusHelp = `Show what the device holds, until when, when it is renewed, where its keys are, and what went wrong last. The state is ok, missing,
waiting (for the server's decision), failing, overdue or expired; with any but ok the exit code is 1.`

const statusExample = `  trustloom-agent status --config agent.yaml
  trustloom-agent status --config agent.yaml --output json`
