/** What an operator gives one client in a table of its own. */
const givenByOperator = ['client_scopes', 'exchange_rules', 'trusted_subjects'];

/**
 * Whether an operator has decided anything about the client, in SQL: has looked into who is behind it, demands something of it,
 * or has given it a policy or access of its own. Its row stays, used or not. Without it, the same document would come back as
 * a client of which nothing is demanded.
 * @param client the alias of the table `clients`
 */
export const isDecided = (client: string): string =>
  `(${[
    `${client}.verified`,
    `${client}.developer is not null`,
    `${client}.demanded <> '{}'`,
    // Its sector follows from what it registers.
    `${client}.settings - 'sector' <> '{}'`,
    ...givenByOperator.map(
      (table) =>
        `(select o.client_id from ${table} o where o.client_id = ${client}.id limit 1) is not null`,
    ),
  ].join(' or ')})`;
