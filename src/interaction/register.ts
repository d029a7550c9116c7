import { AccountRefused } from '../account/account.ts';
import { languageOf } from '../pages/language.ts';
import type { Pages } from '../pages/pages.ts';
import { renderPage } from '../pages/render-page.ts';
import { requestOrigin } from '../http/request.ts';
import { type NewAccountFields, readNewAccount } from './fields.ts';
import { hintedEmail } from './hint.ts';
import { limited, withinLimits } from './limited.ts';
import type { InteractionParts } from './parts.ts';
import { startProgress } from './progress.ts';
import { rememberWaiting } from './waiting.ts';
import { advance, redirect, statusOf, type Visit } from './visit.ts';

type Shown = Pick<Pages['register'], 'email' | 'name' | 'errors' | 'problem' | 'retryAfter'>;

/** A new account, made within the sign-in that wants one; it is there once its address is proven. */
export function createRegisterStep(parts: InteractionParts) {
  function show(visit: Visit, shown: Shown): void {
    const model: Pages['register'] = {
      action: `${visit.base}/register`,
      app: visit.app,
      signInUrl: `${visit.base}/sign-in`,
      passwordMinimum: parts.accounts.passwordMinimum,
      ...shown,
      email: shown.email ?? visit.progress.waiting?.email ?? hintedEmail(visit.interaction.params),
    };
    const problem = shown.problem ?? (shown.errors === undefined ? undefined : 'invalid');
    renderPage(visit.ctx, parts.renderer, 'register', model, {
      status: statusOf(visit, { problem, retryAfter: shown.retryAfter }),
      leadsToApp: true,
    });
  }

  /** What was typed is checked before it counts: who mends a password uses nothing up. */
  async function begin(visit: Visit, fields: NewAccountFields) {
    parts.accounts.check(fields);
    await parts.limits.consumeRegistration({
      email: fields.email,
      address: visit.ctx.state.address,
    });
    const { lang: locale } = languageOf(visit.ctx);
    return parts.registration.register({ ...fields, locale }, requestOrigin(visit.ctx));
  }

  return {
    show: async (visit: Visit): Promise<void> => {
      if (parts.config.registration) show(visit, {});
      else redirect(visit.ctx, visit.base);
    },
    submit: async (visit: Visit, posted: URLSearchParams): Promise<void> => {
      if (!parts.config.registration) return redirect(visit.ctx, visit.base);
      const fields = readNewAccount(posted);
      const { email, name } = fields;
      try {
        const waiting = await withinLimits(
          () => begin(visit, fields),
          (retryAfter) => show(visit, { email, name, problem: 'too-many', retryAfter }),
        );
        if (waiting === limited) return undefined;
        await advance(visit, {
          ...startProgress,
          waiting: { ref: waiting.ref, email: email.trim() },
        });
        rememberWaiting(visit, waiting.ref);
        return redirect(visit.ctx, `${visit.base}/verify`);
      } catch (error) {
        if (!(error instanceof AccountRefused)) throw error;
        return show(visit, { email, name, errors: error.problems });
      }
    },
  };
}
