import { cut } from './cut.ts';
import type { Words } from './html.ts';
import type { App, ConsentRequest } from './page-parts.ts';
import type { Pages } from './pages.ts';
import { codeSummary, type Kit } from './present-forms.ts';
import { ago } from './dates.ts';

/** A request that a program makes and a person answers elsewhere: what the pages about it say. */

/** The facts above what is asked for: who asks, when, and from where. */
export function requestFacts(app: App, request: ConsentRequest, { m, now, locale }: Kit) {
  const when = ago(request.askedAt, now, locale);
  return {
    app: app.name,
    by: app.developer && (app.verified ? m.app.byVerified(app.developer) : m.app.by(app.developer)),
    asked:
      request.otherNetwork === undefined ? when : m.request.fromNetwork(when, request.otherNetwork),
  };
}

export function requestTitle(app: string, { kind }: ConsentRequest, { m }: Kit): Words {
  return kind === 'device' ? m.request.deviceTitle : m.request.cibaTitle(app);
}

export function presentDevice(model: Pages['device'], kit: Kit) {
  const { device } = kit.m;
  const summary = codeSummary(model, device, kit);
  return {
    title: device.title,
    summary,
    invalid: summary !== undefined,
    cut: cut(undefined),
  };
}

export function presentAnswered({ app, kind, isAllowed }: Pages['request-answered'], { m }: Kit) {
  const name = app?.name ?? String(m.error.thisApp);
  const { request } = m;
  const title = isAllowed
    ? kind === 'device'
      ? request.deviceDone(name)
      : request.cibaDone(name)
    : request.denied(name);
  const back = kind === 'device' ? request.backToDevice : request.backToApp;
  return {
    title,
    invalid: false,
    // Joined where it is done, apart where it was not allowed.
    cut: isAllowed ? cut(app?.id, 0) : cut(app?.id),
    by:
      app?.developer && (app.verified ? m.app.byVerified(app.developer) : m.app.by(app.developer)),
    lead: isAllowed ? back : request.deniedLead,
  };
}
