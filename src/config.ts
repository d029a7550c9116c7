import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { assembleBrand, type BrandConfig, brandMistakes, brandVariables } from './config-brand.ts';
import { assembleClients, type ClientsConfig, clientVariables } from './config-clients.ts';
import { assembleLifetimes, lifetimeMistakes, lifetimeVariables } from './config-lifetimes.ts';
import { findUnreadVariables } from './config-names.ts';
import { assembleTraffic, type TrafficConfig, trafficVariables } from './config-traffic.ts';
import { assembleTls, type TlsConfig, tlsMistakes, tlsVariables } from './config-tls.ts';
import { AppError } from './errors.ts';
import { parseNetwork } from './lib/network.ts';
import type { Lifetimes } from './lifetimes.ts';

const loopbackHosts = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Whether the issuer's host is this machine alone: then http is allowed and the server binds to loopback. */
function isLoopbackUrl(url: URL): boolean {
  return loopbackHosts.has(url.hostname) || url.hostname.endsWith('.localhost');
}

const port = z.coerce.number().int().min(0).max(65535);
const flag = z.enum(['true', 'false']).transform((value) => value === 'true');

/** What ISSUER may be. */
export const issuerSchema = z.string().superRefine((value, context) => {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const plain =
    url && (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackUrl(url)));
  const exact = url && (url.href === value || url.href === `${value}/`);
  if (!plain || !exact || url.search || url.hash || url.username || value.endsWith('/')) {
    context.addIssue({
      code: 'custom',
      message: 'expected an https URL without query, fragment or trailing slash',
    });
  }
});

