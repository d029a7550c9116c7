import {
  ACCESS_TOKEN,
  api,
  type Credentials,
  type Exchange,
  type IssuedToken,
  jwtApi,
  type Material,
  type ScenarioName,
  TOKEN_EXCHANGE,
  targetApi,
} from './protocol.ts';
import { codeExchange, refreshing, signingIn, singleSignOn } from './people-exchanges.ts';
import { basic, get, one, post } from './requests.ts';

const AT_ONCE = 16;

/** The requests of a scenario in the order in which they are sent, over and over, each with what its answer must hold. */
export async function exchangesFor(
  scenario: ScenarioName,
  port: number,
  material: Material,
): Promise<Exchange[]> {
  switch (scenario) {
    case 'introspection':
    case 'introspection-people': {
      const tokens = material.tokens ?? (await issueTokens(port, material.clients));
      return tokens.map(({ token, clientId }) =>
        // An inactive token's answer holds no client.
        one(post('/introspect', material.introspector, { token }), `"client_id":"${clientId}"`),
      );
    }
    case 'client-credentials':
      return material.clients.map((client) =>
        one(post('/token', client, forToken(api)), '"scope":"read"'),
      );
    case 'client-credentials-jwt':
      return material.clients.map((client) =>
        one(post('/token', client, forToken(jwtApi)), '"access_token":"eyJ'),
      );
    case 'discovery':
      return [one(get('/.well-known/openid-configuration'), '"token_endpoint"')];
    case 'jwks':
      return [one(get('/jwks'), '"kty":"EC"')];
    case 'single-sign-on':
      return singleSignOn(material);
    case 'code-exchange':
      return codeExchange(material);
    case 'refresh':
      return refreshing(port, material);
    case 'token-exchange':
      return (material.tokens ?? []).map(({ token }) =>
        one(
          post('/token', material.exchanger as Credentials, forExchange(token)),
          '"scope":"read"',
        ),
      );
    case 'mixed':
      return mixed(port, material);
  }
}

/** All kinds in turn; one of forty is a sign-in with a password. */
async function mixed(port: number, material: Material): Promise<Exchange[]> {
  const scenarios: ScenarioName[] = [
    'introspection-people',
    'client-credentials',
    'client-credentials-jwt',
    'code-exchange',
    'refresh',
    'token-exchange',
    'discovery',
    'jwks',
  ];
  const kinds = await Promise.all(scenarios.map((name) => exchangesFor(name, port, material)));
  const signIns = signingIn(material);
  return material.clients.flatMap((_, index) => [
    ...kinds.map((kind) => kind[index % kind.length] as Exchange),
    ...(index % 5 === 0 ? [signIns[index] as Exchange] : []),
  ]);
}

const forExchange = (token: string) => ({
  grant_type: TOKEN_EXCHANGE,
  subject_token: token,
  subject_token_type: ACCESS_TOKEN,
  resource: targetApi,
  scope: 'read',
});

const forToken = (resource: string) => ({
  grant_type: 'client_credentials',
  scope: 'read',
  resource,
});

/** One opaque token for each client, from the token endpoint. */
async function issueTokens(port: number, clients: readonly Credentials[]): Promise<IssuedToken[]> {
  const tokens: IssuedToken[] = [];
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < clients.length; index = next++) {
      const client = clients[index] as Credentials;
      tokens[index] = { token: await issueToken(port, client), clientId: client.clientId };
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return tokens;
}

async function issueToken(port: number, client: Credentials): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/token`, {
    method: 'POST',
    headers: { Authorization: basic(client) },
    body: new URLSearchParams(forToken(api)),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`No token was issued: ${response.status} ${text}`);
  return (JSON.parse(text) as { access_token: string }).access_token;
}
