import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Settings } from './settings.ts';
import { runCommand } from './vouchsafe.ts';

export interface Credentials {
  readonly clientId: string;
  readonly clientSecret: string;
}

/** What is registered for the demo: the credentials of the app, and those with which the API introspects. */
export interface Registration {
  readonly app: Credentials;
  readonly api: Credentials;
}

interface Printed {
  readonly client_id: string;
  readonly client_secret: string;
}

/** The scopes of the API. */
export const scopes = { read: 'invoices:read', write: 'invoices:write' } as const;

/**
 * The registration of the last start where it still fits and the server still knows it, else a new one, made by the
 * command line. Secrets are shown once, so they are kept beside the server's data.
 */
export async function ensureRegistered(settings: Settings): Promise<Registration> {
  const file = join(settings.dataDir, 'demo.json');
  const known = await readKnown(file);
  const api =
    known.api?.identifier === settings.apiUrl && (await isAccepted(settings, known.api))
      ? known.api
      : await registerApi(settings);
  // Redirect URIs are compared to the letter: on another port it is another app.
  const isSame =
    known.app?.url === settings.appUrl && known.app.api === settings.apiUrl && api === known.api;
  const app =
    isSame && known.app && (await isAccepted(settings, known.app))
      ? known.app
      : await registerApp(settings);
  await mkdir(settings.dataDir, { recursive: true });
  await writeFile(file, `${JSON.stringify({ api, app }, undefined, 2)}\n`, { mode: 0o600 });
  return { app, api };
}

interface Known {
  readonly api?: Credentials & { readonly identifier: string };
  readonly app?: Credentials & { readonly url: string; readonly api: string };
}

async function readKnown(file: string): Promise<Known> {
  const text = await readFile(file, 'utf8').catch(() => '{}');
  return JSON.parse(text) as Known;
}

/** Any client may ask about a token that is none; who is not known gets a 401. */
async function isAccepted(
  { issuer }: Settings,
  { clientId, clientSecret }: Credentials,
): Promise<boolean> {
  const authorization = `Basic ${Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`).toString('base64')}`;
  const response = await fetch(`${issuer}/introspect`, {
    method: 'POST',
    headers: { authorization },
    body: new URLSearchParams({ token: 'none' }),
  });
  return response.ok;
}

async function registerApi({ env, apiUrl }: Settings): Promise<NonNullable<Known['api']>> {
  const { introspection } = await runCommand<{ introspection: Printed }>(env, 'api create', [
    ['identifier', apiUrl],
    ['name', 'Ledger'],
    ['scope', `${scopes.read}=see: your invoices, and who they are for`],
    ['scope', `${scopes.write}=change: your invoices: write and send them`],
  ]);
  return { identifier: apiUrl, ...credentials(introspection) };
}

async function registerApp({ env, apiUrl, appUrl }: Settings): Promise<NonNullable<Known['app']>> {
  const app = await runCommand<Printed>(env, 'client create', [
    ['name', 'Quillet'],
    ['type', 'web'],
    ['developer', 'Harrow & Finch'],
    ['verified'],
    ['redirect-uri', `${appUrl}/callback`],
    ['post-logout-redirect-uri', `${appUrl}/`],
    ['api', `${apiUrl} ${scopes.read} ${scopes.write}`],
  ]);
  return { url: appUrl, api: apiUrl, ...credentials(app) };
}

const credentials = (printed: Printed): Credentials => ({
  clientId: printed.client_id,
  clientSecret: printed.client_secret,
});
