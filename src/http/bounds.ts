import type { Context, Middleware, Next } from 'koa';
import { AppError, unavailable } from '../errors.ts';
import { type Deadline, deadlineOf, withDeadline } from '../lib/deadline.ts';
import { receiveBody } from './form.ts';
import type { Stream } from './streams.ts';

export interface BoundsOptions {
  /** How many requests may be under way, besides streams. */
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
 *
 * A request is under way from when it has arrived in full until the work for it has ended. How slowly a client sends its
 * body or reads its response takes no room from others, and hanging up gives no room back.
 */
export class Bounds {
  readonly #options: BoundsOptions;
  readonly #streaming = new Map<string, number>();
  #underWay = 0;

  constructor(options: BoundsOptions) {
    this.#options = options;
  }

  /** No more is taken. */
  get isFull(): boolean {
    return this.#underWay >= this.#options.most;
  }

  /** The work for a request begins. */
  enter(): void {
    this.#underWay += 1;
  }

  /** The work for a request has ended, whatever came of it. */
  leave(): void {
    this.#underWay -= 1;
  }

  /** @throws AppError `overloaded`, `unavailable` (503) */
  middleware(): Middleware {
    return async (ctx, next) => {
      const stream = this.#options.streams.find((one) => one.matches(ctx));
      if (stream !== undefined) return this.#stream(stream, ctx, next);
      if (this.isFull) throw overloaded();
      const deadline = deadlineOf(ctx.req);
      if (await receiveBody(ctx)) {
        // The body was the client's time, which the listener bounds.
        deadline?.restart();
        if (this.isFull) throw overloaded();
      }
      const work = () => this.#count(next);
      return deadline === undefined
        ? work()
        : withDeadline(deadline, () => answerInTime(deadline, work));
    };
  }

  async #count(next: Next): Promise<void> {
    this.enter();
    try {
      await next();
    } finally {
      this.leave();
    }
  }

  async #stream({ name, most, seconds }: Stream, ctx: Context, next: Next): Promise<void> {
    const count = this.#streaming.get(name) ?? 0;
    if (count >= most) throw overloaded();
    const gone = new AbortController();
    const { res, req } = ctx;
    const leave = () => {
      res.off('close', leave);
      req.socket.off('close', leave);
      gone.abort();
      this.#streaming.set(name, (this.#streaming.get(name) ?? 1) - 1);
    };
    res.once('close', leave);
    // A response that waits behind another one of its connection never gets `close`.
    req.socket.once('close', leave);
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

async function answerInTime(deadline: Deadline, work: () => Promise<void>): Promise<void> {
  const { promise: expired, reject } = Promise.withResolvers<never>();
  let timer: NodeJS.Timeout | undefined;
  const look = () => {
    const left = deadline.msLeft;
    if (left <= 0) reject(unavailable(new Error('there was no answer in time')));
    // An answered request has no deadline any more.
    else if (Number.isFinite(left)) timer = setTimeout(look, left + 1);
  };
  look();
  try {
    await Promise.race([work(), expired]);
  } finally {
    clearTimeout(timer);
  }
}
