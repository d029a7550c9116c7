import type { Clockwork } from '../outbox/outbox.ts';
import type { KeyService } from './keys.service.ts';

/**
 * The life of keys by the clock: what is missing is made, what has signed for too long gets a successor, what signs no
 * more loses its private part, and what verifies nothing any more goes.
 * @param days after which a key is followed by the next one; 0 for never.
 */
export function createKeyRotation(keys: KeyService, days: number): Clockwork {
  return {
    everySeconds: 300,
    async run() {
      await keys.ensure();
      if (days > 0) await keys.rotateDue(days);
      await keys.clean();
      return false;
    },
  };
}
