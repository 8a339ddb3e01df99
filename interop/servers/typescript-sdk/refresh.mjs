// The demo provider of the TypeScript SDK with what a user adds to it: refresh tokens that are
// rotated, revocation, and a consent page. The SDK's router and its checks are in front of it.

import { randomUUID } from 'node:crypto';
import express from 'express';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { mcpAuthRouter } from '@modelcontextprotocol/sdk/server/auth/router.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { InvalidGrantError, InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { DemoInMemoryAuthProvider } from '@modelcontextprotocol/sdk/examples/server/demoInMemoryOAuthProvider.js';
import * as z from 'zod/v4';
import { createRequire } from 'node:module';
import * as loopback from '../lib/loopback.mjs';

const { version } = createRequire(import.meta.url)('./node_modules/@modelcontextprotocol/sdk/package.json');
const base = new URL(loopback.origin(loopback.mcp.public));
const resource = new URL('/mcp', base);
const metadata = new URL('/.well-known/oauth-protected-resource/mcp', base).href;

class Provider extends DemoInMemoryAuthProvider {
  pending = new Map();
  refreshTokens = new Map();

  async authorize(client, params, response) {
    const request = randomUUID();
    this.pending.set(request, { client, params });
    response.send(`<form method="post" action="/consent"><input type="hidden" name="request" value="${request}">
      <button name="decision" value="allow">Allow</button><button name="decision" value="deny">Deny</button></form>`);
  }

  async decide(request, approved, response) {
    const { client, params } = this.pending.get(request);
    this.pending.delete(request);
    if (approved) return super.authorize(client, params, response);
    const to = new URL(params.redirectUri);
    to.search = new URLSearchParams({ error: 'access_denied', state: params.state });
    response.redirect(to.href);
  }

  async exchangeAuthorizationCode(client, code) {
    const tokens = await super.exchangeAuthorizationCode(client, code);
    return this.withRefreshToken(tokens, client);
  }

  async exchangeRefreshToken(client, refreshToken) {
    const grant = this.refreshTokens.get(refreshToken);
    if (grant?.clientId !== client.client_id) throw new InvalidGrantError('unknown refresh token');
    this.refreshTokens.delete(refreshToken);
    const token = randomUUID();
    this.tokens.set(token, { ...this.tokens.get(grant.access), token, expiresAt: Date.now() + 3600000 });
    this.tokens.delete(grant.access);
    return this.withRefreshToken({ access_token: token, token_type: 'bearer', expires_in: 3600 }, client);
  }

  withRefreshToken(tokens, client) {
    const refresh_token = randomUUID();
    this.refreshTokens.set(refresh_token, { access: tokens.access_token, clientId: client.client_id });
    return { ...tokens, refresh_token };
  }

  async verifyAccessToken(token) {
    return super.verifyAccessToken(token).catch(() => { throw new InvalidTokenError('unknown or expired token'); });
  }

  async revokeToken(client, { token }) {
    for (const [refresh, grant] of this.refreshTokens) {
      if (refresh !== token && grant.access !== token) continue;
      this.refreshTokens.delete(refresh);
      this.tokens.delete(grant.access);
    }
  }
}

const provider = new Provider();
const app = express();
app.use(mcpAuthRouter({ provider, issuerUrl: base, resourceServerUrl: resource, scopesSupported: ['mcp:tools'] }));
app.post('/consent', express.urlencoded(), (request, response) =>
  provider.decide(request.body.request, request.body.decision === 'allow', response));
app.post('/mcp', express.json(), requireBearerAuth({ verifier: provider, resourceMetadataUrl: metadata }), async (request, response) => {
  const server = new McpServer({ name: 'typescript-sdk', version: '1' });
  const inputSchema = { a: z.number(), b: z.number() };
  server.registerTool('add', { inputSchema }, ({ a, b }) => ({ content: [{ type: 'text', text: String(a + b) }] }));
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  await server.connect(transport);
  await transport.handleRequest(request, response, request.body);
});
await new Promise((ready) => app.listen(loopback.mcp.listen, loopback.host, ready));

await loopback.run(
  `@modelcontextprotocol/sdk ${version}`,
  async (token) => provider.refreshTokens.has(token) || provider.verifyAccessToken(token).catch(() => false),
  async () => {
    for (const token of provider.tokens.values()) token.expiresAt = 1;
    return provider.tokens.size;
  },
);
