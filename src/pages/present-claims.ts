import { Html, html, type Words } from './html.ts';
import type { ConsentClaim } from './page-parts.ts';
import type { Kit } from './present-forms.ts';

/** What an app would know about the user, in words: one claim, and several in a sentence. */

export type ClaimName = Pick<ConsentClaim, 'name' | 'label' | 'asUsername'>;

/** Without a value on the page: the words name them well enough. */
const namedOnly = new Set(['sub', 'updated_at']);

export function claimLabel({ name, label, asUsername }: ClaimName, { m }: Kit): Words {
  if (asUsername) return m.consent.emailAndUsername;
  return label ?? (Object.hasOwn(m.claims, name) ? m.claims[name] : undefined) ?? name;
}

/** "your name Imani Okoro": the claim with the exact value that the app would get. */
export function claimWithValue(claim: ConsentClaim, kit: Kit): Html {
  const label = claimLabel(claim, kit);
  const { value, name } = claim;
  if (namedOnly.has(name)) return html`${label}`;
  if (typeof value === 'boolean') {
    const { m } = kit;
    if (name === 'email_verified')
      return html`${value ? m.consent.emailConfirmed : m.consent.emailNotConfirmed}`;
    return html`${label} <b>${value ? m.yes : m.no}</b>`;
  }
  if (value === undefined) return html`${label} <span class="soft">(${kit.m.notSet})</span>`;
  const shown = name === 'locale' ? languageName(value, kit) : value;
  return html`${label} <b><bdi>${shown}</bdi></b>`;
}

/** The claims in one sentence, each in an element of its own: "your name Imani Okoro and your language English". */
export function claimsSentence(claims: readonly ConsentClaim[], kit: Kit): Html {
  return listOf(
    claims.map((claim) => html`<span>${claimWithValue(claim, kit)}</span>`),
    kit.locale,
  );
}

/** "German" for "de"; the tag itself where there is no name for it. */
function languageName(tag: string, { locale }: Kit): string {
  try {
    return new Intl.DisplayNames(locale, { type: 'language' }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}

/** "a, b and c", with markup in its parts. */
function listOf(parts: readonly Html[], locale: string): Html {
  const places = parts.map((_, place) => String(place));
  return new Intl.ListFormat(locale)
    .formatToParts(places)
    .reduce<Html>(
      (before, { type, value }) =>
        html`${before}${type === 'element' ? (parts[Number(value)] as Html) : value}`,
      new Html(''),
    );
}
