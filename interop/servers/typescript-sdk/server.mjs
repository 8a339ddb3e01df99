// The example of the TypeScript SDK as its package ships it: `simpleStreamableHttp.js --oauth`.
// It has no consent page, issues no refresh token and has no revocation.

import { createRequire } from 'node:module';
import * as loopback from '../lib/loopback.mjs';

const { version } = createRequire(import.meta.url)('./node_modules/@modelcontextprotocol/sdk/package.json');

loopback.bindLoopback();
process.env.MCP_PORT = loopback.mcp.public;
process.env.MCP_AUTH_PORT = loopback.authorization.public;
process.argv.push('--oauth');
await import('./node_modules/@modelcontextprotocol/sdk/dist/esm/examples/server/simpleStreamableHttp.js');

const introspection = `${loopback.origin(loopback.authorization.listen)}/introspect`;
await loopback.run(`@modelcontextprotocol/sdk ${version}`, async (token) => {
  const response = await fetch(introspection, { method: 'POST', body: new URLSearchParams({ token }) });
  return (await response.json()).active;
});
