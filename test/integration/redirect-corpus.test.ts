import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isClaimable } from '../../src/client/private-schemes.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Credentials, redirectUri, Seed, type SignedInBrowser } from '../support/protocol.ts';
import {
  hostile,
  type Hostile,
  neverRegistered,
  ofSomebodyElse,
} from '../support/redirect-corpus.ts';
import { mayBeAnsweredAt, mutationsOf } from '../support/redirect-mutations.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import {
  type Answer,
  answered,
  ask,
  authorizationFields,
  basic,
  cookiesOf,
  countRows,
  type Fields,
  form,
  query,
  send,
} from '../support/wire.ts';

/** The corpus of hostile redirect URIs, and whatever fast-check makes of good ones, wherever a URI is asked for. */

const issuer = 'http://localhost:3000';

interface Kind {
  readonly name: string;
  readonly type: 'web' | 'spa' | 'native';
  readonly uris: readonly string[];
}

const kinds: readonly Kind[] = [
  { name: 'a web app', type: 'web', uris: [redirectUri, 'https://app.example.com/c?tenant=1'] },
  {
    name: 'a single-page app',
    type: 'spa',
    uris: ['https://spa.example.com/callback', 'http://localhost:5173/callback'],
  },
  {
    name: 'a native app on loopback',
    type: 'native',
    uris: ['http://127.0.0.1/callback', 'http://[::1]:4000/callback'],
  },
  {
    name: 'a native app with a private scheme',
    type: 'native',
    uris: ['com.example.app:/callback', 'https://app.example.com/native'],
  },
];

let database: TestDatabase;
let server: ServerProcess;
let seed: Seed;
let browser: SignedInBrowser;
const clients = new Map<Kind, Credentials>();
const clientOf = (kind: Kind) => clients.get(kind) as Credentials;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  server = await startServerProcess(database, issuer, {
    CLIENT_REGISTRATION: 'open',
    CLIENT_REGISTRATION_PER_ADDRESS: '10000',
    CLIENT_REGISTRATION_IN_ALL: '10000',
    REQUEST_LIMITS: 'off',
  });
  const accountId = await seed.account();
  for (const kind of kinds) {
    const redirectUris = [...kind.uris];
    const client = await seed.client({
      type: kind.type,
      redirectUris,
      postLogoutRedirectUris: redirectUris,
    });
    await seed.consent(accountId, client.clientId);
    clients.set(kind, client);
  }
  browser = await seed.signIn(accountId);
});

afterAll(async () => {
  await server.stop();
  await database.drop();
});

const foreignTo = (kind: Kind): readonly Hostile[] =>
  hostile.filter(({ uri }) => !mayBeAnsweredAt(uri, kind.uris, kind.type === 'native'));

const asking = (kind: Kind, extra: Fields, by: SignedInBrowser | undefined = browser) =>
  ask(server.url, authorizationFields(clientOf(kind), extra).fields, { browser: by });

/** Runs `work` for each, a few at once, and makes sure that nothing was left behind. */
async function leavingNothing<T>(items: readonly T[], work: (item: T) => Promise<void>) {
  const before = await countRows(database.db);
  const waiting = [...items];
  await Promise.all(
    [1, 2, 3, 4].map(async () => {
      for (let item = waiting.pop(); item !== undefined; item = waiting.pop()) await work(item);
    }),
  );
  expect(await countRows(database.db)).toEqual(before);
}

/** A page of ours that leads nowhere, and shows nothing of what was sent. */
function expectPage(answer: Answer, { uri, why }: Hostile, status = 400): void {
  expect({ why, status: answer.status, location: answer.location }).toEqual({
    why,
    status,
    location: undefined,
  });
  expect(answer.headers.refresh).toBeUndefined();
  expect(answer.headers['content-type']).toBe('text/html; charset=utf-8');
  expect(answer.text).not.toMatch(/evil\.example|alert\(1\)/);
  // Our own address is in the links of the page, and may begin as the URI does.
  const text = answer.text.replaceAll(issuer, '');
  expect(text).not.toContain('method="post" action="http');
  if (uri.length > 14) expect(text).not.toContain(uri.trim());
}

