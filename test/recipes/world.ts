import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, MainProcess, runCli, until } from '../support/process.ts';
import { snippetsOf } from '../support/snippets.ts';
import { type Person, Walker } from '../support/walk.ts';

const root = join(import.meta.dirname, '../..');
const { PATH = '', HOME = '/' } = process.env;

export interface App {
  /** The page's `http://localhost:4000`, on the port that it has in this run. */
  readonly url: string;
  stop(): Promise<void>;
}

/** A server with one user, and the blocks of docs/recipes.md with their ports moved to free ones. */
export class World {
  readonly issuer: string;
  readonly person: Person;
  readonly #folder: string;
  readonly #snippets: ReadonlyMap<string, string>;
  readonly #ports: ReadonlyMap<string, number>;
  readonly #env: Record<string, string>;
  readonly #main: MainProcess;

  private constructor(
    folder: string,
    snippets: ReadonlyMap<string, string>,
    ports: ReadonlyMap<string, number>,
    env: Record<string, string>,
    main: MainProcess,
    person: Person,
  ) {
    this.#folder = folder;
    this.#snippets = snippets;
    this.#ports = ports;
    this.#env = env;
    this.#main = main;
    this.person = person;
    this.issuer = env.ISSUER as string;
  }

  static async start(folder: string): Promise<World> {
    const ports = new Map<string, number>();
    for (const port of ['3000', '4000', '4180', '8080']) ports.set(port, await freePort());
    const port = String(ports.get('3000'));
    const env = { DATA_DIR: join(folder, 'data'), PORT: port, ISSUER: `http://localhost:${port}` };
    const main = new MainProcess(env);
    // Where compilers of the recipes keep the machine busy, a start takes longer than a test allows it.
    await until(() => main.stdout.includes('Vouchsafe is ready'), 180_000).catch(async (error) => {
      await main.stop();
      throw new Error(`the server did not start: ${main.stderr}`, { cause: error });
    });
    const email = 'imani@example.com';
    const password = 'nine quiet herons over the quay';
    const name = 'Imani Okoro';
    const args = ['account', 'create', '--email', email, '--password-stdin', '--name', name];
    const { stdout } = await runCli([...args, '--verified', '--json'], env, `${password}\n`);
    const { id } = JSON.parse(stdout) as { id: string };
    const person = { id, email, password, name };
    return new World(folder, await snippetsOf('recipes.md'), ports, env, main, person);
  }

  async stop(): Promise<void> {
    await this.#main.stop();
  }

  walker(): Walker {
    return new Walker(this.issuer, this.person);
  }

  /** A block of the page, on this run's ports. */
  block(name: string): string {
    const code = this.#snippets.get(name);
    if (code === undefined) throw new Error(`recipes.md has no block ${name}`);
    return code.replace(
      /localhost:(?<port>\d+)|(?<=(?:port: |listen\(|--port ))\d+/g,
      (found, port: string | undefined) => {
        const moved = this.#ports.get(port ?? found);
        if (moved === undefined) throw new Error(`${name} names an unknown port: ${found}`);
        return port === undefined ? String(moved) : `localhost:${moved}`;
      },
    );
  }

  url(port: string): string {
    return `http://localhost:${this.#ports.get(port)}`;
  }

  /** Runs a block of commands of the server's folder, and gives what each printed. */
  async register(name: string): Promise<Record<string, string>[]> {
    const { stdout } = await promisify(execFile)('sh', ['-ec', this.block(name)], {
      cwd: root,
      env: { PATH, HOME, ...this.#env },
    });
    return stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, string>);
  }

  /** Writes blocks as files of the recipe's folder. */
  async write(recipe: string, files: readonly string[]): Promise<void> {
    for (const file of files) {
      const path = join(this.#folder, recipe, file);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, this.block(file));
    }
  }

  /** Runs commands in the recipe's folder. Programs are installed below it. */
  async run(recipe: string, commands: string): Promise<string> {
    const cwd = join(this.#folder, recipe);
    await mkdir(cwd, { recursive: true });
    const { stdout } = await promisify(execFile)('sh', ['-ec', commands], {
      cwd,
      env: programs(cwd),
      maxBuffer: 1e8,
    });
    return stdout.trim();
  }

  /** Starts a block of the page with the client's credentials, and waits until `url` responds. */
  async launch(
    recipe: string,
    block: string,
    client: Record<string, string> | undefined,
    url: string,
  ): Promise<App> {
    const cwd = join(this.#folder, recipe);
    const commands = this.block(block)
      .replaceAll('vs_cs_…', client?.client_secret ?? '')
      .replaceAll('c_…', client?.client_id ?? '');
    let said = '';
    // A group of its own: the shell and what it starts end together.
    const child = spawn('sh', ['-ec', commands], { cwd, env: programs(cwd), detached: true });
    child.stdout.on('data', (data: Buffer) => (said += data.toString()));
    child.stderr.on('data', (data: Buffer) => (said += data.toString()));
    const ended = once(child, 'close');
    const stop = async () => {
      if (child.exitCode === null) process.kill(-(child.pid as number));
      await ended;
    };
    const responds = () =>
      fetch(url, { redirect: 'manual' }).then(
        () => true,
        () => child.exitCode !== null,
      );
    try {
      await until(responds, 120_000);
      if (child.exitCode !== null) throw new Error('the app ended');
    } catch (error) {
      await stop();
      throw new Error(`${block}: ${said.slice(-2000)}`, { cause: error });
    }
    return { url, stop };
  }

  /** An app without a sign-in of its own, at the page's port 8080: it responds with its request's headers. */
  async upstream(): Promise<App> {
    const server = createServer((request, response) => {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(request.headers));
    });
    server.listen(this.#ports.get('8080'), 'localhost');
    await once(server, 'listening');
    return {
      url: this.url('8080'),
      async stop() {
        server.close();
        server.closeAllConnections();
        await once(server, 'close');
      },
    };
  }
}

/** As in a shell of the recipe's folder: what proxies and certificates downloads need, and nothing of the script that this is. */
function programs(cwd: string): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('npm_'));
  const path = [join(cwd, 'venv/bin'), join(cwd, 'bin'), PATH].join(':');
  return { ...Object.fromEntries(own), PATH: path, GOBIN: join(cwd, 'bin') };
}
