import { html } from '../html.ts';
import type { Messages } from './en.ts';

// Every word of every page, in German: „Sie“, short and plain. What `en.ts` says of <bdi> holds here too.
export const de: Messages = {
  titleSuffix: (title, brand) => `${title} · ${brand}`,
  titleError: (title) => `Fehler: ${title}`,
  email: 'E-Mail',
  password: 'Passwort',
  show: html`Zeigen<span class="hide">: Passwort</span>`,
  hide: html`Verbergen<span class="hide">: Passwort</span>`,
  optional: 'Freiwillig',
  notYou: 'Nicht Sie?',
  skip: 'Zum Inhalt',
  problem: 'Etwas stimmt noch nicht',
  tooMany: 'Zu viele Versuche',
  tooManyUntil: (when) => `Sie können es ${when} wieder versuchen.`,
  tooManyLater: 'Warten Sie eine Weile und versuchen Sie es dann wieder.',

  app: {
    by: (developer) => html`von <bdi>${developer}</bdi>`,
    byVerified: (developer) => html`von <bdi>${developer}</bdi>, geprüft`,
    verified: 'Geprüft',
    ownMachine: 'auf Ihrem eigenen Gerät',
    notVerifiedShort: 'nicht geprüft',
  },

  fields: {
    emailMissing: 'Geben Sie Ihre E-Mail-Adresse ein',
    emailMalformed: 'Geben Sie eine Adresse wie name@example.com ein',
    emailTooLong: 'Diese Adresse ist zu lang für uns',
    emailUndeliverable: 'An diese Adresse kann keine Mail gehen: Ihre Domain gibt es nicht',
    emailTaken: 'Zu dieser Adresse gibt es schon ein Konto: Nehmen Sie eine andere',
    nameTooLong: 'Dieser Name ist zu lang; höchstens 100 Zeichen sind möglich',
    nameMalformed: 'Nehmen Sie einen Namen ohne E-Mail-Adresse und ohne unsichtbare Zeichen',
    passwordMissing: 'Wählen Sie ein Passwort',
    passwordTooShort: (least) => `Nehmen Sie mindestens ${least} Zeichen`,
    passwordTooLong: 'Dieses Passwort ist zu lang für uns',
    passwordCommon:
      'Viele nutzen dieses Passwort, darum ist es leicht zu erraten; wählen Sie ein anderes',
    passwordBreached: 'Dieses Passwort ist aus einem Datenleck bekannt; wählen Sie ein anderes',
    passwordPersonal:
      'Dieses Passwort ist Ihrem Namen oder Ihrer Adresse zu ähnlich; wählen Sie ein anderes',
    passwordHint: (least) =>
      `Mindestens ${least} Zeichen, ganz gleich welche. Gut sind ein paar Wörter, die nichts miteinander zu tun haben.`,
    newPassword: 'Passwort',
    name: 'Name',
  },

  signIn: {
    title: 'Anmelden',
    titleFor: (app) => html`Anmelden und weiter zu <bdi>${app}</bdi>`,
    confirmTitle: 'Bestätigen Sie, dass Sie es sind',
    confirmLead: 'Geben Sie Ihr Passwort ein, dann geht es weiter.',
    confirmLeadFor: (app) =>
      html`Geben Sie Ihr Passwort ein, dann geht es weiter zu <bdi>${app}</bdi>.`,
    submit: 'Anmelden',
    confirmSubmit: 'Weiter',
    register: 'Konto anlegen',
    incorrect: 'E-Mail oder Passwort ist falsch',
    incorrectDo: 'Prüfen Sie beides und versuchen Sie es wieder',
    incorrectPassword: 'Das Passwort ist falsch',
    incorrectPasswordDo: 'Prüfen Sie es und versuchen Sie es wieder',
    expired: html`<b>Diese Seite war zu lange offen.</b> Wir haben dort neu begonnen, wo Sie waren: Melden Sie sich einfach an.`,
  },

  register: {
    title: 'Konto anlegen',
    titleFor: (app) => html`Konto anlegen und weiter zu <bdi>${app}</bdi>`,
    submit: 'Konto anlegen',
    have: 'Schon ein Konto? Anmelden',
  },

  sent: {
    title: 'Sehen Sie in Ihr Postfach',
    lead: (email) => html`Wir haben eine E-Mail an <b>${email}</b> geschickt.`,
    leadDo: 'Öffnen Sie den Link darin, oder geben Sie hier den Code daraus ein.',
    code: 'Code aus der E-Mail',
    submit: 'Weiter',
    nothing:
      'Nichts da? Sehen Sie im Spam-Ordner nach, oder lassen Sie die E-Mail noch einmal kommen.',
    resend: 'Noch einmal schicken',
    resent: 'Wir haben sie noch einmal geschickt.',
    pause: (when) => `Die nächste können Sie ${when} kommen lassen.`,
    change: 'Andere Adresse nehmen',
    wrong: 'Dieser Code gilt nicht',
    wrongDo: 'Geben Sie den Code aus der neuesten E-Mail ein',
    wrongHint: 'Jeder Code gilt einmal, und nur der neueste.',
  },

  verify: {
    title: 'E-Mail-Adresse bestätigen',
    lead: 'Ein Klick, und wir wissen, dass diese Adresse Ihre ist.',
    leadFor: (email) => html`Ein Klick, und wir wissen, dass <b>${email}</b> Ihre Adresse ist.`,
    elsewhere:
      'Das Konto wurde in einem anderen Browser angelegt. Geben Sie das Passwort ein, das Sie dort gewählt haben. Haben Sie gar kein Konto angelegt, dann schließen Sie diese Seite.',
    incorrect: 'Das Passwort ist falsch',
    incorrectDo: 'Geben Sie das ein, das Sie für dieses Konto gewählt haben',
    submit: 'Adresse bestätigen',
    doneTitle: 'Ihre Adresse ist bestätigt',
    doneLead: 'Sie können diese Seite schließen und dort weitermachen, wo Sie waren.',
    doneNext: 'Weiter',
    doneNextFor: (app) => html`Weiter zu <bdi>${app}</bdi>`,
  },

  link: {
    title: 'Dieser Link gilt nicht mehr',
    verify:
      'Ein Link gilt einmal, und nicht lange. Haben Sie Ihre Adresse schon bestätigt, dann melden Sie sich einfach an.',
    verifyNext: 'Anmelden',
    setup:
      'Er wurde schon benutzt, oder er ist zu alt. Wer diesen Server betreibt, kann auf seiner Befehlszeile einen neuen machen.',
    setupNext: 'Anmelden',
    asked:
      'Die Frage ist schon beantwortet, oder sie hat zu lange gewartet. Wartet eine App noch auf Sie, dann beginnen Sie dort neu.',
    askedNext: 'Zu Ihrem Konto',
  },

  setup: {
    title: 'Richten Sie Ihren Server ein',
    lead: 'Ihr Konto wird das erste mit Verwaltungsrechten. Diese Seite gibt es nur einmal.',
    submit: 'Konto anlegen',
  },

  enrol: {
    title: 'Authenticator-App hinzufügen',
    lead: 'Von nun an brauchen Sie zum Anmelden Ihr Passwort und einen Code von Ihrem Telefon.',
    scan: 'Scannen Sie dies mit Ihrer App',
    qr: 'QR-Code. Können Sie ihn nicht scannen, dann nehmen Sie den Schlüssel darunter.',
    key: 'Oder tippen Sie diesen Schlüssel ein',
    copyKey: html`Kopieren<span class="hide">: Schlüssel</span>`,
    device: 'Name des Geräts',
    deviceName: 'Telefon',
    deviceMissing: 'Geben Sie dem Gerät einen Namen',
    deviceTooLong: 'Nehmen Sie höchstens 40 Zeichen',
    code: 'Code, den die App zeigt',
    submit: 'Einschalten',
    later: 'Nicht jetzt',
    wrong: 'Dieser Code gilt nicht',
    wrongDo: 'Geben Sie den Code ein, den die App gerade zeigt',
    wrongHint: 'Gilt kein Code, dann stellen Sie die Uhr Ihres Telefons auf automatisch.',
  },

  codes: {
    title: 'Bewahren Sie Ihre Notfallcodes auf',
    lead: 'Mit jedem können Sie sich einmal anmelden, wenn Ihr Telefon verloren ist. Wir können sie nicht noch einmal zeigen.',
    list: 'Notfallcodes',
    copy: html`Kopieren<span class="hide">: Codes</span>`,
    download: html`Speichern<span class="hide">: Codes</span>`,
    print: html`Drucken<span class="hide">: Codes</span>`,
    copied: 'Kopiert',
    saved: 'Ich habe sie aufbewahrt',
    submit: 'Weiter',
    notSaved: 'Bewahren Sie Ihre Codes erst auf',
    notSavedDo: 'Setzen Sie das Häkchen, sobald Sie sie aufbewahrt haben',
    notSavedHint: 'Ohne sie ist mit dem Telefon auch das Konto verloren.',
  },

  totp: {
    title: 'Geben Sie Ihren Code ein',
    lead: 'Er steht in Ihrer Authenticator-App und wechselt alle 30 Sekunden.',
    leadFor: (device) =>
      html`Er steht in der Authenticator-App auf <b><bdi>${device}</bdi></b> und wechselt alle 30 Sekunden.`,
    code: 'Sechsstelliger Code',
    submit: 'Weiter',
    recovery: 'Stattdessen einen Notfallcode nehmen',
    wrong: 'Dieser Code gilt nicht',
    wrongDo: 'Geben Sie den Code ein, den die App gerade zeigt',
    wrongHint:
      'Jeder Code gilt einmal. Haben Sie diesen gerade benutzt, dann warten Sie auf den nächsten.',
  },

  recovery: {
    title: 'Geben Sie einen Notfallcode ein',
    lead: 'Es ist einer der zehn, die Sie beim Einrichten Ihrer Authenticator-App aufbewahrt haben.',
    code: 'Notfallcode',
    submit: 'Weiter',
    totp: 'Authenticator-App nehmen',
    wrong: 'Dieser Code gilt nicht',
    wrongDo: 'Prüfen Sie ihn, oder nehmen Sie einen anderen',
    wrongHint: 'Jeder Notfallcode gilt einmal.',
  },

  words: { know: 'erfahren', see: 'sehen', change: 'ändern', stay: 'bleiben' },
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
    already: 'Was Sie schon erlaubt haben',
    nothing: 'dass Sie hier ein Konto haben, und sonst nichts über Sie',
    notVerified: (app) =>
      html`<b>Nicht geprüft.</b> Wir haben nicht nachgesehen, von wem <bdi>${app}</bdi> ist.`,
    notVerifiedGo: (host) =>
      html`Machen Sie nur weiter, wenn Sie selbst von <bdi>${host}</bdi> kommen.`,
    ownMachine: (app) =>
      html`<b>Sie läuft auf Ihrem eigenen Gerät.</b> Ein anderes Programm dort könnte sich als <bdi>${app}</bdi> ausgeben: Machen Sie nur weiter, wenn Sie die App gerade selbst gestartet haben.`,
    deny: 'Nicht erlauben',
    allow: 'Erlauben',
    back: (host) => html`Sie kommen zurück zu <bdi>${host}</bdi>.`,
    backOwnMachine: 'Sie kommen zurück zur App auf diesem Gerät.',
    takeBack: 'Das können Sie jederzeit zurücknehmen.',
    account: 'Verbundene Apps',
    privacy: 'Datenschutz',
    terms: 'Bedingungen',
    emailAndUsername: 'Ihre E-Mail-Adresse und Ihren Benutzernamen',
    eachTime: 'Sie werden jedes Mal gefragt.',
    remembered: 'Nach genau diesem werden Sie nicht wieder gefragt.',
    everything: 'Alles, worum sie bittet',
    registeredItself: (app) =>
      html`<b>Nicht geprüft.</b> Diese App hat sich selbst registriert und sich den Namen <bdi>${app}</bdi> gegeben. Wir wissen nicht, von wem sie ist.`,
    published: (app, host) =>
      html`<b>Nicht geprüft.</b> <bdi>${host}</bdi> sagt, dass dies <bdi>${app}</bdi> ist. Wir haben nicht nachgesehen, von wem die App ist.`,
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
    lead: 'Sie sind hier angemeldet als',
    submit: 'Mit diesem Konto weiter',
    other: 'Anderes Konto nehmen',
  },

  device: {
    title: 'Gerät verbinden',
    lead: 'Geben Sie den Code ein, den es zeigt.',
    code: 'Code auf dem Gerät',
    submit: 'Weiter',
    wrong: 'Dieser Code gilt nicht',
    wrongDo: 'Vergleichen Sie ihn mit dem auf dem Gerät',
    wrongHint: 'Ein Code gilt einmal, und nicht lange. Das Gerät kann Ihnen einen neuen zeigen.',
  },

  request: {
    deviceTitle: 'Ist das Ihr Gerät?',
    cibaTitle: (app) => html`<bdi>${app}</bdi> bittet um Ihre Antwort`,
    compareCode: 'Erlauben Sie es nur, wenn dort gerade dieser Code steht:',
    compareMessage:
      'Erlauben Sie es nur, wenn dort, wo Sie es begonnen haben, auch das hier steht:',
    noMessage: 'Erlauben Sie es nur, wenn Sie es gerade selbst begonnen haben.',
    app: 'App',
    asked: 'Gefragt',
    fromNetwork: (when, address) =>
      html`${when}, aus einem anderen Netz als Ihrem (<bdi>${address}</bdi>)`,
    warning:
      'Niemand, der Sie anruft oder Ihnen schreibt, braucht das. Hat jemand Sie gebeten, diese Seite zu öffnen, dann hören Sie hier auf.',
    warningApp:
      'Niemand, der Sie anruft oder Ihnen schreibt, braucht Ihre Erlaubnis. Haben Sie es nicht selbst begonnen, dann erlauben Sie es nicht.',
    deviceDone: (app) => html`<bdi>${app}</bdi> ist angemeldet`,
    cibaDone: (app) => html`<bdi>${app}</bdi> hat Ihre Antwort`,
    denied: (app) => html`Sie haben <bdi>${app}</bdi> nicht hereingelassen`,
    backToDevice: 'Sie können diese Seite schließen und zum Gerät zurückgehen.',
    backToApp: 'Sie können diese Seite schließen und dorthin zurückgehen, wo Sie begonnen haben.',
    deniedLead: 'Nichts wurde preisgegeben. Sie können diese Seite schließen.',
    see: 'Ansehen, was sie darf',
  },

  signOut: {
    title: 'Abmelden?',
    lead: (brand) => `Damit endet Ihre Sitzung bei ${brand} in diesem Browser.`,
    leadFor: (app, brand) =>
      html`Sie verlassen <bdi>${app}</bdi>. Auch bei ${brand} in diesem Browser abmelden?`,
    stay: 'Angemeldet bleiben',
    submit: 'Abmelden',
    doneTitle: 'Sie sind abgemeldet',
    doneLead: 'Sie können diese Seite jetzt schließen.',
    again: 'Wieder anmelden',
  },

  error: {
    request: 'Anfrage',
    time: 'Zeit',
    developers: 'Für Entwickler',
    start: 'Neu beginnen',
    home: 'Zu Ihrem Konto',
    byApp: 'Beheben kann das nur, wer die App anbietet. Schicken Sie diese zwei Zeilen dorthin:',
    byAppNamed: (app) =>
      html`Beheben kann das nur, wer <bdi>${app}</bdi> anbietet. Schicken Sie diese zwei Zeilen dorthin:`,
    byUs: (brand) =>
      `Beheben kann das nur, wer ${brand} betreibt. Schicken Sie diese zwei Zeilen dorthin:`,
    byYou: (brand) =>
      `Kommt das immer wieder, dann schicken Sie diese zwei Zeilen an die Betreiber von ${brand}:`,
    byLink: (brand) =>
      `Hat ein Link von uns Sie hierher geführt, dann schicken Sie diese zwei Zeilen an die Betreiber von ${brand}:`,
    thisApp: 'Die App',
    kinds: {
      'app-unknown': {
        title: 'Wir kennen diese App nicht',
        say: () =>
          'Der Link, der Sie hierher geführt hat, ist von einer App, die bei uns nicht registriert ist. Sie haben nichts preisgegeben.',
      },
      'app-redirect': {
        title: 'Diese Anmeldung wurde angehalten',
        say: (app) =>
          html`<bdi>${app}</bdi> wollte, dass wir Sie an eine Adresse schicken, die bei uns nicht hinterlegt ist. Darum sind Sie noch hier. Sie haben nichts preisgegeben.`,
      },
      'app-request': {
        title: 'Diese Anmeldung wurde angehalten',
        say: (app) =>
          html`<bdi>${app}</bdi> hat uns eine Anfrage geschickt, die wir nicht beantworten können. Sie haben nichts preisgegeben.`,
      },
      expired: {
        title: 'Diese Seite war zu lange offen',
        say: () =>
          'Zu Ihrer Sicherheit wartet eine Anmeldung nicht ewig. Nichts wurde preisgegeben. Beginnen Sie dort neu, wo Sie herkamen.',
      },
      'other-browser': {
        title: 'Das begann in einem anderen Browser',
        say: () =>
          'Eine Anmeldung endet in dem Browser, in dem sie begann. Gehen Sie dorthin zurück, oder beginnen Sie hier neu.',
      },
      forged: {
        title: 'Wir waren nicht sicher, ob Sie es sind',
        say: () =>
          'Vielleicht ist die Seite zu alt, oder Ihr Browser behält keine Cookies für uns. Erlauben Sie sie, und beginnen Sie neu.',
      },
      'sign-in-stopped': {
        title: 'Sie wurden nicht angemeldet',
        say: () => 'Die Anmeldung wurde vor ihrem Ende angehalten. Nichts hat sich geändert.',
      },
      forbidden: {
        title: 'Das ist für Sie nicht offen',
        say: () => 'Ihr Konto darf diese Seite nicht nutzen.',
      },
      'not-yours': {
        title: 'Diese Frage ging an ein anderes Konto',
        say: (app) =>
          html`<bdi>${app}</bdi> fragt die Person, an deren Adresse der Link ging. Öffnen Sie den Link noch einmal und melden Sie sich als diese Person an, oder lassen Sie es: Nichts wurde preisgegeben.`,
      },
      'not-found': {
        title: 'Hier ist nichts',
        say: () => 'Vielleicht ist die Adresse vertippt, oder es gibt die Seite nicht mehr.',
      },
      'too-many': {
        title: 'Zu viele Versuche',
        say: (_app, when) =>
          `Wir zählen Versuche, damit Konten sicher bleiben. Sie können es ${when} wieder versuchen.`,
      },
      'too-large': {
        title: 'Das war zu viel',
        say: () =>
          'Was geschickt wurde, ist größer, als diese Seite annimmt. Kürzen Sie es und versuchen Sie es wieder.',
      },
      'bad-request': {
        title: 'Das konnten wir nicht lesen',
        say: () =>
          'In der Anfrage fehlte etwas, oder etwas war falsch geschrieben. Gehen Sie zurück und versuchen Sie es wieder.',
      },
      unavailable: {
        title: 'Wir sind gleich wieder da',
        say: () =>
          'Etwas, das wir brauchen, antwortet gerade nicht. Nichts ist verloren; versuchen Sie es in einer Minute wieder.',
      },
      ours: {
        title: 'Bei uns ist etwas kaputtgegangen',
        say: () => 'Das lag nicht an Ihnen, und ein neuer Versuch hilft vielleicht.',
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
      'Zum Anmelden genügt Ihr Passwort. Ein Code von Ihrem Telefon hält andere auch dann fern, wenn sie es kennen.',
    second: (device) => html`Ihr Passwort und ein Code von <b><bdi>${device}</bdi></b>.`,
    secondUnnamed: 'Ihr Passwort und ein Code aus Ihrer Authenticator-App.',
    secondSince: 'Seit',
    enrol: 'Authenticator-App hinzufügen',
    apps: 'Verbundene Apps',
    appsLead: 'Diese Apps dürfen Ihr Konto nutzen.',
    none: 'Keine App darf Ihr Konto nutzen. Lassen Sie eine herein, dann steht sie hier, und hier können Sie es zurücknehmen.',
    used: 'Benutzt',
    neverUsed: 'Noch nicht benutzt',
    since: 'Seit',
    remove: (app) => html`<bdi>${app}</bdi> entfernen`,
    consequence: (app, life) =>
      html`Danach kann <bdi>${app}</bdi> nichts mehr verlangen. Was die App schon hat, gilt ${life === undefined ? 'sofort nicht mehr' : `noch höchstens ${life}`}. Was sie über Sie gespeichert hat, behält sie.`,
    removeNow: (app) => html`Ja, <bdi>${app}</bdi> entfernen`,
    removed: (app) => html`<bdi>${app}</bdi> ist entfernt.`,
    signOut: 'Abmelden',
  },

  mail: {
    title: 'Aufbewahrte E-Mails',
    lead: 'Dieser Server verschickt keine E-Mails. Was er verschickt hätte, steht hier.',
    none: 'Noch nichts. Legen Sie ein Konto an, dann steht seine E-Mail hier.',
    to: 'An',
  },

  formPost: {
    title: 'Es geht zurück',
    titleFor: (app) => html`Es geht zurück zu <bdi>${app}</bdi>`,
    lead: 'Geschieht nichts, dann drücken Sie auf den Knopf.',
    submit: 'Weiter',
  },
};
