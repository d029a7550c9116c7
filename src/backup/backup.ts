import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { z } from 'zod';
import { AppError } from '../errors.ts';

/**
 * A backup is lines of JSON in gzip: a head, for each table its name and columns and then its rows, and an end that
 * counts both. A row is an array of texts in the order of the columns, as PostgreSQL writes them. It knows no
 * version of PostgreSQL, and a later release can read it: it says which migrations its tables had.
 */

export const headSchema = z.object({
  vouchsafe: z.literal('backup'),
  format: z.literal(1),
  created_at: z.iso.datetime(),
  migrations: z.array(z.string()),
  /** The months of the audit that had a partition, as in `audit_events_2026_01`. */
  partitions: z.array(z.string().regex(/^(audit_events|audit_people)_\d{4}_\d\d$/)),
});
export type Head = z.output<typeof headSchema>;

export const tableSchema = z.object({ table: z.string(), columns: z.array(z.string()).min(1) });
export type TablePart = z.output<typeof tableSchema>;

const endSchema = z.object({
  end: z.literal(true),
  tables: z.number().int(),
  rows: z.number().int(),
});

export type Part =
  | { readonly kind: 'head'; readonly head: Head }
  | { readonly kind: 'table'; readonly table: TablePart }
  /** The row as JSON. */
  | { readonly kind: 'row'; readonly row: string };

/**
 * Reads a backup from beginning to end.
 * @throws AppError `backup_unreadable` for a file that is none, or is not whole
 */
export async function* readBackup(file: string): AsyncGenerator<Part> {
  let rows = 0;
  let tables = 0;
  let isWhole = false;
  try {
    let isFirst = true;
    for await (const line of linesOf(file)) {
      if (isWhole) throw new Error('something follows the end');
      if (isFirst) yield { kind: 'head', head: headSchema.parse(JSON.parse(line)) };
      else if (line.startsWith('[')) {
        rows += 1;
        yield { kind: 'row', row: line };
      } else if (line.startsWith('{"end"')) {
        const end = endSchema.parse(JSON.parse(line));
        if (end.rows !== rows || end.tables !== tables) throw new Error('something is missing');
        isWhole = true;
      } else {
        tables += 1;
        yield { kind: 'table', table: tableSchema.parse(JSON.parse(line)) };
      }
      isFirst = false;
    }
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw unreadable(file, cause);
  }
  if (!isWhole) throw unreadable(file);
}

/** Parted at line feeds only: node:readline also parts at U+2028, which JSON may hold. */
async function* linesOf(file: string): AsyncGenerator<string> {
  const packed = createReadStream(file);
  const text = packed.pipe(createGunzip()).setEncoding('utf8');
  packed.once('error', (error) => text.destroy(error));
  let rest = '';
  for await (const chunk of text as AsyncIterable<string>) {
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}

function unreadable(file: string, cause?: unknown): AppError {
  const { code } = (cause ?? {}) as { code?: string };
  const reason =
    code === 'ENOENT' || code === 'EACCES' || code === 'EISDIR'
      ? `it can't be opened (${code})`
      : 'it is not a backup of Vouchsafe, or not a whole one';
  return new AppError(
    'backup_unreadable',
    `${file} can't be restored: ${reason}. Nothing was changed.`,
    { cause },
  );
}
