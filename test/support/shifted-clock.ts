/** Imported before anything else of a process: its clock is off by so many milliseconds from here on. */
const offset = Number(process.env.VOUCHSAFE_TEST_CLOCK_OFFSET);
const RealDate = Date;

globalThis.Date = class extends RealDate {
  constructor(...given: unknown[]) {
    if (given.length === 0) super(RealDate.now() + offset);
    else super(...(given as [number]));
  }
  static override now(): number {
    return RealDate.now() + offset;
  }
} as DateConstructor;
