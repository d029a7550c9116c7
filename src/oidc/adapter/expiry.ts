import { epochSeconds } from '../../lib/time.ts';

/** Longer than a request takes, and than what the engine tolerates of other clocks (seconds). */
const WHILE = 60;

/**
 * The `exp` that the engine gets. It compares it with the clock of this process, which may be behind or ahead; the database
 * has decided already, in the read that brought the row, and this makes the engine find the same.
 */
export function judgedExp(exp: number, isExpired: boolean): number {
  const now = epochSeconds();
  if (isExpired) return Math.min(exp, now - WHILE);
  return exp > now ? exp : now + WHILE;
}
