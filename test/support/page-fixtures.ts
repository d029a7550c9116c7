import type {
  App,
  ConsentClaim,
  ConsentDetail,
  ConsentScope,
  Form,
  Pages,
  SignedIn,
} from '../../src/pages/pages.ts';
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
const pebble: App = { id: 'pebble-cli', name: 'Pebble', verified: false };
const wordy: App = {
  id: 'https://northern-harbours.example/client.json',
  name: 'The Northern Harbours Cooperative Freight Ledger',
  host: 'freight-ledger.northern-harbours-cooperative.example',
  developer: 'Northern Harbours Cooperative of Shipwrights and Chandlers',
  verified: true,
};
const hebrew: App = { id: 'tsippor-11', name: 'ציפור', host: 'tsippor.example', verified: true };

const imani: SignedIn = { email: 'imani@okoro.example', switchUrl: '/switch' };
const long: SignedIn = {
  email: 'maximiliana.featherstonehaugh-cholmondeley@correspondence.example',
  switchUrl: '/switch',
};
const form: Form = { action: '/post', hidden: { csrf: 'Zm9vYmFy' } };

const claims: ConsentClaim[] = [
  { name: 'name', value: 'Imani Okoro', optional: false },
  { name: 'email', value: 'imani@okoro.example', optional: false },
  { name: 'locale', value: 'English', optional: false },
];
const invoices: ConsentScope[] = [
  {
    value: 'invoices:read',
    kind: 'see',
    words: 'your invoices, and who they are for',
    optional: false,
  },
  {
    value: 'invoices:write',
    kind: 'change',
    words: 'your invoices: write, edit and send them',
    optional: true,
  },
];
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
    'otpauth://totp/Vouchsafe:imani%40okoro.example?secret=JX4MRQ2T7KDAWV5N3HUCELZ6PBGFYO2S&issuer=Vouchsafe',
  secret: 'JX4MRQ2T7KDAWV5N3HUCELZ6PBGFYO2S',
  deviceName: 'Imani’s phone',
};
const codes = {
  ...form,
  account: imani,
  downloadUrl: '/codes.txt',
  codes: ['K7QW-M2XF', 'T9PD-4HVJ', 'B3NC-8RGY', 'W6LZ-F5QK', 'X2JM-P7TD'].flatMap((code) => [
    code,
    code.split('-').toReversed().join('-'),
  ]),
};
const consent = {
  ...form,
  app: quillet,
  account: imani,
  claims,
  scopes: invoices,
  stay: { optional: true },
  ownMachine: false,
  returnTo: 'quillet.example',
  accountUrl: '/account',
  privacyUrl: 'https://quillet.example/privacy',
  termsUrl: 'https://quillet.example/terms',
};
const trouble = { requestId: '01K9-T4QX-8M2B', at: NOW };
const account = {
  account: { email: 'imani@okoro.example', name: 'Imani Okoro', emailVerified: true },
  secondFactor: { on: true, deviceName: 'Imani’s phone', since: ago(24 * 40) },
  apps: [],
  signOut: { action: '/sign-out', hidden: { csrf: 'Zm9vYmFy' } },
};
const remove = (id: string): Form => ({
  action: `/account/apps/${id}/remove`,
  hidden: { csrf: 'x' },
});

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
  confirm: { ...form, app: heron, confirm: imani },
  'confirm-incorrect': { ...form, confirm: imani, problem: 'incorrect' },
  rtl: { ...form, app: hebrew, dir: 'rtl', registerUrl: '/register' },
});
add('register', {
  plain: { ...form, signInUrl: '/sign-in' },
  app: { ...form, app: heron, signInUrl: '/sign-in' },
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
  resend: { action: '/resend', hidden: { csrf: 'x' } },
  changeUrl: '/register',
};
add('register-sent', {
  plain: sent,
  paused: { ...sent, app: heron, resent: true, resend: { ...sent.resend, pausedFor: 55 } },
  'long-email': { ...sent, email: long.email },
  'wrong-code': { ...sent, problem: 'wrong-code' },
});
add('verify-email', {
  plain: form,
  email: { ...form, email: imani.email },
  elsewhere: { ...form, email: imani.email, password: true },
  incorrect: { ...form, email: imani.email, password: true, problem: 'incorrect' },
  'too-many': { ...form, email: imani.email, password: true, problem: 'too-many', retryAfter: 840 },
});
add('verify-email-done', { plain: {}, app: { app: heron, continueUrl: '/continue' } });
add('link-expired', {
  verify: { link: 'verify-email', nextUrl: '/account' },
  setup: { link: 'setup' },
});
add('totp-enrol', {
  plain: { ...enrol, laterUrl: '/later' },
  required: enrol,
  'wrong-code': { ...enrol, problem: 'wrong-code' },
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
    recoveryUrl: '/recovery',
    problem: 'wrong-code',
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
add('consent', {
  plain: consent,
  verified: { ...consent, app: heron, stay: { optional: false }, returnTo: 'heron.example' },
  trimmed: {
    ...consent,
    claims: [
      ...claims,
      { name: 'phone_number', optional: true },
      { name: 'address', value: '12 Quay Street, Port Ellen', optional: true, checked: true },
    ],
    stay: { optional: true, checked: true },
  },
  more: {
    ...consent,
    app: heron,
    claims: [],
    scopes: invoices.slice(1),
    stay: undefined,
    already: { claims, scopes: invoices.slice(0, 1), stay: true },
    returnTo: 'heron.example',
  },
  'own-machine': {
    ...consent,
    app: pebble,
    claims: claims.slice(1, 2),
    ownMachine: true,
    returnTo: undefined,
    privacyUrl: undefined,
    termsUrl: undefined,
  },
  registered: {
    ...consent,
    app: { ...pebble, host: 'pebble.example', verified: false, registeredBy: 'anybody' },
    claims: claims.slice(1, 2),
    returnTo: 'pebble.example',
  },
  published: {
    ...consent,
    app: { ...pebble, host: 'pebble.example', verified: false, registeredBy: 'document' },
    claims: claims.slice(1, 2),
    ownMachine: true,
    returnTo: undefined,
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
  nothing: { ...form, app: heron, account: long, claims: [], scopes: [], ownMachine: false },
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
    claims: [{ name: 'email', value: 'imani@okoro.example', optional: true, asUsername: true }],
    already: { claims: [], scopes: [], details: [statements], stay: false },
  },
  wordy: { ...consent, app: wordy, account: long, returnTo: wordy.host },
  undecided: { ...consent, problem: 'undecided' },
});
add('sign-out', {
  plain: { ...form, stayUrl: '/account' },
  app: { ...form, app: heron, account: { email: imani.email } },
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
  unknown: { ...trouble, kind: 'app-unknown', oauth: { error: 'invalid_client' } },
  request: { ...trouble, kind: 'app-request', app: quillet },
  expired: { ...trouble, kind: 'expired', startUrl: '/start' },
  'other-browser': { ...trouble, kind: 'other-browser' },
  forged: { ...trouble, kind: 'forged', startUrl: '/start' },
  stopped: { ...trouble, kind: 'sign-in-stopped', startUrl: '/start' },
  forbidden: { ...trouble, kind: 'forbidden', homeUrl: '/account' },
  'not-found': { ...trouble, kind: 'not-found', homeUrl: '/account' },
  'too-many': { ...trouble, kind: 'too-many', retryAfter: 130 },
  'too-large': { ...trouble, kind: 'too-large' },
  'bad-request': { ...trouble, kind: 'bad-request' },
  unavailable: { ...trouble, kind: 'unavailable' },
  ours: { ...trouble, kind: 'ours' },
});
add('setup', {
  plain: form,
  errors: { ...form, email: '', errors: { email: 'missing', password: 'personal' } },
});
add('account', {
  plain: {
    ...account,
    apps: [
      {
        app: quillet,
        since: new Date('2026-03-03T09:12:00Z'),
        lastUsed: ago(2),
        claims: claims.slice(0, 2),
        scopes: invoices,
        stay: true,
        tokenTtl: 0,
        remove: remove('quillet-7f3a'),
      },
      {
        app: heron,
        since: new Date('2025-08-14T09:12:00Z'),
        lastUsed: ago(23),
        claims: claims.slice(0, 1),
        scopes: [{ kind: 'see', words: 'your photo albums' }],
        stay: false,
        tokenTtl: 3600,
        remove: remove('heron-2c91'),
      },
      {
        app: wordy,
        since: new Date('2026-10-02T09:12:00Z'),
        claims: [],
        scopes: [{ kind: 'change', words: 'your freight bookings' }],
        stay: false,
        tokenTtl: 0,
        remove: remove('northern'),
      },
      {
        app: pebble,
        since: new Date('2026-10-02T09:12:00Z'),
        lastUsed: ago(24 * 50),
        claims: claims.slice(1, 2),
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
  removed: { ...account, secondFactor: { on: true }, removed: 'Quillet' },
});
add('dev-mail', {
  plain: {
    mails: [
      {
        to: 'imani@okoro.example',
        subject: 'Confirm your email',
        at: ago(0.01),
        text: 'Hello,\n\nOpen this link to confirm your email:\n\nhttp://localhost:3000/verify-email?token=WkZ3b0ZtS1dXTzRjR2pQb0xZc2xqdz09\n\nOr enter this code: 482 913\n\nIf you did not ask for this, do nothing.',
      },
      {
        to: long.email,
        subject: 'A new sign-in to your account',
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
add('form-post', { plain: { ...form, hidden: { ...form.hidden, submit: 'yes' }, app: heron } });

export const pageStates: readonly PageState[] = [...all, ...requestStates];
