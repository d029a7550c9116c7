import { contrast, LEAST_CONTRAST, readColour, type Rgb } from '../lib/colour.ts';

/** What an operator may set; the same names as the custom properties in `vouchsafe.css`. Colours are #rgb or #rrggbb. */
export interface Brand {
  brand: string;
  onBrand: string;
  /** The pair for dark screens; without it, one is derived from `brand`. */
  dark?: { brand: string; onBrand: string } | undefined;
  radius?: string | undefined;
  sans?: string | undefined;
  serif?: string | undefined;
  mono?: string | undefined;
}

/** The darkest sheet of the stylesheet, on which a derived accent must stand out. */
const DARK_SHEET: Rgb = [0x0f, 0x10, 0x10];
const BLACKISH = '#0b0f0d';

function parseColour(value: string, name: string): Rgb {
  const colour = readColour(value);
  if (!colour) throw new Error(`The brand's ${name} must be a colour like #125b46, not "${value}"`);
  return colour;
}

function checkPair(brand: string, onBrand: string, where: string): Rgb {
  const colour = parseColour(brand, `brand${where}`);
  const ratio = contrast(colour, parseColour(onBrand, `onBrand${where}`));
  if (ratio < LEAST_CONTRAST) {
    throw new Error(
      `The brand's colours${where} can't be told apart: ${onBrand} on ${brand} has a contrast of ` +
        `${ratio.toFixed(2)}:1, and text needs ${LEAST_CONTRAST}:1. Choose a darker or a lighter one.`,
    );
  }
  return colour;
}

/** The same hue, lightened until it stands out on a dark sheet. */
function forDark(colour: Rgb): { brand: string; onBrand: string } {
  let mixed = colour;
  for (let white = 0; white <= 1 && contrast(mixed, DARK_SHEET) < 8; white += 0.05) {
    const [r, g, b] = colour.map((c) => Math.round(c + (255 - c) * white));
    mixed = [r ?? 255, g ?? 255, b ?? 255];
  }
  const hex = mixed.map((c) => c.toString(16).padStart(2, '0')).join('');
  return { brand: `#${hex}`, onBrand: BLACKISH };
}

/** A value that goes into the stylesheet as it is must not be able to end its declaration. */
function plain(value: string, name: string, pattern: RegExp): string {
  if (!pattern.test(value)) throw new Error(`The brand's ${name} can't be "${value}"`);
  return value;
}

/**
 * The stylesheet of an operator's brand.
 * @throws if a value is malformed, or text in `onBrand` on `brand` would have less contrast than 4.5:1.
 */
export function brandStylesheet(brand: Brand): string {
  const light = checkPair(brand.brand, brand.onBrand, '');
  const dark = brand.dark ?? forDark(light);
  checkPair(dark.brand, dark.onBrand, ' for dark screens');
  const fonts = (['sans', 'serif', 'mono'] as const).flatMap((name) => {
    const value = brand[name];
    return value ? [`--${name}:${plain(value, name, /^[\w\s,"'-]+$/)}`] : [];
  });
  const radius = brand.radius
    ? [`--radius:${plain(brand.radius, 'radius', /^(0|\d*\.?\d+(px|rem|em))$/)}`]
    : [];
  const root = [`--brand:${brand.brand}`, `--on-brand:${brand.onBrand}`, ...radius, ...fonts];
  return (
    `:root{${root.join(';')}}\n` +
    `@media (prefers-color-scheme:dark){:root{--brand:${dark.brand};--on-brand:${dark.onBrand}}}\n`
  );
}
