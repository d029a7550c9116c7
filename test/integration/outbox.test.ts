import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { AppError } from '../../src/errors.ts';
import { createLogger } from '../../src/lib/log.ts';
import { Sealer } from '../../src/lib/seal.ts';
import type { Clockwork, OutboxHandler, OutboxWrite } from '../../src/outbox/outbox.ts';
import { insertOutbox, openOutboxWrite, outboxWrite } from '../../src/outbox/outbox.service.ts';
import { OutboxWorker } from '../../src/outbox/worker.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/process.ts';

let database: TestDatabase;
const sealer = new Sealer([randomBytes(32)]);
let log: string[];
let workers: OutboxWorker[];

beforeEach(async () => {
  database = await createTestDatabase();
  log = [];
  workers = [];
});

afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.stop()));
  await database.drop();
});

interface Setting {
  handlers?: Record<string, OutboxHandler>;
  clockwork?: Record<`clock:${string}`, Clockwork>;
  concurrency?: number;
  fairTo?: string;
  pollMs?: number;
}

function worker({
  handlers = {},
  clockwork,
  concurrency = 4,
  fairTo,
  pollMs = 10,
}: Setting): OutboxWorker {
  const logger = createLogger('trace', { write: (line: string) => void log.push(line) });
  const made = new OutboxWorker({
    db: database.connect(),
    sealer,
    logger,
    handlers,
    clockwork,
    concurrency,
    ...(fairTo === undefined ? {} : { fairTo }),
    pollMs,
  });
  workers.push(made);
  return made;
}

async function enqueue(kind: string, payload: unknown, dueAt?: Date): Promise<OutboxWrite> {
  const write = outboxWrite(sealer, kind, payload, dueAt);
  await insertOutbox(database.db.kysely, write);
  return write;
}

const row = async (id: string) =>
  database.db.kysely
    .selectFrom('outbox')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirstOrThrow();

/** Makes what waits for its time due now, and what is leased free. */
const hurry = () =>
  database.db.kysely
    .updateTable('outbox')
    .set({ due_at: sql<Date>`now()`, leased_until: null })
    .where('done_at', 'is', null)
    .execute();

