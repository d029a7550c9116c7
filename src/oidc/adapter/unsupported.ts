import Provider, { type Adapter } from 'oidc-provider';

/** What no feature that is on asks for: nothing is found, and nothing may be stored. */
export const refusals: Adapter = {
  find: async () => undefined,
  findByUid: async () => undefined,
  findByUserCode: async () => undefined,
  upsert: () => unsupported('upsert'),
  consume: () => unsupported('consume'),
  destroy: () => unsupported('destroy'),
  revokeByGrantId: async () => undefined,
};

function unsupported(method: string): never {
  throw new TypeError(`the adapter does not support ${method} for this model`);
}

/** Which of the engine's routes answers this request. */
export function currentRoute(): string | undefined {
  return (Provider.ctx as { oidc?: { route?: string } } | undefined)?.oidc?.route;
}
