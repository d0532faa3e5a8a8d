/** Countries by their two letters (ISO 3166-1), as the browser knows them. */
const letters = Array.from({ length: 26 }, (_, i) => String.fromCharCode(65 + i));
/** Two letters that name no country. */
const others = new Set(["EU", "EZ", "UN", "XA", "XB", "ZZ", "QO"]);
/** Old letters stand for newer ones: DD for DE. */
const current = (code: string) => new Intl.Locale(`und-${code}`).region === code;

let known: { value: string; label: string }[] | undefined;

export function countries(): { value: string; label: string }[] {
  if (known) return known;
  const names = new Intl.DisplayNames("en", { type: "region", fallback: "none" });
  known = letters
    .flatMap((a) => letters.map((b) => a + b))
    .flatMap((code) => {
      const label = others.has(code) || !current(code) ? undefined : names.of(code);
      return label ? [{ value: code, label }] : [];
    })
    .sort((a, b) => a.label.localeCompare(b.label, "en"));
  return known;
}
