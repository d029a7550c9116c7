import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { sql } from 'kysely';
import type { Browser } from 'playwright-core';
import { createIntrospectionClient } from '../../src/client/client.service.ts';
import { newResourceServerSchema } from '../../src/resource-server/resource-server.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type DocumentHost, startDocumentHost } from '../support/document-host.ts';
import { look } from '../support/look.ts';
import {
  connectMcp,
  McpClientState,
  type PythonLine,
  type RunningMcpServer,
  runMcpPython,
  startMcpRemote,
  startMcpServer,
  waitOnLoopback,
} from '../support/mcp.ts';
import { launchBrowser } from '../support/pages-in-browser.ts';
import { freePort, until } from '../support/process.ts';
import { startServer, type TestAccount, type TestServer } from '../support/server.ts';

/**
 * COMPATIBILITY 19: the real SDK, as client and as server, from an empty database with one switch on
 * (CLIENT_REGISTRATION=open) and one API whose scopes are open; in the browser.
 */

let browser: Browser;
let host: DocumentHost;

interface World {
  readonly database: TestDatabase;
  readonly server: TestServer;
  readonly mcp: RunningMcpServer;
  readonly person: TestAccount;
}

/** An empty database, a server below a path or not, and an API that an MCP server is. */
async function startWorld(path: string, tokenFormat: 'jwt' | 'opaque'): Promise<World> {
  const database = await createTestDatabase();
  const port = await freePort();
  const server = await startServer(database, {
    PORT: String(port),
    ISSUER: `http://localhost:${port}${path}`,
    CLIENT_REGISTRATION: 'open',
    OUTBOUND_ALLOW: 'localhost',
  });
  const mcp = await protectedMcp(server, tokenFormat);
  return { database, server, mcp, person: await server.createAccount() };
}

/** An MCP server as an API of the server, whose metadata names these scopes, or none. */
function protectedMcp(
  server: TestServer,
  tokenFormat: 'jwt' | 'opaque',
  named?: { readonly scopes?: readonly string[] },
): Promise<RunningMcpServer> {
  return startMcpServer(async (url) => {
    const input = newResourceServerSchema.parse({
      identifier: url,
      name: 'Notes',
      tokenFormat,
      scopes: [
        { scope: 'notes:read', description: 'the notes that you keep here' },
        { scope: 'notes:erase', description: 'everything' },
      ],
      openScopes: ['notes:read'],
    });
    const { credentials } = await server.services.resourceServers.create(input, 'test', (db, id) =>
      createIntrospectionClient(db, id, input.name),
    );
    return { issuer: server.issuer, ...credentials };
  }, named);
}

async function stopWorld({ mcp, server, database }: World): Promise<void> {
  await mcp.stop();
  await server.close();
  await database.drop();
}

beforeAll(async () => {
  [browser, host] = await Promise.all([launchBrowser(), startDocumentHost()]);
});

afterAll(async () => {
  await browser.close();
  await host.stop();
});

