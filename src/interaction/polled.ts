import { sameNetwork } from '../lib/client-address.ts';
import type { Pages } from '../pages/pages.ts';
import type { Sealer } from '../lib/seal.ts';
import { type AskedRequest, isHandle } from '../unit-of-work/polled-requests.ts';
import { openSecrets, writeUserCode } from '../oidc/decoupled/secrets.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';
import type { Interaction, Visit } from './visit.ts';

/** The request that a program polls for and this interaction is to answer; undefined for an authorization request. */
export async function findPolled({
  deviceCode,
}: Pick<Interaction, 'deviceCode'>): Promise<AskedRequest | undefined> {
  return deviceCode !== undefined && isHandle(deviceCode)
    ? currentUnit().polled.find(deviceCode)
    : undefined;
}

/** What the person compares before answering: a code on the device, or a message in the program that asks. */
export async function describePolled(
  { ctx, interaction }: Visit,
  sealer: Sealer,
): Promise<Pages['consent']['request']> {
  const request = await findPolled(interaction);
  if (request === undefined) return undefined;
  const askedAt = request.createdAt;
  if (request.kind === 'ciba') {
    const { binding_message: message } = (request.payload.params ?? {}) as {
      binding_message?: string;
    };
    return { kind: 'ciba', askedAt, message };
  }
  const { userCode } = openSecrets(sealer, request);
  const { address } = (request.payload.deviceInfo ?? {}) as { address?: string };
  const here = ctx.state.address as string;
  return {
    kind: 'device',
    askedAt,
    code: userCode === undefined ? undefined : writeUserCode(userCode),
    otherNetwork: address === undefined || sameNetwork(address, here) ? undefined : address,
  };
}
