import type { Middleware } from 'koa';
import type { Config } from '../config.ts';
import type { Renderer } from '../pages/render.ts';
import type { Console } from '../oidc/console-clients.ts';
import type { Engine } from '../oidc/engine.ts';
import { PendingSignIns } from './pending-sign-ins.ts';
import { createRequireSession, type RequireSession } from './require-session.ts';
import { createSignedIn } from './signed-in.ts';

/** How the consoles sign people in: as first-party clients of the server itself. */
export interface ConsoleSignIn {
  readonly requireSession: RequireSession;
  /** What answers at the console's redirect URI. */
  signedIn(console: Console): Middleware;
}

export function createConsoleSignIn({
  config,
  engine,
  renderer,
}: {
  config: Config;
  engine: Engine;
  renderer: Renderer;
}): ConsoleSignIn {
  const { issuer, requireSecondFactor } = config;
  const options = {
    engine,
    pending: new PendingSignIns(engine, issuer),
    issuer,
    requireSecondFactor,
  };
  return {
    requireSession: createRequireSession(options),
    signedIn: (console) => createSignedIn({ ...options, renderer }, console),
  };
}
