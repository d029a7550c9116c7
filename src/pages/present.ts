import { encode } from 'uqr';
import { cut } from './cut.ts';
import { Html, html, type Words } from './html.ts';
import type { ErrorKind, Pages } from './pages.ts';
import { connectedGroups, presentConsent } from './present-consent.ts';
import {
  codeSummary,
  fieldSummary,
  type Kit,
  newAccount,
  type Summary,
  tooMany,
  type View,
} from './present-forms.ts';
import { presentAnswered, presentDevice } from './present-request.ts';
import { ago, exactly, inFull, inSeconds, lasting, onDay } from './dates.ts';

// A presenter decides everything that a template would have to compute: which words, in which state.
// So templates hold no more than loops and conditions.
type Presenters = { [K in keyof Pages]: (model: Pages[K], kit: Kit) => View & object };

const APART = 4;
const JOINED = 0;

/** A page that asks: its halves are apart. Its title begins with "Error:" if there is a summary. */
function asking(seed: string | undefined, title: View['title'], summary?: Summary): View {
  return { title, summary, invalid: summary !== undefined, cut: cut(seed, APART) };
}

/** A page that says that something is done: its halves are joined. */
function done(seed: string | undefined, title: View['title']): View {
  return { title, invalid: false, cut: cut(seed, JOINED) };
}

/** Four by four: what is typed from one screen into another is read in groups. */
const grouped = (secret: string): string => secret.match(/.{1,4}/g)?.join(' ') ?? '';

/** The QR code as one path; drawn in black on white whatever the theme, since cameras want it so. */
function qr(uri: string, label: string): Html {
  const { size, data } = encode(uri, { ecc: 'M', border: 0 });
  let path = '';
  data.forEach((line, y) => {
    line.forEach((dark, x) => {
      if (dark) path += `M${x} ${y}h1v1h-1z`;
    });
  });
  const open = html`<svg viewBox="0 0 ${String(size)} ${String(size)}" role="img" aria-label="${label}" shape-rendering="crispEdges">`;
  return new Html(`${open.markup}<path d="${path}"/></svg>`);
}

/** Plain text cut into words and web addresses, so that a template can make links of the latter. */
function withLinks(text: string): { words: string; href?: string }[] {
  return text
    .split(/(https?:\/\/[^\s<>"]+[^\s<>".,;:!?)])/)
    .map((words, i) => (i % 2 ? { words, href: words } : { words }));
}

/** Who can fix an error; `yours` if it is the reader, who then needs the request's number less. */
function fixer(kind: ErrorKind, app: string | undefined, { m, brand }: Kit) {
  switch (kind) {
    case 'app-unknown':
    case 'app-redirect':
    case 'app-request':
    case 'app-sign-out':
      return { fixer: app === undefined ? m.error.byApp : m.error.byAppNamed(app), yours: false };
    case 'ours':
    case 'forbidden':
      return { fixer: m.error.byUs(brand), yours: false };
    case 'not-found':
      return { fixer: m.error.byLink(brand), yours: true };
    default:
      return { fixer: m.error.byYou(brand), yours: true };
  }
}

function signIn(model: Pages['sign-in'], kit: Kit) {
  const { app, confirm, problem } = model;
  const { signIn: words } = kit.m;
  const title = confirm ? words.confirmTitle : app ? words.titleFor(app.name) : words.title;
  const isNew = model.registerUrl === undefined ? [] : [{ words: words.incorrectNew }];
  const incorrect: Summary = confirm
    ? {
        title: words.incorrectPassword,
        items: [{ href: '#password', words: words.incorrectPasswordDo }],
      }
    : { title: words.incorrect, items: [{ href: '#email', words: words.incorrectDo }, ...isNew] };
  const summary =
    problem === 'incorrect' ? incorrect : problem === 'too-many' ? tooMany(model, kit) : undefined;
  return {
    ...asking(app?.id, title, summary),
    email: confirm?.email ?? model.email,
    lead: confirm && (app ? words.confirmLeadFor(app.name) : words.confirmLead),
    submit: confirm ? words.confirmSubmit : words.submit,
  };
}

/** The line at a code field that was refused. */
function codeHint(
  problem: Pages['totp']['problem'],
  words: { wrongHint: Words; lateHint: Words },
): Words | undefined {
  if (problem === 'late-code') return words.lateHint;
  return problem === 'wrong-code' ? words.wrongHint : undefined;
}

/** Why a user who did not ask for a second factor has to set one up. */
function enrolReason(
  reason: NonNullable<Pages['totp-enrol']['reason']>,
  { app }: Pages['totp-enrol'],
  { m, brand }: Kit,
): Words {
  const { reasons } = m.enrol;
  switch (reason) {
    case 'administrator':
      return reasons.administrator;
    case 'everyone':
      return reasons.everyone(brand);
    case 'app':
      return reasons.app(app?.name ?? brand);
  }
}

function totpEnrol(model: Pages['totp-enrol'], kit: Kit) {
  const { enrol } = kit.m;
  const device = { missing: enrol.deviceMissing, 'too-long': enrol.deviceTooLong };
  const wrong = { device_name: model.errors?.device_name && device[model.errors.device_name] };
  const summary = codeSummary(model, enrol, kit) ?? fieldSummary(wrong, kit);
  return {
    ...asking(undefined, enrol.title, summary),
    wrong,
    reason: model.reason && enrolReason(model.reason, model, kit),
    qr: qr(model.otpauthUri, String(enrol.qr)),
    key: grouped(model.secret),
    codeWrong: codeHint(model.problem, enrol),
  };
}

