import { z } from 'zod';
import { contrast, LEAST_CONTRAST, type Rgb, readColour, textColourOn } from './lib/colour.ts';

/** The name and the colours of the pages; src/config.ts reads these settings with the others. */

export const brandVariables = {
  BRAND_NAME: {
    form: z.string().min(1).max(60).default('Vouchsafe'),
    expected: 'the name that the pages show, up to 60 characters',
    example: 'Example ID',
  },
  BRAND_COLOR: {
    form: z
      .string()
      .regex(/^#[0-9a-f]{6}$/i)
      .optional(),
    expected: 'the colour of buttons and links, as #rrggbb',
    example: '#125b46',
  },
  BRAND_ON_COLOR: {
    form: z
      .string()
      .regex(/^#[0-9a-f]{6}$/i)
      .optional(),
    expected: 'the colour of text on BRAND_COLOR, as #rrggbb',
    example: '#ffffff',
  },
} as const;

type Parsed = {
  [K in keyof typeof brandVariables]: z.output<(typeof brandVariables)[K]['form']>;
};

export interface BrandConfig {
  readonly brand: {
    readonly name: string;
    /** The colour of buttons and links, and of the text on it; undefined for our own. */
    readonly colors: { readonly brand: string; readonly onBrand: string } | undefined;
  };
}

function brandColors({
  BRAND_COLOR: brand,
  BRAND_ON_COLOR: onBrand,
}: Parsed): BrandConfig['brand']['colors'] {
  if (brand === undefined) return undefined;
  return { brand, onBrand: onBrand ?? textColourOn(readColour(brand) as Rgb) };
}

/** What of these settings does not go together, a line for each. */
export function brandMistakes(values: Parsed): string[] {
  const colors = brandColors(values);
  if (colors === undefined)
    return values.BRAND_ON_COLOR === undefined
      ? []
      : ['BRAND_ON_COLOR: expected together with BRAND_COLOR. For example: #125b46'];
  const ratio = contrast(readColour(colors.brand) as Rgb, readColour(colors.onBrand) as Rgb);
  return ratio >= LEAST_CONTRAST
    ? []
    : [
        `BRAND_ON_COLOR: expected a colour that is readable on BRAND_COLOR (a contrast of ${LEAST_CONTRAST}:1; this one has ${ratio.toFixed(2)}:1), or no value, for white or black`,
      ];
}

export function assembleBrand(values: Parsed): BrandConfig {
  return { brand: { name: values.BRAND_NAME, colors: brandColors(values) } };
}
