import { AsyncResource } from 'node:async_hooks';
import { EventEmitter } from 'node:events';

/** Rung when rows of the outbox were committed on this process, so that they need not wait to be found. */
const bell = new EventEmitter().setMaxListeners(0);

export function ring(): void {
  bell.emit('ring');
}

/** The listener hears it in its own context, and not in that of the request that rang. Gives what ends it. */
export function onRing(listener: () => void): () => void {
  const bound = AsyncResource.bind(listener);
  bell.on('ring', bound);
  return () => void bell.off('ring', bound);
}
