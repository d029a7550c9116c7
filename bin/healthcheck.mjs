// Asks the server on this machine whether it runs, over TLS where it ends TLS itself: exits with 0 if it does, with 1 if
// not. For the image's HEALTHCHECK; it reads the same variables as the server.
import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';

const { PORT, HOST, TLS_CERT_FILE } = process.env;
const unspecified = { '0.0.0.0': '127.0.0.1', '::': '::1' };
const options = {
  host: unspecified[HOST] ?? (HOST || '127.0.0.1'),
  port: Number(PORT || 3000),
  path: '/livez',
  // The certificate is for the issuer's name, and the connection does not leave this machine.
  rejectUnauthorized: false,
  timeout: 2_500,
};
const request = (TLS_CERT_FILE ? getHttps : getHttp)(options, (answer) =>
  process.exit(answer.statusCode === 200 ? 0 : 1),
);
request.on('timeout', () => process.exit(1));
request.on('error', () => process.exit(1));
