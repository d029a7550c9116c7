import type { Context } from 'koa';
import { z } from 'zod';
import { cookieName, issuerPlace } from '../lib/cookies.ts';
import type { Engine } from '../oidc/engine.ts';
import { cookieOptions, signedCookies } from '../oidc/browser-session.ts';
import { isLocalPath } from './local-path.ts';

/** A sign-in that a console has sent the browser to: where it goes on, and what it must have brought by then. */
const pendingSchema = z.object({
  state: z.string(),
  returnTo: z.string().refine(isLocalPath),
  /** Epoch milliseconds. */
  startedAt: z.number(),
  maxAge: z.number().optional(),
  acr: z.string().optional(),
});
export type PendingSignIn = z.output<typeof pendingSchema>;

/** As long as a sign-in may take that was left and began again (see restart.ts of the interaction), in milliseconds. */
const LIFETIME = 12 * 3_600_000;
/** One for each window in which somebody is signing in; the oldest makes room. */
const MOST = 4;

/**
 * The sign-ins that wait in this browser, in one signed cookie: a `state` that is not among them came from elsewhere, or
 * was used.
 */
export class PendingSignIns {
  readonly #engine: Engine;
  readonly #name: string;

  constructor(engine: Engine, issuer: string) {
    this.#engine = engine;
    this.#name = cookieName(issuerPlace(issuer), 'console');
  }

  add(ctx: Context, pending: PendingSignIn): void {
    this.#write(ctx, [pending, ...this.#read(ctx)].slice(0, MOST));
  }

  /** Gives the sign-in that waits under `state`, once. */
  take(ctx: Context, state: string): PendingSignIn | undefined {
    const all = this.#read(ctx);
    const found = all.find((one) => one.state === state);
    if (found !== undefined)
      this.#write(
        ctx,
        all.filter((one) => one !== found),
      );
    return found;
  }

  #read(ctx: Context): PendingSignIn[] {
    const value = signedCookies(this.#engine.provider, ctx).get(this.#name, { signed: true });
    const parsed =
      value === undefined ? undefined : z.array(pendingSchema).safeParse(fromJson(value));
    return parsed?.success
      ? parsed.data.filter((one) => one.startedAt > Date.now() - LIFETIME)
      : [];
  }

  #write(ctx: Context, all: readonly PendingSignIn[]): void {
    const value = all.length === 0 ? null : Buffer.from(JSON.stringify(all)).toString('base64url');
    signedCookies(this.#engine.provider, ctx).set(this.#name, value, {
      ...cookieOptions(ctx),
      ...(value === null ? {} : { maxAge: LIFETIME }),
    });
  }
}

function fromJson(value: string): unknown {
  try {
    return JSON.parse(Buffer.from(value, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
