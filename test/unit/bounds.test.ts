import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { Writable } from 'node:stream';
import { afterEach, describe, expect, test } from '@jest/globals';
import Koa from 'koa';
import { pino } from 'pino';
import { type AppError, unavailable } from '../../src/errors.ts';
import { Bounds } from '../../src/http/bounds.ts';
import { handleErrors } from '../../src/http/errors.ts';
import { createFastPaths } from '../../src/http/fast-path.ts';
import { readBody } from '../../src/http/form.ts';
import { Listener } from '../../src/http/listener.ts';
import { accessLog } from '../../src/http/request.ts';
import type { Stream } from '../../src/http/streams.ts';
import { Deadline, deadlineOf, withDeadline, withinDeadline } from '../../src/lib/deadline.ts';

/** The bounds of a request, where the whole server does not show them: over HTTP, with work that the test itself ends. */

const listeners: Listener[] = [];
afterEach(() => Promise.all(listeners.splice(0).map((one) => one.close(0))));

interface Running {
  readonly url: string;
  readonly listener: Listener;
  /** Requests that are held until they are let go. */
  readonly held: { readonly ctx: Koa.Context; letGo(): void }[];
  /** How many requests have come, of whatever kind. */
  readonly came: () => number;
  /** How many of their connections are open. */
  readonly connections: () => number;
}

async function serve(most: number, streams: readonly Stream[] = []): Promise<Running> {
  const listener = new Listener();
  listeners.push(listener);
  const held: Running['held'] = [];
  const bounds = new Bounds({ most, streams, ending: listener.ending });
  const app = new Koa();
  app.on('error', () => undefined);
  const sockets: Socket[] = [];
  app.use(async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      const { code, status, retryAfter } = error as AppError;
      ctx.status = status;
      if (retryAfter !== undefined) ctx.set('Retry-After', String(retryAfter));
      ctx.body = { code };
    }
  });
  app.use(bounds.middleware());
  app.use(async (ctx) => {
    if (ctx.method === 'POST') await readBody(ctx);
    else if (ctx.path !== '/free')
      await new Promise<void>((resolve) => {
        held.push({ ctx, letGo: resolve });
        (ctx.state.ending as AbortSignal | undefined)?.addEventListener('abort', () => resolve());
      });
    ctx.body = { full: bounds.isFull };
  });
  const fastPaths = createFastPaths({
    issuer: 'https://id.example.com',
    logger: pino({ level: 'silent' }),
    fastPaths: [
      {
        route: 'token',
        path: '/fast',
        fields: new Set(['client_id', 'client_secret']),
        exposedHeaders: '',
        answer: () =>
          new Promise((resolve) => {
            const letGo = () => resolve({ body: '{}', result: 'done' });
            held.push({ ctx: undefined as never, letGo });
          }),
      },
    ],
    bounds,
    isOpen: () => !bounds.isFull,
    authenticate: async () => ({}),
    next: app.callback(),
  });
  const port = await listener.listen(0, '127.0.0.1', (request, response) => {
    sockets.push(request.socket);
    return fastPaths(request, response);
  });
  return {
    url: `http://127.0.0.1:${port}`,
    listener,
    held,
    came: () => sockets.length,
    connections: () => new Set(sockets.filter(({ destroyed }) => !destroyed)).size,
  };
}

