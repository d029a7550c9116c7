/** A browser in which somebody is signed in. */
export interface Session {
  /** Never the id that is in the browser's cookie. */
  readonly uid: string;
  readonly accountId: string;
  readonly authTime: Date | undefined;
  readonly acr: string | undefined;
  readonly amr: readonly string[];
  readonly createdAt: Date;
  readonly lastSeenAt: Date;
  readonly expiresAt: Date;
}

/** Which sessions of an account: all of them, all but one, or one. */
export type SessionFilter =
  | { readonly accountId: string; readonly exceptSession?: string }
  | { readonly accountId: string; readonly sessionUid: string };
