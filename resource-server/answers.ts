import { formatChallenge, type Scheme } from './challenge.ts';
import { AuthorizationError, type Refusal } from './errors.ts';

/** What every challenge of the API says. */
export interface ChallengeRules {
  readonly realm: string | undefined;
  /** RFC 9728, section 5.1. */
  readonly metadataUrl: string | undefined;
  /** Of DPoP proofs; undefined where they can't be checked. */
  readonly dpopAlgorithms: readonly string[] | undefined;
  readonly nextNonce: () => string | undefined;
}

/** What the request was made with, and what it could have been made with. */
export interface Challenged {
  /** Undefined where no token was presented. */
  readonly scheme: Scheme | undefined;
  readonly offersBearer: boolean;
  readonly offersDpop: boolean;
  /** Headers of every answer to the request. */
  readonly echoed: Readonly<Record<string, string>>;
}

/**
 * What is answered: the challenge of the scheme that was used says what was wrong; those of other schemes that are open
 * to the caller say no more than that.
 */
export function answerTo(
  { code, message, parameters, cause }: Refusal,
  { realm, metadataUrl, dpopAlgorithms, nextNonce }: ChallengeRules,
  { scheme, offersBearer, offersDpop, echoed }: Challenged,
): AuthorizationError {
  // Who sent no token is not told what was wrong with it (RFC 6750, section 3.1).
  const failed = code === 'missing_token' ? undefined : (scheme ?? 'Bearer');
  const wrong = { error: code, error_description: ascii(message), ...parameters };
  const schemes: [Scheme, boolean][] = [
    ['Bearer', offersBearer],
    ['DPoP', offersDpop && dpopAlgorithms !== undefined],
  ];
  const challenges = schemes
    .filter(([name, isOffered]) => name === failed || (isOffered && failed !== 'DPoP'))
    .map(([name]) =>
      formatChallenge(name, {
        realm,
        ...(name === failed ? wrong : {}),
        algs: name === 'DPoP' ? dpopAlgorithms?.join(' ') : undefined,
        resource_metadata: metadataUrl,
      }),
    );
  const nonce = code === 'use_dpop_nonce' ? nextNonce() : undefined;
  return new AuthorizationError(code, message, {
    challenges,
    headers: { ...echoed, ...nonceHeader(nonce) },
    cause,
  });
}

/** The nonce for the client's next proof (RFC 9449, section 9). */
export const nonceHeader = (nonce: string | undefined): Record<string, string> =>
  nonce === undefined ? {} : { 'DPoP-Nonce': nonce };

const ascii = (text: string): string => text.replaceAll('’', "'");
