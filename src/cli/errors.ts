import { isUnavailable } from '../db/sql-state.ts';
import { AppError } from '../errors.ts';

/** The reason in words: never a stack, and of what was not thrown by us no text, which could hold anything. */
export function describeError(error: unknown): string {
  if (error instanceof AppError) return error.message;
  if (isUnavailable(error))
    return 'The database does not answer. Nothing can be said of what was under way: look before trying again.';
  const code = error instanceof Error && 'code' in error ? ` ${String(error.code)}` : '';
  return `Something went wrong that this program did not foresee (${error instanceof Error ? error.name : typeof error}${code}).`;
}
