import { isDeepStrictEqual } from 'node:util';
import { errors } from 'oidc-provider';
import type { ExchangeRule } from '../../exchange/exchange.ts';
import type { LiveToken } from '../../unit-of-work/live-token.ts';
import { refusal } from './refusal.ts';

/** As in `act` and `may_act` (RFC 8693, sections 4.1 and 4.4): a client of ours, by its id. */
interface Actor {
  readonly sub: string;
  readonly act?: unknown;
}

/**
 * The `act` of the new token: who acts now, and behind it who acted before, which nobody takes away. Undefined where
 * nobody is said to act.
 */
export function actOf(
  subject: LiveToken,
  actor: LiveToken | undefined,
  { clientId, impersonation }: Pick<ExchangeRule, 'clientId' | 'impersonation'>,
): unknown {
  if (actor === undefined && impersonation) return subject.act;
  const now: Actor = { sub: actor?.clientId ?? clientId };
  return subject.act === undefined ? now : { ...now, act: subject.act };
}

/**
 * Who acts is a machine, by a token that it was given itself: the client's own, or one for the same API of a client that the
 * rule names.
 * @throws InvalidRequest
 */
export function checkActor(
  actor: LiveToken | undefined,
  { clientId, actors, source }: ExchangeRule,
): void {
  const isMachines = actor?.kind === 'machine' && actor.generation === 0;
  const isNamed =
    actor !== undefined &&
    (actor.clientId === clientId ||
      (actors.includes(actor.clientId) && [actor.audience].flat().includes(source)));
  if (!isMachines || !isNamed)
    throw refusal(
      new errors.InvalidRequest(
        'the actor token is not live, or not of a client that may act here',
      ),
      actor === undefined ? 'actor_not_live' : 'actor_not_allowed',
    );
}

/**
 * Where the subject token names the only one who may act, nobody else does, also who would not be named in the new one.
 * @throws InvalidRequest
 */
export function checkMayAct({ mayAct }: LiveToken, actorId: string, issuer: string): void {
  if (mayAct === undefined || isDeepStrictEqual(mayAct, { sub: actorId })) return;
  if (isDeepStrictEqual(mayAct, { sub: actorId, iss: issuer })) return;
  throw refusal(
    new errors.InvalidRequest('the subject token names somebody else who may act'),
    'may_act',
  );
}
