// A certified authorization server, and an MCP endpoint that accepts its tokens, each on its own port of
// loopback. The tests start it, and read one line of JSON from its stdout:
//
//   {"issuer": "http://127.0.0.1:…", "resource": "http://127.0.0.1:…/mcp"}
//
// It ends when its stdin is closed. ROBOT_JWKS has the public keys of the client `robot-with-key`.
//
// It requires what the specifications make mandatory and what is strictest for a client: PKCE,
// refresh token rotation, and a nonce in each DPoP proof. It differs from a real server in one point:
// every consent is approved automatically.

import crypto from 'node:crypto';
import http from 'node:http';
import * as jose from 'jose';
import Provider, { errors } from 'oidc-provider';

const SCOPE = 'notes:read notes:write';
const host = '127.0.0.1';

const listen = (server) => new Promise((done) => server.listen(0, host, () => done(server.address().port)));
const authorizationServer = http.createServer();
const resourceServer = http.createServer();
const issuer = `http://${host}:${await listen(authorizationServer)}`;
const origin = `http://${host}:${await listen(resourceServer)}`;
const resource = `${origin}/mcp`;
const metadata = `${origin}/.well-known/oauth-protected-resource/mcp`;

const { privateKey } = await jose.generateKeyPair('ES256', { extractable: true });
const key = { ...(await jose.exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'one' };

const client = { redirect_uris: [], response_types: [], grant_types: ['client_credentials'] };
const clients = [
  { ...client, client_id: 'robot', client_secret: 's3cret of the robot', token_endpoint_auth_method: 'client_secret_basic' },
  { ...client, client_id: 'robot-with-key', jwks: JSON.parse(process.env.ROBOT_JWKS), token_endpoint_auth_method: 'private_key_jwt' },
];

// The library warns at each start that this configuration is not for production.
console.info = console.warn = () => {};

const provider = new Provider(issuer, {
  jwks: { keys: [key] },
  cookies: { keys: [crypto.randomBytes(32).toString('hex')] },
  findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  clients,
  clientDefaults: { id_token_signed_response_alg: 'ES256', token_endpoint_auth_method: 'none' },
  scopes: SCOPE.split(' '),
  enabledJWA: { idTokenSigningAlgValues: ['ES256'], clientAuthSigningAlgValues: ['ES256', 'EdDSA', 'RS256'], dPoPSigningAlgValues: ['ES256'] },
  pkce: { required: () => true },
  rotateRefreshToken: () => true,
  issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
  interactions: { url: (_, interaction) => `/approve/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    clientCredentials: { enabled: true },
    deviceFlow: {
      enabled: true,
      userCodeInputSource: async (ctx, form) => { ctx.body = `${form}<p>Enter the code.`; },
      userCodeConfirmSource: async (ctx, form) => { ctx.body = `${form}<p>Is this your code?`; },
      successSource: async (ctx) => { ctx.body = 'You are logged in.'; },
    },
    revocation: { enabled: true },
    dPoP: { enabled: true, nonceSecret: crypto.randomBytes(32), requireNonce: () => true },
    resourceIndicators: {
      enabled: true,
      defaultResource: async (_, __, oneOf) => oneOf ?? resource,
      useGrantedResource: async () => true,
      getResourceServerInfo: async (_, wanted) => {
        if (wanted !== resource) throw new errors.InvalidTarget();
        return { scope: SCOPE, audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg: 'ES256' } } };
      },
    },
  },
});
provider.on('server_error', (_, error) => console.error(error));

// The test user: logs in as alice, and grants each request.
async function approve(request, response) {
  const { prompt, params } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') return provider.interactionFinished(request, response, { login: { accountId: 'alice' } });
  const grant = new provider.Grant({ accountId: 'alice', clientId: params.client_id });
  for (const [at, scopes] of Object.entries(prompt.details.missingResourceScopes ?? {})) grant.addResourceScope(at, scopes.join(' '));
  if (prompt.details.missingOIDCScope) grant.addOIDCScope(prompt.details.missingOIDCScope.join(' '));
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
}

const handle = provider.callback();
authorizationServer.on('request', (request, response) => {
  if (!request.url.startsWith('/approve/')) return handle(request, response);
  return approve(request, response).catch((error) => {
    console.error('approve', error);
    response.writeHead(500).end();
  });
});

const { d, ...publicKey } = key;
const keys = jose.createLocalJWKSet({ keys: [publicKey] });
const nonce = crypto.randomUUID();

// Returns nothing if the request is authorized, otherwise the `error` of the challenge.
async function refusal(request) {
  const [, scheme, token] = /^(Bearer|DPoP) (.+)$/.exec(request.headers.authorization ?? '') ?? [];
  if (!token) return '';
  const { payload } = await jose.jwtVerify(token, keys, { issuer, audience: resource }).catch(() => ({}));
  if (!payload || (scheme === 'DPoP') !== Boolean(payload.cnf)) return 'invalid_token';
  return scheme === 'DPoP' ? proofRefusal(request, token, payload.cnf.jkt) : undefined;
}

async function proofRefusal(request, token, thumbprint) {
  const proof = await jose.jwtVerify(request.headers.dpop ?? '', jose.EmbeddedJWK, { typ: 'dpop+jwt', maxTokenAge: 60 }).catch(() => undefined);
  const hash = crypto.createHash('sha256').update(token).digest('base64url');
  const fits = proof?.payload.htm === request.method && proof.payload.htu === origin + request.url.split('?')[0]
    && proof.payload.ath === hash && (await jose.calculateJwkThumbprint(proof.protectedHeader.jwk)) === thumbprint;
  if (!fits) return 'invalid_dpop_proof';
  return proof.payload.nonce === nonce ? undefined : 'use_dpop_nonce';
}

resourceServer.on('request', async (request, response) => {
  const send = (status, body, headers) => response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  if (origin + request.url === metadata)
    return send(200, { resource, authorization_servers: [issuer], scopes_supported: SCOPE.split(' ') });
  const error = await refusal(request);
  if (error === undefined) return send(200, { scheme: request.headers.authorization.split(' ')[0] });
  const scheme = request.headers.dpop ? 'DPoP' : 'Bearer';
  const reason = error && `, error="${error}"`;
  const challenge = `${scheme} resource_metadata="${metadata}", scope="notes:read"${reason}`;
  return send(401, { error }, { 'www-authenticate': challenge, ...(error === 'use_dpop_nonce' ? { 'dpop-nonce': nonce } : {}) });
});

console.log(JSON.stringify({ issuer, resource }));
process.stdin.resume().on('end', () => process.exit(0));
