import { html } from '../html.ts';
import type { Messages } from './en.ts';

// Every word of every page, in German: „Sie“, short and plain. For <bdi>, see `en.ts`.
export const de: Messages = {
  titleSuffix: (title, brand) => `${title} · ${brand}`,
  titleError: (title) => `Fehler: ${title}`,
  email: 'E-Mail',
  password: 'Passwort',
  show: html`Anzeigen<span class="hide">: Passwort</span>`,
  hide: html`Verbergen<span class="hide">: Passwort</span>`,
  optional: 'Freiwillig',
  notYou: 'Nicht Sie?',
  skip: 'Zum Inhalt',
  problem: 'Etwas stimmt noch nicht',
  tooMany: 'Zu viele Versuche',
  tooManyUntil: (when) => `Versuchen Sie es ${when} wieder.`,
  tooManyLater: 'Warten Sie eine Weile und versuchen Sie es dann wieder.',

  app: {
    by: (developer) => html`von <bdi>${developer}</bdi>`,
    byVerified: (developer) => html`von <bdi>${developer}</bdi>, geprüft`,
    verified: 'Geprüft',
    ownMachine: 'auf diesem Gerät',
    otherDevice: 'auf einem anderen Gerät',
    notVerifiedShort: 'nicht geprüft',
  },

  fields: {
    emailMissing: 'Geben Sie Ihre E-Mail-Adresse ein',
    emailMalformed: 'Geben Sie eine E-Mail-Adresse wie name@example.com ein',
    emailTooLong: 'Die E-Mail-Adresse darf höchstens 254 Zeichen haben',
    emailUndeliverable:
      'An diese E-Mail-Adresse kann nichts zugestellt werden: Ihre Domain gibt es nicht',
    emailTaken: 'Für diese E-Mail-Adresse gibt es schon ein Konto. Verwenden Sie eine andere',
    nameTooLong: 'Der Name darf höchstens 100 Zeichen haben',
    nameMalformed: 'Verwenden Sie einen Namen ohne E-Mail-Adresse und ohne unsichtbare Zeichen',
    passwordMissing: 'Wählen Sie ein Passwort',
    passwordTooShort: (least) => `Verwenden Sie mindestens ${least} Zeichen`,
    passwordTooLong: 'Das Passwort ist zu lang. Wählen Sie ein kürzeres',
    passwordCommon: 'Das Passwort ist zu verbreitet. Wählen Sie ein anderes',
    passwordBreached: 'Das Passwort ist aus einem Datenleck bekannt. Wählen Sie ein anderes',
    passwordPersonal:
      'Das Passwort ist Ihrem Namen oder Ihrer E-Mail-Adresse zu ähnlich. Wählen Sie ein anderes',
    passwordHint: (least) =>
      `Mindestens ${least} Zeichen. Versuchen Sie es mit vier Wörtern ohne Zusammenhang.`,
    newPassword: 'Passwort',
    name: 'Name',
  },

  signIn: {
    title: 'Anmelden',
    titleFor: (app) => html`Anmelden und weiter zu <bdi>${app}</bdi>`,
    confirmTitle: 'Bestätigen Sie, dass Sie es sind',
    confirmLead: 'Geben Sie Ihr Passwort ein, um fortzufahren.',
    confirmLeadFor: (app) => html`Geben Sie Ihr Passwort ein, um zu <bdi>${app}</bdi> zu gelangen.`,
    submit: 'Anmelden',
    confirmSubmit: 'Weiter',
    register: 'Konto anlegen',
    incorrect: 'E-Mail-Adresse oder Passwort ist falsch',
    incorrectDo: 'Prüfen Sie beides und versuchen Sie es noch einmal',
    incorrectNew:
      'Neu hier? Öffnen Sie zuerst den Link in unserer E-Mail, um Ihre Adresse zu bestätigen.',
    incorrectPassword: 'Das Passwort ist falsch',
    incorrectPasswordDo: 'Prüfen Sie es und versuchen Sie es noch einmal',
    expired: html`<b>Diese Anmeldung war abgelaufen.</b> Wir haben sie neu gestartet. Melden Sie sich an, um fortzufahren.`,
  },

  register: {
    title: 'Konto anlegen',
    titleFor: (app) => html`Konto anlegen und weiter zu <bdi>${app}</bdi>`,
    submit: 'Konto anlegen',
    have: 'Schon ein Konto? Anmelden',
  },

  sent: {
    title: 'Prüfen Sie Ihre E-Mails',
    lead: (email) => html`Wir haben eine E-Mail an <b>${email}</b> gesendet.`,
    leadDo: 'Öffnen Sie den Link darin, oder geben Sie den Code hier ein.',
    code: 'Code aus der E-Mail',
    submit: 'Weiter',
    nothing: 'Keine E-Mail? Sehen Sie im Spam-Ordner nach, oder senden Sie sie noch einmal.',
    resend: 'Noch einmal senden',
    resent: 'Wir haben sie noch einmal gesendet.',
    pause: (when) => `Sie können sie ${when} noch einmal senden.`,
    change: 'Andere E-Mail-Adresse verwenden',
    wrong: 'Dieser Code funktioniert nicht',
    wrongDo: 'Geben Sie den Code aus der neuesten E-Mail ein',
    wrongHint: 'Jeder Code gilt einmal, und nur der neueste gilt.',
  },

  verify: {
    title: 'E-Mail-Adresse bestätigen',
    lead: 'Gehört diese Adresse Ihnen? Bestätigen Sie sie, um fortzufahren.',
    leadFor: (email) =>
      html`Ist <b>${email}</b> Ihre Adresse? Bestätigen Sie sie, um fortzufahren.`,
    elsewhere:
      'Sie haben das Konto in einem anderen Browser angelegt. Geben Sie das Passwort ein, das Sie dort gewählt haben. Haben Sie kein Konto angelegt, dann schließen Sie diese Seite.',
    incorrect: 'Das Passwort ist falsch',
    incorrectDo: 'Geben Sie das Passwort ein, das Sie für dieses Konto gewählt haben',
    submit: 'E-Mail-Adresse bestätigen',
    doneTitle: 'Ihre E-Mail-Adresse ist bestätigt',
    doneLead: 'Sie können diese Seite schließen und dort weitermachen, wo Sie sich anmelden.',
    doneNext: 'Weiter',
    doneNextFor: (app) => html`Weiter zu <bdi>${app}</bdi>`,
  },

  link: {
    title: 'Dieser Link gilt nicht mehr',
    verify:
      'Links gelten einmal und laufen nach 24 Stunden ab. Haben Sie Ihre E-Mail-Adresse schon bestätigt, dann melden Sie sich an.',
    verifyNext: 'Anmelden',
    setup:
      'Einrichtungslinks gelten einmal und laufen nach einer Stunde ab. Wer diesen Server betreibt, kann auf der Befehlszeile einen neuen erzeugen.',
    setupNext: 'Anmelden',
    setupDone: 'Dieser Server ist schon eingerichtet. Melden Sie sich mit Ihrem Konto an.',
    asked:
      'Sie haben schon geantwortet, oder die Anfrage ist abgelaufen. Wartet die App noch, dann starten Sie dort neu.',
    askedNext: 'Zu Ihrem Konto',
  },

  setup: {
    title: 'Richten Sie Ihren Server ein',
    lead: 'Legen Sie das erste Administratorkonto an. Diese Seite funktioniert einmal.',
    submit: 'Administratorkonto anlegen',
    doneTitle: 'Ihr Server ist bereit',
    doneLead: (email) =>
      html`Wir haben das Administratorkonto <b>${email}</b> angelegt. Seine E-Mail-Adresse gilt als bestätigt.`,
    doneFirst: 'Die nächsten Schritte',
    doneSignIn:
      'Melden Sie sich an. Administratorkonten brauchen einen zweiten Faktor: Sie richten dabei eine Authenticator-App ein. Halten Sie Ihr Telefon bereit.',
    doneCodes:
      'Bewahren Sie die Notfallcodes auf, die Sie bekommen. Mit ihnen kommen Sie wieder hinein, wenn Ihr Telefon verloren geht.',
    doneApps: html`Registrieren Sie Ihre erste App auf der Befehlszeile: <code class="code">client create</code>.`,
    doneSubmit: 'Anmelden',
  },

  enrol: {
    title: 'Authenticator-App einrichten',
    lead: 'Danach melden Sie sich mit Ihrem Passwort und einem Code von Ihrem Telefon an.',
    reasons: {
      administrator: 'Administratorkonten brauchen zum Anmelden einen zweiten Faktor.',
      everyone: (brand) => `Bei ${brand} brauchen alle Konten einen zweiten Faktor.`,
      app: (app) =>
        html`<bdi>${app}</bdi> verlangt einen zweiten Faktor, und Sie haben noch keinen eingerichtet.`,
    },
    open: 'In Ihrer Authenticator-App öffnen',
    openOr:
      'Ist die App auf einem anderen Telefon? Dann scannen Sie dort, oder tippen Sie den Schlüssel ein.',
    scan: 'Scannen Sie dies mit Ihrer Authenticator-App',
    qr: 'QR-Code. Wenn Sie ihn nicht scannen können, verwenden Sie den Schlüssel darunter.',
    key: 'Oder tippen Sie diesen Schlüssel ein',
    copyKey: html`Kopieren<span class="hide">: Schlüssel</span>`,
    device: 'Name des Geräts',
    deviceName: 'Telefon',
    deviceMissing: 'Geben Sie dem Gerät einen Namen',
    deviceTooLong: 'Verwenden Sie höchstens 40 Zeichen',
    code: 'Code aus der App',
    submit: 'Einschalten',
    later: 'Nicht jetzt',
    wrong: 'Dieser Code funktioniert nicht',
    wrongDo: 'Geben Sie den Code ein, den die App gerade zeigt',
    wrongHint:
      'Funktioniert kein Code, dann stellen Sie Datum und Uhrzeit Ihres Telefons auf automatisch.',
    late: 'Dieser Code ist abgelaufen',
    lateHint:
      'Eben war er noch richtig. Passiert das wieder, dann geht die Uhr Ihres Telefons nach: Stellen Sie Datum und Uhrzeit auf automatisch.',
  },

  codes: {
    title: 'Bewahren Sie Ihre Notfallcodes auf',
    lead: 'Geht Ihr Telefon verloren, können Sie sich mit jedem Code einmal anmelden. Nach dieser Seite sehen Sie die Codes nicht wieder.',
    list: 'Notfallcodes',
    copy: html`Kopieren<span class="hide">: Codes</span>`,
    download: html`Speichern<span class="hide">: Codes</span>`,
    print: html`Drucken<span class="hide">: Codes</span>`,
    copied: 'Kopiert',
    saved: 'Ich habe sie aufbewahrt',
    submit: 'Weiter',
    notSaved: 'Bewahren Sie zuerst Ihre Codes auf',
    notSavedDo: 'Setzen Sie das Häkchen, wenn Sie die Codes aufbewahrt haben',
    notSavedHint: 'Ohne die Codes könnten Sie mit dem Telefon auch Ihr Konto verlieren.',
  },

  totp: {
    title: 'Geben Sie Ihren Code ein',
    lead: 'Er steht in Ihrer Authenticator-App und wechselt alle 30 Sekunden.',
    leadFor: (device) =>
      html`Er steht in der Authenticator-App auf <b><bdi>${device}</bdi></b> und wechselt alle 30 Sekunden.`,
    code: 'Sechsstelliger Code',
    submit: 'Weiter',
    recovery: 'Stattdessen einen Notfallcode verwenden',
    wrong: 'Dieser Code funktioniert nicht',
    wrongDo: 'Geben Sie den Code ein, den die App gerade zeigt',
    wrongHint:
      'Jeder Code gilt einmal. Haben Sie diesen gerade benutzt, dann warten Sie auf den nächsten.',
    late: 'Dieser Code ist abgelaufen',
    lateHint:
      'Eben war er noch richtig. Passiert das wieder, dann geht die Uhr Ihres Telefons nach: Stellen Sie Datum und Uhrzeit auf automatisch.',
  },

  recovery: {
    title: 'Geben Sie einen Notfallcode ein',
    lead: 'Es ist einer der zehn Codes, die Sie beim Einrichten Ihrer Authenticator-App aufbewahrt haben.',
    code: 'Notfallcode',
    submit: 'Weiter',
    totp: 'Authenticator-App verwenden',
    wrong: 'Dieser Code funktioniert nicht',
    wrongDo: 'Prüfen Sie ihn, oder versuchen Sie einen anderen',
    wrongHint: 'Jeder Notfallcode gilt einmal.',
  },

  words: { know: 'erfahren', use: 'nutzen', stay: 'bleiben' },
  stay: 'verbunden, während Sie die App nicht nutzen',
  notSet: 'nicht angegeben',
  yes: 'ja',
  no: 'nein',
  claims: {
    sub: 'eine Kennung, die für Sie steht',
    name: 'Ihren Namen',
    given_name: 'Ihren Vornamen',
    family_name: 'Ihren Nachnamen',
    middle_name: 'Ihren zweiten Vornamen',
    nickname: 'Ihren Spitznamen',
    preferred_username: 'Ihren Benutzernamen',
    profile: 'Ihre Profilseite',
    picture: 'Ihr Bild',
    website: 'Ihre Website',
    email: 'Ihre E-Mail-Adresse',
    email_verified: 'ob Ihre E-Mail-Adresse bestätigt ist',
    gender: 'Ihr Geschlecht',
    birthdate: 'Ihr Geburtsdatum',
    zoneinfo: 'Ihre Zeitzone',
    locale: 'Ihre Sprache',
    phone_number: 'Ihre Telefonnummer',
    phone_number_verified: 'ob Ihre Telefonnummer bestätigt ist',
    address: 'Ihre Postanschrift',
    groups: 'Ihre Gruppen',
    updated_at: 'wann sich Ihre Angaben zuletzt geändert haben',
  },

  consent: {
    title: (app) => html`Darf <bdi>${app}</bdi> Ihr Konto nutzen?`,
    titleMore: (app) => html`<bdi>${app}</bdi> möchte mehr`,
    may: (app) => html`Das darf <bdi>${app}</bdi> dann`,
    mayMore: (app) => html`Das darf <bdi>${app}</bdi> dann auch`,
    optional: 'Alles, was Sie abwählen können, ist freiwillig.',
    inApi: (api) => html`In <bdi>${api}</bdi>`,
    already: 'Was Sie schon erlaubt haben',
    nothing: 'dass Sie hier ein Konto haben, und sonst nichts über Sie',
    emailAndUsername: 'Ihre E-Mail-Adresse und Ihren Benutzernamen',
    emailConfirmed: 'dass Ihre E-Mail-Adresse bestätigt ist',
    emailNotConfirmed: 'dass Ihre E-Mail-Adresse nicht bestätigt ist',
    withheld: (claims) => html`Nicht dabei: ${claims}`,
    eachTime: 'Sie werden jedes Mal gefragt.',
    remembered: 'Nach genau diesem werden Sie nicht wieder gefragt.',
    everything: 'Alles, worum sie bittet',
    notVerified: (app) =>
      html`<b>Nicht geprüft.</b> Wir haben nicht geprüft, von wem <bdi>${app}</bdi> ist.`,
    registeredItself: (app) =>
      html`<b>Nicht geprüft.</b> Diese App hat sich selbst registriert und den Namen <bdi>${app}</bdi> gewählt. Wir wissen nicht, von wem sie ist.`,
    published: (app, host) =>
      html`<b>Nicht geprüft.</b> <bdi>${host}</bdi> gibt an, dass dies <bdi>${app}</bdi> ist. Wir haben nicht geprüft, von wem die App ist.`,
    notVerifiedGo: (host) =>
      html`Fahren Sie nur fort, wenn Sie selbst von <bdi>${host}</bdi> kommen.`,
    ownMachine: (app) =>
      html`<b>Die App läuft auf diesem Gerät.</b> Ein anderes Programm hier könnte sich als <bdi>${app}</bdi> ausgeben. Fahren Sie nur fort, wenn Sie die App gerade selbst gestartet haben.`,
    deny: 'Nicht erlauben',
    allow: 'Erlauben',
    back: (host) => html`Sie kommen zurück zu <bdi>${host}</bdi>.`,
    backOwnMachine: 'Sie kommen zurück zur App auf diesem Gerät.',
    takeBack: 'Sie können das jederzeit ändern.',
    account: 'Verbundene Apps',
    privacy: 'Datenschutz',
    terms: 'Nutzungsbedingungen',
    changed: (app) =>
      html`<b><bdi>${app}</bdi> hat sich geändert, seit Sie die App erlaubt haben.</b> Prüfen Sie, ob Sie sie weiter erlauben wollen:`,
    changedName: (from, to) => html`Sie hieß <bdi>${from}</bdi> und heißt jetzt <bdi>${to}</bdi>.`,
    changedPlace: (places) => html`Sie kann Sie jetzt zu <bdi>${places}</bdi> schicken.`,
    changedAuthentication:
      'Sie ist jetzt schlechter davor geschützt, dass sich andere für sie ausgeben.',
    changedSomehow: 'Ihr Name oder die Adressen, zu denen sie Sie schicken kann, sind andere.',
    changedMeanwhile: (app) =>
      html`<bdi>${app}</bdi> hat sich geändert, während diese Seite offen war`,
    changedMeanwhileDo: 'Prüfen Sie, was jetzt da steht, und entscheiden Sie dann',
    undecided: 'Noch ist nichts entschieden',
    undecidedDo: 'Wählen Sie „Nicht erlauben“ oder „Erlauben“',
  },

  choose: {
    title: 'Wählen Sie ein Konto',
    titleFor: (app) => html`Wählen Sie ein Konto für <bdi>${app}</bdi>`,
    lead: 'Sie sind angemeldet als',
    submit: 'Mit diesem Konto weiter',
    other: 'Anderes Konto verwenden',
  },

  device: {
    title: 'Gerät verbinden',
    lead: 'Geben Sie den Code ein, den Ihr Gerät zeigt.',
    code: 'Code auf dem Gerät',
    submit: 'Weiter',
    wrong: 'Dieser Code funktioniert nicht',
    wrongDo: 'Vergleichen Sie ihn mit dem Code auf dem Gerät',
    wrongHint:
      'Codes gelten einmal und laufen schnell ab. Das Gerät kann Ihnen einen neuen zeigen.',
  },

  request: {
    deviceTitle: 'Ist das Ihr Gerät?',
    cibaTitle: (app) => html`<bdi>${app}</bdi> braucht Ihre Antwort`,
    compareCode: 'Erlauben Sie es nur, wenn Ihr Gerät gerade diesen Code zeigt:',
    compareMessage:
      'Erlauben Sie es nur, wenn Sie diese Nachricht auch dort sehen, wo Sie es gestartet haben:',
    noMessage: 'Erlauben Sie es nur, wenn Sie es gerade selbst gestartet haben.',
    app: 'App',
    asked: 'Angefragt',
    fromNetwork: (when, address) =>
      html`${when}, aus einem anderen Netz als Ihrem (<bdi>${address}</bdi>)`,
    warning:
      'Der Support bittet Sie nie darum. Hat Ihnen jemand einen Code oder diesen Link geschickt, dann schließen Sie die Seite.',
    warningApp:
      'Der Support bittet Sie nie um diese Erlaubnis. Haben Sie es nicht selbst gestartet, dann erlauben Sie es nicht.',
    deviceDone: (app) => html`Sie haben <bdi>${app}</bdi> erlaubt`,
    cibaDone: (app) => html`<bdi>${app}</bdi> hat Ihre Antwort`,
    denied: (app) => html`Sie haben <bdi>${app}</bdi> nicht erlaubt`,
    backToDevice:
      'Gehen Sie zurück zum Gerät: Es meldet sich in wenigen Sekunden an. Sie können diese Seite schließen.',
    backToApp: 'Gehen Sie dorthin zurück, wo Sie begonnen haben. Sie können diese Seite schließen.',
    deniedLead: 'Es wurde nichts weitergegeben. Sie können diese Seite schließen.',
    see: 'Ansehen, was die App darf',
  },

  signOut: {
    title: 'Abmelden?',
    lead: (brand) => `Damit melden Sie sich in diesem Browser von ${brand} ab.`,
    leadFor: (app, brand) =>
      html`Sie kommen von <bdi>${app}</bdi>. Auch von ${brand} in diesem Browser abmelden?`,
    stay: 'Angemeldet bleiben',
    submit: 'Abmelden',
    doneTitle: 'Sie sind abgemeldet',
    doneLead: 'Sie können diese Seite schließen.',
    again: 'Wieder anmelden',
  },

  error: {
    request: 'Anfrage',
    time: 'Zeit',
    developers: 'Für Entwickler',
    start: 'Neu starten',
    retry: 'Noch einmal versuchen',
    home: 'Zu Ihrem Konto',
    byApp: 'Das können nur die Entwickler der App beheben. Senden Sie ihnen:',
    byAppNamed: (app) =>
      html`Das können nur die Entwickler von <bdi>${app}</bdi> beheben. Senden Sie ihnen:`,
    byUs: (brand) => `Das kann nur das Team von ${brand} beheben. Senden Sie ihm:`,
    byYou: (brand) => `Passiert das immer wieder, dann senden Sie dies an das Team von ${brand}:`,
    byLink: (brand) =>
      `Hat ein Link von uns Sie hierher geführt, dann senden Sie dies an das Team von ${brand}:`,
    thisApp: 'Die App',
    kinds: {
      'app-unknown': {
        title: 'Wir kennen diese App nicht',
        say: () =>
          'Der Link, über den Sie kommen, ist von einer App, die bei uns nicht registriert ist. Es wurde nichts weitergegeben.',
      },
      'app-redirect': {
        title: 'Wir haben diese Anmeldung gestoppt',
        say: (app) =>
          html`<bdi>${app}</bdi> wollte Sie an eine Adresse schicken, die bei uns nicht registriert ist. Es wurde nichts weitergegeben.`,
      },
      'app-request': {
        title: 'Wir haben diese Anmeldung gestoppt',
        say: (app) =>
          html`<bdi>${app}</bdi> hat uns eine ungültige Anfrage geschickt. Es wurde nichts weitergegeben.`,
      },
      'app-sign-out': {
        title: 'Diese Abmeldung hat nicht geklappt',
        say: (app) =>
          html`<bdi>${app}</bdi> hat uns eine ungültige Anfrage geschickt. Darum hat sich nichts geändert. In Ihrem Konto können Sie sich abmelden.`,
      },
      expired: {
        title: 'Diese Anmeldung ist abgelaufen',
        say: () =>
          'Zu Ihrer Sicherheit muss eine Anmeldung innerhalb einer Stunde fertig sein. Gehen Sie zurück zur App und starten Sie neu.',
      },
      finished: {
        title: 'Diesen Schritt haben Sie schon erledigt',
        say: () =>
          'Wenn Sie zurückgehen, ändert das nichts. Wartet eine App noch auf Sie, dann starten Sie dort neu.',
      },
      'other-browser': {
        title: 'Das hat in einem anderen Browser begonnen',
        say: () =>
          'Machen Sie in dem Browser weiter, in dem Sie die Anmeldung begonnen haben. Oder gehen Sie hier zurück zur App und starten Sie neu.',
      },
      forged: {
        title: 'Wir konnten nicht bestätigen, dass Sie es waren',
        say: () =>
          'Vielleicht ist die Seite zu alt, oder Ihr Browser blockiert Cookies für diese Website. Erlauben Sie sie, und starten Sie neu.',
      },
      'sign-in-stopped': {
        title: 'Sie sind nicht angemeldet',
        say: () => 'Die Anmeldung wurde nicht beendet. Es hat sich nichts geändert.',
      },
      'step-stopped': {
        title: 'Es hat sich nichts geändert',
        say: () => 'Sie haben diesen Schritt nicht beendet. Sie sind weiter angemeldet.',
      },
      forbidden: {
        title: 'Sie haben keinen Zugriff',
        say: () => 'Ihr Konto darf diese Seite nicht nutzen.',
      },
      'not-yours': {
        title: 'Diese Anfrage gilt einem anderen Konto',
        say: (app) =>
          html`<bdi>${app}</bdi> hat die E-Mail an die Inhaberin oder den Inhaber eines anderen Kontos geschickt. Sind auch das Sie, dann öffnen Sie den Link noch einmal und melden Sie sich mit jenem Konto an. Es wurde nichts weitergegeben.`,
      },
      'not-found': {
        title: 'Seite nicht gefunden',
        say: () => 'Vielleicht ist die Adresse vertippt, oder die Seite ist umgezogen.',
      },
      'too-many': {
        title: 'Zu viele Versuche',
        say: (_app, when) =>
          `Wir begrenzen Versuche, damit Konten sicher bleiben. Versuchen Sie es ${when} wieder.`,
      },
      'too-large': {
        title: 'Das war zu lang',
        say: () =>
          'Sie haben mehr gesendet, als diese Seite annimmt. Gehen Sie zurück, kürzen Sie es und versuchen Sie es noch einmal.',
      },
      'bad-request': {
        title: 'Das konnten wir nicht lesen',
        say: () =>
          'Etwas fehlte oder war ungültig. Gehen Sie zurück und versuchen Sie es noch einmal.',
      },
      unavailable: {
        title: 'Wir sind gleich wieder da',
        say: () =>
          'Ein Teil unseres Dienstes antwortet gerade nicht. Es ist nichts verloren. Versuchen Sie es in einer Minute noch einmal.',
      },
      ours: {
        title: 'Bei uns ist etwas schiefgegangen',
        say: () => 'Es lag nicht an Ihnen. Ein neuer Versuch hilft vielleicht.',
      },
    },
    soon: 'bald',
  },

  account: {
    title: 'Ihr Konto',
    you: 'Sie',
    name: 'Name',
    confirmed: 'bestätigt',
    notConfirmed: 'nicht bestätigt',
    signingIn: 'Anmelden',
    passwordOnly:
      'Sie melden sich nur mit Ihrem Passwort an. Ein Code von Ihrem Telefon hält andere auch dann fern, wenn sie Ihr Passwort kennen.',
    second: (device) =>
      html`Sie melden sich mit Ihrem Passwort und einem Code von <b><bdi>${device}</bdi></b> an.`,
    secondUnnamed:
      'Sie melden sich mit Ihrem Passwort und einem Code aus Ihrer Authenticator-App an.',
    secondSince: 'Seit',
    enrol: 'Authenticator-App einrichten',
    apps: 'Verbundene Apps',
    appsLead: 'Diese Apps können Ihr Konto nutzen.',
    none: 'Noch keine verbundenen Apps. Apps, die Sie erlauben, erscheinen hier.',
    used: 'Benutzt',
    neverUsed: 'Noch nicht benutzt',
    since: 'Seit',
    remove: (app) => html`<bdi>${app}</bdi> entfernen`,
    consequence: (app, life) =>
      html`<bdi>${app}</bdi> verliert den Zugriff ${life === undefined ? 'sofort' : `(das dauert höchstens ${life})`}. Um die App wieder zu nutzen, müssten Sie sie neu erlauben. Was sie schon gespeichert hat, bleibt bei ihr.`,
    removeNow: (app) => html`Ja, <bdi>${app}</bdi> entfernen`,
    removed: (app) => html`<bdi>${app}</bdi> ist entfernt.`,
    signOut: 'Abmelden',
  },

  mail: {
    title: 'E-Mails auf diesem Server',
    lead: 'Es ist kein Mailserver eingerichtet. E-Mails, die verschickt worden wären, stehen hier.',
    none: 'Noch keine E-Mails. Legen Sie ein Konto an, dann erscheint hier die E-Mail dazu.',
    to: 'An',
  },

  formPost: {
    title: 'Es geht zurück',
    titleFor: (app) => html`Es geht zurück zu <bdi>${app}</bdi>`,
    lead: 'Wenn nichts passiert, wählen Sie „Weiter“.',
    submit: 'Weiter',
  },
};
