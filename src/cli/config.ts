import { join } from 'node:path';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { variableHelp } from '../config-variables.ts';
import { type Command, defineCommand, table } from './command.ts';

export const configCommands: Command[] = [
  defineCommand({
    words: 'config check',
    summary: 'Checks the configuration and shows its effect; opens nothing',
    options: {},
    details: variables(),
    input: z.object({}),
    async run(_input, { config }) {
      return {
        json: { ok: true, issuer: config.issuer, warnings: config.warnings },
        text: [
          'The configuration is valid.',
          ...config.warnings,
          '',
          ...table([
            ['issuer', config.issuer],
            [
              'listens on',
              `${config.hosts.join(' and ')}, port ${config.port}${config.tls === undefined ? '' : ', with TLS'}`,
            ],
            ['client certificates', certificates(config.clientCertificates)],
            [
              'database',
              config.databaseUrl === undefined
                ? `embedded, in ${config.dataDir}`
                : 'from DATABASE_URL',
            ],
            [
              'master key',
              config.masterKeys === undefined
                ? join(config.dataDir, 'master.key')
                : 'from MASTER_KEY',
            ],
            ['email', email(config)],
            [
              'metrics',
              config.metricsPort === undefined
                ? 'off'
                : `${config.metricsHost}, port ${config.metricsPort}`,
            ],
          ]),
        ].join('\n'),
      };
    },
  }),
];

/** Where clients can present certificates. */
function certificates({ port, proxy }: Config['clientCertificates']): string {
  const places = [
    ...(port === undefined ? [] : [`on port ${port}`]),
    ...(proxy === undefined ? [] : [`from the proxies ${proxy.peers.join(', ')}`]),
  ];
  return places.length === 0 ? 'not accepted' : places.join(', ');
}

function email({
  smtpUrl,
  devMail,
  issuer,
}: {
  smtpUrl: string | undefined;
  devMail: boolean;
  issuer: string;
}): string {
  if (smtpUrl !== undefined) return 'sent by SMTP';
  return devMail ? `shown at ${issuer}/dev/mail` : 'queued, not sent: set SMTP_URL';
}

/** Every variable. */
function variables(): string {
  const rows = variableHelp.map(
    ({ name, expected, default: value }) =>
      [name, value === undefined ? expected : `${expected} (default: ${value})`] as const,
  );
  const secret = variableHelp.filter((one) => one.secret).map(({ name }) => name);
  return [
    'Environment variables:',
    '',
    ...table(rows),
    '',
    `${secret.join(', ')} can be read from files: set ${secret[0]}_FILE to the path, and so on.`,
  ].join('\n');
}
