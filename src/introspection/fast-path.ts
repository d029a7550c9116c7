import type { Client } from '../client/client.ts';
import type { FastPath } from '../http/fast-path.ts';
import type { IntrospectionService } from './introspection.service.ts';

const fields = new Set(['token', 'token_type_hint', 'client_id', 'client_secret']);

/** Introspection with a JSON answer (RFC 7662), from the same service as the engine's. */
export function introspectionFastPath(service: IntrospectionService): FastPath<Client> {
  return {
    route: 'introspection',
    path: '/introspect',
    fields,
    exposedHeaders: 'WWW-Authenticate',
    async answer(caller, form) {
      const token = form.get('token');
      if (token === undefined || wantsJwt(caller)) return undefined;
      const answer = await service.answer(caller, await service.find(token));
      return { body: JSON.stringify(answer), result: answer.active ? 'active' : 'inactive' };
    },
  };
}

/** RFC 9701: which of the two it gets is for the engine to say. */
const wantsJwt = ({ metadata }: Client) =>
  metadata.introspection_signed_response_alg !== undefined ||
  metadata.introspection_encrypted_response_alg !== undefined;
