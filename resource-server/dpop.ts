import { calculateJwkThumbprint, decodeProtectedHeader, EmbeddedJWK, jwtVerify } from 'jose';
import { epochSeconds } from './clock.ts';
import type { DpopNonces } from './dpop-nonces.ts';
import { Refusal } from './errors.ts';
import { isObject } from './fetch-document.ts';
import { sha256 } from './hash.ts';
import type { ReplayMemory } from './replay.ts';
import type { RequestView } from './request.ts';

export interface DpopRules {
  /** The algorithms that are taken; every one of them is asymmetric. */
  readonly algorithms: readonly string[];
  /** How old a proof may be (seconds). */
  readonly maxAge: number;
  readonly clockTolerance: number;
  /** What stands before a request's path in the addresses that callers know. */
  readonly publicUrl: string;
}

/** What a proof must fit. */
export interface ProofContext {
  readonly token: string;
  /** The thumbprint of the key that the token is bound to. */
  readonly jkt: string;
}

const MOST_PROOF = 8 * 1024;

/** Checks DPoP proofs (RFC 9449, section 4.3). */
export class DpopProofs {
  readonly #rules: DpopRules;
  readonly #replays: ReplayMemory;
  readonly #nonces: DpopNonces | undefined;

  constructor(rules: DpopRules, replays: ReplayMemory, nonces: DpopNonces | undefined) {
    this.#rules = rules;
    this.#replays = replays;
    this.#nonces = nonces;
  }

  get algorithms(): readonly string[] {
    return this.#rules.algorithms;
  }

  nextNonce(): string | undefined {
    return this.#nonces?.issue();
  }

  /**
   * Passes one who holds the token's key, and made the proof for this very request, once. Gives the nonce to use from
   * now on, where it is time for another.
   * @throws Refusal where it is not so; Unavailable where no more uses can be remembered
   */
  async check(request: RequestView, { token, jkt }: ProofContext): Promise<string | undefined> {
    const proofs = request.header('dpop');
    const [proof] = proofs;
    if (proof === undefined || proofs.length > 1 || proof.length > MOST_PROOF)
      throw invalid('exactly one DPoP proof is needed');
    const { payload, thumbprint } = await this.#verify(proof);
    const { htm, htu, ath, jti, iat, nonce } = payload;
    if (htm !== request.method) throw invalid('the DPoP proof is for another method');
    const asked = normalized(`${this.#rules.publicUrl}${request.path}`);
    if (asked === undefined || normalized(htu) !== asked)
      throw invalid('the DPoP proof is for another address');
    if (ath !== sha256(token)) throw invalid('the DPoP proof is for another token');
    this.#checkTime(iat);
    const state = this.#checkNonce(nonce);
    // A good proof by another key: the token is not this caller's (RFC 9449, section 7.1).
    if (thumbprint !== jkt) throw new Refusal('invalid_token', 'the token is bound to another key');
    if (typeof jti !== 'string' || jti === '' || jti.length > 512)
      throw invalid('the DPoP proof has no jti');
    const used = sha256(`${jkt}\0${jti}`);
    if (!this.#replays.use(used)) throw invalid('the DPoP proof was used before');
    return state === 'old' ? this.nextNonce() : undefined;
  }

  async #verify(proof: string) {
    try {
      const { jwk, crit } = decodeProtectedHeader(proof);
      // Whoever shows a private key has none.
      const isPublic =
        isObject(jwk) &&
        ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'].every((name) => !(name in jwk));
      if (!isPublic || crit !== undefined) throw new TypeError('no public key, or an extension');
      const { payload } = await jwtVerify(proof, EmbeddedJWK, {
        typ: 'dpop+jwt',
        algorithms: [...this.#rules.algorithms],
        // Times are looked at below: `exp` and `nbf` are no claims of a proof.
        clockTolerance: this.#rules.clockTolerance,
      });
      return { payload, thumbprint: await calculateJwkThumbprint(jwk, 'sha256') };
    } catch (cause) {
      throw new Refusal('invalid_dpop_proof', 'the DPoP proof is not valid', {}, cause);
    }
  }

  #checkTime(iat: unknown): void {
    const { maxAge, clockTolerance } = this.#rules;
    const age = typeof iat === 'number' ? epochSeconds() - iat : Number.NaN;
    if (!(age >= -clockTolerance && age <= maxAge + clockTolerance))
      throw invalid('the DPoP proof was not made just now');
  }

  #checkNonce(nonce: unknown): 'good' | 'old' {
    const state = this.#nonces?.check(nonce) ?? 'good';
    if (state === 'bad')
      throw new Refusal('use_dpop_nonce', 'the DPoP proof needs the nonce of this answer');
    return state;
  }
}

const invalid = (description: string) => new Refusal('invalid_dpop_proof', description);

/**
 * An address without query and fragment, after syntax-based and scheme-based normalization (RFC 9449, section 4.3;
 * RFC 3986, sections 6.2.2 and 6.2.3); undefined where it is none.
 */
function normalized(url: unknown): string | undefined {
  if (typeof url !== 'string' || !URL.canParse(url)) return undefined;
  const { origin, pathname, username, password } = new URL(url);
  if (origin === 'null' || username !== '' || password !== '') return undefined;
  const path = pathname.replace(/%[\da-f]{2}/gi, (escaped) => {
    const char = String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
    return /[\w.~-]/.test(char) ? char : escaped.toUpperCase();
  });
  return `${origin}${path}`;
}
