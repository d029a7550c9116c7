import { readFileSync } from 'node:fs';
import {
  type Command,
  helpOf,
  parseOptions,
  printedJson,
  table,
  UsageError,
  usageLine,
} from './cli/command.ts';
import { invocation } from './cli/invocation.ts';
import { describeError } from './cli/errors.ts';
import { Session } from './cli/session.ts';

/** The commands by their first word; each is loaded when it is asked for. */
const topics: Readonly<Record<string, () => Promise<readonly Command[]>>> = {
  account: async () => (await import('./cli/account.ts')).accountCommands,
  client: async () => (await import('./cli/client.ts')).clientCommands,
  consent: async () => (await import('./cli/revocation.ts')).consentCommands,
  family: async () => (await import('./cli/revocation.ts')).familyCommands,
  token: async () => (await import('./cli/revocation.ts')).tokenCommands,
  api: async () => (await import('./cli/api.ts')).apiCommands,
  exchange: async () => (await import('./cli/exchange.ts')).exchangeCommands,
  issuer: async () => (await import('./cli/issuer.ts')).issuerCommands,
  registration: async () => (await import('./cli/registration.ts')).registrationCommands,
  gateway: async () => (await import('./cli/gateway.ts')).gatewayCommands,
  'setup-link': async () => (await import('./cli/setup-link.ts')).setupLinkCommands,
  keys: async () => (await import('./cli/keys.ts')).keyCommands,
  instance: async () => (await import('./cli/instance.ts')).instanceCommands,
  backup: async () => (await import('./cli/backup.ts')).backupCommands,
  restore: async () => (await import('./cli/backup.ts')).restoreCommands,
  migrate: async () => (await import('./cli/migrate.ts')).migrateCommands,
  config: async () => (await import('./cli/config.ts')).configCommands,
};

const isHelp = (word: string | undefined) => word === '--help' || word === '-h' || word === 'help';
const isOption = (word: string | undefined) => word === undefined || word.startsWith('-');

/** Repeats only what looks like a command: an argument in the wrong place can be a secret. */
function unknown(...words: readonly (string | undefined)[]): string {
  const command = words.join(' ');
  return /^[a-z][a-z -]{0,40}$/.test(command)
    ? `Unknown command "${command}".`
    : 'Unknown command.';
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  if (isHelp(args[0])) return print(await overview(Object.keys(topics)));
  if (args[0] === '--version') return print(version());
  const [topic = '', word] = args;
  const load = Object.hasOwn(topics, topic) ? topics[topic] : undefined;
  if (load === undefined)
    return misuse(
      args.length === 0 ? 'No command was given.' : unknown(topic),
      await overview(Object.keys(topics)),
    );
  const commands = await load();
  const command = commands.find(({ words }) => words === topic || words === `${topic} ${word}`);
  if (command !== undefined) return execute(command, args.slice(command.words.split(' ').length));
  if (isHelp(word)) return print(await overview([topic]));
  return misuse(
    isOption(word) ? `Missing command after "${topic}".` : unknown(topic, word),
    await overview([topic]),
  );
}

async function execute(command: Command, args: readonly string[]): Promise<number> {
  const session = new Session((message) => complain(message));
  try {
    const { json, help, values } = parseOptions(command, args);
    if (help) return print(helpOf(command));
    const output = await command.run(values, session);
    return print(json ? printedJson(output.json) : output.text);
  } catch (error) {
    if (error instanceof UsageError)
      return misuse(
        error.message,
        `Usage: ${usageLine(command)}\n\nFor details, run: ${invocation} ${command.words} --help`,
      );
    return complain(describeError(error));
  } finally {
    await session.close().catch((error: unknown) => complain(describeError(error)));
  }
}

async function overview(names: readonly string[]): Promise<string> {
  const commands = (
    await Promise.all(names.map((name) => topics[name]?.() ?? Promise.resolve([])))
  ).flat();
  return [
    `Usage: ${invocation} <command> [options]`,
    '',
    ...table(commands.map(({ words, summary }) => [words, summary])),
    '',
    `For details of a command, run: ${invocation} <command> --help`,
    'Add --json for JSON output.',
  ].join('\n');
}

function version(): string {
  const { version } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  return version;
}

/** What was asked for, and nothing else, goes to standard output. */
function print(text: string): 0 {
  process.stdout.write(`${text}\n`);
  return 0;
}

function complain(text: string): 1 {
  process.stderr.write(`${text}\n`);
  return 1;
}

function misuse(mistake: string, usage: string): 2 {
  process.stderr.write(`${mistake}\n\n${usage}\n`);
  return 2;
}
