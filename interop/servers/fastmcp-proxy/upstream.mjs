// The authorization server behind the proxy: oidc-provider with its own pages, without dynamic
// client registration. It has one client, like the application of a proxy operator at GitHub or Google.

import { createRequire } from 'node:module';
import Provider from 'oidc-provider';
import * as loopback from '../lib/loopback.mjs';

const { version } = createRequire(import.meta.url)('../../node_modules/oidc-provider/package.json');
// The redirect URI of the proxy: the fifth argument, or the one of FastMCP for Python.
const callback = process.argv[6] ?? '/auth/callback';
const issuer = loopback.origin(loopback.authorization.public);
console.warn = () => {};

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'proxy',
    client_secret: 'secret of the proxy',
    redirect_uris: [`${loopback.origin(loopback.mcp.public)}${callback}`],
    grant_types: ['authorization_code', 'refresh_token'],
  }],
  issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: () => true,
  features: { introspection: { enabled: true }, revocation: { enabled: true } },
});
await new Promise((ready) => provider.listen(loopback.authorization.listen, loopback.host, ready));
await loopback.run(`oidc-provider ${version}`, () => false);
