import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { AccountRefused } from '../account/account.ts';
import type { AccountService } from '../account/account.service.ts';
import type { SetupService } from '../account/setup.service.ts';
import type { Config } from '../config.ts';
import { AppError } from '../errors.ts';
import { wayHome } from '../http/errors.ts';
import { readForm, refuseCrossSite } from '../http/form.ts';
import { languageOf } from '../pages/language.ts';
import type { Pages } from '../pages/pages.ts';
import type { Renderer } from '../pages/render.ts';
import { renderPage } from '../pages/render-page.ts';
import { requestOrigin } from '../http/request.ts';
import { readNewAccount } from './fields.ts';
import { rememberEmail } from './hint.ts';

export interface SetupRoutesParts {
  readonly config: Config;
  readonly renderer: Renderer;
  readonly accounts: AccountService;
  readonly setup: SetupService;
}

type Shown = Pick<Pages['setup'], 'email' | 'name' | 'errors'>;

/**
 * Creates the first administrator, by the link that the server prints at its first start. Its last page says what was
 * created and what to do first: the sign-in is the same for all accounts, and asks administrators for a second factor.
 */
export function createSetupRoutes({
  config,
  renderer,
  accounts,
  setup,
}: SetupRoutesParts): Middleware {
  const router = new Router({ prefix: '/setup' });
  const home = `${config.issuer}/account`;

  const show = (ctx: Context, shown: Shown) => {
    const model: Pages['setup'] = {
      action: ctx.path,
      passwordMinimum: accounts.passwordMinimum,
      ...shown,
    };
    renderPage(ctx, renderer, 'setup', model, { status: shown.errors === undefined ? 200 : 400 });
  };
  const showOver = async (ctx: Context) => {
    const model: Pages['link-expired'] = (await setup.isNeeded())
      ? { link: 'setup' }
      : { link: 'setup-done', nextUrl: home };
    renderPage(ctx, renderer, 'link-expired', model, { status: 410 });
  };

  router.use(wayHome(config.issuer), refuseCrossSite(config.issuer));
  router.get('/:token', async (ctx) => {
    if ((await setup.findSetupLink(ctx.params.token as string)) === 'live') show(ctx, {});
    else await showOver(ctx);
  });
  router.post('/:token', async (ctx) => {
    const fields = readNewAccount(await readForm(ctx));
    const { email, name } = fields;
    try {
      const account = await setup.redeemSetupLink(
        ctx.params.token as string,
        { ...fields, locale: languageOf(ctx).lang },
        requestOrigin(ctx),
      );
      rememberEmail(ctx, config, account.email);
      renderPage(ctx, renderer, 'setup-done', { email: account.email, signInUrl: home });
    } catch (error) {
      if (error instanceof AccountRefused) show(ctx, { email, name, errors: error.problems });
      else if (error instanceof AppError && error.code === 'email_taken')
        show(ctx, { email, name, errors: { email: 'taken' } });
      else if (error instanceof AppError && error.code === 'link_expired') await showOver(ctx);
      else throw error;
    }
  });
  return router.routes() as unknown as Middleware;
}
