import { sql } from 'kysely';
import { withoutDeadline } from '../lib/deadline.ts';
import type { Database, Db } from './database.ts';
import type { ConfigVersionsTable } from './schema.ts';

export type Topic = ConfigVersionsTable['topic'];

const POLL_MS = 1_000;
/** After so long without an answer nothing is known for sure: the process was suspended, or waits for its database. */
const UNHEARD_MS = 3_000;

/** Makes every process drop what it cached of a topic; takes effect with the change that causes it, or not at all. */
export async function raiseVersion(db: Db, topic: Topic): Promise<void> {
  await db
    .updateTable('config_versions')
    .set({ version: sql<number>`version + 1` })
    .where('topic', '=', topic)
    .execute();
}

/**
 * Looks once a second whether a topic has changed, so that every process knows of a change within two seconds. While
 * the database does not answer, nothing is known to be fresh: the listeners are called until it answers again.
 */
export class VersionWatch {
  readonly #db: Database;
  readonly #listeners = new Map<Topic, (() => unknown)[]>();
  #known = new Map<Topic, number>();
  #heard = now();
  /** As `#heard`, but never set by who only asks. */
  #answered = now();
  #timer: NodeJS.Timeout | undefined;

  constructor(db: Database) {
    this.#db = db;
  }

  on(topic: Topic, listener: () => unknown): void {
    this.#listeners.set(topic, [...(this.#listeners.get(topic) ?? []), listener]);
  }

  async start(): Promise<void> {
    this.#known = await this.#read();
    this.#wait();
  }

  /** Whether the changes of others are known: the database was asked, and answered, within three seconds. */
  get hears(): boolean {
    return elapsed(this.#answered) <= UNHEARD_MS;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /**
   * Drops every cache after seconds without an answer, so that the next request reads again. Called before what is cached
   * decides: a process that goes on after it was suspended gets requests before it has looked.
   */
  keepFresh(): void {
    if (elapsed(this.#heard) <= UNHEARD_MS) return;
    this.#heard = now();
    this.#tell([...this.#listeners.keys()]);
  }

  #wait(): void {
    this.#timer = setTimeout(() => void this.#tick(), POLL_MS).unref();
  }

  async #tick(): Promise<void> {
    await this.check().catch(() => this.#tell([...this.#listeners.keys()]));
    if (this.#timer !== undefined) this.#wait();
  }

  /** Looks now. */
  async check(): Promise<void> {
    const asked = now();
    const found = await this.#read();
    const changed = [...found]
      .filter(([topic, version]) => this.#known.get(topic) !== version)
      .map(([topic]) => topic);
    this.#known = found;
    this.#heard = asked;
    this.#answered = asked;
    this.#tell(changed);
  }

  #tell(topics: readonly Topic[]): void {
    for (const topic of topics) for (const listener of this.#listeners.get(topic) ?? []) listener();
  }

  async #read(): Promise<Map<Topic, number>> {
    const rows = await this.#db.kysely.selectFrom('config_versions').selectAll().execute();
    return new Map(rows.map((row) => [row.topic, row.version]));
  }
}

/** By both clocks: one of them stands still while the machine is suspended, and the other one may be set. */
const now = () => ({ at: performance.now(), date: Date.now() });
const elapsed = ({ at, date }: ReturnType<typeof now>) =>
  Math.max(performance.now() - at, Date.now() - date);

/**
 * Keeps what was found until it is cleared, at most `size` entries, the longest unused leaving first. A load that was
 * under way when the cache was cleared is answered, and not kept.
 */
export class VersionedCache<Value> {
  readonly #load: (key: string) => Promise<Value | undefined>;
  readonly #size: number;
  #entries = new Map<string, Promise<Value | undefined>>();

  constructor(load: (key: string) => Promise<Value | undefined>, size: number) {
    this.#load = load;
    this.#size = size;
  }

  clear(): void {
    this.#entries = new Map();
  }

  get(key: string): Promise<Value | undefined> {
    const entries = this.#entries;
    const known = entries.get(key);
    if (known !== undefined) {
      // The order counts where somebody may have to leave soon.
      if (entries.size > this.#size / 2) {
        entries.delete(key);
        entries.set(key, known);
      }
      return known;
    }
    const loading = withoutDeadline(() => this.#load(key));
    entries.set(key, loading);
    const forget = () => {
      if (entries.get(key) === loading) entries.delete(key);
    };
    // What is not there is not kept: anybody can ask for any name.
    loading.then((value) => value === undefined && forget(), forget);
    if (entries.size > this.#size) entries.delete(entries.keys().next().value as string);
    return loading;
  }
}
