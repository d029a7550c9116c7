/** A row of the outbox: something that leaves later, written in the commit that causes it. */
export interface OutboxWrite {
  readonly id: string;
  readonly kind: string;
  /** Sealed for `outbox:<id>`, since payloads hold live links. */
  readonly payloadSealed: Buffer | undefined;
  /** What the handler gets where nothing is sealed: ids, and nothing that opens or tells anything. */
  readonly about?: Readonly<Record<string, unknown>> | undefined;
  /** At once unless told. */
  readonly dueAt?: Date | undefined;
}

export interface Delivery {
  /** The row's id: the same for every attempt, so that who receives it twice can tell. */
  readonly id: string;
  /** 1 for the first one. */
  readonly attempt: number;
  /** Aborted when the attempt has taken too long; the row is then tried again. */
  readonly signal: AbortSignal;
}

/**
 * Delivers one row. It may be called more than once for a row (a process can die between the delivery and its note), and
 * whatever it throws means: not delivered. An AppError `undeliverable` means that it never will be.
 */
export type OutboxHandler = (payload: unknown, delivery: Delivery) => Promise<void>;

/** Work by the clock: one row for the whole installation, due again some time after it was done. */
export interface Clockwork {
  /** Seconds from the end of one run to the next. */
  readonly everySeconds: number;
  /** Gives whether there is more to do: then it runs again at once. */
  run(signal: AbortSignal): Promise<boolean>;
}
