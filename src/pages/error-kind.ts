/**
 * Why a request could not go on. The catalogue has a heading, a sentence and who can mend it for each.
 * The app's developer can fix `app-*`, the operator `ours` and `unavailable`, the user the others.
 */
export type ErrorKind =
  | 'app-unknown'
  | 'app-redirect'
  | 'app-request'
  | 'app-sign-out'
  | 'expired'
  /** The step is done, and the user came back to it. */
  | 'finished'
  | 'other-browser'
  | 'forged'
  | 'sign-in-stopped'
  /** The user stopped a step that a page wanted, and is still signed in. */
  | 'step-stopped'
  | 'not-yours'
  | 'forbidden'
  | 'not-found'
  | 'too-many'
  | 'too-large'
  | 'bad-request'
  | 'unavailable'
  | 'ours';