describe.each(kinds)('SECURITY Authorization 1, 2, SECURITY 4, 7: $name', (kind) => {
  test('is answered at its own URIs', async () => {
    for (const uri of kind.uris) {
      const { location } = await asking(kind, { redirect_uri: uri, prompt: 'none' });
      expect(location?.startsWith(`${uri}${uri.includes('?') ? '&' : '?'}`)).toBe(true);
      const { code, error } = answered(location);
      expect(code ?? error).toMatch(/^(vs_ac_.*|consent_required)$/);
    }
  });

  test('gets a page at every hostile one', async () => {
    await leavingNothing(foreignTo(kind), async (one) => {
      expectPage(await asking(kind, { redirect_uri: one.uri }), one);
    });
  });

  test('SECURITY 5: also where something else is wrong, in every response mode', async () => {
    const wrong: Fields[] = [
      { prompt: 'none' },
      { response_type: 'evil' },
      { scope: '"' },
      { response_mode: 'form_post', code_challenge: undefined },
      { response_mode: 'fragment', request_uri: 'urn:evil' },
      { response_mode: 'jwt', request: 'e.e.e' },
      { response_mode: 'evil', state: ['x', 'x'] },
      { prompt: 'create' },
    ];
    await leavingNothing(
      foreignTo(kind).map((one, index) => [one, wrong[index % wrong.length] as Fields] as const),
      async ([one, extra]) => {
        const by = extra.prompt === 'none' ? undefined : browser;
        expectPage(await asking(kind, { ...extra, redirect_uri: one.uri }, by), one);
      },
    );
  });

  test('pushes none of them', async () => {
    await leavingNothing(foreignTo(kind), async (one) => {
      const { fields } = authorizationFields(clientOf(kind), { redirect_uri: one.uri });
      const { clientSecret } = clientOf(kind);
      const answer = await send(server.url, '/par', {
        method: 'POST',
        headers: clientSecret === undefined ? {} : basic(clientOf(kind)),
        body: form(fields),
      });
      expect({ why: one.why, status: answer.status }).toEqual({ why: one.why, status: 400 });
      expect(answer.json.error).toMatch(/^invalid_re(quest|direct_uri)$/);
      expect(answer.json).not.toHaveProperty('request_uri');
      if (one.uri.length > 14) expect(answer.text).not.toContain(one.uri.trim());
    });
  });

  test('signs out to none of them', async () => {
    const headers = { accept: 'text/html', ...cookiesOf(browser) };
    // Empty, it was not sent.
    await leavingNothing(
      foreignTo(kind).filter(({ uri }) => uri !== ''),
      async (one) => {
        const fields = { client_id: clientOf(kind).clientId, post_logout_redirect_uri: one.uri };
        const answer = await send(server.url, `/logout?${query(fields)}`, { headers });
        // The user is asked, and nothing leads there.
        expectPage(answer, one, 200);
      },
    );
  });

  test('whatever is made of its URIs, it is answered at the same bytes, or on loopback at another port', async () => {
    const seen = { taken: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(mutationsOf(kind.uris), async (uri) => {
        const answer = await asking(kind, { redirect_uri: uri, prompt: 'none' });
        if (mayBeAnsweredAt(uri, kind.uris, kind.type === 'native')) {
          seen.taken++;
          expect([uri, `${uri}/`]).toContain(answer.location?.replace(/[?&](code|error)=.*$/s, ''));
        } else {
          seen.refused++;
          expectPage(answer, { uri, why: uri });
        }
      }),
      { numRuns: 600 },
    );
    // Both happen often enough to mean something.
    expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(50);
  });
});

describe('SECURITY Authorization 3, SECURITY 7: by the protocol of registration', () => {
  const registered = async () =>
    Number(
      (
        await database.db.kysely
          .selectFrom('clients')
          .select(({ fn }) => fn.countAll<string>().as('count'))
          .executeTakeFirstOrThrow()
      ).count,
    );

  const register = (body: Record<string, unknown>) =>
    send(server.url, '/register', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ client_name: 'Quillet', redirect_uris: [redirectUri], ...body }),
    });

  test.each(['web', 'native'])('nobody registers one that no client may have: %s', async (type) => {
    const before = await registered();
    // Schemes that a desktop app may have claimed are its to say there (COMPATIBILITY 18).
    for (const { uri, why } of neverRegistered.filter((one) => !isClaimable(one.uri))) {
      for (const field of ['redirect_uris', 'post_logout_redirect_uris']) {
        const { status, json } = await register({ application_type: type, [field]: [uri] });
        expect({ why, uri, field, status }).toEqual({ why, uri, field, status: 400 });
        expect(json.error).toMatch(/^invalid_(redirect_uri|client_metadata)$/);
      }
    }
    expect(await registered()).toBe(before);
  });

  test('what is good for its owner is registered byte for byte', async () => {
    for (const { uri } of ofSomebodyElse) {
      const { status, json } = await register({ application_type: 'web', redirect_uris: [uri] });
      expect({ uri, status, registered: json.redirect_uris }).toEqual({
        uri,
        status: 201,
        registered: [uri],
      });
    }
  });
});