function account(model: Pages['account'], kit: Kit) {
  const { m, now, locale } = kit;
  return {
    ...asking(undefined, m.account.title),
    apps: model.apps.map((connected) => ({
      ...connected,
      groups: connectedGroups(connected, kit),
      sinceWords: onDay(connected.since, now, locale),
      usedWords: connected.lastUsed && ago(connected.lastUsed, now, locale),
      consequence: m.account.consequence(
        connected.app.name,
        connected.tokenTtl > 0 ? lasting(connected.tokenTtl, locale) : undefined,
      ),
    })),
    secondSince: model.secondFactor.since && onDay(model.secondFactor.since, now, locale),
    removed: model.removed === undefined ? undefined : m.account.removed(model.removed),
  };
}

function error(model: Pages['error'], kit: Kit) {
  const { m, locale } = kit;
  const { title, say } = m.error.kinds[model.kind];
  const when =
    model.retryAfter === undefined ? String(m.error.soon) : inSeconds(model.retryAfter, locale);
  return {
    title,
    invalid: false,
    // two halves that do not belong together; the lower one is this request's own
    cut: cut(model.app?.id, APART, model.requestId),
    say: say(model.app?.name ?? String(m.error.thisApp), when),
    ...fixer(model.kind, model.app?.name, kit),
    time: inFull(model.at, locale),
  };
}

export const presenters: Presenters = {
  'sign-in': signIn,
  register: (model, kit) => {
    const fields = newAccount(model, kit);
    const { title, titleFor } = kit.m.register;
    const summary = model.problem === 'too-many' ? tooMany(model, kit) : fields.summary;
    return {
      ...fields,
      ...asking(model.app?.id, model.app ? titleFor(model.app.name) : title, summary),
    };
  },
  'register-sent': (model, kit) => {
    const { sent } = kit.m;
    const { pausedFor } = model.resend;
    return {
      ...asking(model.app?.id, sent.title, codeSummary(model, sent, kit)),
      pause: pausedFor ? sent.pause(inSeconds(pausedFor, kit.locale)) : undefined,
    };
  },
  'verify-email': (model, kit) => {
    const { email, password, problem } = model;
    const { verify } = kit.m;
    const incorrect = {
      title: verify.incorrect,
      items: [{ href: '#password', words: verify.incorrectDo }],
    };
    const summary =
      problem === 'incorrect'
        ? incorrect
        : problem === 'too-many'
          ? tooMany(model, kit)
          : undefined;
    return {
      ...asking(undefined, verify.title, summary),
      lead: email === undefined ? verify.lead : verify.leadFor(email),
      elsewhere: password ? verify.elsewhere : undefined,
    };
  },
  'verify-email-done': ({ app }, { m }) => ({
    ...done(app?.id, m.verify.doneTitle),
    next: app ? m.verify.doneNextFor(app.name) : m.verify.doneNext,
  }),
  'link-expired': ({ link }, { m }) => ({
    ...asking(undefined, m.link.title),
    cut: cut(undefined, APART, link),
    lead: {
      setup: m.link.setup,
      'setup-done': m.link.setupDone,
      asked: m.link.asked,
      'verify-email': m.link.verify,
    }[link],
    next: {
      setup: m.link.setupNext,
      'setup-done': m.link.setupNext,
      asked: m.link.askedNext,
      'verify-email': m.link.verifyNext,
    }[link],
  }),
  'totp-enrol': totpEnrol,
  'recovery-codes': (model, { m }) => {
    const notSaved = {
      title: m.codes.notSaved,
      items: [{ href: '#saved', words: m.codes.notSavedDo }],
    };
    const summary = model.problem === 'not-saved' ? notSaved : undefined;
    return { ...asking(undefined, m.codes.title, summary), all: model.codes.join('\n') };
  },
  totp: (model, kit) => {
    const { totp } = kit.m;
    return {
      ...asking(model.app?.id, totp.title, codeSummary(model, totp, kit)),
      lead: model.deviceName === undefined ? totp.lead : totp.leadFor(model.deviceName),
      codeWrong: codeHint(model.problem, totp),
    };
  },
  'recovery-code': (model, kit) =>
    asking(model.app?.id, kit.m.recovery.title, codeSummary(model, kit.m.recovery, kit)),
  consent: presentConsent,
  device: presentDevice,
  'request-answered': presentAnswered,
  'choose-account': ({ app }, { m }) => ({
    ...asking(app?.id, app ? m.choose.titleFor(app.name) : m.choose.title),
  }),
  'sign-out': ({ app }, { m, brand }) => ({
    ...asking(app?.id, m.signOut.title),
    lead: app ? m.signOut.leadFor(app.name, brand) : m.signOut.lead(brand),
  }),
  'signed-out': ({ app }, { m }) => done(app?.id, m.signOut.doneTitle),
  error,
  setup: (model, kit) => {
    const fields = newAccount(model, kit);
    return { ...fields, ...asking(undefined, kit.m.setup.title, fields.summary) };
  },
  'setup-done': ({ email }, { m }) => ({
    ...done(undefined, m.setup.doneTitle),
    lead: m.setup.doneLead(email),
    steps: [m.setup.doneSignIn, m.setup.doneCodes, m.setup.doneApps],
  }),
  account,
  'dev-mail': ({ mails }, { m, locale, now }) => ({
    ...asking(undefined, m.mail.title),
    mails: mails.map((mail) => ({
      ...mail,
      when: ago(mail.at, now, locale),
      exactly: exactly(mail.at, locale),
      parts: withLinks(mail.text),
    })),
  }),
  'form-post': ({ app }, { m }) =>
    done(app?.id, app ? m.formPost.titleFor(app.name) : m.formPost.title),
};
