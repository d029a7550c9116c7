import { AppError } from '../errors.ts';

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
