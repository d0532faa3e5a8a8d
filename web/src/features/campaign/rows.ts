/** Which rows of a long list are drawn: pure, so that it can be tested without a page. */

/** Browsers draw nothing that is taller (Firefox ends at 17.9 million pixels); a longer list moves faster below the scroll bar. */
const TALLEST = 12_000_000;

export type Window = {
  /** Pixels of all that scrolls. */
  height: number;
  /** The rows that are drawn: from the first to the one before last. */
  first: number;
  last: number;
  /** Where the first one begins, in pixels from the top. */
  at: number;
};

/** The rows of `count` that show where somebody scrolled `top` pixels down in a box of `view` pixels, and some beside them. */
export function rowsAt(count: number, row: number, top: number, view: number, beside: number): Window {
  const whole = count * row;
  const height = Math.min(whole, TALLEST);
  const reach = Math.max(1, height - view);
  const down = Math.min(Math.max(0, top), reach);
  // How far down the whole list that is; the same, unless the list is taller than what can be drawn.
  const real = height === whole ? down : (down / reach) * (whole - view);
  const first = Math.max(0, Math.floor(real / row) - beside);
  const last = Math.min(count, Math.ceil((real + view) / row) + beside);
  return { height, first, last, at: first * row - real + down };
}

/** Where one scrolls so that a row is seen; undefined: it is seen already. */
export function scrollTo(index: number, count: number, row: number, top: number, view: number): number | undefined {
  const whole = count * row;
  const height = Math.min(whole, TALLEST);
  const factor = height === whole ? 1 : (whole - view) / Math.max(1, height - view);
  const real = top * factor;
  if (index * row < real) return (index * row) / factor;
  if ((index + 1) * row > real + view) return ((index + 1) * row - view) / factor;
  return undefined;
}
