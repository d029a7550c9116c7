import type { Settings } from './settings.ts';

/**
 * What the suite's browser (HtmlUnit) does on the server's pages. The suite takes the first entry whose `match` is the
 * address that it opens, and does the entry's tasks in order. A task whose `match` is another address is skipped if it is
 * optional, and ends the module if it is not. Each module starts without cookies; consent from earlier modules remains. The
 * pages need no JavaScript, so nothing here waits for any.
 */

type Command = readonly (string | number)[];

interface Task {
  readonly task: string;
  readonly match: string;
  readonly optional?: boolean;
  readonly commands?: readonly Command[];
}

export interface BrowserEntry {
  readonly match: string;
  /** How often it is taken; then the next entry is. */
  readonly 'match-limit'?: number;
  readonly tasks: readonly Task[];
}

/** The user who signs in. */
export interface Person {
  readonly email: string;
  readonly password: string;
}

const waitFor = (text: string, action: string | undefined): Command => [
  'wait',
  'xpath',
  '//*',
  10,
  text,
  ...(action === undefined ? [] : [action]),
];

/** Keeps a copy of the page that says this. The suite ends a module when it has all its copies. */
const picture = (text: string) => waitFor(text, 'update-image-placeholder');

/** Keeps a copy where the suite asks for one. */
const optionalPicture = (text: string) => waitFor(text, 'update-image-placeholder-optional');

/** Waits for the page that says this, and keeps nothing. */
const look = (text: string) => waitFor(text, undefined);

/** The only button that continues, on a page without a decision. */
const go: Command = ['click', 'css', 'button.go'];

const decide = (decision: 'allow' | 'deny'): Command => [
  'click',
  'css',
  `button[name=decision][value=${decision}]`,
];

export class Pages {
  readonly #issuer: string;
  readonly #suite: string;
  readonly #person: Person;

  constructor({ issuer, suite, alias }: Settings, person: Person) {
    this.#issuer = issuer;
    this.#suite = `${suite}test/a/${alias}/`;
    this.#person = person;
  }

  /** Signs in and allows, where each is asked for, and returns to the suite. */
  authorization(): BrowserEntry {
    return this.#entry('/authorize*', [this.#signIn(), this.#allow(), this.#post(), this.#back()]);
  }

  /** Signs in where that is asked for, and denies. The client must be one that the user has not allowed before. */
  denial(): BrowserEntry {
    const deny: Task = {
      task: 'Deny',
      match: `${this.#issuer}/interaction/*`,
      commands: [decide('deny')],
    };
    return this.#entry('/authorize*', [this.#signIn(), deny, this.#back()]);
  }

  /** Ends at an error page that says this. */
  errorPage(text: string): BrowserEntry {
    return this.#entry('/authorize*', [
      {
        task: 'Find the error page',
        match: `${this.#issuer}/authorize*`,
        commands: [picture(text)],
      },
    ]);
  }

  /** Ends at an error page that says this, or returns to the suite with an error. */
  refusal(text: string): BrowserEntry {
    return this.#entry('/authorize*', [
      {
        task: 'Find the error page',
        match: `${this.#issuer}/authorize*`,
        optional: true,
        commands: [picture(text)],
      },
      { ...this.#back(), optional: true },
    ]);
  }

  /** Looks at the sign-in page, and goes no further. */
  signInPage(text: string): BrowserEntry {
    return this.#entry('/authorize*', [
      {
        task: 'Find the sign-in page',
        match: `${this.#issuer}/interaction/*`,
        commands: [picture(text)],
      },
    ]);
  }

  /** Signs in, looks at the consent page, and goes no further. */
  consentPage(text: string): BrowserEntry {
    return this.#entry('/authorize*', [
      this.#signIn(),
      {
        task: 'Find the consent page',
        match: `${this.#issuer}/interaction/*`,
        commands: [picture(text)],
      },
    ]);
  }

  /** Applies to the first visit; the entry after it applies to the next one. */
  once(entry: BrowserEntry): BrowserEntry {
    return { ...entry, 'match-limit': 1 };
  }

  /** Leaves the sign-in page as it is on the first visit, and signs in on the second one. */
  secondVisit(text: string): readonly BrowserEntry[] {
    const first = this.#entry('/authorize*', [
      {
        task: 'Look at the sign-in page',
        match: `${this.#issuer}/interaction/*`,
        commands: [look(text)],
      },
    ]);
    // A copy of the sign-in page would end the module before the user has signed in.
    return [this.once(first), this.authorization()];
  }

  /** Signs out, and returns to the suite. */
  signOut(): BrowserEntry {
    return this.#entry('/logout*', [
      { task: 'Sign out', match: `${this.#issuer}/logout*`, optional: true, commands: [go] },
      { task: 'Back at the suite', match: `${this.#suite}post_logout_redirect*` },
    ]);
  }

  /** Signs out, and ends at the signed-out page. */
  signOutHere(text: string): BrowserEntry {
    return this.#entry('/logout*', [
      { task: 'Sign out', match: `${this.#issuer}/logout*`, commands: [go] },
      {
        task: 'Find the signed-out page',
        match: `${this.#issuer}/logout/success*`,
        commands: [picture(text)],
      },
    ]);
  }

  /** Asks to sign out by a request that can't be trusted, and ends at the page that asks the user, which says this. */
  signOutAsked(text: string): BrowserEntry {
    return this.#entry('/logout*', [
      { task: 'Find the question', match: `${this.#issuer}/logout*`, commands: [picture(text)] },
    ]);
  }

  /** Signs in on the first visit; on the second one signs in again, on a page that says this. */
  signInAgain(text: string): readonly BrowserEntry[] {
    const again = this.#entry('/authorize*', [
      this.#signIn([optionalPicture(text)]),
      this.#allow(),
      this.#post(),
      this.#back(),
    ]);
    return [this.once(this.authorization()), again];
  }

  /** Does nothing on the consent page, which has no password. */
  #signIn(first: readonly Command[] = []): Task {
    const { email, password } = this.#person;
    return {
      task: 'Sign in',
      match: `${this.#issuer}/interaction/*`,
      optional: true,
      commands: [
        ...first,
        ['text', 'css', 'input[name=email]:not([readonly])', email, 'optional'],
        ['text', 'name', 'password', password, 'optional'],
        [
          'click',
          'xpath',
          '//form[.//input[@name="password"]]//button[contains(@class, "go")]',
          'optional',
        ],
      ],
    };
  }

  /** The user has allowed the client before where this page does not come. */
  #allow(): Task {
    return {
      task: 'Allow',
      match: `${this.#issuer}/interaction/*`,
      optional: true,
      commands: [decide('allow')],
    };
  }

  /** The page that posts the answer (form_post) has a button, for browsers without JavaScript. */
  #post(): Task {
    return { task: 'Post', match: `${this.#issuer}/*`, optional: true, commands: [go] };
  }

  #back(): Task {
    return {
      task: 'Back at the suite',
      match: `${this.#suite}callback*`,
      commands: [['wait', 'id', 'submission_complete', 10]],
    };
  }

  #entry(path: string, tasks: readonly Task[]): BrowserEntry {
    return { match: `${this.#issuer}${path}`, tasks };
  }
}
