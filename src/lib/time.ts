/** As far as the clock of a process that serves may be from the database's (seconds): past it, it is not ready. */
export const CLOCK_SLACK = 5;

/** Now as epoch seconds, as JWTs count time (RFC 7519, section 2). */
export function epochSeconds(date = new Date()): number {
  return Math.floor(date.getTime() / 1000);
}

/** The instant of an epoch-seconds value. */
export function fromEpoch(seconds: number): Date {
  return new Date(seconds * 1000);
}
