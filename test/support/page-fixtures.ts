import type {
  App,
  ConsentClaim,
  ConsentDetail,
  ConsentScope,
  Form,
  SignedIn,
} from '../../src/pages/page-parts.ts';
import type { Pages } from '../../src/pages/pages.ts';
import { requestStates } from './request-fixtures.ts';

// Every page in every state that it can be in, with people, apps and words as they really come:
// long names, missing values, two scripts. The tests open them all, and people look at their pictures.

/** The clock of all fixtures: "2 hours ago" is always the same. */
export const NOW = new Date('2026-11-21T20:41:07Z');

export interface PageState {
  page: keyof Pages;
  /** Told apart from the page's other states by this; also the name of its picture. */
  state: string;
  model: Pages[keyof Pages];
  /** What was posted was refused: "Error:" in the title, a summary that has the focus. */
  refused: boolean;
}

const ago = (hours: number): Date => new Date(NOW.getTime() - hours * 3_600_000);

export const heron: App = {
  id: 'heron-2c91',
  name: 'Heron',
  host: 'heron.example',
  developer: 'Wader Works',
  verified: true,
};
const quillet: App = {
  id: 'quillet-7f3a',
  name: 'Quillet',
  host: 'quillet.example',
  developer: 'Harrow & Finch',
  verified: false,
};
const pebble: App = { id: 'pebble-cli', name: 'Pebble', runsOn: 'this-device', verified: false };
const wordy: App = {
  id: 'https://northern-harbours.example/client.json',
  name: 'The Northern Harbours Cooperative Freight Ledger',
  host: 'freight-ledger.northern-harbours-cooperative.example',
  developer: 'Northern Harbours Cooperative of Shipwrights and Chandlers',
  verified: true,
};
const hebrew: App = { id: 'tsippor-11', name: 'ציפור', host: 'tsippor.example', verified: true };

const imani: SignedIn = { email: 'imani@okoro.test', switchUrl: '/switch' };
const long: SignedIn = {
  email: 'maximiliana.featherstonehaugh-cholmondeley@correspondence.test',
  switchUrl: '/switch',
};
const form: Form = { action: '/post' };

