import { z } from 'zod';
import { type Lifetimes, lifetimeBounds } from './lifetimes.ts';

/** How long sessions, codes and tokens live; src/config.ts reads these settings with the others. */

function variable(name: keyof Lifetimes, what: string) {
  const { min, max, usual } = lifetimeBounds[name];
  return {
    form: z.coerce.number().int().min(min).max(max).default(usual),
    expected: `seconds, ${min} to ${max}: how long ${what}`,
    example: String(usual),
  };
}

export const lifetimeVariables = {
  SESSION_IDLE_TTL: variable('sessionIdle', 'a session lives after the last visit'),
  SESSION_ABSOLUTE_TTL: variable(
    'sessionAbsolute',
    'a session lives after the sign-in, however often it is used',
  ),
  CODE_TTL: variable('code', 'an authorization code lives (60 at most for FAPI clients)'),
  ACCESS_TOKEN_TTL: variable(
    'accessToken',
    'an access token for no API lives; also the default for new APIs',
  ),
  ID_TOKEN_TTL: variable('idToken', 'an ID token is valid'),
  REFRESH_TOKEN_TTL: variable(
    'refreshToken',
    'an app can refresh its tokens after the sign-in; a client can have its own value',
  ),
} as const;

type Parsed = {
  [K in keyof typeof lifetimeVariables]: z.output<(typeof lifetimeVariables)[K]['form']>;
};

/** What of these settings does not go together, a line for each. */
export function lifetimeMistakes(values: Parsed): string[] {
  return values.SESSION_IDLE_TTL > values.SESSION_ABSOLUTE_TTL
    ? [
        `SESSION_IDLE_TTL: expected no more than SESSION_ABSOLUTE_TTL, which is ${values.SESSION_ABSOLUTE_TTL}`,
      ]
    : [];
}

export function assembleLifetimes(values: Parsed): { readonly lifetimes: Lifetimes } {
  return {
    lifetimes: {
      sessionIdle: values.SESSION_IDLE_TTL,
      sessionAbsolute: values.SESSION_ABSOLUTE_TTL,
      code: values.CODE_TTL,
      accessToken: values.ACCESS_TOKEN_TTL,
      idToken: values.ID_TOKEN_TTL,
      refreshToken: values.REFRESH_TOKEN_TTL,
    },
  };
}
