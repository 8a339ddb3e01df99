// Runs every check with the TypeScript SDK, and prints one JSON object of results; `python.py`
// describes the arguments. LIBRARY is `sdk`, the SDK's first major version, or `client`, its second.

import { createHash } from 'node:crypto';
import { get } from 'node:http';
import { createRequire } from 'node:module';

const [library, era, targetText, control] = process.argv.slice(2);
const target = JSON.parse(targetText);
const packageName = `@modelcontextprotocol/${library}`;
const second = library === 'client';

const { Client, StreamableHTTPClientTransport } = second
  ? await import('@modelcontextprotocol/client')
  : {
      ...(await import('@modelcontextprotocol/sdk/client/index.js')),
      ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
    };
const { StdioClientTransport } = await import(
  second ? '@modelcontextprotocol/client/stdio' : '@modelcontextprotocol/sdk/client/stdio.js'
);
// The first version identifies a method by its schema.
const schemas = second ? undefined : await import('@modelcontextprotocol/sdk/types.js');
const named = (method, schema) => (second ? method : schemas[schema]);

const timeout = 45_000;
const uri = 'demo://resource/dynamic/text/1';
const texts = 'żółć 漢字 🦀👩‍👩‍👧 שלום \u2028\u2029 \u0000\u001f \ufeff é';
const roots = ['file:///tmp/one', 'file:///tmp/two'];

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const limited = (promise) =>
  Promise.race([
    promise,
    new Promise((_, reject) => {
      setTimeout(() => reject(new Error(`nothing within ${timeout / 1000} s`)), timeout).unref();
    }),
  ]);
const errorOf = (error) => ({ error: `${error.name}: ${error.code ?? ''} ${error.message}` });
const attempt = (check) => limited(check()).catch(errorOf);

const client = new Client(
  { name: 'driver', version: '1' },
  {
    capabilities: { sampling: {}, elicitation: { form: {}, url: {} }, roots: {} },
    ...(second && { versionNegotiation: { mode: era } }),
  },
);
const waiting = new Map();
const arrival = (kind) => new Promise((resolve) => waiting.set(kind, resolve));
const notice = (kind, value) => waiting.get(kind)?.(value);

client.setRequestHandler(named('sampling/createMessage', 'CreateMessageRequestSchema'), ({ params }) => {
  const { content } = params.messages[0];
  const [{ text }] = [content].flat();
  return { role: 'assistant', model: 'test', content: { type: 'text', text: `on ${text} ✓` } };
});
// Opens the link of an elicitation as a browser does; the user agrees to everything. `fetch` is no
// navigation, and says so in its headers.
function open(url) {
  return new Promise((resolve, reject) => {
    const request = get(url, (response) => {
      response.resume();
      const { location } = response.headers;
      response.on('end', () => resolve(location && open(new URL(location, url))));
    });
    request.on('error', reject);
  });
}
client.setRequestHandler(named('elicitation/create', 'ElicitRequestSchema'), async ({ params }) => {
  if (params.mode !== 'url') return { action: 'accept', content: { name: 'Żaneta' } };
  await open(params.url);
  return { action: 'accept' };
});
client.setRequestHandler(named('roots/list', 'ListRootsRequestSchema'), () => ({
  roots: roots.map((root) => ({ uri: root })),
}));
client.setNotificationHandler(
  named('notifications/message', 'LoggingMessageNotificationSchema'),
  ({ params }) => notice('log', Boolean(params.data)),
);
client.setNotificationHandler(
  named('notifications/resources/updated', 'ResourceUpdatedNotificationSchema'),
  ({ params }) => notice('updated', params.uri),
);

const transport = target.command
  ? new StdioClientTransport({ ...target, stderr: 'inherit', maxBufferSize: 64 << 20 })
  : new StreamableHTTPClientTransport(new URL(target.url), {
      requestInit: target.token && { headers: { authorization: `Bearer ${target.token}` } },
    });
await client.connect(transport, { timeout });
const version = second ? client.getNegotiatedProtocolVersion() : transport.protocolVersion;
const modern = second && version >= '2026';

async function call(name, args, { meta, ...options } = {}) {
  const params = { name, arguments: args, ...(meta && { _meta: meta }) };
  options.timeout = timeout;
  const result = second
    ? await client.callTool(params, options)
    : await client.callTool(params, undefined, options);
  const text = result.content.map((block) => block.text ?? '').join('');
  return result.isError ? `error: ${text}` : text;
}
const echo = (message = '✓') => call('echo', { message });

async function pages(list, member) {
  const all = [];
  let cursor;
  do {
    const page = await list(cursor ? { cursor } : undefined);
    all.push(page[member]);
    cursor = page.nextCursor;
  } while (cursor);
  return all;
}

async function large(size) {
  const text = await echo('0123456789abcde\n'.repeat(size / 16));
  return text.length > 999 ? [text.length, createHash('sha256').update(text).digest('hex')] : text;
}

