/**
 * The one door to the engine's private files. `registerGrantType` hands a grant nothing but the request, while the engine
 * makes its own grants from these: how a DPoP proof is verified and used up, and what a client whose tokens are bound has to
 * show (RFC 9449, RFC 8705). Written again, they would be a second opinion on what a proof is.
 */
export {
  checkDpopReplay,
  checkDpopRequired,
  checkMtlsCert,
  validateDpop,
} from 'oidc-provider/lib/helpers/grants.js';
