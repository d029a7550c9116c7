import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { Writable } from 'node:stream';
import { afterEach, describe, expect, test } from '@jest/globals';
import Koa from 'koa';
import { pino } from 'pino';
import type { AppError } from '../../src/errors.ts';
import { Bounds } from '../../src/http/bounds.ts';
import { Listener } from '../../src/http/listener.ts';
import { accessLog } from '../../src/http/request.ts';
import type { Stream } from '../../src/http/streams.ts';
import { Deadline, withDeadline, withinDeadline } from '../../src/lib/deadline.ts';

/** The bounds of a request, where the whole server does not show them: over HTTP, with work that the test itself ends. */

const listeners: Listener[] = [];
afterEach(() => Promise.all(listeners.splice(0).map((one) => one.close(0))));

interface Running {
  readonly url: string;
  readonly listener: Listener;
  /** Requests that are held until they are let go. */
  readonly held: { readonly ctx: Koa.Context; letGo(): void }[];
}

async function serve(most: number, streams: readonly Stream[] = []): Promise<Running> {
  const listener = new Listener();
  listeners.push(listener);
  const held: Running['held'] = [];
  const bounds = new Bounds({ open: () => listener.open, most, streams, ending: listener.ending });
  const app = new Koa();
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
    if (ctx.path !== '/free')
      await new Promise<void>((resolve) => {
        held.push({ ctx, letGo: resolve });
        (ctx.state.ending as AbortSignal | undefined)?.addEventListener('abort', () => resolve());
      });
    ctx.body = { full: bounds.isFull };
  });
  const port = await listener.listen(0, '127.0.0.1', app.callback());
  return { url: `http://127.0.0.1:${port}`, listener, held };
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

async function untilHeld({ held }: Running, count: number): Promise<void> {
  while (held.length < count) await new Promise((resolve) => setImmediate(resolve));
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
    expect(await ask(`${running.url}/free`)).toMatchObject({ status: 200, body: { full: false } });
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
