import { type Html, html, type Words } from '../html.ts';

// Every word of every page, in English. Another language is another file with the same keys (`Messages`).
// Names come from people and apps: <bdi> keeps a right-to-left one, or one with hidden direction
// marks, from reordering the sentence around it.
export const en = {
  titleSuffix: (title: string, brand: string) => `${title} · ${brand}`,
  titleError: (title: string) => `Error: ${title}`,
  email: 'Email',
  password: 'Password',
  show: html`Show<span class="hide"> password</span>`,
  hide: html`Hide<span class="hide"> password</span>`,
  optional: 'Optional',
  notYou: 'Not you?',
  skip: 'Skip to content',
  problem: 'There’s a problem',
  tooMany: 'Too many tries',
  tooManyUntil: (when: string) => `You can try again ${when}.`,
  tooManyLater: 'Wait a while, then try again.',

  app: {
    by: (developer: string) => html`by <bdi>${developer}</bdi>`,
    byVerified: (developer: string) => html`by <bdi>${developer}</bdi>, verified`,
    verified: 'Verified',
    ownMachine: 'on your own device',
    notVerifiedShort: 'not verified',
  },

  fields: {
    emailMissing: 'Enter your email',
    emailMalformed: 'Enter an email like name@example.com',
    emailTooLong: 'That email is too long for us to keep',
    emailUndeliverable: 'No mail can reach that email: its domain does not exist',
    emailTaken: 'There is an account with that email already: use another one',
    nameTooLong: 'That name is too long; 100 characters are the most we keep',
    nameMalformed: 'Use a name without an email or hidden characters',
    passwordMissing: 'Choose a password',
    passwordTooShort: (least: number) => `Use at least ${least} characters`,
    passwordTooLong: 'That password is too long for us to take',
    passwordCommon: 'Many people use that password, so it’s easily guessed; choose another',
    passwordBreached: 'That password is known from a data breach; choose another',
    passwordPersonal: 'That password is too close to your name or email; choose another',
    passwordHint: (least: number) =>
      `At least ${least} characters. A few unrelated words do well; any characters will do.`,
    newPassword: 'Password',
    name: 'Name',
  },

  signIn: {
    title: 'Sign in',
    titleFor: (app: string) => html`Sign in to continue to <bdi>${app}</bdi>`,
    confirmTitle: 'Confirm it’s you',
    confirmLead: 'Enter your password to go on.',
    confirmLeadFor: (app: string) => html`Enter your password to go on to <bdi>${app}</bdi>.`,
    submit: 'Sign in',
    confirmSubmit: 'Continue',
    register: 'Create an account',
    incorrect: 'Incorrect email or password',
    incorrectDo: 'Check both and try again',
    incorrectPassword: 'Incorrect password',
    incorrectPasswordDo: 'Check it and try again',
    expired: html`<b>This page was left too long.</b> We’ve started again where you were: just sign in.`,
  },

  register: {
    title: 'Create an account',
    titleFor: (app: string) => html`Create an account to continue to <bdi>${app}</bdi>`,
    submit: 'Create account',
    have: 'Have an account? Sign in',
  },

  sent: {
    title: 'Check your email',
    lead: (email: string) => html`We’ve sent a mail to <b>${email}</b>`,
    leadDo: 'Open its link, or enter its code here.',
    code: 'Code from the mail',
    submit: 'Continue',
    nothing: 'Nothing there? Look in your junk mail, or have it sent again.',
    resend: 'Send it again',
    resent: 'We’ve sent it again.',
    pause: (when: string) => `You can ask for another ${when}.`,
    change: 'Use another address',
    wrong: 'That code didn’t work',
    wrongDo: 'Enter the code from the newest mail',
    wrongHint: 'Each code works once, and only the newest one works.',
  },

  verify: {
    title: 'Confirm your email',
    lead: 'One press, and we know that this address is yours.',
    leadFor: (email: string) => html`One press, and we know that <b>${email}</b> is yours.`,
    elsewhere:
      'The account was asked for in another browser. Enter the password that you chose there. If you didn’t ask for an account, close this page.',
    incorrect: 'Incorrect password',
    incorrectDo: 'Enter the one you chose for this account',
    submit: 'Confirm email',
    doneTitle: 'Your email is confirmed',
    doneLead: 'You can close this page, and go on where you were.',
    doneNext: 'Continue',
    doneNextFor: (app: string) => html`Continue to <bdi>${app}</bdi>`,
  },

  link: {
    title: 'This link no longer works',
    verify:
      'A link works once, and not for long. If you’ve already confirmed your email, just sign in.',
    verifyNext: 'Sign in',
    setup:
      'It was used already, or it’s too old. Whoever runs this server can make a new one from its command line.',
    setupNext: 'Sign in',
    asked:
      'It was answered already, or it waited too long. If an app still waits for you, start again there.',
    askedNext: 'Go to your account',
  },

  setup: {
    title: 'Set up your server',
    lead: 'Your account will be its first administrator. This page works once.',
    submit: 'Create administrator',
  },

  enrol: {
    title: 'Add an authenticator app',
    lead: 'From now on, signing in takes your password and a code from your phone.',
    scan: 'Scan this with your app',
    qr: 'QR code. If you can’t scan it, use the setup key below.',
    key: 'Or type this setup key',
    copyKey: html`Copy<span class="hide"> the setup key</span>`,
    device: 'Name this device',
    // What most people set up; they may say it otherwise.
    deviceName: 'Phone',
    deviceMissing: 'Give the device a name',
    deviceTooLong: 'Use at most 40 characters',
    code: 'Enter the code it shows',
    submit: 'Turn on',
    later: 'Not now',
    wrong: 'That code didn’t work',
    wrongDo: 'Enter the code that shows now',
    wrongHint: 'If codes keep failing, set your phone’s clock to automatic.',
  },

  codes: {
    title: 'Save your recovery codes',
    lead: 'Each signs you in once if you lose your phone. We can’t show them again.',
    list: 'Recovery codes',
    copy: html`Copy<span class="hide"> the codes</span>`,
    download: html`Download<span class="hide"> the codes</span>`,
    print: html`Print<span class="hide"> the codes</span>`,
    copied: 'Copied',
    saved: 'I have saved these',
    submit: 'Continue',
    notSaved: 'Save your codes first',
    notSavedDo: 'Tick the box once you have saved them',
    notSavedHint: 'Without them, a lost phone means a lost account.',
  },

  totp: {
    title: 'Enter your code',
    lead: 'It’s in your authenticator app, and changes every 30 seconds.',
    leadFor: (device: string) =>
      html`It’s in the authenticator app on <b><bdi>${device}</bdi></b>, and changes every 30 seconds.`,
    code: 'Six-digit code',
    submit: 'Continue',
    recovery: 'Use a recovery code instead',
    wrong: 'That code didn’t work',
    wrongDo: 'Enter the code that shows now',
    wrongHint: 'Each code works once. If you’ve just used this one, wait for the next.',
  },

  recovery: {
    title: 'Enter a recovery code',
    lead: 'It’s one of the ten that you saved when you set up your authenticator app.',
    code: 'Recovery code',
    submit: 'Continue',
    totp: 'Use your authenticator app',
    wrong: 'That code didn’t work',
    wrongDo: 'Check it, or try another one',
    wrongHint: 'Each recovery code works once.',
  },

  words: { know: 'know', see: 'see', change: 'change', stay: 'stay' },
  stay: 'connected while you’re not using it',
  notSet: 'not set',
  yes: 'yes',
  no: 'no',
  claims: {
    sub: 'an ID that stands for you',
    name: 'your name',
    given_name: 'your first name',
    family_name: 'your last name',
    middle_name: 'your middle name',
    nickname: 'your nickname',
    preferred_username: 'your username',
    profile: 'your profile page',
    picture: 'your picture',
    website: 'your website',
    email: 'your email',
    email_verified: 'whether your email is confirmed',
    gender: 'your gender',
    birthdate: 'your date of birth',
    zoneinfo: 'your time zone',
    locale: 'your language',
    phone_number: 'your phone number',
    phone_number_verified: 'whether your phone number is confirmed',
    address: 'your postal address',
    updated_at: 'when your details last changed',
    groups: 'your groups',
  } as Record<string, string>,

  consent: {
    title: (app: string) => html`Let <bdi>${app}</bdi> use your account?`,
    titleMore: (app: string) => html`<bdi>${app}</bdi> asks for more`,
    may: (app: string) => html`<bdi>${app}</bdi> will be able to`,
    mayMore: (app: string) => html`<bdi>${app}</bdi> will also be able to`,
    already: 'What you’ve allowed already',
    nothing: 'that you have an account here, and nothing else about you',
    emailAndUsername: 'your email and username',
    eachTime: 'You’ll be asked each time.',
    remembered: 'You won’t be asked again for exactly this.',
    everything: 'Everything it asks for',
    notVerified: (app: string) =>
      html`<b>Not verified.</b> We haven’t checked who makes <bdi>${app}</bdi>.`,
    registeredItself: (app: string) =>
      html`<b>Not verified.</b> This app has registered itself, and chose the name <bdi>${app}</bdi>. We don’t know who makes it.`,
    published: (app: string, host: string) =>
      html`<b>Not verified.</b> <bdi>${host}</bdi> says that this is <bdi>${app}</bdi>. We haven’t checked who makes it.`,
    notVerifiedGo: (host: string) => html`Go on only if you came from <bdi>${host}</bdi> yourself.`,
    ownMachine: (app: string) =>
      html`<b>It runs on your own device.</b> Another program there could pose as <bdi>${app}</bdi>: go on only if you’ve just started it yourself.`,
    deny: 'Don’t allow',
    allow: 'Allow',
    back: (host: string) => html`You’ll go back to <bdi>${host}</bdi>.`,
    backOwnMachine: 'You’ll go back to the app on this device.',
    takeBack: 'You can take this back at any time.',
    account: 'Connected apps',
    privacy: 'Privacy notice',
    terms: 'Terms',
    changed: (app: string) =>
      html`<b><bdi>${app}</bdi> has changed since you allowed it.</b> Check whether you still want to allow it:`,
    changedName: (from: string, to: string) =>
      html`It was called <bdi>${from}</bdi> and is now called <bdi>${to}</bdi>.`,
    changedPlace: (places: string) => html`It can now send you to <bdi>${places}</bdi>.`,
    changedAuthentication: 'It is now protected less well against others who pose as it.',
    changedSomehow: 'Its name, or the addresses that it can send you to, are different.',
    changedMeanwhile: (app: string) => html`<bdi>${app}</bdi> changed while this page was open`,
    changedMeanwhileDo: 'Check what it says now, then decide',
    undecided: 'Nothing is decided yet',
    undecidedDo: 'Choose “Don’t allow” or “Allow”',
  },

  choose: {
    title: 'Choose an account',
    titleFor: (app: string) => html`Choose an account for <bdi>${app}</bdi>`,
    lead: 'You’re signed in here as',
    submit: 'Continue with this account',
    other: 'Use another account',
  },

  device: {
    title: 'Connect a device',
    lead: 'Enter the code that it shows.',
    code: 'Code on the device',
    submit: 'Continue',
    wrong: 'That code didn’t work',
    wrongDo: 'Check it on the device’s screen',
    wrongHint: 'A code works once, and not for long. The device can show you a new one.',
  },

  request: {
    deviceTitle: 'Is this your device?',
    cibaTitle: (app: string) => html`<bdi>${app}</bdi> asks for your answer`,
    compareCode: 'Allow it only if this code is on its screen now:',
    compareMessage: 'Allow it only if you see this message where you started it, too:',
    noMessage: 'Allow it only if you’ve just started it yourself.',
    app: 'App',
    asked: 'Asked',
    fromNetwork: (when: Words, address: string) =>
      html`${when}, from another network than yours (<bdi>${address}</bdi>)`,
    warning:
      'Nobody who calls or writes to you needs this. If someone asked you to open this page, stop here.',
    warningApp:
      'Nobody who calls or writes to you needs you to allow this. If you didn’t start it yourself, don’t.',
    deviceDone: (app: string) => html`<bdi>${app}</bdi> is signed in`,
    cibaDone: (app: string) => html`<bdi>${app}</bdi> has your answer`,
    denied: (app: string) => html`You didn’t let <bdi>${app}</bdi> in`,
    backToDevice: 'You can close this page and go back to the device.',
    backToApp: 'You can close this page and go back to where you started.',
    deniedLead: 'Nothing was shared. You can close this page.',
    see: 'See what it may do',
  },

  signOut: {
    title: 'Sign out?',
    lead: (brand: string) => `This ends your session with ${brand} in this browser.`,
    leadFor: (app: string, brand: string) =>
      html`You’re leaving <bdi>${app}</bdi>. Sign out of ${brand} in this browser too?`,
    stay: 'Stay signed in',
    submit: 'Sign out',
    doneTitle: 'You’re signed out',
    doneLead: 'You can close this page now.',
    again: 'Sign in again',
  },

  error: {
    request: 'Request',
    time: 'Time',
    developers: 'For developers',
    start: 'Start again',
    home: 'Go to your account',
    byApp: 'The people who make the app can mend this. Send them these two lines:',
    byAppNamed: (app: string) =>
      html`The people who make <bdi>${app}</bdi> can mend this. Send them these two lines:`,
    byUs: (brand: string) =>
      `The people who run ${brand} can mend this. Send them these two lines:`,
    byYou: (brand: string) =>
      `If it keeps happening, send the people who run ${brand} these two lines:`,
    byLink: (brand: string) =>
      `If a link of ours brought you here, send the people who run ${brand} these two lines:`,
    thisApp: 'The app',
    kinds: {
      'app-unknown': {
        title: 'We don’t know this app',
        say: () =>
          'The link that brought you here is from an app that isn’t registered with us. You’ve shared nothing.',
      },
      'app-redirect': {
        title: 'This sign-in was stopped',
        say: (app: string) =>
          html`<bdi>${app}</bdi> asked us to send you to an address that it hasn’t registered, so we kept you here. You’ve shared nothing.`,
      },
      'app-request': {
        title: 'This sign-in was stopped',
        say: (app: string) =>
          html`<bdi>${app}</bdi> sent us a request that we can’t answer. You’ve shared nothing.`,
      },
      expired: {
        title: 'This page was left too long',
        say: () =>
          'To keep you safe, a sign-in doesn’t wait for ever. Nothing was shared. Start again from where you came.',
      },
      'other-browser': {
        title: 'This began in another browser',
        say: () =>
          'A sign-in ends in the browser that it began in. Go back to that one, or start again in this one.',
      },
      forged: {
        title: 'We couldn’t be sure it was you',
        say: () =>
          'The page may be too old, or your browser keeps no cookies for this site. Allow them, then start again.',
      },
      'sign-in-stopped': {
        title: 'You weren’t signed in',
        say: () => 'The sign-in was stopped before it was done. Nothing has changed.',
      },
      'not-yours': {
        title: 'This was asked of another account',
        say: (app: string) =>
          html`<bdi>${app}</bdi> asks the person whose mail the link came in. Open the link again and sign in as that person, or leave it: nothing was shared.`,
      },
      forbidden: {
        title: 'This isn’t open to you',
        say: () => 'Your account may not use this page.',
      },
      'not-found': {
        title: 'There’s nothing here',
        say: () => 'The address may be mistyped, or the page may have gone.',
      },
      'too-many': {
        title: 'Too many tries',
        say: (_app: string, when: string) =>
          `We count tries to keep accounts safe. You can try again ${when}.`,
      },
      'too-large': {
        title: 'That was too much',
        say: () => 'What was sent is larger than this page takes. Shorten it and try again.',
      },
      'bad-request': {
        title: 'We couldn’t read that',
        say: () => 'Something in the request was missing or malformed. Go back and try again.',
      },
      unavailable: {
        title: 'We’ll be back in a moment',
        say: () =>
          'Something that we rely on isn’t answering. Nothing was lost; try again in a minute.',
      },
      ours: {
        title: 'Something broke on our side',
        say: () => 'It wasn’t anything you did, and trying again may help.',
      },
    },
    soon: 'soon',
  },

  account: {
    title: 'Your account',
    you: 'You',
    name: 'Name',
    confirmed: 'confirmed',
    notConfirmed: 'not confirmed',
    signingIn: 'Signing in',
    passwordOnly:
      'Your password alone signs you in. A code from your phone keeps others out even if they learn it.',
    second: (device: string) => html`Your password, and a code from <b><bdi>${device}</bdi></b>.`,
    secondUnnamed: 'Your password, and a code from your authenticator app.',
    secondSince: 'Since',
    enrol: 'Add an authenticator app',
    apps: 'Connected apps',
    appsLead: 'These apps may use your account.',
    none: 'No app may use your account. When you let one in, it shows here, and here you can take it back.',
    used: 'Used',
    neverUsed: 'Not used yet',
    since: 'Since',
    remove: (app: string) => html`Remove <bdi>${app}</bdi>`,
    consequence: (app: string, life: string | undefined) =>
      html`From then on <bdi>${app}</bdi> can ask for nothing more. What it already holds stops working ${life === undefined ? 'at once' : `within ${life}`}. What it has stored about you stays with it.`,
    removeNow: (app: string) => html`Yes, remove <bdi>${app}</bdi>`,
    removed: (app: string) => html`<bdi>${app}</bdi> is removed.`,
    signOut: 'Sign out',
  },

  mail: {
    title: 'Mail kept here',
    lead: 'This server isn’t set up to send mail. What it would have sent is kept here.',
    none: 'Nothing yet. Create an account, and its mail shows here.',
    to: 'To',
  },

  formPost: {
    title: 'Going back',
    titleFor: (app: string) => html`Going back to <bdi>${app}</bdi>`,
    lead: 'If nothing happens, press the button.',
    submit: 'Continue',
  },
};

/** Another language may put markup where English has none, but never another parameter. */
type Translation<T> = T extends string | Html
  ? Words
  : T extends (...args: infer A) => unknown
    ? (...args: A) => Words
    : { [K in keyof T]: Translation<T[K]> };

/** The keys that every language has. One that is missing, or takes other parameters, does not compile. */
export type Messages = Translation<typeof en>;
