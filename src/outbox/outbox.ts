/** A row of the outbox: something that leaves later, written in the commit that causes it. */
export interface OutboxWrite {
  readonly id: string;
  readonly kind: string;
  /** Sealed for `outbox:<id>`, since payloads hold live links. */
  readonly payloadSealed: Buffer | undefined;
  readonly dueAt: Date;
}
