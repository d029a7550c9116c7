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

const name = { value: 'URI', required: true, help: 'the issuer, as in `iss`' } as const;
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
    message: 'give either --jwks or --jwks-uri',
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
    summary:
      'Trusts an issuer of assertions (RFC 7523); use issuer allow to give its subjects access',
    options: {
      issuer: name,
      jwks: { value: 'FILE', help: 'its public keys, as a JWK Set' },
      'jwks-uri': { value: 'U', help: 'the URL of its public keys, instead of --jwks' },
      alg: {
        value: issuerAlgs.join('|'),
        multiple: true,
        help: 'an algorithm that it signs with (default: ES256 and RS256)',
      },
      'max-life': {
        value: 'SECONDS',
        help: 'the longest lifetime of an assertion, 60 to 86400 (default: 3600)',
      },
      reusable: {
        help: 'an assertion can be used until it expires, such as one in a file (default: only once)',
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
        text: `${input.issuer} is trusted. Give its subjects access with issuer allow.`,
      };
    },
  }),
  defineCommand({
    words: 'issuer allow',
    summary: 'Lets a subject of a trusted issuer get tokens as one of your clients, for one API',
    options: {
      issuer: name,
      subject: {
        value: 'S',
        required: true,
        help: 'the subject, as in `sub`; with * at the end, every subject that starts like this',
      },
      'client-id': { value: 'ID', required: true, help: 'the client that it gets tokens as' },
      api: { value: 'URI', required: true, help: 'the API of these tokens' },
      scope: { value: 'S', required: true, multiple: true, help: 'a scope of that API' },
      public: {
        help: 'for a client that cannot authenticate: the assertion is enough',
      },
    },
    input: allowInput,
    async run({ issuer, allowed }, session) {
      const id = await (await session.trustedIssuers()).allow(issuer, allowed, actor);
      return {
        json: { id },
        text: `The rule ${id} was added. It takes effect within two seconds.`,
      };
    },
  }),
  defineCommand({
    words: 'issuer disallow',
    summary: 'Removes a rule of issuer allow; tokens that were issued by it live until they expire',
    options: { rule: { value: 'ID', required: true, help: 'its ID, from issuer list' } },
    input: z.object({ rule: z.string().min(1) }),
    async run(input, session) {
      await (await session.trustedIssuers()).disallow(input.rule, actor);
      return { json: { id: input.rule }, text: `The rule ${input.rule} was removed.` };
    },
  }),
  defineCommand({
    words: 'issuer list',
    summary: 'Lists the trusted issuers, and what their subjects can get',
    options: {},
    input: z.object({}),
    async run(_input, session) {
      const issuers = await (await session.trustedIssuers()).list();
      return {
        json: { issuers: issuers.map(shown) },
        text:
          issuers.length === 0
            ? 'There are no trusted issuers.'
            : table(issuers.flatMap(rowsOf)).join('\n'),
      };
    },
  }),
  defineCommand({
    words: 'issuer remove',
    summary:
      'Stops trusting an issuer; tokens that were issued for its assertions live until they expire',
    options: { issuer: name },
    input: z.object({ issuer: z.string().min(1) }),
    async run(input, session) {
      await (await session.trustedIssuers()).remove(input.issuer, actor);
      return {
        json: { issuer: input.issuer },
        text: `${input.issuer} is no longer trusted.`,
      };
    },
  }),
];
