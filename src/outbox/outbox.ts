import { AppError } from '../errors.ts';

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

/**
 * A delivery that failed, with what an operator needs to find out why: the log and the row name the code, the host and
 * the detail. Neither may hold anything that the other side sent as text: answers of mail servers hold email addresses.
 */
export class DeliveryFailed extends AppError {
  readonly host: string;
  /** The other side's code, such as `550 5.1.1`, or the system's, such as `ECONNREFUSED`. */
  readonly detail: string;

  /** @param code `undeliverable` where no later attempt can succeed; any other code is tried again. */
  constructor(code: string, host: string, detail: string, cause?: unknown) {
    super(code, `The delivery to ${host} failed: ${detail}.`, { cause });
    this.host = host;
    this.detail = detail;
  }
}

/** Calls the client at `uri`; what breaks on the way names the host. */
export async function callClient<T>(uri: string, call: () => Promise<T>): Promise<T> {
  const { host } = new URL(uri);
  try {
    return await call();
  } catch (cause) {
    const { name, code } = cause as { name?: string; code?: unknown };
    // Refused by ourselves, or no HTTP: the code of the error says it all.
    if (cause instanceof AppError) throw new DeliveryFailed(cause.code, host, 'no answer', cause);
    const detail = typeof code === 'string' ? code : String(name);
    throw new DeliveryFailed('client_unreachable', host, detail, cause);
  }
}
