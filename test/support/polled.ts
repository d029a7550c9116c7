import { randomBytes } from 'node:crypto';
import { Browser, type Page } from './browser.ts';
import { type Credentials, post, type TokenAnswer } from './protocol.ts';
import { enterPassword } from './relying-party.ts';
import type { TestAccount, TestServer } from './server.ts';

/** Programs that poll for an answer which a person gives elsewhere, and that person. */

export const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code';
export const cibaGrant = 'urn:openid:params:grant-type:ciba';

export interface DeviceCodes {
  readonly device_code: string;
  readonly user_code: string;
  readonly verification_uri: string;
  readonly verification_uri_complete: string;
  readonly expires_in: number;
  readonly interval: number;
}

/** What a device is given; anything but a 200 is an error. */
export async function askForCodes(
  server: string,
  client: Credentials,
  form: Record<string, string> = { scope: 'openid' },
): Promise<DeviceCodes> {
  const { status, body } = await post(server, '/device_authorization', client, form);
  if (status !== 200) throw new Error(`device_authorization: ${status} ${JSON.stringify(body)}`);
  return body as unknown as DeviceCodes;
}

export const pollDevice = (
  server: string,
  client: Credentials,
  deviceCode: string,
  extra: Record<string, string> = {},
): Promise<TokenAnswer> =>
  post(server, '/token', client, { grant_type: deviceGrant, device_code: deviceCode, ...extra });

export const pollCiba = (
  server: string,
  client: Credentials,
  authReqId: string,
  extra: Record<string, string> = {},
): Promise<TokenAnswer> =>
  post(server, '/token', client, { grant_type: cibaGrant, auth_req_id: authReqId, ...extra });

/** A browser at an address of its own, which a server with TRUST_PROXY believes. */
export function browserFrom(address = `2001:db8:${randomBytes(2).toString('hex')}:1::1`): Browser {
  const browser = new Browser();
  browser.headers = { 'x-forwarded-for': address };
  return browser;
}

/** Enters the code, signs in where that is asked, and stands on the page that asks for the answer. */
export async function enterCode(
  browser: Browser,
  { issuer }: TestServer,
  code: string,
  account: TestAccount,
): Promise<Page> {
  const page = await browser.submit(await browser.get(`${issuer}/device`), { code });
  return page.title.includes('Sign in') || page.title.includes('Confirm it')
    ? enterPassword(browser, page, account)
    : page;
}
