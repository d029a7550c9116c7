import { z } from 'zod';
import { type GatewayRule, newGatewayRuleSchema } from '../gateway/gateway.ts';
import { GatewayRules } from '../gateway/rules.service.ts';
import { type Command, defineCommand, table } from './command.ts';
import { actor, type Session } from './session.ts';

const api = { value: 'URI', required: true, help: 'the identifier of the API' } as const;

const rulesOf = async (session: Session) =>
  new GatewayRules(await session.db(), await session.resourceServers());

const { methods, path, scopes, roles, place } = newGatewayRuleSchema.shape;

const addInput = z
  .object({
    api: z.string().min(1),
    method: z.preprocess(
      (names) => (Array.isArray(names) && names.length === 1 && names[0] === 'any' ? [] : names),
      methods,
    ),
    path,
    scope: scopes,
    role: roles,
    public: z.boolean().default(false),
    place: z
      .string()
      .regex(/^\d{1,4}$/, 'expected a number')
      .transform(Number)
      .optional()
      .pipe(place),
  })
  .refine((rule) => !rule.public || rule.scope.length + rule.role.length === 0, {
    path: ['public'],
    message: 'a public rule can require no scopes and no roles',
  });

const methodsOf = (rule: GatewayRule) =>
  rule.methods.length === 0 ? 'any method' : rule.methods.join(', ');

function asks(rule: GatewayRule): string {
  if (rule.public) return 'public';
  const parts = [
    rule.scopes.length === 0 ? '' : `scopes ${rule.scopes.join(' ')}`,
    rule.roles.length === 0 ? '' : `one of the roles ${rule.roles.join(' ')}`,
  ].filter((part) => part !== '');
  return parts.length === 0 ? 'any token for the API' : parts.join(', ');
}

export const gatewayCommands: Command[] = [
  defineCommand({
    words: 'gateway add-rule',
    summary: 'Lets requests to an API pass its gateway; the first rule that matches decides',
    options: {
      api,
      method: {
        value: 'M',
        required: true,
        multiple: true,
        help: 'a method, such as GET (which includes HEAD), or any',
      },
      path: {
        value: 'P',
        required: true,
        help: 'such as /invoices/:id/**: segments, * or :name for any one segment, ** for the rest',
      },
      scope: {
        value: 'S',
        multiple: true,
        help: 'a scope; the token must have all of them',
      },
      role: { value: 'R', multiple: true, help: 'a role; the account must have one of them' },
      public: { help: 'let requests pass without a token' },
      place: { value: 'N', help: 'its position among the rules, from 1 (default: the last)' },
    },
    details:
      '  gateway add-rule --api https://api.example.com --method GET --path "/invoices/**" --scope read',
    input: addInput,
    async run({ api: identifier, method, scope, role, ...rest }, session) {
      const rule = { methods: method, scopes: scope, roles: role, ...rest };
      const id = await (await rulesOf(session)).add(identifier, rule, actor);
      return {
        json: { id },
        text: `The rule ${id} was added. It takes effect within two seconds.`,
      };
    },
  }),
  defineCommand({
    words: 'gateway list-rules',
    summary: 'Lists the rules of an API in order; a request that no rule matches is refused',
    options: { api },
    input: z.object({ api: z.string().min(1) }),
    async run(input, session) {
      const rules = await (await rulesOf(session)).list(input.api);
      const rows = rules.map(
        (rule, index) =>
          [`${index + 1}  ${rule.id}  ${methodsOf(rule)} ${rule.path}`, asks(rule)] as const,
      );
      return {
        json: { rules },
        text:
          rows.length === 0
            ? 'There are no rules: every request is refused.'
            : table(rows).join('\n'),
      };
    },
  }),
  defineCommand({
    words: 'gateway remove-rule',
    summary: 'Removes a rule of an API',
    options: {
      rule: { value: 'ID', required: true, help: 'its ID, from gateway list-rules' },
    },
    input: z.object({ rule: z.string().min(1) }),
    async run(input, session) {
      await (await rulesOf(session)).remove(input.rule, actor);
      return { json: { id: input.rule }, text: `The rule ${input.rule} was removed.` };
    },
  }),
];
