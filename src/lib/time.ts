/** Now as epoch seconds, as JWTs count time (RFC 7519, section 2). */
export function epochSeconds(date = new Date()): number {
  return Math.floor(date.getTime() / 1000);
}

/** The instant of an epoch-seconds value. */
export function fromEpoch(seconds: number): Date {
  return new Date(seconds * 1000);
}
