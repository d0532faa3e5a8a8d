import { useState } from "react";

/**
 * A secret of the address's fragment, which no server sees. It is taken once and wiped from the address bar, so that it
 * is neither in the history nor on a screenshot.
 */
export function useFragment(name: string): string {
  const [value] = useState(() => takeFragment(name));
  return value;
}

/** Kept for the page's life: React may make a component twice, and the address is empty by then. */
const taken = new Map<string, string>();

function takeFragment(name: string): string {
  const key = location.pathname + name;
  const value = new URLSearchParams(location.hash.slice(1)).get(name);
  if (value) {
    taken.set(key, value);
    history.replaceState(history.state, "", location.pathname + location.search);
  }
  return taken.get(key) ?? "";
}
