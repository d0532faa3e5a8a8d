/** What the columns of a list of people can be. */
export const meanings = [
  { value: "", label: "Leave it out" },
  { value: "phone", label: "Telephone number" },
  { value: "name", label: "Name" },
  { value: "country", label: "Country" },
  { value: "region", label: "State or region" },
  { value: "zone", label: "Time zone" },
  { value: "var:", label: "Something the agent knows" },
];

/** A name for the agent, made from a column's: "Order no." is "order_no". */
export const fieldOf = (column: string) =>
  column
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[\u0300-\u036f]/g, "")
    .replace(/[^a-z0-9]+/g, "_")
    .replace(/^_+|_+$/g, "")
    .slice(0, 40) || "value";

/** What a mapping lacks, in a sentence; undefined: nothing. */
export function missing(mapping: Record<string, string>, required: string[]): string | undefined {
  const used = Object.values(mapping).filter(Boolean);
  if (!used.includes("phone")) return "Say which column has the telephone numbers.";
  const twice = used.find((m, i) => m !== "phone" && used.indexOf(m) !== i);
  if (twice) return `Two columns are the same: ${twice.replace("var:", "")}.`;
  if (used.includes("var:")) return "Give each value that the agent knows a name.";
  const lacks = required.filter((r) => !used.includes(`var:${r}`) && !(r === "name" && used.includes("name")));
  if (lacks.length > 0) return `The agent speaks of ${lacks.join(", ")}: say which column has it.`;
  return undefined;
}
