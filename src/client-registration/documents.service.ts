import { type Client, defaultSettings } from '../client/client.ts';
import type { ClientDocuments } from '../client/client.service.ts';
import {
  prepareSelfRegistered,
  type SelfRegistered,
  underPolicy,
} from '../client/self-registered.service.ts';
import { AppError } from '../errors.ts';
import type { OutboundAllow } from '../outbound/outbound.ts';
import type { Outbound } from '../outbound/outbound.service.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import type { DocumentHosts } from './document-hosts.ts';
import { findUrlProblem, readDocument } from './document.ts';
import { fetchDocument, freshFor } from './fetch-document.ts';

/** Seconds. For so long at the most a document serves while its host does not answer. */
const MOST_STALE = 86_400;
/** Seconds for which a host that did not give a document is left alone. */
const PAUSE = 10;
/** As many documents, and as many failures, are remembered. */
const SIZE = 1_000;

export interface DocumentParts {
  readonly outbound: Outbound;
  readonly outboundAllow: OutboundAllow;
  readonly resourceServers: ResourceServerService;
  readonly hosts: DocumentHosts;
  /** See `RegistrationParts`. */
  readonly check: (client: SelfRegistered) => void;
  /**
   * Counts a document that nobody has asked for before, by the host that is called and by who makes us call it.
   * @throws AppError `too_many_attempts` (429)
   */
  readonly count: (host: string) => Promise<void>;
  /** Takes what a document says by now into its row. */
  readonly update: (stored: Client, now: SelfRegistered) => Promise<void>;
  /** What the row says, if the document was seen to say so within a day. */
  readonly lastSeen: (id: string) => Promise<SelfRegistered | undefined>;
  /** Milliseconds; the process's own clock unless told. */
  readonly clock?: () => number;
}

interface Known {
  readonly document: SelfRegistered;
  readonly fetchedAt: number;
  readonly freshUntil: number;
  /** Made of the document, of the row that was read, and of what is open: the same object while these are the same. */
  made?: { readonly stored: Client | undefined; readonly open: unknown; readonly client: Client };
}

/**
 * Clients whose id is the address of a document that describes them (draft-ietf-oauth-client-id-metadata-document-02). A
 * document is fetched once for all who ask at that moment, serves as long as HTTP says within bounds of ours, and where its
 * host is away for a day at the most. What was wrong with one is not kept: its host is only left alone for a few seconds.
 */
export class MetadataDocuments implements ClientDocuments {
  readonly #parts: DocumentParts;
  readonly #clock: () => number;
  readonly #known = new Map<string, Known>();
  readonly #failed = new Map<string, { readonly until: number; readonly error: AppError }>();
  readonly #underWay = new Map<string, Promise<Known | undefined>>();

  constructor(parts: DocumentParts) {
    this.#parts = parts;
    this.#clock = parts.clock ?? (() => performance.now());
  }

