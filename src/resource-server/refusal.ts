import { AppError } from '../errors.ts';

/** @throws AppError `unknown_scope` */
export function checkScopes(
  identifier: string,
  own: readonly string[],
  asked: readonly string[],
): void {
  const unknown = asked.filter((scope) => !own.includes(scope));
  if (unknown.length === 0) return;
  throw new AppError(
    'unknown_scope',
    `The API ${identifier} has no scope ${unknown.join(', ')}. It has: ${own.join(', ')}.`,
    { status: 400 },
  );
}

export function unknownApi(identifier: string): AppError {
  return new AppError('unknown_api', `There is no API ${identifier}.`, { status: 404 });
}
