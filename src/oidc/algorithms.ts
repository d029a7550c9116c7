import type { Configuration } from 'oidc-provider';
import { signingAlgs } from '../resource-server/resource-server.ts';
import { assertionSigningAlgs } from './client-authentication/assertions.ts';
import { proofSigningAlgs } from './client-authentication/dpop.ts';

const signing = [...signingAlgs];
/** To a client's public key alone: of its secret only a hash is kept, with which nothing can be encrypted. */
const encryptionAlgs = ['RSA-OAEP-256' as const, 'ECDH-ES' as const];
const encryptionEncs = ['A256GCM' as const];

/** What is signed, and encrypted, with what: of what a client can't be registered for, there is nothing. */
export const enabledJwa: NonNullable<Configuration['enabledJWA']> = {
  idTokenSigningAlgValues: signing,
  idTokenEncryptionAlgValues: [],
  idTokenEncryptionEncValues: [],
  userinfoSigningAlgValues: signing,
  userinfoEncryptionAlgValues: [],
  userinfoEncryptionEncValues: [],
  introspectionSigningAlgValues: signing,
  introspectionEncryptionAlgValues: encryptionAlgs,
  introspectionEncryptionEncValues: encryptionEncs,
  requestObjectSigningAlgValues: assertionSigningAlgs,
  requestObjectEncryptionAlgValues: [],
  requestObjectEncryptionEncValues: [],
  authorizationSigningAlgValues: signing,
  authorizationEncryptionAlgValues: [],
  authorizationEncryptionEncValues: [],
  clientAuthSigningAlgValues: assertionSigningAlgs,
  dPoPSigningAlgValues: proofSigningAlgs,
};
