import { isUnavailable } from '../db/sql-state.ts';
import { AppError } from '../errors.ts';

/** The reason in words: never a stack, and no message of an unexpected error, which could contain anything. */
export function describeError(error: unknown): string {
  if (error instanceof AppError) return error.message;
  if (isUnavailable(error))
    return 'The database is unavailable. The command may or may not have taken effect: check before you run it again.';
  const code = error instanceof Error && 'code' in error ? ` ${String(error.code)}` : '';
  return `Unexpected error (${error instanceof Error ? error.name : typeof error}${code}).`;
}