describe('a delivery', () => {
  test('is sealed until it leaves, leaves once, and then holds nothing', async () => {
    const got: unknown[] = [];
    const { id } = await enqueue('mail', { link: 'https://id.example.com/secret-token' });
    const before = await row(id);
    expect(before.payload_sealed?.includes('secret-token')).toBe(false);
    expect(() => sealer.open(before.payload_sealed as Buffer, 'outbox:other')).toThrow(
      'could not be opened',
    );
    const mine = worker({
      handlers: {
        mail: async (payload, delivery) => void got.push([payload, delivery.id, delivery.attempt]),
      },
    });
    expect(await mine.runDue()).toBe(1);
    expect(got).toEqual([[{ link: 'https://id.example.com/secret-token' }, id, 1]]);
    expect(await row(id)).toMatchObject({
      payload_sealed: null,
      done_at: expect.any(Date),
      dead_at: null,
      leased_until: null,
      attempts: 1,
    });
    expect(await mine.runDue()).toBe(0);
  });

  test('does not leave before its commit, nor after a rollback, nor before its time', async () => {
    const got: unknown[] = [];
    const mine = worker({ handlers: { mail: async (payload) => void got.push(payload) } });
    await database.db.transaction(async (db) => {
      await insertOutbox(db, outboxWrite(sealer, 'mail', 'committed'));
      expect(await mine.runDue()).toBe(0);
    });
    await database.db
      .transaction(async (db) => {
        await insertOutbox(db, outboxWrite(sealer, 'mail', 'rolled back'));
        throw new Error('x');
      })
      .catch(() => undefined);
    await enqueue('mail', 'later', new Date(Date.now() + 60_000));
    await mine.runDue();
    expect(got).toEqual(['committed']);
    await hurry();
    await mine.runDue();
    expect(got).toEqual(['committed', 'later']);
  });

  test('of a hundred, each is made once by four workers at once', async () => {
    const got: unknown[] = [];
    for (let i = 0; i < 100; i++) await enqueue('mail', i);
    const handlers = { mail: async (payload: unknown) => void got.push(payload) };
    const all = [1, 2, 3, 4].map(() => worker({ handlers }));
    await Promise.all(all.map((one) => one.start()));
    await until(() => got.length >= 100);
    await Promise.all(all.map((one) => one.stop()));
    expect(got.toSorted((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: 100 }, (_, i) => i),
    );
    const done = await database.db.kysely
      .selectFrom('outbox')
      .select('attempts')
      .where('done_at', 'is not', null)
      .execute();
    expect(done.map(({ attempts }) => attempts)).toEqual(Array.from({ length: 100 }, () => 1));
  });

  test('that fails is tried again with growing pauses, ten times, and is dead then', async () => {
    const { id } = await enqueue('mail', { to: 'imani@example.com', token: 'secret-token' });
    let calls = 0;
    const mine = worker({
      handlers: {
        mail: () => {
          calls += 1;
          return Promise.reject(
            Object.assign(new Error('550 imani@example.com secret-token'), {
              code: 'EENVELOPE',
              responseCode: 450,
            }),
          );
        },
      },
    });
    const pauses: number[] = [];
    for (let attempt = 1; attempt <= 10; attempt++) {
      expect(await mine.runDue()).toBe(1);
      // Not before its pause is over.
      expect(await mine.runDue()).toBe(0);
      const { rows } = await sql<{
        pause: number;
      }>`select extract(epoch from due_at - now())::float8 as pause from outbox`.execute(
        database.db.kysely,
      );
      pauses.push(rows[0]?.pause as number);
      await hurry();
    }
    const expected = [10, 30, 90, 270, 810, 2430, 7290, 14_400, 14_400];
    expected.forEach((seconds, i) => {
      expect(pauses[i]).toBeGreaterThan(seconds * 0.75 - 1);
      expect(pauses[i]).toBeLessThan(seconds * 1.25 + 1);
    });
    expect(calls).toBe(10);
    const dead = await row(id);
    expect(dead).toMatchObject({
      dead_at: expect.any(Date),
      done_at: null,
      attempts: 10,
      last_error: 'Error EENVELOPE 450',
    });
    expect(dead.payload_sealed).not.toBeNull();
    expect(await mine.runDue()).toBe(0);
    // Neither the log nor the row tells what was to be sent, or to whom.
    expect(log).toHaveLength(10);
    expect(JSON.stringify([log, dead.last_error])).not.toMatch(/imani|secret-token/);
  });

  test('that can never be made is dead at once; one whose payload does not open is tried again', async () => {
    const never = await enqueue('mail', 1);
    const other = await enqueue('mail', 2);
    await database.db.kysely
      .updateTable('outbox')
      .set({ payload_sealed: never.payloadSealed as Buffer })
      .where('id', '=', other.id)
      .execute();
    await worker({
      handlers: { mail: () => Promise.reject(new AppError('undeliverable', 'x')) },
    }).runDue();
    expect(await row(never.id)).toMatchObject({
      dead_at: expect.any(Date),
      last_error: 'undeliverable',
    });
    expect(await row(other.id)).toMatchObject({ dead_at: null, last_error: 'unseal_failed' });
  });

  test('that a process died over is taken by another one when its lease ends, and the dead one’s note counts no more', async () => {
    const { id } = await enqueue('mail', 'x');
    let release: () => void = () => undefined;
    const got: number[] = [];
    const slow = worker({
      handlers: {
        mail: async (_, { attempt }) => {
          got.push(attempt);
          await new Promise<void>((resolve) => {
            release = resolve;
          });
          throw new Error('too late');
        },
      },
    });
    const running = slow.runDue();
    await until(() => got.length === 1);
    const quick = worker({ handlers: { mail: async (_, { attempt }) => void got.push(attempt) } });
    expect(await quick.runDue()).toBe(0);
    await hurry();
    expect(await quick.runDue()).toBe(1);
    expect(got).toEqual([1, 2]);
    release();
    await running;
    expect(await row(id)).toMatchObject({
      done_at: expect.any(Date),
      attempts: 2,
      last_error: null,
    });
  });

  test('that was taken over stays with who took it, whatever the first one notes late', async () => {
    const { id } = await enqueue('mail', 'x');
    const release: (() => void)[] = [];
    const handlers = {
      mail: async () => {
        await new Promise<void>((resolve) => release.push(resolve));
        if (release.length === 2) throw new Error('too late');
      },
    };
    const first = worker({ handlers }).runDue();
    await until(() => release.length === 1);
    await hurry();
    const second = worker({ handlers }).runDue();
    await until(() => release.length === 2);
    release[0]?.();
    await first;
    expect(await row(id)).toMatchObject({
      attempts: 2,
      leased_until: expect.any(Date),
      last_error: null,
    });
    expect(await worker({ handlers }).runDue()).toBe(0);
    release[1]?.();
    await second;
    expect(await row(id)).toMatchObject({ attempts: 2, last_error: 'Error' });
  });

  test('of a kind that this release does not know waits for one that does', async () => {
    const { id } = await enqueue('from-the-future', 'x');
    expect(await worker({ handlers: { mail: async () => undefined } }).runDue()).toBe(0);
    expect(await row(id)).toMatchObject({ attempts: 0, done_at: null, dead_at: null });
  });
});

