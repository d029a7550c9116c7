import type { App, World } from './world.ts';

export interface Recipe {
  readonly name: string;
  /** What has to be installed already; the recipe installs the rest. */
  readonly needs: readonly string[];
  /** Runs it and gives the versions of what ran; throws where the page is wrong. */
  run(world: World): Promise<{ versions: string; result: string }>;
}

function check(isTrue: boolean, what: string): void {
  if (!isTrue) throw new Error(`not so: ${what}`);
}

async function using<T>(app: App, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } finally {
    await app.stop();
  }
}

const signedIn = 'signed in';

const authJs: Recipe = {
  name: 'Auth.js',
  needs: ['npm'],
  async run(world) {
    const at = 'auth-js';
    await world.write(at, ['auth-js-app.mjs']);
    await world.run(at, 'npm init -y && npm install @auth/express express');
    const [client] = await world.register('auth-js-register.sh');
    const app = await world.launch(at, 'auth-js-start.sh', client, world.url('4000'));
    await using(app, async () => {
      const walker = world.walker();
      const page = await walker.submit(await walker.go(`${app.url}/auth/signin`), {}, 'vouchsafe');
      const { person } = world;
      check(page.html.includes(person.email) && page.html.includes(person.name), page.html);
    });
    const versions = await world.run(at, 'npm pkg get dependencies.@auth/express');
    return { versions: `@auth/express ${versions.replace(/["^]/g, '')}`, result: signedIn };
  },
};

const authlib: Recipe = {
  name: 'Authlib',
  needs: ['python3'],
  async run(world) {
    const at = 'authlib';
    await world.write(at, ['app.py']);
    await world.run(at, `python3 -m venv venv && ${world.block('authlib-install.sh')}`);
    const [client] = await world.register('authlib-register.sh');
    const app = await world.launch(at, 'authlib-start.sh', client, world.url('4000'));
    await using(app, async () => {
      const page = await world.walker().go(app.url);
      const { sub, name } = JSON.parse(page.html) as Record<string, string>;
      check(sub === world.person.id && name === world.person.name, page.html);
    });
    const print = ['authlib', 'flask'].map((one) => `'${one}', version('${one}')`).join(", ', ', ");
    const versions = await world.run(
      at,
      `python -c "from importlib.metadata import version; print(${print})"`,
    );
    return { versions: versions.replace(/ *, */, ', '), result: signedIn };
  },
};

const go: Recipe = {
  name: 'Go',
  needs: ['go'],
  async run(world) {
    const at = 'go';
    await world.write(at, ['main.go']);
    await world.run(at, world.block('go-install.sh'));
    const [client] = await world.register('go-register.sh');
    const app = await world.launch(at, 'go-start.sh', client, `${world.url('4000')}/callback`);
    await using(app, async () => {
      const page = await world.walker().go(`${world.url('4000')}/`);
      check(page.html === `Hello, ${world.person.email} (${world.person.id})!`, page.html);
    });
    const modules = 'github.com/coreos/go-oidc/v3 golang.org/x/oauth2';
    const versions = await world.run(at, `go list -m ${modules}`);
    return { versions: versions.replaceAll('\n', ', '), result: signedIn };
  },
};

const oauth2Proxy: Recipe = {
  name: 'oauth2-proxy',
  needs: ['go', 'openssl'],
  async run(world) {
    const at = 'oauth2-proxy';
    await world.write(at, ['oauth2-proxy.cfg']);
    await world.run(at, world.block('oauth2-proxy-install.sh'));
    const [client] = await world.register('oauth2-proxy-register.sh');
    const upstream = await world.upstream();
    await using(upstream, async () => {
      const proxy = await world.launch(at, 'oauth2-proxy-start.sh', client, world.url('4180'));
      await using(proxy, async () => {
        const page = await world.walker().go(`${proxy.url}/`);
        const headers = JSON.parse(page.html) as Record<string, string>;
        check(headers['x-forwarded-email'] === world.person.email, page.html);
        check(headers['x-forwarded-user'] === world.person.id, page.html);
      });
    });
    const info = await world.run(at, 'go version -m bin/oauth2-proxy');
    return { versions: /\bmod\s+\S+\s+(\S+)/.exec(info)?.[1] ?? '', result: signedIn };
  },
};

const spring: Recipe = {
  name: 'Spring Security',
  needs: ['mvn', 'java'],
  async run(world) {
    const at = 'spring';
    const yml = ['login', 'api'].map((one) => `src/main/resources/application-${one}.yml`);
    await world.write(at, ['pom.xml', 'src/main/java/com/example/App.java', ...yml]);
    await world.run(at, world.block('spring-install.sh'));
    const url = world.url('4000');
    const [client] = await world.register('spring-login-register.sh');
    const app = await world.launch(at, 'spring-login-start.sh', client, url);
    await using(app, async () => {
      const page = await world.walker().go(`${url}/`);
      const { sub } = JSON.parse(page.html) as Record<string, string>;
      check(sub === world.person.id, page.html);
    });
    const [, machine] = await world.register('spring-api-register.sh');
    const api = await world.launch(at, 'spring-api-start.sh', undefined, url);
    await using(api, () => callApi(world, machine as Record<string, string>));
    const boot = /<version>(.*)<\/version>/.exec(world.block('pom.xml'))?.[1];
    const jars = await world.run(at, 'jar tf target/app-1.jar');
    const security = /spring-security-core-([\d.]+)\.jar/.exec(jars)?.[1];
    return {
      versions: `Spring Boot ${boot}, Spring Security ${security}`,
      result: `${signedIn}; the API accepts a token, and refuses none and a changed one`,
    };
  },
};

async function callApi(world: World, client: Record<string, string>): Promise<void> {
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    resource: 'https://ledger.example.com',
  });
  const basic = Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64');
  const headers = { authorization: `Basic ${basic}` };
  const answer = await fetch(`${world.issuer}/token`, { method: 'POST', headers, body });
  const { access_token: token = '' } = (await answer.json()) as { access_token?: string };
  const call = async (given: Record<string, string>) =>
    (await fetch(`${world.url('4000')}/`, { headers: given })).status;
  const statuses = [
    await call({ authorization: `Bearer ${token}` }),
    await call({}),
    await call({ authorization: `Bearer ${token.slice(0, -8)}AAAAAAAA` }),
  ];
  check(statuses.join() === '200,401,401', `the API responded ${statuses.join()}`);
}

export const recipes: readonly Recipe[] = [authJs, authlib, go, oauth2Proxy, spring];
