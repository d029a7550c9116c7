/** Every word of every email, in English. Another language is another file with the same keys (`MailMessages`). */
export const en = {
  greeting: 'Hello,',
  signature: (brand: string) => brand,
  notYou: (brand: string) =>
    `If this wasn’t you, someone may know your password. Contact the team behind ${brand} right away: they can lock your account.`,
  when: (date: string) => `This happened on ${date}.`,
  moment: (at: Date) => `${at.toISOString().slice(0, 16).replace('T', ' at ')} UTC`,

  verifyEmail: {
    subject: (brand: string) => `Confirm your email address for ${brand}`,
    lead: 'Open this link to confirm your email address:',
    code: (code: string) => `Or enter this code where you signed up: ${code}`,
    until: 'The link and the code work once and expire in 24 hours. A newer email replaces them.',
    ignore: 'Didn’t ask for this? Ignore this email, and never share the code.',
  },
  registrationAttempt: {
    subject: (brand: string) => `You already have a ${brand} account`,
    lead: (brand: string) =>
      `Someone tried to create a ${brand} account with this email address. You already have one, so nothing has changed.`,
    signIn: 'If it was you, sign in with your existing password:',
    ignore: 'If it wasn’t you, ignore this email.',
  },
  secondFactorAdded: {
    subject: (brand: string) => `An authenticator app was added to your ${brand} account`,
    lead: (device: string) =>
      `From now on, you need a code from the authenticator app “${device}” to sign in.`,
  },
  secondFactorReset: {
    subject: (brand: string) => `Two-factor sign-in was reset for your ${brand} account`,
    lead: 'Your authenticator apps and recovery codes no longer work, and you’ve been signed out everywhere. You can set up an authenticator app again in your account:',
    notYou: (brand: string) => `Didn’t ask for this? Contact the team behind ${brand} right away.`,
  },
  recoveryCodesRegenerated: {
    subject: (brand: string) => `New recovery codes for your ${brand} account`,
    first: 'You now have ten recovery codes. Each signs you in once if you lose your phone.',
    replaced: 'You have ten new recovery codes. The earlier ones no longer work.',
    either: 'You have ten new recovery codes. Any earlier codes no longer work.',
  },
  tokenReplayed: {
    subject: (app: string, brand: string) => `${app} was signed out of your ${brand} account`,
    lead: (app: string) =>
      `A one-time key that “${app}” uses to stay signed in to your account was used twice. Someone may have copied it, or the app used it twice by mistake.`,
    done: 'To be safe, we’ve signed the app out where this key was used. The key no longer works. Your password and your other devices aren’t affected.',
    next: (app: string) => `To use “${app}” again, sign in to it again.`,
    again:
      'If you get this email again, tell the app’s developer. If you don’t know the app, remove it from your account:',
  },
  asked: {
    subject: (app: string) => `${app} needs your answer`,
    lead: (app: string, brand: string) =>
      `The app “${app}” asks you to confirm something with your ${brand} account. Open this link to see the request and answer it:`,
    until: (date: string) => `The link works until ${date}. You may have to sign in first.`,
    ignore:
      'Didn’t start this yourself? Choose “Don’t allow”, or ignore this email. Support staff will never ask you to allow it.',
  },
  administratorCreated: {
    subject: (brand: string) => `You’re an administrator of ${brand}`,
    lead: (brand: string) => `Your account is now an administrator of ${brand}. Sign in here:`,
  },
};

export type MailMessages = typeof en;
