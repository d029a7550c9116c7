import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import pg from 'pg';
import { api, listen, type Material, POOL, POPULATION, serve, type Task } from './protocol.ts';

/**
 * The limits: `node:http`, the body of a form, and at most one statement in PostgreSQL. Whatever else a server does for a
 * request, it does in addition.
 */

type Answer = (form: URLSearchParams) => string | Promise<string>;

const population = Array.from({ length: POPULATION }, (_, index) => ({
  clientId: `client-${index}`,
  clientSecret: randomBytes(24).toString('base64url'),
  token: randomBytes(32).toString('base64url'),
}));

const material: Material = {
  clients: population,
  introspector: { clientId: 'api', clientSecret: randomBytes(24).toString('base64url') },
  tokens: population,
};

const described = (clientId: string) =>
  JSON.stringify({
    active: true,
    client_id: clientId,
    exp: 2_000_000_000,
    iat: 1_000_000_000,
    iss: 'http://localhost',
    aud: api,
    scope: 'read',
    token_type: 'Bearer',
  });

async function answerFor({ variant, connection }: Task): Promise<Answer> {
  switch (variant) {
    case 'constant': {
      const answers = new Map(
        population.map(({ token, clientId }) => [token, described(clientId)]),
      );
      return (form) => answers.get(form.get('token') ?? '') ?? '{"active":false}';
    }
    case 'lookup-pool': {
      await seed(connection);
      const pool = new pg.Pool({ ...connection, max: POOL });
      return (form) => lookUp(pool, form);
    }
    case 'lookup-pipeline': {
      await seed(connection);
      const client = new pg.Client({ ...connection, pipeline: true });
      await client.connect();
      return (form) => lookUp(client, form);
    }
    case 'insert': {
      const pool = new pg.Pool({ ...connection, max: POOL });
      return () => insert(pool);
    }
    default:
      throw new TypeError(`there is no ${variant}`);
  }
}

async function seed(connection: Task['connection']): Promise<void> {
  const client = new pg.Client(connection);
  await client.connect();
  await client.query('insert into lookups select * from unnest($1::text[], $2::text[])', [
    population.map(({ token }) => token),
    population.map(({ clientId }) => described(clientId)),
  ]);
  await client.query('vacuum analyze lookups');
  await client.end();
}

const findText = 'select answer from lookups where id = $1';
const insertText = 'insert into inserts (id, payload, expires_at) values ($1, $2, $3)';

async function lookUp(db: pg.Pool | pg.Client, form: URLSearchParams): Promise<string> {
  const { rows } = await db.query<{ answer: string }>({
    name: 'find',
    text: findText,
    values: [form.get('token')],
  });
  return rows[0]?.answer ?? '{"active":false}';
}

async function insert(db: pg.Pool): Promise<string> {
  const token = randomBytes(32).toString('base64url');
  const payload = JSON.stringify({ kind: 'ClientCredentials', aud: api, scope: 'read' });
  const expires = new Date(Date.now() + 3_600_000);
  await db.query({ name: 'insert', text: insertText, values: [token, payload, expires] });
  return `{"access_token":"${token}","expires_in":3600,"token_type":"Bearer","scope":"read"}`;
}

function readForm(request: IncomingMessage, then: (form: URLSearchParams) => void): void {
  let body = '';
  request.setEncoding('latin1');
  request.on('data', (chunk: string) => (body += chunk));
  request.on('end', () => then(new URLSearchParams(body)));
}

serve(async (task: Task) => {
  const answer = await answerFor(task);
  const server = createServer((request, response) => {
    const send = (status: number, text: string) =>
      response
        .writeHead(status, {
          'Content-Type': 'application/json',
          'Content-Length': Buffer.byteLength(text),
        })
        .end(text);
    readForm(request, (form) => {
      const given = answer(form);
      if (typeof given === 'string') send(200, given);
      else
        given.then(
          (text) => send(200, text),
          (error: unknown) => send(500, String(error)),
        );
    });
  });
  return { port: await listen(server), material };
});