// Returns the result of the first call after `action`, and whether a later call succeeds.
async function after(action) {
  await fetch(`${control}/${action}`, { method: 'POST' });
  const first = await attempt(() => echo('first'));
  let later;
  for (let tries = 0; tries < 40; tries++) {
    later = await attempt(() => echo('later'));
    if (later === 'Echo: later') return [first, 'a later call succeeds'];
    await sleep(250);
  }
  return [first, later];
}

const checks = {
  handshake: async () => ({
    // The first version of the SDK exposes the protocol version of HTTP transports only.
    version: version ?? '2025-11-25',
    server: client.getServerVersion(),
    capabilities: client.getServerCapabilities(),
    instructions: client.getInstructions(),
  }),
  tools: () => pages((params) => client.listTools(params), 'tools'),
  resources: async () => {
    const listed = await pages((params) => client.listResources(params), 'resources');
    const templates = await pages((params) => client.listResourceTemplates(params), 'resourceTemplates');
    return [listed, templates, (await client.readResource({ uri: listed[0][0].uri })).contents];
  },
  prompts: async () => {
    const listed = await pages((params) => client.listPrompts(params), 'prompts');
    const got = await client.getPrompt({ name: 'args-prompt', arguments: { city: 'Łódź', state: '🦀' } });
    return [listed, got.messages];
  },
  completion: async () => {
    const ref = { type: 'ref/prompt', name: 'completable-prompt' };
    const result = await client.complete({ ref, argument: { name: 'department', value: 'S' } });
    return result.completion.values;
  },
  logging: async () => {
    const meta = modern ? { 'io.modelcontextprotocol/logLevel': 'debug' } : undefined;
    if (!modern) await client.setLoggingLevel('debug');
    const arrived = arrival('log');
    await call('toggle-simulated-logging', {}, { meta });
    const got = await arrived;
    await call('toggle-simulated-logging', {}, { meta });
    return got;
  },
  progress: async () => {
    const seen = [];
    const onprogress = ({ progress, total }) => seen.push([progress, total]);
    const text = await call('trigger-long-running-operation', { duration: 0.4, steps: 4 }, { onprogress });
    return [text, seen];
  },
  cancellation: async () => {
    const abort = new AbortController();
    const started = new Promise((resolve) => {
      const options = { signal: abort.signal, onprogress: resolve };
      const ended = call('trigger-long-running-operation', { duration: 40, steps: 400 }, options);
      checks.ended = ended.catch((error) => `cancelled: ${error.message}`);
    });
    await started;
    abort.abort('stop');
    const ended = await checks.ended;
    // The server of the Python SDK returns the number of cancelled calls.
    let count;
    for (let tries = 0; tries < 50; tries++) {
      count = await call('cancellations', {}).catch((error) => error.message);
      if (!/^\d+$/.test(count) || count !== '0') break;
      await sleep(100);
    }
    return [ended, count];
  },
  sampling: () => call('trigger-sampling-request', { prompt: 'rain' }),
  elicitation: () => call('trigger-elicitation-request', {}),
  roots: async () => {
    // A server may request them only after the handshake.
    let text;
    for (let tries = 0; tries < 50; tries++) {
      text = await call('get-roots-list', {});
      if (text.includes(roots[1])) break;
      await sleep(100);
    }
    return text;
  },
  subscriptions: async () => {
    const arrived = arrival('updated');
    const subscription = modern
      ? await client.listen({ resourceSubscriptions: [uri] })
      : await client.subscribeResource({ uri });
    await call('toggle-subscriber-updates', {});
    const got = await arrived;
    if (modern) await subscription.close();
    else await client.unsubscribeResource({ uri });
    await call('toggle-subscriber-updates', {});
    return got;
  },
  one_mib: () => large(1 << 20),
  ten_mib: () => large(10 << 20),
  unicode: () => echo(texts),
  parallel: async () => {
    const numbers = [...Array(100).keys()];
    const got = await Promise.all(numbers.map((number) => echo(`call ${number}`)));
    return got.filter((text, number) => text.endsWith(`call ${number}`)).length;
  },
  unknown_method: async () => {
    const request = { method: 'nothing/such', params: {} };
    const anything = (await import('zod')).z.any();
    await client.request(request, anything);
  },
  token_expired: () => after('expire'),
  token_revoked: () => after('revoke'),
  server_restart: () => after('restart'),
};

const results = {};
for (const [name, check] of Object.entries(checks)) results[name] = await attempt(check);
const manifest = createRequire(import.meta.url).resolve('zod').replace(/zod.*/, `${packageName}/package.json`);
const { readFileSync } = await import('node:fs');
results.library = `${packageName.split('/')[1]} ${JSON.parse(readFileSync(manifest)).version}`;
process.stdout.write(`${JSON.stringify(results)}\n`, () => process.exit());
