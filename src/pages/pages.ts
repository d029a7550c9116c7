import type { ErrorKind } from './error-kind.ts';

/**
 * The model of each page. It holds facts, never words: all words come from the catalogue (`messages/en.ts`), except the
 * names that users, apps and APIs have chosen.
 */

export type { ErrorKind } from './error-kind.ts';

/** Every page has a language; the default is English. */
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
  /** The host of its website: "quillet.example". */
  host?: string | undefined;
  /** For an app without a website: on the machine of this browser, or on a device without one. */
  runsOn?: 'this-device' | 'other-device' | undefined;
  developer?: string | undefined;
  /** The operator has checked who makes it. */
  verified: boolean;
  /** The operator did not register it: it registered itself, with a token, or with a document on its host. */
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

/** `taken` is only for the first administrator: no other page says which addresses have an account. */
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
  /** The fewest characters of a password; the default is 15. */
  passwordMinimum?: number | undefined;
  errors?:
    | {
        email?: EmailProblem | undefined;
        name?: NameProblem | undefined;
        password?: PasswordProblem | undefined;
      }
    | undefined;
}

/** A standard or custom claim with the exact value that the app would get. */
export interface ConsentClaim {
  /** The claim's name on the wire, and the value of its checkbox. */
  name: string;
  /** For claims that the catalogue has no words for. */
  label?: string | undefined;
  /** A language is a BCP 47 tag here. None is shown as "not set", except for claims that are shown by their name only. */
  value?: string | boolean | undefined;
  /** It is the email, and the app gets it as the username too. */
  asUsername?: boolean | undefined;
  /** The identity scope whose row it is in; without one it has a row of its own. */
  group?: 'profile' | 'email' | 'groups' | undefined;
  optional: boolean;
  checked?: boolean | undefined;
}

export interface ConsentScope {
  /** The scope itself, and the value of its checkbox. */
  value: string;
  /** The name of its API. */
  api: string;
  /** In the API team's words: "see". Without one, the page says "use". */
  verb?: string | undefined;
  /** What follows the verb, in the API team's words: "your invoices, and who they are for". */
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

/** What a program on another device asks for, and what the user compares before answering. */
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

/** `offline_access`: to stay connected while the user is away. */
export interface ConsentStay {
  optional: boolean;
  checked?: boolean | undefined;
}

/** What was allowed earlier, and is only shown again. */
export interface ConsentAlready {
  claims: Pick<ConsentClaim, 'name' | 'label'>[];
  scopes: Pick<ConsentScope, 'api' | 'verb' | 'words'>[];
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
  /** Names of the claims that the user declined to share with it. */
  withheld?: Pick<ConsentClaim, 'name' | 'label'>[] | undefined;
  scopes: Pick<ConsentScope, 'api' | 'verb' | 'words'>[];
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
