/** A client that registers itself, and what it is answered with. */

export interface RegistrationAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown> & {
    client_id: string;
    client_secret?: string;
    registration_access_token: string;
    registration_client_uri: string;
    error?: string;
    error_description?: string;
  };
}

async function send(
  url: string,
  method: string,
  token: string | undefined,
  body: unknown,
): Promise<RegistrationAnswer> {
  const response = await fetch(url, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: (text === '' ? {} : JSON.parse(text)) as RegistrationAnswer['body'],
  };
}

/** What an app says of itself, at the least. */
export const plainApp = {
  client_name: 'Quillet',
  redirect_uris: ['https://app.example.com/callback'],
};

export const register = (issuer: string, body: unknown = plainApp, token?: string) =>
  send(`${issuer}/register`, 'POST', token, body);

/** Asks for a new secret or registration access token. */
export const replaceCredential = (
  { body }: Pick<RegistrationAnswer, 'body'>,
  name: 'client_secret' | 'registration_access_token',
  token = body.registration_access_token,
) => send(`${body.registration_client_uri}/${name}`, 'POST', token, undefined);

/** Asks about, changes or deletes a client by the token that came with it. */
export const manage = (
  { body }: Pick<RegistrationAnswer, 'body'>,
  method: 'DELETE' | 'GET' | 'PUT',
  change?: unknown,
  token: string | undefined = body.registration_access_token,
) => send(body.registration_client_uri, method, token, change);
