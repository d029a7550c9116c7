import { z } from 'zod';
import { changesSince, type Client, isLocalRedirect, shownOf } from '../client/client.ts';
import { keepDocumentClient } from '../client/self-registered.service.ts';
import { AppError } from '../errors.ts';
import { canonicalJson } from '../lib/canonical-json.ts';
import { sha256 } from '../lib/hash.ts';
import type { Pages } from '../pages/pages.ts';
import { renderPage } from '../pages/render-page.ts';
import { hostOf, skipsConsent } from '../oidc/apps.ts';
import { nameOfDetail } from '../oidc/authorization/granted-details.ts';
import { CONFIRM_REQUEST } from '../oidc/decoupled/prompts.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';
import {
  type Answer,
  type Asked,
  makeQuestion,
  type Question,
  readAnswer,
  readAsked,
} from './asked.ts';
import { finishConsent, finishWithError } from './finish.ts';
import type { InteractionParts } from './parts.ts';
import { describePolled } from './polled.ts';
import { switchUrl, type Visit } from './visit.ts';

const formSchema = z.object({
  decision: z.enum(['deny', 'allow']).optional().catch(undefined),
  // What stands for nothing that is asked counts for nothing; the form itself is bounded.
  claim: z.array(z.string()),
  scope: z.array(z.string()),
  detail: z.array(z.string()),
  // What the page showed of the client; a browser always sends it back.
  shown: z.string().optional(),
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
    // What was decided about another client than this one is now has to be decided again.
    const changes = consent === undefined ? [] : changesSince(client, consent.shown);
    const all = readAsked(interaction.params, await parts.resourceServers.list(), client);
    const { reasons } = interaction.prompt;
    // Of apps of our own only what is asked each time is put to the person.
    const skips =
      consent === undefined && skipsConsent(client) && !reasons.includes('consent_prompt');
    const asked = skips ? askedEachTime(all) : all;
    // An app on the person's own machine is asked about each time, and then as a whole: another program may pose as it.
    const askAgain =
      changes.length > 0 ||
      reasons.includes('consent_prompt') ||
      reasons.includes('local_redirect') ||
      reasons.includes(CONFIRM_REQUEST);
    const question = makeQuestion(asked, account, consent, askAgain);
    return { account, client, app, question, skips, changes };
  }

  async function show(
    visit: Visit,
    { account, app, changes, client, question, skips }: Awaited<ReturnType<typeof load>>,
    problem?: 'changed' | 'undecided',
  ): Promise<void> {
    const { redirect_uri: redirectUri } = visit.interaction.params as { redirect_uri?: string };
    const request = await describePolled(visit, parts.sealer);
    const model: Pages['consent'] = {
      action: `${visit.base}/consent`,
      // An operator's client does not change by itself.
      hidden: client.registeredBy === undefined ? undefined : { shown: nameOfShown(client) },
      app,
      changes,
      // Somebody else was not asked.
      account: {
        email: account.email,
        switchUrl: request?.kind === 'ciba' ? undefined : switchUrl(visit),
      },
      claims: [...question.claims],
      scopes: [...question.scopes],
      details: [...question.details],
      stay: question.stay,
      already: question.already,
      request,
      asksNothing: skips && question.details.length === 0,
      ownMachine: request === undefined && isLocalRedirect(String(redirectUri)),
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
    { account, changes, client, question, skips }: Awaited<ReturnType<typeof load>>,
    form: z.output<typeof formSchema>,
  ): Promise<void> {
    const { id: clientId } = client;
    const event = { accountId: account.id, clientId };
    const { details, ...answer } = readAnswer(question, {
      claims: form.claim,
      scopes: form.scope,
      details: form.detail,
    });
    if (form.decision === 'deny' || isEmpty(question, details, answer.allowed)) {
      currentUnit().audit({
        type: 'consent.denied',
        outcome: 'refused',
        reason: 'denied_by_person',
        ...event,
      });
      await finishWithError(visit, 'access_denied', 'the person did not allow it');
      return;
    }
    // Of the registration that `shown` was compared with: it may have changed again since.
    const decision = { ...answer, shown: shownOf(client), isAfresh: changes.length > 0 };
    if (!skips)
      currentUnit().enlist(async (db) => {
        if (client.registeredBy === 'document') await keepDocumentClient(db, client, account.id);
        await parts.consents.decide(db, account.id, clientId, decision);
      });
    currentUnit().audit({
      type: 'consent.granted',
      outcome: 'success',
      data: {
        ...auditedAnswer(answer),
        ...(details.length === 0 ? {} : { details: named(details) }),
      },
      ...event,
    });
    const decided = { accountId: account.id, details: details.map(nameOfDetail) };
    await finishConsent(visit, question.details.length === 0 ? undefined : decided);
  }

  return {
    show: async (visit: Visit): Promise<void> => {
      await show(visit, await load(visit));
    },
    submit: async (visit: Visit, fields: URLSearchParams): Promise<void> => {
      const form = formSchema.parse({
        decision: fields.get('decision') ?? undefined,
        claim: fields.getAll('claim'),
        scope: fields.getAll('scope'),
        detail: fields.getAll('detail'),
        shown: fields.get('shown') ?? undefined,
      });
      const loaded = await load(visit);
      const isOther = form.shown !== undefined && form.shown !== nameOfShown(loaded.client);
      const asPosted = { ...loaded, question: tickAs(loaded.question, form) };
      if (form.decision === undefined) await show(visit, asPosted, 'undecided');
      else if (form.decision === 'allow' && isOther) await show(visit, loaded, 'changed');
      else await decide(visit, loaded, form);
    },
  };
}

/** A name of what is shown of a client: another one as soon as it changes. */
const nameOfShown = (client: Client) =>
  sha256(canonicalJson(shownOf(client))).toString('base64url');

/** The question with the boxes as they were posted. */
function tickAs(
  question: Question,
  { claim, scope, detail }: z.output<typeof formSchema>,
): Question {
  const { claims, scopes, details, stay } = question;
  return {
    ...question,
    claims: claims.map((one) => ({ ...one, checked: claim.includes(one.name) })),
    scopes: scopes.map((one) => ({ ...one, checked: scope.includes(one.value) })),
    details: details.map((one) => ({ ...one, checked: detail.includes(one.value) })),
    stay: stay && { ...stay, checked: scope.includes('offline_access') },
  };
}

const askedEachTime = ({ details }: Asked): Asked => ({
  scopes: [],
  claims: new Map(),
  apis: [],
  details: details.filter(({ type }) => !type.remember),
});

/** Details were asked for, and neither they nor anything else was allowed. */
function isEmpty(
  question: Question,
  details: Answer['details'],
  { scopes, claims, resources }: Answer['allowed'],
): boolean {
  return (
    question.details.length > 0 &&
    details.length + scopes.length + claims.length + Object.keys(resources).length === 0
  );
}

/** What the audit holds of a detail: its type, and by its hash which one it was. What is in it is the person's. */
const named = (details: Answer['details']) =>
  details.map((detail) => ({ type: detail.type, sha256: nameOfDetail(detail) }));

function auditedAnswer({ allowed, denied }: Pick<Answer, 'allowed' | 'denied'>) {
  const { details: _, ...given } = allowed;
  const { details: __, ...refused } = denied;
  return { allowed: given, denied: refused };
}
