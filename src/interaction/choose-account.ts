import { AppError } from '../errors.ts';
import { renderPage } from '../pages/render-page.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';
import { finishChoice } from './finish.ts';
import type { InteractionParts } from './parts.ts';
import { switchUrl, type Visit } from './visit.ts';

/** Where an app asks with which account to go on (`prompt=select_account`): the one that is signed in, or another one. */
export function createChooseAccountStep(parts: InteractionParts) {
  return {
    show: async (visit: Visit): Promise<void> => {
      const { ctx, base, app, interaction } = visit;
      const account =
        interaction.session && (await currentUnit().findAccount(interaction.session.accountId));
      if (!account || account.disabled)
        throw new AppError('interaction_expired', 'Nobody is signed in any more.', { status: 400 });
      renderPage(
        ctx,
        parts.renderer,
        'choose-account',
        {
          action: `${base}/choose-account`,
          app,
          account: { email: account.email, name: account.name },
          switchUrl: switchUrl(visit),
        },
        { leadsToApp: true },
      );
    },
    submit: (visit: Visit, _fields: URLSearchParams): Promise<void> => finishChoice(visit),
  };
}