async function ask(url: string, agent = new Agent()) {
  const [response] = (await once(get(url, { agent }), 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk as string;
  return {
    status: response.statusCode,
    headers: response.headers,
    body: JSON.parse(text) as object,
  };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

const untilHeld = ({ held }: Running, count: number) => until(() => held.length >= count);

/** Sends the text by a connection of its own. */
function write({ url }: Running, text: string): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => undefined);
  socket.write(text);
  return socket;
}

const credentials = 'client_id=a&client_secret=b';

/** A post whose body is still to come. */
const headOfPost = (path: string) =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${credentials.length}\r\n\r\n`;

/** What comes back, as far as it has come when the text is in it. */
async function received(socket: Socket, awaited: string): Promise<string> {
  let text = '';
  for await (const chunk of socket.setEncoding('utf8')) {
    text += chunk as string;
    if (text.includes(awaited)) break;
  }
  return text;
}

describe('20: requests under way are bounded by number', () => {
  test('beyond it one is refused at once, and taken again when there is room', async () => {
    const running = await serve(2);
    const waiting = [ask(`${running.url}/a`), ask(`${running.url}/b`)];
    await untilHeld(running, 2);
    const refused = await ask(`${running.url}/free`);
    expect(refused).toMatchObject({ status: 503, body: { code: 'overloaded' } });
    expect(refused.headers['retry-after']).toBe('1');
    for (const one of running.held) one.letGo();
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200]);
    expect(await ask(`${running.url}/free`)).toMatchObject({ status: 200 });
  });

  test.each(['/post', '/fast'])(
    'a request takes no room before its body has come: %s',
    async (path) => {
      const running = await serve(1);
      const slow = [1, 2, 3].map(() => write(running, headOfPost(path)));
      await until(() => running.came() === 3);
      expect(await ask(`${running.url}/free`)).toMatchObject({
        status: 200,
        body: { full: true },
      });
      slow[0]?.write(credentials);
      if (path === '/fast') {
        await untilHeld(running, 1);
        // It takes room now, also from others whose body comes later.
        slow[1]?.write(credentials);
        expect(await received(slow[1] as Socket, 'overloaded')).toMatch(/^HTTP\/1\.1 503 /);
        expect(await ask(`${running.url}/free`)).toMatchObject({ status: 503 });
        running.held[0]?.letGo();
      }
      expect(await received(slow[0] as Socket, '}')).toMatch(/^HTTP\/1\.1 200 /);
      for (const one of slow) one.destroy();
    },
  );

  const get1 = 'GET /a HTTP/1.1\r\nHost: x\r\n\r\n';
  test.each([
    ['two connections', [get1, get1]],
    ['one connection', [get1 + get1]],
    ['the fast path', Array(2).fill(headOfPost('/fast') + credentials) as string[]],
  ])('hanging up gives no room back before the work has ended: %s', async (_, texts) => {
    const running = await serve(2);
    const sockets = texts.map((text) => write(running, text));
    await untilHeld(running, 2);
    for (const one of sockets) one.resetAndDestroy();
    // The server knows of it once it has read it.
    await until(() => running.connections() === 0);
    expect(await ask(`${running.url}/free`)).toMatchObject({ status: 503 });
    for (const one of running.held) one.letGo();
    expect(await ask(`${running.url}/free`)).toMatchObject({ status: 200 });
  });

  test('streams have a number of their own, leave room to others, and end with the process', async () => {
    const stream: Stream = {
      name: 'events',
      matches: (ctx) => ctx.path === '/events',
      most: 1,
      seconds: 600,
    };
    const running = await serve(1, [stream]);
    const open = ask(`${running.url}/events`);
    await untilHeld(running, 1);
    expect(await ask(`${running.url}/events`)).toMatchObject({ status: 503 });
    expect(await ask(`${running.url}/free`)).toMatchObject({ status: 200 });
    running.listener.drain();
    expect(await open).toMatchObject({ status: 200 });
  });

  test('a stream ends when its client goes', async () => {
    const stream: Stream = { name: 'events', matches: () => true, most: 1, seconds: 600 };
    const running = await serve(1, [stream]);
    const request = get(`${running.url}/events`).on('error', () => undefined);
    await untilHeld(running, 1);
    const [held] = running.held as [Running['held'][number]];
    const { ending } = held.ctx.state as { ending: AbortSignal };
    const ended = once(ending, 'abort');
    request.destroy();
    await ended;
    expect(ending.aborted).toBe(true);
  });
});

const lines: string[] = [];
const logger = pino({ base: null }, { write: (line: string) => lines.push(line) });
const logged = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>);

test('33: a refusal for overload has one line in the log, and no stack', async () => {
  lines.length = 0;
  const listener = new Listener();
  listeners.push(listener);
  const app = new Koa();
  app.use(accessLog(logger));
  app.use(handleErrors(undefined as never, logger, 'https://id.example.com'));
  app.use(new Bounds({ most: 0, streams: [], ending: listener.ending }).middleware());
  const port = await listener.listen(0, '127.0.0.1', app.callback());
  expect(await ask(`http://127.0.0.1:${port}/`)).toMatchObject({
    status: 503,
    body: { type: 'urn:vouchsafe:error:overloaded' },
  });
  await until(() => lines.length > 0);
  expect(logged()).toEqual([expect.objectContaining({ status: 503, path: '/' })]);
  expect(lines.join()).not.toContain('stack');
});

