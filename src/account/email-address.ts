import { domainToASCII } from 'node:url';
import type { EmailProblem, NameProblem } from './account.ts';

/** An address as the person wrote it, and the form in which addresses are compared. */
export interface EmailAddress {
  readonly email: string;
  readonly key: string;
}

/** RFC 5321, section 4.5.3.1: octets of a local part, and of an address as it fits into a path. */
const LOCAL_MAX = 64;
const EMAIL_MAX = 254;
/** Characters (code points) of a display name. */
const NAME_MAX = 100;

/** Control, format, unassigned and space characters, and those that show as nothing: two addresses must not look alike. */
const hidden = /[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]/u;
/** An unquoted local part (RFC 5321; RFC 6531 for letters outside ASCII). */
const localPart =
  /^(?!\p{M})[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+(\.[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+)*$/u;
const typedDomain = /^[\p{L}\p{M}\p{N}.-]+$/u;
const asciiDomain =
  /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+(?!\d+$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Reads an address: what surrounds it is trimmed; the key is one for all spellings that mean the same mailbox to a
 * person (Unicode forms, case, a domain in its two writings). Mail always goes to `email`, never to the key.
 */
export function readEmail(value: string): EmailAddress | EmailProblem {
  const typed = value.trim().normalize('NFC');
  if (typed === '') return 'missing';
  if (Buffer.byteLength(typed) > EMAIL_MAX) return 'too-long';
  const [local = '', domain = '', ...more] = typed.split('@');
  const folded = local.normalize('NFKC').toLowerCase();
  const ascii = typedDomain.test(domain) ? domainToASCII(domain) : '';
  const isHost = (asciiDomain.test(ascii) && ascii.length <= 253) || ascii === 'localhost';
  if (
    more.length > 0 ||
    hidden.test(typed) ||
    !localPart.test(local) ||
    !localPart.test(folded) ||
    !isHost
  )
    return 'malformed';
  if (Buffer.byteLength(folded) > LOCAL_MAX || Buffer.byteLength(local) > LOCAL_MAX)
    return 'too-long';
  return { email: `${local}@${domain.toLowerCase()}`, key: `${folded}@${ascii}` };
}

/**
 * Top-level names that no mail server can ever have: .invalid and .example (RFC 6761), .onion (RFC 7686), .alt
 * (RFC 9476). Other reserved names stay allowed: .test, .localhost, .local and .internal may have mail servers inside a
 * network, and example.com, .net and .org are what people try things out with.
 */
const withoutMail = /\.(invalid|example|onion|alt)$/;

/** Reads an email address that somebody wants to use from now on: one that can never get mail is refused as well. */
export function readNewEmail(value: string): EmailAddress | EmailProblem {
  const address = readEmail(value);
  return typeof address === 'object' && withoutMail.test(address.key) ? 'undeliverable' : address;
}

/**
 * The key under which guesses at an address are counted together with those at its aliases: without a `+tag`, and
 * without the dots that Gmail does not look at. Accounts are never found by it.
 */
export function aliasKey(key: string): string {
  const [local = '', domain = ''] = key.split('@');
  const plain = local.replace(/\+.*$/, '') || local;
  const isGmail = domain === 'gmail.com' || domain === 'googlemail.com';
  return isGmail ? `${plain.replaceAll('.', '')}@gmail.com` : `${plain}@${domain}`;
}

/** Zero-width joiners are letters' business in some scripts and in emoji; the other format characters turn text around. */
const unfitForNames = /[\p{Cc}\p{Cs}\p{Co}\p{Cn}]|(?![\u200c\u200d])\p{Cf}/u;

/**
 * Reads a display name, or undefined where none was given. A name that holds an address other than the account's own
 * is refused: pages and apps would show it where people expect the address.
 */
export function readName(
  value: string | undefined,
  ownKey: string,
): { readonly name: string | undefined } | NameProblem {
  const name = (value ?? '').normalize('NFC').trim().replace(/\s+/gu, ' ');
  if (name === '') return { name: undefined };
  if (Array.from(name).length > NAME_MAX) return 'too-long';
  if (unfitForNames.test(name)) return 'malformed';
  const folded = name.normalize('NFKC').replace(/[\s\p{Default_Ignorable_Code_Point}]/gu, '');
  if (!folded.includes('@')) return { name };
  const address = readEmail(folded);
  return typeof address === 'object' && address.key === ownKey ? { name } : 'malformed';
}