describe('a worker', () => {
  test('looks at once when it is nudged', async () => {
    const got: unknown[] = [];
    const mine = worker({
      handlers: { mail: async (payload) => void got.push(payload) },
      pollMs: 600_000,
    });
    await mine.start();
    for (const one of [1, 2, 3]) {
      await enqueue('mail', one);
      mine.nudge();
    }
    await until(() => got.length === 3);
    expect(new Set(got)).toEqual(new Set([1, 2, 3]));
  });

  test('takes no more at once than it has places, and the next as soon as one is free', async () => {
    for (let i = 0; i < 10; i++) await enqueue('mail', i);
    let running = 0;
    let most = 0;
    let done = 0;
    const mine = worker({
      handlers: {
        mail: async () => {
          running += 1;
          most = Math.max(most, running);
          await new Promise((resolve) => setImmediate(resolve));
          running -= 1;
          done += 1;
        },
      },
      concurrency: 3,
      pollMs: 600_000,
    });
    await mine.start();
    await until(() => done === 10);
    expect(most).toBe(3);
  });

  test('gives nobody more than two of its places, and all that wait their turn', async () => {
    const about = (clientId: string) =>
      insertOutbox(database.db.kysely, openOutboxWrite('told', { clientId }));
    for (let i = 0; i < 20; i++) await about('slow');
    for (const clientId of ['a', 'b', 'b', 'b', 'c']) await about(clientId);
    const order: string[] = [];
    let release: () => void = () => undefined;
    const released = new Promise<void>((done) => (release = done));
    let slow = 0;
    let most = 0;
    const mine = worker({
      handlers: {
        told: async (payload) => {
          const { clientId } = payload as { clientId: string };
          if (clientId === 'slow') {
            most = Math.max(most, ++slow);
            await released;
            slow -= 1;
          }
          order.push(clientId);
        },
      },
      concurrency: 3,
      fairTo: 'clientId',
      pollMs: 600_000,
    });
    await mine.start();
    await until(() => order.length === 5);
    expect(order.toSorted()).toEqual(['a', 'b', 'b', 'b', 'c']);
    release();
    await until(() => order.length === 25);
    expect(most).toBe(2);
  });

  test('waits for what is under way when it stops, and takes nothing then', async () => {
    await enqueue('mail', 1);
    let release: (() => void) | undefined;
    let isDone = false;
    const mine = worker({
      concurrency: 1,
      handlers: {
        mail: async () => {
          await new Promise<void>((resolve) => {
            release = resolve;
          });
          isDone = true;
        },
      },
    });
    await mine.start();
    await until(() => release !== undefined);
    const stopping = mine.stop();
    await enqueue('mail', 2);
    mine.nudge();
    expect(isDone).toBe(false);
    release?.();
    await stopping;
    expect(isDone).toBe(true);
    const left = await database.db.kysely
      .selectFrom('outbox')
      .select('attempts')
      .where('done_at', 'is', null)
      .execute();
    expect(left).toEqual([{ attempts: 0 }]);
  });

  test('outlives a database that is away, and says so', async () => {
    const got: unknown[] = [];
    const mine = worker({ handlers: { mail: async (payload) => void got.push(payload) } });
    await mine.start();
    await database.db.kysely.schema.alterTable('outbox').renameTo('outbox_away').execute();
    await until(() => log.length > 0);
    expect(log[0]).toContain('the outbox could not be read');
    await database.db.kysely.schema.alterTable('outbox_away').renameTo('outbox').execute();
    await enqueue('mail', 1);
    mine.nudge();
    await until(() => got.length === 1);
  });
});

