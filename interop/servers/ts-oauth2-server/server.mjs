// An authorization server written with @jmondi/oauth2-server, without dynamic client registration,
// and an MCP server of the TypeScript SDK that introspects each token (RFC 7662). The command uses a
// pre-registered public client.

import { createRequire } from 'node:module';
import { randomUUID } from 'node:crypto';
import { AuthorizationServer, DateInterval } from '@jmondi/oauth2-server';
import { handleExpressError, handleExpressResponse, requestFromExpress } from '@jmondi/oauth2-server/express';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { mcpAuthMetadataRouter } from '@modelcontextprotocol/sdk/server/auth/router.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import express from 'express';
import * as z from 'zod/v4';
import * as loopback from '../lib/loopback.mjs';

const { version } = createRequire(import.meta.url)('./node_modules/@jmondi/oauth2-server/package.json');
const resource = new URL('/mcp', loopback.origin(loopback.mcp.public));
const issuer = loopback.origin(loopback.authorization.public);
const scopes = [{ name: 'notes:read' }];
const client = {
  id: 'command', name: 'command', redirectUris: ['http://127.0.0.1/callback'], scopes,
  allowedGrants: ['authorization_code', 'refresh_token'],
};
const alice = { id: 'alice' };
const later = (seconds) => new Date(Date.now() + seconds * 1000);

// The repositories that the library requires from its user, in memory.
const codes = new Map();
const tokens = new Set();
const findToken = async (member, value) => {
  const found = [...tokens].find((token) => token[member] === value);
  if (!found) throw new Error('unknown token');
  return found;
};
const clientRepository = {
  getByIdentifier: async (id) => (id === client.id ? client : undefined),
  isClientValid: async (grant, { allowedGrants }) => grant === 'client_credentials' || allowedGrants.includes(grant),
};
const tokenRepository = {
  issueToken: async (of, granted, user) =>
    ({ accessToken: randomUUID(), accessTokenExpiresAt: later(3600), client: of, user, scopes: granted }),
  issueRefreshToken: async (token) =>
    Object.assign(token, { refreshToken: randomUUID(), refreshTokenExpiresAt: later(86400) }),
  persist: async (token) => void tokens.add(token),
  revoke: async (token) => Object.assign(token, { accessTokenExpiresAt: new Date(0), refreshTokenExpiresAt: new Date(0) }),
  isRefreshTokenRevoked: async (token) => token.refreshTokenExpiresAt < new Date(),
  getByRefreshToken: (id) => findToken('refreshToken', id),
  getByAccessToken: (id) => findToken('accessToken', id),
};
const scopeRepository = {
  getAllByIdentifiers: async (names) => scopes.filter(({ name }) => names.includes(name)),
  finalize: async (granted) => granted,
};
const authCodeRepository = {
  getByIdentifier: async (code) => codes.get(code),
  issueAuthCode: (of, user, granted) => ({ code: randomUUID(), expiresAt: later(300), client: of, user, scopes: granted }),
  persist: async (code) => void codes.set(code.code, code),
  isRevoked: async (code) => !codes.has(code),
  revoke: async (code) => void codes.delete(code),
};
const userRepository = { getUserByCredentials: async () => alice };
const server = new AuthorizationServer(clientRepository, tokenRepository, scopeRepository, 'a key of the server', {
  issuer, authenticateIntrospect: false,
});
server.enableGrantTypes([{ grant: 'authorization_code', authCodeRepository, userRepository }, new DateInterval('1h')]);

const metadata = {
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  revocation_endpoint: `${issuer}/token/revoke`,
  scopes_supported: ['notes:read'],
  response_types_supported: ['code'],
  grant_types_supported: client.allowedGrants,
  token_endpoint_auth_methods_supported: ['none', 'client_secret_basic', 'client_secret_post'],
  code_challenge_methods_supported: ['S256'],
};
const authorization = express();
authorization.use(express.urlencoded());
const respondWith = (respond) => async (request, response) => {
  try {
    handleExpressResponse(response, await respond(requestFromExpress(request)));
  } catch (error) {
    handleExpressError(error, response);
  }
};
authorization.get('/.well-known/oauth-authorization-server', (_, response) => response.json(metadata));
authorization.get('/authorize', (_, response) => response.send(`<form method="post">
  <button name="decision" value="allow">Allow</button><button name="decision" value="deny">Deny</button></form>`));
authorization.post('/authorize', async (request, response) => {
  const decision = await server.validateAuthorizationRequest(requestFromExpress(request));
  if (request.body.decision !== 'allow') {
    const to = new URL(request.query.redirect_uri);
    to.search = new URLSearchParams({ error: 'access_denied', state: request.query.state });
    return response.redirect(to.href);
  }
  decision.user = alice;
  decision.isAuthorizationApproved = true;
  handleExpressResponse(response, await server.completeAuthorizationRequest(decision));
});
authorization.post('/token', respondWith((request) => server.respondToAccessTokenRequest(request)));
authorization.post('/token/revoke', respondWith((request) => server.revoke(request)));
authorization.post('/token/introspect', respondWith((request) => server.introspect(request)));
await new Promise((ready) => authorization.listen(loopback.authorization.listen, loopback.host, ready));

async function introspection(token, token_type_hint) {
  const url = `${loopback.origin(loopback.authorization.listen)}/token/introspect`;
  const response = await fetch(url, { method: 'POST', body: new URLSearchParams({ token, token_type_hint }) });
  return response.json();
}

const verifier = {
  async verifyAccessToken(token) {
    const found = await introspection(token, 'access_token');
    if (!found.active) throw new InvalidTokenError('unknown or expired token');
    return { token, clientId: found.client_id, scopes: found.scope.split(' '), expiresAt: found.exp };
  },
};
const app = express();
app.use(mcpAuthMetadataRouter({ oauthMetadata: metadata, resourceServerUrl: resource, scopesSupported: ['notes:read'] }));
const resourceMetadataUrl = new URL('/.well-known/oauth-protected-resource/mcp', resource).href;
app.post('/mcp', express.json(), requireBearerAuth({ verifier, resourceMetadataUrl }), async (request, response) => {
  const mcp = new McpServer({ name: 'ts-oauth2-server', version: '1' });
  const inputSchema = { a: z.number(), b: z.number() };
  mcp.registerTool('add', { inputSchema }, ({ a, b }) => ({ content: [{ type: 'text', text: String(a + b) }] }));
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  await mcp.connect(transport);
  await transport.handleRequest(request, response, request.body);
});
await new Promise((ready) => app.listen(loopback.mcp.listen, loopback.host, ready));

const hints = ['access_token', 'refresh_token'];
await loopback.run(
  `@jmondi/oauth2-server ${version}`,
  async (token) => (await Promise.all(hints.map((hint) => introspection(token, hint)))).some(({ active }) => active),
  async (token) => {
    const { jti } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    (await findToken('accessToken', jti)).accessTokenExpiresAt = new Date(0);
    return 1;
  },
);
