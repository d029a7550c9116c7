import type { Database } from '../../src/db/database.ts';
import { DetailTypes } from '../../src/resource-server/detail-types.service.ts';
import { newDetailTypeSchema } from '../../src/resource-server/resource-server.ts';

/** A payment: asked each time. */
export const payment = {
  type: 'payment_initiation',
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['type', 'instructedAmount', 'creditorName'],
    properties: {
      type: { type: 'string' },
      locations: { type: 'array', items: { type: 'string' } },
      actions: { type: 'array', items: { enum: ['initiate', 'status', 'cancel'] } },
      instructedAmount: {
        type: 'object',
        additionalProperties: false,
        required: ['amount', 'currency'],
        properties: {
          amount: { type: 'string', pattern: '^[0-9]{1,12}(\\.[0-9]{2})?$' },
          currency: { enum: ['EUR', 'GBP'] },
        },
      },
      creditorName: { type: 'string', maxLength: 300 },
      creditorAccount: {
        type: 'object',
        additionalProperties: false,
        properties: { iban: { type: 'string' } },
      },
      remittanceInformation: { type: 'string' },
    },
  },
  words: {
    en: {
      verb: 'pay',
      text: '{instructedAmount.amount} {instructedAmount.currency} to {creditorName}',
      facts: [
        { label: 'Account', value: '{creditorAccount.iban}' },
        { label: 'Reference', value: '{remittanceInformation}' },
      ],
    },
  },
};

/** Standing access: asked once for exactly the same. */
export const statements = {
  type: 'account_information',
  remember: true,
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['type', 'account'],
    properties: {
      type: { type: 'string' },
      actions: { type: 'array', items: { type: 'string' } },
      account: { type: 'string' },
      always: { type: 'boolean' },
    },
  },
  words: { en: { verb: 'read', text: 'what goes in and out of {account}' } },
};

/** Another API's, which machines may ask for by themselves. */
export const files = {
  type: 'file_access',
  machines: true,
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['type', 'path'],
    properties: {
      type: { type: 'string' },
      path: { type: 'string', pattern: '^(/[a-z]+)+$' },
      actions: { type: 'array', items: { type: 'string' } },
    },
  },
  words: { en: { verb: 'open', text: '{path}' } },
};

/** Registers a type as an API's team does. */
export function addDetailType(db: Database, api: string, type: object): Promise<void> {
  return new DetailTypes(db).add(api, newDetailTypeSchema.parse(type), 'test');
}
