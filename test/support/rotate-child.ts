import { Database } from '../../src/db/database.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { KeyService } from '../../src/keys/keys.service.ts';
import { testMasterKey } from './server-process.ts';

/** Rotates a signing key and the cookie key, and ends itself without a word when the answer to its `KILL_AT`-th statement is there. */

let answered = 0;
const db = new Database({
  connection: JSON.parse(process.env.VOUCHSAFE_TEST_CONNECTION as string) as {
    host: string;
    port: number;
    user: string;
    database: string;
  },
  poolSize: 1,
  observer: () => () => {
    if (++answered === Number(process.env.KILL_AT)) process.kill(process.pid, 'SIGKILL');
  },
});
await new KeyService(db, new Sealer([testMasterKey])).rotate('test', ['ES256', 'cookie']);
await db.close();
