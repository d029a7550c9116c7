import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLocalJWKSet, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose';

export interface ReceivedLogout {
  readonly claims: JWTPayload & { readonly sid?: string; readonly sub?: string };
  readonly header: Readonly<Record<string, unknown>>;
  readonly token: string;
}

/** A client's server, which is told of sign-outs by the back channel. */
export interface LogoutReceiver {
  readonly uri: string;
  /** What has come, the oldest first; each was verified as it came. */
  readonly received: ReceivedLogout[];
  /** What has come but was no good logout token. */
  readonly refused: unknown[];
  /** What the next requests are answered with; the last one stays. */
  answerWith(...answers: (number | Readonly<Record<string, string>>)[]): void;
  /** Called with each request before it is answered. */
  onRequest: () => Promise<void> | void;
  close(): Promise<void>;
}

/** Verifies by the server's own JWKS, as section 2.6 of OpenID Connect Back-Channel Logout 1.0 wants it. */
export async function openLogoutReceiver(
  issuer: string,
  server: () => string,
  clientId: () => string,
): Promise<LogoutReceiver> {
  let answers: (number | Readonly<Record<string, string>>)[] = [200];
  const http = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      void (async () => {
        try {
          const form = new URLSearchParams(Buffer.concat(chunks).toString());
          if (request.method !== 'POST' || request.url !== '/backchannel-logout')
            throw new Error(`${request.method} ${request.url}`);
          const token = form.get('logout_token') as string;
          const keys = (await (await fetch(`${server()}/jwks`)).json()) as JSONWebKeySet;
          const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(keys), {
            issuer,
            audience: clientId(),
            typ: 'logout+jwt',
            requiredClaims: ['iat', 'exp', 'jti', 'sub', 'sid', 'events'],
          });
          receiver.received.push({ claims: payload, header: protectedHeader as never, token });
        } catch (error) {
          receiver.refused.push(error);
        }
        await receiver.onRequest();
        const answer = (answers.length > 1 ? answers.shift() : answers[0]) as (typeof answers)[0];
        if (typeof answer === 'number') response.writeHead(answer).end();
        else response.writeHead(302, answer).end();
      })();
    });
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const receiver: LogoutReceiver = {
    uri: `http://127.0.0.1:${(http.address() as AddressInfo).port}/backchannel-logout`,
    received: [],
    refused: [],
    answerWith: (...given) => void (answers = given),
    onRequest: () => undefined,
    async close() {
      http.closeAllConnections();
      http.close();
      await once(http, 'close');
    },
  };
  return receiver;
}
