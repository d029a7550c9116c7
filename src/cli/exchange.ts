import { z } from 'zod';
import { canWiden, type ExchangeRule, newExchangeRuleSchema } from '../exchange/exchange.ts';
import { type Command, defineCommand, table } from './command.ts';
import { actor } from './session.ts';

const { clientId, source, target, scopes, impersonation, actors } = newExchangeRuleSchema.shape;

const allowInput = z
  .object({
    'client-id': clientId,
    from: source,
    to: target,
    scope: scopes,
    impersonate: impersonation,
    actor: actors,
  })
  .transform((input) => ({
    clientId: input['client-id'],
    source: input.from,
    target: input.to,
    scopes: input.scope,
    impersonation: input.impersonate,
    actors: input.actor,
  }));

const shown = ({ clientId: client, ...rule }: ExchangeRule) => ({
  client_id: client,
  ...rule,
  can_widen: canWiden(rule),
});

/** What a rule allows beyond the first token's scopes; printed when it is created. */
function extent({ source, target, scopes }: Pick<ExchangeRule, 'scopes' | 'source' | 'target'>) {
  if (!canWiden({ source, target }))
    return 'The new token never has a scope that the first one lacks.';
  return (
    `This rule can widen access: a token for ${source}, whatever its scopes are,\n` +
    `can become one for ${target} with ${scopes.join(' ')}.`
  );
}

const said = (rule: ExchangeRule) =>
  [
    `${rule.id}  ${rule.clientId}`,
    `${rule.source} → ${rule.target}`,
    rule.scopes.join(' '),
    rule.impersonation ? 'impersonation' : 'delegation',
    canWiden(rule) ? 'can widen' : 'never widens',
    rule.actors.length === 0 ? '' : `actors ${rule.actors.join(' ')}`,
  ] as const;

export const exchangeCommands: Command[] = [
  defineCommand({
    words: 'exchange allow',
    summary: 'Lets a client exchange tokens for one API into tokens for another (RFC 8693)',
    options: {
      'client-id': { value: 'ID', required: true, help: 'the client that exchanges' },
      from: { value: 'URI', required: true, help: 'the API of the tokens to exchange' },
      to: { value: 'URI', required: true, help: 'the API of the new tokens' },
      scope: {
        value: 'S',
        required: true,
        multiple: true,
        help: 'a scope of the target API that a new token can have',
      },
      impersonate: {
        help: 'new tokens need not name the actor; without it, each names the client in `act`',
      },
      actor: {
        value: 'ID',
        multiple: true,
        help: 'another client whose own token can be sent as the actor token',
      },
    },
    details:
      '  exchange allow --client-id c_… --from https://orders.example.com --to https://stock.example.com --scope read\n\n' +
      'It replaces the rule of the client for the same two APIs. Between two APIs, only the rule decides which scopes\n' +
      'the new token can have; within one API, it never has a scope that the first token lacks.',
    input: allowInput,
    async run(input, session) {
      const id = await (await session.exchangeRules()).allow(input, actor);
      return {
        json: { id, can_widen: canWiden(input) },
        text: `The rule ${id} was added. It takes effect within two seconds.\n${extent(input)}`,
      };
    },
  }),
  defineCommand({
    words: 'exchange list',
    summary: 'Lists which client can exchange which tokens',
    options: { 'client-id': { value: 'ID', help: 'only the rules of this client' } },
    input: z.object({ 'client-id': clientId.optional() }),
    async run(input, session) {
      const rules = await (await session.exchangeRules()).list(input['client-id']);
      return {
        json: { rules: rules.map(shown) },
        text:
          rules.length === 0
            ? 'There are no rules: no client can exchange tokens.'
            : table(rules.map(said)).join('\n'),
      };
    },
  }),
  defineCommand({
    words: 'exchange remove',
    summary: 'Removes a rule; tokens that were exchanged by it live until they expire',
    options: {
      rule: { value: 'ID', required: true, help: 'its ID, from exchange list' },
    },
    input: z.object({ rule: z.string().min(1) }),
    async run(input, session) {
      await (await session.exchangeRules()).remove(input.rule, actor);
      return { json: { id: input.rule }, text: `The rule ${input.rule} was removed.` };
    },
  }),
];
