import { withoutDeadline } from '../lib/deadline.ts';
import type { Database } from '../db/database.ts';
import { epochSeconds } from '../lib/time.ts';
import { randomToken } from '../lib/hash.ts';
import { KnownRevocations, type Page } from './known-revocations.ts';
import { type Cursor, Cursors } from './cursors.ts';
import { LONGEST_TOKEN, type Revocation } from './revocation.ts';
import { findRevocations } from './revocation.store.ts';

/** Nothing that is told is older (milliseconds); and the database is asked no more often. */
const FRESH = 500;
/** No transaction that revokes takes longer from its beginning, whose time it writes, to its commit (milliseconds). */
const OVERLAP = 60_000;
/** No statement takes longer from its clock to what it sees: they time out after five seconds. */
const STATEMENT = 6_000;
/** Who has not asked for so long is told everything (milliseconds). */
const RECENT = 600_000;
/** What was missed, or all at the start, is read in spans of so long (milliseconds), so that no statement is a long one. */
const SPAN = 600_000;
/** How far back something that ended can still matter (milliseconds). */
const HORIZON = (LONGEST_TOKEN + 600) * 1_000;
/** Entries of one answer. */
const PAGE = 5_000;
/** Answers that are kept for as long as they are true. */
const MOST_KEPT = 64;

/** The event in the envelope of RFC 8417. */
const EVENT = 'urn:vouchsafe:event:revocations';

export interface RevocationFeedParts {
  readonly db: Database;
  readonly issuer: string;
  /** What cursors are marked with: the current one first. */
  readonly cursorKeys: readonly Buffer[];
  /** A JWS over the claims, by a key of the JWKS. */
  readonly sign: (claims: Record<string, unknown>, typ: string) => Promise<string>;
}

interface Snapshot {
  /** By our own clock, before the database was asked. */
  readonly at: number;
  /** By the database's clock. */
  readonly now: number;
  readonly known: KnownRevocations;
  readonly answers: Map<string, Promise<string>>;
}

/**
 * What APIs that verify JWTs by themselves have to know besides: which of them are dead. It is read from the state that
 * decides introspection, at most twice a second however often it is asked for, and signed.
 */
export class RevocationFeed {
  readonly #parts: RevocationFeedParts;
  readonly #cursors: Cursors;
  #snapshot: Snapshot | undefined;
  #reading: { readonly at: number; readonly done: Promise<Snapshot> } | undefined;

  constructor(parts: RevocationFeedParts) {
    this.#parts = parts;
    this.#cursors = new Cursors(parts.cursorKeys);
  }

  /**
   * The signed answer: what was revoked since the cursor was given, or everything that still matters. It is true of a
   * moment that is at most half a second before the question; where the database does not answer, there is none.
   */
  async read(since: string | undefined): Promise<string> {
    const snapshot = await this.#fresh(performance.now());
    const from = resume(since === undefined ? undefined : this.#cursors.parse(since), snapshot.now);
    const name = `${from.base} ${from.since} ${from.after}`;
    let answer = snapshot.answers.get(name);
    if (answer === undefined) {
      const { known } = snapshot;
      const page =
        from.since === 0
          ? known.pageOfAll(from.after, PAGE)
          : known.pageOfRecent(from.since, from.after, PAGE);
      answer = this.#sign(page, from.base, from.since);
      if (snapshot.answers.size < MOST_KEPT) snapshot.answers.set(name, answer);
    }
    return answer;
  }

  #sign({ revocations, more }: Page, base: number, since: number): Promise<string> {
    const page = more ? { since, after: (revocations.at(-1) as Revocation).key } : undefined;
    return this.#parts.sign(
      {
        iss: this.#parts.issuer,
        iat: epochSeconds(),
        jti: randomToken(16),
        events: {
          [EVENT]: {
            cursor: this.#cursors.format({ at: base, page }),
            ...(more ? { more } : {}),
            tokens: entries('token:', revocations),
            clients: entries('client:', revocations),
            permissions: entries('permission:', revocations),
          },
        },
      },
      'secevent+jwt',
    );
  }

  /** Reads what there is, so that the first reader of a new process need not wait for it. */
  async prepare(): Promise<void> {
    await this.#fresh(performance.now());
  }

  /** One that was read half a second before `asked` at the earliest. */
  async #fresh(asked: number): Promise<Snapshot> {
    const isFresh = ({ at }: { at: number }) => at >= asked - FRESH;
    if (this.#snapshot !== undefined && isFresh(this.#snapshot)) return this.#snapshot;
    // One that is under way may have begun too early: then another follows it.
    while (this.#reading !== undefined) {
      const { at, done } = this.#reading;
      if (isFresh({ at })) return done;
      await done.catch(() => undefined);
    }
    const reading = { at: performance.now(), done: withoutDeadline(() => this.#read()) };
    this.#reading = reading;
    const finish = () => {
      if (this.#reading === reading) this.#reading = undefined;
    };
    reading.done.then(finish, finish);
    return reading.done;
  }

  async #read(): Promise<Snapshot> {
    const before = this.#snapshot;
    const at = performance.now();
    const known = before?.known ?? new KnownRevocations();
    let now: number;
    if (before !== undefined && at - before.at < SPAN) {
      now = await this.#take(known, before.now - OVERLAP);
      // The clock went back: another machine is the database now. What it says of the time before is not known.
      if (now < before.now) {
        this.#snapshot = undefined;
        return this.#read();
      }
    } else {
      ({ now } = await findRevocations(this.#parts.db, { after: Number.POSITIVE_INFINITY }));
      let from = Math.max(now - HORIZON, (before?.now ?? 0) - OVERLAP);
      for (; now - from > SPAN; from += SPAN) await this.#take(known, from, from + SPAN);
      now = await this.#take(known, from);
    }
    known.forget(now / 1_000, now - RECENT - STATEMENT - OVERLAP);
    this.#snapshot = { at, now, known, answers: new Map() };
    return this.#snapshot;
  }

  /** Learns what ended in a span of time; gives the time that it is. */
  async #take(known: KnownRevocations, after: number, until?: number): Promise<number> {
    const { now, revocations } = await findRevocations(this.#parts.db, { after, until });
    // What ended long ago was seen by others long ago: a process that starts does not tell it all anew.
    known.add(revocations.map((one) => ({ ...one, seen: Math.min(now, one.at + OVERLAP) })));
    return now;
  }
}

/** Where to go on: from `base` on everything is to be told next time; 0 for `since` tells everything now. */
function resume(
  cursor: Cursor | undefined,
  now: number,
): { readonly base: number; readonly since: number; readonly after: string } {
  const all = { base: now, since: 0, after: '' };
  // A cursor from the future is of another database's clock; a reader that is too slow for its pages starts again.
  if (cursor === undefined || cursor.at > now + 5_000 || cursor.at < now - RECENT) return all;
  const { at, page } = cursor;
  if (page === undefined) {
    // Whole seconds, so that many readers get one answer.
    return { base: now, since: floor(Math.min(at, now) - STATEMENT), after: '' };
  }
  if (page.since !== 0 && page.since < now - RECENT - STATEMENT) return all;
  return { base: at, since: page.since, after: page.after };
}

const floor = (milliseconds: number) => Math.floor(milliseconds / 1_000) * 1_000;

function entries(kind: string, revocations: readonly Revocation[]): Record<string, number> {
  return Object.fromEntries(
    revocations
      .filter(({ key }) => key.startsWith(kind))
      .map(({ key, time }) => [key.slice(kind.length), time]),
  );
}
