import { parseArgs } from 'node:util';
import type { z } from 'zod';
import { invocation } from './invocation.ts';
import type { Session } from './session.ts';

/** One option of a command, as it is parsed and as the help shows it. */
export interface Option {
  /** The placeholder of the value in the help; an option without one is a switch. */
  readonly value?: string;
  readonly required?: true;
  readonly multiple?: true;
  readonly help: string;
}

/** The result of a command: for `--json`, and as text for a person. */
export interface Output {
  readonly json: Record<string, unknown>;
  readonly text: string;
}

/** A command: its words, its options, and what it does with them. */
export interface Command {
  /** The words that call it: `account create`. */
  readonly words: string;
  readonly summary: string;
  readonly options: Readonly<Record<string, Option>>;
  /** A value without an option, which `run` gets under this name. */
  readonly argument?: { readonly name: string; readonly value: string; readonly help: string };
  /** Further lines of the help. */
  readonly details?: string;
  /** @throws UsageError, AppError */
  run(values: Readonly<Record<string, unknown>>, session: Session): Promise<Output>;
}

/** The command was called incorrectly. The message names the mistake, and never repeats a value. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

export interface CommandDefinition<Input> extends Omit<Command, 'run'> {
  /** Parses the options by their names. */
  readonly input: z.ZodType<Input>;
  readonly run: (input: Input, session: Session) => Promise<Output>;
}

/** Messages where a schema has none of its own: zod's are written for programmers. */
const inWords: z.core.$ZodErrorMap = (issue) => {
  if (issue.code === 'invalid_value') return `expected one of ${issue.values.join(', ')}`;
  const unit = issue.origin === 'string' ? ' characters' : '';
  if (issue.code === 'too_small')
    return unit !== '' && issue.minimum === 1
      ? 'must not be empty'
      : `expected at least ${issue.minimum}${unit}`;
  if (issue.code === 'too_big') return `expected at most ${issue.maximum}${unit}`;
  return undefined;
};

export function defineCommand<Input>({ input, run, ...rest }: CommandDefinition<Input>): Command {
  return {
    ...rest,
    async run(values, session) {
      const parsed = input.safeParse(values, { error: inWords });
      if (parsed.success) return run(parsed.data, session);
      const mistakes = parsed.error.issues.map(({ path: [name, ...place], message }) => {
        const item =
          typeof place[0] === 'number' && place[0] > 0 ? ` (number ${place[0] + 1})` : '';
        return name === undefined ? message : `--${String(name)}${item}: ${message}`;
      });
      throw new UsageError(mistakes.join('\n'));
    },
  };
}

/** @throws UsageError if no change was given */
export function somethingToChange(changes: Readonly<Record<string, unknown>>): void {
  if (Object.values(changes).every((change) => change === undefined))
    throw new UsageError('There is nothing to change. Add an option for what to change.');
}

const everywhere: Readonly<Record<string, Option>> = {
  json: { help: 'print the result as one JSON object' },
  help: { help: 'show this help' },
};

/**
 * The options by their names; those that were not given are left out.
 * @throws UsageError
 */
export function parseOptions(
  command: Command,
  args: readonly string[],
): { json: boolean; help: boolean; values: Record<string, unknown> } {
  const options = Object.fromEntries(
    Object.entries({ ...command.options, ...everywhere }).map(([name, { value, multiple }]) => [
      name,
      {
        type: value === undefined ? ('boolean' as const) : ('string' as const),
        multiple: multiple === true,
      },
    ]),
  );
  const { json, help, ...values } = parse(args, options, command.argument?.name);
  if (help !== true) {
    const { argument } = command;
    if (argument !== undefined && values[argument.name] === undefined)
      throw new UsageError(`Missing: ${argument.value}, ${argument.help}`);
    const missing = Object.entries(command.options).filter(
      ([name, option]) => option.required && values[name] === undefined,
    );
    if (missing.length > 0)
      throw new UsageError(`Missing: ${missing.map(([name]) => `--${name}`).join(', ')}`);
  }
  return { json: json === true, help: help === true, values };
}

