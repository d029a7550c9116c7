/**
 * Schemes without a dot, which apps on a device have claimed for themselves without having a domain name (`cursor://`). RFC
 * 8252 wants a domain name turned round (section 7.1), and desktop apps do not follow it.
 */

/** What belongs to the browser, to the system, or to a protocol: a redirect there would be more than a way back to an app. */
const taken = new Set(
  `about acap acct bitcoin blob callto cid coap coaps content data dav dict dns ed2k facetime feed file filesystem finger
  fish ftp ftps geo git go gopher gtalk h323 hcp help http https icap im imap imaps info intent invoker ipp ipps irc ircs iris
  jabber jar javascript jdbc ldap ldaps livescript local lpr magnet mailto maps market message mid mms moz msrp
  msrps mtqp mvn mocha netdoc news nfs nntp ocsp oid opaquelocktoken pkcs11 pop pres proxy res resource rlogin rsync rtmp
  rtsp search secret service session settings sftp shell shortcuts sieve sip sips skype slack smb sms smsto smtp snmp
  soap spotify ssh steam stun stuns svn tag tcp teams tel telnet tftp tip tn3270 turn turns tv udp urn vbs vbscript vemmi
  vnc webcal whatsapp wpad ws wss wyciwyg xmpp zoommtg zoomus`.split(/\s+/),
);

/** Families of them: Office and Windows (`ms-msdt:`), browsers and their extensions, what a site may register (`web+…`). */
const families =
  /^(ms|msteams|microsoft|windows|win|x|apple|itms|chrome|edge|brave|opera|vivaldi|firefox|moz|safari|android|app|view|web|search|about)[-+]|-extension$|^itms/;

/** Whether the URI has the form `scheme://…`, and its scheme is one that an app may have claimed for itself. */
export function isClaimable(uri: string): boolean {
  const scheme = /^([a-z][a-z0-9-]{2,39}):\/\/[^/]/.exec(uri)?.[1];
  return scheme !== undefined && !taken.has(scheme) && !families.test(scheme);
}
