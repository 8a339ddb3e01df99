// An MCP server on Cloudflare Workers, as in the quick start of workers-oauth-provider for one
// Worker: `OAuthProvider` in front, a consent page, and the MCP handler of the TypeScript SDK.

import { OAuthProvider } from '@cloudflare/workers-oauth-provider';
import { McpServer, createMcpHandler } from '@modelcontextprotocol/server';
import { WorkerEntrypoint } from 'cloudflare:workers';
import * as z from 'zod/v4';

const scopes = ['mcp:read', 'mcp:write', 'offline_access'];

const mcp = createMcpHandler(() => {
  const server = new McpServer({ name: 'cloudflare-workers', version: '1' });
  const inputSchema = z.object({ a: z.number(), b: z.number() });
  server.registerTool('add', { inputSchema }, async ({ a, b }) => ({ content: [{ type: 'text', text: String(a + b) }] }));
  return server;
});

const apiHandler = { fetch: (request) => mcp.fetch(request) };

const page = (handle) => `<form method="post"><input type="hidden" name="handle" value="${handle}">
  <button name="decision" value="approve">Allow</button><button name="decision" value="deny">Deny</button></form>`;

async function authorize(request, oauth) {
  if (request.method === 'GET') {
    const consent = await oauth.beginConsent(await oauth.parseAuthRequest(request));
    consent.headers.set('Content-Type', 'text/html; charset=utf-8');
    return new Response(page(consent.handle), { headers: consent.headers });
  }
  const form = await request.formData();
  if (form.get('decision') !== 'approve') {
    const denied = await oauth.denyConsent(request, form.get('handle'));
    return new Response(null, { status: 302, headers: denied.headers });
  }
  const approved = await oauth.approveConsent(request, form.get('handle'), {});
  const { redirectTo } = await oauth.completeAuthorization({
    request: approved.request, userId: 'alice', metadata: {}, scope: approved.request.scope, props: { userId: 'alice' },
  });
  approved.headers.set('Location', redirectTo);
  return new Response(null, { status: 302, headers: approved.headers });
}

const defaultHandler = {
  fetch(request, env) {
    if (new URL(request.url).pathname === '/authorize') return authorize(request, env.OAUTH_PROVIDER);
    return new Response('not found', { status: 404 });
  },
};

let provider;
const of = (env) => (provider ??= new OAuthProvider({
  apiRoute: '/mcp',
  apiHandler,
  defaultHandler,
  authorizeEndpoint: '/authorize',
  tokenEndpoint: '/oauth/token',
  clientRegistrationEndpoint: '/oauth/register',
  scopesSupported: scopes,
  requiredScopes: ['mcp:read'],
  resourceMetadata: { resource: `${env.ORIGIN}/mcp`, authorization_servers: [env.ORIGIN] },
}));

export default class extends WorkerEntrypoint {
  fetch(request) {
    return of(this.env).fetch(request, this.env, this.ctx);
  }
}
