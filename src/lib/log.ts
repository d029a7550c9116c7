import { type DestinationStream, destination, type Logger, pino, symbols } from 'pino';

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
    timestamp: () => `,"time":"${isoNow()}"`,
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

let written = { ms: 0, iso: '' };

/** Many lines are of the same millisecond. */
function isoNow(): string {
  const ms = Date.now();
  if (ms !== written.ms) written = { ms, iso: new Date(ms).toISOString() };
  return written.iso;
}

/**
 * Writes a line of the level `info` of members that come as JSON, are all named by us and can hold no secret: thousands
 * a second, for which making JSON of an object and looking for secrets in it takes longer than all the rest.
 */
export function infoWriter(logger: Logger): (members: string) => void {
  const stream = (logger as unknown as Record<symbol, DestinationStream>)[
    symbols.streamSym
  ] as DestinationStream;
  return (members) => {
    if (logger.isLevelEnabled('info'))
      stream.write(`{"level":30,"time":"${isoNow()}",${members}}\n`);
  };
}

/** Lines wait for each other for so long (milliseconds), or until they are so many (bytes). */
const TOGETHER_MS = 100;
const TOGETHER_BYTES = 8_192;

/**
 * A file for the log, standard error unless told, that is written behind the requests: lines leave in order, those of one
 * moment together. What is left is written when the process exits, by an error too; `flushLog` waits for it.
 */
export function logFile(dest: number | string = 2): DestinationStream {
  return destination({
    dest,
    sync: false,
    minLength: TOGETHER_BYTES,
    periodicFlush: TOGETHER_MS,
  });
}

/** Resolves when every line so far has been written; an end in order waits for it. */
export function flushLog(logger: Logger): Promise<void> {
  return new Promise((resolve) => logger.flush(() => resolve()));
}
