import { createHmac } from 'node:crypto';
import type { Sealer } from '../../lib/seal.ts';
import { readTypedCode } from '../../lib/typed-code.ts';
import {
  type AskedRequest,
  type PolledSecrets,
  sealedPlace,
} from '../../unit-of-work/polled-requests.ts';

/** User codes are short: whoever has a dump, and a plain hash, has the code. */
const purpose = 'user codes';
const macOf = (key: Buffer, userCode: string) =>
  createHmac('sha256', key).update(userCode).digest();

/** What a new user code, normalised, is stored as. */
export function userCodeMac(sealer: Sealer, userCode: string): Buffer {
  return macOf(sealer.derive(purpose), userCode);
}

/** What it may be stored as: codes outlive a change of the master key. */
export function userCodeMacs(sealer: Sealer, userCode: string): Buffer[] {
  return sealer.deriveEach(purpose).map((key) => macOf(key, userCode));
}

export function sealSecrets(sealer: Sealer, id: string, secrets: PolledSecrets): Buffer {
  return sealer.seal(JSON.stringify(secrets), sealedPlace(id));
}

/** Nothing is left of them once the request is answered. */
export function openSecrets(
  sealer: Sealer,
  { id, secretsSealed }: Pick<AskedRequest, 'id' | 'secretsSealed'>,
): PolledSecrets {
  if (secretsSealed === undefined) return {};
  return JSON.parse(sealer.open(secretsSealed, sealedPlace(id)).toString()) as PolledSecrets;
}

/** Twenty letters without vowels, so that codes spell nothing (RFC 8628, section 6.1). */
const alphabet = 'BCDFGHJKLMNPQRSTVWXZ';
const LENGTH = 8;

/** The user code that was typed; undefined if it can't be one. */
export function readUserCode(typed: string): string | undefined {
  const code = readTypedCode(typed);
  return code.length === LENGTH && Array.from(code).every((letter) => alphabet.includes(letter))
    ? code
    : undefined;
}

/** As it is shown: XXXX-XXXX. */
export function writeUserCode(code: string): string {
  return `${code.slice(0, LENGTH / 2)}-${code.slice(LENGTH / 2)}`;
}
