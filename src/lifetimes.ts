/** How long an interaction and a code for a device live, in seconds. */
export const ttl = {
  interaction: 3_600,
  deviceCode: 600,
};

interface Bounds {
  readonly min: number;
  readonly max: number;
  /** What holds where nothing is set. */
  readonly usual: number;
}

/**
 * What an operator may set, in seconds. Keys are kept for as long as the longest of these (src/keys/keys.ts), whatever
 * is set just now: what was issued before a change lives on.
 */
export const lifetimeBounds = {
  code: { min: 10, max: 600, usual: 60 },
  accessToken: { min: 60, max: 86_400, usual: 3_600 },
  idToken: { min: 60, max: 86_400, usual: 3_600 },
  /** Of a token family: no refresh moves its end. */
  refreshToken: { min: 300, max: 31_536_000, usual: 14 * 86_400 },
  /** From the last visit. */
  sessionIdle: { min: 300, max: 90 * 86_400, usual: 14 * 86_400 },
  /** From the sign-in. */
  sessionAbsolute: { min: 300, max: 90 * 86_400, usual: 30 * 86_400 },
} as const satisfies Record<string, Bounds>;

export type Lifetimes = { readonly [Name in keyof typeof lifetimeBounds]: number };
