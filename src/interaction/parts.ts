import type { AccountService } from '../account/account.service.ts';
import type { Limits } from '../account/limits.service.ts';
import type { RegistrationService } from '../account/registration.service.ts';
import type { AuthenticatorService } from '../authenticator/authenticator.service.ts';
import type { ClientService } from '../client/client.service.ts';
import type { Config } from '../config.ts';
import type { ConsentService } from '../consent/consent.service.ts';
import type { Renderer } from '../pages/render.ts';
import { issuerPath } from '../http/request.ts';
import type { Sealer } from '../lib/seal.ts';
import type { Engine } from '../oidc/engine.ts';
import type { Subjects } from '../unit-of-work/subjects.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import type { KnownDevices } from './known-device.ts';

/** What the steps of an interaction work with. */
export interface InteractionParts {
  readonly config: Config;
  readonly engine: Engine;
  readonly renderer: Renderer;
  readonly sealer: Sealer;
  readonly accounts: AccountService;
  readonly authenticators: AuthenticatorService;
  readonly registration: RegistrationService;
  readonly limits: Limits;
  readonly clients: ClientService;
  readonly consents: ConsentService;
  readonly resourceServers: ResourceServerService;
  readonly devices: KnownDevices;
  readonly subjects: Subjects;
}

/** The path above every interaction, with the issuer's own path before it. */
export function pathOfAll({ issuer }: Pick<Config, 'issuer'>): string {
  return `${issuerPath(issuer)}/interaction`;
}

/** The path of an interaction's first page. */
export function pathOf(config: Pick<Config, 'issuer'>, uid: string): string {
  return `${pathOfAll(config)}/${uid}`;
}
