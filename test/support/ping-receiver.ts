import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTrustedHost } from './trusted-host.ts';

export interface ReceivedPing {
  readonly authorization: string | undefined;
  readonly contentType: string | undefined;
  readonly body: unknown;
}

/** A client's server, which is told by a ping that there is an answer (CIBA Core, section 10.2). This process trusts it. */
export interface PingReceiver {
  readonly uri: string;
  readonly received: ReceivedPing[];
  /** The authority (PEM) of its certificate, for processes that are to trust it. */
  readonly authorityFile: string;
  /** What the next requests are answered with; the last one stays. */
  answerWith(...statuses: number[]): void;
  close(): Promise<void>;
}

const isRedirect = (status = 204) => status >= 300 && status < 400;

export async function openPingReceiver(): Promise<PingReceiver> {
  let answers = [204];
  const received: ReceivedPing[] = [];
  const host = await startTrustedHost((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { authorization, 'content-type': contentType } = request.headers;
      received.push({
        authorization,
        contentType,
        body: JSON.parse(Buffer.concat(chunks).toString()),
      });
      const status = answers.length > 1 ? answers.shift() : answers[0];
      response.writeHead(status ?? 204, isRedirect(status) ? { location: '/elsewhere' } : {});
      response.end(status === 200 ? '{"what":"ever"}' : undefined);
    });
  });
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-ping-'));
  const authorityFile = join(folder, 'authority.pem');
  writeFileSync(authorityFile, host.authority);
  return {
    uri: `${host.origin}/ciba-ping`,
    received,
    authorityFile,
    answerWith: (...given) => void (answers = given),
    async close() {
      await host.stop();
      rmSync(folder, { recursive: true });
    },
  };
}
