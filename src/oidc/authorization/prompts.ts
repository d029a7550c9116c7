import { errors, interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider';

const { Check, Prompt } = interactionPolicy;

/** What a request may ask of a person besides `login` and `consent`; each is done by signing in, too. */

/** Whether the request asks for it, and nobody has signed in within it yet. */
function isOpen({ oidc }: KoaContextWithOIDC, name: string): boolean {
  return oidc.prompts.has(name) && oidc.promptPending(name) && oidc.result?.login === undefined;
}

/** Who is signed in says with which account to go on (OpenID Connect Core, section 3.1.2.1). Where nobody is, the sign-in asks that. */
export function selectAccount(): interactionPolicy.Prompt {
  return prompt(
    'select_account',
    new Check(
      'select_account_prompt',
      'the person has not chosen an account',
      'account_selection_required',
      (ctx) => isOpen(ctx, 'select_account') && ctx.oidc.session?.accountId !== undefined,
    ),
  );
}

/**
 * Opens with the registration (Initiating User Registration via OpenID Connect 1.0). Who is sent there chooses no account
 * that there is already: to ask for both says nothing (section 4).
 */
export function create(): interactionPolicy.Prompt {
  return prompt(
    'create',
    new Check('create_prompt', 'no account was created', 'interaction_required', (ctx) => {
      if (ctx.oidc.prompts.has('create') && ctx.oidc.prompts.has('select_account'))
        throw new errors.InvalidRequest('prompt create must not be used with select_account');
      return isOpen(ctx, 'create');
    }),
  );
}

/** With our check in the place of the engine's, which asks for a result of its own. */
function prompt(name: string, check: interactionPolicy.Check): interactionPolicy.Prompt {
  const made = new Prompt({ name, requestable: true });
  made.checks.clear();
  made.checks.add(check);
  return made;
}
