import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/** Certificates (RFC 5280) of any make, right or wrong, for servers and their clients. */

export interface Certificate {
  /** PEM. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
  readonly der: Buffer;
  readonly subject: Subject;
  readonly privateKey: KeyObject;
}

/** Relative distinguished names in the order of the certificate, the most general first. */
type Subject = readonly (readonly [type: keyof typeof attributes, value: string])[];

export interface CertificateInput {
  readonly subject?: Subject;
  /** The issuer. Default: signed with its own key. */
  readonly issuer?: Certificate;
  /** Its key. Default: `ec`, on P-256. An issuer has an EC key. */
  readonly key?: 'ec' | 'rsa';
  readonly ca?: boolean;
  readonly names?: {
    readonly dns?: string;
    readonly email?: string;
    readonly uri?: string;
    readonly ip?: readonly number[];
  };
  readonly expired?: boolean;
}

/** Object identifiers as they are encoded. */
const attributes = { C: '550406', O: '55040a', OU: '55040b', CN: '550403' } as const;

const der = (tag: number, ...parts: Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  const { length } = body;
  // As few bytes as will do: browsers refuse any more.
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
};
const sequence = (...parts: Uint8Array[]) => der(0x30, ...parts);
const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));
const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'));
const yes = der(0x01, Buffer.from([0xff]));

const nameOf = (subject: Subject) =>
  sequence(
    ...subject.map(([type, value]) =>
      der(0x31, sequence(oid(attributes[type]), der(0x0c, Buffer.from(value)))),
    ),
  );

const time = (year: number) =>
  der(0x17, Buffer.from(`${String(year % 100).padStart(2, '0')}0101000000Z`));

function extensions({ ca = false, names }: CertificateInput): Buffer {
  const list = [sequence(oid('551d13'), yes, der(0x04, sequence(...(ca ? [yes] : []))))];
  const all = [
    ...(names?.email === undefined ? [] : [der(0x81, Buffer.from(names.email))]),
    ...(names?.dns === undefined ? [] : [der(0x82, Buffer.from(names.dns))]),
    ...(names?.uri === undefined ? [] : [der(0x86, Buffer.from(names.uri))]),
    ...(names?.ip === undefined ? [] : [der(0x87, Buffer.from(names.ip))]),
  ];
  if (all.length > 0) list.push(sequence(oid('551d11'), der(0x04, sequence(...all))));
  return der(0xa3, sequence(...list));
}

/** One that is signed by its own key, for this name. */
export const selfSigned = (name = 'localhost') => certificate({ subject: [['CN', name]] });

/** A certificate of version 3 for ten years. */
export function certificate(input: CertificateInput = {}): Certificate {
  const { subject = [['CN', 'client']], issuer, expired = false } = input;
  const pair =
    input.key === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const year = new Date().getUTCFullYear();
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ecdsaWithSha256,
    nameOf(issuer?.subject ?? subject),
    sequence(time(year - 2), time(expired ? year - 1 : year + 8)),
    nameOf(subject),
    pair.publicKey.export({ type: 'spki', format: 'der' }),
    extensions(input),
  );
  const signature = sign('sha256', body, issuer?.privateKey ?? pair.privateKey);
  const bytes = sequence(body, ecdsaWithSha256, der(0x03, Buffer.from([0]), signature));
  const lines = bytes.toString('base64').replace(/.{64}(?=.)/g, '$&\n');
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    der: bytes,
    subject,
    privateKey: pair.privateKey,
  };
}
