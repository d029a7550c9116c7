import {
  api,
  type Credentials,
  type Exchange,
  type IssuedToken,
  jwtApi,
  type Material,
  type ScenarioName,
} from './protocol.ts';

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
      return tokens.map(({ token, clientId }) => ({
        request: post('/introspect', material.introspector, { token }),
        // An inactive token's answer holds no client.
        expect: `"client_id":"${clientId}"`,
      }));
    }
    case 'client-credentials':
      return material.clients.map((client) => ({
        request: post('/token', client, forToken(api)),
        expect: '"scope":"read"',
      }));
    case 'client-credentials-jwt':
      return material.clients.map((client) => ({
        request: post('/token', client, forToken(jwtApi)),
        expect: '"access_token":"eyJ',
      }));
  }
}

const forToken = (resource: string) => ({
  grant_type: 'client_credentials',
  scope: 'read',
  resource,
});

const basic = ({ clientId, clientSecret }: Credentials) =>
  `Basic ${Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`).toString('base64')}`;

/** What a resource server's HTTP client sends: nothing more than it has to. */
function post(path: string, credentials: Credentials, form: Record<string, string>): string {
  const body = new URLSearchParams(form).toString();
  return [
    `POST ${path} HTTP/1.1`,
    'Host: localhost:4600',
    'Accept: application/json',
    `Authorization: ${basic(credentials)}`,
    'Content-Type: application/x-www-form-urlencoded',
    `Content-Length: ${body.length}`,
    '',
    body,
  ].join('\r\n');
}

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
