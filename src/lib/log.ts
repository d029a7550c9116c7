import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

const secretNames = [
  'password',
  'token',
  'secret',
  'authorization',
  'cookie',
  'set-cookie',
  'client_secret',
  'refresh_token',
  'access_token',
  'id_token',
  'jti',
];

/** A logger of JSON lines. Fields that could hold a secret are taken out, one level deep and at the top, whoever logs them. */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  const paths = ['code', ...secretNames.flatMap((name) => [`["${name}"]`, `*["${name}"]`])];
  const options = {
    level,
    redact: { paths, censor: '[redacted]' },
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
