import { z } from 'zod';

/** Longer than any code that we give out, with all that people type around it. */
const code = z.string().max(100).catch('');

/** The posted `code`; what is no code is an empty one, and wrong like any other. */
export function readCode(fields: URLSearchParams): string {
  return code.parse(fields.get('code'));
}

const text = z.string().max(1_000).catch('');

export interface NewAccountFields {
  readonly email: string;
  readonly name: string | undefined;
  readonly password: string;
}

/** The posted fields of a new account. The password is as long as the body lets it be: it is refused by its own rule. */
export function readNewAccount(fields: URLSearchParams): NewAccountFields {
  return {
    email: text.parse(fields.get('email')),
    name: text.parse(fields.get('name')) || undefined,
    password: fields.get('password') ?? '',
  };
}
