import { randomBytes } from 'node:crypto';
import type { Context } from 'koa';
import type { IDToken } from 'openid-client';

/** A sign-in that was begun: what its answer must match. */
export interface Attempt {
  readonly nonce: string;
  readonly codeVerifier: string;
}

export interface SignedIn {
  readonly claims: IDToken;
  readonly idToken: string;
  /** Replaced by every refresh. */
  tokens: Tokens;
}

export interface Tokens {
  readonly accessToken: string;
  readonly refreshToken: string | undefined;
}

export interface Session {
  /** By `state`: one for each tab. */
  readonly attempts: Map<string, Attempt>;
  signedIn: SignedIn | undefined;
}

const COOKIE = 'quillet';
/** In memory, as is fit for an example: the oldest ones make room. */
const MOST = 1_000;
const MOST_ATTEMPTS = 10;

/** The app's own sessions, each behind a random id in a cookie. */
export class Sessions {
  readonly #sessions = new Map<string, Session>();

  find(ctx: Context): Session | undefined {
    return this.#sessions.get(ctx.cookies.get(COOKIE) ?? '');
  }

  findOrStart(ctx: Context): Session {
    return this.find(ctx) ?? this.#start(ctx, undefined);
  }

  /** With who is signed in changes the id: one that was planted before is worth nothing. */
  signIn(ctx: Context, signedIn: SignedIn): void {
    this.end(ctx);
    this.#start(ctx, signedIn);
  }

  end(ctx: Context): void {
    this.#sessions.delete(ctx.cookies.get(COOKIE) ?? '');
    ctx.cookies.set(COOKIE, null);
  }

  #start(ctx: Context, signedIn: SignedIn | undefined): Session {
    for (const id of this.#sessions.keys()) {
      if (this.#sessions.size < MOST) break;
      this.#sessions.delete(id);
    }
    const id = randomBytes(24).toString('base64url');
    const session: Session = { attempts: new Map(), signedIn };
    this.#sessions.set(id, session);
    ctx.cookies.set(COOKIE, id, { httpOnly: true, sameSite: 'lax', overwrite: true });
    return session;
  }
}

export function addAttempt(session: Session, state: string, attempt: Attempt): void {
  const [oldest] = session.attempts.keys();
  if (session.attempts.size >= MOST_ATTEMPTS && oldest !== undefined)
    session.attempts.delete(oldest);
  session.attempts.set(state, attempt);
}

/** Gives the attempt once. */
export function takeAttempt(
  session: Session | undefined,
  state: string | null,
): Attempt | undefined {
  if (session === undefined || state === null) return undefined;
  const attempt = session.attempts.get(state);
  session.attempts.delete(state);
  return attempt;
}
