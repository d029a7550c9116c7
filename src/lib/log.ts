import { type DestinationStream, destination, type Logger, pino } from 'pino';

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

/**
 * The same logger for lines whose fields are all named by us and can hold no secret: looking for secrets in them takes
 * longer than all the rest.
 */
export function withoutRedaction(logger: Logger): Logger {
  return logger.child({}, { redact: { paths: [] } });
}

/**
 * Standard error, written behind the request: lines leave in order, those of one moment together. What is left is
 * written when the process exits, or is about to by an error; `flushLog` waits for it.
 */
export const standardError = (): DestinationStream => destination({ fd: 2, sync: false });

/** Resolves when every line so far has been written; an end in order waits for it. */
export function flushLog(logger: Logger): Promise<void> {
  return new Promise((resolve) => logger.flush(() => resolve()));
}
