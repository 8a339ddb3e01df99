// Runs `worker.mjs` in workerd, the runtime of Cloudflare Workers, with a KV store in memory.

import { createRequire } from 'node:module';
import esbuild from 'esbuild';
import { Miniflare } from 'miniflare';
import * as loopback from '../lib/loopback.mjs';

const require = createRequire(import.meta.url);
const { version } = require('./node_modules/@cloudflare/workers-oauth-provider/package.json');

const bundle = await esbuild.build({
  entryPoints: ['worker.mjs'], bundle: true, write: false, format: 'esm', conditions: ['workerd', 'worker'],
  external: ['cloudflare:*', 'node:*'], logLevel: 'error',
});
const worker = new Miniflare({
  host: loopback.host,
  port: loopback.mcp.listen,
  cf: false,
  modules: true,
  script: bundle.outputFiles[0].text,
  compatibilityDate: '2026-07-01',
  compatibilityFlags: ['nodejs_compat', 'global_fetch_strictly_public'],
  bindings: { ORIGIN: loopback.origin(loopback.mcp.public) },
  kvNamespaces: ['OAUTH_KV'],
});
await worker.ready;
const store = await worker.getKVNamespace('OAUTH_KV');

// The provider keeps hashes of tokens (`storage-schema.md` in its package). A token is
// `user:grant:secret`; that of an access token is under `token:`, and the grant has the hashes of
// its refresh token and of the one before.
const sha256 = async (text) => Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(text))).toString('hex');

async function active(token) {
  const [user, grant] = token.split(':');
  const hash = await sha256(token);
  if (await store.get(`token:${user}:${grant}:${hash}`)) return true;
  const entry = await store.get(`grant:${user}:${grant}`, 'json');
  return [entry?.refreshTokenId, entry?.previousRefreshTokenId].includes(hash);
}

async function expire(token) {
  const [user, grant] = token.split(':');
  await store.delete(`token:${user}:${grant}:${await sha256(token)}`);
  return 1;
}

await loopback.run(`@cloudflare/workers-oauth-provider ${version}`, active, expire);