const everything = { optional: true, checked: true };
const profile: ConsentClaim[] = [
  { name: 'name', value: 'Imani Okoro', group: 'profile', ...everything },
  { name: 'locale', value: 'en', group: 'profile', ...everything },
  { name: 'updated_at', group: 'profile', ...everything },
];
const email: ConsentClaim[] = [
  { name: 'email', value: imani.email, asUsername: true, group: 'email', ...everything },
  { name: 'email_verified', value: true, group: 'email', ...everything },
];
const groups: ConsentClaim[] = [
  { name: 'groups', value: 'billing, support', group: 'groups', ...everything },
];
const claims = [...profile.slice(0, 1), ...email, ...profile.slice(1)];
const invoices: ConsentScope[] = [
  {
    value: 'invoices:read',
    api: 'Invoices',
    verb: 'see',
    words: 'your invoices, and who they are for',
    ...everything,
  },
  {
    value: 'invoices:write',
    api: 'Invoices',
    verb: 'change',
    words: 'your invoices: write, edit and send them',
    ...everything,
  },
];
const allowed = {
  claims: email.map(({ name, asUsername }) => ({ name, asUsername })),
  scopes: invoices.map(({ api, verb, words }) => ({ api, verb, words })),
};
const payment: ConsentDetail = {
  value: 'p1',
  words: {
    en: {
      verb: 'pay',
      text: '{instructedAmount.amount} {instructedAmount.currency} to {creditorName}',
      facts: [
        { label: 'Account', value: '{creditorAccount.iban}' },
        { label: 'Reference', value: '{remittanceInformation}' },
      ],
    },
    de: {
      verb: 'zahlen',
      text: '{instructedAmount.amount} {instructedAmount.currency} an {creditorName}',
      facts: [],
    },
  },
  detail: {
    type: 'payment_initiation',
    instructedAmount: { amount: '123.50', currency: 'EUR' },
    creditorName: 'Finch & Daughters, Chandlers',
    creditorAccount: { iban: 'DE40 1001 0010 3307 1186 08' },
    remittanceInformation: 'Invoice 2026-1187',
  },
  optional: false,
  remembered: false,
};
const statements: ConsentDetail = {
  value: 's1',
  words: { en: { verb: 'read', text: 'what goes in and out of {account}', facts: [] } },
  detail: { type: 'account_information', account: 'GB33BUKB20201555555555', actions: ['list'] },
  optional: true,
  checked: true,
  remembered: true,
};
const enrol = {
  ...form,
  account: imani,
  otpauthUri:
    'otpauth://totp/Vouchsafe:imani%40okoro.test?secret=JX4MRQ2T7KDAWV5N3HUCELZ6PBGFYO2S&issuer=Vouchsafe',
  secret: 'JX4MRQ2T7KDAWV5N3HUCELZ6PBGFYO2S',
  deviceName: 'Phone',
};
const codes = {
  ...form,
  account: { email: imani.email },
  downloadUrl: '/codes.txt',
  codes: ['K7QW-M2XF', 'T9PD-4HVJ', 'B3NC-8RGY', 'W6XZ-F5QK', 'X2JM-P7TD'].flatMap((code) => [
    `${code}-${code.split('-').toReversed().join('-')}`,
    `${code.split('-').toReversed().join('-')}-${code}`,
  ]),
};
const consent = {
  ...form,
  changes: [],
  app: quillet,
  account: imani,
  claims,
  scopes: invoices,
  details: [],
  stay: everything,
  asksNothing: false,
  ownMachine: false,
  returnTo: 'quillet.example',
  accountUrl: '/account',
  privacyUrl: 'https://quillet.example/privacy',
  termsUrl: 'https://quillet.example/terms',
};
const trouble = { requestId: '01K9-T4QX-8M2B', at: NOW };
const account = {
  account: { email: 'imani@okoro.test', name: 'Imani Okoro', emailVerified: true },
  secondFactor: { on: true, deviceName: 'Imani’s phone', since: ago(24 * 40) },
  apps: [],
  signOut: { action: '/sign-out' },
};
const remove = (id: string): Form => ({ action: `/account/apps/${id}/remove` });

const all: PageState[] = [];
function add<K extends keyof Pages>(page: K, states: Record<string, Pages[K]>): void {
  for (const [state, model] of Object.entries<Pages[K]>(states)) {
    const refused = 'problem' in model || 'errors' in model;
    all.push({ page, state, model, refused });
  }
}

