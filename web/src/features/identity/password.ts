/** How hard a password is to guess, told as what to do about it. */
export type Strength = { score: 0 | 1 | 2 | 3 | 4; hint: string };

export const MIN_PASSWORD = 10;

const common = /^(password|passwort|qwerty|letmein|welcome|iloveyou|admin|parley|12345|abc123)/i;

export function strength(password: string, ...about: string[]): Strength {
  if (password === "")
    return { score: 0, hint: `At least ${MIN_PASSWORD} characters. Three or four unrelated words are good.` };
  const missing = MIN_PASSWORD - password.length;
  if (missing > 0) return { score: 1, hint: `${missing} more character${missing === 1 ? "" : "s"} needed.` };
  const lower = password.toLowerCase();
  const own = about.flatMap((a) => a.toLowerCase().split(/[^a-z0-9]+/)).filter((w) => w.length > 3);
  if (own.some((w) => lower.includes(w)))
    return { score: 1, hint: "It holds your own name or address: choose something else." };
  if (common.test(password) || new Set(lower).size < 5)
    return { score: 1, hint: "It is among the first that are guessed." };
  const kinds = [/[a-z]/, /[A-Z]/, /[0-9]/, /[^A-Za-z0-9]/].filter((k) => k.test(password)).length;
  if (password.length >= 18 || (password.length >= 14 && kinds >= 3)) return { score: 4, hint: "Strong." };
  if (password.length >= 14 || kinds >= 3) return { score: 3, hint: "Good. Longer is better still." };
  return { score: 2, hint: "Fair. A few more characters make it good." };
}
