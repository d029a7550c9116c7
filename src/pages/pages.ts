import type { ErrorKind } from './error-kind.ts';
import type {
  App,
  ConnectedApp,
  ConsentAlready,
  ConsentChange,
  ConsentClaim,
  ConsentDetail,
  ConsentRequest,
  ConsentScope,
  ConsentStay,
  Form,
  Limited,
  Mail,
  NewAccount,
  OAuthError,
  Page,
  SignedIn,
} from './page-parts.ts';

/**
 * The model of each page. It holds facts, never words: all words come from the catalogue (`messages/en.ts`), except the
 * names that users, apps and APIs have chosen.
 */

export type { ErrorKind } from './error-kind.ts';

/**
 * Field names that the pages post: email, password, name, code, device_name, saved, scope, claim, detail, decision,
 * logout.
 */
export interface Pages {
  /** Posts `email` and `password`. With `confirm` the account is fixed, and its email only travels along. */
  'sign-in': Page &
    Form &
    Limited & {
      /** None: the server's own console. */
      app?: App | undefined;
      email?: string | undefined;
      confirm?: SignedIn | undefined;
      registerUrl?: string | undefined;
      problem?: 'incorrect' | 'too-many' | undefined;
      notice?: 'expired' | undefined;
    };
  /** Posts `email`, `name` (may be empty) and `password`. */
  register: Page &
    Form &
    Limited &
    NewAccount & {
      app?: App | undefined;
      signInUrl?: string | undefined;
      problem?: 'too-many' | undefined;
    };
  /** The same page whether or not the address exists. Posts `code`; `resend` is a form of its own. */
  'register-sent': Page &
    Form &
    Limited & {
      app?: App | undefined;
      email: string;
      /** `pausedFor`: seconds until the next mail may be asked for. */
      resend: Form & { pausedFor?: number | undefined };
      /** A mail has just been sent again. */
      resent?: boolean | undefined;
      changeUrl: string;
      problem?: 'wrong-code' | 'too-many' | undefined;
    };
  /**
   * Where the mail's link leads: a button, since mail scanners open links. With `password`, it is another browser than the
   * one that registered, and posts the `password` that was chosen there.
   */
  'verify-email': Page &
    Form &
    Limited & {
      email?: string | undefined;
      password?: boolean | undefined;
      problem?: 'incorrect' | 'too-many' | undefined;
    };
  /** `continueUrl`: back to the sign-in that waits, or to the account. */
  'verify-email-done': Page & { app?: App | undefined; continueUrl?: string | undefined };
  /** A link that was used or is too old. `nextUrl`: where a new one can be asked for, or sign-in. */
  'link-expired': Page & {
    link: 'verify-email' | 'setup' | 'setup-done' | 'asked';
    nextUrl?: string | undefined;
  };
  /** Posts `device_name` and `code`, or `later=yes`. */
  'totp-enrol': Page &
    Form &
    Limited & {
      app?: App | undefined;
      account: SignedIn;
      otpauthUri: string;
      /** The seed in Base32, ungrouped. */
      secret: string;
      deviceName?: string | undefined;
      /** Why it is required; none if the user asked for it. */
      reason?: 'administrator' | 'everyone' | 'app' | undefined;
      /** `late-code`: the code was right a few minutes ago, as on a phone whose clock is slow. */
      problem?: 'wrong-code' | 'late-code' | 'too-many' | undefined;
      errors?: { device_name?: 'missing' | 'too-long' | undefined } | undefined;
    };
  /**
   * Posts `saved=yes`. The download button posts the same hidden fields to `downloadUrl`, so that the
   * server needs to keep the codes nowhere if they travel sealed in `hidden`.
   */
  'recovery-codes': Page &
    Form & {
      app?: App | undefined;
      account: SignedIn;
      codes: string[];
      downloadUrl: string;
      problem?: 'not-saved' | undefined;
    };
  /** Posts `code`. */
  totp: Page &
    Form &
    Limited & {
      app?: App | undefined;
      account: SignedIn;
      deviceName?: string | undefined;
      recoveryUrl?: string | undefined;
      problem?: 'wrong-code' | 'late-code' | 'too-many' | undefined;
    };
  /** Posts `code`. */
  'recovery-code': Page &
    Form &
    Limited & {
      app?: App | undefined;
      account: SignedIn;
      totpUrl: string;
      problem?: 'wrong-code' | 'too-many' | undefined;
    };
  /**
   * Posts `decision` = `deny` or `allow`, and the ticked optional ones as `claim`, `scope` and `detail` (each 0 to n
   * times; staying connected is the scope `offline_access`). Required ones are shown, not posted.
   * A post without `decision` decides nothing: the page is shown again with `problem: 'undecided'`.
   */
  consent: Page &
    Form & {
      app: App;
      account: SignedIn;
      claims: ConsentClaim[];
      scopes: ConsentScope[];
      details?: ConsentDetail[] | undefined;
      stay?: ConsentStay | undefined;
      already?: ConsentAlready | undefined;
      /** What changed in the app since the person allowed it. */
      changes?: readonly ConsentChange[] | undefined;
      /** It is asked for elsewhere, and no redirect follows. */
      request?: ConsentRequest | undefined;
      /** One of our own, of which nobody is asked what it may do. */
      asksNothing?: boolean | undefined;
      /** The redirect goes to the reader's own machine (loopback or a private scheme). */
      ownMachine: boolean;
      /** The host that the browser goes back to; none with `ownMachine`. */
      returnTo?: string | undefined;
      accountUrl?: string | undefined;
      privacyUrl?: string | undefined;
      termsUrl?: string | undefined;
      problem?: 'changed' | 'undecided' | undefined;
    };
  /** Posts nothing but that it goes on with `account`; behind `switchUrl` the sign-in begins anew, for whomever. */
  'choose-account': Page &
    Form & {
      app?: App | undefined;
      account: { email: string; name?: string | undefined };
      switchUrl: string;
    };
  /** Where the code is entered that a device shows. Posts `code`. */
  device: Page &
    Form &
    Limited & {
      /** As it was typed, or came along in the address. */
      code?: string | undefined;
      problem?: 'wrong-code' | 'too-many' | undefined;
    };
  /** A program that asked elsewhere has its answer. */
  'request-answered': Page & {
    kind: 'device' | 'ciba';
    app?: App | undefined;
    isAllowed: boolean;
    homeUrl?: string | undefined;
  };
  /** Posts `logout=yes`, or nothing by "Stay signed in"; with `stayUrl` that is a link instead. */
  'sign-out': Page &
    Form & {
      app?: App | undefined;
      account?: SignedIn | undefined;
      stayUrl?: string | undefined;
    };
  'signed-out': Page & { app?: App | undefined; signInUrl?: string | undefined };
  error: Page &
    Limited & {
      kind: ErrorKind;
      app?: App | undefined;
      requestId: string;
      at: Date;
      /** Folded away, for developers. */
      oauth?: OAuthError | undefined;
      startUrl?: string | undefined;
      /** The same address may answer if it is opened again. */
      retry?: boolean | undefined;
      homeUrl?: string | undefined;
    };
  /** Posts `email`, `name` and `password`. */
  setup: Page & Form & NewAccount;
  /** The first administrator has been created. */
  'setup-done': Page & { email: string; signInUrl: string };
  account: Page & {
    account: { email: string; name?: string | undefined; emailVerified: boolean };
    secondFactor: {
      on: boolean;
      deviceName?: string | undefined;
      since?: Date | undefined;
      /** Where it is turned on; none, and the page only tells. */
      enrolUrl?: string | undefined;
    };
    apps: ConnectedApp[];
    /** An app has just been removed: its name. */
    removed?: string | undefined;
    signOut: Form;
  };
  'dev-mail': Page & { mails: Mail[] };
  /** The answer of `response_mode=form_post`; `hidden` is the answer itself. */
  'form-post': Page & Form & { app?: App | undefined };
}
