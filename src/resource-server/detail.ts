/** A type of authorization details (RFC 9396, section 2): what an API's clients may ask for beyond scopes. */
export interface DetailType {
  readonly type: string;
  /** The identifier of the API that it belongs to. */
  readonly api: string;
  readonly schema: Readonly<Record<string, unknown>>;
  readonly words: DetailWords;
  /** What a person has allowed is not asked again for exactly the same; a payment must not be such. */
  readonly remember: boolean;
  /** Machines may ask for it on their own behalf, without a person. */
  readonly machines: boolean;
  /** Raised with each change. */
  readonly version: number;
}

/** A detail as it was asked for: checked against its type. */
export interface AuthorizationDetail {
  readonly type: string;
  readonly [member: string]: unknown;
}

/** What people read of a detail, by language; `{a.b}` stands for a value of the detail's own. */
export type DetailWords = Readonly<
  Record<
    string,
    {
      /** What the app will be able to do, in the margin: "pay". */
      readonly verb: string;
      /** What follows it: "{amount.value} {amount.currency} to {creditor}". */
      readonly text: string;
      readonly facts: readonly { readonly label: string; readonly value: string }[];
    }
  >
>;
