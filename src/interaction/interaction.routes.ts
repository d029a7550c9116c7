import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { readForm, refuseCrossSite } from '../http/form.ts';
import { createChooseAccountStep } from './choose-account.ts';
import { createConsentStep } from './consent-page.ts';
import type { InteractionParts } from './parts.ts';
import { createEnrolStep } from './enrol.ts';
import { createRegisterStep } from './register.ts';
import { createSecondFactorStep } from './second-factor.ts';
import { createVerifyStep } from './verify.ts';
import { rememberStart } from './restart.ts';
import { createSignInStep } from './sign-in.ts';
import { Steps } from './steps.ts';
import { loadVisit, redirect, type Visit } from './visit.ts';

/** What a request may be paused for. */
type Prompt = 'login' | 'consent' | 'select_account' | 'create';

/** The paused authorization request: every path below `/interaction/:uid`. */
export function createInteractionRoutes(parts: InteractionParts): Middleware {
  const steps = new Steps(parts);
  const signIn = createSignInStep(parts, steps);
  const register = createRegisterStep(parts);
  const verify = createVerifyStep(parts, steps);
  const secondFactor = createSecondFactorStep(parts, steps);
  const enrol = createEnrolStep(parts, steps);
  const consent = createConsentStep(parts);
  const chooseAccount = createChooseAccountStep(parts);
  const router = new Router({ prefix: '/interaction' });

  /** Runs `work` on the interaction; one that is done goes on to where it leads. */
  const visiting =
    (prompt: Prompt | undefined, work: (visit: Visit) => Promise<void>) =>
    async (ctx: Context & { params: Record<string, string> }) => {
      const visit = await loadVisit(ctx, ctx.params.uid as string, parts);
      const { result, returnTo, prompt: asked } = visit.interaction;
      if (ctx.method === 'GET') rememberStart(visit);
      if (result !== undefined) redirect(ctx, returnTo);
      else if (prompt !== undefined && asked.name !== prompt) redirect(ctx, visit.base);
      else await work(visit);
    };
  const posting = (
    prompt: Prompt | undefined,
    work: (visit: Visit, fields: URLSearchParams) => Promise<void>,
  ) => visiting(prompt, async (visit) => work(visit, await readForm(visit.ctx)));

  router.use(refuseCrossSite(parts.config.issuer));
  router.get('/:uid', visiting(undefined, dispatch));
  router.get('/:uid/sign-in', visiting(undefined, signIn.show));
  router.post('/:uid/sign-in', posting(undefined, signIn.submit));
  router.get('/:uid/register', visiting(undefined, register.show));
  router.post('/:uid/register', posting(undefined, register.submit));
  router.get('/:uid/verify', visiting(undefined, verify.show));
  router.post('/:uid/verify', posting(undefined, verify.submit));
  router.post('/:uid/verify/resend', posting(undefined, verify.resend));
  router.get('/:uid/totp', visiting(undefined, secondFactor.totp));
  router.post('/:uid/totp', posting(undefined, secondFactor.submitTotp));
  router.get('/:uid/recovery-code', visiting(undefined, secondFactor.recoveryCode));
  router.post('/:uid/recovery-code', posting(undefined, secondFactor.submitRecoveryCode));
  router.get('/:uid/enrol', visiting(undefined, enrol.show));
  router.post('/:uid/enrol', posting(undefined, enrol.submit));
  router.get('/:uid/recovery-codes', visiting(undefined, enrol.showCodes));
  router.post('/:uid/recovery-codes', posting(undefined, enrol.submitCodes));
  router.post('/:uid/recovery-codes/download', posting(undefined, enrol.download));
  router.get('/:uid/consent', visiting('consent', consent.show));
  router.post('/:uid/consent', posting('consent', consent.submit));
  router.get('/:uid/choose-account', visiting('select_account', chooseAccount.show));
  router.post('/:uid/choose-account', posting('select_account', chooseAccount.submit));

  /** Shows where the interaction stands. */
  async function dispatch(visit: Visit): Promise<void> {
    const { interaction, progress } = visit;
    const account = await steps.account(visit);
    if (account !== undefined) {
      const missing = await steps.missing(visit, account, progress);
      if (missing === undefined) return steps.goOn(visit, account, {});
      return redirect(visit.ctx, `${visit.base}/${missing}`);
    }
    if (progress.waiting !== undefined) return redirect(visit.ctx, `${visit.base}/verify`);
    switch (interaction.prompt.name as Prompt) {
      case 'consent':
        return consent.show(visit);
      case 'select_account':
        return chooseAccount.show(visit);
      case 'create':
        return register.show(visit);
      case 'login':
        return signIn.show(visit);
    }
  }

  return router.routes() as unknown as Middleware;
}