describe('33: a client that hangs up', () => {
  async function hangUp(failure: Error) {
    lines.length = 0;
    const listener = new Listener();
    listeners.push(listener);
    const app = new Koa();
    app.on('error', () => undefined);
    const begun = Promise.withResolvers<Koa.Context>();
    const work = Promise.withResolvers<never>();
    app.use(accessLog(logger));
    app.use(handleErrors(undefined as never, logger, 'https://id.example.com'));
    app.use((ctx) => {
      begun.resolve(ctx);
      return work.promise;
    });
    const answer = app.callback();
    const answered = Promise.withResolvers<void>();
    const port = await listener.listen(0, '127.0.0.1', async (request, response) => {
      await answer(request, response);
      answered.resolve();
    });
    const request = get(`http://127.0.0.1:${port}/`).on('error', () => undefined);
    const ctx = await begun.promise;
    const closed = once(ctx.res, 'close');
    request.destroy();
    await closed;
    const left = deadlineOf(ctx.req)?.msLeft;
    work.reject(failure);
    await answered.promise;
    return { left, logged: logged() };
  }

  test('leaves no error where the database is away, and its request keeps its deadline', async () => {
    const { left, logged: told } = await hangUp(unavailable(new Error('no answer')));
    expect(left).toBeLessThanOrEqual(5_000);
    expect(told).toEqual([expect.objectContaining({ level: 30, status: 499, path: '/' })]);
  });

  test('leaves the error where the mistake is ours', async () => {
    const { logged: told } = await hangUp(new TypeError('x is not a function'));
    expect(told[0]).toMatchObject({ level: 50, msg: 'request failed' });
  });
});

describe('20: one deadline for all that a request waits for', () => {
  const passed = () => ({ msLeft: -1 }) as Deadline;

  test('nothing is begun when its time is up', async () => {
    let begun = 0;
    const work = () => withinDeadline(async () => ++begun);
    await expect(withDeadline(passed(), work)).rejects.toMatchObject({ code: '57014' });
    expect(begun).toBe(0);
    await expect(work()).resolves.toBe(1);
  });

  test('what a fast path waits for is given up too, and not before', async () => {
    const { promise } = Promise.withResolvers<never>();
    const deadline = new Deadline();
    const bound = deadline.bound(() => promise);
    deadline.check();
    const first = await Promise.race([bound, Promise.resolve('still waiting')]);
    expect(first).toBe('still waiting');
    Object.defineProperty(deadline, 'msLeft', { value: -1 });
    deadline.check();
    await expect(bound).rejects.toMatchObject({ code: '57014' });
  });

  test('so is what a client that hung up no longer waits for', async () => {
    const { promise } = Promise.withResolvers<never>();
    const deadline = new Deadline();
    const bound = deadline.bound(() => promise);
    Object.defineProperty(deadline, 'msLeft', { value: -1 });
    deadline.abandon();
    await expect(bound).rejects.toMatchObject({ code: '57014' });
  });

  test('what is not done in time is given up, and what it gives later is handed over', async () => {
    const soon = { msLeft: 1 } as Deadline;
    const { promise, resolve } = Promise.withResolvers<string>();
    const late = Promise.withResolvers<string>();
    await expect(
      withDeadline(soon, () => withinDeadline(() => promise, late.resolve)),
    ).rejects.toMatchObject({ code: '57014' });
    resolve('a connection');
    expect(await late.promise).toBe('a connection');
  });
});

test('20: the time that is logged begins when the request came', async () => {
  const lines: string[] = [];
  const logger = pino(
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines.push(chunk.toString());
        done();
      },
    }),
  );
  const listener = new Listener();
  listeners.push(listener);
  const app = new Koa();
  app.use(accessLog(logger));
  app.use((ctx) => {
    ctx.body = {};
  });
  const answer = app.callback();
  let waited = 0;
  const port = await listener.listen(0, '127.0.0.1', (request, response) => {
    const started = performance.now();
    while ((waited = performance.now() - started) < 20);
    return answer(request, response);
  });
  await ask(`http://127.0.0.1:${port}/`);
  const { ms } = JSON.parse(lines.find((line) => line.includes('"ms"')) ?? '{}') as { ms: number };
  expect(ms).toBeGreaterThanOrEqual(Math.floor(waited));
});

describe('21: a listener that is about to end', () => {
  test('still answers, and ends each kept connection with its answer', async () => {
    const running = await serve(10);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    expect((await ask(`${running.url}/free`, agent)).headers.connection).toBe('keep-alive');
    running.listener.drain();
    for (let times = 0; times < 2; times++) {
      const { status, headers } = await ask(`${running.url}/free`, agent);
      expect([status, headers.connection]).toEqual([200, 'close']);
    }
    agent.destroy();
  });
});
