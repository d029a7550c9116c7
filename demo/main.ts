import { once } from 'node:events';
import { createServer } from 'node:http';
import type Koa from 'koa';
import { createApi } from './api.ts';
import { createApp } from './app.ts';
import { ensureRegistered } from './registration.ts';
import { readSettings, type Settings } from './settings.ts';
import { spawnServer, stopServer, untilReady } from './vouchsafe.ts';

/** Everything together: the server, an app that signs people in with it, and an API that the app calls. */

const settings = readSettings(process.env);
const stops: (() => Promise<void> | void)[] = [];
let stopping: Promise<void> | undefined;

// npm passes on the signal that the terminal has sent to both of us: the second one is the same.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop(0));

try {
  await start(settings);
  process.stdout.write(introduction(settings));
} catch (error) {
  process.stderr.write(
    `The demo did not start: ${error instanceof Error ? error.message : String(error)}\n`,
  );
  await stop(1);
}

async function start({ issuer, appUrl, apiUrl, env }: Settings): Promise<void> {
  const vouchsafe = spawnServer(env);
  stops.push(() => stopServer(vouchsafe));
  await untilReady(vouchsafe);
  vouchsafe.once('exit', () => void stop(1));
  const { app, api } = await ensureRegistered(settings);
  await listen(createApi({ issuer, identifier: apiUrl, credentials: api }), apiUrl);
  await listen(createApp({ issuer, url: appUrl, api: apiUrl, credentials: app }), appUrl);
}

async function listen(koa: Koa, url: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const handle = koa.callback();
  const server = createServer((request, response) => void handle(request, response)).listen(
    Number(port),
    hostname,
  );
  await once(server, 'listening').catch((cause: NodeJS.ErrnoException) => {
    const hint = 'DEMO_APP_PORT and DEMO_API_PORT choose other ports';
    throw new Error(`${url} can’t be listened on (${cause.code}): ${hint}.`, { cause });
  });
  stops.push(() => {
    server.close();
    server.closeAllConnections();
  });
}

function stop(code: number): Promise<void> {
  stopping ??= Promise.all(stops.map(async (one) => one())).then(() => process.exit(code));
  return stopping;
}

function introduction({ issuer, appUrl, apiUrl }: Settings): string {
  return `The demo is ready. Open this:

  Quillet, an app           ${appUrl}

and besides it

  your account              ${issuer}/account
  the mails                 ${issuer}/dev/mail
  Ledger, Quillet's API     ${apiUrl}/invoices

What to try:

  1. In Quillet, sign in with Vouchsafe and create an account: any address and a long password will do.
     The mail that confirms it is not sent, but kept at ${issuer}/dev/mail.
  2. Quillet asks for a second factor, so add an authenticator app and save the recovery codes.
  3. Decide what Quillet may do. If you untick "change", it can read invoices and not add any.
  4. Back in Quillet: who it knows you to be, and what its API answered.
  5. Remove Quillet at ${issuer}/account, and ask the API again: it refuses at once.

Ctrl-C ends all of it; the accounts stay in ${settings.dataDir}.

`;
}
