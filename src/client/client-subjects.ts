import { z } from 'zod';
import type { Metadata } from './metadata.ts';

/** Who a client is told that a person is (OpenID Connect Core, section 8). */
export const clientSubjectsSchema = z.object({
  /** `public`: the same for every client; `pairwise`: of this client's sector alone. `public` unless told. */
  subjectType: z.enum(['public', 'pairwise']).optional(),
  /** Names the redirect URIs of all clients of one sector (section 8.1). Null takes it away. */
  sectorIdentifierUri: z.string().max(2000).nullable().optional(),
});
export type ClientSubjects = z.output<typeof clientSubjectsSchema>;

const TYPE = 'subject_type';
const URI = 'sector_identifier_uri';

/** The metadata with what is said. */
export function withSubjects(
  metadata: Metadata,
  { subjectType, sectorIdentifierUri }: ClientSubjects,
): Record<string, unknown> {
  const next: Record<string, unknown> = { ...metadata };
  if (subjectType === 'public') delete next[TYPE];
  if (subjectType === 'pairwise') next[TYPE] = subjectType;
  if (sectorIdentifierUri === null) delete next[URI];
  if (typeof sectorIdentifierUri === 'string') next[URI] = sectorIdentifierUri;
  return next;
}

/** Whether its people have another subject there than elsewhere. */
export function isPairwise(metadata: Metadata): boolean {
  return metadata[TYPE] === 'pairwise';
}

/** The document that names the redirect URIs of a sector; undefined where the client has none. */
export function sectorUriOf(metadata: Metadata): string | undefined {
  const uri = metadata[URI];
  return typeof uri === 'string' ? uri : undefined;
}