  /** The client as its document says that it is; undefined where there is none that counts. */
  async find(
    url: string,
    readStored: () => Promise<Client | undefined>,
  ): Promise<Client | undefined> {
    if (findUrlProblem(url) !== undefined || !this.#parts.hosts.permits(new URL(url).hostname))
      return undefined;
    const stored = await readStored();
    if (stored?.disabled) return stored;
    const known = this.#known.get(url);
    const isFresh = known !== undefined && this.#clock() < known.freshUntil;
    const current = isFresh ? known : await this.#fetchOnce(url, stored, known);
    try {
      // A document that changed has changed its row, and what users have allowed with it.
      const row = isFresh ? stored : await readStored();
      if (row?.disabled) return row;
      return current && (await this.#clientOf(url, current, row));
    } catch (error) {
      if (!(error instanceof AppError) || error.status >= 500) throw error;
      remember(this.#failed, url, { until: this.#clock() + 1_000 * PAUSE, error });
      this.#known.delete(url);
      return undefined;
    }
  }

  /** Why the document counts for nothing, in words for who publishes it; undefined where nothing is known of that. */
  whyNot(url: string): string | undefined {
    const problem = findUrlProblem(url);
    if (problem !== undefined) return problem;
    if (!this.#parts.hosts.permits(new URL(url).hostname))
      return 'client id metadata documents of this host are not taken here';
    return this.#failed.get(url)?.error.message;
  }

  #fetchOnce(url: string, stored: Client | undefined, known: Known | undefined) {
    let running = this.#underWay.get(url);
    if (running === undefined) {
      running = this.#refresh(url, stored, known).finally(() => this.#underWay.delete(url));
      this.#underWay.set(url, running);
    }
    return running;
  }

  async #refresh(
    url: string,
    stored: Client | undefined,
    known: Known | undefined,
  ): Promise<Known | undefined> {
    const now = this.#clock();
    const failed = this.#failed.get(url);
    if (failed !== undefined && now < failed.until)
      return this.#inItsPlace(url, failed.error, known, stored);
    try {
      if (stored === undefined && known === undefined)
        await this.#parts.count(new URL(url).hostname);
      const { text, headers } = await fetchDocument(this.#parts.outbound, url);
      const document = await prepareSelfRegistered(
        readDocument(url, text),
        this.#parts.outboundAllow,
      );
      this.#parts.check(document);
      if (stored !== undefined) await this.#parts.update(stored, document);
      const fresh = { document, fetchedAt: now, freshUntil: now + 1_000 * freshFor(headers) };
      this.#failed.delete(url);
      remember(this.#known, url, fresh);
      return fresh;
    } catch (error) {
      // What is ours to mend is no fault of the document: the database, or a defect.
      if (!(error instanceof AppError) || error.status >= 500) throw error;
      // A caller above its limit does not hold up others that ask for the same document.
      const pause = error.status === 429 ? 0 : 1_000 * PAUSE;
      remember(this.#failed, url, { until: now + pause, error });
      if (error.status === 429) return undefined;
      if (error.code !== 'document_away') this.#known.delete(url);
      return this.#inItsPlace(url, error, known, stored);
    }
  }

  /** A host that does not answer has said nothing against its document: what it said last serves for a day. */
  async #inItsPlace(
    url: string,
    error: AppError,
    known: Known | undefined,
    stored: Client | undefined,
  ): Promise<Known | undefined> {
    if (error.code !== 'document_away') return undefined;
    const now = this.#clock();
    if (known !== undefined) return now - known.fetchedAt < 1_000 * MOST_STALE ? known : undefined;
    const document = stored && (await this.#parts.lastSeen(url));
    return document && { document, fetchedAt: now, freshUntil: now };
  }

  /** @throws AppError `invalid_client` where the document does not go together with what an operator has set */
  async #clientOf(url: string, known: Known, stored: Client | undefined): Promise<Client> {
    const open = await this.#parts.resourceServers.openScopes();
    if (known.made?.stored !== stored || known.made?.open !== open) {
      const { type, ...said } = known.document;
      const { name, metadata, settings } = stored === undefined ? said : underPolicy(said, stored);
      const client: Client = {
        id: url,
        name,
        type,
        metadata,
        settings: { ...defaultSettings, ...settings },
        resourceServerId: undefined,
        firstParty: false,
        verified: stored?.verified ?? false,
        registeredBy: 'document',
        developer: stored?.developer,
        disabled: false,
        secrets: [],
        allowed: stored?.allowed ?? open,
        createdAt: stored?.createdAt ?? new Date(),
        said: { name: said.name, type, metadata: said.metadata },
        demanded: stored?.demanded ?? {},
        revision: stored?.revision ?? 0,
      };
      known.made = { stored, open, client };
    }
    return (known.made as NonNullable<Known['made']>).client;
  }
}

/** The oldest makes room. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > SIZE) map.delete(map.keys().next().value as string);
}
