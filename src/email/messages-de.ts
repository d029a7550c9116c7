import type { MailMessages } from './messages-en.ts';

/** Every word of every mail, in German. */
export const de: MailMessages = {
  greeting: 'Guten Tag,',
  signature: (brand) => brand,
  notYou:
    'Waren Sie das nicht, dann kennt vielleicht jemand Ihr Passwort: Melden Sie sich an, ändern Sie es, und sagen Sie es den Betreibern dieses Dienstes.',
  when: (date) => `Das geschah am ${date}.`,
  moment: (at) => {
    const date = new Intl.DateTimeFormat('de-DE', { dateStyle: 'long', timeZone: 'UTC' }).format(
      at,
    );
    return `${date} um ${at.toISOString().slice(11, 16)} Uhr (UTC)`;
  },

  verifyEmail: {
    subject: (brand) => `Bestätigen Sie Ihre E-Mail-Adresse für ${brand}`,
    lead: 'Öffnen Sie diesen Link, um Ihre Adresse zu bestätigen:',
    code: (code) => `Oder geben Sie diesen Code dort ein, wo Sie danach gefragt werden: ${code}`,
    until: 'Beides gilt einmal und einen Tag lang, oder bis Sie eine neuere E-Mail bekommen.',
    ignore:
      'Haben Sie nicht darum gebeten? Dann tun Sie nichts, und geben Sie dies nicht weiter: Vielleicht hat jemand die eigene Adresse falsch getippt.',
  },
  registrationAttempt: {
    subject: (brand) => `Sie haben schon ein Konto bei ${brand}`,
    lead: (brand) =>
      `Jemand wollte bei ${brand} ein Konto für diese Adresse anlegen. Sie haben schon eines, darum hat sich nichts geändert.`,
    signIn: 'Waren Sie es, dann melden Sie sich mit Ihrem Passwort an:',
    ignore: 'Waren Sie es nicht, dann brauchen Sie nichts zu tun.',
  },
  secondFactorAdded: {
    subject: (brand) => `Eine Authenticator-App ist zu Ihrem Konto bei ${brand} hinzugekommen`,
    lead: (device) =>
      `Von nun an brauchen Sie zum Anmelden einen Code aus der Authenticator-App „${device}“.`,
  },
  secondFactorReset: {
    subject: (brand) => `Der zweite Faktor Ihres Kontos bei ${brand} wurde entfernt`,
    lead: 'Ihre Authenticator-Apps und Notfallcodes gelten nicht mehr, und Sie wurden überall abgemeldet. Melden Sie sich an, um alles neu einzurichten:',
    notYou: 'Haben Sie nicht darum gebeten, dann sagen Sie es den Betreibern dieses Dienstes.',
  },
  recoveryCodesRegenerated: {
    subject: (brand) => `Neue Notfallcodes für Ihr Konto bei ${brand}`,
    lead: 'Sie haben zehn neue Notfallcodes. Die früheren gelten nicht mehr.',
  },
  tokenReplayed: {
    subject: (app, brand) => `${app} wurde von Ihrem Konto bei ${brand} abgemeldet`,
    lead: (app) =>
      `Die App „${app}“ war mit einem Schlüssel, der nur einmal gilt, bei Ihrem Konto angemeldet, und dieser Schlüssel wurde ein zweites Mal benutzt. Vielleicht hat ihn jemand kopiert. Vielleicht war es auch die App selbst, aus Versehen.`,
    done: 'Wir haben die App dort abgemeldet, woher der Schlüssel war. Niemand kann damit Ihr Konto noch nutzen. Ihr Passwort und Ihre anderen Geräte sind nicht betroffen.',
    next: (app) =>
      `Wollen Sie „${app}“ weiter nutzen, dann melden Sie sich dort einfach wieder an.`,
    again:
      'Bekommen Sie diese E-Mail noch einmal, dann sagen Sie es den Anbietern der App. Kennen Sie die App nicht, dann entfernen Sie sie aus Ihrem Konto:',
  },
  asked: {
    subject: (app) => `${app} bittet um Ihre Antwort`,
    lead: (app, brand) =>
      `Die App „${app}“ bittet Sie, etwas mit Ihrem Konto bei ${brand} zu bestätigen. Hier sehen Sie, was es ist, und antworten:`,
    until: (date) => `Der Link gilt bis ${date}. Sie werden gebeten, sich anzumelden.`,
    ignore:
      'Haben Sie das nicht selbst begonnen, dann antworten Sie „Nicht erlauben“, oder tun Sie nichts. Niemand, der Sie anruft oder Ihnen schreibt, braucht Ihre Erlaubnis.',
  },
  administratorCreated: {
    subject: (brand) => `Sie verwalten jetzt ${brand}`,
    lead: (brand) => `Ihr Konto hat Verwaltungsrechte bei ${brand}. Melden Sie sich hier an:`,
  },
};
