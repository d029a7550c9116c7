import type { App } from '../../src/pages/page-parts.ts';
import type { Pages } from '../../src/pages/pages.ts';
import type { PageState } from './page-fixtures.ts';

// The pages of requests that a program makes and a person answers elsewhere, in every state.

const asked = new Date('2026-11-21T20:40:07Z');
const tv: App = {
  id: 'heron-tv',
  name: 'Heron on a living-room TV',
  runsOn: 'other-device',
  verified: true,
};
const till: App = {
  id: 'till-5',
  name: 'Till',
  developer: 'Harrow & Finch',
  verified: false,
};
const account = { email: 'imani@okoro.test', switchUrl: '/switch' };
const form = { action: '/post' };
const question: Omit<Pages['consent'], 'app' | 'account' | 'request'> = {
  ...form,
  changes: [],
  claims: [
    { name: 'name', value: 'Imani Okoro', group: 'profile', optional: true, checked: true },
    { name: 'locale', group: 'profile', optional: true, checked: true },
    { name: 'updated_at', group: 'profile', optional: true, checked: true },
  ],
  scopes: [
    {
      value: 'albums:read',
      api: 'Albums',
      verb: 'see',
      words: 'your photo albums',
      optional: true,
      checked: true,
    },
  ],
  stay: { optional: true, checked: true },
  details: [],
  asksNothing: false,
  ownMachine: false,
  accountUrl: '/account',
};

const states: { [K in keyof Pages]?: Record<string, Pages[K]> } = {
  device: {
    plain: form,
    prefilled: { ...form, code: 'KVPT-RMXL' },
    'wrong-code': { ...form, code: 'KVPT-RMX', problem: 'wrong-code' },
    'too-many': { ...form, code: 'KVPT-RMXL', problem: 'too-many', retryAfter: 290 },
  },
  consent: {
    device: {
      ...question,
      app: tv,
      account,
      request: { kind: 'device', askedAt: asked, code: 'KVPT-RMXL' },
    },
    'device-far': {
      ...question,
      app: { ...tv, verified: false },
      account,
      request: {
        kind: 'device',
        askedAt: asked,
        code: 'KVPT-RMXL',
        otherNetwork: '2001:db8:4711:1:89ab:cdef:123:4567',
      },
      problem: 'undecided',
    },
    ciba: {
      ...question,
      app: till,
      account: { email: account.email },
      request: { kind: 'ciba', askedAt: asked, message: 'Order 4711, € 12.50' },
    },
    'ciba-own': {
      ...question,
      claims: [],
      scopes: [],
      stay: undefined,
      app: { ...till, verified: true },
      account: { email: account.email },
      request: { kind: 'ciba', askedAt: asked },
      asksNothing: true,
    },
  },
  'request-answered': {
    device: { kind: 'device', app: tv, isAllowed: true, homeUrl: '/account' },
    'device-denied': { kind: 'device', app: tv, isAllowed: false, homeUrl: '/account' },
    ciba: { kind: 'ciba', app: till, isAllowed: true, homeUrl: '/account' },
    'ciba-denied': { kind: 'ciba', app: till, isAllowed: false },
  },
  'link-expired': { asked: { link: 'asked', nextUrl: '/account' } },
  error: {
    'not-yours': {
      kind: 'not-yours',
      app: till,
      requestId: '4f1d7c0a-2b1e-4c55-9a57-0d5e3f6b8a21',
      at: asked,
      homeUrl: '/account',
    },
  },
};

export const requestStates: PageState[] = Object.entries(states).flatMap(([page, models]) =>
  Object.entries(models).map(([state, model]) => ({
    page: page as keyof Pages,
    state,
    model: model as Pages[keyof Pages],
    refused: 'problem' in model,
  })),
);
