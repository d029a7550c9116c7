/** Authentication context classes, weakest first. `phr` (phishing-resistant) cannot be reached before there are passkeys. */
export const acr = {
  oneFactor: 'urn:vouchsafe:acr:1fa',
  twoFactors: 'urn:vouchsafe:acr:2fa',
} as const;

const ranks = new Map<string, number>([
  [acr.oneFactor, 1],
  [acr.twoFactors, 2],
]);

/** The strength of a context class; 0 for an unknown one. */
export function rankOf(value: string | undefined): number {
  return value === undefined ? 0 : (ranks.get(value) ?? 0);
}

/** The first of the values that this server knows: the one the client would rather have. Unknown ones are ignored. */
export function preferredAcr(values: readonly string[]): string | undefined {
  return values.find((value) => rankOf(value) > 0);
}

/** The context class that methods amount to (RFC 8176 values). */
export function acrOf(amr: readonly string[]): string {
  return amr.includes('mfa') ? acr.twoFactors : acr.oneFactor;
}
