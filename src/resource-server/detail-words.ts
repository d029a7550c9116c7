type Schema = Readonly<Record<string, unknown>>;

/** The placeholders of templates that can stand for nothing by the schema: a slip of the pen is found when it is made. */
export function findUnknownPlaceholders(schema: Schema, templates: readonly string[]): string[] {
  const names = templates.flatMap((text) =>
    [...text.matchAll(/\{([^{}]+)\}/g)].map(([, name = '']) => name),
  );
  return [...new Set(names)].filter((name) => !isPlain(schema, schema, name.split('.')));
}

/** Whether a value may stand there that can be told in words: one, or a list of such. */
function isPlain(root: Schema, given: unknown, path: readonly string[]): boolean {
  const schema = resolve(root, given);
  if (schema === undefined) return given === true;
  // What is said in alternatives or conditions is not followed: it may be there.
  if (['oneOf', 'anyOf', 'allOf', 'if', 'then', 'else'].some((key) => key in schema)) return true;
  const [name, ...rest] = path;
  if (name === undefined) {
    if (schema.type === 'array')
      return schema.items === undefined || isPlain(root, schema.items, []);
    return schema.type !== 'object' && !('properties' in schema);
  }
  if (/^\d+$/.test(name) && (schema.type === 'array' || 'items' in schema))
    return schema.items === undefined || isPlain(root, schema.items, rest);
  const properties = schema.properties as Record<string, unknown> | undefined;
  return (
    properties !== undefined &&
    Object.hasOwn(properties, name) &&
    isPlain(root, properties[name], rest)
  );
}

/** The schema itself, or the one of the same document that it refers to. */
function resolve(root: Schema, schema: unknown, depth = 0): Schema | undefined {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return undefined;
  const { $ref: reference } = schema as Schema;
  if (typeof reference !== 'string') return schema as Schema;
  if (depth > 10 || !reference.startsWith('#/')) return undefined;
  let target: unknown = root;
  for (const part of reference.slice(2).split('/')) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof target !== 'object' || target === null || !Object.hasOwn(target, name))
      return undefined;
    target = (target as Schema)[name];
  }
  return resolve(root, target, depth + 1);
}
