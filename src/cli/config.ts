import { join } from 'node:path';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { variableHelp } from '../config-variables.ts';
import { type Command, defineCommand, table } from './command.ts';

export const configCommands: Command[] = [
  defineCommand({
    words: 'config check',
    summary: 'Says whether the configuration is right, and what follows from it; opens nothing',
    options: {},
    details: variables(),
    input: z.object({}),
    async run(_input, { config }) {
      return {
        json: { ok: true, issuer: config.issuer, warnings: config.warnings },
        text: [
          'The configuration is right.',
          ...config.warnings,
          '',
          ...table([
            ['issuer', config.issuer],
            [
              'listens on',
              `${config.hosts.join(' and ')}, port ${config.port}${config.tls === undefined ? '' : ', by TLS'}`,
            ],
            ['certificates', certificates(config.clientCertificates)],
            [
              'database',
              config.databaseUrl === undefined
                ? `embedded, in ${config.dataDir}`
                : 'the one DATABASE_URL names',
            ],
            [
              'master key',
              config.masterKeys === undefined
                ? join(config.dataDir, 'master.key')
                : 'the one MASTER_KEY gives',
            ],
            ['mails', mails(config)],
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

/** Where clients may show theirs. */
function certificates({ port, proxy }: Config['clientCertificates']): string {
  const places = [
    ...(port === undefined ? [] : [`on port ${port}`]),
    ...(proxy === undefined ? [] : [`told by ${proxy.peers.join(', ')}`]),
  ];
  return places.length === 0 ? 'of clients are not asked for' : `of clients: ${places.join(', ')}`;
}

function mails({
  smtpUrl,
  devMail,
  issuer,
}: {
  smtpUrl: string | undefined;
  devMail: boolean;
  issuer: string;
}): string {
  if (smtpUrl !== undefined) return 'by SMTP';
  return devMail ? `shown at ${issuer}/dev/mail` : 'not sent: set SMTP_URL';
}

/** Everything that can be set. */
function variables(): string {
  const rows = variableHelp.map(
    ({ name, expected, default: value }) =>
      [name, value === undefined ? expected : `${expected} (${value} unless set)`] as const,
  );
  const secret = variableHelp.filter((one) => one.secret).map(({ name }) => name);
  return [
    'Environment variables:',
    '',
    ...table(rows),
    '',
    `${secret.join(', ')} can come from files: ${secret[0]}_FILE names one.`,
  ].join('\n');
}
