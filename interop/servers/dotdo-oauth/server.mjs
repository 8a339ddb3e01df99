// @dotdo/oauth, an authorization server for MCP, mounted beside an MCP server of the TypeScript SDK.
// Its development mode has a login form and no consent page.

import { createRequire } from 'node:module';
import { MemoryOAuthStorage, createOAuth21Server } from '@dotdo/oauth';
import { serve } from '@hono/node-server';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js';
import { Hono } from 'hono';
import * as z from 'zod';
import * as loopback from '../lib/loopback.mjs';

const { version } = createRequire(import.meta.url)('./node_modules/@dotdo/oauth/package.json');
const issuer = loopback.origin(loopback.mcp.public);

const storage = new MemoryOAuthStorage();
const users = [{ id: 'alice', email: 'alice@example.com', password: 'any' }];
const oauth = createOAuth21Server({ issuer, storage, devMode: { enabled: true, users } });

const isLive = (found) => Boolean(found) && !found.revoked && found.expiresAt > Date.now();
const app = new Hono();
app.route('/', oauth);
app.all('/mcp', async (context) => {
  const [, token] = /^Bearer (.+)$/.exec(context.req.header('authorization') ?? '') ?? [];
  if (!token || !isLive(await storage.getAccessToken(token))) {
    const challenge = `Bearer resource_metadata="${issuer}/.well-known/oauth-protected-resource"`;
    return context.json({ error: 'invalid_token' }, 401, { 'www-authenticate': challenge });
  }
  const server = new McpServer({ name: 'dotdo-oauth', version: '1' });
  const inputSchema = { a: z.number(), b: z.number() };
  server.registerTool('add', { inputSchema }, ({ a, b }) => ({ content: [{ type: 'text', text: String(a + b) }] }));
  const transport = new WebStandardStreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  await server.connect(transport);
  return transport.handleRequest(context.req.raw);
});
await new Promise((ready) => serve({ fetch: app.fetch, hostname: loopback.host, port: loopback.mcp.listen }, ready));

await loopback.run(
  `@dotdo/oauth ${version}`,
  async (token) => isLive(await storage.getAccessToken(token)) || isLive(await storage.getRefreshToken(token)),
  async (token) => {
    const found = await storage.getAccessToken(token);
    await storage.saveAccessToken({ ...found, expiresAt: 1 });
    return 1;
  },
);
