import { type Html, html, type Words } from '../html.ts';

// Every word of every page, in English. Another language is another file with the same keys (`Messages`).
// Names are chosen by users and apps: <bdi> keeps a right-to-left one, or one with hidden direction marks, from
// reordering the sentence around it.
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
  tooMany: 'Too many attempts',
  tooManyUntil: (when: string) => `Try again ${when}.`,
  tooManyLater: 'Wait a while, then try again.',

  app: {
    by: (developer: string) => html`by <bdi>${developer}</bdi>`,
    byVerified: (developer: string) => html`by <bdi>${developer}</bdi>, verified`,
    verified: 'Verified',
    ownMachine: 'on this device',
    otherDevice: 'on another device',
    notVerifiedShort: 'not verified',
  },

  fields: {
    emailMissing: 'Enter your email address',
    emailMalformed: 'Enter an email address like name@example.com',
    emailTooLong: 'Use an email address of at most 254 characters',
    emailUndeliverable: 'No email can reach this address: its domain does not exist',
    emailTaken: 'This email address already has an account. Use another one',
    nameTooLong: 'Use at most 100 characters',
    nameMalformed: 'Use a name without an email address or hidden characters',
    passwordMissing: 'Choose a password',
    passwordTooShort: (least: number) => `Use at least ${least} characters`,
    passwordTooLong: 'This password is too long. Choose a shorter one',
    passwordCommon: 'This password is too common. Choose another one',
    passwordBreached: 'This password has appeared in a data breach. Choose another one',
    passwordPersonal: 'This password is too similar to your name or email. Choose another one',
    passwordHint: (least: number) => `At least ${least} characters. Try four unrelated words.`,
    newPassword: 'Password',
    name: 'Name',
  },

  signIn: {
    title: 'Sign in',
    titleFor: (app: string) => html`Sign in to continue to <bdi>${app}</bdi>`,
    confirmTitle: 'Confirm it’s you',
    confirmLead: 'Enter your password to continue.',
    confirmLeadFor: (app: string) => html`Enter your password to continue to <bdi>${app}</bdi>.`,
    submit: 'Sign in',
    confirmSubmit: 'Continue',
    register: 'Create an account',
    incorrect: 'Incorrect email or password',
    incorrectDo: 'Check both and try again',
    incorrectNew: 'New here? Open the link in our email first, to confirm your email address.',
    incorrectPassword: 'Incorrect password',
    incorrectPasswordDo: 'Check it and try again',
    expired: html`<b>This sign-in had expired.</b> We’ve started it again. Sign in to continue.`,
  },

  register: {
    title: 'Create an account',
    titleFor: (app: string) => html`Create an account to continue to <bdi>${app}</bdi>`,
    submit: 'Create account',
    have: 'Have an account? Sign in',
  },

  sent: {
    title: 'Check your email',
    lead: (email: string) => html`We’ve sent an email to <b>${email}</b>.`,
    leadDo: 'Open the link in it, or enter the code here.',
    code: 'Code from the email',
    submit: 'Continue',
    nothing: 'No email? Check your spam folder, or send it again.',
    resend: 'Send it again',
    resent: 'We’ve sent it again.',
    pause: (when: string) => `You can send it again ${when}.`,
    change: 'Use another email address',
    wrong: 'That code didn’t work',
    wrongDo: 'Enter the code from the newest email',
    wrongHint: 'Each code works once, and only the newest one works.',
  },

  verify: {
    title: 'Confirm your email address',
    lead: 'Is this address yours? Confirm it to finish.',
    leadFor: (email: string) => html`Is <b>${email}</b> your address? Confirm it to finish.`,
    elsewhere:
      'You created this account in another browser. Enter the password that you chose there. If you didn’t create an account, close this page.',
    incorrect: 'Incorrect password',
    incorrectDo: 'Enter the password that you chose for this account',
    submit: 'Confirm email address',
    doneTitle: 'Your email address is confirmed',
    doneLead: 'You can close this page and continue where you signed in.',
    doneNext: 'Continue',
    doneNextFor: (app: string) => html`Continue to <bdi>${app}</bdi>`,
  },

  link: {
    title: 'This link no longer works',
    verify:
      'Links work once and expire after 24 hours. If you’ve already confirmed your email address, sign in.',
    verifyNext: 'Sign in',
    setup:
      'Setup links work once and expire after an hour. The operator of this server can create a new one on the command line.',
    setupNext: 'Sign in',
    setupDone: 'This server is already set up. Sign in with your account.',
    asked:
      'You’ve already answered, or the request has expired. If the app is still waiting, start again there.',
    askedNext: 'Go to your account',
  },

  setup: {
    title: 'Set up your server',
    lead: 'Create the first administrator. This page works once.',
    submit: 'Create administrator',
    doneTitle: 'Your server is ready',
    doneLead: (email: string) =>
      html`We’ve created the administrator account <b>${email}</b>. Its email address counts as confirmed.`,
    doneFirst: 'Next steps',
    doneSignIn:
      'Sign in. Administrators need a second factor: you’ll set up an authenticator app, so have your phone ready.',
    doneCodes: 'Save the recovery codes you get. They’re the way back in if you lose your phone.',
    doneApps: html`Register your first app with the command line: <code class="code">client create</code>.`,
    doneSubmit: 'Sign in',
  },

  enrol: {
    title: 'Set up an authenticator app',
    lead: 'Once it’s on, you’ll sign in with your password and a code from your phone.',
    reasons: {
      administrator: 'Administrators need a second factor to sign in.',
      everyone: (brand: string) => `Everyone who signs in to ${brand} needs a second factor.`,
      app: (app: string) =>
        html`<bdi>${app}</bdi> requires a second factor, and you haven’t set one up yet.`,
    },
    open: 'Open in your authenticator app',
    openOr: 'Using another phone? Scan or type the key there.',
    scan: 'Scan this with your authenticator app',
    qr: 'QR code. If you can’t scan it, use the setup key below.',
    key: 'Or type this setup key',
    copyKey: html`Copy<span class="hide"> the setup key</span>`,
    device: 'Name this device',
    // What most people set up; they can change it.
    deviceName: 'Phone',
    deviceMissing: 'Give the device a name',
    deviceTooLong: 'Use at most 40 characters',
    code: 'Enter the code from the app',
    submit: 'Turn on',
    later: 'Not now',
    wrong: 'That code didn’t work',
    wrongDo: 'Enter the code that the app shows now',
    wrongHint: 'If codes keep failing, set your phone’s date and time to automatic.',
    late: 'That code has expired',
    lateHint:
      'It was right a moment ago. If this happens again, your phone’s clock is slow: set date and time to automatic.',
  },

  codes: {
    title: 'Save your recovery codes',
    lead: 'If you lose your phone, each code signs you in once. You won’t see them again after this page.',
    list: 'Recovery codes',
    copy: html`Copy<span class="hide"> the codes</span>`,
    download: html`Download<span class="hide"> the codes</span>`,
    print: html`Print<span class="hide"> the codes</span>`,
    copied: 'Copied',
    saved: 'I have saved these',
    submit: 'Continue',
    notSaved: 'Save your codes first',
    notSavedDo: 'Tick the box once you’ve saved them',
    notSavedHint: 'Without them, you could lose your account with your phone.',
  },

  totp: {
    title: 'Enter your code',
    lead: 'It’s in your authenticator app and changes every 30 seconds.',
    leadFor: (device: string) =>
      html`It’s in the authenticator app on <b><bdi>${device}</bdi></b> and changes every 30 seconds.`,
    code: 'Six-digit code',
    submit: 'Continue',
    recovery: 'Use a recovery code instead',
    wrong: 'That code didn’t work',
    wrongDo: 'Enter the code that the app shows now',
    wrongHint: 'Each code works once. If you’ve just used this one, wait for the next.',
    late: 'That code has expired',
    lateHint:
      'It was right a moment ago. If this happens again, your phone’s clock is slow: set date and time to automatic.',
  },

  recovery: {
    title: 'Enter a recovery code',
    lead: 'It’s one of the ten codes you saved when you set up your authenticator app.',
    code: 'Recovery code',
    submit: 'Continue',
    totp: 'Use your authenticator app',
    wrong: 'That code didn’t work',
    wrongDo: 'Check it, or try another one',
    wrongHint: 'Each recovery code works once.',
  },

  words: { know: 'know', use: 'use', stay: 'stay' },
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
    optional: 'Everything you can untick is optional.',
    inApi: (api: string) => html`In <bdi>${api}</bdi>`,
    already: 'What you’ve already allowed',
    nothing: 'that you have an account here, and nothing else about you',
    emailAndUsername: 'your email and username',
    emailConfirmed: 'that your email is confirmed',
    emailNotConfirmed: 'that your email isn’t confirmed',
    withheld: (claims: Words) => html`Not shared: ${claims}`,
    eachTime: 'You’ll be asked each time.',
    remembered: 'You won’t be asked again for exactly this.',
    everything: 'Everything it asks for',
    notVerified: (app: string) =>
      html`<b>Not verified.</b> We haven’t checked who makes <bdi>${app}</bdi>.`,
    registeredItself: (app: string) =>
      html`<b>Not verified.</b> This app registered itself and chose the name <bdi>${app}</bdi>. We don’t know who makes it.`,
    published: (app: string, host: string) =>
      html`<b>Not verified.</b> <bdi>${host}</bdi> says that this is <bdi>${app}</bdi>. We haven’t checked who makes it.`,
    notVerifiedGo: (host: string) =>
      html`Continue only if you came from <bdi>${host}</bdi> yourself.`,
    ownMachine: (app: string) =>
      html`<b>It runs on this device.</b> Another program here could pretend to be <bdi>${app}</bdi>. Continue only if you’ve just started it yourself.`,
    deny: 'Don’t allow',
    allow: 'Allow',
    back: (host: string) => html`You’ll go back to <bdi>${host}</bdi>.`,
    backOwnMachine: 'You’ll go back to the app on this device.',
    takeBack: 'You can change this at any time.',
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
    lead: 'You’re signed in as',
    submit: 'Continue with this account',
    other: 'Use another account',
  },

  device: {
    title: 'Connect a device',
    lead: 'Enter the code that your device shows.',
    code: 'Code on the device',
    submit: 'Continue',
    wrong: 'That code didn’t work',
    wrongDo: 'Check it on the device’s screen',
    wrongHint: 'Codes work once and expire quickly. The device can show you a new one.',
  },

  request: {
    deviceTitle: 'Is this your device?',
    cibaTitle: (app: string) => html`<bdi>${app}</bdi> needs your answer`,
    compareCode: 'Allow it only if your device shows this code now:',
    compareMessage: 'Allow it only if you see this message where you started it:',
    noMessage: 'Allow it only if you’ve just started it yourself.',
    app: 'App',
    asked: 'Asked',
    fromNetwork: (when: Words, address: string) =>
      html`${when}, from another network than yours (<bdi>${address}</bdi>)`,
    warning:
      'Support staff will never ask you for this. If someone sent you a code or this link, close the page.',
    warningApp:
      'Support staff will never ask you to allow this. If you didn’t start it yourself, don’t allow it.',
    deviceDone: (app: string) => html`You’ve allowed <bdi>${app}</bdi>`,
    cibaDone: (app: string) => html`<bdi>${app}</bdi> has your answer`,
    denied: (app: string) => html`You didn’t allow <bdi>${app}</bdi>`,
    backToDevice:
      'Go back to the device: it signs in within a few seconds. You can close this page.',
    backToApp: 'Go back to where you started. You can close this page.',
    deniedLead: 'Nothing was shared. You can close this page.',
    see: 'See what it can do',
  },

  signOut: {
    title: 'Sign out?',
    lead: (brand: string) => `This signs you out of ${brand} in this browser.`,
    leadFor: (app: string, brand: string) =>
      html`You came here from <bdi>${app}</bdi>. Sign out of ${brand} in this browser too?`,
    stay: 'Stay signed in',
    submit: 'Sign out',
    doneTitle: 'You’re signed out',
    doneLead: 'You can close this page.',
    again: 'Sign in again',
  },

  error: {
    request: 'Request',
    time: 'Time',
    developers: 'For developers',
    start: 'Start again',
    retry: 'Try again',
    home: 'Go to your account',
    byApp: 'Only the app’s developer can fix this. Send them:',
    byAppNamed: (app: string) =>
      html`Only the developer of <bdi>${app}</bdi> can fix this. Send them:`,
    byUs: (brand: string) => `Only the team behind ${brand} can fix this. Send them:`,
    byYou: (brand: string) => `If it keeps happening, send this to the team behind ${brand}:`,
    byLink: (brand: string) =>
      `If one of our links brought you here, send this to the team behind ${brand}:`,
    thisApp: 'The app',
    kinds: {
      'app-unknown': {
        title: 'We don’t know this app',
        say: () =>
          'The link that brought you here is from an app that isn’t registered with us. Nothing was shared.',
      },
      'app-redirect': {
        title: 'We stopped this sign-in',
        say: (app: string) =>
          html`<bdi>${app}</bdi> asked us to send you to an address that it hasn’t registered. Nothing was shared.`,
      },
      'app-request': {
        title: 'We stopped this sign-in',
        say: (app: string) =>
          html`<bdi>${app}</bdi> sent us a request that isn’t valid. Nothing was shared.`,
      },
      'app-sign-out': {
        title: 'This sign-out didn’t work',
        say: (app: string) =>
          html`<bdi>${app}</bdi> sent us a request that isn’t valid, so nothing has changed. You can sign out from your account.`,
      },
      expired: {
        title: 'This sign-in has expired',
        say: () =>
          'For your security, a sign-in has to be finished within an hour. Go back to the app and start again.',
      },
      finished: {
        title: 'You’ve already finished this step',
        say: () =>
          'Going back doesn’t change anything. If an app is still waiting for you, start again there.',
      },
      'other-browser': {
        title: 'This started in another browser',
        say: () =>
          'Continue in the browser where you started to sign in, or go back to the app in this one and start again.',
      },
      forged: {
        title: 'We couldn’t confirm that this was you',
        say: () =>
          'The page may be too old, or your browser may be blocking cookies for this site. Allow them, then start again.',
      },
      'sign-in-stopped': {
        title: 'You’re not signed in',
        say: () => 'The sign-in wasn’t finished. Nothing has changed.',
      },
      'step-stopped': {
        title: 'Nothing has changed',
        say: () => 'You didn’t finish this step. You’re still signed in.',
      },
      'not-yours': {
        title: 'This request is for another account',
        say: (app: string) =>
          html`<bdi>${app}</bdi> sent the email to the owner of another account. If that’s you too, open the link again and sign in with that account. Nothing was shared.`,
      },
      forbidden: {
        title: 'You don’t have access',
        say: () => 'Your account can’t use this page.',
      },
      'not-found': {
        title: 'Page not found',
        say: () => 'The address may be mistyped, or the page may have moved.',
      },
      'too-many': {
        title: 'Too many attempts',
        say: (_app: string, when: string) =>
          `We limit attempts to keep accounts safe. You can try again ${when}.`,
      },
      'too-large': {
        title: 'That was too long',
        say: () => 'You sent more than this page accepts. Go back, shorten it and try again.',
      },
      'bad-request': {
        title: 'We couldn’t read that',
        say: () => 'Something was missing or malformed. Go back and try again.',
      },
      unavailable: {
        title: 'We’ll be back in a moment',
        say: () =>
          'A part of our service isn’t responding. Nothing is lost. Try again in a minute.',
      },
      ours: {
        title: 'Something went wrong on our side',
        say: () => 'It wasn’t anything you did. Trying again may help.',
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
      'You sign in with your password only. A code from your phone keeps others out even if they know your password.',
    second: (device: string) =>
      html`You sign in with your password and a code from <b><bdi>${device}</bdi></b>.`,
    secondUnnamed: 'You sign in with your password and a code from your authenticator app.',
    secondSince: 'Since',
    enrol: 'Set up an authenticator app',
    apps: 'Connected apps',
    appsLead: 'These apps can use your account.',
    none: 'No connected apps yet. Apps you allow will appear here.',
    used: 'Used',
    neverUsed: 'Not used yet',
    since: 'Since',
    remove: (app: string) => html`Remove <bdi>${app}</bdi>`,
    consequence: (app: string, life: string | undefined) =>
      html`<bdi>${app}</bdi> loses access ${life === undefined ? 'at once' : `within ${life}`}. To use it again, you’d have to allow it again. Data that it has already stored stays there.`,
    removeNow: (app: string) => html`Yes, remove <bdi>${app}</bdi>`,
    removed: (app: string) => html`<bdi>${app}</bdi> is removed.`,
    signOut: 'Sign out',
  },

  mail: {
    title: 'Email on this server',
    lead: 'No mail server is configured. Email that would have been sent is shown here.',
    none: 'No email yet. Create an account, and its email appears here.',
    to: 'To',
  },

  formPost: {
    title: 'Going back',
    titleFor: (app: string) => html`Going back to <bdi>${app}</bdi>`,
    lead: 'If nothing happens, select Continue.',
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
