import { z } from 'zod';
import { brandVariables } from './config-brand.ts';
import { clientVariables } from './config-clients.ts';
import { lifetimeVariables } from './config-lifetimes.ts';
import { tlsVariables } from './config-tls.ts';
import { trafficVariables } from './config-traffic.ts';
import { parseNetwork } from './lib/network.ts';

/** The table of variables; src/config.ts reads them. */

const loopbackHosts = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Whether the issuer's host is only this machine: then http is allowed, and the server listens on loopback. */
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
 * Every variable that the server reads: its form, what is expected, and an example. Values are never printed. A variable
 * marked `secret` can also be read from a file: `NAME_FILE` holds the path.
 */
export const variables = {
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

export type Variable = keyof typeof variables;

/** A variable for the help and the documentation. */
export interface VariableHelp {
  readonly name: string;
  readonly expected: string;
  readonly example: string;
  /** The default; undefined where there is none, or where it follows from other variables. */
  readonly default: string | undefined;
  /** It can be read from a file: `NAME_FILE` holds the path. */
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

/** The values of all variables. */
export type Parsed = { [K in Variable]: z.output<(typeof variables)[K]['form']> };
