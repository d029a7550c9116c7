import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { proofs } from '../support/metadata-proofs.ts';
import { certificateEnv, freePort, openWorld, type World } from '../support/metadata-world.ts';

/**
 * COMPATIBILITY 4: the metadata says exactly what works. Each member has its proof in test/support/metadata-proofs.ts; a new
 * member without one fails, and so does one that is not there while the thing works.
 */

const worlds: Record<string, () => Promise<Record<string, string>>> = {
  'as it starts without being told anything': async () => ({}),
  'with all that there is to switch on': async () => ({
    ...certificateEnv,
    MTLS_HOST: 'mtls.example.com',
    CLIENT_REGISTRATION: 'open',
  }),
  'whose issuer has a path': async () => {
    const port = String(await freePort());
    return { PORT: port, ISSUER: `http://localhost:${port}/id` };
  },
};

describe.each(Object.keys(worlds))('a server %s', (name) => {
  let world: World;
  let metadata: Record<string, unknown>;

  beforeAll(async () => {
    world = await openWorld(await worlds[name]?.());
    metadata = await world.metadata();
  });

  afterAll(() => world.close());

  test('claims nothing that is not proved here', () => {
    expect(Object.keys(metadata).filter((member) => proofs[member] === undefined)).toEqual([]);
  });

  test.each(Object.keys(proofs))('COMPATIBILITY 4: %s', async (member) => {
    const { listed, absent } = proofs[member] as (typeof proofs)[string];
    const value = metadata[member];
    // Only what is refused where it is not claimed may be missing.
    expect(value ?? absent).toBeDefined();
    if (absent !== undefined && (value === undefined || value === false)) await absent(world);
    else await listed(world, value);
  });
});
