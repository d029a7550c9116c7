/** What the models of pages are made of: facts, never words. */

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

export interface OAuthError {
  error: string;
  description?: string | undefined;
  clientId?: string | undefined;
}
