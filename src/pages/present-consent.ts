import { cut } from './cut.ts';
import type { Words } from './html.ts';
import type {
  ConnectedApp,
  ConsentAlready,
  ConsentChange,
  ConsentClaim,
  Pages,
  ScopeKind,
} from './pages.ts';
import { spellOut } from './present-detail.ts';
import type { Kit } from './present-forms.ts';
import { requestFacts, requestTitle } from './present-request.ts';

/** One line of what an app may do: a word in the margin, and what it means. */
interface Row {
  word: Words;
  /** "change" is set bold: it is the one that can do harm. */
  strong: boolean;
  words?: Words;
  /** For "know" and for details: what exactly. */
  facts?: { label: Words; value?: string | undefined }[];
  /** Only optional ones can be ticked. */
  box?: { name: 'scope' | 'claim' | 'detail'; value: string; checked: boolean };
  /** Whether it is asked again. */
  aside?: Words;
  /** Folded away: every value, by its name. */
  all?: { label: string; value: string }[];
}

type ClaimName = Pick<ConsentClaim, 'name' | 'label' | 'asUsername'>;

const KINDS: ScopeKind[] = ['know', 'see', 'change'];

function claimLabel({ name, label, asUsername }: ClaimName, { m }: Kit): Words {
  if (asUsername) return m.consent.emailAndUsername;
  return label ?? (Object.hasOwn(m.claims, name) ? m.claims[name] : undefined) ?? name;
}

function row(kind: ScopeKind | 'stay', { m }: Kit, rest: Partial<Row>): Row {
  return { word: m.words[kind], strong: kind === 'change', ...rest };
}

/**
 * The rows of what is asked for: single things that are spelled out, then know, see, change, stay; within each, what is
 * required comes first.
 */
function askedRows(model: Pages['consent'], kit: Kit): Row[] {
  const fact = (claim: ConsentClaim) => ({ label: claimLabel(claim, kit), value: claim.value });
  const required = model.claims.filter((claim) => !claim.optional);
  const rows: Row[] = [];
  for (const { value, optional, checked = false, remembered, ...shown } of model.details ?? []) {
    const { verb, ...rest } = spellOut(shown, kit);
    const box = { name: 'detail', value, checked } as const;
    const { eachTime, remembered: once } = kit.m.consent;
    const asked = { word: verb, strong: true, ...rest, aside: remembered ? once : eachTime };
    rows.push(optional ? { ...asked, box } : asked);
  }
  if (required.length > 0) rows.push(row('know', kit, { facts: required.map(fact) }));
  for (const claim of model.claims.filter(({ optional }) => optional)) {
    const box = { name: 'claim', value: claim.name, checked: claim.checked ?? false } as const;
    rows.push(row('know', kit, { facts: [fact(claim)], box }));
  }
  for (const kind of KINDS) {
    const scopes = model.scopes.filter((scope) => scope.kind === kind);
    for (const scope of scopes.toSorted((a, b) => Number(a.optional) - Number(b.optional))) {
      const { words, value, checked = false } = scope;
      const box = scope.optional ? { box: { name: 'scope', value, checked } as const } : {};
      rows.push(row(kind, kit, { words, ...box }));
    }
  }
  if (model.stay) {
    const { optional, checked = false } = model.stay;
    const box = { name: 'scope', value: 'offline_access', checked } as const;
    rows.push(row('stay', kit, { words: kit.m.stay, ...(optional ? { box } : {}) }));
  }
  return rows.length > 0 ? rows : [row('know', kit, { words: kit.m.consent.nothing })];
}

/** The rows of what is allowed already: the same words, nothing to tick. */
function allowedRows(
  allowed: { claims: ClaimName[] } & Pick<ConsentAlready, 'scopes' | 'details' | 'stay'>,
  kit: Kit,
): Row[] {
  const rows: Row[] = [];
  if (allowed.claims.length > 0) {
    const labels = allowed.claims.map((claim) => String(claimLabel(claim, kit)));
    rows.push(row('know', kit, { words: new Intl.ListFormat(kit.locale).format(labels) }));
  }
  for (const kind of KINDS) {
    for (const { words } of allowed.scopes.filter((scope) => scope.kind === kind)) {
      rows.push(row(kind, kit, { words }));
    }
  }
  for (const detail of allowed.details ?? []) {
    const { verb, ...rest } = spellOut(detail, kit);
    rows.push({ word: verb, strong: true, ...rest });
  }
  if (allowed.stay) rows.push(row('stay', kit, { words: kit.m.stay }));
  return rows;
}

/** One change of the app, in words. */
function changeWords(change: ConsentChange, { locale, m }: Kit): Words {
  switch (change.kind) {
    case 'name':
      return m.consent.changedName(change.from, change.to);
    case 'place':
      return m.consent.changedPlace(new Intl.ListFormat(locale).format(change.added));
    case 'authentication':
      return m.consent.changedAuthentication;
    case 'unknown':
      return m.consent.changedSomehow;
  }
}

/** An app's own links are only ever web addresses, whatever it has registered. */
const web = (url: string | undefined) => (url && /^https?:\/\//i.test(url) ? url : undefined);

export function presentConsent(model: Pages['consent'], kit: Kit) {
  const { m } = kit;
  const { name, id } = model.app;
  const { already } = model;
  const rows = model.asksNothing ? [] : askedRows(model, kit);
  return {
    title: model.request
      ? requestTitle(name, model.request, kit)
      : already
        ? m.consent.titleMore(name)
        : m.consent.title(name),
    invalid: model.problem !== undefined,
    cut: cut(id),
    summary:
      model.problem === 'undecided'
        ? {
            title: m.consent.undecided,
            items: [{ href: '#decision', words: m.consent.undecidedDo }],
          }
        : model.problem === 'changed'
          ? {
              title: m.consent.changedMeanwhile(name),
              items: [{ href: '#decision', words: m.consent.changedMeanwhileDo }],
            }
          : undefined,
    changes: (model.changes ?? []).map((change) => changeWords(change, kit)),
    changed: m.consent.changed(name),
    may: already ? m.consent.mayMore(name) : m.consent.may(name),
    privacyUrl: web(model.privacyUrl),
    termsUrl: web(model.termsUrl),
    facts: model.request && requestFacts(model.app, model.request, kit),
    rows,
    /** Nothing of it is left to take back: a payment, once allowed, was made. */
    passes: rows.length > 0 && rows.every(({ aside }) => aside === m.consent.eachTime),
    already: already ? allowedRows(already, kit) : [],
  };
}

/** The rows of an app in the list of connected apps. */
export function connectedRows(app: ConnectedApp, kit: Kit): Row[] {
  return allowedRows(app, kit);
}
