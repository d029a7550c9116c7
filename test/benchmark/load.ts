import { connect, type Socket } from 'node:net';
import { type Exchange, type LoadResult, type LoadTask, serve } from './protocol.ts';

/**
 * The load generator: so many connections, each with one request under way, for so long. It speaks just as much HTTP as
 * the answers need (a length, and no chunks), because it shares a core with the database.
 */

const MOST_BREAKS = 50;
/** After the end, answers that are under way are waited for this long. */
const PATIENCE_MS = 10_000;

interface PreparedStep {
  /** Whole where nothing is carried into it. */
  readonly request: Buffer | undefined;
  readonly text: string;
  readonly expect: string;
  readonly status: string;
  readonly capture: RegExp | undefined;
}

/** An exchange with what it carries now. */
interface Prepared {
  readonly steps: readonly PreparedStep[];
  carried: readonly string[];
}

function prepare({ steps, carried = [] }: Exchange): Prepared {
  return {
    steps: steps.map(({ request, expect, status = 200, capture }) => ({
      request: /\{\d\}/.test(request) ? undefined : Buffer.from(fill(request, []), 'latin1'),
      text: request,
      expect,
      status: `HTTP/1.1 ${status}`,
      capture: capture === undefined ? undefined : new RegExp(capture),
    })),
    carried,
  };
}

function fill(text: string, carried: readonly string[]): string {
  const filled = text.replaceAll(
    /\{(\d)\}/g,
    (_, place: string) => carried[Number(place) - 1] ?? '',
  );
  return filled.replace('{length}', String(filled.length - filled.indexOf('\r\n\r\n') - 4));
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

  constructor({ port, seconds }: LoadTask, exchanges: readonly Prepared[]) {
    this.#port = port;
    this.#exchanges = exchanges;
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
    let current: Prepared;
    let place = 0;
    let sentAt = 0;
    let rest = '';
    const send = () => {
      const { request, text } = current.steps[place] as PreparedStep;
      socket.write(request ?? Buffer.from(fill(text, current.carried), 'latin1'));
    };
    const start = () => {
      current = this.#exchanges[this.#next++ % this.#exchanges.length] as Prepared;
      place = 0;
      sentAt = performance.now();
      send();
    };
    const finish = (broke?: Error) => {
      socket.removeAllListeners('close');
      socket.destroy();
      done(broke);
    };
    socket.setNoDelay(true);
    socket.once('connect', start);
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
      const { status, expect, capture } = current.steps[place] as PreparedStep;
      const captured = capture?.exec(text)?.slice(1);
      const isRight =
        text.length === size &&
        text.startsWith(status) &&
        text.includes(expect) &&
        (capture === undefined || captured !== undefined);
      if (captured !== undefined) current.carried = captured;
      if (isRight && ++place < current.steps.length) {
        send();
        return;
      }
      if (isRight) this.#noteRight(now, now - sentAt);
      else this.#noteWrong(text);
      if (now < this.#end) start();
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

/** What was carried to the end of a run is where the next run of the same system goes on. */
const prepared = new Map<number, readonly Prepared[]>();

serve(async (task: LoadTask) => {
  const exchanges = prepared.get(task.port) ?? task.exchanges.map(prepare);
  prepared.set(task.port, exchanges);
  const load = new Load(task, exchanges);
  const before = cpu();
  await Promise.all(Array.from({ length: task.connections }, () => load.connection()));
  return load.result(task.seconds, cpu() - before);
});
