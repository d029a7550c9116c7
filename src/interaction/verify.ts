import type { Account } from '../account/account.ts';
import { languageOf } from '../pages/language.ts';
import type { Pages } from '../pages/pages.ts';
import { renderPage } from '../pages/render-page.ts';
import { requestOrigin } from '../http/request.ts';
import { epochSeconds } from '../lib/time.ts';
import { readCode } from './fields.ts';
import { limited, withinLimits } from './limited.ts';
import type { InteractionParts } from './parts.ts';
import type { Steps } from './steps.ts';
import { rememberWaiting } from './waiting.ts';
import { advance, redirect, statusOf, switchUrl, type Visit } from './visit.ts';

type Shown = Pick<Pages['register-sent'], 'problem' | 'retryAfter' | 'resent'>;
type Waiting = NonNullable<Visit['progress']['waiting']>;

/** The proof of an address by the code in its mail: of a new account, or of one that never gave it. */
export function createVerifyStep(parts: InteractionParts, steps: Steps) {
  /** What is waited for here. For an account that is signing in, the mail is sent with the first look at the page. */
  async function find(
    visit: Visit,
  ): Promise<{ waiting: Waiting; account: Account | undefined } | undefined> {
    const account = await steps.account(visit);
    const { waiting } = visit.progress;
    if (account === undefined) return waiting && { waiting, account };
    if ((await steps.missing(visit, account, visit.progress)) !== 'verify') return undefined;
    if (waiting !== undefined) return { waiting, account };
    const { lang } = languageOf(visit.ctx);
    const { ref } = await parts.registration.startVerification({
      ...account,
      locale: account.locale ?? lang,
    });
    await advance(visit, { waiting: { ref, email: account.email } });
    rememberWaiting(visit, ref);
    return { waiting: { ref, email: account.email }, account };
  }

  async function show(visit: Visit, waiting: Waiting, shown: Shown = {}): Promise<void> {
    const state = await parts.registration.findWaiting(waiting.ref);
    const { base } = visit;
    const model: Pages['register-sent'] = {
      action: `${base}/verify`,
      app: visit.app,
      email: waiting.email,
      resend: { action: `${base}/verify/resend`, pausedFor: state?.pausedFor || undefined },
      changeUrl: parts.config.registration ? `${base}/register` : switchUrl(visit),
      ...shown,
    };
    renderPage(visit.ctx, parts.renderer, 'register-sent', model, {
      status: statusOf(visit, shown),
      leadsToApp: true,
    });
  }

  /** Confirmed in another way, or too old: whoever can sign in does, and the others may ask anew. */
  async function over(visit: Visit): Promise<void> {
    await advance(visit, { waiting: undefined, email: visit.progress.waiting?.email });
    redirect(
      visit.ctx,
      visit.progress.accountId === undefined ? `${visit.base}/sign-in` : visit.base,
    );
  }

  async function submit(visit: Visit, fields: URLSearchParams): Promise<void> {
    const found = await find(visit);
    if (found === undefined) return redirect(visit.ctx, visit.base);
    const { waiting, account } = found;
    const verification = await withinLimits(
      async () => {
        await parts.limits.consumeCodeGuess(visit.ctx.state.address);
        return parts.registration.verifyCode(
          waiting.ref,
          readCode(fields),
          requestOrigin(visit.ctx),
        );
      },
      (retryAfter) => show(visit, waiting, { problem: 'too-many', retryAfter }),
    );
    if (verification === limited) return undefined;
    switch (verification.status) {
      case 'verified': {
        // Who registered here chose the password here: it need not be typed again.
        const password =
          account === undefined
            ? { accountId: verification.account.id, passwordAt: epochSeconds(), amr: ['pwd'] }
            : {};
        return steps.goOn(visit, verification.account, { ...password, waiting: undefined });
      }
      case 'wrong_code':
      case 'wrong_password':
      case 'spent':
        return show(visit, waiting, { problem: 'wrong-code' });
      case 'used':
      case 'expired':
        return over(visit);
    }
  }

  async function resend(visit: Visit): Promise<void> {
    const found = await find(visit);
    if (found === undefined) return redirect(visit.ctx, visit.base);
    const { waiting } = found;
    const again = await withinLimits(
      async () => {
        await parts.limits.consumeMail({ email: waiting.email, address: visit.ctx.state.address });
        return parts.registration.resend(waiting.ref);
      },
      (retryAfter) => show(visit, waiting, { problem: 'too-many', retryAfter }),
    );
    if (again === limited) return undefined;
    if (again === undefined) return over(visit);
    return redirect(visit.ctx, `${visit.base}/verify${again.sent ? '?resent=yes' : ''}`);
  }

  return {
    show: async (visit: Visit): Promise<void> => {
      const found = await find(visit);
      if (found === undefined) redirect(visit.ctx, visit.base);
      else if ((await parts.registration.findWaiting(found.waiting.ref)) === undefined)
        await over(visit);
      else await show(visit, found.waiting, { resent: visit.ctx.query.resent === 'yes' });
    },
    submit,
    resend: (visit: Visit, _fields: URLSearchParams) => resend(visit),
  };
}
