import { join } from 'node:path';
import { type Profile, startProfile } from './profile.ts';
import { readSettings, type Settings } from './settings.ts';

/** `npm run conformance`: the server as the OpenID Foundation's suite needs it. README.md beside this says how to go on. */

const settings = readSettings(process.env);
let profile: Profile | undefined;
let stopping: Promise<void> | undefined;

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop(0));

try {
  profile = await startProfile(settings, process.env);
  void profile.ended.then(() => stop(1));
  process.stdout.write(introduction(settings, profile));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  await stop(1);
}

function stop(code: number): Promise<void> {
  stopping ??= Promise.resolve(profile?.stop()).then(() => process.exit(code));
  return stopping;
}

function introduction({ issuer, folder }: Settings, { plans, person }: Profile): string {
  const lines = plans.map(({ name, file }) => `  '${name}' ${join(folder, file)}`);
  return `
The server answers at ${issuer} for the suite. Who signs in there: ${person.email}, ${person.password}

The plans, and the configuration of each, as the suite's run-test-plan.py takes them:

${lines.join('\n')}
`;
}
