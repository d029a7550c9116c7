import { Passwords } from '../../src/account/passwords.service.ts';

/** Verifies passwords on all threads, and prints by how many MiB its resident memory has grown. */

const passwords = new Passwords({ threadPoolSize: Number(process.env.UV_THREADPOOL_SIZE) });
const hash = await passwords.hash('nine quiet herons over the quay');
const before = process.memoryUsage.rss();
await Promise.all(
  Array.from({ length: 40 }, () => passwords.verify(hash, 'nine quiet herons over the quay')),
);
process.stdout.write(String(Math.round((process.memoryUsage.rss() - before) / 2 ** 20)));
