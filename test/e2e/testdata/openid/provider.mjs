// SPDX-License-Identifier: MIT
//
// node provider.mjs REDIRECT_URL: serves on a free port and prints its issuer.
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

// The groups are in the login name: alice+plant-admins+others.
const account = (ctx, id) => ({
  accountId: id,
  claims: async () => ({ sub: id, preferred_username: id.split('+')[0] + '@plant.example', groups: id.split('+').slice(1) }),
});

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: 'trustloom', client_secret: 'a secret of the client: 100%', redirect_uris: [process.argv[2]], response_types: ['code'], grant_types: ['authorization_code'] }],
    claims: { openid: ['sub'], profile: ['preferred_username'], groups: ['groups'] },
    scopes: ['openid', 'profile', 'groups'],
    pkce: { required: () => true },
    findAccount: account,
    cookies: { keys: ['for tests only'] },
    ttl: { Session: 3600, Interaction: 600, Grant: 3600, AccessToken: 600, IdToken: 600 },
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
