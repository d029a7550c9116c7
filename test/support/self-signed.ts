import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

/** A certificate that is signed by its own key, and the key: both as PEM. */
export interface SelfSigned {
  readonly cert: string;
  readonly key: string;
}

const der = (tag: number, ...parts: Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  const size = body.length < 128 ? [body.length] : [0x82, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
};
const sequence = (...parts: Uint8Array[]) => der(0x30, ...parts);
const ecdsaWithSha256 = sequence(Buffer.from('06082a8648ce3d040302', 'hex'));
const commonName = Buffer.from('0603550403', 'hex');

/** An X.509 certificate of version 1, on P-256, for a name and ten years (RFC 5280, section 4.1). */
export function selfSigned(name = 'localhost'): SelfSigned {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const names = sequence(der(0x31, sequence(commonName, der(0x0c, Buffer.from(name)))));
  const time = (year: number) =>
    der(0x17, Buffer.from(`${String(year % 100).padStart(2, '0')}0101000000Z`));
  const year = new Date().getUTCFullYear();
  const serial = Buffer.concat([Buffer.from([1]), randomBytes(8)]);
  const body = sequence(
    der(0x02, serial),
    ecdsaWithSha256,
    names,
    sequence(time(year - 1), time(year + 9)),
    names,
    publicKey.export({ type: 'spki', format: 'der' }),
  );
  const signature = sign('sha256', body, privateKey);
  const bytes = sequence(body, ecdsaWithSha256, der(0x03, Buffer.from([0]), signature));
  const lines = bytes.toString('base64').replace(/.{64}/g, '$&\n');
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}
