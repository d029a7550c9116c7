import { z } from 'zod';

/** The settings of how many requests are taken, and of the end of a process; src/config.ts reads them with the others. */

/** Requests in a minute. */
interface EndpointLimit {
  /** From one address (a /64 of IPv6): of those that prove nothing. */
  readonly address: number;
  /** Of one client that has authenticated. */
  readonly client: number;
}

/**
 * What one process takes in a minute: generous, for an office or a cluster behind one address, and for a client with many
 * machines. A second process takes as much again.
 */
export const requestLimits = {
  token: { address: 6_000, client: 600_000 },
  introspect: { address: 6_000, client: 1_200_000 },
  revoke: { address: 6_000, client: 60_000 },
  par: { address: 6_000, client: 60_000 },
  authorize: { address: 6_000, client: 0 },
  register: { address: 6_000, client: 0 },
  revocations: { address: 12_000, client: 0 },
  device: { address: 6_000, client: 0 },
  device_authorization: { address: 6_000, client: 6_000 },
} as const satisfies Record<string, EndpointLimit>;

export type LimitedEndpoint = keyof typeof requestLimits;
export type RequestLimitFigures = Readonly<Record<LimitedEndpoint, EndpointLimit>>;

const names = Object.keys(requestLimits) as LimitedEndpoint[];
const entry = new RegExp(
  `^(?<name>${names.join('|')})=(?<address>\\d{1,9})(?:/(?<client>\\d{1,9}))?$`,
);

/** `token=6000/600000,register=60`: what is not named keeps its figures. */
const limits = z.string().transform((value, context): RequestLimitFigures => {
  const figures: Record<LimitedEndpoint, { address: number; client: number }> = {
    ...requestLimits,
  };
  if (value === 'off') {
    for (const name of names) figures[name] = { address: 0, client: 0 };
    return figures;
  }
  for (const part of value.split(',')) {
    const groups = entry.exec(part.trim())?.groups;
    if (groups === undefined) {
      context.addIssue({ code: 'custom', message: 'not limits' });
      return z.NEVER;
    }
    const name = groups.name as LimitedEndpoint;
    const { client } = figures[name];
    figures[name] = {
      address: Number(groups.address),
      client: groups.client === undefined ? client : Number(groups.client),
    };
  }
  return figures;
});

export const trafficVariables = {
  REQUEST_LIMITS: {
    form: limits.optional(),
    expected:
      'limits per minute and process, as endpoint=address/client, separated by commas: for requests without valid credentials from one address, and for one authenticated client; 0 for no limit, off for no limits at all',
    example: 'token=12000/600000,register=60',
  },
  MAX_REQUESTS: {
    form: z.coerce.number().int().min(10).max(1_000_000).default(2_000),
    expected:
      'how many requests this process handles at the same time; it refuses further ones immediately',
    example: '2000',
  },
  SHUTDOWN_DELAY: {
    form: z.coerce.number().int().min(0).max(300).optional(),
    expected:
      'for how many seconds after SIGTERM readiness fails while requests are still accepted, so that load balancers notice',
    example: '10',
  },
} as const;

export interface TrafficConfig {
  readonly requestLimits: RequestLimitFigures;
  readonly maxRequests: number;
  /** Seconds. */
  readonly shutdownDelay: number;
}

/** Longer than a load balancer that looks every two seconds takes to see two failures. */
const USUAL_DELAY = 5;

export function assembleTraffic(
  values: { [K in keyof typeof trafficVariables]: z.output<(typeof trafficVariables)[K]['form']> },
  loopback: boolean,
): TrafficConfig {
  return {
    requestLimits: values.REQUEST_LIMITS ?? requestLimits,
    maxRequests: values.MAX_REQUESTS,
    shutdownDelay: values.SHUTDOWN_DELAY ?? (loopback ? 0 : USUAL_DELAY),
  };
}
