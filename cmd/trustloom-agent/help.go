// SPDX-License-Identifier: MIT

package main

// defaultConfig is where the file is if nobody says otherwise.
const defaultConfig = "/etc/trustloom/agent.yaml"

const rootHelp = `trustloom-agent gets a device its certificates from an EST server (RFC 7030), and renews them in time.

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
      files: {key: /etc/nginx/tls/key.pem, fullchain: /etc/nginx/tls/cert.pem}
      hook: {command: [nginx, -s, reload], timeout: 30s}
  truststores:                  # those that the domain names for its devices, looked at every 15 minutes
    - name: plant-servers
      file: /etc/ssl/plant-servers.pem
      hook: {command: [nginx, -s, reload]}

A device with a manufacturer's certificate names its files instead of device and secret:

  idevid: {certificate: idevid.pem, chain: idevid-chain.pem, key: idevid.key}

Keys are made on the device and stay there. Key and certificate of one name are always in the folder
STATE_DIR/NAME/current (key.pem, cert.pem, chain.pem, fullchain.pem, bundle.pem) and change together.`

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
alternative names. If the hook fails, the previous pair is put back and the hook is run again.`

const renewExample = `  trustloom-agent renew --config agent.yaml
  trustloom-agent renew web --now --config agent.yaml`

const runHelp = `Do what enroll does, and then renew for ever: for a service of the system. Failures are tried again after pauses
that grow to five minutes, and stay short where little time is left. SIGTERM ends it; a hook that runs is waited for.`

const runExample = `  trustloom-agent run
  trustloom-agent run --config agent.yaml`

const statusHelp = `Show what the device holds, until when, when it is renewed, and what went wrong last. The state is ok, missing,
waiting (for the server's decision), failing, overdue or expired; with any but ok the exit code is 1.`

const statusExample = `  trustloom-agent status --config agent.yaml
  trustloom-agent status --config agent.yaml --output json`
