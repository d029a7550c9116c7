import type { Context } from 'koa';
import type Provider from 'oidc-provider';
import type { Client } from '../client/client.ts';
import { AppError } from '../errors.ts';
import { askLanguage } from '../pages/language.ts';
import type { App } from '../pages/page-parts.ts';
import { toApp } from '../oidc/apps.ts';
import { hasInteractionCookie } from '../oidc/authorization/interaction-cookie.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';
import { type InteractionParts, pathOf } from './parts.ts';
import { replaceProgress } from './interaction.store.ts';
import { parseProgress, type Progress } from './progress.ts';

export type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>;

/** A request to the page of a paused authorization request, from the browser that it began in. */
export interface Visit {
  readonly ctx: Context;
  readonly uid: string;
  /** The path of the interaction; its steps stand below it. */
  readonly base: string;
  readonly interaction: Interaction;
  readonly progress: Progress;
  /** None: the server's own console asks. */
  readonly client: Client | undefined;
  readonly app: App | undefined;
}

/**
 * Loads the interaction that the path names, if this is the browser that it began in and it still stands.
 * @throws AppError `interaction_expired` (400), `other_browser` (400)
 */
export async function loadVisit(
  ctx: Context,
  uid: string,
  parts: InteractionParts,
): Promise<Visit> {
  const { provider } = parts.engine;
  if (!hasInteractionCookie(ctx, uid)) throw await foreign(uid);
  const interaction = await provider
    .interactionDetails(ctx.req, ctx.res)
    .catch((error: unknown) => {
      // Expired, finished, or its session was ended or taken over in another tab.
      if (error instanceof Error && error.name === 'SessionNotFound') throw expired(error);
      throw error;
    });
  askLanguage(ctx, interaction.params.ui_locales);
  const read = await currentUnit().findInteraction(uid);
  const client = await parts.clients.find(String(interaction.params.client_id));
  return {
    ctx,
    uid,
    base: pathOf(parts.config, uid),
    interaction,
    progress: parseProgress(read?.progress),
    client,
    app: client && toApp(client, interaction.params.redirect_uri as string | undefined),
  };
}

/** Without the cookie it is another browser's, or the cookie has gone: with the interaction's end, or to make room for others. */
async function foreign(uid: string): Promise<AppError> {
  const read = await currentUnit().findInteraction(uid);
  const lives = read !== undefined && !read.expired;
  return lives
    ? new AppError('other_browser', 'This began in another browser.', { status: 400 })
    : expired();
}

function expired(cause?: Error): AppError {
  return new AppError('interaction_expired', 'This page was left too long.', {
    status: 400,
    cause,
  });
}

/**
 * Moves the progress on, at once and in a commit of its own.
 * @throws AppError `interaction_moved` (409) where another post was first
 */
export async function advance(visit: Visit, change: Partial<Progress>): Promise<void> {
  if (
    !(await replaceProgress(
      currentUnit().db.kysely,
      visit.uid,
      visit.progress.step,
      next(visit, change),
    ))
  )
    throw moved();
}

/** The same in the request's commit, together with what else it writes. */
export function advanceInCommit(visit: Visit, change: Partial<Progress>): void {
  currentUnit().enlist(async (db) => {
    if (!(await replaceProgress(db, visit.uid, visit.progress.step, next(visit, change))))
      throw moved();
  });
}

const next = ({ progress }: Visit, change: Partial<Progress>): Progress => ({
  ...progress,
  ...change,
  step: progress.step + 1,
});

export function moved(): AppError {
  return new AppError('interaction_moved', 'This was done in another tab meanwhile.', {
    status: 409,
  });
}

/** The status that a page answers with by what it has to say; with the seconds to wait, where there are any, in its header. */
export function statusOf(
  { ctx }: Pick<Visit, 'ctx'>,
  { problem, retryAfter }: { problem?: string | undefined; retryAfter?: number | undefined },
): number {
  if (retryAfter !== undefined) ctx.set('Retry-After', String(retryAfter));
  if (problem === undefined) return 200;
  return problem === 'too-many' ? 429 : 400;
}

/** Behind "Not you?": the sign-in begins anew, for whomever. */
export function switchUrl({ base }: Pick<Visit, 'base'>): string {
  return `${base}/sign-in?switch=yes`;
}

/** Shows another step; after a post, so that going back or reloading repeats nothing. */
export function redirect(ctx: Context, target: string): void {
  ctx.status = 303;
  ctx.redirect(target);
  ctx.set('Cache-Control', 'no-store');
}
