import type { MailMessages } from './messages-en.ts';

/** Every word of every email, in German. */
export const de: MailMessages = {
  greeting: 'Guten Tag,',
  signature: (brand) => brand,
  notYou: (brand) =>
    `Waren Sie das nicht? Dann kennt vielleicht jemand Ihr Passwort. Wenden Sie sich sofort an das Team von ${brand}: Es kann Ihr Konto sperren.`,
  when: (date) => `Das war am ${date}.`,
  moment: (at) => {
    const date = new Intl.DateTimeFormat('de-DE', { dateStyle: 'long', timeZone: 'UTC' }).format(
      at,
    );
    return `${date} um ${at.toISOString().slice(11, 16)} Uhr (UTC)`;
  },

  verifyEmail: {
    subject: (brand) => `Bestätigen Sie Ihre E-Mail-Adresse für ${brand}`,
    lead: 'Öffnen Sie diesen Link, um Ihre E-Mail-Adresse zu bestätigen:',
    code: (code) => `Oder geben Sie diesen Code dort ein, wo Sie sich registriert haben: ${code}`,
    until:
      'Link und Code gelten einmal und laufen nach 24 Stunden ab. Eine neuere E-Mail ersetzt sie.',
    ignore:
      'Haben Sie das nicht angefordert? Dann ignorieren Sie diese E-Mail, und geben Sie den Code niemandem.',
  },
  registrationAttempt: {
    subject: (brand) => `Sie haben schon ein Konto bei ${brand}`,
    lead: (brand) =>
      `Jemand wollte mit dieser E-Mail-Adresse ein Konto bei ${brand} anlegen. Sie haben schon eines. Es hat sich nichts geändert.`,
    signIn: 'Waren Sie das? Dann melden Sie sich mit Ihrem bisherigen Passwort an:',
    ignore: 'Waren Sie es nicht? Dann ignorieren Sie diese E-Mail.',
  },
  secondFactorAdded: {
    subject: (brand) => `Neue Authenticator-App für Ihr Konto bei ${brand}`,
    lead: (device) =>
      `Ab jetzt brauchen Sie zum Anmelden einen Code aus der Authenticator-App „${device}“.`,
  },
  secondFactorReset: {
    subject: (brand) => `Der zweite Faktor Ihres Kontos bei ${brand} wurde zurückgesetzt`,
    lead: 'Ihre Authenticator-Apps und Notfallcodes gelten nicht mehr, und Sie wurden überall abgemeldet. In Ihrem Konto können Sie wieder eine Authenticator-App einrichten:',
    notYou: (brand) =>
      `Haben Sie das nicht veranlasst? Dann wenden Sie sich sofort an das Team von ${brand}.`,
  },
  recoveryCodesRegenerated: {
    subject: (brand) => `Neue Notfallcodes für Ihr Konto bei ${brand}`,
    first:
      'Sie haben jetzt zehn Notfallcodes. Mit jedem können Sie sich einmal anmelden, wenn Ihr Telefon verloren geht.',
    replaced: 'Sie haben zehn neue Notfallcodes. Die früheren gelten nicht mehr.',
    either: 'Sie haben zehn neue Notfallcodes. Frühere Codes gelten nicht mehr.',
  },
  tokenReplayed: {
    subject: (app, brand) => `${app} wurde von Ihrem Konto bei ${brand} abgemeldet`,
    lead: (app) =>
      `Ein Einmalschlüssel, mit dem „${app}“ an Ihrem Konto angemeldet bleibt, wurde zweimal benutzt. Vielleicht hat ihn jemand kopiert, vielleicht hat ihn die App versehentlich doppelt benutzt.`,
    done: 'Zur Sicherheit haben wir die App dort abgemeldet, wo der Schlüssel benutzt wurde. Er gilt nicht mehr. Ihr Passwort und Ihre anderen Geräte sind nicht betroffen.',
    next: (app) => `Wenn Sie „${app}“ weiter nutzen möchten, melden Sie sich dort wieder an.`,
    again:
      'Kommt diese E-Mail noch einmal, dann melden Sie es den Entwicklern der App. Kennen Sie die App nicht, dann entfernen Sie sie aus Ihrem Konto:',
  },
  asked: {
    subject: (app) => `${app} braucht Ihre Antwort`,
    lead: (app, brand) =>
      `Die App „${app}“ bittet Sie, etwas mit Ihrem Konto bei ${brand} zu bestätigen. Öffnen Sie diesen Link, um die Anfrage zu sehen und zu beantworten:`,
    until: (date) => `Der Link gilt bis zum ${date}. Vielleicht müssen Sie sich vorher anmelden.`,
    ignore:
      'Haben Sie das nicht selbst gestartet? Dann wählen Sie „Nicht erlauben“, oder ignorieren Sie diese E-Mail. Der Support bittet Sie nie um diese Erlaubnis.',
  },
  administratorCreated: {
    subject: (brand) => `Sie haben Administratorrechte bei ${brand}`,
    lead: (brand) =>
      `Ihr Konto hat jetzt Administratorrechte bei ${brand}. Melden Sie sich hier an:`,
  },
};