add('sign-in', {
  plain: { ...form, registerUrl: '/register' },
  app: { ...form, app: heron, registerUrl: '/register' },
  'app-wordy': { ...form, app: wordy },
  incorrect: {
    ...form,
    app: heron,
    email: imani.email,
    registerUrl: '/register',
    problem: 'incorrect',
  },
  'too-many': { ...form, email: imani.email, problem: 'too-many', retryAfter: 290 },
  expired: { ...form, app: heron, email: imani.email, notice: 'expired', registerUrl: '/register' },
  confirm: { ...form, app: heron, confirm: imani, registerUrl: '/register' },
  'confirm-incorrect': { ...form, confirm: imani, problem: 'incorrect' },
  rtl: { ...form, app: hebrew, dir: 'rtl', registerUrl: '/register' },
});
add('register', {
  plain: { ...form, signInUrl: '/sign-in' },
  app: { ...form, app: heron, signInUrl: '/sign-in', passwordMinimum: 15 },
  errors: {
    ...form,
    email: 'imani@okoro',
    name: 'Imani Okoro',
    signInUrl: '/sign-in',
    errors: { email: 'malformed', password: 'common' },
  },
  'too-short': {
    ...form,
    email: imani.email,
    passwordMinimum: 8,
    errors: { password: 'too-short' },
  },
  'too-many': { ...form, email: imani.email, problem: 'too-many', retryAfter: 3_600 },
});
const sent = {
  ...form,
  email: imani.email,
  resend: { action: '/resend' },
  changeUrl: '/register',
};
add('register-sent', {
  plain: sent,
  app: { ...sent, app: heron, resend: { ...sent.resend, pausedFor: 60 }, resent: false },
  'app-wrong-code': {
    ...sent,
    app: heron,
    resend: { ...sent.resend, pausedFor: 59 },
    problem: 'wrong-code',
  },
  paused: { ...sent, app: heron, resent: true, resend: { ...sent.resend, pausedFor: 55 } },
  'long-email': { ...sent, email: long.email },
  'wrong-code': { ...sent, problem: 'wrong-code' },
});
add('verify-email', {
  plain: form,
  email: { ...form, email: imani.email, password: false },
  elsewhere: { ...form, email: imani.email, password: true },
  incorrect: { ...form, email: imani.email, password: true, problem: 'incorrect' },
  'too-many': { ...form, email: imani.email, password: true, problem: 'too-many', retryAfter: 840 },
});
add('verify-email-done', {
  plain: { continueUrl: '/account' },
  app: { app: heron, continueUrl: '/continue' },
  alone: {},
});
add('link-expired', {
  verify: { link: 'verify-email', nextUrl: '/account' },
  setup: { link: 'setup' },
  'setup-done': { link: 'setup-done', nextUrl: '/account' },
});
add('totp-enrol', {
  plain: enrol,
  administrator: { ...enrol, reason: 'administrator' },
  everyone: { ...enrol, reason: 'everyone' },
  app: { ...enrol, app: heron, reason: 'app' },
  'wrong-code': { ...enrol, problem: 'wrong-code' },
  'late-code': { ...enrol, problem: 'late-code' },
  unnamed: { ...enrol, deviceName: '', errors: { device_name: 'missing' } },
});
add('recovery-codes', { plain: codes, 'not-saved': { ...codes, problem: 'not-saved' } });
add('totp', {
  plain: {
    ...form,
    app: heron,
    account: imani,
    deviceName: 'Imani’s phone',
    recoveryUrl: '/recovery',
  },
  'wrong-code': {
    ...form,
    app: heron,
    account: imani,
    deviceName: 'Imani’s phone',
    recoveryUrl: '/recovery',
    problem: 'wrong-code',
  },
  'late-code': {
    ...form,
    app: heron,
    account: imani,
    deviceName: 'Imani’s phone',
    recoveryUrl: '/recovery',
    problem: 'late-code',
  },
  'too-many': {
    ...form,
    account: long,
    recoveryUrl: '/recovery',
    problem: 'too-many',
    retryAfter: 30,
  },
});
add('recovery-code', {
  plain: { ...form, account: imani, totpUrl: '/totp' },
  'wrong-code': { ...form, app: heron, account: imani, totpUrl: '/totp', problem: 'wrong-code' },
});
const withoutLinks = { returnTo: undefined, privacyUrl: undefined, termsUrl: undefined };
add('consent', {
  plain: consent,
  verified: { ...consent, ...withoutLinks, app: heron, returnTo: 'heron.example' },
  trimmed: {
    ...consent,
    claims: [
      { ...profile[0], optional: false } as ConsentClaim,
      ...email.map((claim) => ({ ...claim, checked: claim.name === 'email' })),
      ...groups,
      { ...profile[1], value: 'de', checked: false } as ConsentClaim,
    ],
    scopes: [
      ...invoices,
      { value: 'stock:all', api: 'Stock', words: 'stock:all', ...everything },
      {
        value: 'stock:move',
        api: 'Stock',
        verb: 'reorganise',
        words: 'x'.repeat(60),
        optional: false,
      },
    ],
  },
  required: {
    ...consent,
    claims: claims.map((claim) => ({ ...claim, optional: false })),
    scopes: invoices.map((scope) => ({ ...scope, optional: false })),
    stay: { optional: false },
  },
  more: {
    ...consent,
    app: heron,
    claims: [],
    scopes: invoices.slice(1),
    stay: undefined,
    already: { claims: allowed.claims, scopes: allowed.scopes.slice(0, 1), stay: true },
    returnTo: 'heron.example',
  },
  'own-machine': {
    ...consent,
    ...withoutLinks,
    app: pebble,
    claims: email,
    scopes: [],
    stay: undefined,
    ownMachine: true,
  },
  registered: {
    ...consent,
    app: {
      id: 'pebble-7',
      name: 'Pebble',
      host: 'pebble.example',
      verified: false,
      registeredBy: 'anybody',
    },
    claims: email,
    returnTo: 'pebble.example',
  },
  published: {
    ...consent,
    ...withoutLinks,
    app: { ...pebble, runsOn: undefined, host: 'pebble.example', registeredBy: 'document' },
    claims: email,
    ownMachine: true,
  },
  changed: {
    ...consent,
    app: { ...pebble, host: 'pebble.example', verified: false, registeredBy: 'anybody' },
    claims: claims.slice(1, 2),
    changes: [
      { kind: 'name', from: 'Quillet', to: pebble.name },
      { kind: 'place', added: ['pebble.example', 'localhost'] },
      { kind: 'authentication' },
    ],
    returnTo: 'pebble.example',
    problem: 'changed',
  },
  'changed-somehow': {
    ...consent,
    app: { ...pebble, host: 'pebble.example', verified: false, registeredBy: 'anybody' },
    changes: [{ kind: 'unknown' }],
  },
  nothing: {
    ...consent,
    ...withoutLinks,
    app: heron,
    account: long,
    claims: [],
    scopes: [],
    stay: undefined,
    returnTo: 'heron.example',
  },
  payment: {
    ...consent,
    app: heron,
    claims: [],
    scopes: [],
    details: [payment],
    stay: undefined,
    returnTo: 'heron.example',
  },
  details: {
    ...consent,
    details: [
      { ...payment, optional: true, checked: true },
      {
        ...payment,
        value: 'p2',
        optional: true,
        words: { en: { verb: 'incorporate', text: '{creditorName} and {missing}', facts: [] } },
        detail: {
          ...payment.detail,
          creditorName: `${'<b>Donaudampfschifffahrtsgesellschaft</b>'.repeat(4)} & Söhne`,
          creditorAccount: {},
          remittanceInformation: 'x'.repeat(140),
          list: [{ one: 'two' }, { three: ['four', 'five'] }],
        },
      },
      statements,
    ],
    claims: email,
    already: { claims: [], scopes: [], details: [statements], stay: false },
  },
  wordy: { ...consent, app: wordy, account: long, returnTo: wordy.host },
  undecided: { ...consent, problem: 'undecided' },
});
const signOut = { ...form, hidden: { xsrf: 'Zm9vYmFy' } };
add('sign-out', {
  plain: { ...signOut, stayUrl: '/account' },
  app: { ...signOut, app: heron, account: { email: imani.email }, stayUrl: '/account' },
  'plain-account': { ...signOut, account: { email: imani.email }, stayUrl: '/account' },
  form: { ...signOut, app: heron },
});
add('signed-out', { plain: {}, again: { signInUrl: '/sign-in' } });
add('error', {
  redirect: {
    ...trouble,
    kind: 'app-redirect',
    app: quillet,
    oauth: {
      error: 'invalid_request',
      description: 'redirect_uri is not one of the app’s registered redirect URIs',
      clientId: 'quillet-7f3a',
    },
    homeUrl: '/account',
  },
  unknown: {
    ...trouble,
    kind: 'app-unknown',
    oauth: { error: 'invalid_client' },
    homeUrl: '/account',
  },
  request: { ...trouble, kind: 'app-request', app: quillet, homeUrl: '/account' },
  'sign-out': { ...trouble, kind: 'app-sign-out', app: quillet, homeUrl: '/account' },
  finished: { ...trouble, kind: 'finished', startUrl: '/start', homeUrl: '/account' },
  'step-stopped': { ...trouble, kind: 'step-stopped', homeUrl: '/account' },
  expired: { ...trouble, kind: 'expired', startUrl: '/start' },
  'other-browser': { ...trouble, kind: 'other-browser', homeUrl: '/account' },
  forged: { ...trouble, kind: 'forged', startUrl: '/start' },
  stopped: { ...trouble, kind: 'sign-in-stopped', startUrl: '/start' },
  forbidden: { ...trouble, kind: 'forbidden', homeUrl: '/account' },
  'not-found': { ...trouble, kind: 'not-found', homeUrl: '/account' },
  'too-many': {
    ...trouble,
    kind: 'too-many',
    retryAfter: 130,
    retry: true,
    homeUrl: '/account',
  },
  'too-large': { ...trouble, kind: 'too-large', homeUrl: '/account' },
  'bad-request': { ...trouble, kind: 'bad-request', homeUrl: '/account' },
  unavailable: { ...trouble, kind: 'unavailable', retry: true, homeUrl: '/account' },
  ours: { ...trouble, kind: 'ours', retry: true, homeUrl: '/account' },
});
add('setup', {
  plain: { ...form, passwordMinimum: 15 },
  errors: {
    ...form,
    passwordMinimum: 15,
    email: '',
    errors: { email: 'missing', password: 'too-short' },
  },
});
add('setup-done', { plain: { email: imani.email, signInUrl: '/account' } });
add('account', {
  plain: {
    ...account,
    apps: [
      {
        app: quillet,
        since: new Date('2026-03-03T09:12:00Z'),
        lastUsed: ago(2),
        ...allowed,
        withheld: [{ name: 'locale' }],
        stay: true,
        tokenTtl: 0,
        remove: remove('quillet-7f3a'),
      },
      {
        app: heron,
        since: new Date('2025-08-14T09:12:00Z'),
        lastUsed: ago(23),
        claims: [{ name: 'name' }],
        scopes: [
          { api: 'Albums', verb: 'see', words: 'your photo albums' },
          { api: 'Prints', words: 'prints:order' },
        ],
        stay: false,
        tokenTtl: 3600,
        remove: remove('heron-2c91'),
      },
      {
        app: wordy,
        since: new Date('2026-10-02T09:12:00Z'),
        claims: [],
        scopes: [{ api: 'Freight', verb: 'change', words: 'your freight bookings' }],
        stay: false,
        tokenTtl: 0,
        remove: remove('northern'),
      },
      {
        app: pebble,
        since: new Date('2026-10-02T09:12:00Z'),
        lastUsed: ago(24 * 50),
        claims: allowed.claims,
        scopes: [],
        stay: false,
        tokenTtl: 600,
        remove: remove('pebble-cli'),
      },
    ],
  },
  empty: {
    ...account,
    account: { email: long.email, emailVerified: false },
    secondFactor: { on: false, enrolUrl: '/account/second-factor' },
  },
  new: {
    ...account,
    account: { email: long.email, emailVerified: true },
    secondFactor: { on: false, enrolUrl: '/account/second-factor' },
  },
  removed: { ...account, removed: 'Quillet' },
});
add('dev-mail', {
  plain: {
    mails: [
      {
        to: 'imani@okoro.test',
        subject: 'Confirm your email address for Vouchsafe',
        at: ago(0.01),
        text: 'Hello,\n\nOpen this link to confirm your email address:\n\nhttp://localhost:3000/verify-email/WkZ3b0ZtS1dXTzRjR2pQb0xZc2xqdz09\n\nOr enter this code where you signed up: 4829 1366\n\nDidn’t ask for this? Ignore this email, and never share the code.',
      },
      {
        to: long.email,
        subject: 'New recovery codes for your Vouchsafe account',
        at: ago(30),
        text: 'Was this you?',
      },
      {
        to: long.email,
        subject: 'An authenticator app was added to your Vouchsafe account',
        at: ago(30),
        text: 'Was this you?',
      },
    ],
  },
  empty: { mails: [] },
});
add('choose-account', {
  plain: {
    ...form,
    app: heron,
    account: { email: imani.email, name: 'Imani Okoro' },
    switchUrl: '/x',
  },
  long: { ...form, app: wordy, account: { email: long.email }, switchUrl: '/x' },
});
add('form-post', {
  plain: { ...form, hidden: { code: 'Zm9vYmFy', submit: 'yes' }, app: heron },
  answer: {
    ...form,
    hidden: { code: 'Zm9vYmFy', state: 'Zm9vYmFy', iss: 'http://localhost:3000' },
  },
});

export const pageStates: readonly PageState[] = [...all, ...requestStates];
