import { decodeJwt } from 'jose';
import type { Account } from '../account/account.ts';
import { languageOf } from '../pages/language.ts';
import { messagesFor } from '../pages/messages.ts';
import { acrOf } from '../oidc/authorization/acr.ts';
import { endBrowserSession, findBrowserSession } from '../oidc/browser-session.ts';
import type { DecidedHere } from '../oidc/authorization/granted-details.ts';
import { wantedSubjects } from '../oidc/authorization/claims-parameter.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';
import { epochSeconds } from '../lib/time.ts';
import type { InteractionParts } from './parts.ts';
import { findPolled } from './polled.ts';
import { rememberFinish } from './restart.ts';
import { type Interaction, redirect, type Visit } from './visit.ts';

type Result = NonNullable<Interaction['result']>;

/** Ends the interaction: the result is written with the request's commit, and the browser goes on to the engine. */
async function finish(visit: Visit, result: Result): Promise<void> {
  const { ctx, interaction } = visit;
  interaction.result = result;
  // What `interactionResult` does, on the interaction that this request has loaded.
  await interaction.persist();
  rememberFinish(visit);
  redirect(ctx, interaction.returnTo);
}

/**
 * Signs in: called once in an interaction, when every factor that is needed is done. Who was signed in here as somebody
 * else is signed out in the same commit. Who signs in again keeps what was proven before: `amr` grows, `acr` never falls.
 */
export async function finishSignIn(
  visit: Visit,
  account: Account,
  amr: readonly string[],
  parts: InteractionParts,
): Promise<void> {
  const { ctx, interaction, client } = visit;
  // As the client knows the person.
  const subject = parts.subjects.of(account.id, client?.settings.sector);
  const asked = await findPolled(interaction);
  const isOther = asked?.kind === 'ciba' && asked.accountId !== account.id;
  if (isOther || meantSubjects(interaction).some((meant) => !meant.includes(subject))) {
    await finishWithError(visit, 'login_required', 'the person that was asked for did not sign in');
    return;
  }
  const session = await findBrowserSession(parts.engine.provider, ctx);
  if (session !== undefined && session.account.id !== account.id)
    endBrowserSession(parts.engine.provider, ctx, session, 'another_account');
  const login = {
    accountId: account.id,
    // What this sign-in has proven: the session adds it to what was proven before (see `neverLowerSessions`).
    amr: [...amr],
    acr: acrOf(amr),
    ts: epochSeconds(),
    remember: true,
  };
  currentUnit().audit({
    type: 'sign_in',
    outcome: 'success',
    accountId: account.id,
    clientId: client?.id,
    data: { amr: login.amr, acr: login.acr },
  });
  parts.devices.remember(ctx, account.emailKey);
  rememberLanguage(visit, account, parts);
  const isSwitch =
    interaction.session !== undefined && interaction.session.accountId !== account.id;
  if (isSwitch) delete interaction.session;
  await finish(visit, { ...(isSwitch ? {} : interaction.lastSubmission), login });
}

/** Mails speak to the person as the pages do on which the person signs in. */
function rememberLanguage({ ctx }: Visit, account: Account, { accounts }: InteractionParts): void {
  const { lang } = languageOf(ctx);
  if (messagesFor(account.locale).lang !== lang)
    currentUnit().alongside(() => accounts.setLocale(account.id, lang));
}

/**
 * Whom the request is about (OpenID Connect Core, sections 3.1.2.1 and 5.5.1: `id_token_hint`, and `sub` with values), in
 * lists that each must name the person: an answer about anybody else would be a wrong one. The engine looks at the hint where the request begins, and not again.
 */
function meantSubjects({ params }: Interaction): (readonly unknown[])[] {
  const { id_token_hint: hint, claims } = params;
  // The engine has verified it.
  const hinted = typeof hint === 'string' ? [[decodeJwt(hint).sub]] : [];
  return [...hinted, ...wantedSubjects(claims)];
}

/** Goes on with the account that is signed in. */
export function finishChoice(visit: Visit): Promise<void> {
  return finish(visit, { ...visit.interaction.lastSubmission, select_account: {} });
}

/**
 * Ends the prompt for consent; what was decided is written by the caller in the same commit.
 * @param decided which details were allowed: those count for this request, and for no other.
 */
export function finishConsent(visit: Visit, decided?: DecidedHere): Promise<void> {
  const consent = decided === undefined ? {} : { decided };
  return finish(visit, { ...visit.interaction.lastSubmission, consent } as Result);
}

/** Sends the browser back to the app with an error of OAuth's. */
export function finishWithError(visit: Visit, error: string, description: string): Promise<void> {
  return finish(visit, { error, error_description: description });
}
