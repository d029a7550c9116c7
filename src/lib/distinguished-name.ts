/** One relative distinguished name: its attributes as `type=value`, in an order that does not depend on how it was written. */
type Rdn = readonly string[];

/** Short names, and those that other tools print for the same type. */
const aliases: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.4': 'SN',
  '2.5.4.5': 'SERIALNUMBER',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  S: 'ST',
  '2.5.4.9': 'STREET',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '0.9.2342.19200300.100.1.1': 'UID',
  '0.9.2342.19200300.100.1.25': 'DC',
  '1.2.840.113549.1.9.1': 'EMAILADDRESS',
  E: 'EMAILADDRESS',
  EMAIL: 'EMAILADDRESS',
  '2.5.4.97': 'ORGANIZATIONIDENTIFIER',
};

/**
 * Reads a distinguished name in its string form (RFC 4514), such that two of them that say the same are deeply equal; the
 * values are compared as they are. Undefined for any other text, and for values in their encoded form (`#…`).
 */
export function parseDistinguishedName(text: string): readonly Rdn[] | undefined {
  const rdns: string[][] = [];
  let rdn: string[] = [];
  let rest = text;
  for (;;) {
    const type = /^ *([a-z][a-z0-9-]*|\d+(?:\.\d+)+) *= */i.exec(rest);
    if (type === null) return undefined;
    rest = rest.slice(type[0].length);
    // Up to a separator that is not escaped; a space at its end belongs to it only where it is escaped.
    const value = /^(?:[^\\,;+"<>\0]|\\[0-9a-f]{2}|\\[ "#+,;<=>\\])*/i.exec(rest)?.[0] ?? '';
    rest = rest.slice(value.length);
    const plain = value.startsWith('#') ? undefined : unescape(trimEnd(value));
    if (plain === undefined || plain === '') return undefined;
    const name = (type[1] as string).toUpperCase();
    rdn.push(`${aliases[name] ?? name}=${plain}`);
    const separator = rest[0];
    rest = rest.slice(1);
    if (separator === '+') continue;
    rdns.push(rdn.sort());
    if (separator === undefined) return rdns;
    if (separator !== ',' && separator !== ';') return undefined;
    rdn = [];
  }
}

/** A space at the end belongs to the value where it is escaped: after an odd number of backslashes. */
function trimEnd(value: string): string {
  let end = value.length;
  while (value[end - 1] === ' ') end--;
  let backslashes = 0;
  while (value[end - 1 - backslashes] === '\\') backslashes++;
  return value.slice(0, backslashes % 2 === 1 ? end + 1 : end);
}

/** Undefined where the bytes are no UTF-8. */
function unescape(value: string): string | undefined {
  const bytes: Buffer[] = [];
  for (const [, hex, escaped, plain] of value.matchAll(/\\([0-9a-f]{2})|\\(.)|([^\\]+)/gi))
    bytes.push(
      hex === undefined ? Buffer.from((escaped ?? plain) as string) : Buffer.from(hex, 'hex'),
    );
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(bytes));
  } catch {
    return undefined;
  }
}