/** The person follows the browser that the client opens, signs in, reads, and allows. */
async function decide(world: Omit<World, 'mcp'>, url: URL, name: string): Promise<string> {
  const context = await browser.newContext({ reducedMotion: 'reduce' });
  const page = await context.newPage();
  await page.goto(url.href);
  await page.getByLabel('Email').fill(world.person.email);
  await page.getByLabel('Password', { exact: true }).fill(world.person.password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('button', { name: 'Allow', exact: true }).waitFor();
  expect(await look(page, name, process.env.SCREENSHOTS)).toEqual([]);
  const words = await page.locator('body').innerText();
  await page.getByRole('button', { name: 'Allow', exact: true }).click();
  await page.waitForURL(/^http:\/\/(localhost|127\.0\.0\.1):\d+\/(oauth\/)?callback/);
  await context.close();
  return words.replace(/\s+/g, ' ');
}

/** From nothing but the address of the MCP server to an answer of its tool. */
async function complete(
  world: World,
  state: McpClientState,
  answer: Promise<URLSearchParams>,
  name: string,
) {
  const first = await connectMcp(world.mcp.url, state);
  await expect(first.connected).rejects.toThrow('Unauthorized');
  const authorizationUrl = state.authorizationUrl as URL;
  const words = await decide(world, authorizationUrl, name);
  const params = await answer;
  expect(params.get('iss')).toBe(world.server.issuer);
  await first.transport.finishAuth(params.get('code') as string);
  const { connected } = await connectMcp(world.mcp.url, state);
  const client = await connected;
  const { tools } = await client.listTools();
  expect(tools.map((tool) => tool.name)).toEqual(['list_notes']);
  expect(await client.callTool({ name: 'list_notes' })).toMatchObject({
    content: [{ type: 'text', text: 'Buy ink' }],
  });
  await client.close();
  return { words, authorizationUrl };
}

describe('COMPATIBILITY 19: with a client ID metadata document', () => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld('', 'jwt');
  });
  afterAll(() => stopWorld(world));

  test('an MCP client completes', async () => {
    const app = await waitOnLoopback();
    const url = `${host.origin}/quillet.json`;
    const metadata = {
      client_name: 'Quillet Desktop',
      // Any port of it is good.
      redirect_uris: ['http://127.0.0.1/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
    host.answer('/quillet.json', { client_id: url, ...metadata });
    const state = new McpClientState({ ...metadata, redirect_uris: [app.redirectUri] }, url);
    const { words, authorizationUrl } = await complete(world, state, app.answer, 'mcp-document');
    await app.stop();

    expect(state.information).toMatchObject({ client_id: url });
    expect(Object.fromEntries(authorizationUrl.searchParams)).toMatchObject({
      client_id: url,
      resource: world.mcp.url,
      code_challenge_method: 'S256',
      scope: 'notes:read',
    });
    // 4: it does not ask to keep access, and is offered it.
    expect(words).toContain('stay connected');
    expect(state.kept?.refresh_token).toEqual(expect.any(String));
    expect(words).toContain('the notes that you keep here');
    expect(words).toContain(`${new URL(url).host} says that this is Quillet Desktop`);
    expect(words).toContain('It runs on this device');
    expect(decodeJwt(state.kept?.access_token as string)).toMatchObject({
      iss: world.server.issuer,
      aud: world.mcp.url,
      client_id: url,
      scope: 'notes:read',
      sub: world.person.id,
    });
    expect(world.mcp.callers.at(-1)).toEqual({
      sub: world.person.id,
      clientId: url,
      scopes: ['notes:read'],
    });
  });
});

