import { z } from 'zod';
import { isLocalRedirect } from '../client/client.ts';
import { keepDocumentClient } from '../client/self-registered.service.ts';
import { AppError } from '../errors.ts';
import type { Pages } from '../http/pages.ts';
import { renderPage } from '../http/render-page.ts';
import { hostOf } from '../oidc/apps.ts';
import type { AccountRecord } from '../oidc/records.ts';
import { currentUnit } from '../oidc/unit-of-work.ts';
import { makeQuestion, type Question, readAnswer, readAsked } from './asked.ts';
import { finishConsent, finishWithError } from './finish.ts';
import type { InteractionParts } from './parts.ts';
import { switchUrl, type Visit } from './visit.ts';

const formSchema = z.object({
  decision: z.enum(['deny', 'allow']).optional().catch(undefined),
  claim: z.array(z.string().max(200)).max(200),
  scope: z.array(z.string().max(2_000)).max(500),
});

/** The page on which a person decides what an app may do. */
export function createConsentStep(parts: InteractionParts) {
  /** The engine has checked that the session's account is the one that the interaction began with. */
  async function load({ interaction, client, app }: Visit) {
    const account =
      interaction.session && (await currentUnit().findAccount(interaction.session.accountId));
    if (!account || account.disabled || !client || !app)
      throw new AppError('interaction_expired', 'Nobody is signed in any more.', { status: 400 });
    const consent = await currentUnit().findConsent(account.id, client.id);
    const asked = readAsked(interaction.params, await parts.resourceServers.list(), client.allowed);
    // An app on the person's own machine is asked about each time, and then as a whole: another program may pose as it.
    const { reasons } = interaction.prompt;
    const askAgain = reasons.includes('consent_prompt') || reasons.includes('local_redirect');
    return { account, client, app, question: makeQuestion(asked, account, consent, askAgain) };
  }

  function show(
    visit: Visit,
    { account, app, client, question }: Awaited<ReturnType<typeof load>>,
    problem?: 'undecided',
  ): void {
    const redirectUri = String(visit.interaction.params.redirect_uri);
    const model: Pages['consent'] = {
      action: `${visit.base}/consent`,
      app,
      account: { email: account.email, switchUrl: switchUrl(visit) },
      claims: [...question.claims],
      scopes: [...question.scopes],
      stay: question.stay,
      already: question.already,
      ownMachine: isLocalRedirect(redirectUri),
      returnTo: hostOf(redirectUri),
      accountUrl: `${parts.config.issuer}/account`,
      privacyUrl: client.metadata.policy_uri as string | undefined,
      termsUrl: client.metadata.tos_uri as string | undefined,
      problem,
    };
    renderPage(visit.ctx, parts.renderer, 'consent', model, {
      status: problem === undefined ? 200 : 400,
      leadsToApp: true,
    });
  }

  async function decide(
    visit: Visit,
    account: AccountRecord,
    clientId: string,
    question: Question,
    form: z.output<typeof formSchema>,
  ): Promise<void> {
    const event = { accountId: account.id, clientId };
    if (form.decision === 'deny') {
      currentUnit().audit({
        type: 'consent.denied',
        outcome: 'refused',
        reason: 'denied_by_person',
        ...event,
      });
      await finishWithError(visit, 'access_denied', 'the person did not allow it');
      return;
    }
    const answer = readAnswer(question, { claims: form.claim, scopes: form.scope });
    const client = await parts.clients.find(clientId);
    currentUnit().enlist(async (db) => {
      if (client?.registeredBy === 'document') await keepDocumentClient(db, client, account.id);
      await parts.consents.decide(db, account.id, clientId, answer);
    });
    currentUnit().audit({
      type: 'consent.granted',
      outcome: 'success',
      data: { ...answer },
      ...event,
    });
    await finishConsent(visit);
  }

  return {
    show: async (visit: Visit): Promise<void> => {
      show(visit, await load(visit));
    },
    submit: async (visit: Visit, fields: URLSearchParams): Promise<void> => {
      const form = formSchema.parse({
        decision: fields.get('decision') ?? undefined,
        claim: fields.getAll('claim'),
        scope: fields.getAll('scope'),
      });
      const loaded = await load(visit);
      if (form.decision === undefined) show(visit, loaded, 'undecided');
      else await decide(visit, loaded.account, loaded.client.id, loaded.question, form);
    },
  };
}
