import { networkKeys } from '../lib/client-address.ts';
import { aliasKey, readEmail } from './email-address.ts';
import type { LimitName } from './limit-figures.ts';

/** A point of a bucket: its name, and the key it counts by. */
export type Take = readonly [LimitName, string];

/**
 * What one try takes a point from, in this order and no further than the first bucket that is empty. `own` counts what one
 * client does itself, refused tries too. `shared` counts what is let through, since others need those points as well: it
 * goes from the smallest group of others to everybody.
 */
export interface Buckets {
  readonly own: readonly Take[];
  readonly shared: readonly Take[];
}

export interface PasswordGuess {
  /** The address as it was typed, or its key. */
  readonly account: string;
  /** The client's network address. */
  readonly address: string;
  /**
   * An id that this browser was given when it signed in to this very account, proven by a cookie of ours. Strangers can't
   * have one, so nothing they do locks the owner's own devices out.
   */
  readonly knownDevice: string | undefined;
}

export interface FactorGuess {
  readonly accountId: string;
  readonly address: string;
  /** As for a password. */
  readonly knownDevice: string | undefined;
}

export interface MailRequest {
  /** The address the email goes to. */
  readonly email: string;
  /** The network address of the client that asks for it. */
  readonly address: string;
}

export interface UserCodeGuess {
  /** The network address of the browser in which it is typed. */
  readonly address: string;
  /** The account that is signed in there. */
  readonly accountId: string | undefined;
}

export function passwordBuckets({ account, address, knownDevice }: PasswordGuess): Buckets {
  const who = mailboxKey(account);
  if (knownDevice !== undefined)
    return { own: [['password account+device', `${who} ${knownDevice}`]], shared: [] };
  const { own, site } = networksOf(address);
  return {
    own: [
      ['password account+address', `${who} ${own}`],
      ['password address', own],
    ],
    shared: [
      ['password account+site', `${who} ${site}`],
      ['password account', who],
      ...shares('password', address),
    ],
  };
}

export function factorBuckets({ accountId, address, knownDevice }: FactorGuess): Buckets {
  if (knownDevice !== undefined) {
    const who = `${accountId} ${knownDevice}`;
    return {
      own: [
        ['factor account+device', who],
        ['factor account+device, a day', who],
      ],
      shared: [],
    };
  }
  const whence = `${accountId} ${networksOf(address).site}`;
  return {
    own: [
      ['factor account+site', whence],
      ['factor account+site, a day', whence],
    ],
    shared: [
      ['factor account', accountId],
      ['factor account, a day', accountId],
    ],
  };
}

export function userCodeBuckets({ address, accountId }: UserCodeGuess): Buckets {
  return {
    own: [
      ['user code address', networksOf(address).own],
      ...(accountId === undefined ? [] : [['user code account', accountId] as const]),
    ],
    shared: shares('user code', address),
  };
}

export function mailBuckets({ email, address }: MailRequest): Buckets {
  const who = mailboxKey(email);
  const { own, site } = networksOf(address);
  return {
    own: [['mail address', own]],
    shared: [
      ['mail mailbox+site', `${who} ${site}`],
      ['mail mailbox+site, a day', `${who} ${site}`],
      ['mail mailbox', who],
      ['mail mailbox, a day', who],
    ],
  };
}

/** A registration, and the email that it sends. */
export function registrationBuckets(request: MailRequest): Buckets {
  const mail = mailBuckets(request);
  return {
    own: [['register address', networksOf(request.address).own], ...mail.own],
    shared: [...mail.shared, ...shares('register', request.address)],
  };
}

export function askingBuckets(clientId: string, email: string): Buckets {
  const who = mailboxKey(email);
  return {
    own: [['asked mailbox+client', `${who} ${clientId}`]],
    shared: [['asked mailbox', who]],
  };
}

export function documentBuckets(host: string, address: string | undefined): Buckets {
  return {
    own: address === undefined ? [] : [['document address', networksOf(address).own]],
    shared: [
      ['document host', host],
      ...(address === undefined ? [['document all', ''] as const] : shares('document', address)),
    ],
  };
}

function networksOf(address: string): { own: string; site: string } {
  const keys = networkKeys(address);
  return { own: keys[0], site: keys.at(-1) as string };
}

/** What belongs to everybody, after the share of the subnet (IPv6 only) and of the site. */
function shares(kind: 'password' | 'user code' | 'register' | 'document', address: string): Take[] {
  const [, ...wider] = networkKeys(address);
  const site = wider.at(-1);
  return [
    ...(wider.length === 2 ? [[`${kind} subnet`, wider[0] as string] as const] : []),
    ...(site === undefined ? [] : [[`${kind} site`, site] as const]),
    [`${kind} all`, ''],
  ];
}

/** One for all spellings and aliases of an address. What is no address counts as itself. */
function mailboxKey(email: string): string {
  const address = readEmail(email);
  return typeof address === 'string'
    ? email.trim().toLowerCase().slice(0, 254)
    : aliasKey(address.key);
}
