import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { assembleBrand, type BrandConfig, brandMistakes } from './config-brand.ts';
import { assembleClients, type ClientsConfig } from './config-clients.ts';
import { assembleLifetimes, lifetimeMistakes } from './config-lifetimes.ts';
import { findUnreadVariables } from './config-names.ts';
import { assembleTls, type TlsConfig, tlsMistakes } from './config-tls.ts';
import { assembleTraffic, type TrafficConfig } from './config-traffic.ts';
import { type Parsed, type Variable, variableHelp, variables } from './config-variables.ts';
import { AppError } from './errors.ts';
import type { Lifetimes } from './lifetimes.ts';

export interface Config extends TlsConfig, ClientsConfig, BrandConfig, TrafficConfig {
  readonly port: number;
  /** The addresses to listen on. */
  readonly hosts: readonly string[];
  readonly issuer: string;
  /** Whether ISSUER is set; otherwise the issuer follows from PORT. */
  readonly issuerIsSet: boolean;
  /** The issuer is http on loopback: cookies have no `__Host-` prefix, and email can be shown at /dev/mail. */
  readonly loopback: boolean;
  /** Email is shown at /dev/mail: there is no SMTP server, the issuer is loopback, and HOST is not set. */
  readonly devMail: boolean;
  readonly dataDir: string;
  readonly databaseUrl: string | undefined;
  /** The URL of the role that owns the tables, where it is another role. */
  readonly databaseOwnerUrl: string | undefined;
  readonly databasePool: number;
  /** Whether statements are prepared under names. */
  readonly databasePrepared: boolean;
  /** Undefined: the key file in the data folder is used. The first key encrypts. */
  readonly masterKeys: readonly Buffer[] | undefined;
  readonly smtpUrl: string | undefined;
  readonly mailFrom: string;
  readonly metricsPort: number | undefined;
  readonly metricsHost: string;
  readonly logLevel: Parsed['LOG_LEVEL'];
  readonly trustProxy: number;
  /** Names, addresses and networks of internal hosts that the server may call. */
  readonly outboundAllow: readonly string[];
  /** Node's own variable; half of the threads hash passwords. */
  readonly threadPoolSize: number;
  readonly lifetimes: Lifetimes;
  readonly requireSecondFactor: Parsed['REQUIRE_SECOND_FACTOR'];
  /** Whole months before this one; 0 keeps all. */
  readonly auditRetentionMonths: number;
  /** 0 for never. */
  readonly keyRotationDays: number;
  readonly registration: boolean;
  /** One line for each variable that is set but not read. */
  readonly warnings: readonly string[];
}

/**
 * Parses the whole environment and reports all mistakes together, by variable and never by value.
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
      `The configuration is invalid:\n${mistakes.map((line) => `  ${line}`).join('\n')}`,
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

/** The variable, or the content of the file that `NAME_FILE` names. An empty variable counts as not set. */
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
