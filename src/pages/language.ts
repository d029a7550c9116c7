import type { Context } from 'koa';
import { cookieName, plainCookie } from '../lib/cookies.ts';
import { findLanguage, type Language, languageTags, messagesFor } from './messages.ts';

/** In which language a page speaks: what the app asks for, what this browser was spoken to in before, what it asks for itself. */

const cookie = (ctx: Context) => cookieName(ctx, 'lang', '');
/** Seconds. */
const REMEMBERED = 365 * 86_400;
/** Characters, and tags: nobody's list of languages is longer. */
const MAX_LENGTH = 1_000;
const MAX_TAGS = 20;

/**
 * Speaks from now on in the first of the languages (BCP 47 tags with spaces between them, as in `ui_locales`) that there
 * are words for, and remembers it in this browser; whatever else was sent changes nothing.
 */
export function askLanguage(ctx: Context, uiLocales: unknown): void {
  if (typeof uiLocales !== 'string') return;
  const asked = findLanguage(uiLocales.slice(0, MAX_LENGTH).split(' ', MAX_TAGS));
  if (asked === undefined) return;
  ctx.state.language = asked;
  if (ctx.cookies.get(cookie(ctx)) !== asked.lang)
    ctx.cookies.set(cookie(ctx), asked.lang, plainCookie(ctx, '/', REMEMBERED));
}

/** The language of the request; English where there is nothing to go by. */
export function languageOf(ctx: Context): Language {
  ctx.state.language ??= findLanguage([ctx.cookies.get(cookie(ctx)) ?? '']) ?? browsersOwn(ctx);
  return ctx.state.language as Language;
}

function browsersOwn(ctx: Context): Language {
  const accepted = ctx.acceptsLanguages([...languageTags]);
  return messagesFor(accepted === false ? undefined : accepted);
}
