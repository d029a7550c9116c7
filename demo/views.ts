import type { IDToken } from 'openid-client';
import type { Answer } from './calls.ts';
import { type Content, html } from './page.ts';

/** A page of the example app: its title, and what stands in it. */
type View = readonly [title: string, body: Content];

const frame = (bar: Content, main: Content) => html`
<header><div class="in"><a class="name" href="/"><img src="/icon.svg" alt="" width="28" height="28">Quillet</a>${bar}</div></header>
${main}
<footer><div class="in"><p>An example app. It signs people in with Vouchsafe, and an API of its own keeps its invoices.</p></div></footer>`;

/** One thing said, and one thing to do. */
const short = (title: string, words: string): View => [
  title,
  frame(
    undefined,
    html`<main class="in short"><h1>${title}</h1>
<p class="lead">${words}</p>
<p><a class="button go" href="/sign-in">Sign in with Vouchsafe</a></p></main>`,
  ),
];

export const welcome = (): View =>
  short(
    'Invoices, written well',
    'Quillet writes your invoices and keeps them in order. It asks Vouchsafe who you are, and never sees your password.',
  );

export const problem = short;

export const signedInPage = (claims: IDToken, answer: Answer, issuer: string): View => [
  'Your invoices',
  frame(
    html`<span class="you">${nameOf(claims)}</span><form method="post" action="/sign-out"><button>Sign out</button></form>`,
    html`<main class="in"><h1>Your invoices</h1>
${invoices(answer, issuer)}
<section aria-labelledby="answer"><h2 id="answer">What the API answered</h2>
<pre tabindex="0" role="region" aria-label="The API’s answer"><code>${rawAnswer(answer)}</code></pre></section>
<section aria-labelledby="who"><h2 id="who">What Quillet knows of you</h2>
<p>These are the claims of the ID token. Quillet has checked its signature, its audience and its nonce.</p>
<dl>${Object.entries(claims).map(([name, value]) => html`<div><dt><code>${name}</code></dt><dd>${readable(name, value)}</dd></div>`)}</dl></section></main>`,
  ),
];

const nameOf = ({ email, sub }: IDToken) => (typeof email === 'string' ? email : sub);

interface Invoice {
  readonly number: number;
  readonly for: string;
  readonly amount: number;
}

function invoices(answer: Answer, issuer: string): Content {
  if (answer.status === 403) {
    return html`<div class="refused" role="status"><p><b>Quillet may only read your invoices.</b> That is what you decided, so the API refused to add one.</p>
<div class="ways"><a class="button" href="/sign-in?again=yes">Decide again</a><a class="button" href="/">Back to the invoices</a></div></div>`;
  }
  if (answer.status === 401) {
    const ended =
      answer.refresh === 'refused'
        ? ' Quillet asked for a new token, and was refused that too.'
        : '';
    return html`<div class="refused" role="status"><p><b>The API refused.</b> The access that you gave to Quillet has ended.${ended}</p>
<div class="ways"><a class="button go" href="/sign-in">Connect Quillet again</a></div></div>`;
  }
  if (answer.status !== 200) {
    return html`<div class="refused" role="status"><p><b>The invoices can’t be read just now.</b> The API or the server doesn’t answer.</p>
<div class="ways"><a class="button go" href="/">Try again</a></div></div>`;
  }
  const { invoices: all } = answer.body as { invoices: Invoice[] };
  return html`<table><thead><tr><th scope="col">Number</th><th scope="col">For</th><th scope="col" class="figure">Amount</th></tr></thead>
<tbody>${all.map((one) => html`<tr><td>${one.number}</td><td>${one.for}</td><td class="figure">${euros.format(one.amount)}</td></tr>`)}</tbody></table>
<div class="ways"><form method="post" action="/invoices"><button class="go">Add an invoice</button></form><a class="button" href="/">Ask the API again</a><a href="${issuer}/account">What you let Quillet do</a></div>`;
}

const euros = new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' });

function rawAnswer({ status, challenge, body }: Answer): string {
  const head = [
    `HTTP ${status}`,
    ...(challenge === undefined ? [] : [`WWW-Authenticate: ${challenge}`]),
  ];
  return `${head.join('\n')}\n\n${JSON.stringify(body, undefined, 2)}`;
}

const times = new Set(['iat', 'exp', 'auth_time', 'updated_at']);

function readable(name: string, value: unknown): Content {
  if (times.has(name) && typeof value === 'number')
    return `${new Date(value * 1000).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
  return typeof value === 'string' ? value : JSON.stringify(value);
}
