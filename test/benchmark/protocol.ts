import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the process that runs the benchmark and those that it starts say to each other. */

export interface Connection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

export type ScenarioName =
  | 'introspection'
  | 'introspection-people'
  | 'client-credentials'
  | 'client-credentials-jwt'
  | 'discovery'
  | 'jwks'
  | 'single-sign-on'
  | 'code-exchange'
  | 'refresh'
  | 'token-exchange'
  | 'mixed';

/** What a system under test is told at its start. */
export interface Task {
  readonly scenario: ScenarioName;
  /** Which of the systems that its file holds. */
  readonly variant: string;
  readonly connection: Connection;
}

export interface Credentials {
  readonly clientId: string;
  readonly clientSecret: string;
}

export interface IssuedToken {
  readonly token: string;
  readonly clientId: string;
}

/** What is needed to ask a system: who may ask, and for what. */
export interface Material {
  readonly clients: readonly Credentials[];
  readonly introspector: Credentials;
  /** Tokens that are there already; without them they are got from the token endpoint, one for each client. */
  readonly tokens?: readonly IssuedToken[];
  /** An app that people use, with their browsers: each is signed in and has allowed the app. */
  readonly app?: Credentials;
  /** The `Cookie` header of each browser. */
  readonly browsers?: readonly string[];
  /** Who exchanges the tokens for others. */
  readonly exchanger?: Credentials;
  /** Who signs in with a password. */
  readonly people?: readonly { readonly email: string; readonly password: string }[];
}

export interface Ready {
  readonly port: number;
  /** Undefined where the benchmark itself has made it. */
  readonly material?: Material;
}

/** Requests that follow each other on one connection; what one answer gives goes into the next request. */
export interface Exchange {
  readonly steps: readonly Step[];
  /** What the first request holds at first, where it is something that an earlier answer gives. */
  readonly carried?: readonly string[];
}

/** A request, and what the right answer to it holds. */
export interface Step {
  /** With `{1}`, `{2}` … for what was captured last, and `{length}` for the length of the body that comes of it. */
  readonly request: string;
  readonly expect: string;
  /** 200 by default. */
  readonly status?: number;
  /** The groups of this regular expression are carried on to the next request, and beyond the last step to the first. */
  readonly capture?: string;
}

export interface LoadTask {
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
  readonly exchanges: readonly Exchange[];
}

export interface LoadResult {
  /** Right answers within the time. */
  readonly answered: number;
  /** Right answers in all: those that were under way when the time was over, too. */
  readonly answeredInAll: number;
  readonly seconds: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly wrong: number;
  /** The first wrong answer, whole. */
  readonly wrongExample: string | undefined;
  /** Processor seconds of the load generator. */
  readonly cpuSeconds: number;
}

/** What an introspecting API and its clients are called in every system. */
export const api = 'https://api.example.com';
export const jwtApi = 'https://jwt.example.com';
/** What tokens for `api` are exchanged for. */
export const targetApi = 'https://orders.example.com';
export const redirectUri = 'https://app.example.com/callback';
/** What every system has for its issuer, wherever it listens. */
export const issuer = 'http://localhost:4600';
export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
/** How many clients there are, and how many tokens. */
export const POPULATION = 1_000;
/** Of the Vouchsafe that is measured. */
export const benchmarkMasterKey = Buffer.alloc(32, 7);
/** Connections to the database for each system. */
export const POOL = 10;

type Question = { readonly ask: unknown } | { readonly usage: true };

/** What a process has used so far. */
export interface Usage {
  readonly cpuSeconds: number;
  /** Resident memory now, and the most that it ever was. */
  readonly memoryMiB: number;
  readonly peakMiB: number;
}

/**
 * The child's end: answers each question with what `answer` gives, and ends with the process that started it. Ctrl-C
 * reaches every process of the terminal; which of them ends when is for the first one to say.
 */
export function serve<Asked, Answer>(answer: (asked: Asked) => Promise<Answer>): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => undefined);
  process.on('disconnect', () => process.exit());
  process.on('message', (question: Question) => {
    if ('usage' in question) {
      const { user, system } = process.cpuUsage();
      const answer: Usage = {
        cpuSeconds: (user + system) / 1e6,
        memoryMiB: process.memoryUsage.rss() / 2 ** 20,
        peakMiB: process.resourceUsage().maxRSS / 1024,
      };
      process.send?.({ answer });
      return;
    }
    answer(question.ask as Asked).then(
      (given) => process.send?.({ answer: given }),
      (error: unknown) =>
        process.send?.({ failure: error instanceof Error ? error.stack : String(error) }),
    );
  });
}

/** Listens on a free port of the loopback interface. */
export async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
