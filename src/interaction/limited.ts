import { AppError } from '../errors.ts';

/** In place of an answer: there were too many tries, and the page has said so. */
export const limited = Symbol('limited');

export function isLimit(error: unknown): error is AppError {
  return error instanceof AppError && error.status === 429;
}

/** Too many passwords wait to be compared with their hash: this one was not. */
export function isBusy(error: unknown): boolean {
  return isLimit(error) && error.code === 'busy';
}

/** Runs what is limited; where there were too many tries, shows the page that says so, with the seconds to wait. */
export async function withinLimits<T>(
  work: () => Promise<T>,
  show: (retryAfter: number | undefined) => Promise<void> | void,
): Promise<T | typeof limited> {
  try {
    return await work();
  } catch (error) {
    if (!isLimit(error)) throw error;
    await show(error.retryAfter);
    return limited;
  }
}
