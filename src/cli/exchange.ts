import { z } from 'zod';
import { type ExchangeRule, newExchangeRuleSchema } from '../exchange/exchange.ts';
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

const shown = ({ clientId: client, ...rule }: ExchangeRule) => ({ client_id: client, ...rule });

const said = (rule: ExchangeRule) =>
  [
    `${rule.id}  ${rule.clientId}`,
    `${rule.source} → ${rule.target}`,
    rule.scopes.join(' '),
    rule.impersonation ? 'impersonation' : 'delegation',
    rule.actors.length === 0 ? '' : `actors ${rule.actors.join(' ')}`,
  ] as const;

export const exchangeCommands: Command[] = [
  defineCommand({
    words: 'exchange allow',
    summary: 'Lets a client exchange tokens for one API into tokens for another (RFC 8693)',
    options: {
      'client-id': { value: 'ID', required: true, help: 'the client that exchanges' },
      from: { value: 'URI', required: true, help: 'the API that the tokens are for' },
      to: { value: 'URI', required: true, help: 'the API that the new tokens are for' },
      scope: {
        value: 'S',
        required: true,
        multiple: true,
        help: 'a scope of that API; no new token has others',
      },
      impersonate: {
        help: 'new tokens need not say who acts; without it, each names the client in `act`',
      },
      actor: {
        value: 'ID',
        multiple: true,
        help: 'another client, whose own token may be given along as that of who acts',
      },
    },
    details:
      '  exchange allow --client-id c_… --from https://orders.example.com --to https://stock.example.com --scope read\n\n' +
      'A rule that the client has for the same two APIs gives way.',
    input: allowInput,
    async run(input, session) {
      const id = await (await session.exchangeRules()).allow(input, actor);
      return { json: { id }, text: `The rule ${id} was added. It holds within two seconds.` };
    },
  }),
  defineCommand({
    words: 'exchange list',
    summary: 'Shows which client may exchange which tokens',
    options: { 'client-id': { value: 'ID', help: 'the rules of this client alone' } },
    input: z.object({ 'client-id': clientId.optional() }),
    async run(input, session) {
      const rules = await (await session.exchangeRules()).list(input['client-id']);
      return {
        json: { rules: rules.map(shown) },
        text:
          rules.length === 0
            ? 'There are no rules: nobody exchanges tokens.'
            : table(rules.map(said)).join('\n'),
      };
    },
  }),
  defineCommand({
    words: 'exchange remove',
    summary: 'Removes a rule; tokens that were exchanged by it live on until they end',
    options: {
      rule: { value: 'ID', required: true, help: 'its id, which exchange list shows' },
    },
    input: z.object({ rule: z.string().min(1) }),
    async run(input, session) {
      await (await session.exchangeRules()).remove(input.rule, actor);
      return { json: { id: input.rule }, text: `The rule ${input.rule} was removed.` };
    },
  }),
];
