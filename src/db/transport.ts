import { isIP } from 'node:net';
import pg from 'pg';
import { type Target, nameOf, unreadable } from './hosts.ts';

/**
 * Sentences for the operator about connections that others on the way can read, or answer in the database's place.
 * @throws AppError `database_unreachable` where a target can't be read
 */
export function transportNotices(targets: readonly Target[]): string[] {
  return targets.flatMap((target) => {
    const client = parsed(target);
    if (isThisMachine(client.host)) return [];
    const { ssl } = client as unknown as { ssl: boolean | { rejectUnauthorized?: boolean } };
    const name = nameOf(client);
    if (ssl === false)
      return `The connection to the database at ${name} is not encrypted: whoever is on the way reads and changes it. Add sslmode=verify-full to DATABASE_URL.`;
    if (typeof ssl === 'object' && ssl.rejectUnauthorized === false)
      return `The certificate of the database at ${name} is not verified: anything on the way can take its place. Use sslmode=verify-full in DATABASE_URL.`;
    return [];
  });
}

function parsed(target: Target): pg.Client {
  try {
    // Parses and connects to nothing.
    return new pg.Client(target);
  } catch (error) {
    // A certificate's file that can't be read names itself; what the parser says holds the URL, and with it the password.
    throw unreadable((error as { path?: unknown }).path);
  }
}

const isThisMachine = (host: string) =>
  host.startsWith('/') ||
  host === 'localhost' ||
  host === '::1' ||
  (isIP(host) === 4 && host.startsWith('127.'));
