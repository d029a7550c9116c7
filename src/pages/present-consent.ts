import { cut } from './cut.ts';
import { html, type Words } from './html.ts';
import type {
  ConnectedApp,
  ConsentAlready,
  ConsentChange,
  ConsentClaim,
  ConsentDetail,
  ConsentScope,
} from './page-parts.ts';
import type { Pages } from './pages.ts';
import { type ClaimName, claimLabel, claimsSentence, claimWithValue } from './present-claims.ts';
import { spellOut } from './present-detail.ts';
import type { Kit } from './present-forms.ts';
import { requestFacts, requestTitle } from './present-request.ts';

interface Box {
  name: 'scope' | 'claim' | 'detail';
  value: string;
  checked: boolean;
}

/** One line of what an app may do: a verb in the margin, and what follows it. */
interface Row {
  word: Words;
  /** Set bold: everything but knowing and seeing can do harm. */
  strong: boolean;
  words?: Words;
  /** Of a detail: what exactly. */
  facts?: { label: Words; value?: string | undefined }[];
  /** Only what is optional can be ticked. */
  box?: Box;
  /** Whether it is asked again. */
  aside?: Words;
  /** Folded away: every value, by its name. */
  all?: { label: string; value: string }[];
  /** Folded away: each claim of the row by itself; a box where it can be declined. */
  claims?: { words: Words; withheld: Words; box?: Box }[];
}

/** Rows that belong together: those of one API, under its name. */
interface Group {
  api?: Words;
  rows: Row[];
}

/** Verbs that only let an app read, in the languages that there are words for; every other one is set bold. */
const readingVerbs = new Set(['know', 'see', 'read', 'view', 'erfahren', 'sehen', 'lesen']);

const verbRow = (word: Words, rest: Partial<Row>): Row => ({
  word,
  strong: !readingVerbs.has(String(word).toLowerCase()),
  ...rest,
});

const stayRow = ({ m }: Kit, rest: Partial<Row> = {}): Row => ({
  word: m.words.stay,
  strong: false,
  words: m.stay,
  ...rest,
});

const boxOf = (name: Box['name'], value: string, checked = false): Box => ({
  name,
  value,
  checked,
});

/** One row for each identity scope; a row with several claims that can be declined opens to show each by itself. */
function knowRows(claims: readonly ConsentClaim[], kit: Kit): Row[] {
  const byRow = Map.groupBy(claims, ({ group, name }) => group ?? `claim ${name}`);
  return [...byRow.values()].map((together) => {
    const [first] = together as [ConsentClaim];
    const words = claimsSentence(together, kit);
    if (together.every(({ optional }) => !optional)) return verbRow(kit.m.words.know, { words });
    if (together.length === 1)
      return verbRow(kit.m.words.know, { words, box: boxOf('claim', first.name, first.checked) });
    return verbRow(kit.m.words.know, {
      words,
      claims: together.map((claim) => ({
        words: claimWithValue(claim, kit),
        withheld: kit.m.consent.withheld(claimLabel(claim, kit)),
        ...(claim.optional ? { box: boxOf('claim', claim.name, claim.checked) } : {}),
      })),
    });
  });
}

function detailRow(detail: ConsentDetail, kit: Kit): Row {
  const { value, optional, checked, remembered, ...shown } = detail;
  const { verb, ...rest } = spellOut(shown, kit);
  const aside = remembered ? kit.m.consent.remembered : kit.m.consent.eachTime;
  const row = { word: verb, strong: true, ...rest, aside };
  return optional ? { ...row, box: boxOf('detail', value, checked) } : row;
}

/** Scopes under the names of their APIs, in the order in which each API lists them. */
function scopeGroups<Scope extends Pick<ConsentScope, 'api' | 'verb' | 'words'>>(
  scopes: readonly Scope[],
  kit: Kit,
  boxed: (scope: Scope) => Box | undefined,
): Group[] {
  return [...Map.groupBy(scopes, ({ api }) => api)].map(([api, own]) => ({
    api: kit.m.consent.inApi(api),
    rows: own.map((scope) => {
      const box = boxed(scope);
      const words = html`<bdi>${scope.words}</bdi>`;
      return verbRow(scope.verb ?? kit.m.words.use, { words, ...(box ? { box } : {}) });
    }),
  }));
}

const filled = (groups: readonly Group[]) => groups.filter(({ rows }) => rows.length > 0);

/** What is asked for: details that are spelled out, what the app would know, what it could do in each API, staying connected. */
function askedGroups({ claims, details = [], scopes, stay }: Pages['consent'], kit: Kit): Group[] {
  const stayBox = stay?.optional ? { box: boxOf('scope', 'offline_access', stay.checked) } : {};
  const groups = filled([
    { rows: [...details.map((detail) => detailRow(detail, kit)), ...knowRows(claims, kit)] },
    ...scopeGroups(scopes, kit, ({ value, optional, checked }) =>
      optional ? boxOf('scope', value, checked) : undefined,
    ),
    { rows: stay ? [stayRow(kit, stayBox)] : [] },
  ]);
  return groups.length > 0
    ? groups
    : [{ rows: [verbRow(kit.m.words.know, { words: kit.m.consent.nothing })] }];
}

/** What is allowed already: the same words, nothing to tick. */
function allowedGroups(
  allowed: { claims: ClaimName[]; withheld?: ClaimName[] | undefined } & Pick<
    ConsentAlready,
    'scopes' | 'details' | 'stay'
  >,
  kit: Kit,
): Group[] {
  const list = new Intl.ListFormat(kit.locale);
  const names = (claims: ClaimName[]) =>
    list.format(claims.map((claim) => String(claimLabel(claim, kit))));
  const { claims, withheld = [], scopes, details = [], stay } = allowed;
  const aside = withheld.length > 0 ? { aside: kit.m.consent.withheld(names(withheld)) } : {};
  const known = claims.length > 0 ? names(claims) : kit.m.consent.nothing;
  const isKnown = claims.length + withheld.length > 0;
  return filled([
    { rows: isKnown ? [verbRow(kit.m.words.know, { words: known, ...aside })] : [] },
    ...scopeGroups(scopes, kit, () => undefined),
    {
      rows: details.map((detail) => {
        const { verb, ...rest } = spellOut(detail, kit);
        return { word: verb, strong: true, ...rest };
      }),
    },
    { rows: stay ? [stayRow(kit)] : [] },
  ]);
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
  const groups = model.asksNothing ? [] : askedGroups(model, kit);
  const rows = groups.flatMap((group) => group.rows);
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
    groups,
    /** Said once, above everything that can be left out. */
    optional: rows.some(({ box, claims }) => box || claims?.some((claim) => claim.box))
      ? m.consent.optional
      : undefined,
    /** Nothing of it can be taken back: an allowed payment has been made. */
    passes: rows.length > 0 && rows.every(({ aside }) => aside === m.consent.eachTime),
    already: already ? allowedGroups(already, kit) : [],
  };
}

/** The rows of an app in the list of connected apps. */
export function connectedGroups(app: ConnectedApp, kit: Kit): Group[] {
  return allowedGroups(app, kit);
}
