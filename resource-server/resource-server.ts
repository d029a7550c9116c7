import {
  type ExpressMiddleware,
  type FetchHandler,
  type KoaMiddleware,
  metadataAnswer,
  nodeRequestOf,
  refusalAnswer,
  sendByKoa,
  sendByNode,
  toResponse,
  withHeaders,
} from './adapters.ts';
import { answerTo, nonceHeader } from './answers.ts';
import { type Auth, authOf, type LiveToken } from './auth.ts';
import { checkBinding, isDpopBound } from './binding.ts';
import { DpopNonces } from './dpop-nonces.ts';
import { DpopProofs } from './dpop.ts';
import { AuthorizationError, Refusal, Unavailable } from './errors.ts';
import { type ParsedOptions, parseOptions, type ResourceServerOptions } from './options.ts';
import {
  describeResource,
  metadataUrl,
  type ResourceMetadata,
} from './protected-resource-metadata.ts';
import { ReplayMemory } from './replay.ts';
import { Reports } from './reports.ts';
import { type AnyRequest, echoedHeaders, type PresentedToken, tokenOf, viewOf } from './request.ts';
import {
  checkRequirements,
  type ParsedRequirements,
  parseRequirements,
  type Requirements,
} from './requirements.ts';
import { TokenReader } from './token-reader.ts';

/**
 * What stands between an API and its callers: only calls with a live token of the issuer, for this API, in the right
 * hands, that allows what is asked for, go on.
 * @throws TypeError where an option is missing, or can't be meant
 */
export function createResourceServer(options: ResourceServerOptions): ResourceServer {
  return new ResourceServer(options);
}

export class ResourceServer {
  readonly #options: ParsedOptions;
  readonly #reports: Reports;
  readonly #tokens: TokenReader;
  readonly #proofs: DpopProofs | undefined;
  readonly #metadataUrl: URL | undefined;
  /** Named in challenges once something serves it. */
  #challengeUrl: string | undefined;
  #offersMtls: boolean;

  constructor(options: ResourceServerOptions) {
    this.#options = parseOptions(options);
    this.#reports = new Reports(options.onError);
    this.#tokens = new TokenReader(this.#options, this.#reports);
    this.#proofs = createProofs(this.#options);
    this.#metadataUrl = metadataUrl(this.#options.audience);
    this.#challengeUrl = this.#options.metadataUrl;
    this.#offersMtls = options.clientCertificate !== undefined;
  }

  /**
   * Reads what is otherwise read when the first call needs it, and follows the revocation feed from now on.
   * @throws Error where the issuer is away; the first call then tries again
   */
  async start(): Promise<void> {
    await this.#tokens.start();
  }

  /** Stops to follow the revocation feed; nothing else is left to end. */
  close(): void {
    this.#tokens.close();
  }

  /**
   * Who calls, if the call may go on.
   * @throws AuthorizationError with what to answer, where it may not: 400, 401, 403; 503 where nobody can tell now
   */
  async authenticate(request: AnyRequest, requirements?: Requirements): Promise<Auth> {
    return this.#authenticate(request, parseRequirements(requirements));
  }

  /** Koa middleware: calls that may go on find who calls at `ctx.state.auth`; others are answered. */
  koa(requirements?: Requirements): KoaMiddleware {
    const required = this.#require(requirements);
    return async (ctx, next) => {
      const auth = await this.#authenticate(nodeRequestOf(ctx), required).catch(refused);
      if (auth instanceof AuthorizationError) return sendByKoa(ctx, refusalAnswer(auth));
      Object.assign(ctx.state, { auth });
      for (const [name, value] of Object.entries(auth.responseHeaders)) ctx.set(name, value);
      await next();
    };
  }

  /** Express middleware: calls that may go on find who calls at `req.auth`; others are answered. */
  express(requirements?: Requirements): ExpressMiddleware {
    const required = this.#require(requirements);
    const pass: (...call: Parameters<ExpressMiddleware>) => Promise<void> = async (
      request,
      response,
      next,
    ) => {
      try {
        const auth = await this.#authenticate(request, required);
        Object.assign(request, { auth });
        for (const [name, value] of Object.entries(auth.responseHeaders))
          response.setHeader(name, value);
      } catch (error) {
        if (!(error instanceof AuthorizationError)) return next(error);
        return sendByNode(response, refusalAnswer(error));
      }
      next();
    };
    return (...call) => void pass(...call);
  }

  /** A handler of the Fetch API, whose second argument tells who calls; calls that may not go on never reach it. */
  fetch<Rest extends readonly unknown[]>(
    requirements: Requirements | undefined,
    handler: (request: Request, auth: Auth, ...rest: Rest) => Response | Promise<Response>,
  ): FetchHandler<Rest> {
    const required = this.#require(requirements);
    return async (request, ...rest) => {
      const auth = await this.#authenticate(request, required).catch(refused);
      if (auth instanceof AuthorizationError) return toResponse(refusalAnswer(auth));
      return withHeaders(await handler(request, auth, ...rest), auth);
    };
  }

  /** What this API tells of itself (RFC 9728, section 2). */
  get metadata(): ResourceMetadata {
    const { audience, issuer, dpop, metadata } = this.#options;
    return describeResource(
      {
        resource: audience,
        issuer,
        dpopAlgorithms: this.#proofs?.algorithms,
        dpopRequired: dpop.required,
        mtls: this.#offersMtls,
      },
      metadata,
    );
  }