const databaseUrl = z.string().regex(/^postgres(ql)?:\/\//);
const smtpUrl = z.string().regex(/^smtps?:\/\//);

const masterKeys = z.string().transform((value, context) => {
  const keys = value.split(',').map((part) => Buffer.from(part.trim(), 'base64'));
  if (keys.some((key) => key.length !== 32)) {
    context.addIssue({ code: 'custom', message: 'not 32 bytes' });
    return z.NEVER;
  }
  return keys;
});

const hostName =
  /^(?=.{1,253}$)(?=.*[a-z])[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/i;

const hosts = z.string().transform((value, context) => {
  const entries = value.split(',').map((part) => part.trim());
  if (!entries.every((entry) => hostName.test(entry) || parseNetwork(entry) !== undefined)) {
    context.addIssue({ code: 'custom', message: 'not hosts' });
    return z.NEVER;
  }
  return entries;
});

/**
 * Every variable the server reads: its form, what is expected in words, and an example. The value itself is never
 * printed. A variable marked secret can come from a file, by the same name with `_FILE` behind it.
 */
const variables = {
  PORT: { form: port.default(3000), expected: 'a port number, 0 to 65535', example: '3000' },
  HOST: {
    form: z.string().min(1).optional(),
    expected:
      'the address to listen on; by default 127.0.0.1 and ::1 for a loopback issuer, otherwise every address',
    example: '0.0.0.0',
  },
  ISSUER: {
    form: issuerSchema.optional(),
    expected: 'an https URL without query, fragment or trailing slash (http only on localhost)',
    example: 'https://id.example.com',
  },
  DATA_DIR: { form: z.string().min(1).default('./data'), expected: 'a folder', example: './data' },
  DATABASE_URL: {
    form: databaseUrl.optional(),
    expected: 'a PostgreSQL connection URL; with several hosts, the server uses the primary',
    example: 'postgres://vouchsafe:secret@db.internal:5432/vouchsafe',
    secret: true,
  },
  DATABASE_OWNER_URL: {
    form: databaseUrl.optional(),
    expected:
      'the same database as DATABASE_URL, with the role that owns the tables; the server then needs fewer rights',
    example: 'postgres://vouchsafe_owner:secret@db.internal:5432/vouchsafe',
    secret: true,
  },
  DATABASE_POOL: {
    form: z.coerce.number().int().min(2).max(200).default(10),
    expected: 'the number of connections in the pool, 2 to 200',
    example: '10',
  },
  DATABASE_PREPARED: {
    form: flag.default(true),
    expected: 'true or false: false behind a PgBouncer that does not support prepared statements',
    example: 'false',
  },
  MASTER_KEY: {
    form: masterKeys.optional(),
    expected:
      '32 random bytes in base64; during a rotation two such keys, separated by a comma, of which the first encrypts',
    example: 'the output of: openssl rand -base64 32',
    secret: true,
  },
  SMTP_URL: {
    form: smtpUrl.optional(),
    expected: 'an smtp:// or smtps:// URL',
    example: 'smtp://user:secret@mail.internal:587',
    secret: true,
  },
  MAIL_FROM: {
    form: z.string().min(3).default('Vouchsafe <no-reply@localhost>'),
    expected: 'the sender of email',
    example: 'Example ID <id@example.com>',
  },
  METRICS_PORT: {
    form: port.optional(),
    expected: 'a port number for metrics, on loopback unless METRICS_HOST is set',
    example: '9464',
  },
  METRICS_HOST: {
    form: z.string().min(1).default('127.0.0.1'),
    expected: 'the address that the metrics port listens on',
    example: '0.0.0.0',
  },
  LOG_LEVEL: {
    form: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
    expected: 'one of fatal, error, warn, info, debug, trace, silent',
    example: 'info',
  },
  TRUST_PROXY: {
    form: z.coerce.number().int().min(0).max(10).default(0),
    expected: 'the number of your proxies in front of the server, 0 to 10',
    example: '1',
  },
  OUTBOUND_ALLOW: {
    form: hosts.optional(),
    expected:
      'internal hosts that the server may call, as names, addresses or networks, separated by commas',
    example: 'app.internal,10.1.2.0/24',
  },
  ...tlsVariables,
  ...trafficVariables,
  UV_THREADPOOL_SIZE: {
    form: z.coerce.number().int().min(1).max(1024).default(4),
    expected: 'the number of threads that hash passwords and read files, 1 to 1024',
    example: '8',
  },
  ...lifetimeVariables,
  REQUIRE_SECOND_FACTOR: {
    form: z.enum(['everyone', 'administrators']).default('administrators'),
    expected: 'who must have a second factor: everyone or administrators',
    example: 'everyone',
  },
  AUDIT_RETENTION_MONTHS: {
    form: z.coerce.number().int().min(0).max(1200).default(13),
    expected:
      'how many full months of the audit are kept in addition to the current one; 0 keeps all',
    example: '13',
  },
  KEY_ROTATION_DAYS: {
    form: z.coerce.number().int().min(0).max(3650).default(90),
    expected:
      'after how many days new signing and cookie keys replace the current ones; 0 for never',
    example: '90',
  },
  REGISTRATION: {
    form: flag.default(true),
    expected: 'true or false: whether users can create accounts',
    example: 'true',
  },
  ...clientVariables,
  ...brandVariables,
} as const;

type Variable = keyof typeof variables;

/** What there is to set, in words: for the help and the documentation. */
export interface VariableHelp {
  readonly name: string;
  readonly expected: string;
  readonly example: string;
  /** What counts where it is not set; undefined where that follows from other variables, or is nothing. */
  readonly default: string | undefined;
  /** It can come from the file that its twin with `_FILE` names. */
  readonly secret: boolean;
}

export const variableHelp: readonly VariableHelp[] = Object.entries(variables).map(
  ([name, variable]) => {
    const value = variable.form.parse(undefined);
    return {
      name,
      expected: variable.expected,
      example: variable.example,
      default: value === undefined || typeof value === 'object' ? undefined : String(value),
      secret: 'secret' in variable,
    };
  },
);
type Parsed = { [K in Variable]: z.output<(typeof variables)[K]['form']> };

export interface Config extends TlsConfig, ClientsConfig, BrandConfig, TrafficConfig {
  readonly port: number;
  /** The addresses to listen on. */
  readonly hosts: readonly string[];
  readonly issuer: string;
  /** ISSUER is set; otherwise the issuer follows from PORT. */
  readonly issuerIsSet: boolean;
  /** The issuer is http on loopback: cookies go without `__Host-`, and mail may be shown at /dev/mail. */
  readonly loopback: boolean;
  /** Mails are shown at /dev/mail: no SMTP, a loopback issuer, and no HOST that opens the server to others. */
  readonly devMail: boolean;
  readonly dataDir: string;
  readonly databaseUrl: string | undefined;
  /** Of the role that owns the tables, where that is another one. */
  readonly databaseOwnerUrl: string | undefined;
  readonly databasePool: number;
  /** Whether statements are prepared under names. */
  readonly databasePrepared: boolean;
  /** Undefined: the key file in the data folder. The first one seals. */
  readonly masterKeys: readonly Buffer[] | undefined;
  readonly smtpUrl: string | undefined;
  readonly mailFrom: string;
  readonly metricsPort: number | undefined;
  readonly metricsHost: string;
  readonly logLevel: Parsed['LOG_LEVEL'];
  readonly trustProxy: number;
  /** Names, addresses and networks of inside hosts that may be called all the same. */
  readonly outboundAllow: readonly string[];
  /** Node's own variable: half of the threads hash passwords. */
  readonly threadPoolSize: number;
  readonly lifetimes: Lifetimes;
  readonly requireSecondFactor: Parsed['REQUIRE_SECOND_FACTOR'];
  /** Whole months besides this one; 0 keeps all. */
  readonly auditRetentionMonths: number;
  /** 0 for never. */
  readonly keyRotationDays: number;
  readonly registration: boolean;
  /** Variables that are set and not read, a line for each. */
  readonly warnings: readonly string[];
}

/**
 * Parses the environment whole, once: every mistake is reported together, by variable, never by value.
 * @throws AppError `config_invalid` with one line for each mistake.
 */
export function loadConfig(env: Record<string, string | undefined> = process.env): Config {
  const mistakes: string[] = [];
  const parsed: Partial<Record<Variable, unknown>> = {};
  for (const [name, variable] of Object.entries(variables) as [
    Variable,
    (typeof variables)[Variable],
  ][]) {
    const value = read(env, name, 'secret' in variable, mistakes);
    const result = variable.form.safeParse(value);
    if (result.success) parsed[name] = result.data;
    else mistakes.push(`${name}: expected ${variable.expected}. For example: ${variable.example}`);
  }
  const values = parsed as Parsed;
  if (mistakes.length === 0) {
    if (values.DATABASE_OWNER_URL !== undefined && values.DATABASE_URL === undefined)
      mistakes.push(
        `DATABASE_OWNER_URL: expected together with DATABASE_URL. For example: ${variables.DATABASE_URL.example}`,
      );
    mistakes.push(
      ...brandMistakes(values),
      ...lifetimeMistakes(values),
      ...tlsMistakes(values, values.ISSUER?.startsWith('https:') === true),
    );
  }
  if (mistakes.length > 0) {
    throw new AppError(
      'config_invalid',
      `The configuration has mistakes:\n${mistakes.map((line) => `  ${line}`).join('\n')}`,
    );
  }
  return Object.freeze({
    ...assemble(values),
    warnings: findUnreadVariables(env, variableHelp),
  });
}

function assemble(values: Parsed): Omit<Config, 'warnings'> {
  const issuerUrl = values.ISSUER ?? `http://localhost:${values.PORT}`;
  const loopback = new URL(issuerUrl).protocol === 'http:';
  return {
    port: values.PORT,
    hosts: values.HOST === undefined ? (loopback ? ['127.0.0.1', '::1'] : ['::']) : [values.HOST],
    issuer: issuerUrl,
    issuerIsSet: values.ISSUER !== undefined,
    loopback,
    devMail: loopback && values.SMTP_URL === undefined && values.HOST === undefined,
    dataDir: resolve(values.DATA_DIR),
    databaseUrl: values.DATABASE_URL,
    databaseOwnerUrl: values.DATABASE_OWNER_URL,
    databasePool: values.DATABASE_POOL,
    databasePrepared: values.DATABASE_PREPARED,
    masterKeys: values.MASTER_KEY,
    smtpUrl: values.SMTP_URL,
    mailFrom: values.MAIL_FROM,
    metricsPort: values.METRICS_PORT,
    metricsHost: values.METRICS_HOST,
    logLevel: values.LOG_LEVEL,
    trustProxy: values.TRUST_PROXY,
    ...assembleTls(values, issuerUrl),
    ...assembleTraffic(values, loopback),
    outboundAllow: values.OUTBOUND_ALLOW ?? [],
    threadPoolSize: values.UV_THREADPOOL_SIZE,
    ...assembleLifetimes(values),
    requireSecondFactor: values.REQUIRE_SECOND_FACTOR,
    auditRetentionMonths: values.AUDIT_RETENTION_MONTHS,
    keyRotationDays: values.KEY_ROTATION_DAYS,
    registration: values.REGISTRATION,
    ...assembleClients(values),
    ...assembleBrand(values),
  };
}

/** The variable, or the content of the file that its `_FILE` twin names. An empty variable counts as not set. */
function read(
  env: Record<string, string | undefined>,
  name: string,
  secret: boolean,
  mistakes: string[],
): string | undefined {
  const value = env[name] || undefined;
  const file = secret ? env[`${name}_FILE`] || undefined : undefined;
  if (file === undefined) return value;
  if (value !== undefined) {
    mistakes.push(`${name}, ${name}_FILE: expected one of the two, not both`);
    return undefined;
  }
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    mistakes.push(
      `${name}_FILE: expected the path of a file that this process can read. For example: /run/secrets/${name.toLowerCase()}`,
    );
    return undefined;
  }
}
