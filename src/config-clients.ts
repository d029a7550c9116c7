import { z } from 'zod';

/** What the operator says of clients that register themselves. */

const hostPattern = /^!?(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;

/** Hosts, `*.` before one for those below it, and `!` before one that is left out; or a word for none, or for all. */
const documentHosts = z.string().transform((value, context) => {
  if (value === 'off') return [];
  const entries = value.split(',').map((entry) => entry.trim().toLowerCase());
  if (!entries.every((entry) => hostPattern.test(entry))) {
    context.addIssue({ code: 'custom', message: 'not hosts' });
    return z.NEVER;
  }
  return entries;
});

const quota = (usual: number) => z.coerce.number().int().min(1).max(100_000).default(usual);

export const clientVariables = {
  CLIENT_REGISTRATION: {
    form: z.enum(['off', 'token', 'open']).default('off'),
    expected:
      'who can register clients by protocol: off (no one), token (anyone with an initial access token) or open (anyone, within the quotas)',
    example: 'open',
  },
  CLIENT_REGISTRATION_PER_ADDRESS: {
    form: quota(20),
    expected:
      'how many unused clients can be registered from one address without an initial access token',
    example: '20',
  },
  CLIENT_REGISTRATION_IN_ALL: {
    form: quota(2_000),
    expected: 'how many unused clients can be registered in total without an initial access token',
    example: '2000',
  },
  CLIENT_REGISTRATION_PKCE: {
    form: z.enum(['required', 'optional']).default('required'),
    expected:
      'whether clients that register themselves must use PKCE: required, or optional (confidential clients can omit it)',
    example: 'optional',
  },
  CLIENT_DOCUMENTS: {
    form: documentHosts.optional(),
    expected:
      'which client ID metadata documents are accepted: off, any, or hosts separated by commas, with ! before those to refuse (default: any if CLIENT_REGISTRATION is open, otherwise off)',
    example: 'any,!apps.example.net',
  },
} as const;

type Parsed = {
  [K in keyof typeof clientVariables]: z.output<(typeof clientVariables)[K]['form']>;
};

export interface ClientsConfig {
  /** Who may register clients by protocol. */
  readonly clientRegistration: Parsed['CLIENT_REGISTRATION'];
  /** Whether confidential clients that registered themselves must use PKCE. */
  readonly clientRegistrationPkce: Parsed['CLIENT_REGISTRATION_PKCE'];
  /** How many clients may wait to be used, of those that anybody has registered. */
  readonly clientQuota: { readonly perAddress: number; readonly inAll: number };
  /** Whose client id metadata documents count; none where it is empty. See src/client-registration/document-hosts.ts. */
  readonly clientDocuments: readonly string[];
}

export function assembleClients(values: Parsed): ClientsConfig {
  const { CLIENT_REGISTRATION: mode } = values;
  return {
    clientRegistration: mode,
    clientRegistrationPkce: values.CLIENT_REGISTRATION_PKCE,
    clientQuota: {
      perAddress: values.CLIENT_REGISTRATION_PER_ADDRESS,
      inAll: values.CLIENT_REGISTRATION_IN_ALL,
    },
    clientDocuments: values.CLIENT_DOCUMENTS ?? (mode === 'open' ? ['any'] : []),
  };
}