describe('COMPATIBILITY 19: by dynamic registration, below an issuer with a path', () => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld('/id', 'opaque');
  });
  afterAll(() => stopWorld(world));

  test('an MCP client completes', async () => {
    const app = await waitOnLoopback();
    // As many send it: no application_type, and no more grant types than they know.
    const state = new McpClientState({
      client_name: 'Quillet Desktop',
      redirect_uris: [app.redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    });
    const { words } = await complete(world, state, app.answer, 'mcp-registered');
    await app.stop();
    expect(state.information).toMatchObject({ client_id: expect.stringMatching(/^c_/) });
    expect(words).toContain('the notes that you keep here');
    expect(words).toContain('This app registered itself and chose the name Quillet Desktop');
    expect(words).toContain('It runs on this device');
    expect(world.mcp.callers.at(-1)).toEqual({
      sub: world.person.id,
      clientId: state.information?.client_id,
      scopes: ['notes:read'],
    });
    const row = await world.database.db.kysely
      .selectFrom('clients')
      .selectAll()
      .where('id', '=', state.information?.client_id as string)
      .executeTakeFirstOrThrow();
    expect(row).toMatchObject({
      registered_by: 'anybody',
      type: 'native',
      used_at: expect.any(Date),
    });
  });

  /** All that the issuer's metadata names, and that clients ask for where the API's names nothing. */
  const advertised = ['openid', 'offline_access', 'profile', 'email', 'groups'];

  describe.each([
    ['with scopes_supported', { scopes: ['notes:read'] }, ['notes:read']],
    ['with an empty scopes_supported', { scopes: [] }, []],
    ['without scopes_supported', {}, advertised],
  ])('an API %s', (name, named, asked) => {
    let mcp: RunningMcpServer;
    beforeAll(async () => {
      mcp = await protectedMcp(world.server, 'opaque', named);
      // The server hears of a new API within two seconds.
      const metadata = `${world.server.issuer}/resource-metadata?resource=${encodeURIComponent(mcp.url)}`;
      await until(async () => (await fetch(metadata)).ok);
    });
    afterAll(() => mcp.stop());

    /** Access tokens end, refresh tokens don't. */
    const endAccess = () =>
      sql`update tokens set payload = payload || '{"exp":1}' where kind = 'access'`.execute(
        world.database.db.kysely,
      );
    const askedScope = (address: URL) => address.searchParams.get('scope')?.split(' ') ?? [];
    const text = [{ type: 'text', text: 'Buy ink' }];

    test('1: mcp-remote completes; 4: an hour later it asks nobody again', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-mcp-remote-'));
      const remote = startMcpRemote(mcp.url, folder);
      try {
        const address = await Promise.race([
          remote.address,
          remote.connected.then(() => undefined),
        ]);
        expect(askedScope(address as URL)).toEqual(expect.arrayContaining(asked));
        await decide(world, address as URL, `mcp-remote ${name}`);
        const client = await remote.connected;
        expect(await client.callTool({ name: 'list_notes' })).toMatchObject({ content: text });
        expect(mcp.callers.at(-1)?.scopes).toEqual(['notes:read']);
        // It initializes twice, and asks for a stream behind each. While one is on its way it would refresh for
        // that too, and the slower of three refreshes may come when the successor was used: a replay.
        await until(() => mcp.streamsRefused() === 2);
        await endAccess();
        expect(await client.callTool({ name: 'list_notes' })).toMatchObject({ content: text });
        expect(remote.printed().match(/Please authorize this client/g)).toHaveLength(1);
      } finally {
        await remote.stop();
        rmSync(folder, { recursive: true });
      }
    }, 120_000);

    const { MCP_PYTHON: python = '' } = process.env;
    (python === '' ? test.skip : test)(
      '1: the Python SDK completes; 4: it refreshes',
      async () => {
        const lines = runMcpPython(python, mcp.url);
        try {
          const first = (await lines.next()).value as PythonLine;
          const address = new URL(first.open as string);
          expect(askedScope(address)).toEqual(expect.arrayContaining(asked));
          await decide(world, address, `mcp-python ${name}`);
          const answers: PythonLine[] = [];
          for await (const line of lines) answers.push(line);
          expect(answers).toMatchObject([
            { text: 'Buy ink', tokens: { refresh_token: expect.any(String) } },
            { text: 'Buy ink', tokens: { refresh_token: expect.any(String) } },
          ]);
          expect(answers[1]?.tokens?.access_token).not.toBe(answers[0]?.tokens?.access_token);
          expect(mcp.callers.at(-1)).toMatchObject({
            clientId: answers[0]?.client_id,
            scopes: ['notes:read'],
          });
        } finally {
          await lines.return(undefined);
        }
      },
      120_000,
    );
  });

  test('COMPATIBILITY 2: discovery is found in all three forms', async () => {
    const { issuer } = world.server;
    const { origin } = new URL(issuer);
    for (const url of [
      `${origin}/.well-known/oauth-authorization-server/id`,
      `${origin}/.well-known/openid-configuration/id`,
      `${issuer}/.well-known/openid-configuration`,
    ]) {
      const metadata = (await (await fetch(url)).json()) as Record<string, unknown>;
      expect([url, metadata.issuer, metadata.registration_endpoint]).toEqual([
        url,
        issuer,
        `${issuer}/register`,
      ]);
      expect(metadata.client_id_metadata_document_supported).toBe(true);
    }
  });

  test('what the server tells of an API, it tells for a proxy before it as well', async () => {
    const { issuer, services } = world.server;
    const resource = world.mcp.url;
    const own = (await (
      await fetch(`${new URL(resource).origin}/.well-known/oauth-protected-resource/mcp`)
    ).json()) as object;
    const told = await fetch(
      `${issuer}/resource-metadata?resource=${encodeURIComponent(resource)}`,
    );
    expect(told.headers.get('access-control-allow-origin')).toBe('*');
    expect(own).toMatchObject((await told.json()) as object);
    // Of what is not open, and of what is not there, nobody hears.
    for (const other of ['https://closed.example.com', 'https://none.example.com']) {
      if (other.includes('closed')) await world.server.createApi(other);
      const { status } = await fetch(
        `${issuer}/resource-metadata?resource=${encodeURIComponent(other)}`,
      );
      expect(status).toBe(404);
    }
    const { origin } = new URL(issuer);
    const identifier = `${origin}/notes`;
    await world.server.createApi(identifier, { 'notes:read': 'your notes' });
    await services.resourceServers.update(identifier, { openScopes: ['notes:read'] }, 'test');
    const wellKnown = `${origin}/.well-known/oauth-protected-resource/notes`;
    // The server hears of the API within two seconds.
    await until(async () => (await fetch(wellKnown)).status === 200);
    expect(await (await fetch(wellKnown)).json()).toEqual({
      resource: identifier,
      authorization_servers: [issuer],
      scopes_supported: ['notes:read'],
      bearer_methods_supported: ['header'],
      resource_name: 'Invoices',
    });
  });
});
