/** What an AppError may carry besides its code and message. */
export interface AppErrorOptions {
  /** HTTP status; default 500. */
  readonly status?: number;
  /** Whether the message may be shown to the reader; default: true below 500. */
  readonly expose?: boolean;
  /** Seconds after which trying again makes sense; becomes `Retry-After`. */
  readonly retryAfter?: number;
  readonly cause?: unknown;
}

/**
 * The one error that our own code throws: `code` is stable and for programs, `message` is for people
 * and safe to show exactly when `expose` is true. What the log sees besides is the cause.
 */
export class AppError extends Error {
  readonly code: string;
  readonly status: number;
  readonly expose: boolean;
  readonly retryAfter: number | undefined;

  constructor(code: string, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.status = options.status ?? 500;
    this.expose = options.expose ?? this.status < 500;
    this.retryAfter = options.retryAfter;
  }
}

/** The database can't be reached right now: 503, to be tried again in five seconds. */
export function unavailable(cause?: unknown): AppError {
  return new AppError('unavailable', 'The service is not available right now.', {
    status: 503,
    expose: true,
    retryAfter: 5,
    cause,
  });
}

/** The client closed the connection before it had an answer; 499 is what nginx logs for it. */
export function clientGone(cause?: unknown): AppError {
  return new AppError('client_gone', 'The client closed the connection.', { status: 499, cause });
}
