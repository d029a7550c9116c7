import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { wayHome } from '../http/errors.ts';
import { readForm, refuseCrossSite } from '../http/form.ts';
import type { Pages } from '../pages/pages.ts';
import { renderPage } from '../pages/render-page.ts';
import { findBrowserSession } from '../oidc/browser-session.ts';
import { findRequestByUserCode } from '../unit-of-work/polled-reads.ts';
import type { AskedRequest } from '../unit-of-work/polled-requests.ts';
import { readUserCode, userCodeMacs, writeUserCode } from '../oidc/decoupled/secrets.ts';
import { beginAnswer } from '../oidc/decoupled/start.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';
import { readCode } from './fields.ts';
import { limited, withinLimits } from './limited.ts';
import { issuerPath } from '../http/request.ts';
import type { InteractionParts } from './parts.ts';
import { redirect, statusOf } from './visit.ts';

/**
 * Where the code on a device's screen is entered (RFC 8628, section 3.3). A code that came along in the address only fills
 * the field in; what it stands for is asked of the person after the sign-in, together with the code.
 */
export function createDeviceRoutes(
  parts: Pick<InteractionParts, 'config' | 'engine' | 'renderer' | 'sealer' | 'limits'>,
): Middleware {
  const router = new Router();

  router.use(wayHome(parts.config.issuer));

  function show(ctx: Context, shown: Pick<Pages['device'], 'code' | 'problem' | 'retryAfter'>) {
    const model = { action: `${issuerPath(parts.config.issuer)}/device`, ...shown };
    renderPage(ctx, parts.renderer, 'device', model, {
      status: statusOf({ ctx }, shown),
      leadsToApp: true,
    });
  }

  /** Counted before it is looked at; one answer for codes that are unknown, used and expired. */
  async function check(ctx: Context, typed: string): Promise<AskedRequest | undefined> {
    const session = await findBrowserSession(parts.engine.provider, ctx);
    const guess = { address: ctx.state.address as string, accountId: session?.account.id };
    await parts.limits.consumeUserCodeGuess(guess);
    const code = readUserCode(typed);
    const request =
      code === undefined
        ? undefined
        : await findRequestByUserCode(currentUnit().db, userCodeMacs(parts.sealer, code));
    if (request !== undefined) await parts.limits.forgiveUserCodeGuess(guess);
    return request;
  }

  const refused = (reason: string) =>
    currentUnit().auditAlways({ type: 'device.code', outcome: 'refused', reason });

  router.get('/device', (ctx) => {
    const { user_code: given } = ctx.query;
    const code = typeof given === 'string' ? readUserCode(given) : undefined;
    show(ctx, { code: code === undefined ? undefined : writeUserCode(code) });
  });

  router.post('/device', refuseCrossSite(parts.config.issuer), async (ctx) => {
    const typed = readCode(await readForm(ctx));
    const request = await withinLimits(
      () => check(ctx, typed),
      (retryAfter) => {
        refused('too_many_attempts');
        show(ctx, { code: typed, problem: 'too-many', retryAfter });
      },
    );
    if (request === limited) return;
    if (request === undefined) {
      refused('wrong_code');
      show(ctx, { code: typed, problem: 'wrong-code' });
      return;
    }
    redirect(ctx, await beginAnswer(ctx, parts.engine.provider, request));
  });

  return router.routes() as unknown as Middleware;
}
