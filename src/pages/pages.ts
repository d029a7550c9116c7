/**
 * What each page must be told. A model holds facts, never words: every word comes from the catalogue
 * (`messages/en.ts`), apart from what people and apps have named themselves.
 */

/** Every page may be told its reader's language; without it, English. */
export interface Page {
  lang?: string | undefined;
  dir?: 'ltr' | 'rtl' | undefined;
}

/** Where a form posts to, and the fields that travel with it unseen (a CSRF token, for one). */
export interface Form {
  action: string;
  hidden?: Record<string, string> | undefined;
}

/** The app that asks. Its token and its cut are derived from `id`. */
export interface App {
  /** The client id. */
  id: string;
  name: string;
  /** Where it lives, as a person would say it: "quillet.example". None for an app on one's own machine. */
  host?: string | undefined;
  developer?: string | undefined;
  /** Somebody on the operator's side has checked who makes it. */
  verified: boolean;
  /** Nobody on the operator's side has registered it: it did so itself, by a token, or by a document on its host. */
  registeredBy?: 'anybody' | 'token' | 'document' | undefined;
}

/** What changed in an app since the person allowed it. */
export type ConsentChange =
  | { readonly kind: 'name'; readonly from: string; readonly to: string }
  /** Hosts to which it may send the browser since, or schemes of apps on the device. */
  | { readonly kind: 'place'; readonly added: readonly string[] }
  /** It proves less of itself than before. */
  | { readonly kind: 'authentication' }
  | { readonly kind: 'unknown' };

/** The account that the page is about. `switchUrl` stands behind "Not you?". */
export interface SignedIn {
  email: string;
  switchUrl?: string | undefined;
}

/** Too many tries; `retryAfter` is in seconds, as in the header of that name. */
export interface Limited {
  retryAfter?: number | undefined;
}

/** `taken` is for the first administrator alone: elsewhere nobody is told who has an account. */
export type EmailProblem = 'missing' | 'malformed' | 'too-long' | 'undeliverable' | 'taken';
export type NameProblem = 'too-long' | 'malformed';
export type PasswordProblem =
  | 'missing'
  | 'too-short'
  | 'too-long'
  | 'common'
  | 'breached'
  | 'personal';

/** What registration and the first administrator's page have in common. */
export interface NewAccount {
  email?: string | undefined;
  name?: string | undefined;
  /** The fewest characters of a password; 15 unless told otherwise. */
  passwordMinimum?: number | undefined;
  errors?:
    | {
        email?: EmailProblem | undefined;
        name?: NameProblem | undefined;
        password?: PasswordProblem | undefined;
      }
    | undefined;
}

/** A standard or custom claim with the exact value that the app would get; none is said as "not set". */
export interface ConsentClaim {
  /** The claim's name on the wire, and the value of its checkbox. */
  name: string;
  /** For claims that the catalogue has no words for. */
  label?: string | undefined;
  value?: string | undefined;
  /** It is the email, and is told as the username too. */
  asUsername?: boolean | undefined;
  optional: boolean;
  checked?: boolean | undefined;
}

/** What a permission means to a person; each kind is a row of its own. */
export type ScopeKind = 'know' | 'see' | 'change';

export interface ConsentScope {
  /** The scope itself, and the value of its checkbox. */
  value: string;
  kind: ScopeKind;
  /** In the API team's words, after "see" or "change": "your invoices, and who they are for". */
  words: string;
  optional: boolean;
  checked?: boolean | undefined;
}

/** A detail that an app has asked for (RFC 9396), and its API's words for it, by language (English is always there). */
export interface DetailShown {
  words: Readonly<
    Record<
      string,
      {
        /** In the margin: "pay". */
        readonly verb: string;
        /** What follows it, as in "{amount.value} {amount.currency} to {creditor}". */
        readonly text: string;
        readonly facts: readonly { readonly label: string; readonly value: string }[];
      }
    >
  >;
  detail: Readonly<Record<string, unknown>>;
}

export interface ConsentDetail extends DetailShown {
  /** The value of its checkbox. */
  value: string;
  optional: boolean;
  checked?: boolean | undefined;
  /** What is allowed now is not asked again for exactly the same. */
  remembered: boolean;
}

/** What a program asks for that the person uses elsewhere, and what is compared before it is answered. */
export interface ConsentRequest {
  kind: 'device' | 'ciba';
  askedAt: Date;
  /** Of a device: what is on its screen, as XXXX-XXXX. */
  code?: string | undefined;
  /** Of CIBA: what the app that asks shows as well. */
  message?: string | undefined;
  /** The network address that it was asked from, where that is not this browser's. */
  otherNetwork?: string | undefined;
}

/** `offline_access`: to stay connected while nobody is there. */
export interface ConsentStay {
  optional: boolean;
  checked?: boolean | undefined;
}

/** What was decided earlier, and is only told again. */
export interface ConsentAlready {
  claims: Pick<ConsentClaim, 'name' | 'label'>[];
  scopes: Pick<ConsentScope, 'kind' | 'words'>[];
  details?: DetailShown[] | undefined;
  stay: boolean;
}

/** An app in the list of connected apps. */
export interface ConnectedApp {
  app: App;
  since: Date;
  lastUsed?: Date | undefined;
  /** Names of the claims that it may know. */
  claims: Pick<ConsentClaim, 'name' | 'label'>[];
  scopes: Pick<ConsentScope, 'kind' | 'words'>[];
  /** What it may do besides, and is not asked again for. */
  details?: DetailShown[] | undefined;
  stay: boolean;
  /**
   * How long what the app holds may still work once it is removed, in seconds: as long as a token lives that an API checks
   * by its signature alone. 0 where every API asks us.
   */
  tokenTtl: number;
  remove: Form;
}

export interface Mail {
  to: string;
  subject: string;
  at: Date;
  text: string;
}

/**
 * Why a request could not go on. The catalogue has a heading, a sentence and who can mend it for each.
 * `app-*` are the app's to mend, `ours` and `unavailable` the operator's, the others the reader's own.
 */
export type ErrorKind =
  | 'app-unknown'
  | 'app-redirect'
  | 'app-request'
  | 'expired'
  | 'other-browser'
  | 'forged'
  | 'sign-in-stopped'
  | 'not-yours'
  | 'forbidden'
  | 'not-found'
  | 'too-many'
  | 'too-large'
  | 'bad-request'
  | 'unavailable'
  | 'ours';

interface OAuthError {
  error: string;
  description?: string | undefined;
  clientId?: string | undefined;
}

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
  'link-expired': Page & { link: 'verify-email' | 'setup' | 'asked'; nextUrl?: string | undefined };
  /** Posts `device_name` and `code`. */
  'totp-enrol': Page &
    Form &
    Limited & {
      app?: App | undefined;
      account: SignedIn;
      otpauthUri: string;
      /** The seed in Base32, ungrouped. */
      secret: string;
      deviceName?: string | undefined;
      /** None: a second factor is required, and there is no later. */
      laterUrl?: string | undefined;
      problem?: 'wrong-code' | 'too-many' | undefined;
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
      problem?: 'wrong-code' | 'too-many' | undefined;
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
   * times; staying connected is the scope `offline_access`). Required ones are told, not posted.
   * A post without `decision` decides nothing: show the page again with `problem: 'undecided'`.
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
      homeUrl?: string | undefined;
    };
  /** Posts `email`, `name` and `password`. */
  setup: Page & Form & NewAccount;
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
