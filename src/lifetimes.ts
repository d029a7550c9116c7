/** How long what the server issues lives, in seconds. */
export const ttl = {
  code: 60,
  accessToken: 3_600,
  idToken: 3_600,
  interaction: 3_600,
  deviceCode: 600,
  sessionIdle: 14 * 86_400,
  sessionAbsolute: 30 * 86_400,
};