function parse(
  args: readonly string[],
  options: Record<string, { type: 'boolean' | 'string'; multiple: boolean }>,
  argument: string | undefined,
): Record<string, unknown> {
  try {
    const allowPositionals = argument !== undefined;
    const parsed = parseArgs({
      args: joined(args, options),
      options,
      strict: true,
      allowPositionals,
    });
    const [first, ...more] = parsed.positionals;
    if (more.length > 0) throw new UsageError(`Expected one ${argument}, not several.`);
    if (argument === undefined || first === undefined) return { ...parsed.values };
    return { ...parsed.values, [argument]: first };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    // The argument itself may be a password that should have come from standard input.
    if (code === 'ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL')
      throw new UsageError(
        `Unexpected argument. Write each value after its option, in quotes if it contains spaces, and everything after "${invocation}".`,
      );
    throw new UsageError(message.split('. ', 1)[0] ?? '');
  }
}

/**
 * The arguments, in which a value that begins with `-` is joined to its option: key ids and client ids may, and
 * `parseArgs` takes such a value only as `--kid=-XYZ`. The name of an option of the command is never a value.
 */
function joined(
  args: readonly string[],
  options: Readonly<Record<string, { readonly type: 'boolean' | 'string' }>>,
): string[] {
  const optionOf = (arg: string | undefined) =>
    arg?.startsWith('--') ? options[arg.slice(2).split('=', 1)[0] as string] : undefined;
  const together: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] as string;
    const value = args[at + 1];
    const takesValue = optionOf(arg)?.type === 'string' && !arg.includes('=');
    if (takesValue && value?.startsWith('-') && optionOf(value) === undefined) {
      together.push(`${arg}=${value}`);
      at++;
    } else together.push(arg);
  }
  return together;
}

/** The width of a line, and of the options' column when their help is next to them. */
const LINE = 100;
const BESIDE = 34;

/** The usage of a command; what does not fit on one line continues below, indented. */
export function usageLine({ words, options, argument }: Command): string {
  const parts = Object.entries(options).map(([name, { value, required, multiple }]) => {
    const written = value === undefined ? `--${name}` : `--${name} ${value}`;
    return required ? `${written}${multiple ? '…' : ''}` : `[${written}]${multiple ? '…' : ''}`;
  });
  const lines = [`${invocation} ${words}${argument === undefined ? '' : ` ${argument.value}`}`];
  for (const part of [...parts, '[--json]']) {
    const longer = `${lines.at(-1)} ${part}`;
    if (longer.length <= LINE) lines[lines.length - 1] = longer;
    else lines.push(`    ${part}`);
  }
  return lines.join('\n');
}

export function helpOf(command: Command): string {
  const rows = Object.entries({ ...command.options, ...everywhere }).map(
    ([name, { value, help }]) =>
      [value === undefined ? `--${name}` : `--${name} ${value}`, help] as const,
  );
  return [
    `${command.summary}.`,
    '',
    `  ${usageLine(command)}`,
    '',
    ...rows.flatMap(([option, help]) =>
      option.length <= BESIDE
        ? `  ${option.padEnd(BESIDE)}  ${help}`
        : [`  ${option}`, `${' '.repeat(BESIDE + 4)}${help}`],
    ),
    ...(command.details === undefined ? [] : ['', command.details]),
    '',
  ].join('\n');
}

/** Characters that a terminal acts on instead of showing, and those that forge lines or reverse their order. */
const active = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

const escaped = (character: string) =>
  `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;

/** One line that is safe to show in a terminal: names and metadata of clients come from other people. */
function inert(text: string): string {
  return text.replace(active, escaped);
}

/** The object as JSON on one line. Characters that a terminal would act on are escaped, and parse to the same value. */
export function printedJson(json: Record<string, unknown>): string {
  return inert(JSON.stringify(json));
}

/** Rows of columns, indented and aligned, without characters that a terminal acts on. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const cells = rows.map((row) => row.map(inert));
  const widths: number[] = [];
  for (const row of cells)
    for (const [at, { length }] of row.entries())
      widths[at] = Math.max(widths[at] ?? 0, length + 2);
  return cells.map((row) =>
    `  ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('')}`.trimEnd(),
  );
}
