// An MCP server of @hono/mcp that is its own authorization server: its router has the endpoints
// and their checks; the user adds the storage of codes and tokens and a consent page.

import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { StreamableHTTPTransport, bearerAuth, mcpAuthRouter } from '@hono/mcp';
import { serve } from '@hono/node-server';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { InvalidGrantError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { Hono } from 'hono';
import * as z from 'zod';
import * as loopback from '../lib/loopback.mjs';

const { version } = createRequire(import.meta.url)('./node_modules/@hono/mcp/package.json');
const base = loopback.origin(loopback.mcp.public);
const LIFETIME = 3600;

const [clients, requests, codes, access, refresh] = Array.from({ length: 5 }, () => new Map());

function issue(grant) {
  const [access_token, refresh_token] = [randomUUID(), randomUUID()];
  access.set(access_token, { ...grant, refresh_token, expiresAt: Date.now() / 1000 + LIFETIME });
  refresh.set(refresh_token, { ...grant, access_token });
  return { access_token, token_type: 'bearer', expires_in: LIFETIME, refresh_token };
}

function take(store, key, client) {
  const found = store.get(key);
  if (found?.client !== client.client_id) throw new InvalidGrantError('unknown code or token');
  store.delete(key);
  return found;
}

const provider = {
  clientsStore: {
    getClient: (id) => clients.get(id),
    registerClient: (client) => (clients.set(client.client_id, client), client),
  },
  authorize(client, params, context) {
    const request = randomUUID();
    requests.set(request, { client: client.client_id, params });
    context.res = context.html(`<form method="post" action="/consent"><input type="hidden" name="request" value="${request}">
      <button name="decision" value="allow">Allow</button><button name="decision" value="deny">Deny</button></form>`);
  },
  challengeForAuthorizationCode: (_, code) => codes.get(code)?.challenge,
  exchangeAuthorizationCode: (client, code) => issue({ client: take(codes, code, client).client }),
  exchangeRefreshToken(client, token) {
    const spent = take(refresh, token, client);
    access.delete(spent.access_token);
    return issue({ client: spent.client });
  },
  verifyAccessToken: async (token) => access.get(token)?.expiresAt > Date.now() / 1000,
  async revokeToken(_, { token }) {
    for (const [name, grant] of refresh) {
      if (name !== token && grant.access_token !== token) continue;
      access.delete(grant.access_token);
      refresh.delete(name);
    }
  },
};

const app = new Hono();
app.route('/', mcpAuthRouter({ provider, issuerUrl: base, resourceServerUrl: new URL('/mcp', base), scopesSupported: ['notes:read'] }));
app.post('/consent', async (context) => {
  const form = await context.req.parseBody();
  const { client, params } = requests.get(form.request);
  const to = new URL(params.redirectUri);
  if (params.state) to.searchParams.set('state', params.state);
  if (form.decision === 'allow') {
    const code = randomUUID();
    codes.set(code, { client, challenge: params.codeChallenge });
    to.searchParams.set('code', code);
  } else {
    to.searchParams.set('error', 'access_denied');
  }
  return context.redirect(to.href);
});
app.all('/mcp', bearerAuth({ verifyToken: (token) => provider.verifyAccessToken(token) }), async (context) => {
  const server = new McpServer({ name: 'hono-mcp', version: '1' });
  const inputSchema = { a: z.number(), b: z.number() };
  server.registerTool('add', { inputSchema }, ({ a, b }) => ({ content: [{ type: 'text', text: String(a + b) }] }));
  const transport = new StreamableHTTPTransport();
  await server.connect(transport);
  return transport.handleRequest(context);
});
await new Promise((ready) => serve({ fetch: app.fetch, hostname: loopback.host, port: loopback.mcp.listen }, ready));

await loopback.run(
  `@hono/mcp ${version}`,
  async (token) => refresh.has(token) || provider.verifyAccessToken(token),
  async (token) => {
    access.get(token).expiresAt = 0;
    return 1;
  },
);
