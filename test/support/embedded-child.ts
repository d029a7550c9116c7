/** A process that opens the embedded database, says what it got, and stays until it is told to close or its parent ends. */
import type { EmbeddedDatabase, openEmbedded as Open } from '../../src/db/embedded.ts';

export interface ChildTask {
  /** The module that has `openEmbedded`: this project's, or a copy that another user can reach. */
  readonly module: string;
  readonly dataDir: string;
  readonly settings: Record<string, string>;
  /** The user to become before the module is loaded. */
  readonly uid: number | undefined;
}

export type ChildMessage =
  | {
      readonly event: 'open';
      readonly connection: EmbeddedDatabase['connection'];
      readonly owner: EmbeddedDatabase['owner'];
      readonly notices: readonly string[];
    }
  | { readonly event: 'failed'; readonly code: string; readonly message: string }
  | { readonly event: 'closed' };

function say(message: ChildMessage): void {
  process.send?.(message);
}

const { module, dataDir, settings, uid } = JSON.parse(process.argv[2] ?? '') as ChildTask;
if (uid !== undefined) {
  process.setgroups?.([]);
  process.setgid?.(uid);
  process.setuid?.(uid);
}
const { openEmbedded } = (await import(module)) as { openEmbedded: typeof Open };
try {
  const opened = await openEmbedded(dataDir, { settings });
  say({
    event: 'open',
    connection: opened.connection,
    owner: opened.owner,
    notices: opened.notices,
  });
  process.once('message', () => {
    void opened.close().then(() => {
      say({ event: 'closed' });
      process.disconnect();
    });
  });
  process.once('disconnect', () => void opened.close());
} catch (error) {
  const { code, message } = error as { code: string; message: string };
  say({ event: 'failed', code, message });
  process.disconnect();
}
