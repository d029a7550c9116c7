import type { Settings } from './settings.ts';

/**
 * What the suite's browser (HtmlUnit) does on our pages. It takes the first entry whose `match` is the address that it was
 * sent to, and does its tasks in their order: each on the page where it is then, or not at all if it is optional and its
 * `match` is another address. Our pages need no JavaScript, so that nothing here waits for any.
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

/** Who signs in. */
export interface Person {
  readonly email: string;
  readonly password: string;
}

/** What is on a page is shown to who certifies: the suite keeps the page where it finds the text. */
const picture = (text: string): Command => [
  'wait',
  'xpath',
  '//*',
  10,
  text,
  'update-image-placeholder',
];
/** The same where a page may, but need not, come. */
const optionalPicture = (text: string): Command => [
  ...picture(text).slice(0, -1),
  'update-image-placeholder-optional',
];

/** Looks for it, and keeps nothing. */
const look = (text: string): Command => picture(text).slice(0, -1);

const go: Command = ['click', 'css', 'button.go'];

export class Pages {
  readonly #issuer: string;
  readonly #suite: string;
  readonly #person: Person;

  constructor({ issuer, suite, alias }: Settings, person: Person) {
    this.#issuer = issuer;
    this.#suite = `${suite}test/a/${alias}/`;
    this.#person = person;
  }

  /** Signs in and allows, as far as either is asked for, and is back at the suite. */
  authorization(first: readonly Command[] = []): BrowserEntry {
    return this.#entry('/authorize*', [...this.#signIn(first), ...this.#allow(), this.#back]);
  }

  /** Signs in, and denies. */
  denial(): BrowserEntry {
    const deny: Task = {
      task: 'Deny',
      match: `${this.#issuer}/interaction/*`,
      commands: [['click', 'css', 'button[value=deny]']],
    };
    return this.#entry('/authorize*', [...this.#signIn([]), deny, this.#back]);
  }

  /** Ends at a page of ours, which says this. */
  errorPage(text: string): BrowserEntry {
    return this.#entry('/authorize*', [
      {
        task: 'Find the error page',
        match: `${this.#issuer}/authorize*`,
        commands: [picture(text)],
      },
    ]);
  }

  /** Looks at the page where people sign in, and leaves it at that. */
  signInPage(text: string): BrowserEntry {
    return this.#entry('/authorize*', [
      {
        task: 'Find the sign-in page',
        match: `${this.#issuer}/interaction/*`,
        commands: [picture(text)],
      },
    ]);
  }

  /** Signs in, looks at the page where people decide, and leaves it at that. */
  consentPage(text: string): BrowserEntry {
    return this.#entry('/authorize*', [
      ...this.#signIn([]),
      {
        task: 'Find the page that asks',
        match: `${this.#issuer}/interaction/*`,
        commands: [picture(text)],
      },
    ]);
  }

  /** At the first visit; at the next one the entry after it is taken. */
  once(entry: BrowserEntry): BrowserEntry {
    return { ...entry, 'match-limit': 1 };
  }

  /** Leaves the page where people sign in as it is, and signs in when it comes there for the second time. */
  secondVisit(text: string): readonly BrowserEntry[] {
    const first = this.#entry('/authorize*', [
      {
        task: 'Look at the sign-in page',
        match: `${this.#issuer}/interaction/*`,
        commands: [look(text)],
      },
    ]);
    return [this.once(first), this.signInAgain(text)];
  }

  /** Signs out, and is back at the suite. */
  signOut(): BrowserEntry {
    return this.#entry('/logout*', [
      { task: 'Sign out', match: `${this.#issuer}/logout*`, optional: true, commands: [go] },
      { task: 'Back at the suite', match: `${this.#suite}post_logout_redirect*` },
    ]);
  }

  /** Signs out, and stays with us: there is nowhere to go back to. */
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

  /** A request to sign out that is refused, on a page. */
  signOutRefused(text: string): BrowserEntry {
    return this.#entry('/logout*', [
      { task: 'Find the error page', match: `${this.#issuer}/logout*`, commands: [picture(text)] },
    ]);
  }

  /** The picture that the suite asks for where somebody who is signed in must sign in again. */
  signInAgain(text: string): BrowserEntry {
    return this.authorization([optionalPicture(text)]);
  }

  #signIn(first: readonly Command[]): Task[] {
    const { email, password } = this.#person;
    return [
      {
        task: 'Sign in',
        // The consent page is the same address with a word behind it.
        match: `${this.#issuer}/interaction/*`,
        optional: true,
        commands: [
          ...first,
          ['text', 'css', 'input[name=email]:not([readonly])', email, 'optional'],
          ['text', 'name', 'password', password, 'optional'],
          go,
        ],
      },
    ];
  }

  #allow(): Task[] {
    return [
      {
        task: 'Allow',
        match: `${this.#issuer}/interaction/*`,
        optional: true,
        commands: [go],
      },
      // The page that posts itself (form_post) does so with a button where there is no JavaScript.
      { task: 'Go on', match: `${this.#issuer}/*`, optional: true, commands: [go] },
    ];
  }

  get #back(): Task {
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
