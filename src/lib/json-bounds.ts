export interface JsonBounds {
  /** How deep arrays and objects may stand in each other. */
  readonly depth: number;
  /** How many values there may be in all. */
  readonly values: number;
  /** Characters of a string, or of a name. */
  readonly text: number;
  /** Characters of all of it as JSON. */
  readonly total: number;
}

/** Names that code somewhere may take for more than a name. */
const reserved = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * What makes a JSON value one that is not worked on, as in "is deeper than 8 levels"; undefined where it may be. Takes
 * no longer than the bounds allow, whatever the value is.
 */
export function findJsonProblem(value: unknown, bounds: JsonBounds): string | undefined {
  let waiting: { readonly value: unknown; readonly depth: number }[] = [{ value, depth: 0 }];
  let seen = 0;
  while (waiting.length > 0) {
    const next: typeof waiting = [];
    for (const one of waiting) {
      if (++seen > bounds.values) return `holds more than ${bounds.values} values`;
      const problem = findPlainProblem(one.value, bounds);
      if (problem !== undefined) return problem;
      if (typeof one.value !== 'object' || one.value === null) continue;
      if (one.depth >= bounds.depth) return `is deeper than ${bounds.depth} levels`;
      const entries = Object.entries(one.value);
      if (entries.length > bounds.values) return `holds more than ${bounds.values} values`;
      for (const [name, inner] of entries) {
        if (reserved.has(name)) return `has a member named ${name}`;
        const wrong = findTextProblem(name, bounds);
        if (wrong !== undefined) return wrong;
        next.push({ value: inner, depth: one.depth + 1 });
      }
    }
    waiting = next;
  }
  return JSON.stringify(value).length > bounds.total
    ? `is longer than ${bounds.total} characters`
    : undefined;
}

function findPlainProblem(value: unknown, bounds: JsonBounds): string | undefined {
  if (typeof value === 'string') return findTextProblem(value, bounds);
  // 1e999 is JSON, and infinite once it was read.
  if (typeof value === 'number' && !Number.isFinite(value)) return 'holds a number out of range';
  return undefined;
}

function findTextProblem(text: string, bounds: JsonBounds): string | undefined {
  if (text.length > bounds.text) return `holds a text of more than ${bounds.text} characters`;
  // PostgreSQL's jsonb has neither.
  if (text.includes('\u0000') || !text.isWellFormed()) return 'holds a character that is none';
  return undefined;
}
