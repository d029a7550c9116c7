/** Why a grant of ours was refused, for the audit: the client is told less, where more would tell of what is not its own. */
export interface Refusal {
  /** A stable word. */
  readonly reason: string;
  readonly accountId?: string | undefined;
  readonly grantId?: string | undefined;
}

const refusals = new WeakMap<object, Refusal>();

/** The error with what the audit is told of it. */
export function refusal<E extends Error>(error: E, told: string | Refusal): E {
  refusals.set(error, typeof told === 'string' ? { reason: told } : told);
  return error;
}

/** What the audit is told of an error; nothing of it was sent by anybody. */
export function refusalOf(error: object): Refusal | undefined {
  return refusals.get(error);
}
