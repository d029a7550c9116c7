import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The blocks of a page of docs/ that name a file after their language, by that name. */
export async function snippetsOf(page: string): Promise<Map<string, string>> {
  const text = await readFile(join(import.meta.dirname, '../../docs', page), 'utf8');
  const blocks = [...text.matchAll(/^```\w+ (?<name>\S+)\n(?<code>.*?)^```$/gms)];
  const unnamed = [...text.matchAll(/^```\w+$/gm)].length;
  const snippets = new Map(
    blocks.map(({ groups }) => [groups?.['name'] ?? '', groups?.['code'] ?? '']),
  );
  if (snippets.size !== blocks.length || unnamed > 0)
    throw new Error(`${page} has a block without a name of its own`);
  return snippets;
}
