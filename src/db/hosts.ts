import type pg from 'pg';
import { AppError } from '../errors.ts';

/** Where one server of the database is. */
export type Target =
  | { readonly connectionString: string }
  | {
      readonly host: string;
      readonly port: number;
      readonly user: string;
      readonly database: string;
      readonly options?: string;
    };

/**
 * The servers of which one is the primary, in the order in which they are tried. A new connection goes to the last one
 * that took one; whoever finds that it is not the primary, or not there, moves everybody on to the next.
 */
export class Hosts {
  readonly #targets: readonly Target[];
  #current = 0;
  #takesSettings = true;

  constructor(targets: readonly Target[]) {
    this.#targets = targets;
  }

  get current(): Target {
    return this.#targets[this.#current] as Target;
  }

  get count(): number {
    return this.#targets.length;
  }

  /** A new connection to `target` failed. */
  leave(target: Target): void {
    if (target === this.current) this.#current = (this.#current + 1) % this.#targets.length;
  }

  /** Whether settings can be sent with the connection's first message: a pooler may refuse those that it does not know. */
  get takesSettings(): boolean {
    return this.#takesSettings;
  }

  /** From now on only those are sent that every pooler knows. Gives whether that is a change. */
  sendFewerSettings(): boolean {
    const isChange = this.#takesSettings;
    this.#takesSettings = false;
    return isChange;
  }
}

const authority = /^(postgres(?:ql)?:\/\/(?:[^@/?#]*@)?)([^/?#]*)(.*)$/s;

/**
 * One URL for each server that a libpq URL names: `postgres://user@one:5432,two:5433/database`, or lists in its parameters
 * `host` and `port`.
 * @throws AppError `database_unreachable` for one that can't be read; the URL, which holds a password, is not in the error.
 */
export function parseTargets(url: string): Target[] {
  const [, before, hosts = '', after = ''] = authority.exec(url) ?? [];
  if (before === undefined) throw unreadable();
  const [path, query] = splitOnce(after, '?');
  const parameters = new URLSearchParams(query);
  checkSessionTarget(parameters.get('target_session_attrs'));
  parameters.delete('target_session_attrs');
  const names = parameters.get('host')?.split(',') ?? [];
  const ports = parameters.get('port')?.split(',') ?? [];
  if (names.length < 2 && ports.length < 2) {
    return hosts.split(',').map((host) => target(before, host, path, parameters));
  }
  if (ports.length > 1 && ports.length !== Math.max(names.length, 1)) throw unreadable();
  return names.map((name, place) => {
    const own = new URLSearchParams(parameters);
    own.set('host', name);
    if (ports.length > 0) own.set('port', ports[ports.length === 1 ? 0 : place] as string);
    return target(before, hosts, path, own);
  });
}

function target(before: string, host: string, path: string, parameters: URLSearchParams): Target {
  // `+` for a space is a habit of forms, and not of libpq's.
  const query = parameters.toString().replaceAll('+', '%20');
  return { connectionString: `${before}${host}${path}${query === '' ? '' : `?${query}`}` };
}

/** Every connection is checked to lead to a primary, so nothing else can be asked for. */
function checkSessionTarget(wanted: string | null): void {
  if (wanted === null || wanted === 'primary' || wanted === 'read-write') return;
  throw new AppError(
    'database_unreachable',
    'DATABASE_URL asks for target_session_attrs with a value that leads to standbys. The server only works on a primary: leave it out, or write read-write.',
  );
}

/** @param file of a certificate or key that the URL names, and that can't be read. */
export function unreadable(file?: unknown): AppError {
  if (typeof file === 'string')
    return new AppError(
      'database_unreachable',
      `DATABASE_URL names a file that can't be read: ${file}`,
    );
  return new AppError(
    'database_unreachable',
    'DATABASE_URL is not a URL that can be read. Characters such as @ / : # in the password must be percent-encoded. Several hosts are separated by commas: postgres://user:secret@db1:5432,db2:5432/vouchsafe',
  );
}

function splitOnce(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

/** What a connection is called in errors: never with its password. */
export function nameOf({ host, port }: pg.Client): string {
  return host.startsWith('/') ? host : `${host}:${port}`;
}
