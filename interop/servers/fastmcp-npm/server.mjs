// FastMCP for TypeScript with its OAuth proxy in front of another authorization server, which has
// one client: oidc-provider (`../fastmcp-proxy/upstream.mjs`). It is another project than FastMCP
// for Python. It has no revocation.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { FastMCP, OAuthProvider } from 'fastmcp';
import * as z from 'zod';
import * as loopback from '../lib/loopback.mjs';

const { version } = createRequire(import.meta.url)('./node_modules/fastmcp/package.json');
// The driver does not record the requests of the proxy itself.
const upstream = loopback.origin(loopback.authorization.listen);

// It ends with this process, because its stdin is a pipe of this process.
const node = spawn(process.execPath, ['--no-warnings', '../fastmcp-proxy/upstream.mjs', ...process.argv.slice(2), '/oauth/callback'], {
  stdio: ['pipe', 'pipe', 'inherit'],
});
await once(node.stdout, 'data');

const auth = new OAuthProvider({
  authorizationEndpoint: `${loopback.origin(loopback.authorization.public)}/auth`,
  baseUrl: loopback.origin(loopback.mcp.public),
  clientId: 'proxy',
  clientSecret: 'secret of the proxy',
  scopes: ['openid'],
  tokenEndpoint: `${upstream}/token`,
});
const server = new FastMCP({ auth, name: 'fastmcp-npm', version: '1.0.0' });
server.addTool({
  name: 'add',
  description: 'Adds two numbers',
  parameters: z.object({ a: z.number(), b: z.number() }),
  execute: async ({ a, b }) => String(a + b),
});
await server.start({ transportType: 'httpStream', httpStream: { host: loopback.host, port: loopback.mcp.listen } });

const proxy = auth.getProxy();
const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

await loopback.run(
  `fastmcp ${version}`,
  async (token) => (await proxy.loadUpstreamTokens(token)) ?? proxy.tokenStorage.get(`mapping:${claims(token).jti}`),
  async (token) => {
    await proxy.tokenStorage.delete(`mapping:${claims(token).jti}`);
    return 1;
  },
);
