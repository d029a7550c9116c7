import { connect, type Socket } from 'node:net';
import { type Exchange, type LoadResult, type LoadTask, serve } from './protocol.ts';

/**
 * The load generator: so many connections, each with one request under way, for so long. It speaks just as much HTTP as
 * the answers need (a length, and no chunks), because it shares a core with the database.
 */

const MOST_BREAKS = 50;
/** After the end, answers that are under way are waited for this long. */
const PATIENCE_MS = 10_000;

interface Prepared {
  readonly request: Buffer;
  readonly expect: string;
}

class Load {
  readonly #port: number;
  readonly #exchanges: readonly Prepared[];
  readonly #end: number;
  readonly #latencies: number[] = [];
  #next = 0;
  #answered = 0;
  #wrong = 0;
  #breaks = 0;
  #example: string | undefined;

  constructor({ port, seconds, exchanges }: LoadTask) {
    this.#port = port;
    this.#exchanges = exchanges.map(({ request, expect }: Exchange) => ({
      request: Buffer.from(request, 'latin1'),
      expect,
    }));
    this.#end = performance.now() + seconds * 1000;
  }

  result(seconds: number, cpuSeconds: number): LoadResult {
    const sorted = Float64Array.from(this.#latencies).sort();
    const at = (share: number) =>
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
    return {
      answered: sorted.length,
      answeredInAll: this.#answered,
      seconds,
      p50: at(0.5),
      p99: at(0.99),
      wrong: this.#wrong,
      wrongExample: this.#example,
      cpuSeconds,
    };
  }

  /** One connection until the end; another one where it breaks, which counts as a wrong answer. */
  async connection(): Promise<void> {
    while (performance.now() < this.#end) {
      const broke = await new Promise<Error | undefined>((done) =>
        this.#talk(connect(this.#port, '127.0.0.1'), done),
      );
      if (broke === undefined) return;
      this.#noteWrong(`the connection broke: ${broke.message}`);
      if (++this.#breaks > MOST_BREAKS)
        throw new Error(`more than ${MOST_BREAKS} connections broke: ${broke.message}`);
    }
  }

  #talk(socket: Socket, done: (broke: Error | undefined) => void): void {
    let current: Prepared | undefined;
    let sentAt = 0;
    let rest = '';
    const send = () => {
      current = this.#exchanges[this.#next++ % this.#exchanges.length] as Prepared;
      sentAt = performance.now();
      socket.write(current.request);
    };
    const finish = (broke?: Error) => {
      socket.removeAllListeners('close');
      socket.destroy();
      done(broke);
    };
    socket.setNoDelay(true);
    socket.once('connect', send);
    socket.on('error', finish);
    socket.on('close', () => finish(new Error('closed by the server')));
    socket.setTimeout(PATIENCE_MS, () => finish(new Error('no answer')));
    socket.on('data', (chunk: Buffer) => {
      const text = rest === '' ? chunk.toString('latin1') : rest + chunk.toString('latin1');
      const size = sizeOf(text);
      if (size === undefined || text.length < size) {
        rest = text;
        return;
      }
      rest = '';
      const now = performance.now();
      const isRight =
        text.length === size &&
        text.startsWith('HTTP/1.1 200') &&
        text.includes((current as Prepared).expect);
      if (isRight) this.#noteRight(now, now - sentAt);
      else this.#noteWrong(text);
      if (now < this.#end) send();
      else finish();
    });
  }

  #noteRight(now: number, latency: number): void {
    this.#answered++;
    if (now <= this.#end) this.#latencies.push(latency);
  }

  #noteWrong(text: string): void {
    this.#wrong++;
    this.#example ??= text.slice(0, 2000);
  }
}

/** How long the answer is that begins the text, or undefined where its head is not whole. */
function sizeOf(text: string): number | undefined {
  const head = text.indexOf('\r\n\r\n');
  if (head === -1) return undefined;
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(text)?.[1];
  // Without a length it ends here: what follows is a wrong answer, and counted.
  return head + 4 + Number(length ?? 0);
}

const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

serve(async (task: LoadTask) => {
  const load = new Load(task);
  const before = cpu();
  await Promise.all(Array.from({ length: task.connections }, () => load.connection()));
  return load.result(task.seconds, cpu() - before);
});
