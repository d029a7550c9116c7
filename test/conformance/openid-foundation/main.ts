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

function introduction(
  { issuer, folder }: Settings,
  { plans, person, commandEnvironment }: Profile,
): string {
  const lines = plans.map(({ name, file }) => `  '${name}' ${join(folder, file)}`);
  const environment = Object.entries(commandEnvironment).map(([name, value]) => `${name}=${value}`);
  return `
The server is ready for the suite at ${issuer}. The user is ${person.email}, ${person.password}

The plans, each with its configuration, as the suite's run-test-plan.py takes them:

${lines.join(' \\\n')}

While oidcc-server-rotate-keys waits, rotate the keys:

  ${environment.join(' ')} npm run -s cli -- keys rotate --alg RS256 --alg PS256 --alg ES256
`;
}
