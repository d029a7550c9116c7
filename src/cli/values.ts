import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** A number of seconds. */
export const seconds = z
  .string()
  .regex(/^\d{1,9}$/, 'expected a number of seconds')
  .transform(Number)
  .optional();

/** Values separated by commas. */
export const list = z
  .string()
  .optional()
  .transform((text) => text?.split(',').map((one) => one.trim()));

/** The JSON in the named file. */
export const jsonFile = z
  .string()
  .optional()
  .transform((path, context) => {
    if (path === undefined) return undefined;
    try {
      return JSON.parse(readFileSync(path, 'utf8')) as unknown;
    } catch {
      context.addIssue({ code: 'custom', message: 'expected a file that contains JSON' });
      return z.NEVER;
    }
  });

/** The certificate in a file, as a JWK Set with its key and the certificate itself. */
export const certificateFile = z
  .string()
  .optional()
  .transform((path, context) => {
    if (path === undefined) return undefined;
    try {
      const { publicKey, raw } = new X509Certificate(readFileSync(path));
      const key: Record<string, unknown> = {
        ...publicKey.export({ format: 'jwk' }),
        x5c: [raw.toString('base64')],
      };
      return { keys: [key] };
    } catch {
      context.addIssue({ code: 'custom', message: 'expected a file that contains a certificate' });
      return z.NEVER;
    }
  });

/** The part before the first `=` is the kind of name. */
export const certificateName = z
  .string()
  .optional()
  .transform((text, context) => {
    if (text === undefined) return undefined;
    const [, kind, name] = /^(subject-dn|san-dns|san-uri|san-ip|san-email)=(.*)$/s.exec(text) ?? [];
    if (kind !== undefined) return { kind: kind.replace('-', '_'), name };
    context.addIssue({
      code: 'custom',
      message:
        'expected KIND=NAME, where KIND is one of subject-dn, san-dns, san-uri, san-ip, san-email',
    });
    return z.NEVER;
  });

export const yesOrNo = z
  .enum(['true', 'false'])
  .transform((value) => value === 'true')
  .optional();

export const uriOrNone = z
  .string()
  .optional()
  .transform((uri) => (uri === 'none' ? null : uri));
