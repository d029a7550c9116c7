import { z } from 'zod';

/** What the consent page says about a scope: a verb in the margin, and the words that follow it. */
export interface ScopeWords {
  /** As in "see"; undefined for a scope without words, and for one registered before scopes had verbs. */
  readonly verb?: string | undefined;
  /** As in "your invoices"; empty for a scope without words. */
  readonly description: string;
}

export interface DescribedScope extends ScopeWords {
  readonly scope: string;
}

export const verbSchema = z
  .string()
  .regex(/^\p{L}[\p{L}\p{M}' \u2019-]{0,19}$/u, 'expected a verb of at most 20 letters, as in see');

const example = '"invoices:read=see: your invoices"';

/**
 * Reads `scope=verb: words`, or a scope on its own. Nothing is guessed: words without a verb are refused.
 * @throws TypeError with a message for the person who typed it
 */
export function parseScopeWords(text: string): DescribedScope {
  const [, scope, words] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  if (scope === undefined || words === undefined) return { scope: text, description: '' };
  const [, verb = '', description = ''] = /^([^:]*):(.*)$/s.exec(words) ?? [];
  if (verb.trim() === '' || description.trim() === '')
    throw new TypeError(`expected scope=verb: words, as in ${example}`);
  return { scope, verb: verb.trim(), description: description.trim() };
}

/** As `parseScopeWords` reads it; a scope that was registered without a verb is written with its words only. */
export function writeScopeWords({ scope, verb, description }: DescribedScope): string {
  if (description === '') return scope;
  return verb === undefined ? `${scope}=${description}` : `${scope}=${verb}: ${description}`;
}

/** As the schemas of an API take a scope. */
interface ScopeInput {
  scope: string;
  verb?: string | undefined;
  description?: string | undefined;
}

/** `parseScopeWords` for an option of the command line. */
export const scopeWordsSchema = z.string().transform((text, context): ScopeInput => {
  try {
    return parseScopeWords(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
    return z.NEVER;
  }
});

/** What the consent page says before the words of a scope that has no verb: whether it reads or writes, nobody has said. */
const VERB_UNKNOWN = 'use';

/** The rows as the (English) consent page shows them, for the API team to read over; `missing` says what to add. */
export function previewScopeWords(
  scopes: readonly DescribedScope[],
): { scope: string; verb: string; words: string; missing: string }[] {
  return scopes.map(({ scope, verb, description }) => ({
    scope,
    verb: verb ?? VERB_UNKNOWN,
    words: description === '' ? scope : description,
    missing: verb === undefined ? `(add words: --scope "${scope}=verb: words")` : '',
  }));
}
