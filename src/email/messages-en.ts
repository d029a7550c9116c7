/** Every word of every mail, in English. Another language is another file with the same keys (`MailMessages`). */
export const en = {
  greeting: 'Hello,',
  signature: (brand: string) => brand,
  notYou:
    'If this wasn’t you, somebody may have your password: sign in, change it, and tell the people who run this service.',
  when: (date: string) => `It happened on ${date}.`,
  moment: (at: Date) => `${at.toISOString().slice(0, 16).replace('T', ' at ')} UTC`,

  verifyEmail: {
    subject: (brand: string) => `Confirm your email for ${brand}`,
    lead: 'Open this link to confirm your email:',
    code: (code: string) => `Or enter this code where you’re asked for it: ${code}`,
    until: 'Both work once, for a day, until you’re sent newer ones.',
    ignore:
      'Did you not ask for this? Then do nothing, and don’t pass it on: somebody may have mistyped their address.',
  },
  registrationAttempt: {
    subject: (brand: string) => `You have an account with ${brand} already`,
    lead: (brand: string) =>
      `Somebody wanted to create an account with ${brand} for this address. You have one already, so nothing was changed.`,
    signIn: 'If it was you, sign in with your password:',
    ignore: 'If it wasn’t you, there’s nothing to do.',
  },
  secondFactorAdded: {
    subject: (brand: string) => `An authenticator app was added to your ${brand} account`,
    lead: (device: string) =>
      `From now on, signing in takes a code from the authenticator app named “${device}”.`,
  },
  secondFactorReset: {
    subject: (brand: string) => `The second factor of your ${brand} account was taken away`,
    lead: 'Your authenticator apps and recovery codes no longer work, and you were signed out everywhere. Sign in to set them up anew:',
    notYou: 'If you didn’t ask for this, tell the people who run this service.',
  },
  recoveryCodesRegenerated: {
    subject: (brand: string) => `New recovery codes for your ${brand} account`,
    lead: 'You have ten new recovery codes. The earlier ones no longer work.',
  },
  tokenReplayed: {
    subject: (app: string, brand: string) => `${app} was signed out of your ${brand} account`,
    lead: (app: string) =>
      `The app “${app}” was signed in to your account with a one-time key, and that key was used a second time. Somebody may have copied it. It may also have been the app itself, by mistake.`,
    done: 'We signed the app out where that key was from, so nobody can use your account by it any more. Your password and your other devices are not affected.',
    next: (app: string) => `To use “${app}” again, just sign in to it again.`,
    again:
      'If you get this mail again, tell the people who run the app. If you don’t know the app, remove it from your account:',
  },
  asked: {
    subject: (app: string) => `${app} asks for your answer`,
    lead: (app: string, brand: string) =>
      `The app “${app}” asks you to confirm something with your ${brand} account. See what it is, and answer, here:`,
    until: (date: string) => `The link works until ${date}. You’ll be asked to sign in.`,
    ignore:
      'If you did not start this yourself, answer “Don’t allow”, or do nothing. Nobody who calls or writes to you needs you to allow it.',
  },
  administratorCreated: {
    subject: (brand: string) => `You’re an administrator of ${brand}`,
    lead: (brand: string) => `Your account is an administrator of ${brand}. Sign in here:`,
  },
};

export type MailMessages = typeof en;