  /** Koa middleware that serves the metadata at its well-known path; challenges name it from then on. */
  koaMetadata(): KoaMiddleware {
    const at = this.#serveMetadata();
    return async (ctx, next) => {
      const { method, path } = viewOf(nodeRequestOf(ctx));
      const answer = metadataAnswer(this.metadata, at, method, path);
      if (answer === undefined) await next();
      else sendByKoa(ctx, answer);
    };
  }

  /** Express middleware that serves the metadata at its well-known path; challenges name it from then on. */
  expressMetadata(): ExpressMiddleware {
    const at = this.#serveMetadata();
    return (request, response, next) => {
      const { method, path } = viewOf(request);
      const answer = metadataAnswer(this.metadata, at, method, path);
      if (answer === undefined) next();
      else sendByNode(response, answer);
    };
  }

  /** Gives the metadata where a request asks for it, and undefined for others; challenges name it from then on. */
  fetchMetadata(): (request: Request) => Response | undefined {
    const at = this.#serveMetadata();
    return (request) => {
      const { method, path } = viewOf(request);
      const answer = metadataAnswer(this.metadata, at, method, path);
      return answer && toResponse(answer);
    };
  }

  /** What is asked for somewhere is told of in the metadata. */
  #require(requirements: Requirements | undefined): ParsedRequirements {
    const required = parseRequirements(requirements);
    if (required.binding === 'mtls' || required.binding === 'any') this.#offersMtls = true;
    return required;
  }

  #serveMetadata(): URL {
    if (this.#metadataUrl === undefined)
      throw new TypeError('only an audience that is a web address has metadata');
    this.#challengeUrl ??= this.#metadataUrl.href;
    return this.#metadataUrl;
  }

  async #authenticate(request: AnyRequest, required: ParsedRequirements): Promise<Auth> {
    const view = viewOf(request);
    const echoed = echoedHeaders(view);
    let presented: PresentedToken | undefined;
    let live: LiveToken | undefined;
    try {
      presented = tokenOf(view);
      if (presented === undefined) throw new Refusal('missing_token', 'a token is needed');
      live = await this.#tokens.read(presented.token);
      const { clientCertificate, dpop } = this.#options;
      const rules = { proofs: this.#proofs, clientCertificate };
      const { binding, nonce } = await checkBinding(request, view, presented, live, rules);
      if (dpop.required && binding !== 'dpop')
        throw new Refusal('invalid_token', 'the token must be bound to a DPoP key');
      const auth = authOf(live, binding, { ...echoed, ...nonceHeader(nonce) });
      checkRequirements(auth, required);
      return auth;
    } catch (error) {
      throw this.#answerTo(error, { presented, live, echoed }, required);
    }
  }

  #answerTo(
    error: unknown,
    { presented, live, echoed }: Attempt,
    { binding }: ParsedRequirements,
  ): unknown {
    if (error instanceof Unavailable) {
      this.#reports.report(error);
      return new AuthorizationError('temporarily_unavailable', 'tokens can’t be checked just now', {
        headers: echoed,
        cause: error,
      });
    }
    // A defect, of ours or of an option: the call does not go on, and whoever made it hears of it.
    if (!(error instanceof Refusal)) return error;
    const { dpop, realm } = this.#options;
    const needsDpop = dpop.required || binding === 'dpop';
    const isBound = live !== undefined && isDpopBound(live);
    const isMissing = presented === undefined;
    return answerTo(
      error,
      {
        realm,
        metadataUrl: this.#challengeUrl,
        dpopAlgorithms: this.#proofs?.algorithms,
        nextNonce: () => this.#proofs?.nextNonce(),
      },
      {
        scheme: presented?.scheme,
        offersBearer: isMissing && !needsDpop,
        offersDpop: needsDpop || binding === 'any' || isBound || (isMissing && dpop.isOffered),
        echoed,
      },
    );
  }
}

/** What is known of a request that ends in an error. */
interface Attempt {
  readonly presented: PresentedToken | undefined;
  readonly live: LiveToken | undefined;
  /** Headers of every answer to it. */
  readonly echoed: Readonly<Record<string, string>>;
}

function createProofs({ publicUrl, clockTolerance, dpop }: ParsedOptions): DpopProofs | undefined {
  if (publicUrl === undefined) {
    if (dpop.isOffered) throw new TypeError('DPoP takes publicUrl: proofs name the address');
    return undefined;
  }
  const { algorithms, maxAge, nonceSecret, nonceLifetime, replaySize } = dpop;
  return new DpopProofs(
    { algorithms, maxAge, clockTolerance, publicUrl },
    // A proof is good from when it was made until it is too old, by clocks that may differ either way.
    new ReplayMemory(replaySize, 1_000 * (maxAge + 2 * clockTolerance)),
    nonceSecret === undefined ? undefined : new DpopNonces(nonceSecret, nonceLifetime),
  );
}

/** What is answered is no failure of the middleware; everything else is. */
function refused(error: unknown): AuthorizationError {
  if (error instanceof AuthorizationError) return error;
  throw error;
}
