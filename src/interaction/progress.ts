import { z } from 'zod';

/**
 * How far a sign-in has come. It lives in the interaction, and becomes a session only when every factor is done: until
 * then nobody is signed in. `step` is raised by each change, so that of two posts at once one goes on.
 */
const progressSchema = z.object({
  step: z.number().int().default(0),
  /** Whose password was right. */
  accountId: z.string().optional(),
  /** Epoch seconds. */
  passwordAt: z.number().optional(),
  /** The methods done so far (RFC 8176 values). */
  amr: z.array(z.string()).default([]),
  /** The proof of an address that is waited for: who knows `ref` knows nothing without the code. */
  waiting: z.object({ ref: z.string(), email: z.string() }).optional(),
  /** What the sign-in page is filled in with: the address that was registered or confirmed here. */
  email: z.string().optional(),
  /** The seed that is being enrolled, sealed, base64. */
  seed: z.string().optional(),
  /** Recovery codes that wait to be saved, sealed, base64. */
  codes: z.string().optional(),
});

export type Progress = z.output<typeof progressSchema>;

/** A progress whose password is done. */
export type SigningIn = Progress & { readonly accountId: string; readonly passwordAt: number };

/** What a sign-in begins with: nothing of another one, or of another person's, is left. */
export const startProgress = {
  accountId: undefined,
  passwordAt: undefined,
  amr: [] as string[],
  waiting: undefined,
  email: undefined,
  seed: undefined,
  codes: undefined,
} satisfies Partial<Progress>;

export function parseProgress(stored: unknown): Progress {
  return progressSchema.parse(stored ?? {});
}

/** Whether the password is done: only then is there an account to speak of. */
export function isSigningIn(progress: Progress): progress is SigningIn {
  return progress.accountId !== undefined && progress.passwordAt !== undefined;
}

export type SealedPart = 'seed' | 'codes';

/** What a sealed part of a progress is bound to. */
export const sealedPlace = (uid: string, part: SealedPart) => `interactions:${uid}:${part}`;
