import { z } from 'zod';
import type { ConfirmedTotp } from '../authenticator/authenticator.ts';
import { languageOf } from '../pages/language.ts';
import type { Pages } from '../pages/pages.ts';
import { renderPage } from '../pages/render-page.ts';
import { requestOrigin } from '../http/request.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';
import { readCode } from './fields.ts';
import { finishWithError } from './finish.ts';
import { limited, withinLimits } from './limited.ts';
import type { InteractionParts } from './parts.ts';
import { type SealedPart, sealedPlace } from './progress.ts';
import { factorGuess } from './second-factor.ts';
import type { SignInState, Steps } from './steps.ts';
import {
  advance,
  advanceInCommit,
  moved,
  redirect,
  statusOf,
  switchUrl,
  type Visit,
} from './visit.ts';

const DEVICE_MAX = 40;

const seedSchema = z.object({ secret: z.string(), uri: z.string() });
const codesSchema = z.array(z.string());
const deviceName = z
  .string()
  .max(1_000)
  .catch('')
  .transform((typed) => typed.replace(/[\p{Cc}\p{Cs}]/gu, '').trim());

type Shown = Pick<Pages['totp-enrol'], 'problem' | 'retryAfter' | 'errors' | 'deviceName'>;

/** Setting an authenticator app up where the sign-in needs one and the person has none; then the recovery codes. */
export function createEnrolStep(parts: InteractionParts, steps: Steps) {
  const { authenticators, sealer, limits } = parts;

  const seal = ({ uid }: Visit, part: SealedPart, value: unknown) =>
    sealer.seal(JSON.stringify(value), sealedPlace(uid, part)).toString('base64');
  const open = ({ uid, progress }: Visit, part: SealedPart): unknown =>
    JSON.parse(
      sealer.open(Buffer.from(progress[part] ?? '', 'base64'), sealedPlace(uid, part)).toString(),
    );

  /** The seed stays the same while the page is reloaded or the code mistyped: it may be in the app already. */
  async function seedOf({ visit, account }: SignInState): Promise<z.output<typeof seedSchema>> {
    if (visit.progress.seed !== undefined) return seedSchema.parse(open(visit, 'seed'));
    const seed = authenticators.newTotpSecret(parts.config.brand.name, account.email);
    await advance(visit, { seed: seal(visit, 'seed', seed) });
    return seed;
  }

  async function showEnrol(standing: SignInState, shown: Shown = {}): Promise<void> {
    const { visit, account } = standing;
    const { secret, uri } = await seedOf(standing);
    const model: Pages['totp-enrol'] = {
      action: `${visit.base}/enrol`,
      app: visit.app,
      account: { email: account.email, switchUrl: switchUrl(visit) },
      reason: steps.enrolReason(visit, account),
      otpauthUri: uri,
      secret,
      ...shown,
      deviceName: shown.deviceName ?? String(languageOf(visit.ctx).messages.enrol.deviceName),
    };
    const problem = shown.problem ?? (shown.errors === undefined ? undefined : 'invalid');
    renderPage(visit.ctx, parts.renderer, 'totp-enrol', model, {
      status: statusOf(visit, { problem, retryAfter: shown.retryAfter }),
      leadsToApp: true,
    });
  }

  async function submitEnrol(standing: SignInState, fields: URLSearchParams): Promise<void> {
    const { visit } = standing;
    if (fields.get('later') === 'yes')
      return finishWithError(visit, 'access_denied', 'the user did not set up a second factor');
    const guess = factorGuess(parts, standing);
    const device = deviceName.parse(fields.get('device_name'));
    const invalid =
      device === '' ? 'missing' : Array.from(device).length > DEVICE_MAX ? 'too-long' : undefined;
    if (invalid !== undefined)
      return showEnrol(standing, { deviceName: device, errors: { device_name: invalid } });
    const { secret } = await seedOf(standing);
    const confirmed = await withinLimits(
      async () => {
        await limits.consumeFactorGuess(guess);
        return authenticators.confirmTotp(secret, readCode(fields));
      },
      (retryAfter) => showEnrol(standing, { deviceName: device, problem: 'too-many', retryAfter }),
    );
    if (confirmed === limited) return undefined;
    if (confirmed === undefined) {
      const isLate = await authenticators.isLateFor(secret, readCode(fields));
      const problem = isLate ? 'late-code' : 'wrong-code';
      return showEnrol(standing, { deviceName: device, problem });
    }
    await limits.forgiveFactorGuess(guess);
    enrol(standing, confirmed, device);
    return redirect(visit.ctx, visit.base);
  }

  /**
   * The factor, its recovery codes and the progress are one commit. The account is held meanwhile: of two sign-ins that
   * began before there was a factor, the second one must show the first one's.
   */
  function enrol({ visit, account }: SignInState, confirmed: ConfirmedTotp, device: string): void {
    const codes = authenticators.newRecoveryCodes();
    currentUnit().enlist(async (db) => {
      await parts.accounts.hold(db, account.id);
      if (await authenticators.hasSecondFactor(account.id, db)) throw moved();
      await authenticators.enrolTotp(db, account.id, confirmed, device, requestOrigin(visit.ctx));
      await authenticators.storeRecoveryCodes(db, account.id, codes, requestOrigin(visit.ctx));
    });
    const amr = [...new Set([...visit.progress.amr, 'otp', 'mfa'])];
    advanceInCommit(visit, { amr, seed: undefined, codes: seal(visit, 'codes', codes) });
  }

  async function showCodes({ visit, account }: SignInState, problem?: 'not-saved'): Promise<void> {
    const model: Pages['recovery-codes'] = {
      action: `${visit.base}/recovery-codes`,
      app: visit.app,
      account: { email: account.email },
      codes: codesSchema.parse(open(visit, 'codes')),
      downloadUrl: `${visit.base}/recovery-codes/download`,
      problem,
    };
    renderPage(visit.ctx, parts.renderer, 'recovery-codes', model, {
      status: problem === undefined ? 200 : 400,
      leadsToApp: true,
    });
  }

  function download({ visit: { ctx }, visit }: SignInState): Promise<void> {
    const codes = codesSchema.parse(open(visit, 'codes'));
    ctx.status = 200;
    ctx.type = 'text/plain';
    ctx.set('Cache-Control', 'no-store');
    ctx.set('Content-Disposition', 'attachment; filename="recovery-codes.txt"');
    ctx.body = `${parts.config.brand.name} (${parts.config.issuer})\n\n${codes.join('\n')}\n`;
    return Promise.resolve();
  }

  return {
    show: (visit: Visit) => steps.at(visit, 'enrol', showEnrol),
    submit: (visit: Visit, fields: URLSearchParams) =>
      steps.at(visit, 'enrol', (standing) => submitEnrol(standing, fields)),
    showCodes: (visit: Visit) => steps.at(visit, 'recovery-codes', showCodes),
    submitCodes: (visit: Visit, fields: URLSearchParams) =>
      steps.at(visit, 'recovery-codes', (standing) =>
        fields.get('saved') === 'yes'
          ? steps.goOn(visit, standing.account, { codes: undefined })
          : showCodes(standing, 'not-saved'),
      ),
    download: (visit: Visit) => steps.at(visit, 'recovery-codes', download),
  };
}
