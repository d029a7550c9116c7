import { AppError } from '../errors.ts';

/**
 * Refuses what is said of a client.
 * @throws AppError `invalid_client`, with the reason in words.
 */
export function refuse(reason: string): never {
  throw new AppError('invalid_client', reason, { status: 400 });
}

export function unknownClient(id: string): AppError {
  return new AppError('unknown_client', `There is no client ${id}.`, { status: 404 });
}
