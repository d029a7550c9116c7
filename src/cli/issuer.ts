import { z } from 'zod';
import {
  hasKeysOnce,
  issuerAlgs,
  newIssuerSchema,
  newSubjectSchema,
  type TrustedIssuer,
} from '../issuer/issuer.ts';
import { type Command, defineCommand, table } from './command.ts';
import { actor } from './session.ts';
import { jsonFile, seconds } from './values.ts';

const name = { value: 'URI', required: true, help: 'the issuer, as it stands in `iss`' } as const;
const { subject, clientId, api, scopes, public: isPublic } = newSubjectSchema.shape;

const fields = newIssuerSchema.shape;

const addInput = z
  .object({
    issuer: fields.issuer,
    jwks: jsonFile.pipe(fields.jwks),
    'jwks-uri': fields.jwksUri,
    alg: fields.algs,
    'max-life': seconds.pipe(fields.maxLife),
    reusable: fields.reusable,
  })
  .transform((input) => ({
    issuer: input.issuer,
    jwks: input.jwks,
    jwksUri: input['jwks-uri'],
    algs: input.alg,
    maxLife: input['max-life'],
    reusable: input.reusable,
  }))
  .refine(hasKeysOnce, {
    path: ['jwks'],
    message: 'its keys stand in one file or at one --jwks-uri',
  });

const allowInput = z
  .object({
    issuer: z.string().min(1),
    subject,
    'client-id': clientId,
    api,
    scope: scopes,
    public: isPublic,
  })
  .transform((input) => ({
    issuer: input.issuer,
    allowed: {
      subject: input.subject,
      clientId: input['client-id'],
      api: input.api,
      scopes: input.scope,
      public: input.public,
    },
  }));

const shown = (one: TrustedIssuer) => ({
  id: one.id,
  issuer: one.issuer,
  jwks_uri: one.jwksUri ?? null,
  jwks: one.jwks ?? null,
  algs: one.algs,
  max_life: one.maxLife,
  reusable: one.reusable,
  subjects: one.subjects.map(({ clientId: client, ...rest }) => ({ client_id: client, ...rest })),
});

const rowsOf = (one: TrustedIssuer) => [
  [
    one.issuer,
    one.jwksUri ?? 'keys given',
    one.algs.join(' '),
    `${one.maxLife} s${one.reusable ? ', reusable' : ''}`,
  ],
  ...one.subjects.map((rule) => [
    `  ${rule.id}  ${rule.subject}`,
    rule.clientId,
    `${rule.api} ${rule.scopes.join(' ')}`,
    rule.public ? 'public' : '',
  ]),
];

export const issuerCommands: Command[] = [
  defineCommand({
    words: 'issuer add',
    summary: 'Trusts an issuer of assertions (RFC 7523); that alone lets nobody in',
    options: {
      issuer: name,
      jwks: { value: 'FILE', help: 'its public keys, as a JWK Set' },
      'jwks-uri': { value: 'U', help: 'where its keys are, instead' },
      alg: {
        value: issuerAlgs.join('|'),
        multiple: true,
        help: 'what it signs with; ES256 and RS256 unless told',
      },
      'max-life': {
        value: 'SECONDS',
        help: 'how long an assertion may live from its issue, 60 to 86400; 3600 unless told',
      },
      reusable: {
        help: 'an assertion may be shown again until it ends, as those that lie in a file; without it, once',
      },
    },
    details:
      '  issuer add --issuer https://token.actions.githubusercontent.com \\\n' +
      '    --jwks-uri https://token.actions.githubusercontent.com/.well-known/jwks --alg RS256',
    input: addInput,
    async run(input, session) {
      const id = await (await session.trustedIssuers()).add(input, actor);
      return {
        json: { id },
        text: `${input.issuer} is trusted. Say which of its subjects may have what: issuer allow.`,
      };
    },
  }),
  defineCommand({
    words: 'issuer allow',
    summary: 'Lets a subject of a trusted issuer get tokens as a client of ours, for one API',
    options: {
      issuer: name,
      subject: {
        value: 'S',
        required: true,
        help: 'as it stands in `sub`; with * at its end every one that begins so',
      },
      'client-id': { value: 'ID', required: true, help: 'the client whose tokens it gets' },
      api: { value: 'URI', required: true, help: 'the API that they are for' },
      scope: { value: 'S', required: true, multiple: true, help: 'a scope of that API' },
      public: {
        help: 'the assertion is enough, where the client has nothing to authenticate with',
      },
    },
    input: allowInput,
    async run({ issuer, allowed }, session) {
      const id = await (await session.trustedIssuers()).allow(issuer, allowed, actor);
      return { json: { id }, text: `The rule ${id} was added. It holds within two seconds.` };
    },
  }),
  defineCommand({
    words: 'issuer disallow',
    summary: 'Removes such a rule; tokens that came by it live on until they end',
    options: { rule: { value: 'ID', required: true, help: 'its id, which issuer list shows' } },
    input: z.object({ rule: z.string().min(1) }),
    async run(input, session) {
      await (await session.trustedIssuers()).disallow(input.rule, actor);
      return { json: { id: input.rule }, text: `The rule ${input.rule} was removed.` };
    },
  }),
  defineCommand({
    words: 'issuer list',
    summary: 'Shows whose assertions are taken, and what for',
    options: {},
    input: z.object({}),
    async run(_input, session) {
      const issuers = await (await session.trustedIssuers()).list();
      return {
        json: { issuers: issuers.map(shown) },
        text:
          issuers.length === 0 ? 'Nobody is trusted.' : table(issuers.flatMap(rowsOf)).join('\n'),
      };
    },
  }),
  defineCommand({
    words: 'issuer remove',
    summary: 'Trusts an issuer no more; tokens that came by it live on until they end',
    options: { issuer: name },
    input: z.object({ issuer: z.string().min(1) }),
    async run(input, session) {
      await (await session.trustedIssuers()).remove(input.issuer, actor);
      return {
        json: { issuer: input.issuer },
        text: `${input.issuer} is trusted no more.`,
      };
    },
  }),
];
