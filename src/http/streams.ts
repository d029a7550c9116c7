import type { Context } from 'koa';

/**
 * A request that may last longer than the five seconds that every other one has. It holds no connection of the pool while
 * it waits, and ends when `ctx.state.ending` is aborted: when its time is over, when its client has gone, or at SIGTERM.
 */
export interface Stream {
  /** In logs and metrics. */
  readonly name: string;
  /** Whether a request is one, by its method and its path below the issuer's. */
  readonly matches: (ctx: Context) => boolean;
  /** At once, in one process. */
  readonly most: number;
  /** Seconds from its first to its last byte. */
  readonly seconds: number;
}

/** All of them. There is none yet: whatever waits longer than others is added here, and nowhere else. */
export const streams: readonly Stream[] = [];
