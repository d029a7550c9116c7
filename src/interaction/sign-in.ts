import { z } from 'zod';
import type { Pages } from '../pages/pages.ts';
import { renderPage } from '../pages/render-page.ts';
import { ASKED_ACCOUNT } from '../oidc/decoupled/prompts.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';
import { epochSeconds } from '../lib/time.ts';
import { type InteractionParts, pathOfAll } from './parts.ts';
import { isBusy, isLimit, limited, withinLimits } from './limited.ts';
import { takeNotice } from './restart.ts';
import { startProgress } from './progress.ts';
import { hintedEmail, rememberedEmail } from './hint.ts';
import { deviceKey } from './known-device.ts';
import type { Steps } from './steps.ts';
import { rememberWaiting, waitingIn } from './waiting.ts';
import { advance, redirect, statusOf, switchUrl, type Visit } from './visit.ts';

const formSchema = z.object({
  email: z.string().max(1_000).catch(''),
  /** As long as the body lets it be: the service refuses what is too long, whether or not there is the account. */
  password: z.string().catch(''),
  switch: z.literal('yes').optional().catch(undefined),
});

type Shown = Pick<Pages['sign-in'], 'email' | 'problem' | 'retryAfter'> & {
  readonly isSwitch: boolean;
};

/** Email and password: the first step of every sign-in, and the whole of it where nothing more is needed. */
export function createSignInStep(parts: InteractionParts, steps: Steps) {
  /** Who signs in again keeps the account, unless the request itself is about another one, or the person says "Not you?". */
  async function fixedAccount({ interaction }: Visit, isSwitch: boolean) {
    const { reasons } = interaction.prompt;
    if (
      isSwitch ||
      interaction.session === undefined ||
      reasons.includes('id_token_hint') ||
      reasons.includes(ASKED_ACCOUNT) ||
      reasons.includes('claims_id_token_sub_value')
    )
      return undefined;
    return currentUnit().findAccount(interaction.session.accountId);
  }

  async function show(
    visit: Visit,
    { email, problem, retryAfter, isSwitch }: Shown,
  ): Promise<void> {
    const { ctx, base, app } = visit;
    const fixed = await fixedAccount(visit, isSwitch);
    const model: Pages['sign-in'] = {
      action: `${base}/sign-in`,
      hidden: isSwitch ? { switch: 'yes' } : undefined,
      app,
      email: email ?? (isSwitch ? undefined : emailHint(visit)),
      confirm: fixed && { email: fixed.email, switchUrl: switchUrl(visit) },
      registerUrl: parts.config.registration ? `${base}/register` : undefined,
      problem,
      retryAfter,
      notice: problem === undefined ? takeNotice(visit, pathOfAll(parts.config)) : undefined,
    };
    renderPage(ctx, parts.renderer, 'sign-in', model, {
      status: statusOf(visit, { problem, retryAfter }),
      leadsToApp: true,
    });
  }

  /**
   * Counted before it is looked at, and given back where it was right. The count is a commit of its own: the account is
   * read at the same time, and the password looked at when both are done.
   */
  async function check(visit: Visit, email: string, password: string) {
    const guess = {
      account: email,
      address: visit.ctx.state.address as string,
      knownDevice: parts.devices.find(visit.ctx, deviceKey(email)),
    };
    const refuse = (reason: string, accountId?: string) =>
      currentUnit().auditAlways({
        type: 'sign_in',
        outcome: 'refused',
        reason,
        accountId,
        clientId: visit.client?.id,
      });
    const counted = parts.limits.consumePasswordGuess(guess);
    const checked = await parts.accounts
      .checkCredentials(email, password, counted)
      .catch((error: unknown) => {
        if (isLimit(error)) refuse(error.code);
        if (isBusy(error)) currentUnit().alongside(() => parts.limits.returnPasswordGuess(guess));
        throw error;
      });
    if (checked.refusal === undefined)
      currentUnit().alongside(() => parts.limits.forgivePasswordGuess(guess));
    else {
      refuse(checked.refusal.reason, checked.refusal.accountId);
      if (checked.refusal.reason === 'password_too_long')
        currentUnit().alongside(() => parts.limits.returnPasswordGuess(guess));
    }
    return checked;
  }

  /**
   * The password is right for an account that was registered in this browser and waits for its email address to be
   * confirmed: leads to that page. Whether the address has another account shows no more than it did when registering.
   */
  async function continueRegistration(
    visit: Visit,
    email: string,
    password: string,
  ): Promise<boolean> {
    const ref = visit.progress.waiting?.ref ?? waitingIn(visit.ctx).ref;
    if (ref === undefined || !(await parts.registration.isRegistering(ref, email, password)))
      return false;
    await advance(visit, { ...startProgress, waiting: { ref, email: email.trim() } });
    rememberWaiting(visit, ref);
    redirect(visit.ctx, `${visit.base}/verify`);
    return true;
  }

  return {
    show: async (visit: Visit): Promise<void> => {
      await show(visit, { isSwitch: visit.ctx.query.switch === 'yes' });
    },
    submit: async (visit: Visit, fields: URLSearchParams): Promise<void> => {
      const form = formSchema.parse(Object.fromEntries(fields));
      const isSwitch = form.switch === 'yes';
      const fixed = await fixedAccount(visit, isSwitch);
      const email = fixed?.email ?? form.email;
      const checked = await withinLimits(
        () => check(visit, email, form.password),
        (retryAfter) => show(visit, { email, problem: 'too-many', retryAfter, isSwitch }),
      );
      if (checked === limited) return undefined;
      if (checked.account === undefined) {
        if (await continueRegistration(visit, email, form.password)) return undefined;
        // One answer for all failures, whatever the reason.
        return show(visit, { email, problem: 'incorrect', isSwitch });
      }
      const { account, hasSecondFactor } = checked;
      const begun = { accountId: account.id, passwordAt: epochSeconds(), amr: ['pwd'] };
      return steps.goOn(visit, account, { ...startProgress, ...begun }, hasSecondFactor);
    },
  };
}

/** The address that the page begins with: the one that was just confirmed, or the one that the app thinks it is. */
function emailHint({ ctx, progress, interaction }: Visit): string | undefined {
  return (
    progress.waiting?.email ??
    progress.email ??
    hintedEmail(interaction.params) ??
    rememberedEmail(ctx)
  );
}
