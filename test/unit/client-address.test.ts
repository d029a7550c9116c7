import { describe, expect, test } from '@jest/globals';
import { addressKey, canonicalAddress, networkKeys } from '../../src/lib/client-address.ts';
import { NetworkCounts } from '../../src/lib/network-counts.ts';

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['::FFFF:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::1', '2001:db8:1:2::/64'],
  ['2001:0db8:0001:0002:ffff:ffff:ffff:ffff', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:DB8:0:0:1::', '2001:db8:0:0::/64'],
  ['2001:db8:1:3::1', '2001:db8:1:3::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
  ['1::', '1:0:0:0::/64'],
  ['', 'unknown'],
  ['not an address', 'unknown'],
  ['192.0.2.7, 198.51.100.1', 'unknown'],
])('%j counts as %j', (address, key) => {
  expect(addressKey(address)).toBe(key);
});

describe('24: every spelling of an address gives one key', () => {
  test.each<[canonical: string, ...spellings: string[]]>([
    [
      '192.0.2.7',
      '192.0.2.7:443',
      '192.000.002.007',
      ' 192.0.2.7 ',
      '::ffff:192.0.2.7',
      '::FFFF:192.0.2.7',
      '::ffff:c000:207',
      '::ffff:C000:0207',
      '0:0:0:0:0:ffff:192.0.2.7',
      '0000:0000:0000:0000:0000:ffff:192.0.2.007',
      '[::ffff:192.0.2.7]:443',
      '::ffff:192.0.2.7%eth0',
    ],
    [
      '2001:db8::a:1',
      '2001:DB8::A:1',
      '2001:0db8:0000:0000:0000:0000:000a:0001',
      '2001:db8:0:0::a:1',
      '[2001:db8::a:1]',
      '[2001:DB8::a:1]:8443',
      '2001:db8::a:1%eth0',
      '2001:db8::0.10.0.1',
    ],
    ['::1', '0:0:0:0:0:0:0:1', '[::1]:3000', '::0001'],
    [
      'unknown',
      '',
      '_hidden',
      '1.2.3',
      '1.2.3.256',
      '1.2.3.4.5',
      '2001:db8::g',
      ':::',
      '[]:1',
      '%',
      '1:2:3:4:5:6:7:8:9',
    ],
  ])('%s', (canonical, ...spellings) => {
    for (const spelling of [canonical, ...spellings])
      expect([spelling, canonicalAddress(spelling), networkKeys(spelling)]).toEqual([
        spelling,
        canonical,
        networkKeys(canonical),
      ]);
  });

  test('networks: /64, /56 and /48 of IPv6, and /24 of IPv4', () => {
    expect(networkKeys('2001:db8:1:23ff:1::')).toEqual([
      '2001:db8:1:23ff::/64',
      '2001:db8:1:2300::/56',
      '2001:db8:1::/48',
    ]);
    expect(networkKeys('192.0.2.7')).toEqual(['192.0.2.7', '192.0.2.0/24']);
    expect(networkKeys('nowhere')).toEqual(['unknown']);
  });
});

describe('23, 24: what networks may do is counted in memory', () => {
  const figures = { points: 100, seconds: 3_600 };
  const letThrough = (counts: NetworkCounts, times: number, address: (index: number) => string) =>
    Array.from({ length: times }, (_, index) => counts.take(address(index))).filter(
      (wait) => wait === undefined,
    ).length;

  test('sixteen times as much from one /48, however many of its networks ask', () => {
    const counts = new NetworkCounts(figures);
    const ofSite = (index: number) => `2001:db8:1:${index.toString(16)}::1`;
    expect(letThrough(counts, 52_000, ofSite)).toBe(1_600);
    expect(counts.take('2001:db8:1:ffff::2')).toBeGreaterThan(0);
    expect(counts.take('2001:db8:2::1')).toBeUndefined();
  });

  test('four times as much from one /56, while the others of its /48 ask', () => {
    const counts = new NetworkCounts(figures);
    const ofSubnet = (index: number) =>
      `2001:db8:1:aa${((index % 256) | 256).toString(16).slice(1)}::1`;
    expect(letThrough(counts, 1_000, ofSubnet)).toBe(400);
    letThrough(counts, 26_000, (index) => `2001:db8:1:${index.toString(16)}::1`);
    expect(letThrough(counts, 1_000, ofSubnet)).toBe(0);
  });

  test('as much as the figure from one address, sixteen times as much from one /24, and what is given back again', () => {
    const counts = new NetworkCounts(figures);
    expect(letThrough(counts, 200, () => '192.0.2.1')).toBe(100);
    expect(letThrough(counts, 1_500, (index) => `192.0.2.${2 + (index % 250)}`)).toBe(1_500);
    counts.giveBack('192.0.2.200');
    expect(letThrough(counts, 2, () => '192.0.2.200')).toBe(1);
    expect(letThrough(counts, 200, () => '198.51.100.1')).toBe(100);
  });
});
