import { resolve } from 'node:path';

/** Where everything of the conformance profile is; all of it may be said by the environment. */
export interface Settings {
  /** Where the suite reaches the server. */
  readonly issuer: string;
  /** Where the server and its browser reach the suite, with a slash at the end. */
  readonly suite: string;
  /** The name of the test plans at the suite: it is a part of their redirect URIs. */
  readonly alias: string;
  /** Everything that is written: the server's data, its certificate, the plans' configurations. */
  readonly folder: string;
  /** How clients are asked for their certificate. */
  readonly mtlsPort: number;
  /** Where the suite asks for a backchannel request to be allowed or denied. */
  readonly approvalPort: number;
}

const wholeUrl = (name: string, value: string): URL => {
  if (!URL.canParse(value) || !value.startsWith('https://'))
    throw new Error(`${name}: expected an https URL. For example: https://localhost:9443`);
  return new URL(value);
};

export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const issuer = wholeUrl('ISSUER', env.ISSUER ?? 'https://localhost:9443');
  const suite = wholeUrl(
    'CONFORMANCE_SUITE',
    env.CONFORMANCE_SUITE ?? 'https://localhost.emobix.co.uk:8443/',
  );
  const port = Number(issuer.port || 443);
  return {
    issuer: issuer.href.replace(/\/$/, ''),
    suite: suite.href,
    alias: env.CONFORMANCE_ALIAS ?? 'vouchsafe',
    folder: resolve(env.CONFORMANCE_FOLDER ?? 'data/conformance'),
    mtlsPort: Number(env.MTLS_PORT ?? port + 1),
    approvalPort: Number(env.CONFORMANCE_APPROVAL_PORT ?? port + 2),
  };
}

/** What the suite calls its side of a test plan. */
export const atSuite = ({ suite, alias }: Settings, path: string): string =>
  `${suite}test/a/${alias}/${path}`;
