/** An enrolled factor. */
export interface Authenticator {
  readonly id: string;
  readonly kind: 'totp';
  /** What the person calls the device. */
  readonly label: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | undefined;
}

/** A new seed, as an app takes it in: typed in Base32, or from a QR code of the URI. */
export interface TotpSecret {
  readonly secret: string;
  readonly uri: string;
}

/** A seed of which the person has shown a code: only such a one is enrolled. */
export interface ConfirmedTotp {
  readonly secret: string;
  /** The time step of the code that was shown: it is used up by the enrolment. */
  readonly step: number;
}