describe('work by the clock', () => {
  test('is one row however many processes start, runs in one of them at a time, and again when its time has come', async () => {
    let runs = 0;
    const clockwork = {
      'clock:test': { everySeconds: 300, run: async () => ((runs += 1), false) },
    } as const;
    const all = [1, 2, 3, 4, 5].map(() => worker({ clockwork }));
    await Promise.all(all.map((one) => one.start()));
    await until(() => runs === 1);
    await Promise.all(all.map((one) => one.stop()));
    const rows = await database.db.kysely.selectFrom('outbox').selectAll().execute();
    expect(rows).toMatchObject([
      {
        id: 'clock:test',
        kind: 'clock:test',
        payload_sealed: null,
        done_at: null,
        dead_at: null,
        leased_until: null,
      },
    ]);
    const { rows: due } = await sql<{
      seconds: number;
    }>`select extract(epoch from due_at - now())::float8 as seconds from outbox`.execute(
      database.db.kysely,
    );
    expect(due[0]?.seconds).toBeGreaterThan(290);
    expect(runs).toBe(1);
    await hurry();
    const next = worker({ clockwork });
    await next.runDue();
    expect(runs).toBe(2);
    expect(await next.runDue()).toBe(0);
  });

  test('runs on at once while there is more, and never dies of failures', async () => {
    let runs = 0;
    const mine = worker({
      clockwork: {
        'clock:test': {
          everySeconds: 300,
          run: () => {
            runs += 1;
            return runs > 3 ? Promise.reject(new Error('x')) : Promise.resolve(true);
          },
        },
      },
    });
    await mine.start();
    await until(() => runs === 4);
    await mine.stop();
    const again = worker({
      clockwork: { 'clock:test': { everySeconds: 300, run: () => Promise.reject(new Error('x')) } },
    });
    for (let i = 0; i < 15; i++) {
      await hurry();
      await again.runDue();
    }
    expect(await row('clock:test')).toMatchObject({
      dead_at: null,
      done_at: null,
      last_error: 'Error',
    });
  });

  test('ends early when its worker stops', async () => {
    let isAborted = false;
    let isRunning = false;
    const mine = worker({
      clockwork: {
        'clock:test': {
          everySeconds: 300,
          run: (signal) =>
            new Promise((resolve) => {
              isRunning = true;
              signal.addEventListener('abort', () => {
                isAborted = true;
                resolve(true);
              });
            }),
        },
      },
    });
    await mine.start();
    await until(() => isRunning);
    await mine.stop();
    expect(isAborted).toBe(true);
  });
});

describe('a row that was committed here', () => {
  test('is delivered without waiting to be found, once the transaction is over, and never before', async () => {
    const delivered: unknown[] = [];
    // Nobody looks of their own accord within this test.
    const mine = worker({
      handlers: { note: async (payload) => void delivered.push(payload) },
      pollMs: 600_000,
    });
    await mine.start();
    const { rows } = await sql<{ count: number }>`select count(*) as count from outbox`.execute(
      database.db.kysely,
    );
    expect(rows).toEqual([{ count: 0 }]);
    await database.db.transaction(async (db) => {
      await insertOutbox(db, outboxWrite(sealer, 'note', 'committed'));
      await new Promise((resolve) => setImmediate(resolve));
      expect(delivered).toEqual([]);
    });
    await until(() => delivered.length === 1);
    await expect(
      database.db.transaction(async (db) => {
        await insertOutbox(db, outboxWrite(sealer, 'note', 'taken back'));
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    await enqueue('note', 'on its own');
    await until(() => delivered.length === 2);
    expect(delivered).toEqual(['committed', 'on its own']);
  });

  test('may say what it is about in ids alone, which are gone with its delivery', async () => {
    const delivered: unknown[] = [];
    const write = openOutboxWrite('note', { clientId: 'c_1' });
    const before = worker({
      handlers: {
        note: async (payload) => {
          delivered.push(payload);
          throw new Error('not yet');
        },
      },
    });
    await insertOutbox(database.db.kysely, write);
    await before.runDue();
    expect(await row(write.id)).toMatchObject({ about: { clientId: 'c_1' }, done_at: null });
    await hurry();
    await worker({ handlers: { note: async (payload) => void delivered.push(payload) } }).runDue();
    expect(delivered).toEqual([{ clientId: 'c_1' }, { clientId: 'c_1' }]);
    expect(await row(write.id)).toMatchObject({ about: null, done_at: expect.any(Date) });
  });
});
