import type { Context, Middleware, Next } from 'koa';
import { AppError, unavailable } from '../errors.ts';
import { type Deadline, deadlineOf, withDeadline } from '../lib/deadline.ts';
import type { Stream } from './streams.ts';

export interface BoundsOptions {
  /** How many requests are under way, streams among them. */
  readonly open: () => number;
  /** How many may be. */
  readonly most: number;
  readonly streams: readonly Stream[];
  /** Aborted when the process is about to end. */
  readonly ending: AbortSignal;
}

/** Seconds until it makes sense to try again. */
const SOON = 1;

/**
 * Bounds the requests under way: by number, beyond which one is refused at once, and by time, after which it is answered
 * with 503 whatever it waits for. What an abandoned request still does can't reach the database (`withinDeadline`), so it
 * writes nothing more.
 */
export class Bounds {
  readonly #options: BoundsOptions;
  readonly #streaming = new Map<string, number>();

  constructor(options: BoundsOptions) {
    this.#options = options;
  }

  /** No more is taken. */
  get isFull(): boolean {
    let streaming = 0;
    for (const count of this.#streaming.values()) streaming += count;
    return this.#options.open() - streaming > this.#options.most;
  }

  /** @throws AppError `overloaded`, `unavailable` (503) */
  middleware(): Middleware {
    return (ctx, next) => {
      const stream = this.#options.streams.find((one) => one.matches(ctx));
      if (stream !== undefined) return this.#run(stream, ctx, next);
      if (this.isFull) throw overloaded();
      const deadline = deadlineOf(ctx.req);
      return deadline === undefined
        ? next()
        : withDeadline(deadline, () => answerInTime(ctx, deadline, next));
    };
  }

  async #run({ name, most, seconds }: Stream, ctx: Context, next: Next): Promise<void> {
    const count = this.#streaming.get(name) ?? 0;
    if (count >= most) throw overloaded();
    const gone = new AbortController();
    ctx.res.once('close', () => {
      gone.abort();
      this.#streaming.set(name, (this.#streaming.get(name) ?? 1) - 1);
    });
    this.#streaming.set(name, count + 1);
    const { ending } = this.#options;
    ctx.state.ending = AbortSignal.any([ending, gone.signal, AbortSignal.timeout(seconds * 1000)]);
    await next();
  }
}

function overloaded(): AppError {
  return new AppError('overloaded', 'Too many requests are waiting. Try again in a moment.', {
    status: 503,
    expose: true,
    retryAfter: SOON,
  });
}

async function answerInTime(ctx: Context, deadline: Deadline, next: Next): Promise<void> {
  const { promise: expired, reject } = Promise.withResolvers<never>();
  let timer: NodeJS.Timeout | undefined;
  const look = () => {
    // The rest of its body is the client's to send; how slowly it may is bounded by the listener.
    if (!ctx.req.complete) deadline.restart();
    const left = deadline.msLeft;
    if (left <= 0) reject(unavailable(new Error('there was no answer in time')));
    // An answered request has no deadline any more.
    else if (Number.isFinite(left)) timer = setTimeout(look, left + 1);
  };
  look();
  try {
    await Promise.race([next(), expired]);
  } finally {
    clearTimeout(timer);
  }
}
