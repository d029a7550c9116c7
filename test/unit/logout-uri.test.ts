import { describe, expect, test } from '@jest/globals';
import { checkLogout, withLogout } from '../../src/client/client-logout.ts';
import type { AppError } from '../../src/errors.ts';
import { OutboundAllow } from '../../src/outbound/outbound.ts';

const web = { grant_types: ['authorization_code', 'refresh_token'] };

function refusal(uri: string, allow = new OutboundAllow()): string | undefined {
  try {
    checkLogout(withLogout(web, { backchannelLogoutUri: uri }), allow);
    return undefined;
  } catch (error) {
    expect((error as AppError).code).toBe('invalid_client');
    return (error as AppError).message;
  }
}

describe('SECURITY 9: where a client may want to be told of sign-outs', () => {
  test.each([
    'https://app.example.com/backchannel-logout',
    'https://app.example.com',
    'https://app.example.com:8443/logout?tenant=1',
    'https://[2606:4700::1111]/logout',
    'https://8.8.8.8/logout',
  ])('%s is taken', (uri) => expect(refusal(uri)).toBeUndefined());

  test.each([
    ['http://app.example.com/logout', 'not an https URL'],
    ['http://localhost/logout', 'not an https URL'],
    ['javascript:alert(1)', 'not an https URL'],
    ['data:text/html,x', 'not an https URL'],
    ['file:///etc/passwd', 'not an https URL'],
    ['com.example.app:/logout', 'not an https URL'],
    ['/logout', 'not an absolute URI'],
    ['', 'not an absolute URI'],
    ['https://app.example.com/logout#x', 'fragment'],
    ['https://app.example.com/logout#', 'fragment'],
    ['https://user@app.example.com/logout', 'user information'],
    ['https://user:secret@app.example.com/logout', 'user information'],
    ['https://APP.example.com/logout', 'plain form'],
    ['https://app.example.com/a/../logout', 'plain form'],
    ['https://app.example.com\\logout', 'plain form'],
    ['https://app.example.com/log\tout', 'plain form'],
    ['https://app.example.com:443/logout', 'plain form'],
    ['https://127.0.0.1/logout', 'inside address'],
    ['https://2130706433/logout', 'plain form'],
    ['https://10.1.2.3/logout', 'inside address'],
    ['https://169.254.169.254/latest/meta-data', 'inside address'],
    ['https://[::1]/logout', 'inside address'],
    ['https://[::ffff:7f00:1]/logout', 'inside address'],
    ['https://[fd00::1]/logout', 'inside address'],
  ])('%j is refused: %s', (uri, reason) => expect(refusal(uri)).toContain(reason));

  test('inside hosts that the operator has listed are taken, over http too', () => {
    const allow = new OutboundAllow(['app.internal', '10.0.0.0/8']);
    for (const uri of [
      'http://app.internal/logout',
      'https://app.internal/logout',
      'http://10.1.2.3:8080/logout',
    ])
      expect(refusal(uri, allow)).toBeUndefined();
    expect(refusal('http://other.internal/logout', allow)).toContain('not an https URL');
    expect(refusal('https://192.168.0.1/logout', allow)).toContain('inside address');
  });
});

test('only who is signed in to has one', () => {
  const machine = { grant_types: ['client_credentials'] };
  const uri = { backchannelLogoutUri: 'https://app.example.com/logout' };
  expect(() => checkLogout(withLogout(machine, uri), new OutboundAllow())).toThrow('sign in to');
  expect(() => checkLogout(machine, new OutboundAllow())).not.toThrow();
});

test('a session is asked for unless told, and what is told stays; without a URI there is neither', () => {
  const uri = 'https://app.example.com/logout';
  const first = withLogout(web, { backchannelLogoutUri: uri });
  expect(first).toEqual({
    ...web,
    backchannel_logout_uri: uri,
    backchannel_logout_session_required: true,
  });
  const told = withLogout(first, { backchannelLogoutSessionRequired: false });
  const moved = withLogout(told, { backchannelLogoutUri: `${uri}2` });
  expect(moved).toEqual({
    ...web,
    backchannel_logout_uri: `${uri}2`,
    backchannel_logout_session_required: false,
  });
  expect(withLogout(moved, {})).toEqual(moved);
  expect(withLogout(moved, { backchannelLogoutUri: null })).toEqual(web);
  expect(() =>
    checkLogout(withLogout(web, { backchannelLogoutSessionRequired: true }), new OutboundAllow()),
  ).toThrow('needs a back-channel logout URI');
});
