import { setTimeout as delay } from 'node:timers/promises';
import { isConflict } from './sql-state.ts';

/** Four pauses at most, of 160 ms together at the longest: far below the five seconds that a request may wait. */
const PAUSES_MS = [10, 20, 40, 90];

/**
 * Does work again that lost a race (see `isConflict`), after a pause that grows and is random, so that those who collided
 * don't meet again. The one place that retries: what still fails after the last pause is thrown, and answered with 503.
 * @param work leaves nothing behind when it fails.
 */
export async function retryConflicts<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    return await retryAfter(error, work);
  }
}

/** The same where the first attempt has failed already. */
export async function retryAfter<T>(failure: unknown, work: () => Promise<T>): Promise<T> {
  let last = failure;
  for (const pause of PAUSES_MS) {
    if (!isConflict(last)) break;
    await delay(pause * (0.5 + Math.random() / 2));
    try {
      return await work();
    } catch (error) {
      last = error;
    }
  }
  throw last;
}
